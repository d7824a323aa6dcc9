//! Saving, stopping, the time.

use crate::persistence::{JobWish, SaveReason, Verdict};
use crate::server::{Args, Command, CommandError, CommandResult, Ctx, Shutdown, ShutdownSave};
use crate::spec::*;

/// BGREWRITEAOF, BGSAVE, LASTSAVE, SAVE, SHUTDOWN, TIME.
pub const COMMANDS: &[Command] = &[
    Command::new(
        Spec::new("bgrewriteaof", Group::Server, 1, "")
            .flags(&[ADMIN, NOSCRIPT, NO_ASYNC_LOADING])
            .since("1.0.0")
            .summary("Rewrites the append-only file in the background."),
        bgrewriteaof,
    ),
    Command::new(
        Spec::new("bgsave", Group::Server, -1, "[SCHEDULE^3.2.2]")
            .flags(&[ADMIN, NOSCRIPT, NO_ASYNC_LOADING])
            .since("1.0.0")
            .summary("Saves the data set to disk in the background.")
            .history(&[("3.2.2", "`SCHEDULE`.")]),
        bgsave,
    ),
    Command::new(
        Spec::new("lastsave", Group::Server, 1, "")
            .flags(&[LOADING, STALE, FAST])
            .categories(&[Category::Admin, Category::Dangerous])
            .since("1.0.0")
            .summary("Tells when the data set was last saved.")
            .tips(&["nondeterministic_output"]),
        lastsave,
    ),
    Command::new(
        Spec::new("save", Group::Server, 1, "")
            .flags(&[ADMIN, NOSCRIPT, NO_ASYNC_LOADING, NO_MULTI])
            .since("1.0.0")
            .complexity("O(N), N: keys in all databases.")
            .summary("Saves the data set to disk and keeps everyone waiting."),
        save,
    ),
    Command::new(
        Spec::new("shutdown", Group::Server, -1, "[NOSAVE | SAVE] [NOW^7.0.0] [FORCE^7.0.0] [ABORT^7.0.0]")
            .flags(&[ADMIN, NOSCRIPT, LOADING, STALE, NO_MULTI, ALLOW_BUSY])
            .since("1.0.0")
            .complexity("O(N) when saving, N: keys in all databases; else O(1).")
            .summary("Saves if asked to, and stops the server.")
            .history(&[("7.0.0", "`NOW`, `FORCE`, `ABORT`.")]),
        shutdown,
    ),
    Command::new(
        Spec::new("time", Group::Server, 1, "")
            .flags(&[LOADING, STALE, FAST])
            .since("2.6.0")
            .summary("Tells the time of the server.")
            .tips(&["nondeterministic_output"]),
        time,
    ),
];

const SAVE_IN_PROGRESS: CommandError = CommandError::fixed("ERR Background save already in progress");

fn save(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CommandResult {
    match ctx.rooms.persistence.jobs.ask(JobWish::Save(ctx.session.id)) {
        Verdict::Begins => ctx.begin_save(SaveReason::Command(ctx.session.id)),
        Verdict::Promised => {}
        _ => return Err(SAVE_IN_PROGRESS),
    }
    ctx.block_on_task();
    Ok(())
}

const REWRITE_IN_PROGRESS: CommandError = CommandError::fixed(
    "ERR Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE SCHEDULE in order to schedule a \
     BGSAVE whenever possible.",
);

fn bgrewriteaof(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CommandResult {
    match ctx.rooms.request_rewrite(ctx.session.id, ctx.origin).map_err(CommandError::fixed)? {
        Some(line) => ctx.reply.simple(line),
        None => ctx.block_on_task(),
    }
    Ok(())
}

fn bgsave(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let wish = if args.keyword("SCHEDULE") { JobWish::ScheduleSave } else { JobWish::SaveInBackground };
    args.finish()?;
    match ctx.rooms.persistence.jobs.ask(wish) {
        Verdict::Begins => {
            ctx.begin_save(SaveReason::Background);
            log::info!("Background saving started");
            ctx.reply.simple("Background saving started");
        }
        Verdict::Promised => ctx.reply.simple("Background saving started"),
        Verdict::Scheduled => ctx.reply.simple("Background saving scheduled"),
        Verdict::RefusedByRewrite => return Err(REWRITE_IN_PROGRESS),
        Verdict::RefusedBySave | Verdict::RefusedByShutdown => return Err(SAVE_IN_PROGRESS),
    }
    Ok(())
}

fn lastsave(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CommandResult {
    ctx.reply.integer(ctx.rooms.persistence.saves.last_save.secs());
    Ok(())
}

fn time(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CommandResult {
    let us = ctx.rooms.time.clock.wall_us();
    ctx.reply.array(2);
    ctx.reply.bulk_integer(us.div_euclid(1_000_000));
    ctx.reply.bulk_integer(us.rem_euclid(1_000_000));
    Ok(())
}

fn shutdown(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let mut request = Shutdown { client: Some(ctx.session.id), ..Shutdown::default() };
    let (mut now, mut abort) = (false, false);
    while !args.is_done() {
        if args.keyword("NOSAVE") && request.save == ShutdownSave::Default {
            request.save = ShutdownSave::NoSave;
        } else if args.keyword("SAVE") && request.save == ShutdownSave::Default {
            request.save = ShutdownSave::Save;
        } else if args.keyword("NOW") {
            now = true;
        } else if args.keyword("FORCE") {
            request.force = true;
        } else if args.keyword("ABORT") {
            abort = true;
        } else {
            return Err(CommandError::Syntax);
        }
    }
    let with_options = now || request.force || request.save != ShutdownSave::Default;
    if abort && with_options {
        return Err(CommandError::Syntax);
    }
    if !now && !abort && ctx.origin.denies_blocking() {
        let line = "ERR SHUTDOWN without NOW or ABORT isn't allowed for DENY BLOCKING client";
        return Err(CommandError::fixed(line));
    }
    if abort {
        if ctx.rooms.stop.request.is_none() {
            return Err(CommandError::fixed("ERR No shutdown in progress."));
        }
        ctx.rooms.stop.aborted = true;
        ctx.reply.ok();
        return Ok(());
    }
    ctx.admit_shutdown(request.save)?;
    ctx.rooms.stop.request = Some(request);
    ctx.block_on_task();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::base::ClientId;
    use crate::commands::testing::TestServer;
    use crate::config::Protected;
    use crate::keyspace::{KeyView, ValueRef};
    use crate::persistence::AofReport;
    use crate::persistence::{SaveProgress, SaveReason, SaveReport};
    use crate::server::Task;

    /// The save that is asked for.
    fn asked(server: &mut TestServer) -> (u64, SaveReason) {
        let tasks = server.server.take_tasks();
        let Some(Task::Save(job)) = tasks.first() else { panic!("a save is asked for: {tasks:?}") };
        let last = tasks.iter().position(|task| matches!(task, Task::HandOver(parcel) if parcel.is_last));
        assert_eq!(last, Some(tasks.len() - 1), "so few keys leave in the same turn: {tasks:?}");
        (job.id, job.reason)
    }

    fn saved(server: &mut TestServer, result: Result<(), String>) {
        let (job, reason) = asked(server);
        server.server.saved(&SaveReport { job, reason, result });
        server.advance(0);
    }

    #[test]
    fn save_answers_when_the_file_is_written() {
        let mut server = TestServer::new();
        server.run("SETNX k v");
        assert_eq!(server.run("SAVE"), "", "it waits");
        assert_eq!(server.run("PING"), "", "in order");
        server.connect(2);
        assert_eq!(server.run_as(2, "BGSAVE"), "(error) ERR Background save already in progress");
        assert_eq!(server.run_as(2, "GET k"), "\"v\"", "others go on");
        saved(&mut server, Ok(()));
        assert_eq!(server.output_of(1), "OK\nPONG");
        assert_eq!(server.run("LASTSAVE"), "(integer) 1700000000");
        assert_eq!(server.dirty(), 0);
    }

    #[test]
    fn a_failed_background_save_stops_writes_until_one_succeeds() {
        let mut server = TestServer::new();
        assert_eq!(server.run("BGSAVE SCHEDULE"), "Background saving started");
        assert_eq!(server.run("BGSAVE now"), "(error) ERR syntax error");
        saved(&mut server, Err("disk full".into()));
        assert!(
            server.run("SETNX k v").starts_with("(error) MISCONF Redis is configured to save RDB snapshots")
        );
        assert_eq!(server.run("GET k"), "(nil)");
        server.run("BGSAVE");
        saved(&mut server, Ok(()));
        assert_eq!(server.run("SETNX k v"), "(integer) 1");
    }

    #[test]
    fn save_points_save_by_themselves() {
        let mut server = TestServer::new();
        server.run("CONFIG SET save \"10 2\"");
        server.run("SETNX a 1");
        server.advance(11_000);
        assert!(server.server.take_tasks().is_empty(), "one change is too few");
        server.run("SETNX b 1");
        server.advance(200);
        saved(&mut server, Ok(()));
        server.advance(11_000);
        assert!(server.server.take_tasks().is_empty(), "nothing changed since");
    }

    #[test]
    fn shutdown_saves_where_save_points_are_set_and_stops() {
        let mut server = TestServer::new();
        assert_eq!(server.run("SHUTDOWN"), "");
        server.advance(0);
        let (job, reason) = asked(&mut server);
        assert_eq!(reason, SaveReason::Shutdown);
        server.server.saved(&SaveReport { job, reason, result: Err("full".into()) });
        server.advance(0);
        assert_eq!(server.output_of(1), "(error) ERR Errors trying to SHUTDOWN. Check logs.");
        assert_eq!(server.run("SHUTDOWN SAVE NOSAVE"), "(error) ERR syntax error");
        assert_eq!(server.run("SHUTDOWN ABORT"), "(error) ERR No shutdown in progress.");
        server.run("SHUTDOWN NOSAVE");
        server.advance(0);
        assert!(matches!(server.server.take_tasks()[..], [Task::Stop { exit_code: 0 }]));
    }

    #[test]
    fn writes_wait_when_the_saver_is_too_far_behind_and_go_on_when_it_has_caught_up() {
        let mut server = TestServer::with(|config| config.enable_debug_command = Protected::Yes);
        assert_eq!(server.run("DEBUG POPULATE 100 key 100000"), "OK");
        server.connect(2);
        server.run("BGSAVE");
        let mut writes = 0;
        while server.run(&format!("APPEND key:{writes} x")) == "(integer) 100001" {
            writes += 1;
            assert!(writes < 100, "nobody had to wait");
        }
        assert!(writes > 20, "{writes} writes");
        assert_eq!(server.run_as(2, "STRLEN key:7"), "(integer) 100001", "reads go on");
        let parcels: Vec<_> = server.server.take_tasks();
        let (mut job, mut keys, mut last) = (0, 0, 0);
        for task in parcels {
            match task {
                Task::Save(save) => job = save.id,
                Task::HandOver(parcel) => {
                    last = parcel.number;
                    let count = |_, view: KeyView<'_>| {
                        let ValueRef::String(value) = view.value else { panic!("it is a string") };
                        assert_eq!(value.len(), 100_000, "the value of the beginning");
                        keys += 1;
                        Ok::<_, ()>(())
                    };
                    parcel.visit(count).expect("nothing fails");
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(keys, 100);
        server.server.parcel_saved(SaveProgress { job, parcel: last });
        server.advance(0);
        assert_eq!(server.output_of(1), "(integer) 100001", "and so do writes");
    }

    #[test]
    fn flushall_gives_a_background_save_up_and_shutdown_does_too() {
        let mut server = TestServer::new();
        server.run("CONFIG SET save \"\"");
        server.run("SETNX k v");
        for line in ["FLUSHALL", "SHUTDOWN NOSAVE"] {
            server.run("BGSAVE");
            let (job, reason) = asked(&mut server);
            server.run(line);
            server.advance(0);
            let tasks = server.server.take_tasks();
            assert!(matches!(tasks[0], Task::CancelSave), "{line}: {tasks:?}");
            assert!(
                server.run("INFO persistence").contains("rdb_bgsave_in_progress:0") || line != "FLUSHALL"
            );
            server.server.saved(&SaveReport { job, reason, result: Ok(()) });
            assert_eq!(server.server.rooms.persistence.saves.saves, 0, "its report means nothing any more");
        }
    }

    #[test]
    fn a_shutdown_waits_for_a_save_that_waited_for_a_rewrite() {
        let mut server = TestServer::new();
        server.connect(2);
        server.connect(3);
        server.run("BGREWRITEAOF");
        server.server.aof_report(AofReport::Prepared(1, Ok(())));
        server.advance(0);
        assert_eq!(server.output_of(1), "Background append only file rewriting started");
        assert_eq!(server.run_as(2, "SAVE"), "", "the rewrite is under way");
        server.server.take_tasks();
        server.run_as(3, "SHUTDOWN SAVE");
        server.advance(0);
        let mut saves = Vec::new();
        for _ in 0..2 {
            let tasks = server.server.take_tasks();
            let jobs = tasks.iter().filter_map(|task| match task {
                Task::Save(job) => Some((job.id, job.reason)),
                _ => None,
            });
            let [(job, reason)] = jobs.collect::<Vec<_>>()[..] else { panic!("one at a time: {tasks:?}") };
            saves.push(reason);
            server.server.saved(&SaveReport { job, reason, result: Ok(()) });
            server.advance(0);
        }
        assert_eq!(saves, [SaveReason::Command(ClientId(2)), SaveReason::Shutdown]);
        assert_eq!(server.output_of(2), "OK");
        assert!(matches!(server.server.take_tasks()[..], [Task::Stop { exit_code: 0 }]));
    }

    #[test]
    fn what_is_written_while_a_shutdown_saves_waits() {
        let mut server = TestServer::new();
        server.connect(2);
        server.run("SHUTDOWN SAVE");
        server.advance(0);
        let (job, reason) = asked(&mut server);
        assert_eq!(server.run_as(2, "SET k v"), "");
        server.connect(3);
        assert_eq!(server.run_as(3, "SHUTDOWN ABORT"), "OK");
        server.advance(0);
        assert!(matches!(server.server.take_tasks()[..], [Task::CancelSave]));
        assert_eq!(server.output_of(2), "OK");
        server.server.saved(&SaveReport { job, reason, result: Ok(()) });
        server.advance(0);
        assert!(server.server.take_tasks().is_empty(), "it does not stop");
    }

    #[test]
    fn time_is_seconds_and_microseconds() {
        assert_eq!(TestServer::new().run("TIME"), "1) \"1700000000\"\n2) \"0\"");
    }
}
