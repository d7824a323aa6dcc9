//! SLOWLOG: the commands that took longest lately.

use crate::commands::help as help_texts;
use crate::server::{Args, Command, CommandError, CommandResult, Ctx};
use crate::spec::*;

/// SLOWLOG.
pub const COMMANDS: &[Command] = &[Command::container(
    Spec::container("slowlog", Group::Server).since("2.2.12").summary("The log of slow commands."),
    SUBCOMMANDS,
)];

const SUBCOMMANDS: &[Command] = &[
    Command::new(
        Spec::new("slowlog|get", Group::Server, -2, "[count]")
            .flags(&[ADMIN, LOADING, STALE])
            .since("2.2.12")
            .complexity("O(N), N: entries returned.")
            .summary("Shows the latest entries.")
            .tips(&["request_policy:all_nodes", "nondeterministic_output"])
            .history(&[("4.0.0", "Shows the client's address and name.")]),
        get,
    ),
    Command::new(
        Spec::new("slowlog|help", Group::Server, 2, "")
            .flags(&[LOADING, STALE])
            .since("6.2.0")
            .summary("Describes the subcommands."),
        help,
    ),
    Command::new(
        Spec::new("slowlog|len", Group::Server, 2, "")
            .flags(&[ADMIN, LOADING, STALE])
            .since("2.2.12")
            .summary("Counts the entries.")
            .tips(&["request_policy:all_nodes", "response_policy:agg_sum", "nondeterministic_output"]),
        len,
    ),
    Command::new(
        Spec::new("slowlog|reset", Group::Server, 2, "")
            .flags(&[ADMIN, LOADING, STALE])
            .since("2.2.12")
            .complexity("O(N), N: entries.")
            .summary("Forgets all entries.")
            .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
        reset,
    ),
];

/// Entries shown when no count is given.
const DEFAULT_COUNT: i64 = 10;

fn get(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let word = args.argv().at(1);
    if args.remaining() > 1 {
        return Err(ctx.unknown_subcommand(word));
    }
    let out_of_range = CommandError::fixed("ERR count should be greater than or equal to -1");
    let count = if args.is_done() { DEFAULT_COUNT } else { args.int_in(-1, i64::MAX, out_of_range)? };
    let all = ctx.rooms.stats.slowlog.entries();
    // -1 is all of them.
    let shown = usize::try_from(count).unwrap_or(usize::MAX).min(all.len());
    ctx.reply.array(shown);
    for entry in all.take(shown) {
        ctx.reply.array(6);
        ctx.reply.integer(entry.id);
        ctx.reply.integer(entry.at.secs());
        ctx.reply.integer(entry.us);
        ctx.reply.array(entry.arguments.len());
        entry.arguments.iter().for_each(|argument| ctx.reply.bulk(argument));
        ctx.reply.bulk(entry.addr.as_bytes());
        ctx.reply.bulk(&entry.name);
    }
    Ok(())
}

fn len(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CommandResult {
    ctx.reply.count(ctx.rooms.stats.slowlog.entries().len());
    Ok(())
}

fn reset(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CommandResult {
    ctx.rooms.stats.slowlog.reset();
    ctx.reply.ok();
    Ok(())
}

fn help(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CommandResult {
    help_texts::of_container(ctx, "SLOWLOG", SUBCOMMANDS);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::TestServer;
    use crate::config::Protected;
    use crate::config::RenameCommand;

    /// A server whose slow log keeps what takes `us` or more.
    fn server(us: i64) -> TestServer {
        TestServer::with(|config| {
            config.enable_debug_command = Protected::Yes;
            config.slowlog_log_slower_than = us;
        })
    }

    /// The arguments of the newest entry.
    fn newest(server: &mut TestServer) -> String {
        let entry = server.server.rooms.stats.slowlog.entries().next().expect("something was slow");
        let words = entry.arguments.iter().map(|word| String::from_utf8_lossy(word).into_owned());
        words.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_takes_long_is_kept_with_its_time_and_client() {
        let mut server = server(100_000);
        server.run("CLIENT SETNAME me");
        server.run("DEBUG SLEEP 0.05");
        assert_eq!(server.run("SLOWLOG LEN"), "(integer) 0");
        server.run("DEBUG SLEEP 0.2");
        assert_eq!(
            server.run("SLOWLOG GET"),
            "1) 1) (integer) 0\n   2) (integer) 1700000000\n   3) (integer) 200000\n   4) 1) \"DEBUG\"\n      \
             2) \"SLEEP\"\n      3) \"0.2\"\n   5) \"127.0.0.1:10001\"\n   6) \"me\""
        );
        assert_eq!(server.run("SLOWLOG RESET"), "OK");
        server.run("DEBUG SLEEP 0.1");
        assert_eq!(server.server.rooms.stats.slowlog.entries().next().map(|entry| entry.id), Some(1));
    }

    #[test]
    fn long_commands_are_cut() {
        let mut server = server(0);
        server.run(&format!("SADD k {}", (3..=33).map(|n| n.to_string()).collect::<Vec<_>>().join(" ")));
        assert!(newest(&mut server).ends_with(" 30 31 ... (2 more arguments)"), "{}", newest(&mut server));
        server.run(&format!("SET k {}", "A".repeat(129)));
        assert_eq!(newest(&mut server), format!("SET k {}... (1 more bytes)", "A".repeat(128)));
    }

    #[test]
    fn the_length_is_bounded_and_counts_are_checked() {
        let mut server = server(0);
        server.run("CONFIG SET slowlog-max-len 3");
        (0..5).for_each(|_| drop(server.run("PING")));
        let refused = "(error) ERR count should be greater than or equal to -1";
        for (line, answer) in [
            ("SLOWLOG LEN", "(integer) 3"),
            ("SLOWLOG GET 0", "(empty array)"),
            ("SLOWLOG GET -2", refused),
            ("SLOWLOG GET x", refused),
            (
                "SLOWLOG GET 1 2",
                "(error) ERR unknown subcommand or wrong number of arguments for 'GET'. Try SLOWLOG HELP.",
            ),
        ] {
            assert_eq!(server.run(line), answer, "{line}");
        }
        server.run("CONFIG SET slowlog-log-slower-than -1");
        server.run("SLOWLOG RESET");
        assert_eq!(server.run("SLOWLOG LEN"), "(integer) 0");
        assert!(server.run("SLOWLOG HELP").contains("GET [<count>]"));
    }

    #[test]
    fn secrets_are_left_out() {
        let mut server = server(0);
        server.run("CONFIG SET masterauth x");
        assert_eq!(newest(&mut server), "CONFIG SET masterauth (redacted)");
        server.run("AUTH u p");
        server.advance(1000);
        assert_eq!(newest(&mut server), "AUTH (redacted) (redacted)");
        server.run("HELLO 3 AUTH u p");
        assert_eq!(newest(&mut server), "HELLO 3 AUTH (redacted) (redacted)");
        server.advance(1000);
        server.run("ACL SETUSER u >p");
        assert_eq!(newest(&mut server), "ACL SETUSER (redacted) (redacted)");
        assert_eq!(server.run("MIGRATE 127.0.0.1 7000 k 0 100 AUTH p"), "NOKEY");
        assert_eq!(newest(&mut server), "MIGRATE 127.0.0.1 7000 k 0 100 AUTH (redacted)");
        assert_eq!(server.run("MIGRATE 127.0.0.1 7000 k 0 100 AUTH2 u p"), "NOKEY");
        assert_eq!(newest(&mut server), "MIGRATE 127.0.0.1 7000 k 0 100 AUTH2 (redacted) (redacted)");
    }

    #[test]
    fn a_command_that_waited_is_logged_when_it_is_served() {
        let mut server = server(0);
        server.connect(2);
        server.run_as(2, "BLPOP l 0");
        assert_eq!(server.run("SLOWLOG LEN"), "(integer) 0");
        server.run("RPUSH l a");
        assert_eq!(newest(&mut server), "BLPOP l 0");
        assert_eq!(
            server.server.rooms.stats.slowlog.entries().next().map(|entry| entry.addr.as_str()),
            Some("127.0.0.1:10002")
        );
    }

    #[test]
    fn a_small_fast_command_is_logged_too_when_it_is_alone() {
        let mut server = server(10_000);
        server.run("SET k v");
        server.run("GET k");
        assert_eq!(server.run("SLOWLOG LEN"), "(integer) 0");
        // The time stands still in tests, so what is slow must be asked for with the threshold.
        server.run("CONFIG SET slowlog-log-slower-than 0");
        server.run("GET k");
        assert_eq!(newest(&mut server), "GET k");
    }

    #[test]
    fn a_fast_command_that_was_slow_is_kept_and_no_other_in_its_place() {
        let mut server = TestServer::with(|config| {
            config.renamed_commands.push(RenameCommand { from: "get".into(), to: "fetch".into() });
        });
        for (lines, kept) in [
            (&["FETCH k"][..], "FETCH k"),
            (&["PING", "FETCH k"], ""),
            (&["PING", "PING a b"], ""),
            (&["MULTI", "SET k v"], ""),
        ] {
            server.run("SLOWLOG RESET");
            server.pipeline_after_us(20_000, lines);
            server.run("DISCARD");
            let log = server.raw("SLOWLOG GET").replace("\r\n", " ");
            let words = kept.split(' ').filter(|word| !word.is_empty());
            assert_eq!(log.starts_with("*0"), kept.is_empty(), "{lines:?}: {log}");
            words.for_each(|word| assert!(log.contains(&format!(" {word} ")), "{lines:?}: {log}"));
        }
    }
}
