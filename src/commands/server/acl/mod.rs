//! ACL: users and what they may do. The rules themselves belong to the `acl` room.

use crate::acl::{Catalog, DEFAULT_USER, Denial, LogEntry, Selector};
use crate::base::text::{lossless, original};
use crate::base::time::MonotonicMillis;
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
            .secrets(Secrets::From { place: 2, most_words: usize::MAX })
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
    ctx.reply.bulk(&ctx.session.login.user);
    Ok(())
}

fn acl_users(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CommandResult {
    let users = &ctx.rooms.acl.users;
    ctx.reply.array(users.iter().count());
    users.iter().for_each(|(name, _)| ctx.reply.bulk(name));
    Ok(())
}

fn acl_list(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CommandResult {
    let acl = &ctx.rooms.acl;
    ctx.reply.array(acl.users.iter().count());
    acl.users.iter().for_each(|(name, user)| ctx.reply.bulk(&user.line(name, &acl.catalog)));
    Ok(())
}

fn acl_getuser(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let acl = &ctx.rooms.acl;
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
    let members: Vec<&str> = ctx.rooms.acl.catalog.in_category(category).collect();
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
    let made = ctx.rooms.outside.host.fill_secret(&mut secret);
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
        ctx.rooms.acl.log.clear();
        ctx.reply.ok();
        return Ok(());
    } else if !args.is_done() {
        wanted = usize::try_from(args.int()?).unwrap_or(0);
    }
    let entries = ctx.rooms.acl.log.iter();
    ctx.reply.array(entries.len().min(wanted));
    entries.take(wanted).for_each(|entry| write_entry(&mut ctx.reply, entry, ctx.rooms.time.monotonic));
    Ok(())
}

fn write_entry(reply: &mut Reply<'_>, entry: &LogEntry, now: MonotonicMillis) {
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
    reply.double(now.ms_since(entry.time) as f64 / 1000.0);
    reply.bulk(b"client-info");
    reply.bulk(&original(&entry.client_info));
}

fn acl_dryrun(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let name = args.key();
    let argv = args.argv().skip(args.position());
    let not_found = |what: &str, name: &[u8]| {
        Err(CommandError::line(format!("ERR {what} '{}' not found", lossless(name))))
    };
    let Some(user) = ctx.rooms.acl.users.get(name) else { return not_found("User", name) };
    let Lookup::Found(command, _, index) = ctx.rooms.commands.lookup(argv) else {
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
    if ctx.rooms.config.aclfile.is_empty() {
        return Err(NO_FILE);
    }
    ctx.load_acl_file()
}

fn acl_save(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CommandResult {
    if ctx.rooms.config.aclfile.is_empty() {
        return Err(NO_FILE);
    }
    ctx.save_acl_file()
}

fn acl_help(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CommandResult {
    help::of_container(ctx, "ACL", SUBCOMMANDS);
    Ok(())
}

#[cfg(test)]
mod file_tests;
#[cfg(test)]
mod tests;
