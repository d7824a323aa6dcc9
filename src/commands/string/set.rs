//! Values with conditions and expire times: SET, SETNX, SETEX, PSETEX, GETEX.
//!
//! The commands that reach the append-only file and replicas never depend on when they are read: a
//! relative expire time is propagated as the absolute one, GETEX as what it did to the key.

use crate::base::number::{self, I64Text};
use crate::base::time::UnixMillis;
use crate::config::NotifyClasses;
use crate::keyspace::Ttl;
use crate::server::{Args, CommandError, CommandResult, Ctx};

pub(super) fn set(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let (key, value) = (args.key(), args.key());
    if args.is_done() {
        store(ctx, key, value, Ttl::Clear);
        ctx.reply.ok();
        return Ok(());
    }
    set_with_options(ctx, args, key, value)
}

pub(super) fn setnx(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let (key, value) = (args.key(), args.key());
    let is_new = ctx.db.view_for_update(key).is_none();
    if is_new {
        store(ctx, key, value, Ttl::Clear);
    }
    ctx.reply.integer(i64::from(is_new));
    Ok(())
}

pub(super) fn setex(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    set_expiring(ctx, args, TimeForm::InSeconds)
}

pub(super) fn psetex(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    set_expiring(ctx, args, TimeForm::InMillis)
}

pub(super) fn getex(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let key = args.key();
    let lifetime = read_getex_options(args)?;
    let Some(value) = ctx.db.string(key)? else {
        // Redis: an invalid expire time is no error when there is nothing to expire.
        ctx.reply.null();
        return Ok(());
    };
    ctx.reply.bulk(value);
    match lifetime {
        Lifetime::Unsaid | Lifetime::KeepTtl => {}
        Lifetime::Persist => persist(ctx, key),
        Lifetime::Expire(form, text) => {
            let deadline = form.deadline(ctx, text)?;
            if form.is_absolute() && deadline <= ctx.now && !ctx.rooms.persistence.loading {
                delete_expired(ctx, key);
            } else {
                expire(ctx, key, deadline);
            }
        }
    }
    Ok(())
}

/// The form in which an expire time is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TimeForm {
    /// `EX`
    InSeconds,
    /// `PX`
    InMillis,
    /// `EXAT`
    AtSecond,
    /// `PXAT`
    AtMilli,
}

impl TimeForm {
    fn of(word: &[u8]) -> Option<TimeForm> {
        let forms: [(&[u8], TimeForm); 4] = [
            (b"EX", TimeForm::InSeconds),
            (b"PX", TimeForm::InMillis),
            (b"EXAT", TimeForm::AtSecond),
            (b"PXAT", TimeForm::AtMilli),
        ];
        forms.iter().find(|(name, _)| word.eq_ignore_ascii_case(name)).map(|&(_, form)| form)
    }

    fn is_absolute(self) -> bool {
        matches!(self, TimeForm::AtSecond | TimeForm::AtMilli)
    }

    /// The point in time `text` means; it is positive.
    fn deadline(self, ctx: &Ctx<'_>, text: &[u8]) -> Result<UnixMillis, CommandError> {
        let amount = number::parse_i64(text).ok_or(CommandError::NotInteger)?;
        let unit_ms = match self {
            TimeForm::InSeconds | TimeForm::AtSecond => 1000,
            TimeForm::InMillis | TimeForm::AtMilli => 1,
        };
        let base_ms = if self.is_absolute() { 0 } else { ctx.now.as_ms() };
        let deadline = amount.checked_mul(unit_ms).and_then(|ms| ms.checked_add(base_ms));
        match deadline {
            Some(deadline) if amount > 0 => Ok(UnixMillis(deadline)),
            _ => Err(CommandError::InvalidExpire(ctx.command.spec.name)),
        }
    }
}

/// The key's deadline as the options want it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lifetime<'a> {
    Unsaid,
    KeepTtl,
    Persist,
    Expire(TimeForm, &'a [u8]),
}

impl<'a> Lifetime<'a> {
    /// Reads `word` if it is `EX` or one of its kin and a time follows.
    ///
    /// Redis: the same form may be said again, the last one counts; two forms are an error.
    fn read_expire(&mut self, word: &[u8], args: &mut Args<'a>) -> Result<(), CommandError> {
        let form = TimeForm::of(word).ok_or(CommandError::Syntax)?;
        let fits = match *self {
            Lifetime::Unsaid => true,
            Lifetime::Expire(before, _) => before == form,
            Lifetime::KeepTtl | Lifetime::Persist => false,
        };
        if !fits {
            return Err(CommandError::Syntax);
        }
        *self = Lifetime::Expire(form, args.next()?);
        Ok(())
    }
}

/// Says if the key must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    Always,
    /// `NX`
    Missing,
    /// `XX`
    Existing,
}

struct SetOptions<'a> {
    condition: Condition,
    /// Answer the old value.
    get: bool,
    lifetime: Lifetime<'a>,
}

fn read_set_options<'a>(mut args: Args<'a>) -> Result<SetOptions<'a>, CommandError> {
    let mut options = SetOptions { condition: Condition::Always, get: false, lifetime: Lifetime::Unsaid };
    while !args.is_done() {
        let word = args.key();
        if word.eq_ignore_ascii_case(b"NX") && options.condition != Condition::Existing {
            options.condition = Condition::Missing;
        } else if word.eq_ignore_ascii_case(b"XX") && options.condition != Condition::Missing {
            options.condition = Condition::Existing;
        } else if word.eq_ignore_ascii_case(b"GET") {
            options.get = true;
        } else if word.eq_ignore_ascii_case(b"KEEPTTL")
            && matches!(options.lifetime, Lifetime::Unsaid | Lifetime::KeepTtl)
        {
            options.lifetime = Lifetime::KeepTtl;
        } else {
            options.lifetime.read_expire(word, &mut args)?;
        }
    }
    Ok(options)
}

fn read_getex_options<'a>(mut args: Args<'a>) -> Result<Lifetime<'a>, CommandError> {
    let mut lifetime = Lifetime::Unsaid;
    while !args.is_done() {
        let word = args.key();
        if word.eq_ignore_ascii_case(b"PERSIST") && matches!(lifetime, Lifetime::Unsaid | Lifetime::Persist) {
            lifetime = Lifetime::Persist;
        } else {
            lifetime.read_expire(word, &mut args)?;
        }
    }
    Ok(lifetime)
}

fn set_with_options(ctx: &mut Ctx<'_>, args: Args<'_>, key: &[u8], value: &[u8]) -> CommandResult {
    let options = read_set_options(args)?;
    let ttl = match options.lifetime {
        Lifetime::Unsaid | Lifetime::Persist => Ttl::Clear,
        Lifetime::KeepTtl => Ttl::Keep,
        Lifetime::Expire(form, text) => Ttl::At(form.deadline(ctx, text)?),
    };
    if options.get {
        ctx.reply.bulk_or_null(ctx.db.string(key)?);
    }
    let goes = match options.condition {
        Condition::Always => true,
        Condition::Missing => ctx.db.view_for_update(key).is_none(),
        Condition::Existing => ctx.db.view_for_update(key).is_some(),
    };
    if goes {
        store(ctx, key, value, ttl);
        if options.get && !matches!(ttl, Ttl::At(_)) {
            propagate_without_get(ctx, args);
        }
    }
    match (options.get, goes) {
        (true, _) => {}
        (false, true) => ctx.reply.ok(),
        (false, false) => ctx.reply.null(),
    }
    Ok(())
}

fn set_expiring(ctx: &mut Ctx<'_>, mut args: Args<'_>, form: TimeForm) -> CommandResult {
    let (key, time, value) = (args.key(), args.key(), args.key());
    let deadline = form.deadline(ctx, time)?;
    store(ctx, key, value, Ttl::At(deadline));
    ctx.reply.ok();
    Ok(())
}

/// Sets the value and says so; one with a deadline is propagated with the absolute time.
///
/// Redis: a deadline in the past is stored all the same; the next look at the key removes it.
fn store(ctx: &mut Ctx<'_>, key: &[u8], value: &[u8], ttl: Ttl) {
    ctx.db.set_string(key, value, ttl);
    ctx.changed(NotifyClasses::STRING, "set", key);
    if let Ttl::At(deadline) = ttl {
        let deadline = I64Text::new(deadline.as_ms());
        ctx.propagate_instead([b"SET", key, value, b"PXAT", deadline.as_bytes()]);
        ctx.notify(NotifyClasses::GENERIC, "expire", key);
    }
}

/// Propagates SET without its GET, so that a replica reads nothing.
fn propagate_without_get(ctx: &mut Ctx<'_>, options: Args<'_>) {
    let first_option = options.position();
    let words = options.argv().iter().enumerate();
    let kept = words.filter(|(index, word)| *index < first_option || !word.eq_ignore_ascii_case(b"GET"));
    ctx.propagate_instead(kept.map(|(_, word)| word));
}

fn persist(ctx: &mut Ctx<'_>, key: &[u8]) {
    if ctx.db.deadline(key).flatten().is_some() {
        ctx.db.set_deadline(key, None);
        ctx.changed(NotifyClasses::GENERIC, "persist", key);
        ctx.propagate_instead([b"PERSIST", key]);
    }
}

fn expire(ctx: &mut Ctx<'_>, key: &[u8], deadline: UnixMillis) {
    ctx.db.set_deadline(key, Some(deadline));
    ctx.changed(NotifyClasses::GENERIC, "expire", key);
    ctx.propagate_instead([b"PEXPIREAT", key, I64Text::new(deadline.as_ms()).as_bytes()]);
}

fn delete_expired(ctx: &mut Ctx<'_>, key: &[u8]) {
    ctx.db.remove(key);
    ctx.changed(NotifyClasses::GENERIC, "del", key);
    let verb: &[u8] = if ctx.rooms.config.lazyfree_lazy_expire { b"UNLINK" } else { b"DEL" };
    ctx.propagate_instead([verb, key]);
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::TestServer;
    use crate::config::Protected;

    /// The wall clock of a fresh test server.
    const NOW_MS: i64 = 1_700_000_000_000;

    #[test]
    fn options_of_set_and_what_is_propagated() {
        let expiring = |ms: i64| format!("SET k w PXAT {ms}");
        let rows: [(&str, &str, String); 14] = [
            ("SET k w", "OK", "SET k w".into()),
            ("SET k w NX", "(nil)", String::new()),
            ("SET k w nx get", "\"v\"", String::new()),
            ("SET k w XX", "OK", "SET k w XX".into()),
            ("SET missing w XX", "(nil)", String::new()),
            ("SET missing w XX GET", "(nil)", String::new()),
            ("SET missing w NX GET", "(nil)", "SET missing w NX".into()),
            ("SET k w Get XX KEEPTTL get", "\"v\"", "SET k w XX KEEPTTL".into()),
            ("SET k w EX 10", "OK", expiring(NOW_MS + 10_000)),
            ("SET k w PX 10 XX", "OK", expiring(NOW_MS + 10)),
            ("SET k w GET EXAT 1800000000", "\"v\"", expiring(1_800_000_000_000)),
            ("SET k w PXAT 1800000000000 XX", "OK", expiring(1_800_000_000_000)),
            ("SET k w EX 10 EX 20", "OK", expiring(NOW_MS + 20_000)),
            ("SET k w PXAT 1000", "OK", expiring(1000)),
        ];
        for (line, answer, effects) in rows {
            let mut server = TestServer::new();
            server.run("SET k v");
            server.effects();
            assert_eq!(server.run(line), answer, "{line}");
            assert_eq!(server.effects(), effects, "{line}");
        }
    }

    #[test]
    fn bad_options_change_nothing() {
        let rows = [
            ("SET k w NX XX", "ERR syntax error"),
            ("SET k w XX NX", "ERR syntax error"),
            ("SET k w EX", "ERR syntax error"),
            ("SET k w EX 1 PX 1", "ERR syntax error"),
            ("SET k w EX 1 KEEPTTL", "ERR syntax error"),
            ("SET k w KEEPTTL EX 1", "ERR syntax error"),
            ("SET k w PERSIST", "ERR syntax error"),
            ("SET k w EX x", "ERR value is not an integer or out of range"),
            ("SET k w EX 0", "ERR invalid expire time in 'set' command"),
            ("SET k w PX -1", "ERR invalid expire time in 'set' command"),
            ("SET k w EX 9223372036854775807", "ERR invalid expire time in 'set' command"),
            ("SET k w PX 9223372036854775807", "ERR invalid expire time in 'set' command"),
            ("SETEX k 0 w", "ERR invalid expire time in 'setex' command"),
            ("PSETEX k -5 w", "ERR invalid expire time in 'psetex' command"),
            ("SETEX k 1.5 w", "ERR value is not an integer or out of range"),
            ("GETEX k EX", "ERR syntax error"),
            ("GETEX k NX", "ERR syntax error"),
            ("GETEX k KEEPTTL", "ERR syntax error"),
            ("GETEX k PERSIST EX 1", "ERR syntax error"),
            ("GETEX k EX 1 PERSIST", "ERR syntax error"),
            ("GETEX k EX 0", "ERR invalid expire time in 'getex' command"),
            ("GETEX k EX x", "ERR value is not an integer or out of range"),
        ];
        let mut server = TestServer::new();
        server.run("SET k v");
        server.effects();
        for (line, error) in rows {
            assert_eq!(server.run(line), format!("(error) {error}"), "{line}");
        }
        assert_eq!(server.run("GET k"), "\"v\"");
        assert_eq!(server.effects(), "");
    }

    #[test]
    fn short_forms_are_propagated_as_set() {
        let mut server = TestServer::new();
        server.run("SET other 1");
        server.effects();
        assert_eq!(server.run("SETEX k 10 v"), "OK");
        assert_eq!(server.run("PSETEX k 10 v"), "OK");
        assert_eq!(server.run("SETNX k w"), "(integer) 0");
        assert_eq!(server.run("SETNX n w"), "(integer) 1");
        let expected = format!("SET k v PXAT {} | SET k v PXAT {} | SETNX n w", NOW_MS + 10_000, NOW_MS + 10);
        assert_eq!(server.effects(), expected);
    }

    #[test]
    fn getex_is_propagated_as_what_it_did() {
        let rows: [(&str, String); 9] = [
            ("GETEX k", String::new()),
            ("GETEX k PERSIST", "PERSIST k".into()),
            ("GETEX plain PERSIST", String::new()),
            ("GETEX k EX 5", format!("PEXPIREAT k {}", NOW_MS + 5000)),
            ("GETEX k PX 5", format!("PEXPIREAT k {}", NOW_MS + 5)),
            ("GETEX k EXAT 1800000000", "PEXPIREAT k 1800000000000".into()),
            ("GETEX k PXAT 1800000000000", "PEXPIREAT k 1800000000000".into()),
            ("GETEX k EXAT 1", "DEL k".into()),
            ("GETEX missing EX 0", String::new()),
        ];
        for (line, effects) in rows {
            let mut server = TestServer::new();
            server.run("SET k v EX 100");
            server.run("SET plain v");
            server.effects();
            let answer = if line.contains("missing") { "(nil)" } else { "\"v\"" };
            assert_eq!(server.run(line), answer, "{line}");
            assert_eq!(server.effects(), effects, "{line}");
        }
    }

    #[test]
    fn getex_unlinks_what_it_expires_if_freeing_is_lazy() {
        let mut server = TestServer::with(|config| config.lazyfree_lazy_expire = true);
        server.run("SET k v");
        server.effects();
        server.run("GETEX k PXAT 1");
        assert_eq!(server.effects(), "UNLINK k");
    }

    #[test]
    fn what_was_replaced_after_its_time_is_propagated_as_gone() {
        for (line, effects) in [
            ("SET k w", "MULTI | DEL k | SET k w | EXEC"),
            ("SET k w KEEPTTL", "MULTI | DEL k | SET k w KEEPTTL | EXEC"),
            ("SET k w XX", "DEL k"),
            ("SETNX k w", "MULTI | DEL k | SETNX k w | EXEC"),
            ("GETSET k w", "MULTI | DEL k | SET k w | EXEC"),
            ("MSET k w", "MULTI | DEL k | MSET k w | EXEC"),
        ] {
            let mut server = TestServer::with(|config| config.enable_debug_command = Protected::Yes);
            server.run("DEBUG SET-ACTIVE-EXPIRE 0");
            server.run("SET k v PX 10");
            server.advance(11);
            server.effects();
            server.run(line);
            assert_eq!(server.effects(), effects, "{line}");
            assert_eq!(server.server.rooms.stats.counters.expired_keys, 1, "{line}");
            let ttl = if line.ends_with("XX") { "(integer) -2" } else { "(integer) -1" };
            assert_eq!(server.run("PTTL k"), ttl, "{line}");
        }
    }

    #[test]
    fn keepttl_keeps_and_a_plain_set_clears() {
        let mut server = TestServer::new();
        server.run("SET a 1 PX 100");
        server.run("SET b 1 PX 100");
        server.run("SET a 2 KEEPTTL");
        server.run("SET b 2");
        server.advance(101);
        assert_eq!(server.run("MGET a b"), "1) (nil)\n2) \"2\"");
    }
}
