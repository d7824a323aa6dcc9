//! HyperLogLogs: PFADD, PFCOUNT, PFMERGE and two commands for tests. The bytes are made in
//! [`crate::keyspace::hyperloglog`].

use crate::base::text::lossless;
use crate::config::NotifyClasses;
use crate::keyspace::hyperloglog::{self, Corrupt, Encoding, REGISTERS, Union};
use crate::server::{Args, Command, CommandError, CommandResult, Ctx};
use crate::spec::*;

/// The commands of the group.
pub const COMMANDS: &[Command] = &[
    Command::new(
        Spec::new("pfadd", Group::HyperLogLog, -2, "key [element [element ...]]")
            .flags(&[WRITE, DENYOOM, FAST])
            .keys(&[KeySpec::one(1, &[RW, INSERT])])
            .since("2.8.9")
            .complexity("O(1) for each element.")
            .summary("Counts elements in; creates the HyperLogLog if missing."),
        pfadd,
    )
    .edits_string_at(1),
    Command::new(
        Spec::new("pfcount", Group::HyperLogLog, -2, "key [key ...]")
            .flags(&[READONLY, MAY_REPLICATE])
            .keys(&[KeySpec::range(1, -1, 1, &[RW, ACCESS])
                .notes("The cached cardinality may be written back and replicated.")])
            .since("2.8.9")
            .complexity("O(1) for one key, O(N) for N keys.")
            .summary("Estimates how many different elements were counted in."),
        pfcount,
    )
    .edits_string_at(1),
    Command::new(
        Spec::new("pfdebug", Group::HyperLogLog, 3, "subcommand key")
            .flags(&[WRITE, DENYOOM, ADMIN])
            .keys(&[KeySpec::one(2, &[RW, ACCESS])])
            .since("2.8.9")
            .complexity("Depends on the subcommand.")
            .summary("Shows the inside of a HyperLogLog, for tests.")
            .system(),
        pfdebug,
    )
    .edits_string_at(2),
    Command::new(
        Spec::new("pfmerge", Group::HyperLogLog, -2, "destkey sourcekey [sourcekey ...]")
            .flags(&[WRITE, DENYOOM])
            .keys(&[KeySpec::one(1, &[RW, ACCESS, INSERT]), KeySpec::range(2, -1, 1, &[RO, ACCESS])])
            .since("2.8.9")
            .complexity("O(N), N: keys.")
            .summary("Merges HyperLogLogs into one."),
        pfmerge,
    )
    .edits_string_at(1),
    Command::new(
        Spec::new("pfselftest", Group::HyperLogLog, 1, "")
            .flags(&[ADMIN])
            .since("2.8.9")
            .complexity("Depends on the number of rounds.")
            .summary("Tests the HyperLogLog implementation.")
            .system(),
        pfselftest,
    ),
];

const NOT_ONE: CommandError = CommandError::fixed("WRONGTYPE Key is not a valid HyperLogLog string value.");

fn pfadd(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let key = args.key();
    let sparse_max_bytes = ctx.rooms.config.hll_sparse_max_bytes;
    let exists = ctx.db.string_for_update(key)?.map(check).transpose()?.is_some();
    let mut updates = u64::from(!exists);
    let added = ctx.db.edit_string(key, |value| {
        if !exists {
            *value = hyperloglog::empty();
        }
        for element in args.rest() {
            updates += u64::from(hyperloglog::add(value, element, sparse_max_bytes)?);
        }
        if updates > 0 {
            hyperloglog::invalidate(value);
        }
        Ok::<(), Corrupt>(())
    })?;
    added.map_err(corrupt)?;
    ctx.changed_by(updates, NotifyClasses::STRING, "pfadd", key);
    ctx.reply.integer(i64::from(updates > 0));
    Ok(())
}

fn pfcount(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    if args.remaining() > 1 {
        let union = union_of(ctx, args)?.0;
        ctx.reply.integer(union.cardinality().cast_signed());
        return Ok(());
    }
    let key = args.key();
    let Some(value) = ctx.db.string(key)? else {
        ctx.reply.integer(0);
        return Ok(());
    };
    check(value)?;
    let cardinality = match hyperloglog::cached_cardinality(value) {
        Some(cardinality) => cardinality,
        None => {
            let cardinality = hyperloglog::cardinality(value).map_err(corrupt)?;
            ctx.db.edit_string(key, |value| hyperloglog::cache_cardinality(value, cardinality))?;
            // Redis: reading changes the cached bytes, which is propagated but no event.
            ctx.changed(NotifyClasses::NONE, "", key);
            cardinality
        }
    };
    ctx.reply.integer(cardinality.cast_signed());
    Ok(())
}

fn pfmerge(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let (union, any_dense) = union_of(ctx, args)?;
    let target = args.key();
    let sparse_max_bytes = ctx.rooms.config.hll_sparse_max_bytes;
    let exists = ctx.db.string_for_update(target)?.is_some();
    let merged = ctx.db.edit_string(target, |value| {
        if !exists {
            *value = hyperloglog::empty();
        }
        if any_dense {
            hyperloglog::make_dense(value)?;
        }
        for (register, &count) in union.registers().iter().enumerate().filter(|&(_, &count)| count > 0) {
            hyperloglog::raise(value, register, count, sparse_max_bytes)?;
        }
        hyperloglog::invalidate(value);
        Ok::<(), Corrupt>(())
    })?;
    merged.map_err(corrupt)?;
    ctx.changed(NotifyClasses::STRING, "pfadd", target);
    ctx.reply.ok();
    Ok(())
}

fn pfdebug(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let (word, key) = (args.key(), args.key());
    let Some(value) = ctx.db.string_for_update(key)? else {
        return Err(CommandError::fixed("ERR The specified key does not exist"));
    };
    check(value)?;
    let is_sparse = hyperloglog::encoding(value) == Encoding::Sparse;
    if word.eq_ignore_ascii_case(b"GETREG") {
        make_dense(ctx, key, is_sparse)?;
        let mut union = Union::default();
        union.merge(ctx.db.string_for_update(key)?.unwrap_or_default()).map_err(corrupt)?;
        ctx.reply.array(REGISTERS);
        union.registers().iter().for_each(|&count| ctx.reply.integer(i64::from(count)));
    } else if word.eq_ignore_ascii_case(b"DECODE") {
        if !is_sparse {
            return Err(CommandError::fixed("ERR HLL encoding is not sparse"));
        }
        ctx.reply.bulk(hyperloglog::opcodes(value).as_bytes());
    } else if word.eq_ignore_ascii_case(b"ENCODING") {
        ctx.reply.simple(if is_sparse { "sparse" } else { "dense" });
    } else if word.eq_ignore_ascii_case(b"TODENSE") {
        make_dense(ctx, key, is_sparse)?;
        ctx.reply.integer(i64::from(is_sparse));
    } else {
        let word = lossless(word);
        return Err(CommandError::line(format!("ERR Unknown PFDEBUG subcommand '{word}'")));
    }
    Ok(())
}

/// Writes random registers and reads them back, then adds a million elements to a dense and a
/// sparse value: both must agree, and their estimates must be near the truth.
fn pfselftest(ctx: &mut Ctx<'_>, _: Args<'_>) -> CommandResult {
    const ELEMENTS: u64 = 1_000_000;
    let seed = ctx.rooms.random.u64();
    let sparse_max_bytes = ctx.rooms.config.hll_sparse_max_bytes;
    let outcome = registers_hold(seed).and_then(|()| estimates_hold(seed, ELEMENTS, sparse_max_bytes));
    outcome.map_err(|failure| CommandError::line(format!("ERR TESTFAILED {failure}")))?;
    ctx.reply.ok();
    Ok(())
}

fn registers_hold(seed: u64) -> Result<(), String> {
    const ROUNDS: u8 = 32;
    let mut value = hyperloglog::empty();
    for round in 1..=ROUNDS {
        // Registers only rise, so each round raises a random half of them to a new height.
        let chosen = |register: usize| seed.rotate_left(u32::from(round)) >> (register % 61) & 1 == 1;
        let mut expected = Union::default();
        expected.merge(&value).map_err(|error| error.to_string())?;
        let mut expected = expected.registers().to_vec();
        for register in (0..REGISTERS).filter(|&register| chosen(register)) {
            expected[register] = round;
            hyperloglog::raise(&mut value, register, round, 0).map_err(|error| error.to_string())?;
        }
        let mut found = Union::default();
        found.merge(&value).map_err(|error| error.to_string())?;
        let pairs = expected.iter().zip(found.registers()).enumerate();
        if let Some((register, (expected, found))) = pairs.into_iter().find(|(_, (a, b))| a != b) {
            return Err(format!("Register {register} should be {expected} but is {found}"));
        }
    }
    Ok(())
}

fn estimates_hold(seed: u64, elements: u64, sparse_max_bytes: usize) -> Result<(), String> {
    /// Standard error of an estimate.
    const ERROR: f64 = 1.04 / 128.0;
    let (mut dense, mut sparse) = (hyperloglog::empty(), hyperloglog::empty());
    hyperloglog::make_dense(&mut dense).map_err(|error| error.to_string())?;
    let mut checkpoint = 1;
    for count in 1..=elements {
        let element = (count ^ seed).to_le_bytes();
        for value in [&mut dense, &mut sparse] {
            hyperloglog::add(value, &element, sparse_max_bytes).map_err(|error| error.to_string())?;
        }
        if count == checkpoint {
            let estimates = [&dense, &sparse].map(|value| hyperloglog::cardinality(value));
            let [Ok(estimate), Ok(other)] = estimates else { return Err("corrupted".to_string()) };
            if estimate != other {
                return Err("dense/sparse disagree".to_string());
            }
            let error = estimate.abs_diff(count);
            let allowed = if count == 10 { 1.0 } else { (ERROR * 6.0 * count as f64).ceil() };
            if error as f64 > allowed {
                return Err(format!("Too big error. card:{count} abserr:{error}"));
            }
            checkpoint *= 10;
        }
    }
    Ok(())
}

/// Errors if `value` is no HyperLogLog.
fn check(value: &[u8]) -> CommandResult {
    if hyperloglog::is_valid(value) { Ok(()) } else { Err(NOT_ONE) }
}

/// The union of all keys, missing ones being empty, and whether one of them is dense.
fn union_of(ctx: &mut Ctx<'_>, keys: Args<'_>) -> Result<(Union, bool), CommandError> {
    let mut union = Union::default();
    let mut any_dense = false;
    for key in keys.rest() {
        if let Some(value) = ctx.db.string(key)? {
            check(value)?;
            any_dense |= hyperloglog::encoding(value) == Encoding::Dense;
            union.merge(value).map_err(corrupt)?;
        }
    }
    Ok((union, any_dense))
}

fn make_dense(ctx: &mut Ctx<'_>, key: &[u8], is_sparse: bool) -> CommandResult {
    if is_sparse {
        ctx.db.edit_string(key, hyperloglog::make_dense)?.map_err(corrupt)?;
        // Redis: a change of encoding is propagated but no event.
        ctx.changed(NotifyClasses::NONE, "", key);
    }
    Ok(())
}

fn corrupt(error: Corrupt) -> CommandError {
    CommandError::line(error.to_string())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::TestServer;

    #[test]
    fn pfadd_answers_whether_the_estimate_may_have_changed() {
        let mut server = TestServer::new();
        for (line, answer, effects, dirty) in [
            ("PFADD k", "(integer) 1", "SELECT 0 | PFADD k", 1),
            ("PFADD k", "(integer) 0", "", 0),
            ("PFADD k a b c", "(integer) 1", "PFADD k a b c", 3),
            ("PFADD k a b c", "(integer) 0", "", 0),
            ("PFADD new a", "(integer) 1", "PFADD new a", 2),
            ("PFADD", "(error) ERR wrong number of arguments for 'pfadd' command", "", 0),
        ] {
            let before = server.dirty();
            assert_eq!(server.run(line), answer, "{line}");
            assert_eq!(server.effects(), effects, "{line}");
            assert_eq!(server.dirty() - before, dirty, "{line}");
        }
    }

    #[test]
    fn pfcount_caches_and_propagates_what_it_computed() {
        let mut server = TestServer::new();
        server.run("PFADD k a b c");
        server.effects();
        assert_eq!(server.run("PFCOUNT k"), "(integer) 3");
        assert_eq!(server.effects(), "PFCOUNT k");
        assert_eq!(server.run("GETRANGE k 8 15"), "\"\\x03\\x00\\x00\\x00\\x00\\x00\\x00\\x00\"");
        assert_eq!(server.run("PFCOUNT k"), "(integer) 3");
        assert_eq!(server.run("PFCOUNT missing"), "(integer) 0");
        server.run("PFADD other c d");
        server.effects();
        assert_eq!(server.run("PFCOUNT k other missing"), "(integer) 4");
        assert_eq!(server.effects(), "", "a union is not kept");
    }

    #[test]
    fn pfmerge_joins_into_the_target() {
        let mut server = TestServer::new();
        server.run("PFADD a 1 2 3");
        server.run("PFADD b 3 4");
        server.effects();
        assert_eq!(server.run("PFMERGE a b missing"), "OK");
        assert_eq!(server.effects(), "PFMERGE a b missing");
        assert_eq!(server.run("PFCOUNT a"), "(integer) 4");
        assert_eq!(server.run("PFMERGE new"), "OK");
        assert_eq!(server.run("PFCOUNT new"), "(integer) 0");
        assert_eq!(server.run("PFDEBUG ENCODING new"), "sparse");
        server.run("PFDEBUG TODENSE b");
        server.run("PFMERGE new a b");
        assert_eq!(server.run("PFDEBUG ENCODING new"), "dense");
        assert_eq!(server.run("PFCOUNT new"), "(integer) 4");
    }

    #[test]
    fn what_is_no_hyperloglog_is_refused() {
        let not_one = "(error) WRONGTYPE Key is not a valid HyperLogLog string value.";
        let broken = "(error) INVALIDOBJ Corrupted HLL object detected";
        let mut server = TestServer::new();
        server.run("SET text abc");
        server.run("PFADD broken a");
        server.run("APPEND broken hello");
        server.effects();
        for (line, error) in [
            ("PFADD text a", not_one),
            ("PFCOUNT text", not_one),
            ("PFCOUNT missing text", not_one),
            ("PFMERGE new text", not_one),
            ("PFMERGE text", not_one),
            ("PFDEBUG ENCODING text", not_one),
            ("PFCOUNT broken", broken),
            ("PFCOUNT missing broken", broken),
            ("PFMERGE new broken", broken),
            ("PFDEBUG TODENSE broken", broken),
            ("PFDEBUG GETREG missing", "(error) ERR The specified key does not exist"),
            ("PFDEBUG NOSUCH broken", "(error) ERR Unknown PFDEBUG subcommand 'NOSUCH'"),
        ] {
            assert_eq!(server.run(line), error, "{line}");
        }
        assert_eq!(server.effects(), "");
    }

    #[test]
    fn pfdebug_shows_the_inside() {
        let mut server = TestServer::new();
        server.run("PFADD k a b c");
        server.effects();
        assert_eq!(server.run("PFDEBUG ENCODING k"), "sparse");
        assert_eq!(server.run("PFDEBUG DECODE k"), "\"Z:8436 v:1,1 Z:4274 v:2,1 Z:3068 v:1,1 Z:603\"");
        let registers = server.run("PFDEBUG GETREG k");
        assert_eq!(registers.lines().count(), 16384);
        assert_eq!(registers.lines().filter(|line| !line.ends_with(" 0")).count(), 3);
        assert_eq!(server.effects(), "PFDEBUG GETREG k");
        assert_eq!(server.run("PFDEBUG DECODE k"), "(error) ERR HLL encoding is not sparse");
        assert_eq!(server.run("PFDEBUG TODENSE k"), "(integer) 0");
        assert_eq!(server.effects(), "");
        assert_eq!(server.run("STRLEN k"), "(integer) 12304");
    }

    #[test]
    fn a_value_grows_dense_at_its_limit() {
        let mut server = TestServer::with(|config| config.hll_sparse_max_bytes = 30);
        for element in 0..20 {
            server.run(&format!("PFADD k {element}"));
            let encoding = server.run("PFDEBUG ENCODING k");
            let len = server.run("STRLEN k");
            let len: u32 = len.rsplit(' ').next().unwrap_or_default().parse().expect("a number");
            assert!(if encoding == "sparse" { len <= 30 } else { len == 12304 }, "{encoding} {len}");
        }
        assert_eq!(server.run("PFDEBUG ENCODING k"), "dense");
        assert_eq!(server.run("PFCOUNT k"), "(integer) 20");
    }

    #[test]
    fn the_self_test_passes() {
        assert_eq!(TestServer::new().run("PFSELFTEST"), "OK");
    }
}
