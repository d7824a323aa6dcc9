//! SCRIPT: the scripts that are known, and the one that runs.

use crate::clients::DebuggedChanges;
use crate::commands::help;
use crate::script::cache::Came;
use crate::script::run::Kind;
use crate::script::scripts;
use crate::server::{Args, Command, CommandError, CommandResult, Ctx};
use crate::spec::*;

/// The subcommands of SCRIPT.
pub(super) const SCRIPT_COMMANDS: &[Command] = &[
    Command::new(
        Spec::new("script|debug", Group::Scripting, 3, "<YES | SYNC | NO>@mode")
            .flags(&[NOSCRIPT])
            .since("3.2.0")
            .summary("Debugs the scripts of this connection."),
        debug,
    ),
    Command::new(
        Spec::new("script|exists", Group::Scripting, -3, "sha1 [sha1 ...]")
            .flags(&[NOSCRIPT])
            .since("2.6.0")
            .complexity("O(N), N: names.")
            .summary("Says which scripts are known.")
            .tips(&["request_policy:all_shards", "response_policy:agg_logical_and"]),
        exists,
    ),
    Command::new(
        Spec::new("script|flush", Group::Scripting, -2, "[ASYNC | SYNC]^6.2.0@async")
            .flags(&[NOSCRIPT])
            .since("2.6.0")
            .history(&[("6.2.0", "The words ASYNC and SYNC.")])
            .complexity("O(N), N: scripts.")
            .summary("Forgets all scripts.")
            .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
        flush,
    ),
    Command::new(
        Spec::new("script|help", Group::Scripting, 2, "")
            .flags(&[LOADING, STALE])
            .since("5.0.0")
            .summary("Describes the subcommands."),
        help_of_script,
    ),
    Command::new(
        Spec::new("script|kill", Group::Scripting, -2, "")
            .flags(&[NOSCRIPT, ALLOW_BUSY])
            .since("2.6.0")
            .summary("Stops the script that is running.")
            .tips(&["request_policy:all_shards", "response_policy:one_succeeded"]),
        kill,
    ),
    Command::new(
        Spec::new("script|load", Group::Scripting, 3, "script")
            .flags(&[NOSCRIPT, STALE])
            .since("2.6.0")
            .complexity("O(N), N: bytes of the script.")
            .summary("Lets the server know a script.")
            .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
        load,
    ),
];

fn debug(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let changes = if args.keyword("NO") {
        None
    } else if args.keyword("YES") {
        Some(DebuggedChanges::Undone)
    } else if args.keyword("SYNC") {
        Some(DebuggedChanges::Kept)
    } else {
        return Err(CommandError::fixed("ERR Use SCRIPT DEBUG YES/SYNC/NO"));
    };
    ctx.set_debugging(changes)
}

fn exists(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    let names = args.rest();
    ctx.reply.array(names.len());
    for name in names {
        let is_known =
            scripts::sha_named(name).is_some_and(|sha| ctx.rooms.script.cache().get(&sha).is_some());
        ctx.reply.integer(i64::from(is_known));
    }
    Ok(())
}

fn flush(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    // The words differ in who frees the memory. A Lua state stays on its thread, so it is this one.
    let is_known = args.is_done() || args.keyword("SYNC") || args.keyword("ASYNC");
    if !is_known || !args.is_done() {
        return Err(CommandError::fixed("ERR SCRIPT FLUSH only support SYNC|ASYNC option"));
    }
    ctx.rooms.script.flush();
    ctx.reply.ok();
    Ok(())
}

fn help_of_script(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CommandResult {
    help::of_container(ctx, "SCRIPT", SCRIPT_COMMANDS);
    Ok(())
}

fn kill(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    ctx.kill_script(Kind::Eval, args)
}

fn load(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let sha = ctx.rooms.script.add(args.next()?, Came::ByLoad).map_err(CommandError::line)?;
    ctx.reply.bulk(&sha);
    Ok(())
}
