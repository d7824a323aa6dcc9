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
