//! Tests of scripts that are stopped: by SCRIPT KILL, and by `script-max-time`. Rolling back is
//! ours.

use super::eval_tests::{eval, filled};
use crate::base::ClientId;
use crate::base::text::split_args;
use crate::commands::testing::{TestServer, always};
use crate::persistence::AofReport;
use crate::resp::{OwnedArgv, Requests};
use crate::server::{BusyServer, Ear};
use std::cell::RefCell;
use std::rc::Rc;

/// Lines that others send while a script runs, and what they are answered.
#[derive(Clone)]
struct TestEar(Rc<RefCell<Heard>>);

#[derive(Default)]
struct Heard {
    lines: Vec<(u64, &'static str)>,
    answers: Vec<String>,
}

impl Ear for TestEar {
    fn listen(&mut self, busy: &mut dyn BusyServer) {
        let Heard { lines, answers } = &mut *self.0.borrow_mut();
        for (id, line) in lines.drain(..) {
            let words = split_args(line.as_bytes()).expect("quotes are balanced");
            let argv = OwnedArgv::from_parts(words.iter().map(Vec::as_slice));
            drop(busy.requests(ClientId(id), Requests::single(argv)));
            busy.take_outputs(&mut |_, bytes, _| {
                answers.push(String::from_utf8_lossy(&std::mem::take(bytes)).into_owned());
            });
        }
    }

    fn wait(&mut self, busy: &mut dyn BusyServer) {
        self.listen(busy);
    }
}

/// A server in which a millisecond passes at each look at the clock, and what it hears meanwhile.
fn slow_server(lines: &[(u64, &'static str)]) -> (TestServer, TestEar) {
    slow(filled(), lines)
}

fn slow(mut server: TestServer, lines: &[(u64, &'static str)]) -> (TestServer, TestEar) {
    server.connect(2);
    server.run("CONFIG SET busy-reply-threshold 10");
    let ear = TestEar(Rc::new(RefCell::new(Heard { lines: lines.to_vec(), answers: Vec::new() })));
    server.server.rooms.outside.ear = Some(Box::new(ear.clone()));
    server.take_us_per_look(1000);
    (server, ear)
}

const ENDLESS: &str = "while true do end";

#[test]
fn a_script_that_takes_too_long_can_be_stopped() {
    let (mut server, ear) = slow_server(&[
        (2, "GET k"),
        (2, "FUNCTION KILL"),
        (2, "SHUTDOWN"),
        (2, "MULTI"),
        (2, "SET k x"),
        (2, "DISCARD"),
        (2, "SCRIPT KILL"),
    ]);
    let answer =
        eval(&mut server, "pcall(function() while true do end end) while true do pcall(error, 'x') end");
    assert_eq!(
        answer.split(" script: ").next(),
        Some("(error) ERR Script killed by user with SCRIPT KILL...")
    );
    let busy = "-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.\r\n";
    let answers = &ear.0.borrow().answers;
    assert_eq!(answers[..], [busy, busy, busy, "+OK\r\n", busy, "+OK\r\n", "+OK\r\n"]);
    assert_eq!(server.run("GET k"), "\"v\"");
}

#[test]
fn a_script_that_has_written_is_stopped_only_with_its_changes() {
    let (mut server, ear) = slow_server(&[(2, "SCRIPT KILL"), (2, "SCRIPT KILL ROLLBACK")]);
    server.effects();
    let before = server.run("DEBUG DIGEST");
    eval(&mut server, &format!("redis.call('set','k','other') {ENDLESS}"));
    assert!(
        ear.0.borrow().answers[0].starts_with("-UNKILLABLE Sorry the script already executed write commands")
    );
    assert_eq!(ear.0.borrow().answers[1], "+OK\r\n");
    assert_eq!(server.run("DEBUG DIGEST"), before);
    assert_eq!(server.effects(), "");
}

#[test]
fn script_max_time_stops_a_script_and_undoes_what_it_did() {
    let (mut server, _) = slow_server(&[]);
    server.run("CONFIG SET script-max-time 50 notify-keyspace-events EA");
    server.run_as(2, "PSUBSCRIBE *");
    server.output_of(2);
    server.connect(3);
    server.run_as(3, "WATCH k l");
    server.run("PEXPIRE n 1000000");
    for line in ["XADD x 1-1 f v", "SETBIT bits 3 1", "PFADD hll a", "GEOADD geo 1 2 m"] {
        server.run(line);
    }
    server.output_of(2);
    server.effects();
    let seen = |server: &mut TestServer| {
        let lines = ["DEBUG DIGEST", "DBSIZE", "PEXPIRETIME n", "XINFO STREAM x FULL"];
        (lines.map(|line| server.run(line)), server.dirty())
    };
    let before = seen(&mut server);
    let writes = "redis.call('append','k','x') redis.call('persist','n') redis.call('hset','h','f','w','g','x')
        redis.call('sadd','s','b') redis.call('zincrby','z',1,'m') redis.call('lpop','l') redis.call('del','bits')
        redis.call('xadd','x','2-1','f','v') redis.call('pfadd','hll','b') redis.call('geoadd','geo',3,4,'n')
        redis.call('set','new','x','ex',100) redis.call('rename','s','t') redis.call('publish','c','m')
        redis.call('select',1) redis.call('set','k','v') redis.call('swapdb',0,1) redis.call('flushall')";
    let answer = eval(&mut server, &format!("{writes} {ENDLESS}"));
    let line =
        "(error) ERR Script stopped: it ran for longer than script-max-time (50 ms). Its changes are undone.";
    assert_eq!(answer.split(" script: ").next(), Some(line));
    assert_eq!(seen(&mut server), before);
    assert_eq!((server.effects(), server.output_of(2)), (String::new(), String::new()));
    assert_eq!(server.pipeline_as(3, &["MULTI", "PING", "EXEC"]), "OK\nQUEUED\n1) PONG");
    // One that is fast enough is not stopped.
    assert_eq!(eval(&mut server, "return redis.call('append','k','x')"), "(integer) 2");
}

#[test]
fn who_wrote_in_the_same_turn_is_not_answered_before_its_end() {
    let lines = [(2, "PING"), (3, "PING"), (3, "SCRIPT KILL")];
    let (mut server, ear) = slow(always(), &lines);
    (3..=4).for_each(|id| server.connect(id));
    server.run_as(4, "SUBSCRIBE news");
    server.output_of(4);
    server.turn_of(&[(2, "SET k v"), (2, "PUBLISH news k"), (1, &format!("EVAL \"{ENDLESS}\" 0"))]);
    let answers = &ear.0.borrow().answers;
    assert_eq!(answers.len(), 2, "{answers:?}");
    assert!(answers[0].starts_with("-BUSY") && answers[1] == "+OK\r\n", "{answers:?}");
    assert_eq!((server.output_of(2), server.output_of(4)), (String::new(), String::new()));
    let end = server.server.rooms.persistence.aof.handed_bytes();
    server.server.aof_report(AofReport::Synced(end));
    server.advance(0);
    assert!(server.output_of(2).starts_with("OK\n(integer) 1\n(error) BUSY"));
    assert!(server.output_of(4).ends_with("\"k\""));
}
