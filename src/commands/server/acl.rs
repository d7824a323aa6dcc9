//! ACL: users and what they may do. The rules themselves belong to the `acl` room.

use crate::acl::{Catalog, DEFAULT_USER, Denial, LogEntry, Selector};
use crate::base::text::{lossless, original};
use crate::commands::help;
use crate::resp::{Argv, Reply};
use crate::server::{Args, Command, CommandError, CommandResult, Ctx, Lookup};
use crate::spec::*;

/// ACL.
pub const COMMANDS: &[Command] = &[Command::container(
    Spec::container("acl", Group::Server).since("6.0.0").summary("Users and what they may do."),
    SUBCOMMANDS,
)];

const SUBCOMMANDS: &[Command] = &[
    Command::new(
        Spec::new("acl|cat", Group::Server, -2, "[categoryname]")
            .flags(&[NOSCRIPT, LOADING, STALE])
            .since("6.0.0")
            .complexity("O(1), as the set of commands is fixed.")
            .summary("Names the ACL categories, or the commands of one."),
        acl_cat,
    ),
    Command::new(
        Spec::new("acl|deluser", Group::Server, -3, "username [username ...]")
            .flags(&[ADMIN, NOSCRIPT, LOADING, STALE])
            .since("6.0.0")
            .complexity("O(1) for a user of common size.")
            .summary("Removes users and disconnects their clients."),
        acl_deluser,
    ),
    Command::new(
        Spec::new("acl|dryrun", Group::Server, -4, "username command [arg [arg ...]]")
            .flags(&[ADMIN, NOSCRIPT, LOADING, STALE])
            .since("7.0.0")
            .summary("Tells whether a user may run a command, without running it."),
        acl_dryrun,
    ),
    Command::new(
        Spec::new("acl|genpass", Group::Server, -2, "[bits:integer]")
            .flags(&[NOSCRIPT, LOADING, STALE])
            .since("6.0.0")
            .summary("Makes up a random password in hexadecimal."),
        acl_genpass,
    ),
    Command::new(
        Spec::new("acl|getuser", Group::Server, 3, "username")
            .flags(&[ADMIN, NOSCRIPT, LOADING, STALE])
            .since("6.0.0")
            .complexity("O(N), N: rules of the user.")
            .summary("Tells the rules of one user.")
            .history(&[
                ("6.2.0", "Shows Pub/Sub channel patterns."),
                ("7.0.0", "Shows selectors, and keys and channels as rules."),
            ]),
        acl_getuser,
    ),
    Command::new(
        Spec::new("acl|help", Group::Server, 2, "")
            .flags(&[LOADING, STALE])
            .since("6.0.0")
            .summary("Describes the subcommands."),
        acl_help,
    ),
    Command::new(
        Spec::new("acl|list", Group::Server, 2, "")
            .flags(&[ADMIN, NOSCRIPT, LOADING, STALE])
            .since("6.0.0")
            .complexity("O(N), N: users.")
            .summary("Lists all users as lines of an ACL file."),
        acl_list,
    ),
    Command::new(
        Spec::new("acl|load", Group::Server, 2, "")
            .flags(&[ADMIN, NOSCRIPT, LOADING, STALE])
            .since("6.0.0")
            .complexity("O(N), N: users.")
            .summary("Reads all users from the ACL file again."),
        acl_load,
    ),
    Command::new(
        Spec::new("acl|log", Group::Server, -2, "[count | RESET]@operation")
            .flags(&[ADMIN, NOSCRIPT, LOADING, STALE])
            .since("6.0.0")
            .complexity("O(N), N: entries shown.")
            .summary("Shows the latest refusals, or forgets them."),
        acl_log,
    ),
    Command::new(
        Spec::new("acl|save", Group::Server, 2, "")
            .flags(&[ADMIN, NOSCRIPT, LOADING, STALE])
            .since("6.0.0")
            .complexity("O(N), N: users.")
            .summary("Writes all users to the ACL file."),
        acl_save,
    ),
    Command::new(
        Spec::new("acl|setuser", Group::Server, -3, "username [rule [rule ...]]")
            .flags(&[ADMIN, NOSCRIPT, LOADING, STALE])
            .since("6.0.0")
            .complexity("O(N), N: rules given.")
            .summary("Creates a user or changes its rules.")
            .history(&[
                ("6.2.0", "Pub/Sub channel patterns."),
                ("7.0.0", "Selectors and permissions by key."),
            ]),
        acl_setuser,
    ),
    Command::new(
        Spec::new("acl|users", Group::Server, 2, "")
            .flags(&[ADMIN, NOSCRIPT, LOADING, STALE])
            .since("6.0.0")
            .complexity("O(N), N: users.")
            .summary("Lists the names of all users."),
        acl_users,
    ),
    Command::new(
        Spec::new("acl|whoami", Group::Server, 2, "")
            .flags(&[NOSCRIPT, LOADING, STALE])
            .since("6.0.0")
            .summary("Tells the user name of this connection."),
        acl_whoami,
    ),
];

const NO_FILE: CommandError = CommandError::fixed(
    "ERR This Redis instance is not configured to use an ACL file. You may want to specify users via the ACL SETUSER \
     command and then issue a CONFIG REWRITE (assuming you have a Redis configuration file set) in order to store users \
     in the Redis configuration.",
);

fn acl_whoami(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CommandResult {
    ctx.reply.bulk(&ctx.session.user);
    Ok(())
}

fn acl_users(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CommandResult {
    let users = &ctx.server.acl.users;
    ctx.reply.array(users.iter().count());
    users.iter().for_each(|(name, _)| ctx.reply.bulk(name));
    Ok(())
}

fn acl_list(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CommandResult {
    let acl = &ctx.server.acl;
    ctx.reply.array(acl.users.iter().count());
    acl.users.iter().for_each(|(name, user)| ctx.reply.bulk(&user.line(name, &acl.catalog)));
    Ok(())
}

fn acl_getuser(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let acl = &ctx.server.acl;
    let reply = &mut ctx.reply;
    let Some(user) = acl.users.get(args.key()) else {
        reply.null();
        return Ok(());
    };
    reply.map(6);
    reply.bulk(b"flags");
    reply.set(user.flags().count());
    user.flags().for_each(|flag| reply.bulk(flag.as_bytes()));
    let hashes = user.password_hashes();
    reply.bulk(b"passwords");
    reply.array(hashes.len());
    hashes.for_each(|hash| reply.bulk(hash.as_bytes()));
    let [own, others @ ..] = user.selectors() else { unreachable!("a user has a selector of its own") };
    write_selector(reply, own, &acl.catalog);
    reply.bulk(b"selectors");
    reply.array(others.len());
    for selector in others {
        reply.map(3);
        write_selector(reply, selector, &acl.catalog);
    }
    Ok(())
}

/// Three fields of a map.
fn write_selector(reply: &mut Reply<'_>, selector: &Selector, catalog: &Catalog) {
    let text = selector.text(catalog);
    for (name, rules) in [("commands", text.commands), ("keys", text.keys), ("channels", text.channels)] {
        reply.bulk(name.as_bytes());
        reply.bulk(&rules);
    }
}

fn acl_setuser(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let name = args.key();
    let rules: Vec<&[u8]> = args.rest().collect();
    ctx.set_user(name, &rules).map_err(|error| CommandError::line(format!("ERR {error}")))?;
    ctx.reply.ok();
    Ok(())
}

fn acl_deluser(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    if args.rest().any(|name| name == DEFAULT_USER) {
        return Err(CommandError::fixed("ERR The 'default' user cannot be removed"));
    }
    let removed = args.rest().filter(|name| ctx.delete_user(name)).count();
    ctx.reply.count(removed);
    Ok(())
}

fn acl_cat(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    if args.remaining() > 1 {
        return Err(ctx.unknown_subcommand(args.argv().at(1)));
    }
    if args.is_done() {
        ctx.reply.array(Category::ALL.len());
        Category::ALL.iter().for_each(|category| ctx.reply.bulk(category.name().as_bytes()));
        return Ok(());
    }
    let name = args.key();
    let category = Category::by_name(name)
        .ok_or_else(|| CommandError::line(format!("ERR Unknown category '{}'", lossless(name))))?;
    let members: Vec<&str> = ctx.server.acl.catalog.in_category(category).collect();
    ctx.reply.array(members.len());
    members.iter().for_each(|name| ctx.reply.bulk(name.as_bytes()));
    Ok(())
}

/// Bits of a password when nobody says how many, and the most that are made.
const PASSWORD_BITS: i64 = 256;
const MAX_PASSWORD_BITS: i64 = 4096;

fn acl_genpass(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    if args.remaining() > 1 {
        return Err(ctx.unknown_subcommand(args.argv().at(1)));
    }
    let bits = if args.is_done() { PASSWORD_BITS } else { args.int()? };
    if !(1..=MAX_PASSWORD_BITS).contains(&bits) {
        return Err(CommandError::fixed(
            "ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to 4096",
        ));
    }
    let digits = (bits as usize).div_ceil(4);
    let mut secret = vec![0; digits.div_ceil(2)];
    let made = ctx.server.host.fill_secret(&mut secret);
    made.map_err(|reason| CommandError::line(format!("ERR no random numbers: {reason}")))?;
    let text: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    ctx.reply.bulk(&text.as_bytes()[..digits]);
    Ok(())
}

/// Entries ACL LOG shows when nobody says how many.
const SHOWN_ENTRIES: usize = 10;

fn acl_log(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    if args.remaining() > 1 {
        return Err(ctx.unknown_subcommand(args.argv().at(1)));
    }
    let mut wanted = SHOWN_ENTRIES;
    if args.keyword("RESET") {
        ctx.server.acl.log.clear();
        ctx.reply.ok();
        return Ok(());
    } else if !args.is_done() {
        wanted = usize::try_from(args.int()?).unwrap_or(0);
    }
    let entries = ctx.server.acl.log.iter();
    ctx.reply.array(entries.len().min(wanted));
    entries.take(wanted).for_each(|entry| write_entry(&mut ctx.reply, entry, ctx.now.0));
    Ok(())
}

fn write_entry(reply: &mut Reply<'_>, entry: &LogEntry, now_ms: i64) {
    reply.map(7);
    reply.bulk(b"count");
    reply.integer(i64::try_from(entry.count).unwrap_or(i64::MAX));
    let fields: [(&str, &[u8]); 4] = [
        ("reason", entry.reason.word().as_bytes()),
        ("context", entry.context.word().as_bytes()),
        ("object", &entry.object),
        ("username", &entry.username),
    ];
    for (name, value) in fields {
        reply.bulk(name.as_bytes());
        reply.bulk(value);
    }
    reply.bulk(b"age-seconds");
    reply.double((now_ms - entry.time.0) as f64 / 1000.0);
    reply.bulk(b"client-info");
    reply.bulk(&original(&entry.client_info));
}

fn acl_dryrun(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let name = args.key();
    let argv = args.argv().skip(args.position());
    let not_found = |what: &str, name: &[u8]| {
        Err(CommandError::line(format!("ERR {what} '{}' not found", lossless(name))))
    };
    let Some(user) = ctx.server.acl.users.get(name) else { return not_found("User", name) };
    let Lookup::Found(command, _, index) = ctx.server.commands.lookup(argv) else {
        return not_found("Command", argv.at(0));
    };
    let spec = &command.spec;
    if !spec.accepts(argv.len()) {
        return Err(CommandError::Arity(spec.name.into()));
    }
    match user.check(usize::from(index.0), spec, argv) {
        Ok(()) => ctx.reply.ok(),
        Err(denial) => ctx.reply.bulk(&would_be_refused(denial, spec, argv)),
    }
    Ok(())
}

fn would_be_refused(denial: Denial, spec: &Spec, argv: Argv<'_>) -> Vec<u8> {
    let (verb, object, kind): (_, _, &[u8]) = match denial {
        Denial::Command => ("run", spec.name.as_bytes(), b"command"),
        Denial::Key(at) => ("access", argv.at(at), b"key"),
        Denial::Channel(at) => ("access", argv.at(at), b"channel"),
    };
    let start = format!("This user has no permissions to {verb} the '");
    [start.as_bytes(), object, b"' ", kind].concat()
}

fn acl_load(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CommandResult {
    if ctx.server.config.aclfile.is_empty() {
        return Err(NO_FILE);
    }
    ctx.load_acl_file().map_err(|errors| CommandError::line(format!("ERR {errors}")))?;
    ctx.reply.ok();
    Ok(())
}

fn acl_save(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CommandResult {
    if ctx.server.config.aclfile.is_empty() {
        return Err(NO_FILE);
    }
    ctx.save_acl_file().map_err(|reason| {
        log::warn!("Saving the ACL file: {reason}");
        CommandError::fixed(
            "ERR There was an error trying to save the ACLs. Please check the server logs for more information",
        )
    })?;
    ctx.reply.ok();
    Ok(())
}

fn acl_help(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CommandResult {
    help(ctx, "ACL", SUBCOMMANDS);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::TestServer;
    use crate::server::ClientId;

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
        check(
            &mut server,
            &[(1, "ACL SETUSER bob +incr", "OK"), (2, "MULTI", "OK"), (2, "INCR k", "QUEUED")],
        );
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
        assert!(
            info.contains("id=2 ") && info.contains(" cmd=get ") && info.contains(" user=bob "),
            "{info}"
        );
        assert!(
            server.raw("HELLO 3").starts_with('%') && server.raw("ACL LOG 1").starts_with("*1\r\n%7\r\n")
        );
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
    fn a_wrong_password_is_answered_a_little_later_each_time_and_holds_up_nobody() {
        let mut server = TestServer::new();
        server.connect(2);
        check(
            &mut server,
            &[
                (1, "ACL SETUSER bob on >right +@all", "OK"),
                (2, "AUTH bob wrong", ""),
                (2, "PING", ""),
                (1, "PING", "PONG"),
            ],
        );
        server.advance(4);
        assert_eq!(server.output_of(2), "");
        server.advance(1);
        assert_eq!(server.output_of(2), format!("{WRONGPASS}\nPONG"));
        check(&mut server, &[(2, "HELLO 3 AUTH nobody wrong", "")]);
        server.advance(9);
        assert_eq!(server.output_of(2), "");
        server.advance(1);
        assert_eq!(server.output_of(2), WRONGPASS);
        check(&mut server, &[(2, "AUTH bob right", "OK"), (2, "ACL WHOAMI", "\"bob\"")]);
        assert_eq!(field(&mut server, 0, "object"), "\"HELLO\"");
        assert_eq!(field(&mut server, 1, "username"), "\"bob\"");
        assert_eq!(field(&mut server, 1, "reason"), "\"auth\"");
        let errors = server.run("INFO errorstats");
        assert!(errors.contains("errorstat_WRONGPASS:count=2"), "{errors}");
        assert!(server.run("INFO commandstats").contains("cmdstat_auth:calls=2,"));
        check(&mut server, &[(2, "MULTI", "OK"), (2, "AUTH bob wrong", "QUEUED")]);
        assert_eq!(server.run_as(2, "EXEC"), format!("1) {WRONGPASS}"), "a transaction cannot wait");
        // A client that leaves while it waits is forgotten.
        server.run_as(2, "AUTH bob wrong");
        server.disconnect(2);
        server.advance(10_000);
    }

    #[test]
    fn who_is_deleted_or_switched_off_loses_its_connections() {
        let mut server = with_bob("+@all ~*");
        server.connect(3);
        check(
            &mut server,
            &[(3, "AUTH bob x", "OK"), (3, "BLPOP l 0", ""), (2, "ACL SETUSER bob off", "OK")],
        );
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
        assert_eq!(
            server.closed,
            [ClientId(2), ClientId(4), ClientId(5)],
            "the default user is no exception"
        );
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
    fn an_acl_file_is_saved_and_loaded_and_ends_the_connections_of_its_users() {
        let mut server = TestServer::new();
        server.server.parts.config.aclfile = "users.acl".into();
        assert!(
            server.run("ACL LOAD").contains("Error loading ACLs, opening file 'users.acl': No such file")
        );
        server.connect(2);
        check(
            &mut server,
            &[
                (1, "ACL SETUSER bob on nopass +@all ~b", "OK"),
                (2, "AUTH bob x", "OK"),
                (1, "ACL SAVE", "OK"),
            ],
        );
        let text = server.files.borrow()["users.acl"].clone();
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "user bob on nopass ~b resetchannels +@all\nuser default on nopass ~* &* +@all\n"
        );
        check(&mut server, &[(1, "ACL SETUSER eve", "OK"), (1, "ACL LOAD", "OK")]);
        assert_eq!(server.closed, [ClientId(2)]);
        check(&mut server, &[(1, "ACL USERS", "1) \"bob\"\n2) \"default\"")]);
        server.files.borrow_mut().insert("users.acl".into(), b"user bob on\nuser eve nosuch".to_vec());
        assert_eq!(
            server.run("ACL LOAD"),
            "(error) ERR users.acl:2: Syntax error. WARNING: ACL errors detected, no change to the previously active ACL \
             rules was performed"
        );
        assert!(server.run("ACL LIST").contains("user bob on nopass ~b resetchannels +@all"));
        server.files.borrow_mut().insert("users.acl".into(), b"user default on >x +@all".to_vec());
        check(
            &mut server,
            &[
                (1, "ACL LOAD", "OK"),
                (
                    1,
                    "GET a",
                    "(error) NOPERM this user has no permissions to access one of the keys used as arguments",
                ),
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
        let mut server =
            TestServer::with(|config| config.users = vec![line("bob", "on"), line("default", "on")]);
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
            server.raw("ACL GETUSER c").starts_with(
                "*12\r\n$5\r\nflags\r\n*1\r\n$3\r\noff\r\n$9\r\npasswords\r\n*0\r\n$8\r\ncommands"
            )
        );
        server.run("HELLO 3");
        assert!(server.raw("ACL GETUSER c").ends_with("selectors\r\n*1\r\n%3\r\n$8\r\ncommands\r\n$10\r\n-@all +get\r\n$4\r\nkeys\r\n$0\r\n\r\n$8\r\nchannels\r\n$0\r\n\r\n"));
    }

    #[test]
    fn sort_reads_other_keys_only_for_who_may_read_any() {
        let mut server = with_bob("(+sort ~l) (+sort ~l %W~*)");
        let denied = |option| {
            format!("(error) ERR {option} option of SORT denied due to insufficient ACL permissions.")
        };
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
}
