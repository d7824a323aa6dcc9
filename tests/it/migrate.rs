//! MIGRATE between processes, and what other clients see meanwhile.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

use crate::support::{Client, LIMIT, RealServer, Server, within_limit};

const DEBUG: [&str; 2] = ["--enable-debug-command", "yes"];

const FILL: [&str; 6] = [
    "SET string value",
    "RPUSH list a b 1 2",
    "SADD set a b 3",
    "HSET hash f v g 2",
    "ZADD zset 1 a 2.5 b",
    "PFADD hll a b c",
];
const KEYS: &str = "string list set hash zset hll";

#[test]
fn keys_travel_to_a_real_redis_and_back() {
    let ours = Server::start(&DEBUG);
    let Some(real) = RealServer::start(&[]) else { return };
    let (mut here, mut there) = (ours.client(), Client::connect(real.port));
    FILL.iter().for_each(|line| _ = here.run(line));
    assert_eq!(here.run("PEXPIREAT string 9999999999999"), "(int) 1");
    let digest = here.run("DEBUG DIGEST");
    let to = |port: u16, rest: &str| format!("MIGRATE 127.0.0.1 {port}  0 5000 {rest}KEYS {KEYS}");
    assert_eq!(here.run(&to(real.port, "COPY ")), "OK");
    assert_eq!(here.run("DBSIZE"), "(int) 6");
    assert_eq!(there.run("DEBUG DIGEST"), digest);
    assert_eq!(
        here.run(&to(real.port, "")),
        "-ERR Target instance replied with error: BUSYKEY Target key name already exists."
    );
    assert_eq!(here.run(&to(real.port, "REPLACE ")), "OK");
    assert_eq!(here.run("DBSIZE"), "(int) 0");
    assert_eq!(there.run("DEBUG DIGEST"), digest);
    assert_eq!(there.run(&to(ours.port(), "")), "OK");
    assert_eq!(here.run("DEBUG DIGEST"), digest);
    assert_eq!(here.run(&to(real.port, "")), "OK", "the connection was kept");
}

#[test]
fn keys_sent_to_the_server_itself_stay() {
    let ours = Server::start(&[]);
    let mut here = ours.client();
    here.run("MSET a 1 b 2");
    for name in ["127.0.0.1", "localhost"] {
        for rest in ["0 5000 REPLACE KEYS a b", "7 5000 KEYS a b", "0 5000 COPY REPLACE KEYS a b"] {
            let line = format!("MIGRATE {name} {}  {rest}", ours.port());
            assert_eq!(here.run(&line), "-IOERR error or timeout reading to target instance", "{line}");
            assert_eq!(here.run("MGET a b"), "[\"1\", \"2\"]", "{line}");
            here.run("SELECT 7");
            here.run("FLUSHDB");
            here.run("SELECT 0");
        }
    }
}

#[test]
fn others_are_served_while_the_target_takes_its_time() {
    let ours = Server::start(&[]);
    let (mut waiting, mut other) = (ours.client(), ours.client());
    let target = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = target.local_addr().unwrap().port();
    for line in ["SET stays 1", "SET goes 1"] {
        other.run(line);
    }
    waiting.send(&format!("MIGRATE 127.0.0.1 {port}  3 60000 KEYS stays goes"));
    let (mut connection, _) = within_limit("MIGRATE connects", move || target.accept().unwrap());
    connection.set_read_timeout(Some(LIMIT)).unwrap();
    let mut sent = BufReader::new(connection.try_clone().unwrap()).lines();
    assert_eq!(sent.find(|line| line.as_ref().is_ok_and(|line| line == "goes")).unwrap().unwrap(), "goes");
    // Both are on their way, and the target has not answered.
    assert_eq!(other.run("SET stays 2"), "OK");
    connection.write_all(b"+OK\r\n+OK\r\n+OK\r\n").unwrap();
    assert!(waiting.reply().starts_with("-ERR Key changed while it was migrated"));
    assert_eq!(other.run("MGET stays goes"), "[\"2\", (nil)]");
    assert_eq!(waiting.run("PING"), "PONG");
}
