//! CLIENT: what is known of connections, and how to end or rename them.

use super::tracking;
use crate::base::ClientId;
use crate::base::number::parse_i64;
use crate::base::text::{lossless, original};
use crate::clients::{ClientClass, Close, ReplyMode, Session};
use crate::commands::help;
use crate::server::client_info::info_line;
use crate::server::{Args, Command, CommandError, CommandResult, Ctx, Rooms};
use crate::spec::*;
use crate::waiting::{Pause, PauseReason};

/// The subcommands of CLIENT.
pub(super) const COMMANDS: &[Command] = &[
    tracking::CACHING,
    Command::new(
        Spec::new("client|getname", Group::Connection, 2, "")
            .flags(&[NOSCRIPT, LOADING, STALE, KEEPS_CACHING])
            .since("2.6.9")
            .summary("Tells the name of this connection."),
        client_getname,
    ),
    tracking::GETREDIR,
    Command::new(
        Spec::new("client|help", Group::Connection, 2, "")
            .flags(&[LOADING, STALE, KEEPS_CACHING])
            .since("5.0.0")
            .summary("Describes the subcommands."),
        client_help,
    ),
    Command::new(
        Spec::new("client|id", Group::Connection, 2, "")
            .flags(&[NOSCRIPT, LOADING, STALE, KEEPS_CACHING])
            .since("5.0.0")
            .summary("Tells the number of this connection."),
        client_id,
    ),
    Command::new(
        Spec::new("client|info", Group::Connection, 2, "")
            .flags(&[NOSCRIPT, LOADING, STALE, KEEPS_CACHING])
            .since("6.2.0")
            .summary("Describes this connection.")
            .tips(&["nondeterministic_output"]),
        client_info,
    ),
    Command::new(
        Spec::new(
            "client|kill",
            Group::Connection,
            -3,
            "<ip:port!2.8.12 | <[ID client-id^2.8.12] | [TYPE <NORMAL | MASTER^3.2.0 | SLAVE | \
            REPLICA^5.0.0 | PUBSUB>@normal_master_slave_pubsub^2.8.12] | [USER username] | \
            [ADDR ip:port] | [LADDR ip:port^6.2.0] | [SKIPME yes/no]>@new-format [<[ID \
            client-id] | [TYPE <NORMAL | MASTER | SLAVE | REPLICA | PUBSUB>] | [USER username] \
            | [ADDR ip:port] | [LADDR ip:port] | [SKIPME yes/no]> ...]>@filter",
        )
        .flags(&[ADMIN, NOSCRIPT, LOADING, STALE, KEEPS_CACHING])
        .since("2.4.0")
        .complexity("O(N), N: connections.")
        .summary("Closes connections.")
        .history(&[
            ("2.8.12", "Filters."),
            ("2.8.12", "The filter `ID`."),
            ("3.2.0", "The type `master`."),
            ("5.0.0", "The type `replica`; `slave` means the same."),
            ("6.2.0", "The filter `LADDR`."),
        ]),
        client_kill,
    ),
    Command::new(
        Spec::new(
            "client|list",
            Group::Connection,
            -2,
            "[TYPE <NORMAL | MASTER | REPLICA | PUBSUB>^5.0.0] [ID (client-id [client-id \
            ...])@id^6.2.0]",
        )
        .flags(&[ADMIN, NOSCRIPT, LOADING, STALE, KEEPS_CACHING])
        .since("2.4.0")
        .complexity("O(N), N: connections.")
        .summary("Describes all connections, or some.")
        .tips(&["nondeterministic_output"])
        .history(&[
            ("2.8.12", "Field `id`."),
            ("5.0.0", "The filter `TYPE`."),
            ("6.0.0", "Field `user`."),
            ("6.2.0", "Fields `argv-mem`, `tot-mem`, `laddr`, `redir`; the filter `ID`."),
            ("7.0.0", "Fields `resp`, `multi-mem`, `rbs`, `rbp`."),
            ("7.0.3", "Field `ssub`."),
        ]),
        client_list,
    ),
    Command::new(
        Spec::new("client|no-evict", Group::Connection, 3, "<ON | OFF>@enabled")
            .flags(&[ADMIN, NOSCRIPT, LOADING, STALE, KEEPS_CACHING])
            .since("7.0.0")
            .summary("Protects this connection from eviction, or no longer."),
        client_no_evict,
    ),
    Command::new(
        Spec::new("client|pause", Group::Connection, -3, "timeout:integer [WRITE | ALL]@mode^6.2.0")
            .flags(&[ADMIN, NOSCRIPT, LOADING, STALE, KEEPS_CACHING])
            .since("2.9.50")
            .summary("Holds back the commands of clients for a while.")
            .history(&[("6.2.0", "The mode, `WRITE` or `ALL`.")]),
        client_pause,
    ),
    Command::new(
        Spec::new("client|reply", Group::Connection, 3, "<ON | OFF | SKIP>")
            .flags(&[NOSCRIPT, LOADING, STALE, KEEPS_CACHING])
            .since("3.2.0")
            .summary("Turns the replies of this connection on or off."),
        client_reply,
    ),
    Command::new(
        Spec::new("client|setname", Group::Connection, 3, "connection-name")
            .flags(&[NOSCRIPT, LOADING, STALE, KEEPS_CACHING])
            .since("2.6.9")
            .summary("Names this connection."),
        client_setname,
    ),
    tracking::TRACKING,
    tracking::TRACKINGINFO,
    Command::new(
        Spec::new("client|unblock", Group::Connection, -3, "client-id [TIMEOUT | ERROR]")
            .flags(&[ADMIN, NOSCRIPT, LOADING, STALE, KEEPS_CACHING])
            .since("5.0.0")
            .complexity("O(log(N)), N: connections.")
            .summary("Wakes a client that waits in a blocking command."),
        client_unblock,
    ),
    Command::new(
        Spec::new("client|unpause", Group::Connection, 2, "")
            .flags(&[ADMIN, NOSCRIPT, LOADING, STALE, KEEPS_CACHING])
            .since("6.2.0")
            .complexity("O(N), N: clients held back.")
            .summary("Ends CLIENT PAUSE."),
        client_unpause,
    ),
];
fn client_id(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CommandResult {
    ctx.reply.integer(i64::try_from(ctx.session.id.0).unwrap_or(i64::MAX));
    Ok(())
}

fn client_getname(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CommandResult {
    ctx.reply.bulk_or_null(Some(&ctx.session.name[..]).filter(|name| !name.is_empty()));
    Ok(())
}

fn client_setname(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    set_name(ctx, args.key())?;
    ctx.reply.ok();
    Ok(())
}

/// Names the connection; an empty name takes the name away.
pub(super) fn set_name(ctx: &mut Ctx<'_>, name: &[u8]) -> CommandResult {
    if !name.iter().all(|byte| (b'!'..=b'~').contains(byte)) {
        let line = "ERR Client names cannot contain spaces, newlines or special characters.";
        return Err(CommandError::fixed(line));
    }
    ctx.session.name = name.to_vec();
    Ok(())
}

fn client_help(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CommandResult {
    help::of_container(ctx, "CLIENT", COMMANDS);
    Ok(())
}

fn client_info(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    note_running(ctx, &args);
    let line = info_line(ctx.rooms, ctx.session) + "\n";
    ctx.reply.verbatim("txt", &original(&line));
    Ok(())
}

/// Notes what the asking client's line says of the command it is in.
fn note_running(ctx: &mut Ctx<'_>, args: &Args<'_>) {
    ctx.session.requests.running.arguments = args.argv().bytes();
    ctx.session.requests.running.answered = ctx.reply.buffered_bytes();
}

fn client_list(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    note_running(ctx, &args);
    let mut kind = None;
    let mut ids = None;
    if args.remaining() == 2 && args.keyword("TYPE") {
        kind = Some(parse_class(args.key())?);
    } else if args.keyword_with_value("ID") {
        let mut wanted = Vec::new();
        for word in args.rest() {
            let id = parse_i64(word).ok_or(CommandError::fixed("ERR Invalid client ID"))?;
            wanted.push(ClientId(u64::try_from(id).unwrap_or(0)));
        }
        ids = Some(wanted);
    } else {
        args.finish()?;
    }
    if !ctx.has_read_all(args.argv()) {
        return Ok(());
    }
    let mut found = all(ctx.rooms, ctx.session);
    found.retain(|session| kind.is_none_or(|kind| ClientClass::of(session) == kind));
    if let Some(ids) = ids {
        // Redis: in the order of the question, as often as it asks.
        let by_id = |id: &ClientId| found.binary_search_by_key(id, |session| session.id).ok();
        found = ids.iter().filter_map(by_id).map(|place| found[place]).collect();
    }
    let mut text = String::new();
    for session in found {
        text.push_str(&info_line(ctx.rooms, session));
        text.push('\n');
    }
    ctx.reply.verbatim("txt", &original(&text));
    Ok(())
}

/// All clients by number, the one whose command runs included. Those who have been closed are gone,
/// also while their workers do not know yet.
fn all<'s>(rooms: &'s Rooms, own: &'s Session) -> Vec<&'s Session> {
    let others = rooms.clients.iter().filter(|session| session.close != Close::Now);
    let mut sessions: Vec<_> = others.chain(std::iter::once(own)).collect();
    sessions.sort_unstable_by_key(|session| session.id);
    sessions
}

fn parse_class(word: &[u8]) -> Result<ClientClass, CommandError> {
    match word.to_ascii_lowercase().as_slice() {
        b"normal" => Ok(ClientClass::Normal),
        b"master" => Ok(ClientClass::Master),
        b"slave" | b"replica" => Ok(ClientClass::Replica),
        b"pubsub" => Ok(ClientClass::Pubsub),
        _ => Err(CommandError::line(format!("ERR Unknown client type '{}'", lossless(word)))),
    }
}

fn client_reply(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    if args.keyword("ON") {
        ctx.session.outbox.mode = ReplyMode::On;
        ctx.reply.ok();
    } else if args.keyword("OFF") {
        ctx.session.outbox.mode = ReplyMode::Off;
    } else if args.keyword("SKIP") {
        if ctx.session.outbox.mode != ReplyMode::Off {
            ctx.session.outbox.mode = ReplyMode::SkipNext;
        }
    } else {
        return Err(CommandError::Syntax);
    }
    Ok(())
}

fn client_no_evict(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    ctx.session.no_evict = if args.keyword("ON") {
        true
    } else if args.keyword("OFF") {
        false
    } else {
        return Err(CommandError::Syntax);
    };
    ctx.reply.ok();
    Ok(())
}

/// The conditions of CLIENT KILL; all that are given must match.
#[derive(Debug, Default)]
struct KillFilter<'a> {
    id: Option<ClientId>,
    addr: Option<&'a [u8]>,
    laddr: Option<&'a [u8]>,
    user: Option<&'a [u8]>,
    kind: Option<ClientClass>,
    spares_own: bool,
}

impl KillFilter<'_> {
    fn matches(&self, session: &Session, own: ClientId) -> bool {
        self.id.is_none_or(|id| session.id == id)
            && self.addr.is_none_or(|addr| session.connection.addr.as_bytes() == addr)
            && self.laddr.is_none_or(|laddr| session.connection.laddr.as_bytes() == laddr)
            && self.user.is_none_or(|user| session.login.user == user)
            && self.kind.is_none_or(|kind| ClientClass::of(session) == kind)
            && !(self.spares_own && session.id == own)
    }
}

fn client_kill(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let old_form = args.remaining() == 1;
    let filter = if old_form {
        KillFilter { addr: Some(args.key()), ..KillFilter::default() }
    } else {
        kill_filter(ctx.rooms, args)?
    };
    let own = ctx.session.id;
    let matching = |session: &&Session| filter.matches(session, own);
    let ids: Vec<_> =
        all(ctx.rooms, ctx.session).into_iter().filter(matching).map(|session| session.id).collect();
    // Redis: the old form ends with the first match.
    for &id in ids.iter().take(if old_form { 1 } else { ids.len() }) {
        if id == own {
            ctx.session.close = Close::AfterFlush;
        } else {
            ctx.rooms.close_client(id, Close::Now);
        }
    }
    match (old_form, ids.is_empty()) {
        (true, true) => return Err(CommandError::fixed("ERR No such client")),
        (true, false) => ctx.reply.ok(),
        (false, _) => ctx.reply.count(ids.len()),
    }
    Ok(())
}

fn kill_filter<'a>(rooms: &Rooms, mut args: Args<'a>) -> Result<KillFilter<'a>, CommandError> {
    let mut filter = KillFilter { spares_own: true, ..KillFilter::default() };
    while !args.is_done() {
        if args.keyword_with_value("ID") {
            let error = CommandError::fixed("ERR client-id should be greater than 0");
            filter.id = Some(ClientId(args.int_in(1, i64::MAX, error)?.unsigned_abs()));
        } else if args.keyword_with_value("TYPE") {
            filter.kind = Some(parse_class(args.key())?);
        } else if args.keyword_with_value("ADDR") {
            filter.addr = Some(args.key());
        } else if args.keyword_with_value("LADDR") {
            filter.laddr = Some(args.key());
        } else if args.keyword_with_value("USER") {
            let user = args.key();
            if rooms.acl.users.get(user).is_none() {
                let user = lossless(user);
                return Err(CommandError::line(format!("ERR No such user '{user}'")));
            }
            filter.user = Some(user);
        } else if args.keyword_with_value("SKIPME") {
            filter.spares_own = if args.keyword("YES") {
                true
            } else if args.keyword("NO") {
                false
            } else {
                return Err(CommandError::Syntax);
            };
        } else {
            return Err(CommandError::Syntax);
        }
    }
    Ok(filter)
}

fn client_pause(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    const NOT_INTEGER: CommandError = CommandError::fixed("ERR timeout is not an integer or out of range");
    if args.remaining() > 2 {
        return Err(ctx.unknown_subcommand(args.argv().at(1)));
    }
    let ms = args.key();
    // Redis: the mode is looked at first.
    let what = if args.is_done() || args.keyword("ALL") {
        Pause::All
    } else if args.keyword("WRITE") {
        Pause::Writes
    } else {
        return Err(CommandError::fixed("ERR CLIENT PAUSE mode must be WRITE or ALL"));
    };
    let ms = parse_i64(ms).ok_or(NOT_INTEGER)?;
    if ms < 0 {
        return Err(CommandError::fixed("ERR timeout is negative"));
    }
    // Redis: a pause of no time has ended before it begins, and so has one beyond the end of time.
    if ms > 0 && ctx.now.0.checked_add(ms).is_some() {
        let end = ctx.rooms.time.monotonic.saturating_add_ms(ms);
        ctx.rooms.waiting.pauses.pause(PauseReason::Client, what, Some(end));
    }
    ctx.reply.ok();
    Ok(())
}

fn client_unpause(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CommandResult {
    ctx.rooms.waiting.pauses.unpause(PauseReason::Client);
    ctx.reply.ok();
    Ok(())
}

fn client_unblock(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    if args.remaining() > 2 {
        return Err(ctx.unknown_subcommand(args.argv().at(1)));
    }
    let id = args.key();
    // Redis: the reason is looked at first.
    let with_error = if args.is_done() || args.keyword("TIMEOUT") {
        false
    } else if args.keyword("ERROR") {
        true
    } else {
        return Err(CommandError::fixed("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"));
    };
    let id = parse_i64(id).ok_or(CommandError::NotInteger)?;
    let id = ClientId(u64::try_from(id).unwrap_or(0));
    let found = ctx.rooms.unblock(id, with_error);
    ctx.reply.integer(i64::from(found));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::base::ClientId;
    use crate::commands::testing::TestServer;

    #[test]
    fn list_shows_one_line_per_client_in_the_order_of_their_numbers() {
        let mut server = TestServer::new();
        server.connect(2);
        server.run_as(2, "CLIENT SETNAME other");
        server.advance(3000);
        let text = server.run("CLIENT LIST");
        let lines: Vec<_> = text.trim_matches('"').split("\\n").filter(|line| !line.is_empty()).collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert!(lines[0].starts_with("id=1 addr=127.0.0.1:10001 "), "{}", lines[0]);
        assert!(lines[0].contains(" cmd=client|list user=default redir=-1 resp=2"), "{}", lines[0]);
        assert!(lines[1].contains(" name=other age=3 idle=3 flags=N db=0 "), "{}", lines[1]);
        assert!(server.run("CLIENT LIST ID 2 7").contains("id=2"));
        let text = server.run("CLIENT LIST ID 2 1 -1 2");
        let places: Vec<_> = text.match_indices("id=").map(|(place, _)| &text[place..place + 4]).collect();
        assert_eq!(places, ["id=2", "id=1", "id=2"], "as asked for");
        assert_eq!(server.run("CLIENT LIST TYPE pubsub"), "\"\"");
        assert_eq!(server.run("CLIENT LIST TYPE x"), "(error) ERR Unknown client type 'x'");
        assert_eq!(server.run("CLIENT LIST ID x"), "(error) ERR Invalid client ID");
        assert_eq!(server.run("CLIENT LIST foo"), "(error) ERR syntax error");
    }

    #[test]
    fn kill_ends_whom_its_filters_name_and_spares_its_own() {
        let mut server = TestServer::new();
        server.connect(2);
        server.connect(3);
        assert_eq!(server.run("CLIENT KILL 127.0.0.1:10002"), "OK");
        assert_eq!(server.closed, [ClientId(2)]);
        server.disconnect(2);
        assert_eq!(server.run("CLIENT KILL 127.0.0.1:10002"), "(error) ERR No such client");
        assert_eq!(server.run("CLIENT KILL TYPE normal SKIPME yes"), "(integer) 1");
        assert_eq!(server.run("CLIENT KILL ID 0"), "(error) ERR client-id should be greater than 0");
        assert_eq!(server.run("CLIENT KILL USER nobody"), "(error) ERR No such user 'nobody'");
        server.run("ACL SETUSER bob on nopass +@all");
        server.connect(4);
        server.run_as(4, "AUTH bob x");
        assert_eq!(server.run("CLIENT KILL USER bob"), "(integer) 1");
        assert_eq!(server.closed.last(), Some(&ClientId(4)));
        assert_eq!(server.run("CLIENT KILL ID 1 SKIPME no"), "(integer) 1");
        assert_eq!(server.closed.last(), Some(&ClientId(1)));
    }

    #[test]
    fn reply_modes_silence_one_or_all_answers() {
        let mut server = TestServer::new();
        assert_eq!(server.run("CLIENT REPLY SKIP"), "");
        assert_eq!(server.run("PING"), "");
        assert_eq!(server.run("PING"), "PONG");
        assert_eq!(server.run("CLIENT REPLY OFF"), "");
        assert_eq!(server.run("NOSUCH"), "");
        assert_eq!(server.run("CLIENT REPLY ON"), "OK");
        assert_eq!(server.run("CLIENT REPLY x"), "(error) ERR syntax error");
    }

    #[test]
    fn a_client_that_does_not_read_costs_its_limit_and_no_more() {
        let mut server = TestServer::new();
        server.connect(2);
        server.run("CONFIG SET client-output-buffer-limit \"normal 30000 20000 10\"");
        let wait_for = |server: &TestServer, bytes: usize| {
            let session = server.server.rooms.clients.get(ClientId(2)).expect("client 2 is there");
            session.connection.gauges.pending_output.store(bytes, std::sync::atomic::Ordering::Relaxed);
        };
        wait_for(&server, 21_000);
        server.advance(200);
        server.advance(10_000);
        assert_eq!(server.closed, [], "over the soft limit, but not for longer than it allows");
        wait_for(&server, 19_000);
        server.advance(10_000);
        wait_for(&server, 21_000);
        server.advance(200);
        server.advance(10_500);
        assert_eq!(server.closed, [], "the time began anew");
        server.advance(1000);
        assert_eq!(server.closed, [ClientId(2)]);
        let long = |bytes: usize| format!("ECHO {}", "x".repeat(bytes));
        server.run("CONFIG SET client-output-buffer-limit \"normal 1 0 0\"");
        assert!(server.run(&long(16_000)).starts_with("\"x"), "so much is always taken");
        server.run(&long(30_000));
        assert_eq!(server.closed, [ClientId(2), ClientId(1)], "over the hard limit at once");
    }

    #[test]
    fn pause_holds_others_back_for_its_time_or_until_unpause() {
        let mut server = TestServer::new();
        server.connect(2);
        let rows = [
            ("CLIENT PAUSE x", "(error) ERR timeout is not an integer or out of range"),
            ("CLIENT PAUSE -1", "(error) ERR timeout is negative"),
            ("CLIENT PAUSE 9223372036854775807", "OK"),
            ("CLIENT PAUSE x y", "(error) ERR CLIENT PAUSE mode must be WRITE or ALL"),
            (
                "CLIENT PAUSE 1 ALL x",
                "(error) ERR unknown subcommand or wrong number of arguments for 'PAUSE'. Try CLIENT HELP.",
            ),
            ("CLIENT PAUSE 0", "OK"),
            ("CLIENT UNPAUSE", "OK"),
            ("CLIENT PAUSE 100 write", "OK"),
        ];
        rows.iter().for_each(|(line, answer)| assert_eq!(server.run(line), *answer, "{line}"));
        assert_eq!(server.run_as(2, "SET k v"), "");
        assert!(server.run("CLIENT LIST ID 2").contains(" flags=b "));
        assert_eq!(server.run("CLIENT UNPAUSE"), "OK");
        assert_eq!(server.output_of(2), "OK");
        server.run("CLIENT PAUSE 100");
        assert_eq!(server.run("CLIENT UNPAUSE"), "", "not even that");
        server.advance(101);
        assert_eq!(server.output_of(1), "OK");
    }

    #[test]
    fn unblock_looks_at_the_reason_before_the_number() {
        let mut server = TestServer::new();
        let rows = [
            ("CLIENT UNBLOCK x", "ERR value is not an integer or out of range"),
            ("CLIENT UNBLOCK x y", "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"),
            (
                "CLIENT UNBLOCK 1 ERROR x",
                "ERR unknown subcommand or wrong number of arguments for 'UNBLOCK'. Try CLIENT HELP.",
            ),
        ];
        rows.iter().for_each(|(line, error)| assert_eq!(server.run(line), format!("(error) {error}")));
        assert_eq!(server.run("CLIENT UNBLOCK -1"), "(integer) 0");
    }

    #[test]
    fn help_names_every_subcommand() {
        let text = TestServer::new().run("CLIENT HELP");
        assert!(
            text.starts_with("1) CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:")
                || text.starts_with(" 1) CLIENT <subcommand>"),
            "{text}"
        );
        assert!(
            super::COMMANDS.iter().all(|sub| text.contains(&sub.spec.own_name().to_ascii_uppercase())),
            "{text}"
        );
    }
}
