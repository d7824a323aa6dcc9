//! Removing, naming, moving, copying and listing keys.

use crate::base::glob::{Budget, Case, glob_match};
use crate::commands::argument::{db_index, int_between};
use crate::config::NotifyClasses;
use crate::keyspace::{Db, DbIndex};
use crate::server::{Args, CommandError, CommandResult, Ctx};

const SAME_OBJECT: CommandError = CommandError::fixed("ERR source and destination objects are the same");

/// Big values are freed on another thread in any case, so UNLINK does the same.
pub(super) fn del(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    let mut removed = 0;
    for key in args.rest() {
        if ctx.db.remove(key) {
            ctx.changed(NotifyClasses::GENERIC, "del", key);
            removed += 1;
        }
    }
    ctx.reply.integer(removed);
    Ok(())
}

pub(super) fn unlink(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    del(ctx, args)
}

pub(super) fn exists(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    let found = args.rest().filter(|key| ctx.db.exists(key)).count();
    ctx.reply.count(found);
    Ok(())
}

pub(super) fn touch(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    let found = args.rest().filter(|key| ctx.db.touch(key)).count();
    ctx.reply.count(found);
    Ok(())
}

pub(super) fn type_(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let key = args.key();
    let kind = if ctx.db.exists(key) { ctx.db.kind(key) } else { None };
    ctx.reply.simple(kind.map_or("none", |kind| kind.name()));
    Ok(())
}

pub(super) fn randomkey(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CommandResult {
    let key = ctx.db.random_key();
    ctx.reply.bulk_or_null(key.as_deref());
    Ok(())
}

pub(super) fn keys(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let pattern = args.key();
    // Redis: `*` alone matches the empty key too, which no other pattern but the empty one does.
    let all = pattern == b"*";
    let place = ctx.reply.deferred();
    let mut listed = 0;
    let db: &Db = ctx.db;
    let mut budget = Budget::COMMAND;
    for view in db.iter() {
        if (all || glob_match(pattern, view.key, Case::Sensitive, &mut budget)?) && !db.is_expired(&view) {
            ctx.reply.bulk(view.key);
            listed += 1;
        }
    }
    ctx.reply.close_array(place, listed);
    Ok(())
}

pub(super) fn rename(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    rename_key(ctx, args, Existing::Replace)?;
    ctx.reply.ok();
    Ok(())
}

pub(super) fn renamenx(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    let renamed = rename_key(ctx, args, Existing::Respect)?;
    ctx.reply.integer(i64::from(renamed));
    Ok(())
}

/// The treatment of a key that is in the way.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Existing {
    Replace,
    Respect,
}

/// Returns whether the key got its new name: not if that is its old one, or another key keeps it.
fn rename_key(ctx: &mut Ctx<'_>, mut args: Args<'_>, existing: Existing) -> Result<bool, CommandError> {
    let (from, to) = (args.key(), args.key());
    if ctx.db.view_for_update(from).is_none() {
        return Err(CommandError::NoSuchKey);
    }
    if from == to || (ctx.db.view_for_update(to).is_some() && existing == Existing::Respect) {
        return Ok(false);
    }
    let stored = ctx.db.take(from).ok_or(CommandError::NoSuchKey)?;
    ctx.db.put(to, stored);
    let db = ctx.db.index();
    ctx.changed(NotifyClasses::GENERIC, "rename_from", from);
    ctx.also_changed(db, NotifyClasses::GENERIC, "rename_to", to);
    Ok(true)
}

pub(super) fn move_(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let key = args.key();
    let target = database(ctx, &mut args)?;
    if target == ctx.db.index() {
        return Err(SAME_OBJECT);
    }
    let moved = ctx.db.view_for_update(key).is_some() && move_key(ctx, key, target);
    ctx.reply.integer(i64::from(moved));
    Ok(())
}

fn move_key(ctx: &mut Ctx<'_>, key: &[u8], target: DbIndex) -> bool {
    let Some((here, there)) = ctx.db.pair(target) else { return false };
    if there.view_for_update(key).is_some() {
        return false;
    }
    let Some(stored) = here.take(key) else { return false };
    there.put(key, stored);
    ctx.report_findings();
    ctx.changed(NotifyClasses::GENERIC, "move_from", key);
    ctx.also_changed(target, NotifyClasses::GENERIC, "move_to", key);
    true
}

pub(super) fn copy(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let (from, to) = (args.key(), args.key());
    let mut target = ctx.db.index();
    let mut existing = Existing::Respect;
    while !args.is_done() {
        if args.keyword("REPLACE") {
            existing = Existing::Replace;
        } else if args.keyword_with_value("DB") {
            target = database(ctx, &mut args)?;
        } else {
            return Err(CommandError::Syntax);
        }
    }
    if target == ctx.db.index() && from == to {
        return Err(SAME_OBJECT);
    }
    let copied = ctx.db.view_for_read(from).is_some() && copy_key(ctx, from, to, target, existing);
    ctx.reply.integer(i64::from(copied));
    Ok(())
}

fn copy_key(ctx: &mut Ctx<'_>, from: &[u8], to: &[u8], target: DbIndex, existing: Existing) -> bool {
    let Some(mut stored) = ctx.db.copy_of(from) else { return false };
    let Some(there) = ctx.db.at(target) else { return false };
    if there.view_for_update(to).is_some() && existing == Existing::Respect {
        return false;
    }
    there.refresh_access(&mut stored);
    there.put(to, stored);
    ctx.changed_in(target, NotifyClasses::GENERIC, "copy_to", to);
    true
}

/// The next argument as a database's number. Errors like Redis for what is no 32-bit integer.
fn database(ctx: &Ctx<'_>, args: &mut Args<'_>) -> Result<DbIndex, CommandError> {
    let index = int_between(args, i32::MIN.into(), i32::MAX.into())?;
    db_index(ctx, index)
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::TestServer;

    #[test]
    fn del_and_unlink_count_what_they_removed_and_are_propagated_only_then() {
        let mut server = TestServer::new();
        server.check(&[("SETNX a 1", "(integer) 1"), ("SETNX b 1", "(integer) 1")]);
        server.effects();
        server.check(&[
            ("DEL nothing", "(integer) 0"),
            ("DEL a nothing a", "(integer) 1"),
            ("UNLINK b b", "(integer) 1"),
            ("DEL", "(error) ERR wrong number of arguments for 'del' command"),
        ]);
        assert_eq!(server.effects(), "DEL a nothing a | UNLINK b b");
        assert_eq!(server.dirty(), 4, "two keys made, two removed");
    }

    #[test]
    fn exists_counts_a_key_as_often_as_it_is_named() {
        let mut server = TestServer::new();
        server.run("SETNX a 1");
        server.check(&[
            ("EXISTS a a b", "(integer) 2"),
            ("TOUCH a a b", "(integer) 2"),
            ("TYPE a", "string"),
            ("TYPE b", "none"),
        ]);
        let findings = &server.server.keyspace.findings;
        assert_eq!((findings.hits, findings.misses), (5, 3));
    }

    #[test]
    fn an_expired_key_is_missing_for_everybody_and_is_propagated_as_deleted_first() {
        let mut server = TestServer::new();
        server.check(&[("SETNX a 1", "(integer) 1"), ("SETNX b 2", "(integer) 1")]);
        server.server.rooms.time.active_expire = false;
        server.run("PEXPIRE b 10");
        server.advance(11);
        server.effects();
        server.check(&[
            ("KEYS *", "1) \"a\""),
            ("RENAME b c", "(error) ERR no such key"),
            ("RENAME a b", "OK"),
        ]);
        assert_eq!(server.effects(), "DEL b | RENAME a b");
        server.check(&[("TTL b", "(integer) -1"), ("DBSIZE", "(integer) 1")]);
        server.run("PEXPIRE b 10");
        server.advance(11);
        server.effects();
        server.check(&[("RANDOMKEY", "(nil)"), ("DBSIZE", "(integer) 0")]);
        assert_eq!(server.effects(), "DEL b");
    }

    #[test]
    fn keys_matches_patterns_and_star_alone_the_empty_key_too() {
        let mut server = TestServer::new();
        for key in ["one", "two", "\"\"", "\"b\\x00n\""] {
            server.run(&format!("SETNX {key} v"));
        }
        server.check(&[
            ("KEYS ?n*", "1) \"one\""),
            ("KEYS b?n", "1) \"b\\x00n\""),
            ("KEYS \"\"", "1) \"\""),
            ("KEYS x", "(empty array)"),
        ]);
        assert_eq!(server.run("KEYS *").lines().count(), 4);
        assert_eq!(server.run("KEYS **").lines().count(), 3, "Redis: the empty key only for one star");
    }

    #[test]
    fn rename_takes_the_time_to_live_along() {
        let mut server = TestServer::new();
        server.check(&[
            ("SETNX a 1", "(integer) 1"),
            ("SETNX b 2", "(integer) 1"),
            ("EXPIRE a 100", "(integer) 1"),
            ("RENAMENX a b", "(integer) 0"),
            ("RENAMENX a a", "(integer) 0"),
            ("RENAME a a", "OK"),
            ("RENAME a b", "OK"),
            ("TTL b", "(integer) 100"),
            ("GET b", "\"1\""),
            ("EXISTS a", "(integer) 0"),
            ("RENAMENX b c", "(integer) 1"),
            ("RENAME nothing c", "(error) ERR no such key"),
            ("RENAMENX nothing nothing", "(error) ERR no such key"),
        ]);
        assert!(server.effects().ends_with("| RENAME a b | RENAMENX b c"));
        assert_eq!(server.dirty(), 5);
    }

    #[test]
    fn move_carries_a_key_to_another_database_unless_one_is_there() {
        let mut server = TestServer::new();
        server.check(&[
            ("SETNX k 1", "(integer) 1"),
            ("EXPIRE k 100", "(integer) 1"),
            ("MOVE k 0", "(error) ERR source and destination objects are the same"),
            ("MOVE k 16", "(error) ERR DB index is out of range"),
            ("MOVE k x", "(error) ERR value is not an integer or out of range"),
            (
                "MOVE k 4294967296",
                "(error) ERR value is out of range, value must between -2147483648 and 2147483647",
            ),
            ("MOVE nothing 1", "(integer) 0"),
            ("MOVE k 9", "(integer) 1"),
            ("EXISTS k", "(integer) 0"),
            ("SETNX k 2", "(integer) 1"),
            ("MOVE k 9", "(integer) 0"),
            ("SELECT 9", "OK"),
            ("TTL k", "(integer) 100"),
            ("GET k", "\"1\""),
        ]);
        assert!(server.effects().ends_with("| MOVE k 9 | SETNX k 2"));
    }

    #[test]
    fn copy_shares_nothing_with_its_source() {
        let mut server = TestServer::new();
        server.check(&[
            ("SETNX a 1", "(integer) 1"),
            ("EXPIRE a 100", "(integer) 1"),
            ("COPY a a", "(error) ERR source and destination objects are the same"),
            ("COPY a b DB", "(error) ERR syntax error"),
            ("COPY a b DB 16", "(error) ERR DB index is out of range"),
            ("COPY nothing b", "(integer) 0"),
            ("COPY a b", "(integer) 1"),
            ("TTL b", "(integer) 100"),
            ("PERSIST a", "(integer) 1"),
            ("COPY a b", "(integer) 0"),
            ("COPY a b REPLACE", "(integer) 1"),
            ("TTL b", "(integer) -1"),
            ("COPY a a DB 3", "(integer) 1"),
            ("SELECT 3", "OK"),
            ("GET a", "\"1\""),
        ]);
        assert!(server.effects().ends_with("| COPY a b REPLACE | COPY a a DB 3"));
    }

    #[test]
    fn copy_over_an_expired_key_of_another_database_deletes_that_first() {
        let mut server = TestServer::new();
        server.check(&[("SETNX a 1", "(integer) 1"), ("SELECT 1", "OK"), ("SETNX b 1", "(integer) 1")]);
        server.server.rooms.time.active_expire = false;
        server.run("PEXPIRE b 10");
        server.run("SELECT 0");
        server.advance(11);
        server.effects();
        server.check(&[("COPY a b DB 1", "(integer) 1")]);
        assert_eq!(server.effects(), "MULTI | DEL b | SELECT 0 | COPY a b DB 1 | EXEC");
    }
}
