//! ZADD with all its conditions, and ZINCRBY, which is ZADD with one of them.

use crate::config::NotifyClasses;
use crate::keyspace::SortedSet;
use crate::keyspace::sorted_set::Edit;
use crate::server::{Args, CommandError, CommandResult, Ctx};

/// Redis says it with these words wherever a score would stop being a number.
const NOT_A_NUMBER: CommandError = CommandError::fixed("ERR resulting score is not a number (NaN)");

/// The options in front of the scores.
#[derive(Clone, Copy, Debug, Default)]
struct Conditions {
    /// Only new members.
    new: bool,
    /// Only existing members.
    existing: bool,
    /// Existing members only get higher scores.
    greater: bool,
    /// Existing members only get lower scores.
    less: bool,
    /// Answer how many were changed, not only how many were added.
    count_changed: bool,
    /// The score is an increment, and the answer is the new score.
    increment: bool,
}

impl Conditions {
    fn parse(&mut self, args: &mut Args<'_>) {
        loop {
            let flag = match args.peek() {
                Some(word) if word.eq_ignore_ascii_case(b"NX") => &mut self.new,
                Some(word) if word.eq_ignore_ascii_case(b"XX") => &mut self.existing,
                Some(word) if word.eq_ignore_ascii_case(b"GT") => &mut self.greater,
                Some(word) if word.eq_ignore_ascii_case(b"LT") => &mut self.less,
                Some(word) if word.eq_ignore_ascii_case(b"CH") => &mut self.count_changed,
                Some(word) if word.eq_ignore_ascii_case(b"INCR") => &mut self.increment,
                _ => return,
            };
            *flag = true;
            args.key();
        }
    }

    /// Refuses what contradicts itself. `words` is how many are left.
    fn check(&self, words: usize) -> CommandResult {
        let line = if words == 0 || !words.is_multiple_of(2) {
            return Err(CommandError::Syntax);
        } else if self.new && self.existing {
            "ERR XX and NX options at the same time are not compatible"
        } else if self.new && (self.greater || self.less) || self.greater && self.less {
            "ERR GT, LT, and/or NX options at the same time are not compatible"
        } else if self.increment && words > 2 {
            "ERR INCR option supports a single increment-element pair"
        } else {
            return Ok(());
        };
        Err(CommandError::fixed(line))
    }

    /// The score a member gets that has `old` now; `None` leaves it as it is.
    fn apply(&self, old: Option<f64>, given: f64) -> Outcome {
        let Some(old) = old else {
            return if self.existing { Outcome::Refused } else { Outcome::Score(given) };
        };
        let score = if self.increment { old + given } else { given };
        if self.new {
            Outcome::Refused
        } else if score.is_nan() {
            Outcome::NotANumber
        } else if self.less && score >= old || self.greater && score <= old {
            Outcome::Refused
        } else {
            Outcome::Score(score)
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Outcome {
    Score(f64),
    Refused,
    NotANumber,
}

pub(super) fn zadd(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    add(ctx, args, Conditions::default())
}

pub(super) fn zincrby(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    // Redis: ZINCRBY takes the options of ZADD too, though its arity leaves room for none.
    add(ctx, args, Conditions { increment: true, ..Conditions::default() })
}

fn add(ctx: &mut Ctx<'_>, mut args: Args<'_>, mut conditions: Conditions) -> CommandResult {
    let key = args.key();
    conditions.parse(&mut args);
    conditions.check(args.remaining())?;
    let mut first = Some(check_scores(args)?);
    if conditions.existing && ctx.db.write::<SortedSet>(key)?.is_none() {
        match conditions.increment {
            true => ctx.reply.null(),
            false => ctx.reply.integer(0),
        }
        return Ok(());
    }
    let limits = ctx.db.limits();
    let set = ctx.db.write_or_create(key, |_| SortedSet::new())?;
    let (mut added, mut updated) = (0, 0);
    let mut outcome = Outcome::Refused;
    while !args.is_done() {
        let given = match first.take() {
            Some(score) => {
                args.key();
                score
            }
            None => args.double()?,
        };
        let member = args.key();
        let edit = set.edit(member, &limits, |old| {
            outcome = conditions.apply(old, given);
            if let Outcome::Score(score) = outcome { Some(score) } else { None }
        });
        match edit {
            Edit::Added => added += 1,
            Edit::Updated => updated += 1,
            Edit::Nothing => {}
        }
    }
    match outcome {
        // There is one pair only where this can happen, so nothing was changed.
        Outcome::NotANumber => return Err(NOT_A_NUMBER),
        Outcome::Score(score) if conditions.increment => ctx.reply.double(score),
        Outcome::Refused if conditions.increment => ctx.reply.null(),
        _ if conditions.count_changed => ctx.reply.integer(added + updated),
        _ => ctx.reply.integer(added),
    }
    let event = if conditions.increment { "zincr" } else { "zadd" };
    ctx.changed_by((added + updated).unsigned_abs(), NotifyClasses::ZSET, event, key);
    Ok(())
}

/// Redis reads all scores before it adds the first. Returns that one.
fn check_scores(mut args: Args<'_>) -> Result<f64, CommandError> {
    let first = args.double()?;
    args.key();
    while !args.is_done() {
        args.double()?;
        args.key();
    }
    Ok(first)
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::TestServer;

    #[test]
    fn zadd_goes_by_its_conditions() {
        let mut server = TestServer::new();
        for (line, answer) in [
            ("ZADD z XX 1 a", "(integer) 0"),
            ("ZADD z XX INCR 1 a", "(nil)"),
            ("EXISTS z", "(integer) 0"),
            ("ZADD z 1 a 2 b", "(integer) 2"),
            ("ZADD z 5 a 3 c", "(integer) 1"),
            ("ZADD z CH 6 a 3 c 4 d", "(integer) 2"),
            ("ZADD z NX CH 9 a 1 e", "(integer) 1"),
            ("ZSCORE z a", "\"6\""),
            ("ZADD z GT CH 5 a 7 b 0 new", "(integer) 2"),
            ("ZADD z LT CH 9 a 1 b", "(integer) 1"),
            ("ZADD z XX CH 1 none 2 b", "(integer) 1"),
            ("ZADD z INCR 1.5 b", "\"3.5\""),
            ("ZADD z NX INCR 1 b", "(nil)"),
            ("ZADD z GT INCR -1 b", "(nil)"),
            ("ZADD z LT INCR -0.5 b", "\"3\""),
            ("ZINCRBY z 0 b", "\"3\""),
            ("ZINCRBY z -inf b", "\"-inf\""),
            ("ZINCRBY z inf b", "(error) ERR resulting score is not a number (NaN)"),
            ("ZMSCORE z b none c", "1) \"-inf\"\n2) (nil)\n3) \"3\""),
        ] {
            assert_eq!(server.run(line), answer, "{line}");
        }
    }

    #[test]
    fn zadd_refuses_before_it_changes_anything() {
        let mut server = TestServer::new();
        server.run("SETNX s v");
        for (line, answer) in [
            ("ZADD z NX XX 1 a", "ERR XX and NX options at the same time are not compatible"),
            ("ZADD z GT LT 1 a", "ERR GT, LT, and/or NX options at the same time are not compatible"),
            ("ZADD z NX LT 1 a", "ERR GT, LT, and/or NX options at the same time are not compatible"),
            ("ZADD z INCR 1 a 2 b", "ERR INCR option supports a single increment-element pair"),
            ("ZADD z 1 a 2", "ERR syntax error"),
            ("ZADD z NX XX CH", "ERR syntax error"),
            ("ZADD z 1 a nan b", "ERR value is not a valid float"),
            ("ZADD z 1 a x b", "ERR value is not a valid float"),
            ("ZADD s x a", "ERR value is not a valid float"),
            ("ZADD s 1 a", "WRONGTYPE Operation against a key holding the wrong kind of value"),
            ("ZADD s XX 1 a", "WRONGTYPE Operation against a key holding the wrong kind of value"),
            ("ZINCRBY z nx a", "ERR syntax error"),
            ("ZINCRBY z x a", "ERR value is not a valid float"),
            ("ZADD z 1", "ERR wrong number of arguments for 'zadd' command"),
        ] {
            assert_eq!(server.run(line), format!("(error) {answer}"), "{line}");
        }
        assert_eq!(server.run("EXISTS z"), "(integer) 0");
    }

    #[test]
    fn zadd_counts_and_propagates_what_it_changed() {
        let mut server = TestServer::new();
        server.run("ZADD z 1 a 2 b");
        server.run("ZADD z 1 a 2 b");
        server.run("ZADD z CH 2 a 2 b 3 c");
        server.run("ZADD z INCR 2 a");
        server.run("ZINCRBY z 0 a");
        assert_eq!(server.effects(), "SELECT 0 | ZADD z 1 a 2 b | ZADD z CH 2 a 2 b 3 c | ZADD z INCR 2 a");
        assert_eq!(server.dirty(), 5);
    }

    #[test]
    fn scores_are_doubles_in_resp3() {
        let mut server = TestServer::new();
        server.run("HELLO 3");
        assert_eq!(server.raw("ZADD z INCR 1.5 a"), ",1.5\r\n");
        assert_eq!(server.raw("ZADD z NX INCR 1.5 a"), "_\r\n");
        assert_eq!(server.raw("ZINCRBY z inf a"), ",inf\r\n");
        assert_eq!(server.raw("ZSCORE z a"), ",inf\r\n");
    }

    #[test]
    fn the_encoding_follows_the_limits() {
        fn encoding(server: &mut TestServer, key: &str) -> &'static str {
            server.server.keyspace.peek(key.as_bytes()).expect("the key is there").encoding()
        }
        let mut server = TestServer::new();
        server.run(&format!("ZADD z 1 {}", "m".repeat(64)));
        assert_eq!(encoding(&mut server, "z"), "listpack");
        server.run(&format!("ZADD z 1 {}", "m".repeat(65)));
        assert_eq!(encoding(&mut server, "z"), "skiplist");
        for score in 0..128 {
            server.run(&format!("ZADD many {score} m{score}"));
        }
        server.run("ZADD many XX 7 new");
        assert_eq!(encoding(&mut server, "many"), "listpack");
        server.run("ZADD many 7 new");
        assert_eq!(encoding(&mut server, "many"), "skiplist");
        assert_eq!(server.run("ZCARD many"), "(integer) 129");
    }
}
