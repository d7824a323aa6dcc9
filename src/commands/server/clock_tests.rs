//! The two clocks: what waits or is measured goes by the one that nobody can set, deadlines of keys
//! by the other; and the time goes on within a turn.

use std::sync::atomic::Ordering;

use crate::commands::testing::TestServer;
use crate::config::{Protected, SavePoint};
use crate::server::{Aof, AofOpened, Task};

const DAY_MS: i64 = 86_400_000;
/// The jumps of the time of day in the middle of each test.
const JUMPS: [i64; 3] = [0, DAY_MS, -DAY_MS];

fn debugged() -> TestServer {
    TestServer::with(|config| config.enable_debug_command = Protected::Yes)
}

/// True when a save has been asked for.
fn saves(server: &mut TestServer) -> bool {
    server.server.take_tasks().iter().any(|task| matches!(task, Task::Save(_)))
}

fn field(server: &mut TestServer, section: &str, name: &str) -> i64 {
    let info = server.raw(&format!("INFO {section}"));
    let line = info.lines().find_map(|line| line.strip_prefix(&format!("{name}:")));
    line.and_then(|value| value.trim().parse().ok()).expect("a number")
}

#[test]
fn whoever_waits_waits_as_long_as_he_said() {
    for (line, answer) in [
        ("BLPOP list 2", "(nil)"),
        ("BZPOPMIN set 2", "(nil)"),
        ("BLMOVE a b LEFT LEFT 2", "(nil)"),
        ("WAIT 1 2000", "(integer) 0"),
    ] {
        for jump in JUMPS {
            let mut server = TestServer::new();
            assert_eq!(server.run(line), "");
            server.advance(1000);
            server.set_clock_forward(jump);
            server.advance(999);
            assert_eq!(server.output_of(1), "", "{line}: too early after {jump}");
            server.advance(1);
            assert_eq!(server.output_of(1), answer, "{line}: too late after {jump}");
        }
    }
}

#[test]
fn the_owner_sleeps_no_longer_than_until_the_next_periodic_work() {
    for jump in JUMPS {
        let mut server = TestServer::new();
        server.set_clock_forward(jump);
        server.advance(40);
        assert!((1..=100).contains(&server.server.next_wake_ms()), "after {jump}");
        server.run("BLPOP list 0.05");
        assert!((1..=50).contains(&server.server.next_wake_ms()), "after {jump}");
    }
}

#[test]
fn a_pause_lasts_as_long_as_it_was_to() {
    for jump in JUMPS {
        let mut server = TestServer::new();
        server.connect(2);
        server.run("CLIENT PAUSE 2000");
        assert_eq!(server.run_as(2, "GET a"), "");
        server.set_clock_forward(jump);
        server.advance(1999);
        assert_eq!(server.output_of(2), "", "{jump}");
        server.advance(2);
        assert_eq!(server.output_of(2), "(nil)", "{jump}");
    }
}

#[test]
fn save_points_and_save_times_go_on_whatever_the_time_of_day() {
    for jump in JUMPS {
        let mut server = TestServer::with(|config| config.save = vec![SavePoint { seconds: 10, changes: 1 }]);
        server.run("SET a 1");
        server.set_clock_forward(jump);
        server.advance(10_000);
        assert!(!saves(&mut server), "{jump}: too early");
        server.advance(1_000);
        assert!(saves(&mut server), "{jump}");
        server.set_clock_forward(-jump);
        server.advance(3_000);
        assert_eq!(field(&mut server, "persistence", "rdb_current_bgsave_time_sec"), 3, "{jump}");
    }
}

#[test]
fn idle_clients_are_closed_by_the_time_they_were_idle() {
    for jump in JUMPS {
        let mut server = TestServer::with(|config| config.timeout = 5);
        server.set_clock_forward(jump);
        server.advance(5000);
        assert!(server.closed.is_empty(), "{jump}");
        server.advance(101);
        assert_eq!(server.closed.len(), 1, "{jump}");
    }
}

#[test]
fn a_password_behind_a_wrong_one_is_looked_at_after_its_delay() {
    for jump in JUMPS {
        let mut server = TestServer::with(|config| config.requirepass = "secret".into());
        assert!(server.run("AUTH wrong").starts_with("(error) WRONGPASS"), "{jump}");
        server.set_clock_forward(jump);
        assert_eq!(server.run("AUTH secret"), "", "{jump}");
        server.advance(4);
        assert_eq!(server.output_of(1), "", "{jump}");
        server.advance(1);
        assert_eq!(server.output_of(1), "OK", "{jump}");
    }
}

#[test]
fn ages_are_shown_by_the_time_that_has_passed() {
    for jump in JUMPS {
        let mut server = debugged();
        server.connect(2);
        server.run("SET a 1");
        server.run("ACL SETUSER u on nopass -@all +auth");
        server.run_as(2, "AUTH u x");
        server.run_as(2, "GET a");
        server.advance(3000);
        server.set_clock_forward(jump);
        server.advance(4000);
        let list = server.run("CLIENT LIST ID 2");
        assert!(list.contains(" age=7 idle=7 "), "{jump}: {list}");
        assert_eq!(server.run("OBJECT IDLETIME a"), "(integer) 7", "{jump}");
        assert!(
            server.run("DEBUG OBJECT a").contains("lru_seconds_idle:7"),
            "{jump}: {}",
            server.run("DEBUG OBJECT a")
        );
        assert_eq!(field(&mut server, "server", "uptime_in_seconds"), 7, "{jump}");
        assert!(
            server.run("ACL LOG").contains("\"age-seconds\"\n   12) \"7\""),
            "{jump}: {}",
            server.run("ACL LOG")
        );
    }
}

#[test]
fn how_often_a_key_was_used_is_forgotten_by_the_minutes_that_have_passed() {
    for jump in JUMPS {
        let mut server = TestServer::new();
        server.run("CONFIG SET maxmemory-policy allkeys-lfu");
        server.run("SET a 1");
        server.set_clock_forward(jump);
        server.advance(120_000);
        assert_eq!(server.run("OBJECT FREQ a"), "(integer) 3", "{jump}");
    }
}

#[test]
fn writers_wait_for_a_file_that_is_behind_and_no_longer() {
    for jump in JUMPS {
        let mut server = TestServer::with(|config| config.appendonly = true);
        let mut opened = AofOpened::default();
        opened.manifest.next_incr(&Aof::names(&server.server.rooms.config));
        server.server.aof_opened(opened);
        server.connect(2);
        server.server.rooms.persistence.aof.gauges.is_at_disk.store(true, Ordering::Relaxed);
        assert_eq!(server.run("SET a 1"), "");
        server.set_clock_forward(jump);
        assert_eq!(server.output_of(1), "", "{jump}: answers wait for five milliseconds");
        server.advance(5);
        assert_eq!(server.output_of(1), "OK", "{jump}");
        server.advance(2101);
        assert_eq!(server.run_as(2, "SET a 2"), "", "{jump}: the disk is behind");
        server.set_clock_forward(-jump);
        let handed = server.server.rooms.persistence.aof.handed_bytes();
        server.server.rooms.persistence.aof.gauges.written.store(handed, Ordering::Relaxed);
        server.advance(100);
        server.server.rooms.persistence.aof.gauges.written.store(u64::MAX, Ordering::Relaxed);
        server.advance(5);
        assert_eq!(server.output_of(2), "OK", "{jump}");
    }
}

#[test]
fn keys_expire_by_the_time_of_day() {
    let mut server = TestServer::new();
    server.check(&[("SET a 1 PX 5000", "OK"), ("SET b 1 PX 5000", "OK")]);
    server.set_clock_forward(-1000);
    assert_eq!(server.run("PTTL a"), "(integer) 6000");
    server.set_clock_forward(6000);
    server.check(&[("PTTL a", "(integer) 0"), ("EXISTS b", "(integer) 1")]);
    server.set_clock_forward(1);
    server.check(&[("PTTL a", "(integer) -2"), ("DBSIZE", "(integer) 0")]);
}

#[test]
fn what_others_run_in_the_same_turn_is_not_taken_off_a_deadline() {
    let mut server = debugged();
    server.connect(2);
    server.connect(3);
    server.turn_of(&[(1, "DEBUG SLEEP 2"), (2, "SET lock x NX PX 500"), (3, "BLPOP list 1")]);
    assert_eq!((server.output_of(1), server.output_of(2)), ("OK".to_owned(), "OK".to_owned()));
    assert_eq!(server.run_as(2, "PTTL lock"), "(integer) 500");
    assert_eq!(server.run_as(2, "CLIENT LIST ID 3").matches("idle=0").count(), 1);
    server.advance(999);
    assert_eq!(server.output_of(3), "");
    server.advance(1);
    assert_eq!(server.output_of(3), "(nil)");
    let lines = ["SET b x PX 100", "DEBUG SLEEP 1", "SET a x PX 500", "PTTL a", "EXISTS b"];
    assert_eq!(server.pipeline_as(1, &lines), "OK\nOK\nOK\n(integer) 500\n(integer) 0");
}

#[test]
fn within_a_transaction_the_time_stands_still() {
    let mut server = debugged();
    let lines = ["MULTI", "SET a x PX 500", "DEBUG SLEEP 1", "PTTL a", "EXEC", "EXISTS a"];
    let answers = server.pipeline_as(1, &lines);
    assert!(answers.ends_with("1) OK\n2) OK\n3) (integer) 500\n(integer) 0"), "{answers}");
}
