//! `maxmemory` with a real allocator.

use crate::support::{Client, Server};

fn memory(client: &mut Client, field: &str) -> u64 {
    let info = client.run("INFO all");
    let line = info.split("\\r\\n").find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {field} in {info}"))
}

#[test]
fn small_keys_keep_to_the_limit_and_no_more_go_than_must() {
    /// What buffers and tables may take beside it, bytes.
    const SLACK: u64 = 64 << 10;
    let server = Server::start(&[]);
    let mut client = server.client();
    let fill = |client: &mut Client, from: usize, to: usize| {
        // Few at a time: what waits in buffers counts too.
        for index in (from..to).step_by(50) {
            (index..index + 50).for_each(|index| client.send(&format!("SET key:{index} value:{index}")));
            (index..index + 50).for_each(|_| assert_eq!(client.reply(), "OK"));
        }
    };
    fill(&mut client, 0, 40_000);
    let limit = memory(&mut client, "used_memory");
    client.run(&format!("CONFIG SET maxmemory {limit} maxmemory-policy allkeys-random"));
    for round in 0..5 {
        let from = 40_000 + round * 8000;
        fill(&mut client, from, from + 8000);
        assert!(memory(&mut client, "used_memory") < limit + SLACK);
    }
    // Nothing goes any more while it is counted.
    client.run("CONFIG SET maxmemory 0");
    let left: usize = client.run("DBSIZE").trim_start_matches("(int) ").parse().expect("a number of keys");
    let evicted = memory(&mut client, "evicted_keys");
    assert_eq!(left as u64 + evicted, 80_000);
    assert!(left > 28_000, "of 40000 keys that fit {left} are left");
}

#[test]
fn pipelines_of_others_cost_a_small_data_set_no_keys() {
    /// What memory that goes round may come to, bytes; a few pipelines take several times as much.
    const SLACK: u64 = 1 << 20;
    const COMMANDS: usize = 3000;
    let server = Server::start(&[]);
    let mut client = server.client();
    for index in 0..500 {
        client.run(&format!("SET key:{index} value"));
    }
    let readers: Vec<_> = (0..4).map(|_| server.client()).collect();
    let limit = memory(&mut client, "used_memory") + SLACK;
    client.run(&format!("CONFIG SET maxmemory {limit} maxmemory-policy allkeys-random"));
    let pipeline =
        b"*2\r\n$6\r\nSTRLEN\r\n$5\r\nkey:7\r\n*2\r\n$4\r\nECHO\r\n$20\r\nabcdefghijklmnopqrst\r\n";
    let pipeline = std::sync::Arc::new(pipeline.repeat(COMMANDS / 2));
    let threads: Vec<_> = readers
        .into_iter()
        .map(|mut reader| {
            let pipeline = std::sync::Arc::clone(&pipeline);
            std::thread::spawn(move || {
                for _ in 0..20 {
                    reader.send_raw(&pipeline);
                    (0..COMMANDS).for_each(|_| drop(reader.value()));
                }
            })
        })
        .collect();
    while threads.iter().any(|thread| !thread.is_finished()) {
        assert_eq!(client.run("SET key:1 value"), "OK");
    }
    threads.into_iter().for_each(|thread| thread.join().expect("a reader gets its answers"));
    assert_eq!(memory(&mut client, "evicted_keys"), 0);
    assert_eq!(client.run("DBSIZE"), "(int) 500");
}

#[test]
fn what_eviction_tells_trackers_leads_to_no_more_of_it() {
    const KEYS: usize = 300;
    let server =
        Server::start(&["--maxmemory-policy", "allkeys-lru", "--maxmemory-eviction-tenacity", "100"]);
    let mut client = server.client();
    let mut trackers: Vec<_> = (0..10).map(|_| server.client()).collect();
    for tracker in &mut trackers {
        tracker.show(&[b"HELLO", b"3"]);
        tracker.show(&[b"CLIENT", b"TRACKING", b"ON"]);
    }
    for index in 0..KEYS {
        let key = format!("{index}:{}", "x".repeat(1000));
        client.run(&format!("SET {key} value"));
        for tracker in &mut trackers {
            assert_eq!(tracker.show(&[b"GET", key.as_bytes()]), "\"value\"");
        }
    }
    let limit = memory(&mut client, "used_memory") - 40_000;
    client.run(&format!("CONFIG SET maxmemory {limit}"));
    // Each of these looks at the limit again.
    (0..10).for_each(|_| drop(client.run("PING")));
    let evicted = memory(&mut client, "evicted_keys");
    assert!((10..=60).contains(&evicted), "{evicted} of {KEYS} keys are evicted for 40 of their kilobytes");
}

#[test]
fn what_was_freed_is_given_back_to_the_system() {
    const KEYS: usize = 400_000;
    let server = Server::start(&["--enable-debug-command", "yes"]);
    let mut client = server.client();
    let empty = memory(&mut client, "used_memory_rss");
    client.run(&format!("DEBUG POPULATE {KEYS} key 20"));
    let full = memory(&mut client, "used_memory_rss");
    assert!(full > empty + (15 << 20), "{empty}, then {full}");
    client.run("FLUSHALL");
    // Every question is a round trip, so this is no busy loop.
    let is_small = |resident: u64| resident < empty + (full - empty) / 4;
    assert!((0..1_000_000).any(|_| is_small(memory(&mut client, "used_memory_rss"))));
}
