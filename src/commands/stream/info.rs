//! XINFO: what is known of a stream, its groups and their consumers.

use super::answers::{reply_entry, reply_id};
use super::consumers::no_group;
use crate::commands::help as help_texts;
use crate::keyspace::stream::{Consumer, Group as ReaderGroup, Log, Node, StreamEntry};
use crate::keyspace::{Stream, StreamId};
use crate::resp::Reply;
use crate::server::{Args, Command, CommandError, CommandResult, Ctx};
use crate::spec::*;
use triomphe::Arc;

/// XINFO.
pub const COMMANDS: &[Command] = &[Command::container(
    Spec::container("xinfo", Group::Stream).since("5.0.0").summary("What is known of streams."),
    SUBCOMMANDS,
)];

const SUBCOMMANDS: &[Command] = &[
    Command::new(
        Spec::new("xinfo|consumers", Group::Stream, 4, "key groupname")
            .flags(&[READONLY])
            .keys(&[KeySpec::one(2, &[RO, ACCESS])])
            .since("5.0.0")
            .complexity("O(N), N: consumers.")
            .summary("Lists the consumers of a group.")
            .tips(&["nondeterministic_output"]),
        consumers,
    ),
    Command::new(
        Spec::new("xinfo|groups", Group::Stream, 3, "key")
            .flags(&[READONLY])
            .keys(&[KeySpec::one(2, &[RO, ACCESS])])
            .since("5.0.0")
            .complexity("O(N), N: groups.")
            .summary("Lists the groups of a stream.")
            .history(&[("7.0.0", "`entries-read` and `lag`.")]),
        groups,
    ),
    Command::new(
        Spec::new("xinfo|help", Group::Stream, 2, "")
            .flags(&[LOADING, STALE])
            .since("5.0.0")
            .summary("Describes the subcommands."),
        help,
    ),
    Command::new(
        Spec::new("xinfo|stream", Group::Stream, -3, "key [FULL ([COUNT count])@full]")
            .flags(&[READONLY])
            .keys(&[KeySpec::one(2, &[RO, ACCESS])])
            .since("5.0.0")
            .complexity("O(1); with FULL O(N), N: what is shown.")
            .summary("Tells what is known of a stream.")
            .history(&[
                ("6.0.0", "`FULL`."),
                (
                    "7.0.0",
                    "`max-deleted-entry-id`, `entries-added`, `recorded-first-entry-id`, `entries-read` and `lag`.",
                ),
            ]),
        stream,
    ),
];

/// The number of items that XINFO STREAM FULL shows of each list without a COUNT.
const DEFAULT_COUNT: usize = 10;
/// Of how many nodes the radix tree that Redis would have is counted exactly.
const MAX_COUNTED_NODES: usize = 4096;

/// The stream under the next argument, which must be there.
fn read(ctx: &mut Ctx<'_>, key: &[u8]) -> Result<Arc<Stream>, CommandError> {
    ctx.db.read_shared::<Stream>(key)?.ok_or(CommandError::NoSuchKey)
}

fn reply_number(reply: &mut Reply<'_>, name: &str, number: u64) {
    reply.bulk(name.as_bytes());
    reply.integer(number as i64);
}

fn reply_named_id(reply: &mut Reply<'_>, name: &str, id: StreamId) {
    reply.bulk(name.as_bytes());
    reply_id(reply, id);
}

fn reply_if_known(reply: &mut Reply<'_>, name: &str, number: Option<i64>) {
    reply.bulk(name.as_bytes());
    match number {
        Some(number) => reply.integer(number),
        None => reply.null(),
    }
}

/// Answers the progress of a group: the entries it has read, and those that are left.
fn reply_progress(reply: &mut Reply<'_>, log: &Log, group: &ReaderGroup) {
    reply_named_id(reply, "last-delivered-id", group.last_id);
    reply_if_known(reply, "entries-read", group.entries_read.map(|read| read as i64));
    reply_if_known(reply, "lag", log.lag(group));
}

fn groups(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let stream = read(ctx, args.key())?;
    let reply = &mut ctx.reply;
    reply.array(stream.groups.len());
    for (name, group) in stream.groups.iter() {
        reply.map(6);
        reply.bulk(b"name");
        reply.bulk(name);
        reply_number(reply, "consumers", group.consumers().len() as u64);
        reply_number(reply, "pending", group.pending().len());
        reply_progress(reply, &stream.log, group);
    }
    Ok(())
}

fn consumers(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let (key, name) = (args.key(), args.key());
    let stream = read(ctx, key)?;
    let group = stream.groups.get(name).ok_or_else(|| no_group(key, name))?;
    let reply = &mut ctx.reply;
    reply.array(group.consumers().len());
    for consumer in group.consumers().iter() {
        reply.map(3);
        reply.bulk(b"name");
        reply.bulk(consumer.name());
        reply_number(reply, "pending", consumer.pending().len());
        reply.bulk(b"idle");
        reply.integer(ctx.now.0.saturating_sub(consumer.seen.0).max(0));
    }
    Ok(())
}

/// The extent of the answer of XINFO STREAM.
enum Extent {
    Summary,
    /// Everything, but of each list no more than so many.
    Full(usize),
}

impl Extent {
    fn parse(ctx: &Ctx<'_>, args: &mut Args<'_>) -> Result<Extent, CommandError> {
        if args.is_done() {
            return Ok(Extent::Summary);
        }
        if args.keyword("FULL") {
            if args.is_done() {
                return Ok(Extent::Full(DEFAULT_COUNT));
            }
            if args.remaining() == 2 && args.keyword("COUNT") {
                return Ok(Extent::Full(match args.int()? {
                    ..0 => DEFAULT_COUNT,
                    0 => usize::MAX,
                    count => usize::try_from(count).unwrap_or(usize::MAX),
                }));
            }
        }
        Err(ctx.unknown_subcommand(args.argv().at(1)))
    }
}

fn stream(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let stream = read(ctx, args.key())?;
    let extent = Extent::parse(ctx, &mut args)?;
    let reply = &mut ctx.reply;
    match extent {
        Extent::Summary => {
            reply.map(10);
            reply_facts(reply, &stream.log);
            reply_number(reply, "groups", stream.groups.len() as u64);
            reply_end(reply, "first-entry", stream.log.iter());
            reply_end(reply, "last-entry", stream.log.range_rev(StreamId::MIN, StreamId::MAX));
        }
        Extent::Full(count) => {
            reply.map(9);
            reply_facts(reply, &stream.log);
            reply_entries(reply, &stream.log, count);
            reply.bulk(b"groups");
            reply.array(stream.groups.len());
            for (name, group) in stream.groups.iter() {
                reply_group(reply, &stream.log, (name, group), count);
            }
        }
    }
    Ok(())
}

/// Answers the seven facts that both extents begin with.
fn reply_facts(reply: &mut Reply<'_>, log: &Log) {
    reply_number(reply, "length", log.len());
    reply_number(reply, "radix-tree-keys", log.node_count() as u64);
    reply_number(reply, "radix-tree-nodes", radix_tree_nodes(log));
    reply_named_id(reply, "last-generated-id", log.last_id());
    reply_named_id(reply, "max-deleted-entry-id", log.max_deleted_id());
    reply_number(reply, "entries-added", log.added());
    reply_named_id(reply, "recorded-first-entry-id", log.first_id());
}

fn reply_end<'l>(reply: &mut Reply<'_>, name: &str, mut entries: impl Iterator<Item = StreamEntry<'l>>) {
    reply.bulk(name.as_bytes());
    match entries.next() {
        Some(entry) => reply_entry(reply, &entry),
        None => reply.null(),
    }
}

fn reply_entries(reply: &mut Reply<'_>, log: &Log, count: usize) {
    reply.bulk(b"entries");
    reply.array(count.min(usize::try_from(log.len()).unwrap_or(usize::MAX)));
    log.iter().take(count).for_each(|entry| reply_entry(reply, &entry));
}

fn reply_group(reply: &mut Reply<'_>, log: &Log, (name, group): (&[u8], &ReaderGroup), count: usize) {
    let shown = |pending: u64| count.min(usize::try_from(pending).unwrap_or(usize::MAX));
    reply.map(7);
    reply.bulk(b"name");
    reply.bulk(name);
    reply_progress(reply, log, group);
    reply_number(reply, "pel-count", group.pending().len());
    reply.bulk(b"pending");
    reply.array(shown(group.pending().len()));
    for pending in group.pending().iter().take(count) {
        reply.array(4);
        reply_id(reply, pending.id);
        reply.bulk(group.consumers().get(pending.consumer).map_or(&[], Consumer::name));
        reply.integer(pending.delivered_ms);
        reply.integer(pending.deliveries as i64);
    }
    reply.bulk(b"consumers");
    reply.array(group.consumers().len());
    for consumer in group.consumers().iter() {
        reply.map(4);
        reply.bulk(b"name");
        reply.bulk(consumer.name());
        reply.bulk(b"seen-time");
        reply.integer(consumer.seen.0);
        reply_number(reply, "pel-count", consumer.pending().len());
        reply.bulk(b"pending");
        reply.array(shown(consumer.pending().len()));
        for pending in consumer.pending().iter().take(count).filter_map(|id| group.pending().get(*id)) {
            reply.array(3);
            reply_id(reply, pending.id);
            reply.integer(pending.delivered_ms);
            reply.integer(pending.deliveries as i64);
        }
    }
}

/// The number of nodes the radix tree has in which Redis would keep the listpacks of this stream by
/// the 16 bytes of their first IDs. Of very many listpacks it is extrapolated.
fn radix_tree_nodes(log: &Log) -> u64 {
    let counted = radix_nodes(log.nodes().take(MAX_COUNTED_NODES).map(Node::master).map(StreamId::to_bytes));
    let all = log.node_count();
    if all <= MAX_COUNTED_NODES { counted } else { counted * all as u64 / MAX_COUNTED_NODES as u64 }
}

/// The nodes of a compressed radix tree of `keys`, which ascend. Each key ends in an empty node,
/// keys part at a branching node, and what is common between two of these is one node.
fn radix_nodes(keys: impl Iterator<Item = [u8; 16]>) -> u64 {
    let mut last: Option<[u8; 16]> = None;
    let mut nodes = 0;
    // On the way to the last key: one more than the depths of the branching nodes and of its end.
    let mut path: Vec<usize> = Vec::new();
    for key in keys {
        if let Some(last) = last {
            let branch = 1 + last.iter().zip(&key).take_while(|(one, other)| one == other).count();
            nodes += leave(&mut path, branch);
            if path.last() != Some(&branch) {
                path.push(branch);
            }
        }
        path.push(key.len() + 1);
        last = Some(key);
    }
    if last.is_none() { 1 } else { nodes + leave(&mut path, 0) }
}

/// Counts what ends below `branch`: each node, and the piece between it and the one it hangs on.
fn leave(path: &mut Vec<usize>, branch: usize) -> u64 {
    let mut nodes = 0;
    while let Some(end) = path.pop_if(|end| *end > branch) {
        // A branching node holds the first byte of each of its branches.
        let above = path.last().copied().unwrap_or(0).max(branch);
        nodes += 1 + u64::from(end - 1 > above);
    }
    nodes
}

fn help(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CommandResult {
    help_texts::of_container(ctx, "XINFO", SUBCOMMANDS);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::random::Random;
    use crate::commands::testing::TestServer;
    use std::collections::BTreeSet;

    /// Returns the texts behind `name` in an answer of XINFO, of each map in it.
    fn values(answer: &str, name: &str) -> Vec<String> {
        let mut lines = answer.lines();
        let mut found = Vec::new();
        while let Some(line) = lines.next() {
            if line.ends_with(&format!(" \"{name}\"")) {
                let value = lines.next().unwrap_or_default();
                found.push(
                    value.rsplit_once(") ").map_or(value, |(_, value)| value).trim_matches('"').to_owned(),
                );
            }
        }
        found
    }

    fn server() -> TestServer {
        let mut server = TestServer::new();
        (1..=4).for_each(|ms| _ = server.run(&format!("XADD s {ms}-1 f {ms}")));
        server
    }

    #[test]
    fn a_stream_tells_what_is_known_of_it() {
        let mut server = server();
        server.run("XDEL s 3-1 4-1");
        server.run("XTRIM s MAXLEN 1");
        assert_eq!(
            server.run("XINFO STREAM s"),
            " 1) \"length\"\n 2) (integer) 1\n 3) \"radix-tree-keys\"\n 4) (integer) 1\n 5) \"radix-tree-nodes\"\n \
             6) (integer) 2\n 7) \"last-generated-id\"\n 8) \"4-1\"\n 9) \"max-deleted-entry-id\"\n10) \"4-1\"\n\
             11) \"entries-added\"\n12) (integer) 4\n13) \"recorded-first-entry-id\"\n14) \"2-1\"\n15) \"groups\"\n\
             16) (integer) 0\n17) \"first-entry\"\n18) 1) \"2-1\"\n    2) 1) \"f\"\n       2) \"2\"\n\
             19) \"last-entry\"\n20) 1) \"2-1\"\n    2) 1) \"f\"\n       2) \"2\""
        );
        server.run("XDEL s 2-1");
        let info = server.run("XINFO STREAM s");
        assert_eq!(values(&info, "first-entry"), ["(nil)"]);
        assert_eq!(values(&info, "recorded-first-entry-id"), ["0-0"]);
        server.run("HELLO 3");
        assert!(server.raw("XINFO STREAM s").starts_with("%10\r\n$6\r\nlength\r\n:0\r\n"));
        assert!(server.raw("XINFO STREAM s FULL").starts_with("%9\r\n$6\r\nlength\r\n:0\r\n"));
    }

    #[test]
    fn lag_is_known_as_long_as_nothing_was_deleted_ahead() {
        let mut server = server();
        server.run("XGROUP CREATE s all 0");
        server.run("XGROUP CREATE s some 2-1");
        server.run("XGROUP CREATE s none $");
        server.run("XGROUP CREATE s told 2-1 ENTRIESREAD 2");
        let lags = |server: &mut TestServer| values(&server.run("XINFO GROUPS s"), "lag");
        assert_eq!(lags(&mut server), ["4", "0", "(nil)", "2"]);
        server.run("XREADGROUP GROUP all c COUNT 3 STREAMS s >");
        let groups = server.run("XINFO GROUPS s");
        assert_eq!(values(&groups, "entries-read"), ["3", "(nil)", "(nil)", "2"]);
        assert_eq!(values(&groups, "pending"), ["3", "0", "0", "0"]);
        server.run("XDEL s 2-1");
        assert_eq!(lags(&mut server), ["1", "0", "(nil)", "(nil)"]);
        server.run("XTRIM s MAXLEN 0");
        assert_eq!(
            lags(&mut server),
            ["1", "0", "0", "2"],
            "Redis: counts are good again in an empty stream"
        );
    }

    #[test]
    fn everything_is_shown_with_full_up_to_a_count_of_each() {
        let mut server = server();
        (5..=20).for_each(|ms| _ = server.run(&format!("XADD s {ms}-1 f {ms}")));
        server.run("XGROUP CREATE s g 0");
        server.run("XREADGROUP GROUP g c COUNT 15 STREAMS s >");
        server.advance(7);
        server.run("XREADGROUP GROUP g c STREAMS s 0");
        for (line, entries, pending) in [
            ("XINFO STREAM s FULL", 10, 10),
            ("XINFO STREAM s full count 2", 2, 2),
            ("XINFO STREAM s FULL COUNT -2", 10, 10),
            ("XINFO STREAM s FULL COUNT 0", 20, 15),
            ("XINFO STREAM s FULL COUNT 9223372036854775807", 20, 15),
        ] {
            let shown = server.run(line);
            assert_eq!(shown.matches("\"f\"").count(), entries, "{line}");
            assert_eq!(shown.matches("(integer) 1700000000007").count(), 2 * pending + 1, "{line}: {shown}");
            assert_eq!(values(&shown, "pel-count"), ["15", "15"]);
        }
        server.advance(5);
        let consumers = server.run("XINFO CONSUMERS s g");
        assert_eq!(values(&consumers, "idle"), ["5"]);
        assert_eq!(values(&consumers, "pending"), ["15"]);
    }

    #[test]
    fn wrong_calls_are_refused_in_the_words_of_redis() {
        let mut server = server();
        server.run("SET str v");
        let words =
            "(error) ERR unknown subcommand or wrong number of arguments for 'STREAM'. Try XINFO HELP.";
        let wrong_type = "(error) WRONGTYPE Operation against a key holding the wrong kind of value";
        server.check(&[
            ("XINFO STREAM none FAST", "(error) ERR no such key"),
            ("XINFO STREAM str FAST", wrong_type),
            ("XINFO STREAM s FAST", words),
            ("XINFO STREAM s FULL COUNT", words),
            ("XINFO STREAM s FULL COUNT 1 2", words),
            ("XINFO STREAM s FULL COUNT x", "(error) ERR value is not an integer or out of range"),
            ("XINFO GROUPS none", "(error) ERR no such key"),
            ("XINFO GROUPS s", "(empty array)"),
            ("XINFO CONSUMERS s g", "(error) NOGROUP No such consumer group 'g' for key name 's'"),
            ("XINFO CONSUMERS str g", wrong_type),
            ("XINFO NOPE", "(error) ERR unknown subcommand 'NOPE'. Try XINFO HELP."),
        ]);
        assert!(server.run("XINFO HELP").contains("STREAM <key> [FULL [COUNT <count>]"));
    }

    /// Counts as Redis builds it: byte by byte.
    fn counted(keys: &BTreeSet<[u8; 16]>) -> u64 {
        fn below(keys: &[&[u8]]) -> u64 {
            let common =
                (0..keys[0].len()).take_while(|&at| keys.iter().all(|key| key[at] == keys[0][at])).count();
            let piece = u64::from(common > 0);
            let rest: Vec<&[u8]> = keys.iter().map(|key| &key[common..]).collect();
            if rest[0].is_empty() {
                return piece + 1;
            }
            let branches = rest.chunk_by(|one, other| one[0] == other[0]);
            piece
                + 1
                + branches
                    .map(|keys| below(&keys.iter().map(|key| &key[1..]).collect::<Vec<_>>()))
                    .sum::<u64>()
        }
        if keys.is_empty() { 1 } else { below(&keys.iter().map(|key| &key[..]).collect::<Vec<_>>()) }
    }

    #[test]
    fn the_radix_tree_of_redis_is_counted_without_building_it() {
        let mut random = Random::new(7);
        for round in 0..300 {
            let mut keys = BTreeSet::new();
            for _ in 0..random.below(40) {
                let id =
                    StreamId { ms: random.below(1 << (round % 20)), seq: random.below(1 << (round % 13)) };
                keys.insert(id.to_bytes());
            }
            assert_eq!(radix_nodes(keys.iter().copied()), counted(&keys), "{keys:?}");
        }
    }
}
