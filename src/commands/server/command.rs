//! COMMAND: the table of commands, told to clients.

use crate::base::glob::{Budget, Case, TooMuch, glob_match};
use crate::commands::help;
use crate::resp::Reply;
use crate::server::{Args, Command, CommandError, CommandResult, Ctx, Lookup};
use crate::spec::syntax::Argument;
use crate::spec::*;

/// COMMAND.
pub const COMMANDS: &[Command] = &[Command::new(
    Spec::new("command", Group::Server, -1, "")
        .flags(&[LOADING, STALE])
        .categories(&[Category::Connection])
        .since("2.8.13")
        .complexity("O(N), N: commands.")
        .summary("Describes all commands.")
        .tips(&["nondeterministic_output_order"]),
    command,
)
.subcommands(SUBCOMMANDS)];

const SUBCOMMANDS: &[Command] = &[
    Command::new(
        Spec::new("command|count", Group::Server, 2, "")
            .flags(&[LOADING, STALE])
            .categories(&[Category::Connection])
            .since("2.8.13")
            .summary("Counts the commands."),
        command_count,
    ),
    Command::new(
        Spec::new("command|docs", Group::Server, -2, "[command-name [command-name ...]]")
            .flags(&[LOADING, STALE])
            .categories(&[Category::Connection])
            .since("7.0.0")
            .complexity("O(N), N: commands asked for.")
            .summary("Documents commands.")
            .tips(&["nondeterministic_output_order"]),
        command_docs,
    ),
    Command::new(
        Spec::new("command|getkeys", Group::Server, -4, "")
            .flags(&[LOADING, STALE])
            .categories(&[Category::Connection])
            .since("2.8.13")
            .complexity("O(N), N: arguments.")
            .summary("Finds the keys in a call of a command."),
        command_getkeys,
    ),
    Command::new(
        Spec::new("command|getkeysandflags", Group::Server, -4, "")
            .flags(&[LOADING, STALE])
            .categories(&[Category::Connection])
            .since("7.0.0")
            .complexity("O(N), N: arguments.")
            .summary("Finds the keys in a call of a command and tells what is done to them."),
        command_getkeysandflags,
    ),
    Command::new(
        Spec::new("command|help", Group::Server, 2, "")
            .flags(&[LOADING, STALE])
            .categories(&[Category::Connection])
            .since("5.0.0")
            .summary("Describes the subcommands."),
        command_help,
    ),
    Command::new(
        Spec::new("command|info", Group::Server, -2, "[command-name [command-name ...]]")
            .flags(&[LOADING, STALE])
            .categories(&[Category::Connection])
            .since("2.8.13")
            .complexity("O(N), N: commands asked for.")
            .summary("Describes some commands, or all.")
            .tips(&["nondeterministic_output_order"])
            .history(&[("7.0.0", "Without names it describes all commands.")]),
        command_info,
    ),
    Command::new(
        Spec::new(
            "command|list",
            Group::Server,
            -2,
            "[FILTERBY <MODULE module-name | ACLCAT category | PATTERN pattern>@filterby]",
        )
        .flags(&[LOADING, STALE])
        .categories(&[Category::Connection])
        .since("7.0.0")
        .complexity("O(N), N: commands.")
        .summary("Lists the names of commands.")
        .tips(&["nondeterministic_output_order"]),
        command_list,
    ),
];

fn command(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CommandResult {
    let all: Vec<_> = ctx.rooms.commands.named().map(|(_, command)| command).collect();
    ctx.reply.array(all.len());
    all.iter().for_each(|command| write_info(&mut ctx.reply, command));
    Ok(())
}

fn command_count(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CommandResult {
    ctx.reply.count(ctx.rooms.commands.named().count());
    Ok(())
}

fn command_help(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CommandResult {
    help::of_container(ctx, "COMMAND", SUBCOMMANDS);
    Ok(())
}

fn command_info(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    if args.is_done() {
        return command(ctx, args);
    }
    ctx.reply.array(args.remaining());
    for name in args.rest() {
        match ctx.rooms.commands.by_full_name(name) {
            Some(command) => write_info(&mut ctx.reply, command),
            None => ctx.reply.null(),
        }
    }
    Ok(())
}

fn command_docs(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    let commands: Vec<&Command> = if args.is_done() {
        ctx.rooms.commands.named().map(|(_, command)| command).collect()
    } else {
        args.rest().filter_map(|name| ctx.rooms.commands.by_full_name(name)).collect()
    };
    ctx.reply.map(commands.len());
    for command in commands {
        ctx.reply.bulk(command.spec.name.as_bytes());
        write_docs(&mut ctx.reply, command);
    }
    Ok(())
}

/// The filter that COMMAND LIST FILTERBY asks for.
enum Filter<'a> {
    All,
    Nothing,
    Category(Category),
    Pattern(&'a [u8]),
}

impl Filter<'_> {
    fn admits(&self, spec: &Spec, budget: &mut Budget) -> Result<bool, TooMuch> {
        match self {
            Filter::All => Ok(true),
            Filter::Nothing => Ok(false),
            Filter::Category(category) => Ok(spec.acl_categories().contains(*category)),
            Filter::Pattern(pattern) => glob_match(pattern, spec.name.as_bytes(), Case::Insensitive, budget),
        }
    }
}

fn command_list(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let mut filter = Filter::All;
    if args.remaining() == 3 && args.keyword("FILTERBY") {
        filter = if args.keyword("MODULE") {
            Filter::Nothing
        } else if args.keyword("ACLCAT") {
            Category::by_name(args.peek().unwrap_or_default()).map_or(Filter::Nothing, Filter::Category)
        } else if args.keyword("PATTERN") {
            Filter::Pattern(args.peek().unwrap_or_default())
        } else {
            return Err(CommandError::Syntax);
        };
    } else {
        args.finish()?;
    }
    let mut budget = Budget::COMMAND;
    let mut names = Vec::new();
    for command in ctx.rooms.commands.all() {
        if filter.admits(&command.spec, &mut budget)? {
            names.push(command.spec.name);
        }
    }
    ctx.reply.array(names.len());
    names.iter().for_each(|name| ctx.reply.bulk(name.as_bytes()));
    Ok(())
}

fn command_getkeys(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    let (argv, keys) = find_keys(ctx, args)?;
    ctx.reply.array(keys.len());
    keys.iter().for_each(|key| ctx.reply.bulk(argv.at(key.index)));
    Ok(())
}

fn command_getkeysandflags(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    let (argv, keys) = find_keys(ctx, args)?;
    ctx.reply.array(keys.len());
    for key in keys {
        ctx.reply.array(2);
        ctx.reply.bulk(argv.at(key.index));
        write_words(&mut ctx.reply, key.flags.names());
    }
    Ok(())
}

/// The keys of the call that stands in the arguments.
fn find_keys<'a>(
    ctx: &Ctx<'_>,
    args: Args<'a>,
) -> Result<(crate::resp::Argv<'a>, Vec<KeyRef>), CommandError> {
    let argv = args.argv().skip(args.position());
    let Lookup::Found(command, ..) = ctx.rooms.commands.lookup(argv) else {
        return Err(CommandError::fixed("ERR Invalid command specified"));
    };
    let keys = keys_of(&command.spec, argv).map_err(|error| CommandError::line(format!("ERR {error}")))?;
    Ok((argv, keys))
}

// ── shapes ───────────────────────────────────────────────────────────────────────────────────

fn write_info(reply: &mut Reply<'_>, command: &Command) {
    let spec = &command.spec;
    let (first, last, step) = spec.key_range();
    reply.array(10);
    reply.bulk(spec.name.as_bytes());
    reply.integer(i64::from(spec.arity.0));
    write_words(reply, spec.all_flags().names());
    [first, last, step].iter().for_each(|&number| reply.integer(i64::from(number)));
    let categories: Vec<_> =
        spec.acl_categories().iter().map(|category| format!("@{}", category.name())).collect();
    write_words(reply, categories.iter().map(String::as_str));
    reply.set(spec.tips.len());
    spec.tips.iter().for_each(|tip| reply.bulk(tip.as_bytes()));
    reply.set(spec.keys.len());
    spec.keys.iter().for_each(|key| write_key_spec(reply, key));
    if command.subcommands.is_empty() {
        return reply.set(0);
    }
    reply.array(command.subcommands.len());
    command.subcommands.iter().for_each(|sub| write_info(reply, sub));
}

/// A set of simple strings.
fn write_words<'w>(reply: &mut Reply<'_>, words: impl Iterator<Item = &'w str>) {
    let words: Vec<_> = words.collect();
    reply.set(words.len());
    words.iter().for_each(|word| reply.simple(word));
}

fn write_key_spec(reply: &mut Reply<'_>, key: &KeySpec) {
    reply.map(if key.notes.is_empty() { 3 } else { 4 });
    if !key.notes.is_empty() {
        write_pair(reply, "notes", key.notes);
    }
    reply.bulk(b"flags");
    write_words(reply, key.flags.names());
    reply.bulk(b"begin_search");
    match key.begin {
        BeginSearch::Index(index) => {
            write_search(reply, "index", 1);
            write_number(reply, "index", index);
        }
        BeginSearch::Keyword(word, from) => {
            write_search(reply, "keyword", 2);
            write_pair(reply, "keyword", word);
            write_number(reply, "startfrom", from);
        }
        BeginSearch::Unknown => write_search(reply, "unknown", 0),
    }
    reply.bulk(b"find_keys");
    match key.find {
        FindKeys::Range { last, step, limit } => {
            write_search(reply, "range", 3);
            write_number(reply, "lastkey", last);
            write_number(reply, "keystep", step);
            write_number(reply, "limit", limit);
        }
        FindKeys::KeyNum { number, first, step } => {
            write_search(reply, "keynum", 3);
            write_number(reply, "keynumidx", number);
            write_number(reply, "firstkey", first);
            write_number(reply, "keystep", step);
        }
        FindKeys::Unknown => write_search(reply, "unknown", 0),
    }
}

/// The head of one step of a key spec: its type, and a map of `fields` that follows.
fn write_search(reply: &mut Reply<'_>, kind: &str, fields: usize) {
    reply.map(2);
    write_pair(reply, "type", kind);
    reply.bulk(b"spec");
    reply.map(fields);
}

fn write_pair(reply: &mut Reply<'_>, name: &str, value: &str) {
    reply.bulk(name.as_bytes());
    reply.bulk(value.as_bytes());
}

fn write_number(reply: &mut Reply<'_>, name: &str, value: i32) {
    reply.bulk(name.as_bytes());
    reply.integer(i64::from(value));
}

fn write_docs(reply: &mut Reply<'_>, command: &Command) {
    let spec = &command.spec;
    let arguments = spec.arguments();
    let place = reply.deferred();
    let mut fields = 0;
    let mut texts = vec![("summary", spec.summary), ("since", spec.since), ("group", spec.group.name())];
    if !spec.complexity.is_empty() {
        texts.push(("complexity", spec.complexity));
    }
    for (name, text) in texts {
        write_pair(reply, name, text);
        fields += 1;
    }
    let flags = [(spec.system, "syscmd"), (spec.deprecated.is_some(), "deprecated")];
    if flags.iter().any(|&(is_set, _)| is_set) {
        reply.bulk(b"doc_flags");
        write_words(reply, flags.iter().filter(|(is_set, _)| *is_set).map(|&(_, word)| word));
        fields += 1;
    }
    if let Some(deprecated) = spec.deprecated {
        write_pair(reply, "deprecated_since", deprecated.since);
        write_pair(reply, "replaced_by", deprecated.replaced_by);
        fields += 2;
    }
    if !spec.history.is_empty() {
        reply.bulk(b"history");
        reply.set(spec.history.len());
        for (version, change) in spec.history {
            reply.array(2);
            reply.bulk(version.as_bytes());
            reply.bulk(change.as_bytes());
        }
        fields += 1;
    }
    if !arguments.is_empty() {
        reply.bulk(b"arguments");
        write_arguments(reply, &arguments);
        fields += 1;
    }
    if !command.subcommands.is_empty() {
        reply.bulk(b"subcommands");
        reply.map(command.subcommands.len());
        for sub in command.subcommands {
            reply.bulk(sub.spec.name.as_bytes());
            write_docs(reply, sub);
        }
        fields += 1;
    }
    reply.close_map(place, fields);
}

/// Arguments nest as deep as a syntax line of our own does.
fn write_arguments(reply: &mut Reply<'_>, arguments: &[Argument]) {
    reply.array(arguments.len());
    for argument in arguments {
        let place = reply.deferred();
        let mut fields = 2;
        write_pair(reply, "name", &argument.name);
        write_pair(reply, "type", argument.kind.name());
        if let Some(index) = argument.key_spec {
            reply.bulk(b"key_spec_index");
            reply.count(index);
            fields += 1;
        }
        let texts = [
            ("token", argument.token),
            ("since", argument.since),
            ("deprecated_since", argument.deprecated_since),
        ];
        for (name, text) in texts {
            if let Some(text) = text {
                write_pair(reply, name, text);
                fields += 1;
            }
        }
        let flags = [
            (argument.optional, "optional"),
            (argument.multiple, "multiple"),
            (argument.multiple_token, "multiple_token"),
        ];
        if flags.iter().any(|&(is_set, _)| is_set) {
            reply.bulk(b"flags");
            write_words(reply, flags.iter().filter(|(is_set, _)| *is_set).map(|&(_, word)| word));
            fields += 1;
        }
        if !argument.arguments.is_empty() {
            reply.bulk(b"arguments");
            write_arguments(reply, &argument.arguments);
            fields += 1;
        }
        reply.close_map(place, fields);
    }
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::TestServer;

    #[test]
    fn info_has_the_ten_fields_of_redis() {
        let mut server = TestServer::new();
        assert_eq!(
            server.raw("COMMAND INFO get nosuch"),
            "*2\r\n*10\r\n$3\r\nget\r\n:2\r\n*2\r\n+readonly\r\n+fast\r\n:1\r\n:1\r\n:1\r\n*3\r\n+@read\r\n\
             +@string\r\n+@fast\r\n*0\r\n*1\r\n*6\r\n$5\r\nflags\r\n*2\r\n+RO\r\n+access\r\n$12\r\nbegin_search\r\n\
             *4\r\n$4\r\ntype\r\n$5\r\nindex\r\n$4\r\nspec\r\n*2\r\n$5\r\nindex\r\n:1\r\n$9\r\nfind_keys\r\n*4\r\n\
             $4\r\ntype\r\n$5\r\nrange\r\n$4\r\nspec\r\n*6\r\n$7\r\nlastkey\r\n:0\r\n$7\r\nkeystep\r\n:1\r\n\
             $5\r\nlimit\r\n:0\r\n*0\r\n$-1\r\n"
        );
        assert!(server.run("COMMAND INFO client|list").contains("client|list"));
    }

    #[test]
    fn docs_show_the_tree_of_arguments() {
        let mut server = TestServer::new();
        server.run("HELLO 3");
        let text = server.run("COMMAND DOCS config|get");
        assert!(text.contains("\"arguments\" => 1) 1# \"name\" => \"parameter\""), "{text}");
        assert_eq!(server.run("COMMAND DOCS nosuch"), "(empty hash)");
    }

    #[test]
    fn keys_are_found_in_any_call() {
        let mut server = TestServer::new();
        assert_eq!(server.run("COMMAND GETKEYS setnx k v"), "1) \"k\"");
        assert_eq!(
            server.run("COMMAND GETKEYSANDFLAGS setnx k v"),
            "1) 1) \"k\"\n   2) 1) OW\n      2) insert"
        );
        assert_eq!(server.run("COMMAND GETKEYS nosuch k"), "(error) ERR Invalid command specified");
        assert_eq!(server.run("COMMAND GETKEYS ping x"), "(error) ERR The command has no key arguments");
        let line = "(error) ERR Invalid number of arguments specified for command";
        assert_eq!(server.run("COMMAND GETKEYS get a b"), line);
    }

    #[test]
    fn list_filters_by_pattern_and_category() {
        let mut server = TestServer::new();
        assert_eq!(server.run("COMMAND LIST FILTERBY PATTERN setn*"), "1) \"setnx\"");
        assert!(server.run("COMMAND LIST FILTERBY ACLCAT connection").contains("client|list"));
        assert_eq!(server.run("COMMAND LIST FILTERBY MODULE x"), "(empty array)");
        assert_eq!(server.run("COMMAND LIST FILTERBY nothing x"), "(error) ERR syntax error");
        assert!(server.run("COMMAND LIST").contains("client|list"));
    }
}
