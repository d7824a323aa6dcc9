//! CLIENT TRACKING and what belongs to it: client-side caching.

use crate::base::text::lossless;
use crate::base::{ClientId, number};
use crate::server::{Args, Command, CommandError, CommandResult, Ctx};
use crate::spec::*;
use crate::tracking::{Choice, Mode};

/// CLIENT CACHING.
pub(super) const CACHING: Command = Command::new(
    Spec::new("client|caching", Group::Connection, 3, "<YES | NO>@mode")
        .flags(&[NOSCRIPT, LOADING, STALE, KEEPS_CACHING])
        .since("6.0.0")
        .summary("Says whether the keys of the next command are tracked."),
    client_caching,
);

/// CLIENT GETREDIR.
pub(super) const GETREDIR: Command = Command::new(
    Spec::new("client|getredir", Group::Connection, 2, "")
        .flags(&[NOSCRIPT, LOADING, STALE, KEEPS_CACHING])
        .since("6.0.0")
        .summary("Tells which client gets this connection's invalidations."),
    client_getredir,
);

/// CLIENT TRACKING.
pub(super) const TRACKING: Command = Command::new(
    Spec::new(
        "client|tracking",
        Group::Connection,
        -3,
        "<ON | OFF>@status [REDIRECT client-id] [PREFIX prefix [PREFIX prefix ...]] [BCAST] \
        [OPTIN] [OPTOUT] [NOLOOP]",
    )
    .flags(&[NOSCRIPT, LOADING, STALE, KEEPS_CACHING])
    .since("6.0.0")
    .complexity("O(1), more with some options.")
    .summary("Turns on or off the news about keys that this connection has read."),
    client_tracking,
);

/// CLIENT TRACKINGINFO.
pub(super) const TRACKINGINFO: Command = Command::new(
    Spec::new("client|trackinginfo", Group::Connection, 2, "")
        .flags(&[NOSCRIPT, LOADING, STALE, KEEPS_CACHING])
        .since("6.2.0")
        .summary("Tells how tracking is set up for this connection."),
    client_trackinginfo,
);

/// The arguments of CLIENT TRACKING.
#[derive(Debug, Default)]
struct Wanted<'a> {
    redirect: u64,
    broadcast: bool,
    opt_in: bool,
    opt_out: bool,
    no_loop: bool,
    prefixes: Vec<&'a [u8]>,
}

fn client_tracking(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let status = args.key();
    let wanted = options(ctx, args)?;
    if status.eq_ignore_ascii_case(b"on") {
        let mode = mode(&wanted, ctx.session.tracking.mode)?;
        check_overlaps(ctx, &wanted)?;
        ctx.track(mode, wanted.prefixes.iter().copied());
    } else if status.eq_ignore_ascii_case(b"off") {
        ctx.end_tracking();
    } else {
        return Err(CommandError::Syntax);
    }
    ctx.reply.ok();
    Ok(())
}

fn options<'a>(ctx: &Ctx<'_>, mut args: Args<'a>) -> Result<Wanted<'a>, CommandError> {
    let mut wanted = Wanted::default();
    while !args.is_done() {
        if args.keyword_with_value("REDIRECT") {
            if wanted.redirect != 0 {
                return Err(CommandError::fixed("ERR A client can only redirect to a single other client"));
            }
            let id = number::parse_i64(args.key()).ok_or(CommandError::NotInteger)?;
            wanted.redirect = u64::try_from(id).unwrap_or(0);
            let id = ClientId(wanted.redirect);
            if id != ctx.session.id && ctx.rooms.clients.get(id).is_none() {
                let line = "ERR The client ID you want redirect to does not exist";
                return Err(CommandError::fixed(line));
            }
        } else if args.keyword_with_value("PREFIX") {
            wanted.prefixes.push(args.key());
        } else if args.keyword("BCAST") {
            wanted.broadcast = true;
        } else if args.keyword("OPTIN") {
            wanted.opt_in = true;
        } else if args.keyword("OPTOUT") {
            wanted.opt_out = true;
        } else if args.keyword("NOLOOP") {
            wanted.no_loop = true;
        } else {
            return Err(CommandError::Syntax);
        }
    }
    Ok(wanted)
}

/// The mode that is wanted, if its options go together and with how the client tracks already.
fn mode(wanted: &Wanted<'_>, current: Option<Mode>) -> Result<Mode, CommandError> {
    let refused = |text| Err(CommandError::fixed(text));
    if !wanted.broadcast && !wanted.prefixes.is_empty() {
        return refused("ERR PREFIX option requires BCAST mode to be enabled");
    }
    if current.is_some_and(|mode| mode.broadcast != wanted.broadcast) {
        return refused(
            "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it \
             with a different mode.",
        );
    }
    if wanted.broadcast && (wanted.opt_in || wanted.opt_out) {
        return refused("ERR OPTIN and OPTOUT are not compatible with BCAST");
    }
    if wanted.opt_in && wanted.opt_out {
        return refused("ERR You can't specify both OPTIN mode and OPTOUT mode");
    }
    let choice = match (wanted.opt_in, wanted.opt_out) {
        (true, _) => Choice::OptIn,
        (_, true) => Choice::OptOut,
        _ => Choice::Every,
    };
    let before = current.map_or(Choice::Every, |mode| mode.choice);
    if choice != Choice::Every && before != Choice::Every && choice != before {
        return refused(
            "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it \
             with a different mode.",
        );
    }
    Ok(Mode {
        broadcast: wanted.broadcast,
        choice,
        no_loop: wanted.no_loop,
        redirect: wanted.redirect,
        broken_redirect: false,
    })
}

/// A client may not hear of a key twice: none of its prefixes may begin with another.
fn check_overlaps(ctx: &Ctx<'_>, wanted: &Wanted<'_>) -> CommandResult {
    let overlap = |one: &[u8], other: &[u8]| one.starts_with(other) || other.starts_with(one);
    let refused = |prefix: &[u8], which: &str, other: &[u8]| {
        Err(CommandError::line(format!(
            "ERR Prefix '{}' overlaps with {which} prefix '{}'. Prefixes for a single client must not overlap.",
            lossless(prefix),
            lossless(other)
        )))
    };
    let own = ctx.session.id;
    for (place, prefix) in wanted.prefixes.iter().enumerate() {
        let tables = &ctx.rooms.tracking.tables;
        if let Some(other) = tables.prefixes_of(own).find(|other| overlap(prefix, other)) {
            return refused(prefix, "an existing", other);
        }
        if let Some(other) = wanted.prefixes[place + 1..].iter().find(|other| overlap(prefix, other)) {
            return refused(prefix, "another provided", other);
        }
    }
    Ok(())
}

fn client_caching(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let Some(mode) = ctx.session.tracking.mode else {
        return Err(CommandError::fixed(
            "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled",
        ));
    };
    let (choice, otherwise) = if args.keyword("YES") {
        (Choice::OptIn, "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.")
    } else if args.keyword("NO") {
        (Choice::OptOut, "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.")
    } else {
        return Err(CommandError::Syntax);
    };
    if mode.choice != choice {
        return Err(CommandError::fixed(otherwise));
    }
    ctx.session.tracking.caching = true;
    ctx.reply.ok();
    Ok(())
}

fn client_getredir(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CommandResult {
    ctx.reply.integer(ctx.session.redirect());
    Ok(())
}

fn client_trackinginfo(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CommandResult {
    let own = ctx.session.tracking;
    let mode = own.mode.unwrap_or_default();
    let is = |choice| mode.choice == choice;
    let flags = [
        (own.mode.is_none(), "off"),
        (own.mode.is_some(), "on"),
        (mode.broadcast, "bcast"),
        (is(Choice::OptIn), "optin"),
        (is(Choice::OptIn) && own.caching, "caching-yes"),
        (is(Choice::OptOut), "optout"),
        (is(Choice::OptOut) && own.caching, "caching-no"),
        (mode.no_loop, "noloop"),
        (mode.broken_redirect, "broken_redirect"),
    ];
    let flags: Vec<_> = flags.iter().filter(|(is_set, _)| *is_set).map(|(_, flag)| flag).collect();
    ctx.reply.map(3);
    ctx.reply.bulk(b"flags");
    ctx.reply.set(flags.len());
    flags.iter().for_each(|flag| ctx.reply.bulk(flag.as_bytes()));
    ctx.reply.bulk(b"redirect");
    ctx.reply.integer(ctx.session.redirect());
    ctx.reply.bulk(b"prefixes");
    let prefixes: Vec<_> = ctx.rooms.tracking.tables.prefixes_of(ctx.session.id).collect();
    ctx.reply.array(prefixes.len());
    prefixes.iter().for_each(|prefix| ctx.reply.bulk(prefix));
    Ok(())
}

#[cfg(test)]
mod tests;
