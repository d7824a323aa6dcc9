//! The ACL commands as clients see them.

use crate::base::ClientId;
use crate::commands::testing::TestServer;
use crate::config::RenameCommand;

const WRONGPASS: &str = "(error) WRONGPASS invalid username-password pair or user is disabled.";

fn check(server: &mut TestServer, rows: &[(u64, &str, &str)]) {
    for (client, line, answer) in rows {
        assert_eq!(server.run_as(*client, line), *answer, "{line}");
    }
}

/// A server with a restricted user, whom client 2 is.
fn with_bob(rules: &str) -> TestServer {
    let mut server = TestServer::new();
    server.connect(2);
    let set = format!("ACL SETUSER bob on nopass {rules}");
    check(&mut server, &[(1, &set, "OK"), (2, "AUTH bob x", "OK")]);
    server
}

fn field(server: &mut TestServer, entry: usize, name: &str) -> String {
    let shown = server.run("ACL LOG");
    let key = format!("\"{name}\"");
    let found = shown.lines().skip_while(|line| !line.ends_with(&key)).nth(1 + 14 * entry);
    let value = found.unwrap_or_else(|| panic!("{name} in {shown}"));
    value.split_once(") ").expect("a numbered line").1.to_string()
}

#[test]
fn restricted_users_get_the_refusals_of_redis_and_others_notice_nothing() {
    let mut server = with_bob("+get +mget +acl|whoami +select|0 ~a* (+echo ~x)");
    let denied =
        |command| format!("(error) NOPERM this user has no permissions to run the '{command}' command");
    let key = "(error) NOPERM this user has no permissions to access one of the keys used as arguments";
    check(
        &mut server,
        &[
            (1, "SET a 1", "OK"),
            (2, "GET a", "\"1\""),
            (2, "MGET a ab b", key),
            (2, "SET a 2", &denied("set")),
            (2, "ACL LIST", &denied("acl|list")),
            (2, "ACL WHOAMI", "\"bob\""),
            (2, "SELECT 0", "OK"),
            (2, "SELECT 1", &denied("select")),
            (2, "GET", "(error) ERR wrong number of arguments for 'get' command"),
            (2, "NOSUCH", "(error) ERR unknown command 'NOSUCH', with args beginning with: "),
            (1, "ACL SETUSER bob +@all ~*", "OK"),
            (2, "SET b 2", "OK"),
            (1, "ACL SETUSER bob resetkeys", "OK"),
            (2, "SET b 2", key),
            (2, "RESET", "RESET"),
            (2, "ACL WHOAMI", "\"default\""),
        ],
    );
    let stats = server.run("INFO commandstats");
    assert!(stats.contains("cmdstat_set:calls=2,") && stats.contains("rejected_calls=2"), "{stats}");
}

#[test]
fn a_transaction_is_checked_when_it_is_queued_and_when_it_runs() {
    let mut server = with_bob("+multi +exec +incr +get ~k");
    let denied = "(error) NOPERM this user has no permissions to run the 'set' command";
    let abort = "(error) EXECABORT Transaction discarded because of previous errors.";
    check(
        &mut server,
        &[
            (2, "MULTI", "OK"),
            (2, "SET k 1", denied),
            (2, "EXEC", abort),
            (2, "MULTI", "OK"),
            (2, "INCR k", "QUEUED"),
            (2, "GET k", "QUEUED"),
            (1, "ACL SETUSER bob -incr", "OK"),
        ],
    );
    assert_eq!(
        server.run_as(2, "EXEC"),
        "1) (error) NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. \
         This command is no longer allowed for the following reason: no permission to execute the command or \
         subcommand\n2) (nil)"
    );
    assert_eq!(field(&mut server, 0, "context"), "\"multi\"");
    assert_eq!(field(&mut server, 0, "object"), "\"incr\"");
    check(&mut server, &[(1, "ACL SETUSER bob +incr", "OK"), (2, "MULTI", "OK"), (2, "INCR k", "QUEUED")]);
    check(&mut server, &[(1, "ACL SETUSER bob -exec", "OK")]);
    assert_eq!(
        server.run_as(2, "EXEC"),
        "(error) EXECABORT Transaction discarded because of: NOPERM this user has no permissions to run the 'exec' \
         command"
    );
}

#[test]
fn the_log_tells_who_was_refused_what_and_counts_repetitions() {
    let mut server = with_bob("+get ~a");
    for line in ["SET a 1", "SET a 1", "GET b", "CLIENT ID"] {
        server.run_as(2, line);
    }
    server.advance(2500);
    for (entry, name, value) in [
        (0, "object", "\"client|id\""),
        (0, "reason", "\"command\""),
        (1, "object", "\"b\""),
        (1, "reason", "\"key\""),
        (1, "context", "\"toplevel\""),
        (1, "username", "\"bob\""),
        (1, "age-seconds", "\"2.5\""),
        (2, "object", "\"set\""),
        (2, "count", "(integer) 2"),
    ] {
        assert_eq!(field(&mut server, entry, name), value, "{entry} {name}");
    }
    let info = field(&mut server, 1, "client-info");
    assert!(info.contains("id=2 ") && info.contains(" cmd=get ") && info.contains(" user=bob "), "{info}");
    assert!(server.raw("HELLO 3").starts_with('%') && server.raw("ACL LOG 1").starts_with("*1\r\n%7\r\n"));
    check(
        &mut server,
        &[
            (1, "ACL LOG -1", "(empty array)"),
            (1, "ACL LOG x", "(error) ERR value is not an integer or out of range"),
            (
                1,
                "ACL LOG 1 2",
                "(error) ERR unknown subcommand or wrong number of arguments for 'LOG'. Try ACL HELP.",
            ),
            (1, "CONFIG SET acllog-max-len 1", "OK"),
            (2, "SET x y", "(error) NOPERM this user has no permissions to run the 'set' command"),
        ],
    );
    assert!(server.raw("ACL LOG").starts_with("*1\r\n"));
    check(&mut server, &[(1, "ACL LOG reset", "OK"), (1, "ACL LOG", "(empty array)")]);
}

#[test]
fn a_wrong_password_is_counted_and_logged() {
    let mut server = TestServer::new();
    server.connect(2);
    check(
        &mut server,
        &[
            (1, "ACL SETUSER bob on >right +@all", "OK"),
            (2, "AUTH bob wrong", WRONGPASS),
            (2, "HELLO 3 AUTH nobody wrong", ""),
        ],
    );
    server.advance(5);
    assert_eq!(server.output_of(2), WRONGPASS);
    assert_eq!(field(&mut server, 0, "object"), "\"HELLO\"");
    assert_eq!(field(&mut server, 1, "username"), "\"bob\"");
    assert_eq!(field(&mut server, 1, "reason"), "\"auth\"");
    let errors = server.run("INFO errorstats");
    assert!(errors.contains("errorstat_WRONGPASS:count=2"), "{errors}");
    let stats = server.run("INFO commandstats");
    for calls in ["cmdstat_auth:calls=1,", "cmdstat_hello:calls=1,"] {
        assert!(stats.contains(calls), "what waited is one call: {stats}");
    }
    assert_eq!(stats.matches("failed_calls=1").count(), 2, "{stats}");
}

#[test]
fn who_is_deleted_or_switched_off_loses_its_connections() {
    let mut server = with_bob("+@all ~*");
    server.connect(3);
    check(&mut server, &[(3, "AUTH bob x", "OK"), (3, "BLPOP l 0", ""), (2, "ACL SETUSER bob off", "OK")]);
    assert_eq!(server.closed, [ClientId(3)], "the one that did it stays");
    server.closed.clear();
    server.connect(4);
    server.connect(5);
    check(
        &mut server,
        &[
            (1, "ACL SETUSER bob on", "OK"),
            (4, "AUTH bob x", "OK"),
            (1, "ACL SETUSER eve on nopass +@all", "OK"),
            (2, "AUTH eve x", "OK"),
            (2, "ACL DELUSER eve", "(integer) 1"),
            (1, "ACL DELUSER nobody bob bob", "(integer) 1"),
            (1, "ACL GETUSER bob", "(nil)"),
            (1, "ACL DELUSER bob default", "(error) ERR The 'default' user cannot be removed"),
            (1, "ACL SETUSER default off", "OK"),
            (1, "ACL WHOAMI", "\"default\""),
        ],
    );
    assert_eq!(server.closed, [ClientId(2), ClientId(4), ClientId(5)], "the default user is no exception");
    server.connect(6);
    check(&mut server, &[(6, "PING", "(error) NOAUTH Authentication required."), (1, "PING", "PONG")]);
}

#[test]
fn subscribers_are_closed_when_they_lose_a_channel() {
    let mut server = with_bob("+@all &a &b* &c");
    for (client, line) in [(3, "SUBSCRIBE a"), (4, "PSUBSCRIBE b*"), (5, "SSUBSCRIBE c"), (6, "PING")] {
        server.connect(client);
        server.run_as(client, "AUTH bob x");
        server.run_as(client, line);
    }
    let denied =
        "(error) NOPERM this user has no permissions to access one of the channels used as arguments";
    check(
        &mut server,
        &[
            (2, "PUBLISH bc x", "(integer) 1"),
            (2, "PUBLISH d x", denied),
            (2, "PSUBSCRIBE bc", denied),
            (2, "SUBSCRIBE a d", denied),
            (1, "ACL SETUSER bob &d", "OK"),
            (1, "ACL SETUSER bob resetchannels &a* &b* &c &d &a", "OK"),
        ],
    );
    assert!(server.closed.is_empty());
    for (rules, closed) in [("&a* &c", vec![4]), ("&a", vec![5]), ("&b", vec![3])] {
        server.closed.clear();
        server.run(&format!("ACL SETUSER bob resetchannels {rules}"));
        assert_eq!(server.closed, closed.into_iter().map(ClientId).collect::<Vec<_>>(), "{rules}");
    }
    assert!(!server.run("CLIENT LIST").contains("id=3 "));
    check(&mut server, &[(6, "PING", "PONG"), (1, "ACL LOG RESET", "OK"), (2, "PUBLISH d x", denied)]);
    assert_eq!(field(&mut server, 0, "reason"), "\"channel\"");
}

#[test]
fn a_lone_subscriber_of_a_shard_channel_is_closed_too() {
    let mut server = with_bob("+@all &a");
    server.run_as(2, "SSUBSCRIBE a");
    server.run("ACL SETUSER bob resetchannels");
    assert_eq!(server.closed, [ClientId(2)]);
}

#[test]
fn little_may_wait_for_who_has_not_logged_in() {
    let mut server = TestServer::with(|config| config.requirepass = "x".into());
    let many = ["PING"; 2000];
    server.connect(2);
    server.pipeline_as(2, &many[..1000]);
    assert!(server.closed.is_empty());
    server.pipeline_as(2, &many);
    assert_eq!(server.closed, [ClientId(2)]);
    server.closed.clear();
    server.connect(3);
    check(&mut server, &[(1, "AUTH x", "OK"), (1, "CONFIG SET requirepass \"\"", "OK")]);
    server.pipeline_as(3, &["ECHO 0123456789012345678901234567890123456789"; 2000]);
    assert!(server.closed.is_empty(), "it need not log in any more");
}

#[test]
fn the_default_user_and_requirepass_are_one() {
    let mut server = TestServer::with(|config| config.requirepass = "secret".into());
    server.connect(2);
    check(
        &mut server,
        &[
            (1, "PING", "(error) NOAUTH Authentication required."),
            (1, "AUTH secret", "OK"),
            (1, "CONFIG SET requirepass \"\"", "OK"),
            (2, "PING", "PONG"),
            (1, "ACL LIST", "1) \"user default on nopass ~* &* +@all\""),
            (1, "CONFIG SET requirepass foo", "OK"),
            (2, "PING", "(error) NOAUTH Authentication required."),
            (1, "ACL SETUSER default nopass", "OK"),
            (1, "CONFIG GET requirepass", "1) \"requirepass\"\n2) \"foo\""),
            (2, "PING", "PONG"),
            (
                1,
                "CONFIG SET requirepass bar databases 3",
                "(error) ERR CONFIG SET failed (possibly related to argument 'databases') - can't set immutable config",
            ),
            (
                1,
                "CONFIG SET requirepass bar port 7",
                "(error) ERR CONFIG SET failed (possibly related to argument 'port') - Unable to listen on this port. Check server logs.",
            ),
            (1, "CONFIG GET requirepass", "1) \"requirepass\"\n2) \"foo\""),
            (2, "PING", "(error) NOAUTH Authentication required."),
            (2, "AUTH foo", "OK"),
        ],
    );
}

#[test]
fn a_server_does_not_start_with_users_it_cannot_read() {
    use crate::config::UserLine;
    let line = |name: &str, rule: &str| UserLine { name: name.into(), rules: vec![rule.into()] };
    let missing = TestServer::try_with(|config| config.aclfile = "nosuch.acl".into());
    let told = missing.err().unwrap_or_default();
    assert!(told.starts_with("Aborting Redis startup because of ACL errors: "), "{told}");
    let with_users = |users: Vec<UserLine>, aclfile: &'static str| {
        TestServer::try_with(move |config| {
            config.users = users;
            config.aclfile = aclfile.into();
        })
        .err()
    };
    assert_eq!(
        with_users(vec![line("bob", "+nosuch")], "").as_deref(),
        Some("Critical error while loading ACLs. Exiting.")
    );
    assert!(with_users(vec![line("bob", "on")], "f").is_some_and(|error| error.contains("but not both")));
    let mut server = TestServer::with(|config| config.users = vec![line("bob", "on"), line("default", "on")]);
    assert_eq!(server.run("PING"), "(error) NOAUTH Authentication required.");
}

#[test]
fn protected_mode_sends_strangers_away_while_there_is_no_password() {
    let mut server = TestServer::new();
    server.connect_from(2, "[::1]:7000");
    assert_eq!(server.run_as(2, "PING"), "PONG");
    server.connect_from(3, "192.0.2.7:7000");
    let told = server.output_of(3);
    assert!(
        told.starts_with(
            "(error) DENIED Redis is running in protected mode because protected mode is enabled and no"
        ),
        "{told}"
    );
    assert!(told.ends_with("start accepting connections from the outside."), "{told}");
    assert_eq!(server.closed, [ClientId(3)]);
    assert_eq!(server.run_as(3, "PING"), "");
    assert!(server.run("INFO stats").contains("rejected_connections:1"));
    server.run("CONFIG SET protected-mode no");
    server.connect_from(4, "192.0.2.7:7001");
    assert_eq!(server.run_as(4, "PING"), "PONG");
    check(&mut server, &[(1, "CONFIG SET protected-mode yes requirepass x", "OK")]);
    server.connect_from(5, "192.0.2.7:7002");
    assert_eq!(server.run_as(5, "PING"), "(error) NOAUTH Authentication required.");
}

#[test]
fn categories_passwords_and_dry_runs() {
    let mut server = with_bob("+@all -keys ~a* resetchannels");
    for (line, answer) in [
        ("ACL CAT nosuch", "(error) ERR Unknown category 'nosuch'"),
        (
            "ACL CAT a b",
            "(error) ERR unknown subcommand or wrong number of arguments for 'CAT'. Try ACL HELP.",
        ),
        ("ACL GENPASS 5", "\"1b\""),
        ("ACL GENPASS 12", "\"1b1\""),
        (
            "ACL GENPASS 0",
            "(error) ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to 4096",
        ),
        ("ACL GENPASS x", "(error) ERR value is not an integer or out of range"),
        ("ACL DRYRUN bob GET abc", "OK"),
        ("ACL DRYRUN bob get b", "\"This user has no permissions to access the 'b' key\""),
        ("ACL DRYRUN bob KEYS *", "\"This user has no permissions to run the 'keys' command\""),
        ("ACL DRYRUN bob GET", "(error) ERR wrong number of arguments for 'get' command"),
        ("ACL DRYRUN bob nosuch x", "(error) ERR Command 'nosuch' not found"),
        ("ACL DRYRUN nobody GET abc", "(error) ERR User 'nobody' not found"),
        ("ACL DRYRUN bob CLIENT nosuch", "(error) ERR Command 'CLIENT' not found"),
        (
            "ACL SAVE",
            "(error) ERR This Redis instance is not configured to use an ACL file. You may want to specify users via the ACL SETUSER command and then issue a CONFIG REWRITE (assuming you have a Redis configuration file set) in order to store users in the Redis configuration.",
        ),
        ("ACL HELP x", "(error) ERR wrong number of arguments for 'acl|help' command"),
    ] {
        assert_eq!(server.run(line), answer, "{line}");
    }
    assert!(server.raw("ACL CAT").starts_with("*21\r\n$8\r\nkeyspace\r\n$4\r\nread\r\n"));
    assert!(server.run("ACL CAT dangerous").contains("\"config|set\""));
    assert_eq!(server.raw("ACL GENPASS").len(), "$64\r\n\r\n".len() + 64);
    assert!(server.raw("ACL SETUSER c (+get)").starts_with("+OK"));
    assert!(
        server
            .raw("ACL GETUSER c")
            .starts_with("*12\r\n$5\r\nflags\r\n*1\r\n$3\r\noff\r\n$9\r\npasswords\r\n*0\r\n$8\r\ncommands")
    );
    server.run("HELLO 3");
    assert!(server.raw("ACL GETUSER c").ends_with("selectors\r\n*1\r\n%3\r\n$8\r\ncommands\r\n$10\r\n-@all +get\r\n$4\r\nkeys\r\n$0\r\n\r\n$8\r\nchannels\r\n$0\r\n\r\n"));
}

#[test]
fn sort_reads_other_keys_only_for_who_may_read_any() {
    let mut server = with_bob("(+sort ~l) (+sort ~l %W~*)");
    let denied =
        |option| format!("(error) ERR {option} option of SORT denied due to insufficient ACL permissions.");
    check(
        &mut server,
        &[
            (1, "RPUSH l 1", "(integer) 1"),
            (2, "SORT l", "1) \"1\""),
            (2, "SORT l BY nosort", "1) \"1\""),
            (2, "SORT l BY w*", &denied("BY")),
            (2, "SORT l GET #", &denied("GET")),
            (1, "ACL SETUSER bob (+sort ~l %R~*)", "OK"),
            (2, "SORT l BY w* GET #", "1) \"1\""),
        ],
    );
}

#[test]
fn rules_may_name_commands_that_are_to_come() {
    let mut server = TestServer::new();
    server.server.rooms.config.aclfile = "users.acl".into();
    let unknown = "(error) ERR unknown command 'CLUSTER', with args beginning with: 'SLOTS' ";
    for (rules, told) in [
        ("+eval", "-@all +eval"),
        ("+@all -EVAL -evalsha", "+@all -eval -evalsha"),
        ("+@all -@scripting", "+@all -@scripting"),
        ("+@stream", "-@all +@stream"),
        ("+@stream -xadd", "-@all +@stream -xadd"),
        ("+cluster|slots", "-@all +cluster|slots"),
        ("+@all -cluster +cluster|slots", "+@all -cluster +cluster|slots"),
        ("+script|load", "-@all +script|load"),
        ("+function -function|load", "-@all +function -function|load"),
        ("+@all -slaveof -replicaof", "+@all -replicaof -slaveof"),
    ] {
        check(&mut server, &[(1, &format!("ACL SETUSER bob reset {rules}"), "OK")]);
        let shown = server.run("ACL LIST");
        let line = format!("user bob off sanitize-payload resetchannels {told}\"");
        assert!(shown.contains(&line), "{rules}: {shown}");
        for line in ["ACL SAVE", "ACL LOAD"] {
            server.send_only_as(1, line);
            server.work_on_files();
            assert_eq!(server.output_of(1), "OK", "{line}: {rules}");
        }
        assert_eq!(server.run("ACL LIST"), shown);
    }
    server.connect(2);
    check(
        &mut server,
        &[
            (1, "ACL SETUSER bob reset on nopass +cluster", "OK"),
            (2, "AUTH bob x", "OK"),
            (2, "CLUSTER SLOTS", unknown),
            (1, "ACL DRYRUN bob cluster slots", "(error) ERR Command 'cluster' not found"),
            (
                1,
                "ACL SETUSER bob +cluster|nosuch",
                "(error) ERR Error in ACL SETUSER modifier '+cluster|nosuch': Unknown command or category name in ACL",
            ),
        ],
    );
    assert!(server.run("ACL CAT stream").contains("\"xgroup|create\""));
    assert!(server.run("COMMAND LIST").lines().all(|line| !line.ends_with("\"cluster\"")));
}

#[test]
fn commands_to_come_can_be_renamed_and_their_names_are_taken() {
    let renamed = |rows: &[(&str, &str)]| {
        let rename = |&(from, to): &(&str, &str)| RenameCommand { from: from.into(), to: to.into() };
        let renames = rows.iter().map(rename).collect();
        TestServer::try_with(|config| config.renamed_commands = renames)
    };
    const TAKEN: &str = "Target command name already exists";
    const NONE: &str = "No such command in rename-command";
    for (rows, outcome) in [
        (&[("EVAL", ""), ("Script", "")][..], None),
        (&[("eval", "lua"), ("get", "eval")], None),
        (&[("slaveof", "slaveof")], None),
        (&[("xadd", "XREAD")], Some(TAKEN)),
        (&[("eval", "SET")], Some(TAKEN)),
        (&[("set", "EVAL")], Some(TAKEN)),
        (&[("eval", "lua"), ("get", "LUA")], Some(TAKEN)),
        (&[("eval", ""), ("eval", "")], Some(NONE)),
        (&[("cluster|slots", "")], Some(NONE)),
        (&[("client|list", "")], Some(NONE)),
    ] {
        assert_eq!(renamed(rows).err().as_deref(), outcome, "{rows:?}");
    }
    let mut server = renamed(&[("eval", ""), ("get", "eval")]).expect("a name that is free again");
    assert_eq!(server.run("EVAL k"), "(nil)");
    assert_eq!(server.run("ACL SETUSER bob -@all +eval"), "OK");
    assert!(server.run("ACL DRYRUN bob eval k").contains("to run the 'get' command"), "rules speak of GET");
}
