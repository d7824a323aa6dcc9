//! XGROUP: making and removing groups and their consumers.

use super::consumers::{find_or_add, group_mut, no_group};
use super::ids::{parse_id, parse_id_or_end};
use crate::base::text::until_nul;
use crate::commands::help as help_texts;
use crate::config::NotifyClasses;
use crate::keyspace::Stream;
use crate::keyspace::stream::{Found, Group as ReaderGroup};
use crate::server::{Args, Command, CommandError, CommandResult, Ctx};
use crate::spec::*;

/// XGROUP.
pub const COMMANDS: &[Command] = &[Command::container(
    Spec::container("xgroup", Group::Stream).since("5.0.0").summary("Who reads a stream together."),
    SUBCOMMANDS,
)];

const SUBCOMMANDS: &[Command] = &[
    Command::new(
        Spec::new(
            "xgroup|create",
            Group::Stream,
            -5,
            "key groupname <id | $@new_id>@id [MKSTREAM] [ENTRIESREAD entries_read:integer]",
        )
        .flags(&[WRITE, DENYOOM])
        .keys(&[KeySpec::one(2, &[RW, INSERT])])
        .since("5.0.0")
        .summary("Makes a group.")
        .history(&[("7.0.0", "`ENTRIESREAD`.")]),
        create,
    ),
    Command::new(
        Spec::new("xgroup|createconsumer", Group::Stream, 5, "key groupname consumername")
            .flags(&[WRITE, DENYOOM])
            .keys(&[KeySpec::one(2, &[RW, INSERT])])
            .since("6.2.0")
            .summary("Adds a consumer to a group."),
        create_consumer,
    ),
    Command::new(
        Spec::new("xgroup|delconsumer", Group::Stream, 5, "key groupname consumername")
            .flags(&[WRITE])
            .keys(&[KeySpec::one(2, &[RW, DELETE])])
            .since("5.0.0")
            .summary("Removes a consumer, and what is pending for it, from a group."),
        delete_consumer,
    ),
    Command::new(
        Spec::new("xgroup|destroy", Group::Stream, 4, "key groupname")
            .flags(&[WRITE])
            .keys(&[KeySpec::one(2, &[RW, DELETE])])
            .since("5.0.0")
            .complexity("O(1); what is pending is freed on another thread.")
            .summary("Removes a group."),
        destroy,
    ),
    Command::new(
        Spec::new("xgroup|help", Group::Stream, 2, "")
            .flags(&[LOADING, STALE])
            .since("5.0.0")
            .summary("Describes the subcommands."),
        help,
    ),
    Command::new(
        Spec::new(
            "xgroup|setid",
            Group::Stream,
            -5,
            "key groupname <id | $@new_id>@id [ENTRIESREAD entries_read:integer]",
        )
        .flags(&[WRITE])
        .keys(&[KeySpec::one(2, &[RW, UPDATE])])
        .since("5.0.0")
        .summary("Sets how far a group has read.")
        .history(&[("7.0.0", "`ENTRIESREAD`.")]),
        set_id,
    ),
];

/// Words of the longest XGROUP CREATE and of the longest XGROUP SETID that Redis takes. Options may
/// be repeated up to there.
const MAX_CREATE_WORDS: usize = 8;
const MAX_SETID_WORDS: usize = 7;

const NO_KEY: CommandError = CommandError::fixed(
    "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the \
     MKSTREAM option to create an empty stream automatically.",
);

/// The options that may stand behind the ID.
#[derive(Default)]
struct Options {
    makes_stream: bool,
    entries_read: Option<u64>,
}

impl Options {
    fn parse(ctx: &Ctx<'_>, args: &mut Args<'_>) -> Result<Options, CommandError> {
        let mut options = Options::default();
        let takes_mkstream = ctx.command.spec.own_name() == "create";
        while !args.is_done() {
            if takes_mkstream && args.keyword("MKSTREAM") {
                options.makes_stream = true;
            } else if args.keyword_with_value("ENTRIESREAD") {
                options.entries_read = match args.int()? {
                    -1 => None,
                    read => Some(u64::try_from(read).map_err(|_| {
                        CommandError::fixed("ERR value for ENTRIESREAD must be positive or -1")
                    })?),
                };
            } else {
                return Err(wrong_words(ctx, args));
            }
        }
        Ok(options)
    }
}

/// The error of too many words, or of one that is no option.
fn wrong_words(ctx: &Ctx<'_>, args: &Args<'_>) -> CommandError {
    ctx.unknown_subcommand(args.argv().at(1))
}

/// Keeps the books for a change of the groups of `key`.
fn group_changed(ctx: &mut Ctx<'_>, event: &str, key: &[u8]) {
    ctx.changed_aside(1, key);
    ctx.notify(NotifyClasses::STREAM, event, key);
}

fn create(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let (key, group, id) = (args.key(), args.key(), args.key());
    let options = Options::parse(ctx, &mut args)?;
    let last_id = ctx.db.write::<Stream>(key)?.map(|stream| stream.log.last_id());
    if last_id.is_none() && !options.makes_stream {
        return Err(NO_KEY);
    }
    if args.argv().len() > MAX_CREATE_WORDS {
        return Err(wrong_words(ctx, &args));
    }
    let id = match until_nul(id) {
        b"$" => last_id.unwrap_or_default(),
        text => parse_id(text, 0)?,
    };
    let stream = ctx.db.write_or_create(key, |_| Stream::default())?;
    if !stream.groups.add(group, ReaderGroup::new(id, options.entries_read)) {
        return Err(CommandError::fixed("BUSYGROUP Consumer Group name already exists"));
    }
    match last_id {
        Some(_) => group_changed(ctx, "xgroup-create", key),
        None => ctx.changed(NotifyClasses::STREAM, "xgroup-create", key),
    }
    ctx.reply.ok();
    Ok(())
}

fn set_id(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let (key, group_name, id) = (args.key(), args.key(), args.key());
    let options = Options::parse(ctx, &mut args)?;
    let too_long = (args.argv().len() > MAX_SETID_WORDS).then(|| wrong_words(ctx, &args));
    let stream = ctx.db.write::<Stream>(key)?.ok_or(NO_KEY)?;
    let last_id = stream.log.last_id();
    let group = stream.groups.get_mut(group_name).ok_or_else(|| no_group(key, group_name))?;
    if let Some(error) = too_long {
        return Err(error);
    }
    group.last_id = match until_nul(id) {
        b"$" => last_id,
        text => parse_id_or_end(text, 0)?,
    };
    group.entries_read = options.entries_read;
    group_changed(ctx, "xgroup-setid", key);
    ctx.reply.ok();
    Ok(())
}

fn destroy(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let (key, group) = (args.key(), args.key());
    let removed = ctx.db.write::<Stream>(key)?.ok_or(NO_KEY)?.groups.take(group);
    let Some(groups) = removed else {
        ctx.reply.integer(0);
        return Ok(());
    };
    ctx.db.free_elsewhere(Stream { groups, ..Stream::default() });
    group_changed(ctx, "xgroup-destroy", key);
    // A client that reads for it waits in vain.
    ctx.wake_waiters(key);
    ctx.reply.integer(1);
    Ok(())
}

/// Asserts that the group is there.
fn require_group(ctx: &mut Ctx<'_>, key: &[u8], group: &[u8]) -> CommandResult {
    ctx.db.write::<Stream>(key)?.ok_or(NO_KEY)?;
    group_mut(ctx.db, key, group).map(|_| ()).ok_or_else(|| no_group(key, group))
}

fn create_consumer(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let (key, group, name) = (args.key(), args.key(), args.key());
    require_group(ctx, key, group)?;
    let (_, found) = find_or_add(ctx, key, group, name)?;
    ctx.reply.integer(i64::from(found == Found::New));
    Ok(())
}

fn delete_consumer(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let (key, group, name) = (args.key(), args.key(), args.key());
    require_group(ctx, key, group)?;
    let pending = group_mut(ctx.db, key, group).and_then(|group| group.remove_consumer(name));
    if pending.is_some() {
        group_changed(ctx, "xgroup-delconsumer", key);
    }
    ctx.reply.integer(pending.map_or(0, |pending| pending as i64));
    Ok(())
}

fn help(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CommandResult {
    help_texts::of_container(ctx, "XGROUP", SUBCOMMANDS);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::TestServer;

    const NO_KEY: &str = "(error) ERR The XGROUP subcommand requires the key to exist. Note that for CREATE \
                          you may want to use the MKSTREAM option to create an empty stream automatically.";
    const WRONG_WORDS: &str =
        "(error) ERR unknown subcommand or wrong number of arguments for 'Create'. Try XGROUP HELP.";
    const NO_GROUP: &str = "(error) NOGROUP No such consumer group 'h' for key name 's'";

    fn server() -> TestServer {
        let mut server = TestServer::new();
        server.run("XADD s 1-1 f v");
        server.run("XADD s 2-1 f v");
        server.effects();
        server
    }

    #[test]
    fn a_group_is_made_once_and_the_stream_with_it_if_wanted() {
        let mut server = server();
        server.check(&[
            ("XGROUP CREATE s g $", "OK"),
            ("XGROUP CREATE s g 0", "(error) BUSYGROUP Consumer Group name already exists"),
            ("XGROUP CREATE none g 0", NO_KEY),
            ("XGROUP CREATE new g $ MKSTREAM mkstream", "OK"),
            ("XGROUP CREATE new h 7 ENTRIESREAD 3", "OK"),
            ("XLEN new", "(integer) 0"),
        ]);
        assert_eq!(
            server.effects(),
            "XGROUP CREATE s g $ | XGROUP CREATE new g $ MKSTREAM mkstream | XGROUP CREATE new h 7 ENTRIESREAD 3"
        );
        assert_eq!(server.dirty(), 2 + 3);
    }

    #[test]
    fn wrong_calls_are_refused_in_the_order_of_redis() {
        let mut server = server();
        server.run("SET str v");
        let negative = "(error) ERR value for ENTRIESREAD must be positive or -1";
        let invalid = "(error) ERR Invalid stream ID specified as stream command argument";
        let wrong_type = "(error) WRONGTYPE Operation against a key holding the wrong kind of value";
        server.check(&[
            ("XGROUP Create str g 0 FAST", WRONG_WORDS),
            ("XGROUP Create str g 0 ENTRIESREAD", WRONG_WORDS),
            ("XGROUP CREATE str g 0 ENTRIESREAD x", "(error) ERR value is not an integer or out of range"),
            ("XGROUP CREATE str g 0 ENTRIESREAD -2", negative),
            ("XGROUP CREATE str g x", wrong_type),
            ("XGROUP CREATE none g x", NO_KEY),
            ("XGROUP Create none g x MKSTREAM MKSTREAM MKSTREAM MKSTREAM", WRONG_WORDS),
            ("XGROUP CREATE none g x MKSTREAM", invalid),
            ("XGROUP CREATE s g -", invalid),
            ("EXISTS none", "(integer) 0"),
            ("XGROUP SETID s h x", NO_GROUP),
            ("XGROUP SETID none h x", NO_KEY),
            ("XGROUP DESTROY none g", NO_KEY),
            ("XGROUP DESTROY s h", "(integer) 0"),
            ("XGROUP DESTROY str h", wrong_type),
            ("XGROUP CREATECONSUMER s h c", NO_GROUP),
            ("XGROUP CREATECONSUMER str h c", wrong_type),
            ("XGROUP DELCONSUMER s h c", NO_GROUP),
            ("XGROUP DELCONSUMER none h c", NO_KEY),
            ("XGROUP NOPE s", "(error) ERR unknown subcommand 'NOPE'. Try XGROUP HELP."),
            ("XGROUP CREATE s g", "(error) ERR wrong number of arguments for 'xgroup|create' command"),
        ]);
        assert_eq!(server.effects(), "SET str v", "and nothing is changed");
    }

    #[test]
    fn how_far_a_group_has_read_can_be_set() {
        let mut server = server();
        server.run("XGROUP CREATE s g $");
        for (line, last, read) in [
            ("XGROUP SETID s g 1-1 ENTRIESREAD 1", "\"1-1\"", "(integer) 1"),
            ("XGROUP SETID s g $", "\"2-1\"", "(nil)"),
            ("XGROUP SETID s g -", "\"0-0\"", "(nil)"),
            ("XGROUP SETID s g +", "\"18446744073709551615-18446744073709551615\"", "(nil)"),
        ] {
            assert_eq!(server.run(line), "OK", "{line}");
            let shown = server.run("XINFO GROUPS s");
            assert!(shown.contains(&format!("8) {last}")), "{line}: {shown}");
            assert!(shown.contains(&format!("10) {read}")), "{line}: {shown}");
        }
        let twice = server.run("XGROUP SETID s g 1 ENTRIESREAD 1 ENTRIESREAD 2");
        assert!(twice.contains("unknown subcommand or wrong number"));
        assert!(server.effects().starts_with("XGROUP CREATE s g $ | XGROUP SETID s g 1-1 ENTRIESREAD 1 |"));
    }

    #[test]
    fn consumers_come_and_go_with_what_is_pending_for_them() {
        let mut server = server();
        server.connect(2);
        server.run("CONFIG SET notify-keyspace-events Kt");
        server.run("XGROUP CREATE s g 0");
        server.run_as(2, "SUBSCRIBE __keyspace@0__:s");
        server.check(&[
            ("XGROUP CREATECONSUMER s g c", "(integer) 1"),
            ("XGROUP CREATECONSUMER s g c", "(integer) 0"),
        ]);
        server.run("XREADGROUP GROUP g c STREAMS s >");
        server.check(&[
            ("XGROUP DELCONSUMER s g c", "(integer) 2"),
            ("XGROUP DELCONSUMER s g c", "(integer) 0"),
            ("XGROUP DESTROY s g", "(integer) 1"),
            ("XGROUP DESTROY s g", "(integer) 0"),
        ]);
        let heard = server.output_of(2);
        let events: Vec<_> = heard.lines().filter_map(|line| line.strip_prefix("3) \"xgroup-")).collect();
        assert_eq!(events, ["createconsumer\"", "delconsumer\"", "destroy\""], "{heard}");
        let effects = server.effects();
        assert!(effects.ends_with("EXEC | XGROUP DELCONSUMER s g c | XGROUP DESTROY s g"), "{effects}");
        assert_eq!(effects.matches("CREATECONSUMER").count(), 1);
    }

    #[test]
    fn who_watches_a_stream_is_told_when_it_is_made_and_not_of_its_groups() {
        let mut server = server();
        server.connect(2);
        for (line, answer) in [
            ("XGROUP CREATE s g 0", "1) PONG"),
            ("XREADGROUP GROUP g c STREAMS s >", "1) PONG"),
            ("XSETID s 5-1", "1) PONG"),
            ("XGROUP CREATE new g 0 MKSTREAM", "(nil)"),
        ] {
            server.run("WATCH s new");
            server.run_as(2, line);
            let answers = server.pipeline_as(1, &["MULTI", "PING", "EXEC"]);
            assert_eq!(answers, format!("OK\nQUEUED\n{answer}"), "{line}");
        }
    }

    #[test]
    fn help_is_in_the_words_of_redis() {
        let help = server().run("XGROUP HELP");
        assert_eq!(help.lines().count(), 17, "{help}");
        assert!(help.contains("SETID <key> <groupname> <id|$> [ENTRIESREAD entries_read]"), "{help}");
    }
}
