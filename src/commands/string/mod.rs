//! Strings: the commands that read and replace whole values. The others have files of their own.
//!
//! | file | commands |
//! |---|---|
//! | here | GET GETDEL GETSET MGET MSET MSETNX |
//! | `set` | SET and its short forms, GETEX: conditions and expire times |
//! | `number` | INCR and friends, INCRBYFLOAT |
//! | `bytes` | APPEND SETRANGE GETRANGE SUBSTR STRLEN |
//! | `lcs` | LCS |

mod bytes;
mod lcs;
mod number;
mod set;

use crate::config::NotifyClasses;
use crate::keyspace::{Ttl, ValueRef};
use crate::server::{Args, Command, CommandError, CommandResult, Ctx};
use crate::spec::*;

/// The commands of the group.
pub const COMMANDS: &[Command] = &[
    Command::new(
        Spec::new("append", Group::String, 3, "key value")
            .flags(&[WRITE, DENYOOM, FAST])
            .keys(&[KeySpec::one(1, &[RW, INSERT])])
            .since("2.0.0")
            .complexity("O(1) amortized, for small values.")
            .summary("Adds bytes to the end of a string; creates it if missing."),
        bytes::append,
    )
    .edits_string_at(1),
    Command::new(
        Spec::new("decr", Group::String, 2, "key")
            .flags(&[WRITE, DENYOOM, FAST])
            .keys(&[KeySpec::one(1, &[RW, ACCESS, UPDATE])])
            .since("1.0.0")
            .summary("Subtracts one from the integer in a string."),
        number::decr,
    ),
    Command::new(
        Spec::new("decrby", Group::String, 3, "key decrement")
            .flags(&[WRITE, DENYOOM, FAST])
            .keys(&[KeySpec::one(1, &[RW, ACCESS, UPDATE])])
            .since("1.0.0")
            .summary("Subtracts a number from the integer in a string."),
        number::decrby,
    ),
    Command::new(
        Spec::new("get", Group::String, 2, "key")
            .flags(&[READONLY, FAST])
            .keys(&[KeySpec::one(1, &[RO, ACCESS])])
            .since("1.0.0")
            .summary("Reads a string."),
        get,
    ),
    Command::new(
        Spec::new("getdel", Group::String, 2, "key")
            .flags(&[WRITE, FAST])
            .keys(&[KeySpec::one(1, &[RW, ACCESS, DELETE])])
            .since("6.2.0")
            .summary("Reads a string and deletes its key."),
        getdel,
    ),
    Command::new(
        Spec::new(
            "getex",
            Group::String,
            -2,
            "key [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT \
            unix-time-milliseconds | PERSIST]@expiration",
        )
        .flags(&[WRITE, FAST])
        .keys(&[
            KeySpec::one(1, &[RW, ACCESS, UPDATE]).notes("Changes the time to live, hence no plain read.")
        ])
        .since("6.2.0")
        .summary("Reads a string and changes its time to live."),
        set::getex,
    ),
    Command::new(
        Spec::new("getrange", Group::String, 4, "key start end:integer")
            .flags(&[READONLY])
            .keys(&[KeySpec::one(1, &[RO, ACCESS])])
            .since("2.4.0")
            .complexity("O(N), N: bytes returned.")
            .summary("Reads a part of a string."),
        bytes::getrange,
    ),
    Command::new(
        Spec::new("getset", Group::String, 3, "key value")
            .flags(&[WRITE, DENYOOM, FAST])
            .keys(&[KeySpec::one(1, &[RW, ACCESS, UPDATE])])
            .since("1.0.0")
            .summary("Replaces a string and returns the old one.")
            .deprecated("6.2.0", "`SET` with `GET`"),
        getset,
    ),
    Command::new(
        Spec::new("incr", Group::String, 2, "key")
            .flags(&[WRITE, DENYOOM, FAST])
            .keys(&[KeySpec::one(1, &[RW, ACCESS, UPDATE])])
            .since("1.0.0")
            .summary("Adds one to the integer in a string."),
        number::incr,
    ),
    Command::new(
        Spec::new("incrby", Group::String, 3, "key increment")
            .flags(&[WRITE, DENYOOM, FAST])
            .keys(&[KeySpec::one(1, &[RW, ACCESS, UPDATE])])
            .since("1.0.0")
            .summary("Adds a number to the integer in a string."),
        number::incrby,
    ),
    Command::new(
        Spec::new("incrbyfloat", Group::String, 3, "key increment:double")
            .flags(&[WRITE, DENYOOM, FAST])
            .keys(&[KeySpec::one(1, &[RW, ACCESS, UPDATE])])
            .since("2.6.0")
            .summary("Adds to the number in a string."),
        number::incrbyfloat,
    ),
    Command::new(
        Spec::new("lcs", Group::String, -3, "key1 key2#0 [LEN] [IDX] [MINMATCHLEN len] [WITHMATCHLEN]")
            .flags(&[READONLY])
            .keys(&[KeySpec::range(1, 1, 1, &[RO, ACCESS])])
            .since("7.0.0")
            .complexity("O(N*M), N and M: lengths of the strings.")
            .summary("Finds the longest common subsequence of two strings."),
        lcs::lcs,
    ),
    Command::new(
        Spec::new("mget", Group::String, -2, "key [key ...]")
            .flags(&[READONLY, FAST])
            .keys(&[KeySpec::range(1, -1, 1, &[RO, ACCESS])])
            .since("1.0.0")
            .complexity("O(N), N: keys.")
            .summary("Reads several strings.")
            .tips(&["request_policy:multi_shard"]),
        mget,
    ),
    Command::new(
        Spec::new("mset", Group::String, -3, "key value [key value ...]")
            .flags(&[WRITE, DENYOOM])
            .keys(&[KeySpec::range(1, -1, 2, &[OW, UPDATE])])
            .since("1.0.1")
            .complexity("O(N), N: keys.")
            .summary("Sets several strings at once.")
            .tips(&["request_policy:multi_shard", "response_policy:all_succeeded"]),
        mset,
    ),
    Command::new(
        Spec::new("msetnx", Group::String, -3, "key value [key value ...]")
            .flags(&[WRITE, DENYOOM])
            .keys(&[KeySpec::range(1, -1, 2, &[OW, INSERT])])
            .since("1.0.1")
            .complexity("O(N), N: keys.")
            .summary("Sets several strings at once if none of the keys exists.")
            .tips(&["request_policy:multi_shard", "response_policy:agg_min"]),
        msetnx,
    ),
    Command::new(
        Spec::new("psetex", Group::String, 4, "key milliseconds value")
            .flags(&[WRITE, DENYOOM])
            .keys(&[KeySpec::one(1, &[OW, UPDATE])])
            .since("2.6.0")
            .summary("Sets a string and how many milliseconds it lives."),
        set::psetex,
    ),
    Command::new(
        Spec::new(
            "set",
            Group::String,
            -3,
            "key value [NX | XX]@condition^2.6.12 [GET^6.2.0] [EX seconds^2.6.12 | PX \
            milliseconds^2.6.12 | EXAT unix-time-seconds^6.2.0 | PXAT \
            unix-time-milliseconds^6.2.0 | KEEPTTL^6.0.0]@expiration",
        )
        .flags(&[WRITE, DENYOOM])
        .keys(&[KeySpec::one(1, &[RW, ACCESS, UPDATE, VARIABLE_FLAGS])
            .notes("With GET the old value is read too.")])
        .keys_by(KeysBy::Set)
        .since("1.0.0")
        .summary("Sets a string, whatever the key held before.")
        .history(&[
            ("2.6.12", "`EX`, `PX`, `NX`, `XX`."),
            ("6.0.0", "`KEEPTTL`."),
            ("6.2.0", "`GET`, `EXAT`, `PXAT`."),
            ("7.0.0", "`NX` goes with `GET`."),
        ]),
        set::set,
    ),
    Command::new(
        Spec::new("setex", Group::String, 4, "key seconds value")
            .flags(&[WRITE, DENYOOM])
            .keys(&[KeySpec::one(1, &[OW, UPDATE])])
            .since("2.0.0")
            .summary("Sets a string and how many seconds it lives."),
        set::setex,
    ),
    Command::new(
        Spec::new("setnx", Group::String, 3, "key value")
            .flags(&[WRITE, DENYOOM, FAST])
            .keys(&[KeySpec::one(1, &[OW, INSERT])])
            .since("1.0.0")
            .summary("Sets a string if the key does not exist."),
        set::setnx,
    ),
    Command::new(
        Spec::new("setrange", Group::String, 4, "key offset value")
            .flags(&[WRITE, DENYOOM])
            .keys(&[KeySpec::one(1, &[RW, UPDATE])])
            .since("2.2.0")
            .complexity("O(1) for small values, else O(M), M: bytes written.")
            .summary("Overwrites a part of a string; zeros fill any gap."),
        bytes::setrange,
    )
    .edits_string_at(1),
    Command::new(
        Spec::new("strlen", Group::String, 2, "key")
            .flags(&[READONLY, FAST])
            .keys(&[KeySpec::one(1, &[RO])])
            .since("2.2.0")
            .summary("Tells the length of a string."),
        bytes::strlen,
    ),
    Command::new(
        Spec::new("substr", Group::String, 4, "key start end:integer")
            .flags(&[READONLY])
            .keys(&[KeySpec::one(1, &[RO, ACCESS])])
            .since("1.0.0")
            .complexity("O(N), N: bytes returned.")
            .summary("Reads a part of a string.")
            .deprecated("2.0.0", "`GETRANGE`"),
        bytes::substr,
    ),
];

fn get(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let value = ctx.db.string(args.key())?;
    ctx.reply.bulk_or_null(value);
    Ok(())
}

fn getdel(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let key = args.key();
    ctx.reply.bulk_or_null(ctx.db.string(key)?);
    if ctx.db.remove(key) {
        ctx.changed(NotifyClasses::GENERIC, "del", key);
        ctx.propagate_instead([b"DEL", key]);
    }
    Ok(())
}

fn getset(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let (key, value) = (args.key(), args.key());
    ctx.reply.bulk_or_null(ctx.db.string(key)?);
    ctx.db.set_string(key, value, Ttl::Clear);
    ctx.changed(NotifyClasses::STRING, "set", key);
    ctx.propagate_instead([b"SET", key, value]);
    Ok(())
}

fn mget(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    ctx.reply.array(args.remaining());
    for key in args.rest() {
        match ctx.db.view_for_read(key).map(|view| view.value) {
            Some(ValueRef::String(bytes)) => ctx.reply.bulk(bytes),
            Some(ValueRef::Object(_)) | None => ctx.reply.null(),
        }
    }
    Ok(())
}

fn mset(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    check_pairs(ctx, args)?;
    set_pairs(ctx, args);
    ctx.reply.ok();
    Ok(())
}

fn msetnx(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    check_pairs(ctx, args)?;
    let none_exists = args.rest().step_by(2).all(|key| ctx.db.view_for_update(key).is_none());
    if none_exists {
        set_pairs(ctx, args);
    }
    ctx.reply.integer(i64::from(none_exists));
    Ok(())
}

/// Errors with the arity's line when a key has no value.
fn check_pairs(ctx: &Ctx<'_>, args: Args<'_>) -> CommandResult {
    if args.remaining().is_multiple_of(2) {
        Ok(())
    } else {
        Err(CommandError::Arity(ctx.command.spec.name.into()))
    }
}

fn set_pairs(ctx: &mut Ctx<'_>, mut args: Args<'_>) {
    while !args.is_done() {
        let (key, value) = (args.key(), args.key());
        ctx.db.set_string(key, value, Ttl::Clear);
        ctx.changed(NotifyClasses::STRING, "set", key);
    }
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::TestServer;

    #[test]
    fn getdel_is_propagated_as_del() {
        let mut server = TestServer::new();
        server.run("SET k v");
        server.effects();
        assert_eq!(server.run("GETDEL k"), "\"v\"");
        assert_eq!(server.run("GETDEL k"), "(nil)");
        assert_eq!(server.effects(), "DEL k");
        assert_eq!(server.run("GET"), "(error) ERR wrong number of arguments for 'get' command");
    }

    #[test]
    fn getset_forgets_the_deadline_and_is_propagated_as_set() {
        let mut server = TestServer::new();
        server.run("SET k v PX 100");
        server.effects();
        assert_eq!(server.run("GETSET k w"), "\"v\"");
        server.advance(201);
        assert_eq!(server.run("GET k"), "\"w\"");
        assert_eq!(server.effects(), "SET k w");
    }

    #[test]
    fn mget_answers_null_for_what_is_no_string() {
        let mut server = TestServer::new();
        assert_eq!(server.run("MSET a 1 b 2 a 3"), "OK");
        assert_eq!(server.effects(), "SELECT 0 | MSET a 1 b 2 a 3");
        assert_eq!(server.run("MGET a nokey b"), "1) \"3\"\n2) (nil)\n3) \"2\"");
        assert_eq!(server.dirty(), 3);
    }

    #[test]
    fn msetnx_sets_all_or_nothing() {
        let mut server = TestServer::new();
        assert_eq!(server.run("MSETNX a 1 a 2"), "(integer) 1");
        assert_eq!(server.run("MSETNX b 1 a 2"), "(integer) 0");
        assert_eq!(server.run("MGET a b"), "1) \"2\"\n2) (nil)");
        assert_eq!(server.effects(), "SELECT 0 | MSETNX a 1 a 2");
        for line in ["MSET a 1 b", "MSETNX a 1 b"] {
            let name = line.split(' ').next().unwrap_or_default().to_lowercase();
            let expected = format!("(error) ERR wrong number of arguments for '{name}' command");
            assert_eq!(server.run(line), expected);
        }
    }
}
