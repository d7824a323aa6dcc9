//! FCALL and FCALL_RO: running functions.

use super::eval::{READ, WRITTEN, Words};
use crate::script::run::Kind;
use crate::script::vm::Place;
use crate::server::{Args, Command, CommandError, CommandResult, Ctx};
use crate::spec::*;

pub(super) const FCALL: Command = Command::new(
    Spec::new("fcall", Group::Scripting, -3, "function numkeys [key [key ...]] [arg [arg ...]]")
        .flags(&[NOSCRIPT, SKIP_MONITOR, MAY_REPLICATE, NO_MANDATORY_KEYS, STALE, RUNS_FUNCTION])
        .keys(WRITTEN)
        .keys_by(KeysBy::KeyNum(2))
        .since("7.0.0")
        .complexity("That of the function.")
        .summary("Runs a function."),
    fcall,
);

pub(super) const FCALL_RO: Command = Command::new(
    Spec::new("fcall_ro", Group::Scripting, -3, "function numkeys [key [key ...]] [arg [arg ...]]")
        .flags(&[NOSCRIPT, SKIP_MONITOR, NO_MANDATORY_KEYS, STALE, READONLY, RUNS_FUNCTION])
        .keys(READ)
        .keys_by(KeysBy::KeyNum(2))
        .since("7.0.0")
        .complexity("That of the function.")
        .summary("Runs a function that only reads."),
    fcall,
);

const NOT_FOUND: CommandError = CommandError::fixed("ERR Function not found");
const BAD_NUMBER: CommandError = CommandError::fixed("ERR Bad number of keys provided");

fn fcall(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    let argv = args.argv();
    ctx.show_to_monitors(argv);
    let functions = &ctx.rooms.script.functions;
    let (library, function) = functions.libraries().function(argv.at(1)).ok_or(NOT_FOUND)?;
    let vm = functions.vm().ok_or(NOT_FOUND)?;
    let (id, name, flags) = (library.id, function.name.clone(), function.flags);
    let words = Words::read(argv, BAD_NUMBER)?;
    let run = ctx.begin_script(Kind::Function, &name, argv, flags)?;
    ctx.run_script(&vm, words.call(&name, Place::Library(id)), run)
}
