//! Times to live: setting, asking, removing.
//!
//! Whatever a client says (seconds or milliseconds, from now or since the epoch), the key gets a
//! point in time, and that is what is propagated: PEXPIREAT, or DEL when the time is over already.

use crate::base::number::{I64Text, parse_i64};
use crate::base::text::lossless;
use crate::base::time::UnixMillis;
use crate::config::NotifyClasses;
use crate::server::{Args, CommandError, CommandResult, Ctx, Origin};

/// The unit that a client counts in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Seconds,
    Milliseconds,
}

/// The moment that a client counts from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Start {
    Now,
    Epoch,
}

pub(super) fn expire(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    set_deadline(ctx, args, Unit::Seconds, Start::Now)
}

pub(super) fn pexpire(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    set_deadline(ctx, args, Unit::Milliseconds, Start::Now)
}

pub(super) fn expireat(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    set_deadline(ctx, args, Unit::Seconds, Start::Epoch)
}

pub(super) fn pexpireat(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    set_deadline(ctx, args, Unit::Milliseconds, Start::Epoch)
}

pub(super) fn ttl(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    tell_deadline(ctx, args, Unit::Seconds, Start::Now)
}

pub(super) fn pttl(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    tell_deadline(ctx, args, Unit::Milliseconds, Start::Now)
}

pub(super) fn expiretime(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    tell_deadline(ctx, args, Unit::Seconds, Start::Epoch)
}

pub(super) fn pexpiretime(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    tell_deadline(ctx, args, Unit::Milliseconds, Start::Epoch)
}

pub(super) fn persist(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let key = args.key();
    let persisted = ctx.db.view_for_update(key).is_some_and(|view| view.deadline.is_some());
    if persisted {
        ctx.db.set_deadline(key, None);
        ctx.changed(NotifyClasses::GENERIC, "persist", key);
    }
    ctx.reply.integer(i64::from(persisted));
    Ok(())
}

/// NX, XX, GT, LT: when a deadline may be set.
#[derive(Clone, Copy, Default)]
struct Condition {
    none_yet: bool,
    has_one: bool,
    later: bool,
    earlier: bool,
}

impl Condition {
    fn parse(args: &mut Args<'_>) -> Result<Self, CommandError> {
        let mut wanted = Condition::default();
        while let Some(word) = args.peek() {
            if args.keyword("NX") {
                wanted.none_yet = true;
            } else if args.keyword("XX") {
                wanted.has_one = true;
            } else if args.keyword("GT") {
                wanted.later = true;
            } else if args.keyword("LT") {
                wanted.earlier = true;
            } else {
                let word = lossless(word);
                return Err(CommandError::line(format!("ERR Unsupported option {word}")));
            }
        }
        if wanted.none_yet && (wanted.has_one || wanted.later || wanted.earlier) {
            return Err(CommandError::fixed(
                "ERR NX and XX, GT or LT options at the same time are not compatible",
            ));
        }
        if wanted.later && wanted.earlier {
            return Err(CommandError::fixed("ERR GT and LT options at the same time are not compatible"));
        }
        Ok(wanted)
    }

    /// True when `new` may take the place of `old`. A key without a deadline counts as one that
    /// lives for ever.
    fn allows(self, old: Option<UnixMillis>, new: UnixMillis) -> bool {
        match old {
            None => !self.has_one && !self.later,
            Some(old) => !self.none_yet && (!self.later || new > old) && (!self.earlier || new < old),
        }
    }
}

fn set_deadline(ctx: &mut Ctx<'_>, mut args: Args<'_>, unit: Unit, start: Start) -> CommandResult {
    let (key, number) = (args.key(), args.key());
    let condition = Condition::parse(&mut args)?;
    let number = parse_i64(number).ok_or(CommandError::NotInteger)?;
    let deadline =
        deadline_of(ctx, number, unit, start).ok_or(CommandError::InvalidExpire(ctx.command.spec.name))?;
    let old = ctx.db.view_for_update(key).map(|view| view.deadline);
    let set = old.is_some_and(|old| condition.allows(old, deadline));
    if set && is_over(ctx, deadline) {
        ctx.db.remove(key);
        let verb: &[u8] = if ctx.rooms.config.lazyfree_lazy_expire { b"UNLINK" } else { b"DEL" };
        ctx.propagate_instead([verb, key]);
        ctx.changed(NotifyClasses::GENERIC, "del", key);
    } else if set {
        ctx.db.set_deadline(key, Some(deadline));
        if unit == Unit::Seconds || start == Start::Now {
            let text = I64Text::new(deadline.0);
            let options = args.argv().skip(3).iter();
            ctx.propagate_instead([b"PEXPIREAT", key, text.as_bytes()].into_iter().chain(options));
        }
        ctx.changed(NotifyClasses::GENERIC, "expire", key);
    }
    ctx.reply.integer(i64::from(set));
    Ok(())
}

/// The point in time that is meant; `None` beyond 64 bits.
fn deadline_of(ctx: &Ctx<'_>, number: i64, unit: Unit, start: Start) -> Option<UnixMillis> {
    let ms = match unit {
        Unit::Seconds => number.checked_mul(1000)?,
        Unit::Milliseconds => number,
    };
    match start {
        Start::Now => ms.checked_add(ctx.now.0).map(UnixMillis),
        Start::Epoch => Some(UnixMillis(ms)),
    }
}

/// True when a key that gets this deadline goes at once. While loading, and on a replica, it stays
/// until it is told to go.
pub(super) fn is_over(ctx: &Ctx<'_>, deadline: UnixMillis) -> bool {
    let obeys = ctx.rooms.persistence.loading || matches!(ctx.origin, Origin::AofLoad | Origin::Primary);
    deadline <= ctx.now && !obeys
}

fn tell_deadline(ctx: &mut Ctx<'_>, mut args: Args<'_>, unit: Unit, start: Start) -> CommandResult {
    let key = args.key();
    let deadline = if ctx.db.exists(key) { ctx.db.deadline(key) } else { None };
    let answer = match deadline {
        None => -2,
        Some(None) => -1,
        Some(Some(deadline)) => {
            let from = if start == Start::Now { ctx.now.0 } else { 0 };
            let ms = deadline.0.saturating_sub(from).max(0);
            // Redis rounds half a second up, and does not overflow at the end of the range.
            if unit == Unit::Seconds { ms / 1000 + i64::from(ms % 1000 >= 500) } else { ms }
        }
    };
    ctx.reply.integer(answer);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::TestServer;
    use crate::config::Config;

    /// The tests' clock begins here.
    const NOW_MS: i64 = 1_700_000_000_000;

    #[test]
    fn every_unit_and_start_means_the_same_moment() {
        let mut server = TestServer::new();
        server.run("SETNX k v");
        for line in [
            "EXPIRE k 100".to_string(),
            "PEXPIRE k 100000".to_string(),
            format!("EXPIREAT k {}", NOW_MS / 1000 + 100),
            format!("PEXPIREAT k {}", NOW_MS + 100_000),
        ] {
            server.check(&[
                (line.as_str(), "(integer) 1"),
                ("TTL k", "(integer) 100"),
                ("PTTL k", "(integer) 100000"),
                ("EXPIRETIME k", "(integer) 1700000100"),
                ("PEXPIRETIME k", "(integer) 1700000100000"),
                ("PERSIST k", "(integer) 1"),
                ("PERSIST k", "(integer) 0"),
            ]);
            let effects = server.effects();
            assert!(effects.ends_with("PEXPIREAT k 1700000100000 | PERSIST k"), "{effects}");
        }
    }

    #[test]
    fn missing_and_lasting_keys_have_numbers_of_their_own() {
        let mut server = TestServer::new();
        server.run("SETNX k v");
        for command in ["TTL", "PTTL", "EXPIRETIME", "PEXPIRETIME"] {
            assert_eq!(server.run(&format!("{command} k")), "(integer) -1");
            assert_eq!(server.run(&format!("{command} nothing")), "(integer) -2");
        }
        server.check(&[("EXPIRE nothing 5", "(integer) 0"), ("PERSIST nothing", "(integer) 0")]);
    }

    #[test]
    fn seconds_are_rounded() {
        let mut server = TestServer::new();
        server.run("SETNX k v");
        for (ms, seconds) in [(1, 0), (499, 0), (500, 1), (1499, 1), (1500, 2)] {
            server.run(&format!("PEXPIRE k {ms}"));
            assert_eq!(server.run("TTL k"), format!("(integer) {seconds}"), "{ms}");
        }
        server.run("PEXPIREAT k 9223372036854775807");
        server.check(&[
            ("EXPIRETIME k", "(integer) 9223372036854776"),
            ("PEXPIRETIME k", "(integer) 9223372036854775807"),
            ("GET k", "\"v\""),
        ]);
    }

    #[test]
    fn a_time_that_is_over_deletes_the_key() {
        for (lazy, verb) in [(false, "DEL"), (true, "UNLINK")] {
            let mut server = TestServer::with(|config: &mut Config| config.lazyfree_lazy_expire = lazy);
            for line in ["EXPIRE k 0", "PEXPIRE k -5", "EXPIREAT k 1", "PEXPIREAT k -9223372036854775808"] {
                server.run("SETNX k v");
                server.effects();
                server.check(&[(line, "(integer) 1"), ("EXISTS k", "(integer) 0")]);
                assert_eq!(server.effects(), format!("{verb} k"), "{line}");
            }
        }
    }

    #[test]
    fn conditions_look_at_the_deadline_that_is_there() {
        let rows = [
            // (before, condition, whether 100 seconds are set)
            ("-", "NX", true),
            ("-", "XX", false),
            ("-", "GT", false),
            ("-", "LT", true),
            ("-", "XX LT", false),
            ("50", "NX", false),
            ("50", "XX", true),
            ("50", "GT", true),
            ("50", "LT", false),
            ("50", "XX GT", true),
            ("100", "GT", false),
            ("100", "LT", false),
            ("200", "lt", true),
            ("200", "gt", false),
        ];
        for (before, condition, sets) in rows {
            let mut server = TestServer::new();
            server.run("SETNX k v");
            if before != "-" {
                server.run(&format!("EXPIRE k {before}"));
            }
            server.effects();
            let answer = server.run(&format!("EXPIRE k 100 {condition}"));
            assert_eq!(answer, format!("(integer) {}", i64::from(sets)), "{before} {condition}");
            let effect = format!("PEXPIREAT k 1700000100000 {condition}");
            assert_eq!(server.effects(), if sets { effect.as_str() } else { "" });
        }
    }

    #[test]
    fn errors_are_told_in_redis_order() {
        let mut server = TestServer::new();
        server.run("SETNX k v");
        let both = "(error) ERR NX and XX, GT or LT options at the same time are not compatible";
        server.check(&[
            ("EXPIRE k x y", "(error) ERR Unsupported option y"),
            ("EXPIRE k x NX GT", both),
            ("EXPIRE k 1 NX LT", both),
            ("EXPIRE k 1 XX NX", both),
            ("EXPIRE k 1 GT LT", "(error) ERR GT and LT options at the same time are not compatible"),
            ("EXPIRE k x NX", "(error) ERR value is not an integer or out of range"),
            ("EXPIRE k 9223372036854776", "(error) ERR invalid expire time in 'expire' command"),
            ("EXPIRE k -9223372036854776", "(error) ERR invalid expire time in 'expire' command"),
            ("EXPIRE k 9223372036854775", "(error) ERR invalid expire time in 'expire' command"),
            ("PEXPIRE k 9223372036854775807", "(error) ERR invalid expire time in 'pexpire' command"),
            ("EXPIREAT none 9223372036854776", "(error) ERR invalid expire time in 'expireat' command"),
            ("TTL k", "(integer) -1"),
        ]);
    }

    #[test]
    fn a_key_goes_when_its_time_has_come() {
        let mut server = TestServer::new();
        server.check(&[("SETNX k v", "(integer) 1"), ("PEXPIRE k 10", "(integer) 1")]);
        server.advance(10);
        assert_eq!(server.run("GET k"), "\"v\"");
        server.effects();
        server.advance(1);
        assert_eq!(server.run("GET k"), "(nil)");
        assert_eq!(server.effects(), "DEL k");
    }
}
