//! The append-only file as clients see it, without a disk: who waits for what, and in which order a
//! rewrite goes.

use std::sync::atomic::Ordering;

use crate::base::ClientId;
use crate::commands::testing::{TestServer, always};
use crate::config::Appendfsync;
use crate::persistence::{AofOrder, AofReport, AofWork, SaveReason, SaveReport};
use crate::server::{AofState, Signal, Task};

/// Reports as the thread would, in a turn of its own.
pub(super) fn report(server: &mut TestServer, report: AofReport) {
    server.server.aof_report(report);
    server.advance(0);
}

/// Names of the orders since the last call, with what matters of them.
fn orders(server: &mut TestServer) -> String {
    let shown = server.server.rooms.persistence.aof.take_orders().into_iter().map(|order| match order {
        AofOrder::Append { bytes, end } => {
            assert!(end >= bytes.len() as u64);
            "append".to_owned()
        }
        AofOrder::Policy { fsync, .. } => format!("{fsync:?}"),
        AofOrder::Attach(file) => format!("attach {}", String::from_utf8_lossy(&file)),
        AofOrder::Prepare { file, manifest, .. } => {
            let file = file.unwrap_or_else(|| b"no file".to_vec());
            format!("prepare {} {}", String::from_utf8_lossy(&file), manifest.is_some())
        }
        AofOrder::Switch(_) => "switch".to_owned(),
        AofOrder::Discard(_) => "discard".to_owned(),
        AofOrder::Install { base, incr, remove, .. } => {
            format!("install {} {} {}", String::from_utf8_lossy(&base.1), incr.is_some(), remove.len())
        }
        AofOrder::Close => "close".to_owned(),
        AofOrder::Flush => "flush".to_owned(),
        other => format!("{other:?}"),
    });
    shown.collect::<Vec<_>>().join(", ")
}

pub(super) fn handed(server: &TestServer) -> u64 {
    server.server.rooms.persistence.aof.handed_bytes()
}

#[test]
fn with_always_those_who_wrote_wait_and_in_order() {
    let mut server = always();
    server.connect(2);
    assert_eq!(server.run("SET a 1"), "", "it is not on disk");
    let first = handed(&server);
    assert_eq!(server.run_as(2, "GET b"), "(nil)", "a reader of another key waits for nothing");
    assert_eq!(server.run("GET b"), "", "answers stay in order");
    assert_eq!(server.run("INCR a"), "");
    let second = handed(&server);
    assert_eq!(server.run_as(2, "SETNX a 5"), "", "it changed nothing, but tells of a");
    report(&mut server, AofReport::Synced(first));
    assert_eq!(server.output_of(1), "OK\n(nil)");
    report(&mut server, AofReport::Synced(second));
    assert_eq!(server.output_of(1), "(integer) 2");
    assert_eq!(server.output_of(2), "(integer) 0");
    assert_eq!(server.run("GET a"), "\"2\"", "nothing waits any more");
    assert_eq!(orders(&mut server), "attach appendonly.aof.1.incr.aof, Always, append, append");
}

#[test]
fn a_blocked_client_that_is_served_waits_for_the_disk_too() {
    let mut server = always();
    server.connect(2);
    server.run_as(2, "BLPOP l 0");
    server.run("LPUSH l x");
    assert_eq!((server.output_of(1), server.output_of(2)), (String::new(), String::new()));
    let end = handed(&server);
    report(&mut server, AofReport::Synced(end));
    assert_eq!(server.output_of(1), "(integer) 1");
    assert_eq!(server.output_of(2), "1) \"l\"\n2) \"x\"");
}

#[test]
fn a_file_that_cannot_be_written_refuses_writes_until_it_can() {
    let mut server = always();
    assert_eq!(server.run("SET a 1"), "");
    let end = handed(&server);
    let reason = "No space left on device".to_owned();
    report(&mut server, AofReport::Failed { reason, on_fsync: false });
    server.connect(2);
    let refused = "(error) MISCONF Errors writing to the AOF file: No space left on device";
    assert_eq!(server.run_as(2, "SET b 1"), refused);
    assert_eq!(server.run_as(2, "PING"), refused);
    assert_eq!(server.run_as(2, "GET b"), "(nil)");
    assert_eq!(server.output_of(1), "", "nobody is told what is not true");
    report(&mut server, AofReport::Healed);
    report(&mut server, AofReport::Synced(end));
    assert_eq!(server.output_of(1), "OK");
    assert_eq!(server.run_as(2, "PING"), "PONG");
}

#[test]
fn clients_whose_writes_are_lost_get_no_answer_at_all() {
    let mut server = always();
    assert_eq!(server.run("SET a 1"), "");
    report(&mut server, AofReport::Lost(u64::MAX));
    assert_eq!((server.output_of(1), server.closed.len()), (String::new(), 1));
}

/// The base under way is written, or not.
fn written(server: &mut TestServer, result: Result<(), String>) {
    let tasks = server.server.take_tasks();
    let jobs: Vec<_> = tasks
        .iter()
        .filter_map(|task| if let Task::Save(job) = task { Some(job.id) } else { None })
        .collect();
    let [job] = jobs[..] else { panic!("one base is written: {tasks:?}") };
    server.server.saved(&SaveReport { job, reason: SaveReason::Rewrite, result });
    server.advance(0);
}

#[test]
fn a_rewrite_takes_one_step_after_the_other() {
    let mut server = always();
    server.server.rooms.config.appendfsync = Appendfsync::No;
    disk(&server, u64::MAX, false);
    server.run("SET a 1");
    orders(&mut server);
    server.connect(2);
    assert_eq!(server.run_as(2, "BGREWRITEAOF"), "", "it is not known whether it can begin");
    assert_eq!(orders(&mut server), "prepare appendonly.aof.2.incr.aof true");
    assert_eq!(
        server.run("BGREWRITEAOF"),
        "(error) ERR Background append only file rewriting already in progress"
    );
    assert!(server.run("BGSAVE").starts_with("(error) ERR Another child process is active (AOF?)"));
    server.run("SET b 1");
    report(&mut server, AofReport::Prepared(1, Ok(())));
    assert_eq!(server.output_of(2), "Background append only file rewriting started");
    assert_eq!(orders(&mut server), "append, switch", "what came before goes to the old file");
    server.run("SET c 1");
    assert_eq!(orders(&mut server), "append");
    written(&mut server, Ok(()));
    assert_eq!(orders(&mut server), "install appendonly.aof.1.base.rdb false 1");
    assert!(server.run("INFO persistence").contains("aof_rewrite_in_progress:1"));
    report(&mut server, AofReport::Installed(Ok(100)));
    assert!(server.run("INFO persistence").contains("aof_rewrite_in_progress:0"));
    assert_eq!(server.server.rooms.persistence.aof.manifest.files().count(), 2);
    assert!(server.server.rooms.persistence.aof.sizes.current > 100);
}

#[test]
fn turning_it_on_waits_for_the_first_base_and_tries_again() {
    let mut server = TestServer::new();
    disk(&server, u64::MAX, false);
    assert_eq!(server.run("CONFIG SET appendonly yes"), "", "until the file is there");
    assert_eq!(orders(&mut server), "prepare temp-appendonly.aof.incr.aof false");
    report(&mut server, AofReport::Prepared(1, Ok(())));
    assert_eq!(server.output_of(1), "OK");
    server.run("SET a 1");
    written(&mut server, Err("full".into()));
    assert_eq!(orders(&mut server), "Everysec, switch, append, discard");
    server.run("SET b 1");
    assert_eq!(orders(&mut server), "", "nothing is kept for no file");
    server.advance(200);
    assert_eq!(orders(&mut server), "prepare temp-appendonly.aof.incr.aof false");
    report(&mut server, AofReport::Prepared(2, Ok(())));
    written(&mut server, Ok(()));
    assert_eq!(orders(&mut server), "switch, install appendonly.aof.1.base.rdb true 0");
    report(&mut server, AofReport::Installed(Ok(1)));
    assert_eq!(server.server.rooms.persistence.aof.state, AofState::On);
    assert_eq!(server.run("CONFIG SET appendonly no"), "OK");
    assert_eq!(orders(&mut server), "close");
}

#[test]
fn a_folder_that_cannot_be_made_is_told_to_whoever_turned_it_on() {
    let mut server = TestServer::new();
    server.run("CONFIG SET appendonly yes");
    report(&mut server, AofReport::Prepared(1, Err("no folder".into())));
    assert!(server.output_of(1).ends_with("Unable to turn on AOF. Check server logs."));
    assert_eq!(server.run("CONFIG GET appendonly"), "1) \"appendonly\"\n2) \"no\"");
}

#[test]
fn a_rewrite_whose_folder_cannot_be_made_is_answered_with_the_error() {
    const REFUSED: &str = "(error) ERR Can't execute an AOF background rewriting. Please check the server logs for more information.";
    for mut server in [TestServer::new(), everysec()] {
        assert_eq!(server.run("BGREWRITEAOF"), "");
        report(&mut server, AofReport::Prepared(1, Err("no folder".into())));
        assert_eq!(server.output_of(1), REFUSED);
        assert!(server.run("INFO persistence").contains("aof_last_bgrewrite_status:err"));
        server.check(&[("MULTI", "OK"), ("BGREWRITEAOF", "QUEUED")]);
        assert_eq!(server.run("EXEC"), "1) Background append only file rewriting scheduled");
    }
}

#[test]
fn whoever_asked_for_a_rewrite_is_answered_when_another_takes_its_place() {
    let mut server = TestServer::new();
    server.connect(2);
    assert_eq!(server.run_as(2, "BGREWRITEAOF"), "");
    assert_eq!(orders(&mut server), "prepare no file false");
    assert_eq!(server.run("CONFIG SET appendonly yes"), "");
    assert_eq!(server.output_of(2), "Background append only file rewriting started");
    assert_eq!(orders(&mut server), "prepare temp-appendonly.aof.incr.aof false");
    assert_eq!(server.run_as(2, "CONFIG SET appendonly no"), "OK");
    assert_eq!(server.output_of(1), "OK");
}

fn everysec() -> TestServer {
    let mut server = always();
    server.server.rooms.config.appendfsync = Appendfsync::Everysec;
    server
}

/// Sets what the thread has written, and whether it is at work.
fn disk(server: &TestServer, written: u64, is_at_work: bool) {
    let gauges = &server.server.rooms.persistence.aof.gauges;
    gauges.written.store(written, Ordering::Relaxed);
    gauges.is_at_disk.store(is_at_work, Ordering::Relaxed);
}

#[test]
fn with_everysec_those_who_wrote_wait_for_the_file_and_not_for_the_disk() {
    let mut server = everysec();
    server.connect(2);
    assert_eq!(server.run("SET a 1"), "");
    assert_eq!(server.run_as(2, "GET a"), "\"1\"", "a reader waits for nothing");
    assert_eq!(server.run("GET a"), "", "answers stay in order");
    let end = handed(&server);
    report(&mut server, AofReport::Written(end - 1));
    assert_eq!(server.output_of(1), "");
    report(&mut server, AofReport::Written(end));
    assert_eq!(server.output_of(1), "OK\n\"1\"");
    assert_eq!(server.run("INCR a"), "");
    disk(&server, handed(&server), true);
    server.advance(0);
    assert_eq!(server.output_of(1), "(integer) 2", "nobody has to say so: it is looked at in each turn");
}

#[test]
fn a_slow_disk_delays_answers_for_five_milliseconds_and_then_none_until_it_has_caught_up() {
    let mut server = everysec();
    server.run("SET a 1");
    disk(&server, 0, true);
    server.advance(4);
    assert_eq!(server.output_of(1), "");
    assert_eq!(server.server.next_wake_ms(), 1);
    server.advance(1);
    assert_eq!(server.output_of(1), "OK");
    assert_eq!(server.run("SET b 1"), "OK", "it is known to be slow");
    disk(&server, handed(&server), false);
    assert_eq!(server.run("SET c 1"), "", "it has caught up");
    server.advance(50);
    assert_eq!(server.output_of(1), "", "the thread has no processor: that is not the disk's doing");
    assert!(server.server.next_wake_ms() > 0);
}

#[test]
fn answers_that_were_promised_the_disk_wait_for_it_whatever_the_policy_becomes() {
    let mut server = always();
    server.run("SET a 1");
    let end = handed(&server);
    server.connect(2);
    server.run_as(2, "CONFIG SET appendfsync everysec");
    server.run_as(2, "SET b 1");
    disk(&server, handed(&server), true);
    server.advance(100);
    let both = handed(&server);
    report(&mut server, AofReport::Written(both));
    assert_eq!(server.output_of(1), "");
    report(&mut server, AofReport::Synced(end));
    assert_eq!(server.output_of(1), "OK");
}

#[test]
fn with_always_nobody_waits_for_a_disk_that_is_spared_while_a_save_runs() {
    let mut server = always();
    server.server.rooms.config.no_appendfsync_on_rewrite = true;
    assert_eq!(server.run("SET a 1"), "");
    let end = handed(&server);
    report(&mut server, AofReport::Synced(end));
    assert_eq!(server.output_of(1), "OK");
    assert_eq!(server.run("BGSAVE"), "Background saving started");
    assert_eq!(server.run("SET a 2"), "");
    let end = handed(&server);
    report(&mut server, AofReport::Written(end));
    assert_eq!(server.output_of(1), "OK", "it is in the file: more cannot be had now");
}

#[test]
fn a_policy_that_changes_between_two_writes_leaves_nobody_waiting() {
    let mut server = everysec();
    disk(&server, u64::MAX, false);
    assert_eq!(server.run("SET a 1"), "OK");
    assert_eq!(server.run("CONFIG SET appendfsync always"), "OK");
    let end = handed(&server);
    report(&mut server, AofReport::Synced(end));
    server.connect(2);
    assert_eq!(server.run_as(2, "SETNX a 2"), "(integer) 0");
    assert_eq!(server.run("GET a"), "\"1\"");
}

#[test]
fn after_writes_were_lost_the_next_ones_are_answered_again() {
    let mut server = always();
    assert_eq!(server.run("SET a 1"), "");
    report(&mut server, AofReport::Lost(u64::MAX));
    server.connect(2);
    assert_eq!(server.run_as(2, "CONFIG SET appendfsync everysec"), "OK");
    assert_eq!(server.run_as(2, "SET a 2"), "");
    let end = handed(&server);
    report(&mut server, AofReport::Written(end));
    assert_eq!(server.output_of(2), "OK");
}

#[test]
fn a_first_base_that_fails_with_its_file_refuses_no_writes_afterwards() {
    let mut server = TestServer::new();
    disk(&server, 0, false);
    server.run("CONFIG SET appendonly yes");
    report(&mut server, AofReport::Prepared(1, Ok(())));
    assert_eq!(server.output_of(1), "OK");
    assert_eq!(server.run("SET a 1"), "");
    report(&mut server, AofReport::Failed { reason: "No space left on device".into(), on_fsync: false });
    server.connect(2);
    assert!(server.run_as(2, "SET b 1").starts_with("(error) MISCONF"));
    written(&mut server, Err("full".into()));
    // The file is closed and deleted: its end is told as if all were on disk.
    report(&mut server, AofReport::Synced(u64::MAX));
    assert_eq!(server.output_of(1), "OK");
    assert_eq!(server.run_as(2, "SET b 1"), "OK");
}

#[test]
fn with_everysec_what_cannot_be_written_is_answered_and_the_next_is_refused() {
    let mut server = everysec();
    server.run("SET a 1");
    disk(&server, 0, true);
    report(&mut server, AofReport::Failed { reason: "No space left on device".into(), on_fsync: false });
    assert_eq!(server.output_of(1), "OK");
    assert!(server.run("SET a 2").starts_with("(error) MISCONF"));
}

#[test]
fn with_always_answers_are_given_up_five_seconds_after_the_disk_refuses() {
    let mut server = always();
    server.connect(2);
    assert_eq!(server.run("SET a 1"), "");
    assert_eq!(server.run_as(2, "GET a"), "");
    server.advance(60_000);
    assert!(server.closed.is_empty(), "a disk that is slow is waited for");
    report(&mut server, AofReport::Failed { reason: "No space left on device".into(), on_fsync: false });
    server.advance(4999);
    assert_eq!((server.output_of(1), server.closed.len()), (String::new(), 0));
    server.advance(1);
    let told =
        "(error) MISCONF Errors writing to the AOF file: what was changed is in memory and not on disk";
    assert_eq!((server.output_of(1).as_str(), server.output_of(2).as_str()), (told, told));
    assert_eq!(server.closed.len(), 2);
}

/// A rewrite that begins by itself, because of a hole: up to its base.
fn heal(server: &mut TestServer, number: u64) {
    server.advance(200);
    assert!(orders(server).ends_with(&format!("prepare appendonly.aof.{}.incr.aof true", number + 1)));
    report(server, AofReport::Prepared(number, Ok(())));
}

#[test]
fn behind_a_hole_that_no_rewrite_mends_answers_are_given_up_and_writes_refused() {
    let mut server = always();
    disk(&server, u64::MAX, false);
    (2..=3).for_each(|id| server.connect(id));
    report(&mut server, AofReport::Hole);
    assert_eq!(server.run("SET a 1"), "");
    heal(&mut server, 1);
    server.advance(60_000);
    assert_eq!(server.output_of(1), "", "however long the rewrite takes");
    written(&mut server, Err("full".into()));
    assert_eq!(server.run_as(2, "SET b 1"), "(error) MISCONF Errors writing to the AOF file: full");
    assert_eq!(server.run_as(2, "GET b"), "(nil)");
    heal(&mut server, 2);
    server.advance(4799);
    assert_eq!((server.output_of(1), server.closed.len()), (String::new(), 0));
    server.advance(1);
    assert!(server.output_of(1).ends_with("what was changed is in memory and not on disk"));
    assert_eq!(server.closed, [ClientId(1)]);
    written(&mut server, Ok(()));
    report(&mut server, AofReport::Installed(Ok(1)));
    report(&mut server, AofReport::Whole);
    assert_eq!(server.run_as(3, "SET b 1"), "");
    server.advance(60_000);
    let end = handed(&server);
    report(&mut server, AofReport::Synced(end));
    assert_eq!(server.output_of(3), "OK", "nothing is left of that");
    server.advance(60_000);
    assert!(!orders(&mut server).contains("prepare"), "and no rewrite is wanted");
}

#[test]
fn who_writes_with_everysec_waits_for_no_rewrite_that_others_wait_for() {
    let mut server = always();
    server.connect(2);
    report(&mut server, AofReport::Hole);
    assert_eq!(server.run("SET a 1"), "");
    assert_eq!(server.run_as(2, "CONFIG SET appendfsync everysec"), "OK");
    assert_eq!(server.run_as(2, "SET b 1"), "OK");
    assert_eq!(server.output_of(1), "");
}

#[test]
fn a_rewrite_that_mends_a_hole_spares_no_disk() {
    let mut server = always();
    server.server.rooms.config.no_appendfsync_on_rewrite = true;
    report(&mut server, AofReport::Hole);
    heal(&mut server, 1);
    assert_eq!(server.run("SET a 1"), "");
    let end = handed(&server);
    report(&mut server, AofReport::Written(end));
    assert_eq!(server.output_of(1), "", "it is in the file, behind the hole");
}

#[test]
fn a_rewrite_for_a_hole_is_made_after_all_when_a_shutdown_is_given_up() {
    let mut server = always();
    server.connect(2);
    report(&mut server, AofReport::Hole);
    heal(&mut server, 1);
    server.run_as(2, "SHUTDOWN SAVE");
    server.advance(0);
    assert!(orders(&mut server).ends_with("flush"));
    assert_eq!(server.run("SHUTDOWN ABORT"), "OK");
    heal(&mut server, 2);
}

#[test]
fn what_a_disk_refused_is_forgotten_when_the_file_is_turned_off() {
    let mut server = always();
    let reason = "No space left on device".to_owned();
    report(&mut server, AofReport::Failed { reason, on_fsync: false });
    server.run("CONFIG SET appendonly no");
    server.advance(60_000);
    server.run("CONFIG SET appendonly yes");
    report(&mut server, AofReport::Prepared(1, Ok(())));
    assert_eq!(server.output_of(1), "OK");
    assert_eq!(server.run("SET a 1"), "");
    server.advance(100);
    assert!(server.closed.is_empty(), "the disk has refused nothing since");
}

#[test]
fn a_stop_that_does_not_save_and_a_second_signal_wait_a_second_for_the_disk() {
    for (first, code) in [(None, 0), (Some(Signal::Terminate), 0)] {
        let mut server = always();
        server.run("SET a 1");
        server.connect(2);
        match first {
            None => drop(server.run_as(2, "SHUTDOWN NOSAVE")),
            Some(signal) => {
                server.server.signal(signal);
                server.advance(60_000);
                assert!(!server.server.take_tasks().iter().any(|task| matches!(task, Task::Stop { .. })));
                server.server.signal(signal);
            }
        }
        server.advance(999);
        assert!(!server.server.take_tasks().iter().any(|task| matches!(task, Task::Stop { .. })));
        server.advance(1);
        let tasks = server.server.take_tasks();
        assert!(matches!(tasks[..], [Task::Stop { exit_code }] if exit_code == code), "{tasks:?}");
    }
}

#[test]
fn a_file_that_cannot_be_flushed_keeps_no_server_from_stopping() {
    let mut server = always();
    server.server.rooms.config.save.clear();
    server.server.signal(Signal::Terminate);
    report(&mut server, AofReport::Flushed(Err("No space left on device".into())));
    assert!(matches!(server.server.take_tasks()[..], [Task::Stop { exit_code: 0 }]));
}

#[test]
fn a_slow_disk_makes_writers_wait_after_two_seconds_and_no_longer_than_it_takes() {
    let mut server = everysec();
    disk(&server, 0, true);
    assert_eq!(server.run("SET a 1"), "");
    server.advance(100);
    assert_eq!(server.output_of(1), "OK");
    server.advance(1900);
    assert_eq!(server.run("SET b 1"), "OK", "not yet");
    server.advance(300);
    assert_eq!(server.run("SET c 1"), "", "it waits");
    server.connect(2);
    assert_eq!(server.run_as(2, "GET a"), "\"1\"");
    assert!(server.run_as(2, "INFO persistence").contains("aof_delayed_fsync:1"));
    disk(&server, handed(&server), false);
    server.advance(200);
    assert_eq!(server.output_of(1), "", "it runs, and waits for its place in the file");
    disk(&server, handed(&server), false);
    server.advance(0);
    assert_eq!(server.output_of(1), "OK");
}

#[test]
fn work_of_the_thread_that_took_long_is_told_by_the_latency_monitor() {
    let mut server = always();
    server.run("CONFIG SET latency-monitor-threshold 20");
    server.advance(0);
    assert_eq!(server.server.rooms.persistence.aof.gauges.slow_ns.load(Ordering::Relaxed), 20_000_000);
    report(&mut server, AofReport::Slow(AofWork::Write, 25_000_000));
    report(&mut server, AofReport::Slow(AofWork::Sync, 30_000_000));
    report(&mut server, AofReport::Slow(AofWork::Rename, 40_000_000));
    report(&mut server, AofReport::Slow(AofWork::Rename, 10_000_000));
    server.run("BGSAVE");
    report(&mut server, AofReport::Slow(AofWork::Write, 21_000_000));
    let events = server.server.rooms.stats.latency.events();
    let told: Vec<_> = events.iter().map(|(event, series)| (*event, series.worst_ms())).collect();
    let expected = [
        ("aof-fsync-always", 30),
        ("aof-rename", 40),
        ("aof-write", 25),
        ("aof-write-active-child", 21),
        ("aof-write-alone", 25),
    ];
    assert_eq!(told, expected);
}

#[test]
fn a_file_that_cannot_be_switched_to_ends_the_rewrite() {
    let mut server = everysec();
    server.run("BGREWRITEAOF");
    report(&mut server, AofReport::Prepared(1, Ok(())));
    report(&mut server, AofReport::Prepared(1, Err("gone".into())));
    assert!(matches!(server.server.take_tasks().last(), Some(Task::CancelSave)));
    let info = server.run("INFO persistence");
    assert!(info.contains("aof_rewrite_in_progress:0") && info.contains("aof_last_bgrewrite_status:err"));
    server.output_of(1);
    assert_eq!(server.run("BGREWRITEAOF"), "", "another can begin");
}

#[test]
fn a_rewrite_asked_for_while_a_shutdown_flushes_is_given_up() {
    let mut server = always();
    server.connect(2);
    server.run("SHUTDOWN SAVE");
    server.advance(0);
    assert!(orders(&mut server).ends_with("flush"));
    server.run_as(2, "BGREWRITEAOF");
    server.advance(0);
    report(&mut server, AofReport::Flushed(Ok(())));
    let tasks = server.server.take_tasks();
    let reasons = tasks.iter().filter_map(|task| match task {
        Task::Save(job) => Some(job.reason),
        _ => None,
    });
    assert_eq!(reasons.collect::<Vec<_>>(), [SaveReason::Shutdown], "the shutdown goes on: {tasks:?}");
}
