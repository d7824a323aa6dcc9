//! The ledger through the life of a server: what is charged while it writes, saves, frees, evicts
//! and has slow readers, and that nothing of it is left.

use crate::aof::Manifest;
use crate::base::ClientId;
use crate::commands::testing::TestServer;
use crate::memory::Account;
use crate::persistence::SaveReport;
use crate::resp::{OwnedArgv, Requests};
use crate::server::{Aof, AofOpened, Task};
use std::cell::Cell;
use std::sync::atomic::Ordering;

/// Accounts that are charged on floors that a server in memory does not have: by workers and
/// savers, each with a test of its own.
const OF_OTHER_FLOORS: &[Account] = &[Account::RequestsInTransit, Account::SaveBuffer];

thread_local! {
    /// The memory that the owner has in use; each look finds more.
    static OWN_BYTES: Cell<i64> = const { Cell::new(0) };
}

/// A server that keeps an append-only file which nobody writes.
fn kept() -> TestServer {
    let mut server = TestServer::with(|config| config.appendonly = true);
    let mut manifest = Manifest::default();
    manifest.next_incr(&Aof::names(&server.server.rooms.config));
    server.server.aof_opened(AofOpened { manifest, ..AofOpened::default() });
    server.server.rooms.memory.eviction.used_bytes = |_| 1 << 30;
    server.server.rooms.memory.eviction.own_bytes = |_| {
        OWN_BYTES.set(OWN_BYTES.get() + 100);
        OWN_BYTES.get()
    };
    server
}

/// Returns the bytes on each account.
fn balance(server: &TestServer) -> Vec<(Account, u64)> {
    let balance = server.server.rooms.balance(&server.server.keyspace);
    Account::ALL.map(|account| (account, balance.bytes(account))).into()
}

/// Writes, a big value that is freed, a save with copies, readers that are slow, and evictions that
/// others hear of. Returns what is on each account at the end, in the middle of a turn, and the
/// tasks that nobody has carried out.
fn live(server: &mut TestServer) -> (Vec<(Account, u64)>, Vec<Task>) {
    server.run("CONFIG SET maxmemory-clients 1000000000");
    (0..50).for_each(|key| drop(server.run(&format!("SET key:{key} {}", "v".repeat(5000)))));
    server.run(&format!("SET large {}", "v".repeat(100_000)));
    server.run(&format!("RPUSH big{}", " element".repeat(1000)));
    server.run("UNLINK big");
    (2..=3).for_each(|id| server.connect(id));
    server.set_pending_output(2, 1 << 20);
    server.run_as(3, "HELLO 3");
    server.run_as(3, "CLIENT TRACKING ON");
    (0..50).for_each(|key| drop(server.run_as(3, &format!("GET key:{key}"))));
    server.run("BGSAVE");
    let tasks = server.server.take_tasks();
    (0..50).for_each(|key| drop(server.run(&format!("APPEND key:{key} more"))));
    server.server.begin_turn();
    let send = |server: &mut TestServer, line: &str| {
        let argv = OwnedArgv::from_parts(line.split(' ').map(str::as_bytes));
        server.server.requests(ClientId(1), Requests::single(argv));
    };
    send(server, "GET large");
    send(server, "CONFIG SET maxmemory-policy allkeys-random maxmemory 1000");
    send(server, "PING");
    (balance(server), tasks)
}

#[test]
fn each_account_is_charged_and_returns_to_nothing() {
    let mut server = kept();
    let (lived, tasks) = live(&mut server);
    for (account, bytes) in &lived {
        assert_eq!(*bytes > 0, !OF_OTHER_FLOORS.contains(account), "{account:?}: {lived:?}");
    }
    let evicted = server.server.rooms.stats.counters.evicted_keys;
    assert!(evicted > 0, "keys were evicted");

    server.run("CONFIG SET maxmemory 0 maxmemory-clients 0");
    let job = tasks.iter().find_map(|task| match task {
        Task::Save(job) => Some((job.id, job.reason)),
        _ => None,
    });
    let (job, reason) = job.expect("a save was begun");
    drop(tasks);
    drop(server.server.take_tasks());
    server.server.saved(&SaveReport { job, reason, result: Ok(()) });
    let aof = &server.server.rooms.persistence.aof;
    aof.gauges.written.store(aof.handed_bytes(), Ordering::Relaxed);
    (0..3).for_each(|_| server.advance(1000));
    let left: Vec<_> = balance(&server).into_iter().filter(|(_, bytes)| *bytes > 0).collect();
    assert_eq!(left, []);
}

#[test]
fn a_server_that_ends_in_the_middle_of_everything_owes_nothing() {
    let mut server = kept();
    let ledger = server.server.rooms.memory.ledger;
    let (lived, tasks) = live(&mut server);
    assert!(lived.iter().filter(|(_, bytes)| *bytes > 0).count() > 5, "{lived:?}");
    drop(tasks);
    drop(server);
    Account::ALL.iter().for_each(|&account| assert_eq!(ledger.charged_bytes(account), 0, "{account:?}"));
}

#[test]
fn one_figure_is_told_wherever_it_is_asked_for() {
    let mut server = kept();
    server.run("SET key value");
    let bytes = server.server.rooms.balance(&server.server.keyspace).bytes(Account::AofBuffer);
    assert!(bytes > 20, "{bytes}");
    server.connect(2);
    server.send_only_as(2, "INFO everything");
    let info = server.raw_output_of(2);
    for field in ["mem_aof_buffer", "aof_buffer_length", "mem_not_counted_for_evict"] {
        assert!(info.contains(&format!("\r\n{field}:{bytes}\r\n")), "{field} is {bytes} in {info}");
    }
    server.send_only_as(2, "MEMORY STATS");
    let stats = server.raw_output_of(2);
    assert!(stats.contains(&format!("\r\naof.buffer\r\n:{bytes}\r\n")), "{bytes} in {stats}");
}
