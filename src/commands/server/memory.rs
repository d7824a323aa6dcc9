//! MEMORY: what a key costs, and where the rest of the memory goes.

use crate::base::alloc;
use crate::commands::help as help_texts;
use crate::server::info::View;
use crate::server::memory::{DatabaseUse, MemoryUse};
use crate::server::{Args, Command, CommandError, CommandResult, Ctx};
use crate::spec::*;

/// MEMORY.
pub const COMMANDS: &[Command] = &[Command::container(
    Spec::container("memory", Group::Server).since("4.0.0").summary("Where the memory goes."),
    SUBCOMMANDS,
)];

const SUBCOMMANDS: &[Command] = &[
    Command::new(
        Spec::new("memory|doctor", Group::Server, 2, "")
            .since("4.0.0")
            .summary("Explains memory problems in words.")
            .tips(&["nondeterministic_output", "request_policy:all_shards", "response_policy:special"]),
        doctor,
    ),
    Command::new(
        Spec::new("memory|help", Group::Server, 2, "")
            .flags(&[LOADING, STALE])
            .since("4.0.0")
            .summary("Describes the subcommands."),
        help,
    ),
    Command::new(
        Spec::new("memory|malloc-stats", Group::Server, 2, "")
            .since("4.0.0")
            .complexity("Depends on the allocator.")
            .summary("Shows the statistics of the allocator.")
            .tips(&["nondeterministic_output", "request_policy:all_shards", "response_policy:special"]),
        malloc_stats,
    ),
    Command::new(
        Spec::new("memory|purge", Group::Server, 2, "")
            .since("4.0.0")
            .complexity("Depends on the allocator.")
            .summary("Asks the allocator to give back memory.")
            .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
        purge,
    ),
    Command::new(
        Spec::new("memory|stats", Group::Server, 2, "")
            .since("4.0.0")
            .summary("Tells what takes how much memory.")
            .tips(&["nondeterministic_output", "request_policy:all_shards", "response_policy:special"]),
        stats,
    ),
    Command::new(
        Spec::new("memory|usage", Group::Server, -3, "key [SAMPLES count]")
            .flags(&[READONLY])
            .keys(&[KeySpec::one(2, &[RO])])
            .since("4.0.0")
            .complexity("O(N), N: elements sampled.")
            .summary("Estimates the memory of a key and its value."),
        usage,
    ),
];

/// Collections know their size without a walk, so nothing is sampled: SAMPLES is checked and has
/// no effect.
fn usage(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let key = args.key();
    while !args.is_done() {
        if !args.keyword_with_value("SAMPLES") {
            return Err(CommandError::Syntax);
        }
        if args.int()? < 0 {
            return Err(CommandError::Syntax);
        }
    }
    match ctx.db.usage(key) {
        Some(bytes) => ctx.reply.count(bytes),
        None => ctx.reply.null(),
    }
    Ok(())
}

fn figures(ctx: &Ctx<'_>) -> MemoryUse {
    MemoryUse::of(&View::new(ctx.db, ctx.rooms, ctx.session))
}

fn doctor(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CommandResult {
    let text = figures(ctx).diagnosis();
    ctx.reply.verbatim("txt", text.as_bytes());
    Ok(())
}

fn malloc_stats(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CommandResult {
    ctx.reply.verbatim("txt", alloc::statistics().as_bytes());
    Ok(())
}

fn purge(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CommandResult {
    alloc::give_back();
    ctx.reply.ok();
    Ok(())
}

fn help(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CommandResult {
    help_texts::of_container(ctx, "MEMORY", SUBCOMMANDS);
    Ok(())
}

/// One value of MEMORY STATS.
enum Figure {
    Bytes(u64),
    Signed(i64),
    Ratio(f64),
}

fn stats(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CommandResult {
    use Figure::{Bytes, Ratio, Signed};
    let figures = figures(ctx);
    let (beyond, ratio) = (figures.resident_beyond_used(), figures.resident_ratio());
    let before = [
        ("peak.allocated", Bytes(figures.peak)),
        ("total.allocated", Bytes(figures.used)),
        ("startup.allocated", Bytes(figures.startup)),
        ("replication.backlog", Bytes(0)),
        ("clients.slaves", Bytes(0)),
        ("clients.normal", Bytes(figures.clients)),
        ("cluster.links", Bytes(0)),
        ("aof.buffer", Bytes(figures.aof_buffer)),
        ("lua.caches", Bytes(figures.scripts.eval)),
        ("functions.caches", Bytes(figures.scripts.functions)),
    ];
    let behind = [
        ("overhead.total", Bytes(figures.overhead)),
        ("keys.count", Bytes(figures.keys)),
        ("keys.bytes-per-key", Bytes(figures.bytes_per_key())),
        ("dataset.bytes", Bytes(figures.dataset())),
        ("dataset.percentage", Ratio(figures.dataset_percent())),
        ("peak.percentage", Ratio(figures.peak_percent())),
        ("allocator.allocated", Bytes(figures.used)),
        ("allocator.active", Bytes(figures.used)),
        ("allocator.resident", Bytes(figures.resident)),
        ("allocator-fragmentation.ratio", Ratio(1.0)),
        ("allocator-fragmentation.bytes", Bytes(0)),
        ("allocator-rss.ratio", Ratio(ratio)),
        ("allocator-rss.bytes", Signed(beyond)),
        ("rss-overhead.ratio", Ratio(1.0)),
        ("rss-overhead.bytes", Bytes(0)),
        ("fragmentation", Ratio(ratio)),
        ("fragmentation.bytes", Signed(beyond)),
    ];
    ctx.reply.map(before.len() + figures.databases.len() + behind.len());
    before.iter().for_each(|figure| put(ctx, figure));
    figures.databases.iter().for_each(|db| put_database(ctx, db));
    behind.iter().for_each(|figure| put(ctx, figure));
    Ok(())
}

fn put(ctx: &mut Ctx<'_>, (name, figure): &(&str, Figure)) {
    ctx.reply.bulk(name.as_bytes());
    match *figure {
        Figure::Bytes(bytes) => ctx.reply.integer(i64::try_from(bytes).unwrap_or(i64::MAX)),
        Figure::Signed(bytes) => ctx.reply.integer(bytes),
        Figure::Ratio(ratio) => ctx.reply.double(ratio),
    }
}

fn put_database(ctx: &mut Ctx<'_>, db: &DatabaseUse) {
    ctx.reply.bulk(format!("db.{}", db.index.0).as_bytes());
    ctx.reply.map(3);
    put(ctx, &("overhead.hashtable.main", Figure::Bytes(db.table)));
    put(ctx, &("overhead.hashtable.expires", Figure::Bytes(db.deadlines)));
    put(ctx, &("overhead.hashtable.slot-to-keys", Figure::Bytes(0)));
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::TestServer;
    use crate::server::Task;

    fn bytes(server: &mut TestServer, key: &str) -> usize {
        let answer = server.run(&format!("MEMORY USAGE {key} SAMPLES 0"));
        let number = answer.strip_prefix("(integer) ").unwrap_or_else(|| panic!("{answer}"));
        number.parse().expect("an integer")
    }

    #[test]
    fn usage_follows_the_size_of_every_type() {
        let mut server = TestServer::new();
        let long = "x".repeat(300);
        for (make, add) in [
            ("SET k abc", format!("APPEND k {long}")),
            ("RPUSH k a", format!("RPUSH k {long}")),
            ("SADD k 1 2 3", format!("SADD k {long}")),
            ("ZADD k 1 a", format!("ZADD k 2 {long}")),
            ("HSET k f v", format!("HSET k {long} {long}")),
        ] {
            server.run("DEL k");
            server.run(make);
            let small = bytes(&mut server, "k");
            assert!((3..1000).contains(&small), "{make}: {small}");
            server.run(&add);
            let large = bytes(&mut server, "k");
            assert!(large >= small + 290 && large < small + 6000, "{make}: {small}, then {large}");
        }
    }

    #[test]
    fn a_key_costs_its_name_and_its_deadline() {
        let mut server = TestServer::new();
        server.run("SET k v");
        let bare = bytes(&mut server, "k");
        server.run("EXPIRE k 100");
        assert_eq!(bytes(&mut server, "k"), bare + 8);
        let name = "n".repeat(1000);
        server.run(&format!("SET {name} v"));
        assert!(bytes(&mut server, &name) >= bare + 1000);
    }

    #[test]
    fn usage_checks_its_options() {
        let mut server = TestServer::new();
        server.run("SET a b");
        for (line, answer) in [
            ("MEMORY USAGE nokey", "(nil)"),
            ("MEMORY USAGE a SAMPLES", "(error) ERR syntax error"),
            ("MEMORY USAGE a FOO 3", "(error) ERR syntax error"),
            ("MEMORY USAGE a SAMPLES -1", "(error) ERR syntax error"),
            ("MEMORY USAGE a SAMPLES x", "(error) ERR value is not an integer or out of range"),
            ("MEMORY USAGE", "(error) ERR wrong number of arguments for 'memory|usage' command"),
            ("MEMORY STATS x", "(error) ERR wrong number of arguments for 'memory|stats' command"),
            ("MEMORY foo", "(error) ERR unknown subcommand 'foo'. Try MEMORY HELP."),
            ("MEMORY PURGE", "OK"),
        ] {
            assert_eq!(server.run(line), answer, "{line}");
        }
        assert_eq!(server.run("MEMORY USAGE a SAMPLES 1 SAMPLES 0"), server.run("MEMORY USAGE a"));
    }

    #[test]
    fn stats_tell_of_every_database_in_use() {
        let mut server = TestServer::new();
        server.run("SET a b");
        server.run("SELECT 3");
        server.run("SET a b PX 1000");
        server.run("HELLO 3");
        let text = server.run("MEMORY STATS");
        for word in ["db.0", "db.3", "keys.count\" => (integer) 2", "peak.percentage\" => (double)"] {
            assert!(text.contains(word), "{word} in {text}");
        }
        assert!(!text.contains("db.1"), "{text}");
        assert!(!text.contains("clients.normal\" => (integer) 0"), "who asks is a client too: {text}");
        assert!(!server.run("INFO memory").contains("mem_clients_normal:0"));
        assert!(server.run("MEMORY HELP").contains("USAGE <key> [SAMPLES <count>]"));
        assert!(server.run("MEMORY DOCTOR").contains("so little data"));
        assert!(server.raw("MEMORY MALLOC-STATS").starts_with("="));
    }

    #[test]
    fn free_memory_is_given_back_by_itself_unless_jemalloc_bg_thread_is_off() {
        for (switch, given_back) in [("yes", 1), ("no", 0)] {
            let mut server = TestServer::new();
            server.run(&format!("CONFIG SET jemalloc-bg-thread {switch}"));
            // More than any test takes.
            server.server.rooms.memory.purge.look(1 << 45);
            (0..20).for_each(|_| server.advance(100));
            let tasks = server.server.take_tasks();
            let found = tasks.iter().filter(|task| matches!(task, Task::GiveBack)).count();
            assert_eq!(found, given_back, "{switch}");
        }
    }
}
