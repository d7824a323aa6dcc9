//! A value as a string of bytes and back: DUMP and RESTORE.

use super::expire::is_over;
use crate::base::time::UnixMillis;
use crate::config::NotifyClasses;
use crate::rdb::{self, RestoreError};
use crate::server::{Args, CommandError, CommandResult, Ctx};

const BUSY_KEY: CommandError = CommandError::fixed("BUSYKEY Target key name already exists.");
const BAD_TTL: CommandError = CommandError::fixed("ERR Invalid TTL value, must be >= 0");
const BAD_IDLE_TIME: CommandError = CommandError::fixed("ERR Invalid IDLETIME value, must be >= 0");
const BAD_FREQUENCY: CommandError = CommandError::fixed("ERR Invalid FREQ value, must be >= 0 and <= 255");

impl From<RestoreError> for CommandError {
    fn from(error: RestoreError) -> Self {
        CommandError::line(format!("ERR {error}"))
    }
}

pub(super) fn dump(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let compress = ctx.rooms.config.rdbcompression;
    let payload = ctx.db.view_for_read(args.key()).map(|view| rdb::dump(view.value, compress));
    ctx.reply.bulk_or_null(payload.as_deref());
    Ok(())
}

/// The options that may follow the payload.
#[derive(Default)]
struct Options {
    replace: bool,
    absolute: bool,
    idle_secs: Option<u64>,
    frequency: Option<u8>,
}

pub(super) fn restore(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    let mut words = args;
    let (key, ttl_word, payload) = (words.key(), words, words.rest().nth(1).unwrap_or_default());
    let options = options(words)?;
    if !options.replace && ctx.db.view_for_update(key).is_some() {
        return Err(BUSY_KEY);
    }
    let ttl = { ttl_word }.int()?;
    if ttl < 0 {
        return Err(BAD_TTL);
    }
    let value = rdb::restore(payload, ctx.rooms.persistence.checksum, &ctx.db.limits())?;
    let relative = ttl != 0 && !options.absolute;
    // Redis: a time to live that overflows lies in the past.
    let deadline = UnixMillis(if relative { ttl.wrapping_add(ctx.now.0) } else { ttl });
    let removed = options.replace && ctx.db.remove(key);
    ctx.reply.ok();
    if ttl != 0 && is_over(ctx, deadline) {
        if removed {
            let verb: &[u8] = if ctx.rooms.config.lazyfree_lazy_server_del { b"UNLINK" } else { b"DEL" };
            ctx.propagate_instead([verb, key]);
            ctx.changed(NotifyClasses::GENERIC, "del", key);
        }
        return Ok(());
    }
    ctx.db.insert(key, value, (ttl != 0).then_some(deadline));
    if let Some(access) = ctx.db.access_clock().restored(options.idle_secs, options.frequency) {
        ctx.db.set_access_of(key, access);
    }
    if relative {
        propagate_absolute(ctx, args, deadline);
    }
    ctx.changed(NotifyClasses::GENERIC, "restore", key);
    Ok(())
}

/// Reads what follows the payload; `words` stands before the time to live.
fn options(mut words: Args<'_>) -> Result<Options, CommandError> {
    let mut options = Options::default();
    words.take(2)?;
    while !words.is_done() {
        if words.keyword("REPLACE") {
            options.replace = true;
        } else if words.keyword("ABSTTL") {
            options.absolute = true;
        } else if options.frequency.is_none() && words.keyword_with_value("IDLETIME") {
            options.idle_secs = Some(u64::try_from(words.int()?).map_err(|_| BAD_IDLE_TIME)?);
        } else if options.idle_secs.is_none() && words.keyword_with_value("FREQ") {
            options.frequency = Some(u8::try_from(words.int()?).map_err(|_| BAD_FREQUENCY)?);
        } else {
            return Err(CommandError::Syntax);
        }
    }
    Ok(options)
}

/// Whoever repeats the command later must get the same deadline.
fn propagate_absolute(ctx: &mut Ctx<'_>, args: Args<'_>, deadline: UnixMillis) {
    const TTL: usize = 2;
    let deadline = deadline.0.to_string();
    let words = args.argv().iter().enumerate().map(|(place, word)| match place {
        TTL => deadline.as_bytes(),
        _ => word,
    });
    ctx.propagate_instead(words.chain([&b"ABSTTL"[..]]));
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::TestServer;
    use crate::resp::value::Value;

    fn dumped(server: &mut TestServer, key: &str) -> Vec<u8> {
        let raw = server.raw_bytes(&format!("DUMP {key}"));
        match Value::parse(&raw).expect("the server writes RESP") {
            Some((Value::Bulk(bytes), _)) => bytes.to_vec(),
            other => panic!("DUMP answered {other:?}"),
        }
    }

    fn restore(server: &mut TestServer, key: &str, ttl: &str, payload: &[u8], rest: &[&str]) -> String {
        let mut words = vec![&b"RESTORE"[..], key.as_bytes(), ttl.as_bytes(), payload];
        words.extend(rest.iter().map(|word| word.as_bytes()));
        server.run_args(&words)
    }

    #[test]
    fn a_sorted_set_that_is_not_packed_keeps_a_score_of_minus_zero() {
        let mut server = TestServer::new();
        for limit in ["zset-max-listpack-entries 1", "zset-max-listpack-value 3"] {
            server.check(&[(&format!("CONFIG SET {limit}"), "OK"), ("DEL z", "(integer) 0")]);
            server.run("ZADD z 1 longer 2 other -0 m");
            let payload = dumped(&mut server, "z");
            assert_eq!(restore(&mut server, "z", "0", &payload, &["REPLACE"]), "OK", "{limit}");
            assert_eq!(server.run("ZSCORE z m"), "\"-0\"", "{limit}");
            server.run("CONFIG SET zset-max-listpack-entries 128 zset-max-listpack-value 64");
            assert_eq!(restore(&mut server, "z", "0", &payload, &["REPLACE"]), "OK");
            assert_eq!(server.run("ZSCORE z m"), "\"0\"", "it is packed");
            server.run("DEL z");
        }
    }

    #[test]
    fn what_is_dumped_is_restored_with_its_form() {
        let mut server = TestServer::new();
        let long = "x".repeat(300);
        for line in [
            "SET k 12345",
            &format!("SET k {long}"),
            "RPUSH k a 1 b",
            "SADD k 1 2 3",
            "SADD k a b c",
            "HSET k f v g 2",
            &format!("HSET k f {long}"),
            "ZADD k 1.5 a -inf b 3 c",
            &format!("ZADD k 1 {long}"),
        ] {
            server.run("DEL k copy");
            server.run(line);
            let payload = dumped(&mut server, "k");
            assert_eq!(restore(&mut server, "copy", "0", &payload, &[]), "OK", "{line}");
            assert_eq!(dumped(&mut server, "copy"), payload, "{line}");
            assert_eq!(server.run("OBJECT ENCODING copy"), server.run("OBJECT ENCODING k"), "{line}");
        }
        assert_eq!(server.run("DUMP nokey"), "(nil)");
    }

    #[test]
    fn errors_are_told_in_redis_order() {
        let mut server = TestServer::new();
        server.run("SET k v");
        let payload = dumped(&mut server, "k");
        let mut damaged = payload.clone();
        damaged[1] ^= 1;
        let syntax = "(error) ERR syntax error";
        let not_integer = "(error) ERR value is not an integer or out of range";
        let idle = "(error) ERR Invalid IDLETIME value, must be >= 0";
        let freq = "(error) ERR Invalid FREQ value, must be >= 0 and <= 255";
        let busy = "(error) BUSYKEY Target key name already exists.";
        let footer = "(error) ERR DUMP payload version or checksum are wrong";
        type Row<'r> = (&'r str, &'r str, &'r [u8], &'r [&'r str], &'r str);
        let rows: &[Row<'_>] = &[
            ("k", "x", b"x", &["FOO"], syntax),
            ("k", "x", b"x", &["IDLETIME"], syntax),
            ("k", "x", b"x", &["IDLETIME", "1", "FREQ", "1"], syntax),
            ("k", "x", b"x", &["FREQ", "1", "IDLETIME", "1"], syntax),
            ("k", "x", b"x", &["IDLETIME", "x"], not_integer),
            ("k", "x", b"x", &["IDLETIME", "-1"], idle),
            ("k", "x", b"x", &["FREQ", "-1"], freq),
            ("k", "x", b"x", &["FREQ", "256"], freq),
            ("k", "x", b"x", &["ABSTTL"], busy),
            ("k", "x", b"x", &["REPLACE"], not_integer),
            ("new", "-1", b"x", &[], "(error) ERR Invalid TTL value, must be >= 0"),
            ("new", "0", b"x", &[], footer),
            ("new", "0", &damaged, &[], footer),
            ("new", "0", b"\x00\x01x\x0b\x00\x00\x00\x00\x00\x00\x00\x00", &[], footer),
        ];
        for (key, ttl, payload, rest, answer) in rows {
            assert_eq!(restore(&mut server, key, ttl, payload, rest), *answer, "{key} {ttl} {rest:?}");
        }
        assert_eq!(server.run("EXISTS new"), "(integer) 0");
    }

    #[test]
    fn deadlines_are_propagated_as_moments() {
        let mut server = TestServer::new();
        server.run("SET k v");
        let payload = dumped(&mut server, "k");
        server.effects();
        assert_eq!(restore(&mut server, "a", "0", &payload, &[]), "OK");
        assert!(server.effects().starts_with("RESTORE a 0 "));
        assert_eq!(restore(&mut server, "b", "5000", &payload, &["REPLACE"]), "OK");
        let effect = server.effects();
        assert!(effect.starts_with("RESTORE b 1700000005000 "), "{effect}");
        assert!(effect.ends_with(" REPLACE ABSTTL"), "{effect}");
        assert_eq!(restore(&mut server, "c", "1700000005000", &payload, &["ABSTTL"]), "OK");
        assert!(server.effects().starts_with("RESTORE c 1700000005000 "));
        assert_eq!(server.run("PTTL b"), "(integer) 5000");
        assert_eq!(server.run("PTTL c"), "(integer) 5000");
        assert_eq!(server.run("PTTL a"), "(integer) -1");
    }

    #[test]
    fn a_deadline_in_the_past_only_removes_what_is_replaced() {
        let mut server = TestServer::new();
        server.run("SET k v");
        let payload = dumped(&mut server, "k");
        server.effects();
        assert_eq!(restore(&mut server, "new", "1", &payload, &["ABSTTL"]), "OK");
        assert_eq!(restore(&mut server, "new", "9223372036854775807", &payload, &[]), "OK");
        assert_eq!(server.effects(), "");
        assert_eq!(server.run("EXISTS new"), "(integer) 0");
        assert_eq!(restore(&mut server, "k", "1", &payload, &["ABSTTL", "REPLACE"]), "OK");
        assert_eq!(server.effects(), "DEL k");
        assert_eq!(server.run("EXISTS k"), "(integer) 0");
    }

    #[test]
    fn access_history_is_restored() {
        let mut server = TestServer::new();
        server.run("SET k v");
        let payload = dumped(&mut server, "k");
        assert_eq!(restore(&mut server, "a", "0", &payload, &["IDLETIME", "1000"]), "OK");
        assert_eq!(server.run("OBJECT IDLETIME a"), "(integer) 1000");
        server.run("CONFIG SET maxmemory-policy allkeys-lfu");
        assert_eq!(restore(&mut server, "b", "0", &payload, &["FREQ", "100"]), "OK");
        assert_eq!(server.run("OBJECT FREQ b"), "(integer) 100");
    }
}
