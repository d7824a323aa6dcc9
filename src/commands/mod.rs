//! What users can say: one file per Redis *group* (what COMMAND DOCS reports). [`table`] is all of it.
//!
//! Each file begins with its `COMMANDS`, a const table of [`Command`]s, and its handlers follow.
//! Command files do not import each other; what two families share is a type in `keyspace/` or a
//! helper here.

pub mod connection;
pub mod generic;
pub mod scanning;
pub mod server;
pub mod string;
#[cfg(test)]
pub mod testing;

use crate::keyspace::DbIndex;
use crate::server::{Args, Command, CommandError, CommandTable, Ctx};

/// The tables of all groups.
const GROUPS: &[&[Command]] = &[
    connection::COMMANDS,
    generic::COMMANDS,
    server::admin::COMMANDS,
    server::command::COMMANDS,
    server::config::COMMANDS,
    server::debug::COMMANDS,
    server::info::COMMANDS,
    server::keyspace::COMMANDS,
    string::COMMANDS,
];

/// Every command by its name.
#[must_use]
pub fn table() -> CommandTable {
    CommandTable::new(GROUPS.iter().copied().flatten())
}

/// What HELP answers for a container: its subcommands, their syntax and what they are for.
fn help(ctx: &mut Ctx<'_>, container: &str, subcommands: &[Command]) {
    let mut lines = vec![format!("{container} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:")];
    for sub in subcommands.iter().filter(|sub| sub.spec.own_name() != "help") {
        let name = sub.spec.own_name().to_ascii_uppercase();
        lines.push(format!("{name} {}", crate::spec::syntax::plain(sub.spec.syntax)).trim_end().to_string());
        lines.push(format!("    {}", sub.spec.summary));
    }
    lines.push("HELP".to_string());
    lines.push("    Prints this help.".to_string());
    ctx.reply.array(lines.len());
    lines.iter().for_each(|line| ctx.reply.simple(line));
}

/// The next argument as an integer that fits 32 bits, as Redis wants it for the numbers of databases.
fn int_of_32_bits(args: &mut Args<'_>) -> Result<i64, CommandError> {
    let value = args.int()?;
    i32::try_from(value).map(i64::from).map_err(|_| {
        CommandError::line(format!(
            "ERR value is out of range, value must between {} and {}",
            i32::MIN,
            i32::MAX
        ))
    })
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
    use crate::spec::{Spec, facts};

    /// The table and all its subcommands, without what only pyredis has.
    fn specs() -> Vec<&'static Spec> {
        let commands = GROUPS.iter().copied().flatten().filter(|c| c.spec.name != "flush");
        commands
            .flat_map(|c| std::iter::once(&c.spec).chain(c.subcommands.iter().map(|sub| &sub.spec)))
            .collect()
    }

    #[test]
    fn the_table_says_what_a_real_command_info_says() {
        assert_eq!(facts::compare(specs().into_iter(), facts::CAPTURED_INFO), Vec::<String>::new());
        assert_eq!(facts::compare_keys(specs().into_iter(), facts::CAPTURED_KEYS), Vec::<String>::new());
    }
}
