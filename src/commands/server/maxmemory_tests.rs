//! The effects of `maxmemory` on clients that send commands: tests of `server::evict` and
//! `server::lazyfree` through them.

use crate::commands::testing::TestServer;
use crate::keyspace::{Db, Keyspace};
use crate::memory::Account;
use crate::server::Clock;
use std::cell::Cell;

fn table_bytes(keyspace: &Keyspace) -> u64 {
    keyspace.iter().map(Db::table_bytes).sum::<usize>() as u64
}

/// A server whose limit is about what `keys` keys take.
fn full(policy: &str, keys: usize, volatile: impl Fn(usize) -> bool) -> TestServer {
    let mut server = TestServer::new();
    server.server.rooms.memory.eviction.used_bytes = table_bytes;
    server.server.rooms.memory.eviction.own_bytes = |keyspace| table_bytes(keyspace) as i64;
    for index in 0..keys {
        let ttl = if volatile(index) { format!(" PX {}", 1_000_000 + index) } else { String::new() };
        server.run(&format!("SET key:{index} value{ttl}"));
    }
    let used = table_bytes(&server.server.keyspace);
    server.run(&format!("CONFIG SET maxmemory {used} maxmemory-policy {policy}"));
    server
}

fn number(server: &mut TestServer, line: &str) -> usize {
    server.run(line).trim_start_matches("(integer) ").parse().expect("a number")
}

#[test]
fn without_eviction_commands_that_use_memory_are_refused_and_reading_goes_on() {
    let mut server = full("noeviction", 500, |_| false);
    assert_eq!(server.run("SET more value"), "OK", "the limit is reached, not passed");
    while table_bytes(&server.server.keyspace) <= server.server.rooms.config.maxmemory {
        let len = number(&mut server, "DBSIZE");
        server.run(&format!("SET more:{len} value"));
    }
    let oom = "(error) OOM command not allowed when used memory > 'maxmemory'.";
    assert_eq!(server.run("SET even-more value"), oom);
    assert_eq!(server.run("GET key:1"), "\"value\"");
    assert_eq!(server.run("DEL key:1"), "(integer) 1");
    assert_eq!(server.run("MULTI"), "OK");
    assert_eq!(server.run("GET key:2"), oom, "queueing uses memory");
    assert_eq!(server.run("EXEC"), "(error) EXECABORT Transaction discarded because of previous errors.");
    assert_eq!(server.run("CONFIG SET maxmemory 0"), "OK");
    assert_eq!(server.run("SET even-more value"), "OK");
}

#[test]
fn every_policy_keeps_to_the_limit_and_takes_only_what_it_may() {
    let policies = [
        "allkeys-lru",
        "allkeys-lfu",
        "allkeys-random",
        "volatile-lru",
        "volatile-lfu",
        "volatile-random",
        "volatile-ttl",
    ];
    for policy in policies {
        let mut server = full(policy, 2000, |index| index % 2 == 0);
        for index in 2000..3000 {
            assert_eq!(server.run(&format!("SET key:{index} value PX 9000000")), "OK", "{policy}");
        }
        server.run("PING");
        let limit = server.server.rooms.config.maxmemory;
        assert!(table_bytes(&server.server.keyspace) <= limit, "{policy}");
        let evicted = server.server.rooms.stats.counters.evicted_keys;
        assert!(evicted > 300, "{policy}: {evicted}");
        let stay = (0..2000).filter(|index| index % 2 == 1);
        let lasting =
            stay.filter(|index| server.run(&format!("EXISTS key:{index}")) == "(integer) 1").count();
        assert_eq!(policy.starts_with("volatile"), lasting == 1000, "{policy}: {lasting} of 1000 stay");
    }
}

#[test]
fn under_volatile_ttl_the_next_to_expire_goes_first() {
    let mut server = full("volatile-ttl", 1000, |index| index < 500);
    let used = table_bytes(&server.server.keyspace);
    server.run(&format!("CONFIG SET maxmemory {}", used * 9 / 10));
    server.run("PING");
    let left: Vec<_> =
        (0..500).filter(|index| server.run(&format!("EXISTS key:{index}")) == "(integer) 1").collect();
    assert!(!left.is_empty() && left.len() < 500);
    assert_eq!(left, (500 - left.len()..500).collect::<Vec<_>>());
}

#[test]
fn an_evicted_key_is_propagated_before_the_command_that_needed_its_room() {
    let mut server = full("allkeys-random", 3, |_| false);
    server.run("CONFIG SET lazyfree-lazy-eviction yes");
    server.effects();
    let limit = server.server.rooms.config.maxmemory;
    server.run(&format!("CONFIG SET maxmemory {}", limit - 1));
    server.run("SET key:new value");
    let effects = server.effects();
    assert!(effects.contains("UNLINK key:") && effects.contains("SET key:new value"), "{effects}");
    assert!(effects.find("UNLINK") < effects.find("SET"), "{effects}");
}

#[test]
fn a_volatile_policy_without_volatile_keys_is_like_none() {
    let mut server = full("volatile-lru", 500, |_| false);
    let limit = server.server.rooms.config.maxmemory;
    server.run(&format!("CONFIG SET maxmemory {}", limit - 4096));
    assert_eq!(
        server.run("SET more value"),
        "(error) OOM command not allowed when used memory > 'maxmemory'."
    );
    assert_eq!(number(&mut server, "DBSIZE"), 500);
}

#[test]
fn what_a_snapshot_holds_is_not_evicted_for_in_vain() {
    let mut server = full("allkeys-random", 2000, |_| false);
    assert_eq!(server.run("BGSAVE"), "Background saving started");
    // The task is not carried out, so the snapshot is held and no page can be changed in place.
    let used = table_bytes(&server.server.keyspace);
    server.run("CONFIG SET maxmemory 998000");
    server.server.rooms.memory.eviction.used_bytes = |_| 1_000_000;
    server.run("PING");
    let left = number(&mut server, "DBSIZE");
    assert!((1900..2000).contains(&left), "{left} of 2000 keys in {used} bytes");
    assert_eq!(server.run("SET more value"), "OK");
}

#[test]
fn a_big_value_that_is_being_freed_does_not_count() {
    let mut server = full("allkeys-lru", 100, |_| false);
    server.run("CONFIG SET maxmemory 0");
    let words: String = (0..1000).map(|index| format!(" element:{index}")).collect();
    server.run(&format!("RPUSH big{words}"));
    let used = table_bytes(&server.server.keyspace);
    server.run("CONFIG SET maxmemory 992000");
    assert_eq!(server.run("DEL big"), "(integer) 1");
    assert!(server.server.rooms.memory.ledger.charged_bytes(Account::LazyFree) > 8000);
    server.server.rooms.memory.eviction.used_bytes = |_| 1_000_000;
    server.run("PING");
    assert_eq!(number(&mut server, "DBSIZE"), 100, "of {used} bytes nothing had to go");
}

#[test]
fn statistics_of_eviction_are_reset() {
    let mut server = full("noeviction", 10, |_| false);
    server.server.rooms.memory.eviction.used_bytes = |_| 1_000_000;
    server.run("CONFIG SET maxmemory 1000");
    server.run("PING");
    server.advance(1500);
    let stats = server.run("INFO stats");
    assert!(stats.contains("current_eviction_exceeded_time:1500"), "{stats}");
    server.run("CONFIG RESETSTAT");
    server.run("CONFIG SET maxmemory 0");
    let stats = server.run("INFO stats");
    assert!(stats.contains("total_eviction_exceeded_time:0"), "{stats}");
}

#[test]
fn a_watched_key_that_is_evicted_has_changed() {
    let mut server = full("allkeys-random", 1, |_| false);
    server.run("WATCH key:0");
    server.run("MULTI");
    assert_eq!(server.run("PING"), "QUEUED");
    server.server.rooms.config.maxmemory = 1;
    assert_eq!(server.run("EXEC"), "(nil)");
}

#[test]
fn what_is_on_its_way_to_be_freed_is_counted_until_it_is_dropped() {
    let mut server = TestServer::new();
    for index in 0..200 {
        server.run(&format!("RPUSH l {index}"));
    }
    server.run("UNLINK l");
    let ledger = server.server.rooms.memory.ledger;
    let pending = || (ledger.lazyfree_objects(), ledger.charged_bytes(Account::LazyFree));
    let (objects, bytes) = pending();
    assert!(objects == 1 && bytes > 200, "{objects} in {bytes}");
    assert!(server.run("INFO memory").contains("lazyfree_pending_objects:1"));
    server.server.take_tasks();
    assert_eq!(pending(), (0, 0));
}

#[test]
fn the_arguments_of_a_big_command_need_room_before_it_runs() {
    const KEYS: usize = 2000;
    let mut server = full("noeviction", KEYS, |_| false);
    let limit = server.server.rooms.config.maxmemory + 50_000;
    server.run(&format!("CONFIG SET maxmemory {limit}"));
    let oom = "(error) OOM command not allowed when used memory > 'maxmemory'.";
    let value = "v".repeat(60_000);
    assert_eq!(server.run(&format!("SET big {value}")), oom);
    assert_eq!(number(&mut server, "EXISTS big"), 0);
    assert_eq!(server.run(&format!("SET big {}", &value[..40_000])), "OK");
    assert_eq!(number(&mut server, "DBSIZE"), KEYS + 1);
    server.run("CONFIG SET maxmemory-policy allkeys-random");
    assert_eq!(server.run(&format!("SET other {value}")), "OK");
    assert_eq!(number(&mut server, "STRLEN other"), 60_000);
    let left = number(&mut server, "DBSIZE");
    assert!((1..KEYS).contains(&left), "keys made room for it: {left}");
}

#[test]
fn subscribers_and_trackers_hear_of_an_eviction_in_order() {
    let mut server = full("volatile-ttl", 3, |index| index == 1);
    server.run("CONFIG SET notify-keyspace-events KEA");
    (2..=3).for_each(|id| server.connect(id));
    server.run_as(2, "PSUBSCRIBE __key*__:*");
    server.run_as(3, "HELLO 3");
    server.run_as(3, "CLIENT TRACKING ON");
    server.run_as(3, "GET key:1");
    server.effects();
    let limit = server.server.rooms.config.maxmemory;
    server.run(&format!("CONFIG SET maxmemory {}", limit - 1));
    server.run("PING");
    let heard = server.output_of(2);
    let key = heard.find("__keyspace@0__:key:1").expect("the key's own channel");
    let event = heard.find("__keyevent@0__:evicted").expect("the event's channel");
    assert!(key < event && !heard.contains("del"), "{heard}");
    let told = server.output_of(3);
    assert!(told.contains("invalidate") && told.contains("key:1"), "{told}");
    assert_eq!(server.effects(), "DEL key:1");
    assert_eq!(number(&mut server, "DBSIZE"), 2);
}

#[test]
fn a_transaction_makes_room_once_before_it_runs_and_is_propagated_after_what_went() {
    let mut server = full("allkeys-random", 200, |_| false);
    for line in ["MULTI", "SET a value", "SET b value"] {
        server.run(line);
    }
    server.effects();
    let limit = server.server.rooms.config.maxmemory;
    server.server.rooms.config.maxmemory = limit - 1;
    assert_eq!(server.run("EXEC"), "1) OK\n2) OK");
    let effects = server.effects();
    let (gone, exec) = (effects.find("DEL key:"), effects.find("MULTI | SET a value | SET b value | EXEC"));
    assert!(gone.is_some() && gone < exec, "{effects}");
    assert!(!effects[exec.unwrap_or(0)..].contains("DEL"), "{effects}");
}

/// A clock on which every look takes ten milliseconds.
struct SlowClock(Cell<u64>);

impl Clock for SlowClock {
    fn wall_us(&self) -> i64 {
        1_700_000_000_000_000
    }

    fn monotonic_ns(&self) -> u64 {
        self.0.set(self.0.get() + 10_000_000);
        self.0.get()
    }
}

#[test]
fn evictions_are_events_and_no_part_of_the_command_that_led_to_them() {
    let mut server = full("allkeys-random", 500, |_| false);
    server.server.rooms.time.clock = Box::new(SlowClock(Cell::new(1 << 50)));
    server.run("CONFIG SET latency-monitor-threshold 10 maxmemory-eviction-tenacity 100");
    server.run("LATENCY RESET");
    server.server.rooms.config.maxmemory -= 5000;
    assert_eq!(server.run("SET key value"), "OK");
    let gone = 501 - number(&mut server, "DBSIZE");
    assert!(gone > 20, "{gone}");
    let latest = server.run("LATENCY LATEST");
    let row = |name: &str, worst: i64| {
        format!("\"{name}\"\n   2) (integer) 1700000000\n   3) (integer) {worst}\n   4) (integer) {worst}")
    };
    assert!(latest.contains(&row("eviction-del", 10)), "{latest}");
    assert!(latest.contains("eviction-cycle") && !latest.contains(&row("eviction-cycle", 10)), "{latest}");
    assert!(latest.contains(&row("command", 10)), "SET took one look: {latest}");
}
