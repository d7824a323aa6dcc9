//! The group *connection*: logging in, choosing protocol and database, and CLIENT in [`client`].

mod client;
mod tracking;
#[cfg(test)]
mod login_tests;
#[cfg(test)]
mod memory_tests;
#[cfg(test)]
mod pause_tests;
#[cfg(test)]
mod order_tests;

use crate::acl::DEFAULT_USER;
use crate::base::text::lossless;
use crate::clients::{Close, ReplyMode};
use crate::keyspace::DbIndex;
use crate::resp::{Argv, Protocol};
use crate::server::{Args, Command, CommandError, CommandResult, Ctx, REDIS_VERSION};
use crate::spec::*;

/// The commands of the group.
pub const COMMANDS: &[Command] = &[
    Command::new(
        Spec::new("auth", Group::Connection, -2, "[username^6.0.0] password")
            .flags(&[NOSCRIPT, LOADING, STALE, FAST, NO_AUTH, ALLOW_BUSY])
            .secrets(Secrets::From { place: 1, most_words: 3 })
            .since("1.0.0")
            .complexity("O(N), N: passwords of the user.")
            .summary("Logs in.")
            .history(&[("6.0.0", "User names.")]),
        auth,
    )
    .logs_in(auth_credentials),
    Command::container(
        Spec::container("client", Group::Connection)
            .since("2.4.0")
            .summary("Connections and their settings."),
        client::COMMANDS,
    ),
    Command::new(
        Spec::new("echo", Group::Connection, 2, "message")
            .flags(&[LOADING, STALE, FAST])
            .since("1.0.0")
            .summary("Sends the message back."),
        echo,
    ),
    Command::new(
        Spec::new(
            "hello",
            Group::Connection,
            -1,
            "[protover:integer [AUTH (username password)] [SETNAME clientname]]@arguments",
        )
        .secrets(Secrets::Behind { start: 2, options: &[("AUTH", 2)] })
        .flags(&[NOSCRIPT, LOADING, STALE, FAST, NO_AUTH, ALLOW_BUSY])
        .since("6.0.0")
        .summary("Chooses the protocol; can log in and name the connection too.")
        .history(&[("6.2.0", "Without arguments it only describes the connection.")]),
        hello,
    )
    .logs_in(hello_credentials),
    Command::new(
        Spec::new("ping", Group::Connection, -1, "[message]")
            .flags(&[FAST, TELLS_OF_DISK_ERRORS, ALLOWED_WHILE_SUBSCRIBED])
            .since("1.0.0")
            .summary("Answers, to show that the server lives.")
            .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
        ping,
    ),
    Command::new(
        Spec::new("quit", Group::Connection, -1, "")
            .flags(&[
                NOSCRIPT,
                LOADING,
                STALE,
                FAST,
                NO_AUTH,
                ALLOW_BUSY,
                NOT_QUEUED,
                DROPS_TRANSACTION,
                ALLOWED_WHILE_SUBSCRIBED,
            ])
            .since("1.0.0")
            .summary("Closes the connection."),
        quit,
    ),
    Command::new(
        Spec::new("reset", Group::Connection, 1, "")
            .flags(&[
                NOSCRIPT,
                LOADING,
                STALE,
                FAST,
                NO_AUTH,
                ALLOW_BUSY,
                NOT_QUEUED,
                DROPS_TRANSACTION,
                ALLOWED_WHILE_SUBSCRIBED,
            ])
            .since("6.2.0")
            .summary("Sets the connection back to how it began."),
        reset,
    ),
    Command::new(
        Spec::new("select", Group::Connection, 2, "index")
            .flags(&[LOADING, STALE, FAST])
            .since("1.0.0")
            .summary("Chooses the database of this connection."),
        select,
    ),
];

fn ping(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    if args.remaining() > 1 {
        return Err(CommandError::Arity("ping".into()));
    }
    if !ctx.session.subscribed.is_zero() && ctx.reply.protocol() == Protocol::Resp2 {
        // Among messages the answer must look like one.
        ctx.reply.array(2);
        ctx.reply.bulk(b"pong");
        ctx.reply.bulk(args.peek().unwrap_or_default());
        return Ok(());
    }
    match args.peek() {
        None => ctx.reply.simple("PONG"),
        Some(text) => ctx.reply.bulk(text),
    }
    Ok(())
}

fn echo(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    ctx.reply.bulk(args.key());
    Ok(())
}

fn quit(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CommandResult {
    ctx.reply.ok();
    ctx.session.close = Close::AfterFlush;
    Ok(())
}

fn select(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let index = super::argument::int_between(&mut args, i32::MIN.into(), i32::MAX.into())?;
    ctx.session.db = super::argument::db_index(ctx, index)?;
    ctx.reply.ok();
    Ok(())
}

fn auth(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    let Some((user, password)) = auth_credentials(args.argv()) else { return Err(CommandError::Syntax) };
    if args.remaining() == 1 && ctx.rooms.acl.users.default_user().needs_no_password() {
        return Err(CommandError::fixed(
            "ERR AUTH <password> called without any password configured for the default user. Are you sure your \
             configuration is correct?",
        ));
    }
    ctx.log_in(args.argv(), user, password)?;
    ctx.reply.ok();
    Ok(())
}

fn auth_credentials(argv: Argv<'_>) -> Option<(&[u8], &[u8])> {
    match argv.len() {
        2 => Some((DEFAULT_USER, argv.at(1))),
        3 => Some((argv.at(1), argv.at(2))),
        _ => None,
    }
}

fn hello(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let mut protocol = ctx.session.protocol;
    if !args.is_done() {
        let not_a_version = CommandError::fixed("ERR Protocol version is not an integer or out of range");
        protocol = match args.int_in(i64::MIN, i64::MAX, not_a_version)? {
            2 => Protocol::Resp2,
            3 => Protocol::Resp3,
            _ => return Err(CommandError::fixed("NOPROTO unsupported protocol version")),
        };
    }
    let mut name = None;
    while let Some(option) = args.peek() {
        if args.remaining() >= 3 && args.keyword("AUTH") {
            args.key();
            args.key();
        } else if args.keyword_with_value("SETNAME") {
            name = Some(args.key());
        } else {
            let option = lossless(option);
            return Err(CommandError::line(format!("ERR Syntax error in HELLO option '{option}'")));
        }
    }
    if let Some((user, password)) = hello_credentials(args.argv()) {
        ctx.log_in(args.argv(), user, password)?;
    }
    if !ctx.session.login.authenticated {
        return Err(CommandError::fixed(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> \
             <pass> option can be used to authenticate the client and select the RESP protocol version at the same time",
        ));
    }
    if let Some(name) = name {
        client::set_name(ctx, name)?;
    }
    ctx.session.protocol = protocol;
    ctx.reply.set_protocol(protocol);
    describe(ctx);
    Ok(())
}

/// Returns the user and the password that HELLO logs in with: the last AUTH among options that are
/// all well-formed.
fn hello_credentials(argv: Argv<'_>) -> Option<(&[u8], &[u8])> {
    let (mut credentials, mut at) = (None, 2);
    while let Some(option) = argv.get(at) {
        if option.eq_ignore_ascii_case(b"AUTH") {
            credentials = Some((argv.get(at + 1)?, argv.get(at + 2)?));
            at += 3;
        } else if option.eq_ignore_ascii_case(b"SETNAME") {
            at += 2;
        } else {
            return None;
        }
    }
    credentials
}

/// Answers HELLO.
fn describe(ctx: &mut Ctx<'_>) {
    let id = i64::try_from(ctx.session.id.0).unwrap_or(i64::MAX);
    ctx.reply.map(7);
    for (name, value) in [("server", "redis"), ("version", REDIS_VERSION)] {
        ctx.reply.bulk(name.as_bytes());
        ctx.reply.bulk(value.as_bytes());
    }
    for (name, value) in [("proto", ctx.session.protocol.number()), ("id", id)] {
        ctx.reply.bulk(name.as_bytes());
        ctx.reply.integer(value);
    }
    for (name, value) in [("mode", "standalone"), ("role", "master")] {
        ctx.reply.bulk(name.as_bytes());
        ctx.reply.bulk(value.as_bytes());
    }
    ctx.reply.bulk(b"modules");
    ctx.reply.array(0);
}

fn reset(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CommandResult {
    ctx.discard();
    ctx.end_monitor();
    ctx.end_tracking();
    ctx.unsubscribe_from_all();
    ctx.log_out();
    let session = &mut *ctx.session;
    session.db = DbIndex(0);
    session.protocol = Protocol::Resp2;
    session.name.clear();
    session.outbox.mode = ReplyMode::On;
    ctx.reply.set_protocol(Protocol::Resp2);
    ctx.reply.simple("RESET");
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::base::ClientId;
    use crate::commands::testing::TestServer;

    #[test]
    fn hello_before_logging_in_says_how_to_do_both() {
        let mut server = TestServer::with(|config| config.requirepass = "x".into());
        let line = "(error) NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH \
             <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the \
             same time";
        assert_eq!(server.run("HELLO"), line);
        assert_eq!(server.run("HELLO 3"), line);
        assert!(server.run("HELLO 3 AUTH default x").contains("proto"));
    }

    #[test]
    fn hello_switches_the_protocol_and_says_who_answers() {
        let mut server = TestServer::new();
        assert!(server.raw("HELLO 3 SETNAME me").starts_with("%7\r\n$6\r\nserver\r\n$5\r\nredis\r\n"));
        assert_eq!(server.run("CLIENT GETNAME"), "\"me\"");
        assert_eq!(server.raw("GET nothing"), "_\r\n");
        assert!(server.raw("HELLO 2").starts_with("*14\r\n"));
        let rows = [
            ("HELLO 4", "(error) NOPROTO unsupported protocol version"),
            ("HELLO x", "(error) ERR Protocol version is not an integer or out of range"),
            ("HELLO 2 AUTH a", "(error) ERR Syntax error in HELLO option 'AUTH'"),
            (
                "HELLO 2 SETNAME \"a b\"",
                "(error) ERR Client names cannot contain spaces, newlines or special characters.",
            ),
        ];
        rows.iter().for_each(|(line, answer)| assert_eq!(server.run(line), *answer, "{line}"));
        let wrong = "(error) WRONGPASS invalid username-password pair or user is disabled.";
        assert_eq!(server.run("HELLO 2 AUTH bob x"), wrong);
    }

    #[test]
    fn a_password_shuts_out_everything_but_logging_in() {
        let mut server = TestServer::with(|config| config.requirepass = "secret".into());
        assert_eq!(server.run("GET k"), "(error) NOAUTH Authentication required.");
        assert!(server.run("HELLO 3").starts_with("(error) NOAUTH HELLO must be called"));
        let wrong = "(error) WRONGPASS invalid username-password pair or user is disabled.";
        assert_eq!(server.run("AUTH wrong"), wrong);
        server.advance(5);
        assert_eq!(server.run("AUTH a b c"), "(error) ERR syntax error");
        assert_eq!(server.run("AUTH default secret"), "OK");
        assert_eq!(server.run("GET k"), "(nil)");
        assert_eq!(server.run("RESET"), "RESET");
        assert_eq!(server.run("PING"), "(error) NOAUTH Authentication required.");
        let open = TestServer::new().run("AUTH x");
        assert!(
            open.starts_with("(error) ERR AUTH <password> called without any password configured"),
            "{open}"
        );
    }

    #[test]
    fn select_changes_the_database_of_this_client_only() {
        let mut server = TestServer::new();
        server.connect(2);
        server.run("SETNX k v");
        assert_eq!(server.run("SELECT 9"), "OK");
        assert_eq!(server.run("GET k"), "(nil)");
        assert_eq!(server.run_as(2, "GET k"), "\"v\"");
        assert_eq!(server.run("SELECT 16"), "(error) ERR DB index is out of range");
        assert_eq!(server.run("SELECT -1"), "(error) ERR DB index is out of range");
        assert_eq!(server.run("SELECT x"), "(error) ERR value is not an integer or out of range");
    }

    #[test]
    fn a_request_of_another_protocol_closes_the_connection_at_once() {
        for (before, line) in [
            ("PING", "POST / HTTP/1.1"),
            ("PING", "host: x"),
            ("PING", "HOST:"),
            ("PING", "\"post\\x00x\""),
            ("MULTI", "pOsT"),
            ("SUBSCRIBE c", "Host: x"),
            ("CLIENT REPLY OFF", "POST"),
        ] {
            let mut server = TestServer::with(|config| config.requirepass = "secret".into());
            server.connect(2);
            server.run_as(2, "AUTH secret");
            server.run_as(2, before);
            assert_eq!(server.pipeline_as(2, &["PING", line, "SET pwned 1", "EXEC"]), "", "{before}, {line}");
            assert_eq!(server.closed, [ClientId(2)], "{before}, {line}");
            assert_eq!(server.run(line), "", "before AUTH");
            assert_eq!(server.closed, [ClientId(2), ClientId(1)], "{before}, {line}");
            assert!(server.server.keyspace.is_empty());
        }
        let mut server = TestServer::new();
        assert!(server.run("HOST x").starts_with("(error) ERR unknown command 'HOST'"));
        assert!(server.run("Host:x").starts_with("(error) ERR unknown command 'Host:x'"));
    }

    #[test]
    fn quit_answers_before_it_closes() {
        let mut server = TestServer::new();
        assert_eq!(server.run("QUIT"), "OK");
        assert_eq!(server.closed, [ClientId(1)]);
        assert_eq!(server.run("PING"), "", "nothing is run after QUIT");
    }

    #[test]
    fn ping_and_echo_give_back_their_argument() {
        let mut server = TestServer::new();
        assert_eq!(server.run("PING"), "PONG");
        assert_eq!(server.run("PING hi"), "\"hi\"");
        assert_eq!(server.run("PING a b"), "(error) ERR wrong number of arguments for 'ping' command");
        assert_eq!(server.run("ECHO \"a\\x00b\""), "\"a\\x00b\"");
    }
}
