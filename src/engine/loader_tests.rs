//! Loads as clients see them: who waits for the end, for how long, and what is shown of a load that
//! fails.

use crate::aof::Manifest;
use crate::commands::testing::TestServer;
use crate::config::Protected;
use crate::persistence::{AofOrder, AofReport, LoadEnd, LoadPiece};
use crate::server::Task;
use crate::waiting::{Pause, PauseReason};

const REFUSED: &str = "(error) LOADING Redis is loading the dataset in memory";

/// A server that has begun to load, with clients 1 and 2.
fn loading() -> TestServer {
    let mut server = TestServer::new();
    server.connect(2);
    server.server.begin_loading();
    assert!(matches!(server.server.take_tasks()[..], [Task::Load(_)]));
    server
}

fn end(server: &mut TestServer) {
    server.server.load_ended(&Ok(Some(LoadEnd { cut_at: None })));
    server.advance(0);
}

#[test]
fn a_command_waits_for_a_load_that_ends_soon() {
    let mut server = loading();
    assert_eq!(server.pipeline_as(1, &["ECHO at-once", "INCR n", "ECHO behind"]), "\"at-once\"");
    assert_eq!(server.pipeline_as(2, &["MULTI", "INCR n", "EXEC"]), "OK");
    server.connect(3);
    assert!(server.run_as(3, "INFO").contains("loading:1"), "what is allowed runs at once");
    assert!(server.run_as(3, "INFO clients").contains("blocked_clients:2"));
    server.advance(999);
    end(&mut server);
    assert_eq!(server.output_of(1), "(integer) 1\n\"behind\"");
    assert_eq!(server.output_of(2), "QUEUED\n1) (integer) 2");
    assert_eq!(server.run("INCR n"), "(integer) 3");
    assert!(server.run_as(3, "INFO clients").contains("blocked_clients:0"));
}

#[test]
fn a_load_that_takes_long_is_told_to_all_who_have_waited_and_to_all_who_come() {
    let mut server = loading();
    assert_eq!(server.run("SET a 1"), "");
    server.advance(1001);
    assert_eq!(server.output_of(1), REFUSED);
    assert_eq!(server.run("SET a 1"), REFUSED);
    end(&mut server);
    assert_eq!(server.run("SET a 1"), "OK");
}

#[test]
fn a_client_that_leaves_while_it_waits_is_forgotten() {
    let mut server = loading();
    assert_eq!(server.run_as(2, "SET a 1"), "");
    server.disconnect(2);
    end(&mut server);
    assert_eq!(server.run("EXISTS a"), "(integer) 0");
}

/// Clients that a load holds back go on at its end, whatever else is held back then.
#[test]
fn the_end_of_a_load_releases_what_no_other_pause_holds() {
    let mut server = loading();
    server.server.rooms.waiting.pauses.pause(PauseReason::Client, Pause::Writes, None);
    assert_eq!(server.run("GET a"), "");
    assert_eq!(server.run_as(2, "SET a 1"), "");
    end(&mut server);
    assert_eq!(server.output_of(1), "(nil)");
    assert_eq!(server.output_of(2), "");
    server.server.rooms.waiting.pauses.unpause(PauseReason::Client);
    server.advance(0);
    assert_eq!(server.output_of(2), "OK");
}

#[test]
fn of_a_load_that_fails_nothing_is_shown_until_the_process_has_ended() {
    let fail: [fn(&mut TestServer); 2] = [
        |server| server.server.load_ended(&Err("it is damaged".to_owned())),
        |server| server.server.load_failed("it is damaged".to_owned()),
    ];
    for fail in fail {
        let mut server = loading();
        server.advance(1001);
        assert!(server.server.load_piece(LoadPiece::Size(7)).is_ok());
        fail(&mut server);
        assert_eq!(server.run("DBSIZE"), REFUSED);
        assert!(server.run("INFO persistence").contains("loading:1"));
        assert!(matches!(server.server.take_tasks()[..], [Task::Stop { exit_code: 1 }]));
    }
}

/// The owner asks the file's thread and goes on: the thread may be waiting for room in the owner's
/// queue.
#[test]
fn loading_the_file_anew_begins_when_its_thread_has_reported() {
    let mut server = TestServer::with(|config| config.enable_debug_command = Protected::Yes);
    server.connect(2);
    assert_eq!(server.pipeline_as(1, &["SET a 1", "DEBUG LOADAOF"]), "OK");
    assert!(server.server.take_tasks().iter().all(|task| !matches!(task, Task::LoadAof)));
    assert!(matches!(server.server.rooms.persistence.aof.take_orders().last(), Some(AofOrder::Reload)));
    assert_eq!(server.run_as(2, "SET a 2"), "", "writes wait");
    assert_eq!(server.run_as(2, "PING"), "", "behind its own write");
    server.server.aof_report(AofReport::MayReload(Ok(())));
    assert!(matches!(server.server.take_tasks()[..], [Task::LoadAof]));
    server.server.aof_reloaded(Manifest::default());
    server.advance(0);
    assert_eq!(server.output_of(1), "OK");
    assert_eq!(server.output_of(2), "OK\nPONG");
    assert_eq!(server.run("DEBUG LOADAOF"), "");
    server.server.aof_report(AofReport::MayReload(Err("disk full".to_owned())));
    server.advance(0);
    assert_eq!(server.output_of(1), "(error) ERR Error trying to load the AOF files, check server logs.");
    assert_eq!(server.run("GET a"), "\"2\"", "nothing was emptied");
}
