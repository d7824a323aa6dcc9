//! The commands whose answers are not compared to the byte, or not over a connection that others
//! share, each with the reason. Every other command of the table is.

use super::compare::Compare;

/// How the answers of a command are compared.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum How {
    NotAtAll,
    /// By a looser rule.
    By(Compare),
    /// To the byte, but each call on a connection of its own, up to the end of that.
    Alone,
    /// To the byte: in a transaction, with a timeout that is soon over, and alone, where it may
    /// wait until the connection ends.
    Waiting,
    /// To the byte, where the order of the elements is defined; else in any order.
    DefinedOrder,
}

/// A command that is compared otherwise, and why.
pub(super) struct Exception {
    pub(super) command: &'static str,
    pub(super) how: How,
    pub(super) reason: &'static str,
}

const fn row(command: &'static str, how: How, reason: &'static str) -> Exception {
    Exception { command, how, reason }
}

const HASH_ORDER: &str = "the order is that of a hash table, another after each start of a real server";
const CHANCE: &str = "what is chosen is left to chance";
const CONNECTION: &str = "it changes its connection";
const WAITS: &str = "it may wait";
const MEASURES: &str = "it tells of the memory and the time that this very process takes";
const OWN_WORDS: &str = "it describes in words of its own";
const IDENTITY: &str = "it tells of clients, which have other numbers and addresses on each server";

/// The table. How a row is compared says what of the command can be.
pub(super) const EXCEPTIONS: &[Exception] = &[
    row("acl|cat", How::By(Compare::AnyOrder), HASH_ORDER),
    row("acl|genpass", How::By(Compare::Lengths), CHANCE),
    row("auth", How::Alone, CONNECTION),
    row(
        "bgrewriteaof",
        How::By(Compare::Errors),
        "a second one depends on how long the first one takes; tests/it/aof.rs has them",
    ),
    row(
        "bgsave",
        How::By(Compare::Errors),
        "a second one depends on how long the first one takes; tests/it/persistence.rs has them",
    ),
    row("blmove", How::Waiting, WAITS),
    row("blmpop", How::Waiting, WAITS),
    row("blpop", How::Waiting, WAITS),
    row("brpop", How::Waiting, WAITS),
    row("brpoplpush", How::Waiting, WAITS),
    row("bzmpop", How::Waiting, WAITS),
    row("bzpopmax", How::Waiting, WAITS),
    row("bzpopmin", How::Waiting, WAITS),
    row("client|caching", How::Alone, CONNECTION),
    row("client|id", How::By(Compare::Shape), IDENTITY),
    row("client|info", How::By(Compare::Fields), IDENTITY),
    row("client|list", How::By(Compare::Fields), IDENTITY),
    row("client|reply", How::Alone, CONNECTION),
    row("client|tracking", How::Alone, CONNECTION),
    row("command", How::NotAtAll, "commands that are not built yet are missing; COMMAND INFO compares each"),
    row("command|count", How::By(Compare::Shape), "commands that are not built yet are not counted"),
    row("command|list", How::By(Compare::AnyOrder), HASH_ORDER),
    row("command|docs", How::By(Compare::Shape), OWN_WORDS),
    row("command|info", How::By(Compare::Shape), OWN_WORDS),
    row("config|get", How::By(Compare::PairsInAnyOrder), HASH_ORDER),
    row("discard", How::Alone, CONNECTION),
    row("dump", How::By(Compare::Dump), HASH_ORDER),
    row("exec", How::Alone, CONNECTION),
    row("function|help", How::By(Compare::Errors), "what is not built yet is left out"),
    row("function|stats", How::By(Compare::Errors), "there is no script engine"),
    row("hello", How::Alone, CONNECTION),
    row("hgetall", How::By(Compare::PairsInAnyOrder), HASH_ORDER),
    row("hkeys", How::By(Compare::AnyOrder), HASH_ORDER),
    row("hrandfield", How::By(Compare::Choice), CHANCE),
    row("hscan", How::By(Compare::Walk), HASH_ORDER),
    row("hvals", How::By(Compare::AnyOrder), HASH_ORDER),
    row("info", How::NotAtAll, "tests/it/info.rs compares the sections and the names of the fields"),
    row("keys", How::By(Compare::AnyOrder), HASH_ORDER),
    row("lastsave", How::By(Compare::NearNumbers), "it tells the time"),
    row("latency|doctor", How::By(Compare::Errors), OWN_WORDS),
    row("latency|histogram", How::By(Compare::Errors), MEASURES),
    row("lolwut", How::By(Compare::Errors), CHANCE),
    row("memory|doctor", How::By(Compare::Errors), OWN_WORDS),
    row("memory|malloc-stats", How::By(Compare::Errors), "the allocators are not the same"),
    row("memory|stats", How::By(Compare::Shape), MEASURES),
    row("memory|usage", How::By(Compare::Shape), MEASURES),
    row("monitor", How::Alone, CONNECTION),
    row("multi", How::Alone, CONNECTION),
    row("object|idletime", How::By(Compare::Shape), "it depends on when a second begins"),
    row(
        "pfselftest",
        How::NotAtAll,
        "it has no arguments, and takes half a minute where nothing is optimised",
    ),
    row("psubscribe", How::Alone, CONNECTION),
    row("pexpiretime", How::By(Compare::NearNumbers), "it tells the time"),
    row("pttl", How::By(Compare::NearNumbers), "it tells the time"),
    row("pubsub|channels", How::By(Compare::AnyOrder), HASH_ORDER),
    row("punsubscribe", How::Alone, CONNECTION),
    row("quit", How::Alone, CONNECTION),
    row("randomkey", How::By(Compare::Choice), CHANCE),
    row("reset", How::Alone, CONNECTION),
    row("scan", How::By(Compare::Walk), HASH_ORDER),
    row("script|debug", How::Alone, "it changes its connection, and is refused while answers wait"),
    row("sdiff", How::By(Compare::AnyOrder), HASH_ORDER),
    row("select", How::Alone, CONNECTION),
    row(
        "shutdown",
        How::By(Compare::Errors),
        "a server that has ended answers nothing more; tests/it/start.rs has it",
    ),
    row("sinter", How::By(Compare::AnyOrder), HASH_ORDER),
    row("smembers", How::By(Compare::AnyOrder), HASH_ORDER),
    row("sort", How::DefinedOrder, HASH_ORDER),
    row("sort_ro", How::DefinedOrder, HASH_ORDER),
    row("spop", How::By(Compare::Choice), CHANCE),
    row("srandmember", How::By(Compare::Choice), CHANCE),
    row("sscan", How::By(Compare::Walk), HASH_ORDER),
    row("ssubscribe", How::Alone, CONNECTION),
    row("subscribe", How::Alone, CONNECTION),
    row("sunion", How::By(Compare::AnyOrder), HASH_ORDER),
    row("sunsubscribe", How::Alone, CONNECTION),
    row("time", How::By(Compare::Shape), "it tells the time"),
    row("ttl", How::By(Compare::NearNumbers), "it tells the time"),
    row("unsubscribe", How::Alone, CONNECTION),
    row("unwatch", How::Alone, CONNECTION),
    row("wait", How::Waiting, WAITS),
    row("watch", How::Alone, CONNECTION),
    row("xinfo|consumers", How::By(Compare::NearNumbers), "it tells how long ago something was"),
    row("xinfo|stream", How::By(Compare::NearTimes), "it tells when something was"),
    row("xpending", How::By(Compare::NearNumbers), "it tells how long ago something was"),
    row("zrandmember", How::By(Compare::Choice), CHANCE),
    row("zscan", How::By(Compare::Walk), HASH_ORDER),
];

/// The row of a command.
pub(super) fn exception_of(command: &str) -> Option<&'static Exception> {
    EXCEPTIONS.iter().find(|exception| exception.command == command)
}
