//! What users can say: one file per Redis *group* (what COMMAND DOCS reports). [`table`] is all of
//! it.
//!
//! Each file begins with its `COMMANDS`, a const table of [`Command`]s, and its handlers follow.
//! Command files do not import each other; what two families share is a type in `keyspace/` or a
//! helper here.

pub mod bitmap;
#[cfg(test)]
mod checked_keys_tests;
#[cfg(test)]
mod long_patterns_tests;
mod coming;
pub mod connection;
pub mod generic;
pub mod geo;
pub mod hash;
mod help;
pub mod hyperloglog;
pub mod list;
pub mod pubsub;
mod scan;
pub mod scripting;
pub mod server;
pub mod set;
pub mod sorted_set;
pub mod string;
pub mod transactions;
#[cfg(test)]
pub mod testing;

use crate::clients::Close;
use crate::config::{Config, NotifyClasses};
use crate::ds::listpack::ListpackValue;
use crate::keyspace::sorted_set::Gathered;
use crate::keyspace::{Collection, DbIndex};
use crate::resp::Reply;
use crate::server::{Args, Command, CommandError, CommandTable, Ctx};

/// The tables of all groups.
const GROUPS: &[&[Command]] = &[
    bitmap::COMMANDS,
    connection::COMMANDS,
    generic::COMMANDS,
    geo::COMMANDS,
    hash::COMMANDS,
    hyperloglog::COMMANDS,
    list::COMMANDS,
    pubsub::COMMANDS,
    scripting::COMMANDS,
    server::acl::COMMANDS,
    server::admin::COMMANDS,
    server::command::COMMANDS,
    server::config::COMMANDS,
    server::debug::COMMANDS,
    server::info::COMMANDS,
    server::keyspace::COMMANDS,
    server::latency::COMMANDS,
    server::lolwut::COMMANDS,
    server::memory::COMMANDS,
    server::monitor::COMMANDS,
    server::module::COMMANDS,
    server::slowlog::COMMANDS,
    set::COMMANDS,
    sorted_set::COMMANDS,
    string::COMMANDS,
    transactions::COMMANDS,
];

/// Every command by its name, and the names of those to come.
#[must_use]
pub fn table() -> CommandTable {
    CommandTable::new(GROUPS.iter().copied().flatten(), coming::COMING)
}

/// What HELP answers for a container: its subcommands, their syntax and what they are for.
fn help(ctx: &mut Ctx<'_>, container: &str, subcommands: &[Command]) {
    help::reply(ctx, container, |name| {
        subcommands.iter().any(|sub| sub.spec.own_name().eq_ignore_ascii_case(name))
    });
}

/// An element of a collection as a bulk string.
fn reply_text(reply: &mut Reply<'_>, text: ListpackValue<'_>) {
    match text {
        ListpackValue::Int(int) => reply.bulk_integer(int),
        ListpackValue::Bytes(bytes) => reply.bulk(bytes),
    }
}

/// The next argument as an integer in `low..=high`, with the error that names the range.
fn int_between(args: &mut Args<'_>, low: i64, high: i64) -> Result<i64, CommandError> {
    let value = args.int()?;
    if (low..=high).contains(&value) {
        return Ok(value);
    }
    Err(CommandError::line(format!("ERR value is out of range, value must between {low} and {high}")))
}

/// Answers whose length a client chooses without having that much data (SRANDMEMBER with a negative
/// count) stop when this much waits for the client, which is then closed: its hard limit of
/// `client-output-buffer-limit`, else a limit of our own.
fn max_waiting_bytes(config: &Config) -> usize {
    /// What no limit at all means.
    const MAX_WAITING_BYTES: u64 = 512 << 20;
    let hard = config.client_output_buffer_limit.normal.hard_bytes;
    usize::try_from(if hard == 0 { MAX_WAITING_BYTES } else { hard.min(MAX_WAITING_BYTES) })
        .unwrap_or(usize::MAX)
}

/// Sets `destination` to a sorted set, or deletes it when the result is empty. Returns how many
/// members were stored. A stored result counts as `changes` changes.
fn store_sorted_set(
    ctx: &mut Ctx<'_>,
    event: &str,
    destination: &[u8],
    result: Gathered,
    changes: u64,
) -> usize {
    let stored = result.len();
    if stored > 0 {
        let set = result.into_sorted_set(&ctx.db.limits());
        ctx.db.insert(destination, set.into_value(), None);
        ctx.changed_by(changes, NotifyClasses::ZSET, event, destination);
    } else if ctx.db.remove(destination) {
        ctx.changed(NotifyClasses::GENERIC, "del", destination);
    }
    stored
}

/// Closes a client for whom more than [`max_waiting_bytes`] would wait.
fn close_overfull(ctx: &mut Ctx<'_>) {
    ctx.session.close = Close::Now;
    ctx.rooms.stats.counters.output_limit_disconnections += 1;
    log::warn!(
        "Client id={} addr={} closed ASAP for overcoming of output buffer limits.",
        ctx.session.id.0,
        ctx.session.connection.addr
    );
}

/// The database a client names by number; beyond `databases` it is an error.
fn db_index(ctx: &Ctx<'_>, index: i64) -> Result<DbIndex, CommandError> {
    let index = u16::try_from(index).map_err(|_| CommandError::DbIndexOutOfRange)?;
    if usize::from(index) < ctx.db.databases() {
        Ok(DbIndex(index))
    } else {
        Err(CommandError::DbIndexOutOfRange)
    }
}

#[cfg(test)]
mod tests {
    use super::GROUPS;
    use super::coming::COMING;
    use crate::spec::{Category, Spec, facts};

    /// The table and all its subcommands.
    fn specs() -> Vec<&'static Spec> {
        let commands = GROUPS.iter().copied().flatten();
        commands
            .flat_map(|c| std::iter::once(&c.spec).chain(c.subcommands.iter().map(|sub| &sub.spec)))
            .collect()
    }

    #[test]
    fn the_table_says_what_a_real_command_info_says() {
        assert_eq!(facts::compare(specs().into_iter(), facts::CAPTURED_INFO), Vec::<String>::new());
        assert_eq!(facts::compare_keys(specs().into_iter(), facts::CAPTURED_KEYS), Vec::<String>::new());
    }

    #[test]
    fn what_is_built_and_what_is_to_come_are_all_of_redis() {
        let built: Vec<&str> = specs().iter().map(|spec| spec.name).collect();
        for (name, _) in facts::captured() {
            let is_coming = COMING.iter().any(|coming| coming.name == name);
            assert!(built.contains(&name) != is_coming, "{name} is in one of the tables");
        }
        assert_eq!(built.len() + COMING.len(), facts::captured().count(), "and nothing else is");
    }

    #[test]
    fn commands_to_come_have_the_categories_of_a_real_server() {
        for coming in COMING {
            let (_, facts) = facts::captured().find(|(name, _)| *name == coming.name).expect(coming.name);
            let real = facts.lines().find_map(|line| line.strip_prefix("  acl ")).expect(coming.name);
            let ours: Vec<&str> = coming.categories.iter().map(Category::name).collect();
            assert_eq!(ours.join(" "), real, "{}", coming.name);
        }
    }
}
