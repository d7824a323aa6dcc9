//! Whole databases: counting, emptying, exchanging them.

use crate::base::number::parse_i64;
use crate::commands::argument::db_index;
use crate::keyspace::DbIndex;
use crate::persistence::{JobWish, SaveReason, Verdict};
use crate::server::{Args, Command, CommandError, CommandResult, Ctx, Origin};
use crate::spec::*;

/// The commands of this file.
pub const COMMANDS: &[Command] = &[
    Command::new(
        Spec::new("dbsize", Group::Server, 1, "")
            .flags(&[READONLY, FAST])
            .categories(&[Category::Keyspace])
            .since("1.0.0")
            .summary("Counts the keys of the selected database.")
            .tips(&["request_policy:all_shards", "response_policy:agg_sum"]),
        dbsize,
    ),
    Command::new(
        Spec::new("flushall", Group::Server, -1, "[ASYNC^4.0.0 | SYNC^6.2.0]@async")
            .flags(&[WRITE])
            // The first PyRedis called it so.
            .alias("flush")
            .categories(&[Category::Keyspace, Category::Dangerous])
            .since("1.0.0")
            .complexity("O(N), N: keys in all databases.")
            .summary("Deletes all keys of all databases.")
            .tips(&["request_policy:all_shards", "response_policy:all_succeeded"])
            .history(&[("4.0.0", "`ASYNC`."), ("6.2.0", "`SYNC`.")]),
        flushall,
    ),
    Command::new(
        Spec::new("flushdb", Group::Server, -1, "[ASYNC^4.0.0 | SYNC^6.2.0]@async")
            .flags(&[WRITE])
            .categories(&[Category::Keyspace, Category::Dangerous])
            .since("1.0.0")
            .complexity("O(N), N: keys in the database.")
            .summary("Deletes all keys of the selected database.")
            .tips(&["request_policy:all_shards", "response_policy:all_succeeded"])
            .history(&[("4.0.0", "`ASYNC`."), ("6.2.0", "`SYNC`.")]),
        flushdb,
    ),
    Command::new(
        Spec::new("swapdb", Group::Server, 3, "index1:integer index2:integer")
            .flags(&[WRITE, FAST])
            .categories(&[Category::Keyspace, Category::Dangerous])
            .since("4.0.0")
            .complexity("O(N), N: clients that watch or wait for keys of either.")
            .summary("Swaps two databases."),
        swapdb,
    ),
];

fn dbsize(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CommandResult {
    let keys = ctx.db.len();
    ctx.reply.count(keys);
    Ok(())
}

fn flushdb(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    check_flush_option(args)?;
    let db = ctx.db.index();
    empty(ctx, args.argv().at(0), args, [db])?;
    ctx.reply.ok();
    Ok(())
}

fn flushall(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    check_flush_option(args)?;
    let dbs: Vec<DbIndex> = ctx.db.iter().map(|db| db.index()).collect();
    ctx.give_up_background_save();
    // A Redis that reads what is propagated does not know the alias.
    let called = args.argv().at(0);
    let is_alias = called.eq_ignore_ascii_case(b"FLUSH");
    empty(ctx, if is_alias { b"FLUSHALL" } else { called }, args, dbs)?;
    // Redis: the file on disk must not bring back what was deleted.
    if ctx.rooms.config.save.is_empty() {
        ctx.reply.ok();
    } else if ctx.origin != Origin::Client {
        ctx.schedule_save();
        ctx.reply.ok();
    } else if ctx.rooms.persistence.jobs.ask(JobWish::SaveFlushed) == Verdict::Begins {
        ctx.begin_save(SaveReason::Flush(ctx.session.id));
        ctx.block_on_task();
    } else {
        ctx.reply.ok();
    }
    Ok(())
}

/// SYNC and ASYNC are the same here: what is emptied is freed on another thread in any case.
fn check_flush_option(mut args: Args<'_>) -> CommandResult {
    if !args.is_done() && !args.keyword("SYNC") && !args.keyword("ASYNC") {
        return Err(CommandError::Syntax);
    }
    args.finish()
}

fn empty(
    ctx: &mut Ctx<'_>,
    verb: &[u8],
    args: Args<'_>,
    dbs: impl IntoIterator<Item = DbIndex>,
) -> CommandResult {
    // Redis: an empty database is flushed on replicas too; they may hold more than they should.
    ctx.propagate_instead(std::iter::once(verb).chain(args.rest()));
    ctx.flush_dbs(dbs);
    Ok(())
}

fn swapdb(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let one = number(args.key(), "ERR invalid first DB index")?;
    let two = number(args.key(), "ERR invalid second DB index")?;
    let (one, two) = (db_index(ctx, one)?, db_index(ctx, two)?);
    ctx.swap_dbs(one, two);
    ctx.reply.ok();
    Ok(())
}

fn number(text: &[u8], error: &'static str) -> Result<i64, CommandError> {
    let number = parse_i64(text).and_then(|number| i32::try_from(number).ok());
    number.map(i64::from).ok_or(CommandError::fixed(error))
}

#[cfg(test)]
mod tests {
    use crate::base::ClientId;
    use crate::commands::testing::TestServer;
    use crate::persistence::{SaveReason, SaveReport};
    use crate::server::Task;

    #[test]
    fn flushing_empties_one_database_or_all_and_is_propagated_in_any_case() {
        let mut server = TestServer::with(|config| config.save.clear());
        server.check(&[("SETNX a 1", "(integer) 1"), ("SELECT 3", "OK"), ("SETNX b 1", "(integer) 1")]);
        server.effects();
        server.check(&[
            ("FLUSHDB", "OK"),
            ("DBSIZE", "(integer) 0"),
            ("SELECT 0", "OK"),
            ("DBSIZE", "(integer) 1"),
            ("FLUSHDB nosuchoption", "(error) ERR syntax error"),
            ("FLUSHALL SYNC ASYNC", "(error) ERR syntax error"),
            ("FLUSHALL async", "OK"),
            ("DBSIZE", "(integer) 0"),
            ("FLUSHALL SYNC", "OK"),
            ("FLUSH", "OK"),
        ]);
        assert_eq!(server.effects(), "FLUSHDB | SELECT 0 | FLUSHALL async | FLUSHALL SYNC | FLUSHALL");
        assert_eq!(server.dirty(), 4, "two keys made, two removed");
        assert!(!server.server.take_tasks().iter().any(|task| matches!(task, Task::Save(_))));
    }

    #[test]
    fn an_alias_is_its_command_renamed_permitted_and_counted() {
        let mut server = TestServer::with(|config| config.save.clear());
        server.check(&[("SETNX a 1", "(integer) 1"), ("flush", "OK"), ("DBSIZE", "(integer) 0")]);
        assert!(server.run("INFO commandstats").contains("cmdstat_flushall:calls=1,"));
        assert!(server.run("COMMAND INFO flush").contains("flushall"));
        server.run("ACL SETUSER guest on nopass ~* &* +@all -flushall");
        server.connect(2);
        server.run_as(2, "AUTH guest x");
        let refused = "(error) NOPERM this user has no permissions to run the 'flushall' command";
        assert_eq!(server.run_as(2, "FLUSH"), refused);
        server.run("ACL SETUSER guest +flush");
        assert_eq!(server.run_as(2, "FLUSHALL"), "OK");
        server.run("ACL SETUSER guest -flush");
        assert_eq!(server.run_as(2, "FLUSHALL"), refused);
    }

    #[test]
    fn who_renames_a_command_takes_its_alias_away() {
        let unknown = "(error) ERR unknown command 'FLUSH', with args beginning with: ";
        let renamed = |from: &'static [u8], to: &'static [u8]| {
            let mut server = TestServer::with(|config| config.save.clear());
            server.server.rooms.commands.rename(from, to).expect("it is known");
            server
        };
        for (from, to, line, answer) in [
            (&b"FLUSHALL"[..], &b""[..], "FLUSH", unknown),
            (b"FLUSHALL", b"secret", "FLUSH", unknown),
            (b"FLUSHALL", b"secret", "SECRET", "OK"),
            (b"FLUSH", b"", "FLUSH", unknown),
            (b"FLUSH", b"", "FLUSHALL", "OK"),
            (b"flush", b"wipe", "WIPE", "OK"),
            (b"flush", b"wipe", "FLUSH", unknown),
        ] {
            assert_eq!(renamed(from, to).run(line), answer, "{from:?} {to:?} {line}");
        }
    }

    #[test]
    fn flushall_waits_for_its_save_when_there_are_save_points() {
        let mut server = TestServer::new();
        server.check(&[("SETNX a 1", "(integer) 1"), ("FLUSHALL", "")]);
        let tasks = server.server.take_tasks();
        let Some(Task::Save(job)) = tasks.iter().find(|task| matches!(task, Task::Save(_))) else {
            panic!("{tasks:?}")
        };
        assert!(job.dbs.is_empty() && job.reason == SaveReason::Flush(ClientId(1)));
        let report = SaveReport { job: job.id, reason: job.reason, result: Err("disk full".into()) };
        server.server.saved(&report);
        server.advance(0);
        assert_eq!(server.output_of(1), "OK", "the data is gone in any case");
        server.check(&[("MULTI", "OK"), ("FLUSHALL", "QUEUED"), ("EXEC", "1) OK")]);
        assert!(server.server.take_tasks().iter().any(|task| matches!(task, Task::Save(_))));
    }

    #[test]
    fn swapdb_exchanges_two_databases_for_everybody() {
        let mut server = TestServer::new();
        server.check(&[("SETNX a 1", "(integer) 1"), ("EXPIRE a 100", "(integer) 1")]);
        server.effects();
        server.check(&[
            ("SWAPDB 0 9", "OK"),
            ("DBSIZE", "(integer) 0"),
            ("SELECT 9", "OK"),
            ("TTL a", "(integer) 100"),
            ("SWAPDB 9 9", "OK"),
            ("DBSIZE", "(integer) 1"),
            ("SWAPDB x 0", "(error) ERR invalid first DB index"),
            ("SWAPDB 0 99999999999", "(error) ERR invalid second DB index"),
            ("SWAPDB 0 16", "(error) ERR DB index is out of range"),
            ("SWAPDB -1 0", "(error) ERR DB index is out of range"),
        ]);
        assert_eq!(server.effects(), "SWAPDB 0 9 | SELECT 9 | SWAPDB 9 9");
    }
}
