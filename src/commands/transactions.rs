//! The group *transactions*: MULTI, EXEC and their kind. Queued commands and watched keys are the
//! business of `server::multi` and `clients::watches`; this file is what users can say about them.

use crate::clients::Transaction;
use crate::server::{Args, Command, CommandError, CommandResult, Ctx};
use crate::spec::*;

/// The commands of the group.
pub const COMMANDS: &[Command] = &[
    Command::new(
        Spec::new("discard", Group::Transactions, 1, "")
            .flags(&[NOSCRIPT, LOADING, STALE, FAST, ALLOW_BUSY, NOT_QUEUED, DROPS_TRANSACTION])
            .since("2.0.0")
            .complexity("O(N), N: commands queued.")
            .summary("Forgets the commands queued since MULTI."),
        discard,
    ),
    Command::new(
        Spec::new("exec", Group::Transactions, 1, "")
            .flags(&[NOSCRIPT, LOADING, STALE, SKIP_SLOWLOG, NOT_QUEUED, RUNS_TRANSACTION])
            .since("1.2.0")
            .complexity("Depends on the queued commands.")
            .summary("Runs the commands queued since MULTI."),
        exec,
    ),
    Command::new(
        Spec::new("multi", Group::Transactions, 1, "")
            .flags(&[NOSCRIPT, LOADING, STALE, FAST, ALLOW_BUSY, NOT_QUEUED])
            .since("1.2.0")
            .summary("Begins a transaction: queues commands until EXEC."),
        multi,
    ),
    Command::new(
        Spec::new("unwatch", Group::Transactions, 1, "")
            .flags(&[NOSCRIPT, LOADING, STALE, FAST, ALLOW_BUSY])
            .since("2.2.0")
            .summary("Forgets all watched keys."),
        unwatch,
    ),
    Command::new(
        Spec::new("watch", Group::Transactions, -2, "key [key ...]")
            .flags(&[NOSCRIPT, LOADING, STALE, FAST, ALLOW_BUSY, NOT_QUEUED])
            .keys(&[KeySpec::range(1, -1, 1, &[RO])])
            .since("2.2.0")
            .complexity("O(1) for each key.")
            .summary("Makes the next EXEC fail if one of the keys changes before it."),
        watch,
    ),
];

fn multi(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CommandResult {
    if ctx.session.multi.is_some() {
        return Err(CommandError::fixed("ERR MULTI calls can not be nested"));
    }
    ctx.session.multi = Some(Box::new(Transaction::default()));
    ctx.reply.ok();
    Ok(())
}

fn exec(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CommandResult {
    let transaction = ctx.session.multi.take().ok_or(CommandError::fixed("ERR EXEC without MULTI"))?;
    ctx.exec(&transaction)
}

fn discard(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CommandResult {
    if ctx.session.multi.is_none() {
        return Err(CommandError::fixed("ERR DISCARD without MULTI"));
    }
    ctx.discard();
    ctx.reply.ok();
    Ok(())
}

fn watch(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    if ctx.session.multi.is_some() {
        return Err(CommandError::fixed("ERR WATCH inside MULTI is not allowed"));
    }
    ctx.watch(args.rest());
    ctx.reply.ok();
    Ok(())
}

fn unwatch(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CommandResult {
    ctx.unwatch();
    ctx.reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::base::ClientId;
    use crate::commands::testing::TestServer;
    use crate::config::{Protected, RenameCommand};

    const ABORTED: &str = "(error) EXECABORT Transaction discarded because of previous errors.";

    #[test]
    fn queued_commands_run_together_and_are_propagated_together() {
        let mut server = TestServer::new();
        server.connect(2);
        server.check(&[
            ("MULTI", "OK"),
            ("SET a 1", "QUEUED"),
            ("SELECT 3", "QUEUED"),
            ("SADD s x", "QUEUED"),
        ]);
        server.check(&[("SPOP s", "QUEUED"), ("GET a", "QUEUED"), ("LPUSH s y", "QUEUED")]);
        assert_eq!(server.run_as(2, "DBSIZE"), "(integer) 0", "nothing has run");
        assert_eq!(server.effects(), "");
        let answer = "1) OK\n2) OK\n3) (integer) 1\n4) \"x\"\n5) (nil)\n6) (integer) 1";
        assert_eq!(server.run("EXEC"), answer);
        let effects = "SELECT 0 | MULTI | SET a 1 | SELECT 3 | SADD s x | SREM s x | LPUSH s y | EXEC";
        assert_eq!(server.effects(), effects);
        server.check(&[("MULTI", "OK"), ("GET a", "QUEUED"), ("DEL nothing", "QUEUED")]);
        assert_eq!(server.run("EXEC"), "1) (nil)\n2) (integer) 0");
        server.check(&[("MULTI", "OK"), ("EXEC", "(empty array)"), ("MULTI", "OK"), ("SET a 2", "QUEUED")]);
        assert_eq!(server.run("EXEC"), "1) OK");
        assert_eq!(server.effects(), "SET a 2", "one effect needs no wrapping");
    }

    #[test]
    fn a_refused_command_spoils_the_transaction_and_a_failing_one_does_not() {
        for refused in ["NOSUCH", "GET", "CONFIG NOSUCH", "SAVE", "SHUTDOWN"] {
            let mut server = TestServer::new();
            server.check(&[("MULTI", "OK"), ("SET a 1", "QUEUED")]);
            assert!(server.run(refused).starts_with("(error) ERR "), "{refused}");
            server.check(&[("SET b 1", "QUEUED"), ("EXEC", ABORTED), ("DBSIZE", "(integer) 0")]);
        }
        let mut server = TestServer::new();
        let in_transaction = "(error) ERR Command not allowed inside a transaction";
        server.check(&[("SET s x", "OK"), ("MULTI", "OK"), ("SAVE", in_transaction), ("DISCARD", "OK")]);
        server.check(&[("MULTI", "OK"), ("LPUSH s x", "QUEUED"), ("SET s y", "QUEUED")]);
        let wrong_type = "(error) WRONGTYPE Operation against a key holding the wrong kind of value";
        assert_eq!(server.run("EXEC"), format!("1) {wrong_type}\n2) OK"));
    }

    #[test]
    fn a_transaction_is_begun_once_and_ended_once() {
        TestServer::new().check(
            &[
                ("EXEC", "(error) ERR EXEC without MULTI"),
                ("DISCARD", "(error) ERR DISCARD without MULTI"),
                ("MULTI", "OK"),
                ("MULTI", "(error) ERR MULTI calls can not be nested"),
                ("WATCH k", "(error) ERR WATCH inside MULTI is not allowed"),
                ("UNWATCH", "QUEUED"),
                ("EXEC", "1) OK"),
                ("MULTI", "OK"),
                ("SET k v", "QUEUED"),
                ("DISCARD", "OK"),
                ("GET k", "(nil)"),
                ("MULTI", "OK"),
                ("RESET", "RESET"),
                ("EXEC", "(error) ERR EXEC without MULTI"),
                ("MULTI", "OK"),
                (
                    "EXEC now",
                    "(error) EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command",
                ),
                ("EXEC", "(error) ERR EXEC without MULTI"),
            ],
        );
    }

    /// Client 1 watches `k` of database 0; `lines` are run as client 2 or, after `me`, as client 1.
    fn exec_after(lines: &[&str]) -> String {
        let mut server = TestServer::with(|config| config.save.clear());
        server.connect(2);
        server.check(&[("SET k v", "OK"), ("SET h 1 PX 100", "OK"), ("WATCH a k k b h", "OK")]);
        for line in lines {
            match line.strip_prefix("me ") {
                Some(line) => server.run(line),
                None => server.run_as(2, line),
            };
        }
        server.check(&[("MULTI", "OK"), ("PING", "QUEUED")]);
        server.run("EXEC")
    }

    #[test]
    fn exec_fails_when_a_watched_key_was_changed_by_anybody() {
        let failing: &[&[&str]] = &[
            &["SET k v"],
            &["SET b v"],
            &["me SET k v"],
            &["EXPIRE k 100"],
            &["RENAME k z"],
            &["DEL k"],
            &["FLUSHDB"],
            &["FLUSHALL"],
            &["SWAPDB 0 1"],
            &["SELECT 1", "SET b x", "SWAPDB 1 0"],
            &["MULTI", "SET k v", "EXEC"],
            &["SORT nothing STORE k"],
        ];
        failing.iter().for_each(|lines| assert_eq!(exec_after(lines), "(nil)", "{lines:?}"));
        let passing: &[&[&str]] = &[
            &[],
            &["GET k", "SET z v"],
            &["DEL b"],
            &["SELECT 1", "SET k v", "FLUSHDB"],
            &["SWAPDB 1 2"],
            &["SET k v", "me UNWATCH"],
            &["SET k v", "me MULTI", "me DISCARD"],
            &["SET k v", "me MULTI", "me EXEC"],
            &["me MULTI", "me EXEC", "SET k v"],
            &["MULTI", "SET k v", "DISCARD"],
        ];
        passing.iter().for_each(|lines| assert_eq!(exec_after(lines), "1) PONG", "{lines:?}"));
    }

    #[test]
    fn the_end_of_a_watched_key_fails_exec_unless_it_had_ended_before() {
        for active_expire in [true, false] {
            let mut server = TestServer::new();
            server.server.rooms.time.active_expire = active_expire;
            server.check(&[("SET k v PX 100", "OK"), ("WATCH k", "OK"), ("MULTI", "OK"), ("PING", "QUEUED")]);
            server.advance(101);
            assert_eq!(server.run("EXEC"), "(nil)", "{active_expire}");
        }
        let unseen: &[&[&str]] = &[&[], &["EXISTS k"], &["FLUSHDB"], &["SWAPDB 0 1"], &["DEL k"]];
        for lines in unseen {
            let mut server = TestServer::with(|config| config.save.clear());
            server.server.rooms.time.active_expire = false;
            server.run("SET k v PX 100");
            server.advance(101);
            server.run("WATCH k");
            lines.iter().for_each(|line| drop(server.run(line)));
            server.check(&[("MULTI", "OK"), ("PING", "QUEUED"), ("EXEC", "1) PONG")]);
            server.run("WATCH k");
            server.check(&[("SET k new", "OK"), ("MULTI", "OK"), ("EXEC", "(nil)")]);
        }
    }

    #[test]
    fn a_failed_exec_is_a_null_of_the_protocol() {
        let mut server = TestServer::new();
        for (protocol, null) in [("2", "*-1\r\n"), ("3", "_\r\n")] {
            server.run(&format!("HELLO {protocol}"));
            server.check(&[("WATCH k", "OK"), ("SET k v", "OK"), ("MULTI", "OK")]);
            assert_eq!(server.raw("EXEC"), null);
        }
        server.check(&[("MULTI", "OK"), ("HGETALL nothing", "QUEUED"), ("GET x", "QUEUED")]);
        assert_eq!(server.raw("EXEC"), "*2\r\n%0\r\n_\r\n");
    }

    #[test]
    fn clients_wait_for_the_whole_transaction_and_nothing_waits_in_it() {
        let mut server = TestServer::new();
        server.connect(2);
        assert_eq!(server.run_as(2, "BLPOP l 0"), "");
        server.check(&[("MULTI", "OK"), ("RPUSH l a b", "QUEUED"), ("DEL l", "QUEUED")]);
        server.check(&[("RPUSH l c", "QUEUED"), ("BLPOP none 0", "QUEUED"), ("WAIT 1 0", "QUEUED")]);
        assert_eq!(
            server.run("EXEC"),
            "1) (integer) 2\n2) (integer) 1\n3) (integer) 1\n4) (nil)\n5) (integer) 0"
        );
        assert_eq!(server.output_of(2), "1) \"l\"\n2) \"c\"");
    }

    #[test]
    fn exec_is_judged_by_what_it_would_run() {
        let mut server = TestServer::new();
        server.check(&[("MULTI", "OK"), ("SET a 1", "QUEUED")]);
        server.server.rooms.persistence.saves.last_failed = true;
        let answer = server.run("EXEC");
        let start = "(error) EXECABORT Transaction discarded because of: MISCONF Redis is configured to save";
        assert!(answer.starts_with(start), "{answer}");
        server.check(&[("MULTI", "OK"), ("GET a", "QUEUED"), ("EXEC", "1) (nil)"), ("MULTI", "OK")]);
        assert!(server.run("SET a 1").starts_with("(error) MISCONF"));
        server.check(&[("EXEC", ABORTED), ("MULTI", "OK"), ("GET a", "QUEUED")]);
        server.server.rooms.persistence.loading = true;
        server.server.rooms.persistence.saves.last_failed = false;
        let loading = "(error) EXECABORT Transaction discarded because of: LOADING Redis is loading the dataset in memory";
        assert_eq!(server.run("EXEC"), loading);
        server.server.rooms.persistence.loading = false;
        server.server.rooms.persistence.aof.state = crate::server::AofState::On;
        server.check(&[("MULTI", "OK"), ("SET a 1", "QUEUED")]);
        server.server.rooms.persistence.aof.error = Some("No space left on device".to_owned());
        let refused = "MISCONF Errors writing to the AOF file: No space left on device";
        assert_eq!(
            server.run("EXEC"),
            format!("(error) EXECABORT Transaction discarded because of: {refused}")
        );
        assert_eq!(server.run("PING"), format!("(error) {refused}"), "those who watch over it notice");
    }

    #[test]
    fn what_a_transaction_holds_is_bounded_by_the_query_buffer_limit() {
        let value = "x".repeat(10_000);
        for lines in
            [["MULTI".to_owned(), format!("SET k {value}")], ["PING".to_owned(), format!("WATCH {value}")]]
        {
            let mut server = TestServer::new();
            server.server.rooms.config.client_query_buffer_limit = 100_000;
            server.run(&lines[0]);
            for turn in 0..20 {
                server.run(&format!("{}{turn}", lines[1]));
            }
            assert_eq!(server.closed.first(), Some(&ClientId(1)), "{}", lines[0]);
        }
    }

    #[test]
    fn a_client_that_leaves_is_forgotten() {
        let mut server = TestServer::new();
        server.connect(2);
        server.run_as(2, "WATCH a b");
        assert_eq!(server.server.rooms.watches.keys_of(ClientId(2)), 2);
        server.disconnect(2);
        assert_eq!(server.server.rooms.watches.keys_of(ClientId(2)), 0);
    }

    #[test]
    fn commands_of_a_transaction_are_counted_each_and_exec_too() {
        let mut server = TestServer::new();
        server.check(&[("MULTI", "OK"), ("INCR a", "QUEUED"), ("INCR a", "QUEUED")]);
        server.run("EXEC");
        let stats = server.run("INFO commandstats");
        for row in ["cmdstat_incr:calls=2,", "cmdstat_exec:calls=1,", "cmdstat_multi:calls=1,"] {
            assert!(stats.contains(row), "{stats}");
        }
    }

    #[test]
    fn the_time_of_a_transaction_is_that_of_exec_whatever_it_is_called() {
        let mut server = TestServer::with(|config| {
            config.enable_debug_command = Protected::Yes;
            for (from, to) in [("exec", "go"), ("echo", "exec")] {
                config.renamed_commands.push(RenameCommand { from: from.into(), to: to.into() });
            }
        });
        server.check(&[("EXEC x", "\"x\""), ("MULTI", "OK"), ("DEBUG SLEEP 0.5", "QUEUED"), ("GO", "1) OK")]);
        let stats = server.run("INFO commandstats");
        assert!(stats.contains("cmdstat_exec:calls=1,usec=500000,"), "{stats}");
        assert!(stats.contains("cmdstat_echo:calls=1,usec=0,"), "{stats}");
    }

    #[test]
    fn writes_need_as_many_replicas_as_were_asked_for() {
        let mut server = TestServer::new();
        let refused = "NOREPLICAS Not enough good replicas to write.";
        server.check(&[("SET k v", "OK"), ("MULTI", "OK"), ("INCR n", "QUEUED")]);
        server.connect(2);
        server.run_as(2, "CONFIG SET min-replicas-to-write 1");
        let aborted = format!("(error) EXECABORT Transaction discarded because of: {refused}");
        assert_eq!(server.run("EXEC"), aborted);
        assert_eq!(server.run("SET k w"), format!("(error) {refused}"));
        server.check(&[("GET k", "\"v\""), ("PING", "PONG"), ("CONFIG SET min-replicas-max-lag 0", "OK")]);
        server.check(&[("SET k w", "OK")]);
    }
}
