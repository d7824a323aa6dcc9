//! The commands of users: one file per Redis *group* (as COMMAND DOCS reports it). [`table`] is all
//! of it.
//!
//! Each file begins with its `COMMANDS`, a const table of [`Command`]s, and its handlers follow.
//! Command files do not import each other; what two families share is a type in `keyspace/` or a
//! helper here.

mod answer;
mod argument;
pub mod bitmap;
#[cfg(test)]
mod checked_keys_tests;
#[cfg(test)]
mod long_patterns_tests;
#[cfg(all(test, debug_assertions))]
mod mutated_keys_tests;
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
pub mod stream;
mod stored;
pub mod string;
pub mod transactions;
#[cfg(test)]
pub mod testing;
#[cfg(test)]
mod undo_tests;

use crate::server::{Command, CommandTable};

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
    stream::log::COMMANDS,
    stream::groups::COMMANDS,
    stream::info::COMMANDS,
    stream::pending::COMMANDS,
    stream::read::COMMANDS,
    string::COMMANDS,
    transactions::COMMANDS,
];

/// Every command by its name, and the names of those to come.
#[must_use]
pub fn table() -> CommandTable {
    CommandTable::new(GROUPS.iter().copied().flatten(), coming::COMING)
}

#[cfg(test)]
mod tests {
    use super::GROUPS;
    use super::coming::COMING;
    use crate::spec::{Category, Spec, captured_info};

    /// The table and all its subcommands.
    fn specs() -> Vec<&'static Spec> {
        let commands = GROUPS.iter().copied().flatten();
        commands
            .flat_map(|c| std::iter::once(&c.spec).chain(c.subcommands.iter().map(|sub| &sub.spec)))
            .collect()
    }

    #[test]
    fn the_table_says_what_a_real_command_info_says() {
        let mut differences = captured_info::compare(specs().into_iter(), captured_info::CAPTURED_INFO);
        // They take ROLLBACK, which no other server has.
        differences.retain(|line| {
            let ours =
                ["script|kill", "function|kill"].map(|name| format!("{name}:\nours  {name} arity -2 "));
            !ours.iter().any(|start| line.starts_with(start))
        });
        assert_eq!(differences, Vec::<String>::new());
        assert_eq!(
            captured_info::compare_keys(specs().into_iter(), captured_info::CAPTURED_KEYS),
            Vec::<String>::new()
        );
    }

    #[test]
    fn what_is_built_and_what_is_to_come_are_all_of_redis() {
        let built: Vec<&str> = specs().iter().map(|spec| spec.name).collect();
        for (name, _) in captured_info::captured() {
            let is_coming = COMING.iter().any(|coming| coming.name == name);
            assert!(built.contains(&name) != is_coming, "{name} is in one of the tables");
        }
        assert_eq!(built.len() + COMING.len(), captured_info::captured().count(), "and nothing else is");
    }

    #[test]
    fn commands_to_come_have_the_categories_of_a_real_server() {
        for coming in COMING {
            let (_, facts) =
                captured_info::captured().find(|(name, _)| *name == coming.name).expect(coming.name);
            let real = facts.lines().find_map(|line| line.strip_prefix("  acl ")).expect(coming.name);
            let ours: Vec<&str> = coming.categories.iter().map(Category::name).collect();
            assert_eq!(ours.join(" "), real, "{}", coming.name);
        }
    }
}
