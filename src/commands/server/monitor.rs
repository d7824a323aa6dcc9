//! MONITOR: shows every command the server runs.

use crate::server::{Args, Command, CommandError, CommandResult, Ctx, Origin};
use crate::spec::*;

/// MONITOR.
pub const COMMANDS: &[Command] = &[Command::new(
    Spec::new("monitor", Group::Server, 1, "")
        .flags(&[ADMIN, NOSCRIPT, LOADING, STALE])
        .since("1.0.0")
        .complexity("")
        .summary("Shows every command the server runs, as it runs."),
    monitor,
)];

fn monitor(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CommandResult {
    // The lines would land inside the answer of what runs it.
    if ctx.origin.denies_blocking() || ctx.origin == Origin::Transaction {
        return Err(CommandError::fixed("ERR MONITOR isn't allowed for DENY BLOCKING client"));
    }
    // Redis: asking twice is not answered.
    if ctx.begin_monitor() {
        ctx.reply.ok();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::TestServer;

    /// A server with a monitor, client 9.
    fn server() -> TestServer {
        let mut server = TestServer::new();
        server.connect(9);
        assert_eq!(server.run_as(9, "MONITOR"), "OK");
        server
    }

    /// The lines client 9 was shown, without the time.
    fn shown(server: &mut TestServer) -> Vec<String> {
        let text = server.output_of(9);
        let lines =
            text.lines().map(|line| line.strip_prefix("1700000000.000000 ").unwrap_or(line).to_owned());
        lines.collect()
    }

    #[test]
    fn commands_are_shown_as_redis_prints_them() {
        let mut server = server();
        server.run("SET a \"b\\x00\\\"\\n\\xff\"");
        server.run("SELECT 3");
        server.run("AUTH u p");
        assert_eq!(
            shown(&mut server),
            [
                "[0 127.0.0.1:10001] \"SET\" \"a\" \"b\\x00\\\"\\n\\xff\"",
                "[3 127.0.0.1:10001] \"SELECT\" \"3\"",
                "[3 127.0.0.1:10001] \"AUTH\" \"(redacted)\" \"(redacted)\"",
            ]
        );
    }

    #[test]
    fn what_is_refused_or_administration_is_not_shown() {
        let mut server = server();
        ["NOSUCH", "GET", "CONFIG GET port", "CLIENT LIST"].iter().for_each(|line| drop(server.run(line)));
        assert!(shown(&mut server).is_empty());
        server.run("CLIENT GETNAME");
        assert_eq!(shown(&mut server), ["[0 127.0.0.1:10001] \"CLIENT\" \"GETNAME\""]);
    }

    #[test]
    fn a_transaction_shows_what_it_runs_before_exec() {
        let mut server = server();
        ["MULTI", "SET k 1", "INCR k", "EXEC"].iter().for_each(|line| drop(server.run(line)));
        let words: Vec<String> = shown(&mut server).iter().map(|line| line[20..].to_owned()).collect();
        assert_eq!(words, ["\"MULTI\"", "\"SET\" \"k\" \"1\"", "\"INCR\" \"k\"", "\"EXEC\""]);
        server.run_as(9, "MULTI");
        server.run_as(9, "RESET");
        ["MULTI", "MONITOR"].iter().for_each(|line| drop(server.run(line)));
        assert_eq!(server.run("EXEC"), "1) (error) ERR MONITOR isn't allowed for DENY BLOCKING client");
    }

    #[test]
    fn a_monitor_that_quits_is_not_shown_it() {
        let mut server = server();
        server.connect(2);
        server.run_as(2, "MONITOR");
        assert_eq!(server.run_as(2, "QUIT"), "OK");
        assert_eq!(server.output_of(2), "");
        assert_eq!(shown(&mut server), ["[0 127.0.0.1:10002] \"QUIT\""]);
    }

    #[test]
    fn a_command_that_waits_is_shown_once_when_it_comes() {
        let mut server = server();
        server.connect(2);
        server.run_as(2, "BLPOP l 0");
        server.run("RPUSH l a");
        assert_eq!(
            shown(&mut server),
            ["[0 127.0.0.1:10002] \"BLPOP\" \"l\" \"0\"", "[0 127.0.0.1:10001] \"RPUSH\" \"l\" \"a\""]
        );
    }

    #[test]
    fn a_monitor_sees_itself_but_may_not_touch_keys() {
        let mut server = server();
        assert_eq!(server.run_as(9, "PING"), "PONG\n1700000000.000000 [0 127.0.0.1:10009] \"PING\"");
        assert_eq!(server.run_as(9, "GET k"), "(error) ERR Replica can't interact with the keyspace");
        assert_eq!(server.run_as(9, "MONITOR"), "", "as in Redis");
        assert!(server.run_as(9, "CLIENT INFO").contains(" flags=O "));
        server.run_as(9, "CLIENT REPLY OFF");
        server.run("PING");
        assert!(shown(&mut server).is_empty());
    }

    #[test]
    fn reset_and_hanging_up_end_it() {
        let mut server = server();
        assert_eq!(server.run_as(9, "RESET"), "RESET");
        server.run("PING");
        assert!(shown(&mut server).is_empty());
        assert_eq!(server.run_as(9, "GET k"), "(nil)");
        server.run_as(9, "MONITOR");
        server.disconnect(9);
        assert!(server.server.rooms.monitors.is_empty());
        assert_eq!(server.run("PING"), "PONG");
    }
}
