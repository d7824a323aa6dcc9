//! EVAL, EVALSHA and their read-only siblings.

use crate::resp::Argv;
use crate::script::cache::{Came, Sha};
use crate::script::run::Kind;
use crate::script::scripts;
use crate::script::shebang::ScriptFlags;
use crate::script::vm::{Call, Place};
use crate::server::{Args, Command, CommandError, CommandResult, Ctx};
use crate::spec::*;

/// Keys of a script that may write.
pub(super) const WRITTEN: &[KeySpec] = &[KeySpec::keynum(2, &[RW, ACCESS, UPDATE])];
/// Keys of a script that only reads.
pub(super) const READ: &[KeySpec] = &[KeySpec::keynum(2, &[RO, ACCESS])];

const FLAGS: &[Flags] = &[NOSCRIPT, SKIP_MONITOR, MAY_REPLICATE, NO_MANDATORY_KEYS, STALE, RUNS_SCRIPT];
const RO_FLAGS: &[Flags] = &[NOSCRIPT, SKIP_MONITOR, NO_MANDATORY_KEYS, STALE, READONLY, RUNS_SCRIPT];

pub(super) const EVAL: Command = Command::new(
    Spec::new("eval", Group::Scripting, -3, "script numkeys [key [key ...]] [arg [arg ...]]")
        .flags(FLAGS)
        .keys(WRITTEN)
        .keys_by(KeysBy::KeyNum(2))
        .since("2.6.0")
        .complexity("That of the script.")
        .summary("Runs a Lua script."),
    eval,
);

pub(super) const EVAL_RO: Command = Command::new(
    Spec::new("eval_ro", Group::Scripting, -3, "script numkeys [key [key ...]] [arg [arg ...]]")
        .flags(RO_FLAGS)
        .keys(READ)
        .keys_by(KeysBy::KeyNum(2))
        .since("7.0.0")
        .complexity("That of the script.")
        .summary("Runs a Lua script that only reads."),
    eval,
);

pub(super) const EVALSHA: Command = Command::new(
    Spec::new("evalsha", Group::Scripting, -3, "sha1 numkeys [key [key ...]] [arg [arg ...]]")
        .flags(FLAGS)
        .keys(WRITTEN)
        .keys_by(KeysBy::KeyNum(2))
        .since("2.6.0")
        .complexity("That of the script.")
        .summary("Runs a Lua script that is known, by its SHA-1."),
    evalsha,
);

pub(super) const EVALSHA_RO: Command = Command::new(
    Spec::new("evalsha_ro", Group::Scripting, -3, "sha1 numkeys [key [key ...]] [arg [arg ...]]")
        .flags(RO_FLAGS)
        .keys(READ)
        .keys_by(KeysBy::KeyNum(2))
        .since("7.0.0")
        .complexity("That of the script.")
        .summary("Runs a Lua script that is known and only reads, by its SHA-1."),
    evalsha,
);

fn eval(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    let argv = args.argv();
    ctx.show_to_monitors(argv);
    ctx.maybe_debugged(|ctx| {
        let words = Words::read(argv, CommandError::NotInteger)?;
        let sha = ctx.rooms.script.add(argv.at(1), Came::ByEval).map_err(CommandError::line)?;
        run(ctx, argv, &sha, &words)
    })
}

fn evalsha(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    let argv = args.argv();
    ctx.show_to_monitors(argv);
    let sha = scripts::sha_named(argv.at(1)).ok_or(NO_SCRIPT)?;
    if ctx.session.debugging.is_some() {
        return Err(CommandError::fixed("ERR Please use EVAL instead of EVALSHA for debugging"));
    }
    let words = Words::read(argv, CommandError::NotInteger)?;
    if ctx.rooms.script.cache().get(&sha).is_none() {
        return Err(NO_SCRIPT);
    }
    run(ctx, argv, &sha, &words)
}

const NO_SCRIPT: CommandError = CommandError::fixed("NOSCRIPT No matching script. Please use EVAL.");

/// The words behind the script: its keys and its other arguments.
pub(super) struct Words<'a> {
    keys: Vec<&'a [u8]>,
    arguments: Vec<&'a [u8]>,
}

impl<'a> Words<'a> {
    /// Reads the number of keys, which is argument 2, and what follows. `no_number` is the error of
    /// one that is none.
    pub(super) fn read(argv: Argv<'a>, no_number: CommandError) -> Result<Self, CommandError> {
        let count = crate::base::number::parse_i64(argv.at(2)).ok_or(no_number)?;
        let rest = argv.skip(3);
        let Ok(count) = usize::try_from(count) else {
            return Err(CommandError::fixed("ERR Number of keys can't be negative"));
        };
        if count > rest.len() {
            return Err(CommandError::fixed("ERR Number of keys can't be greater than number of args"));
        }
        let mut words: Vec<&[u8]> = rest.iter().collect();
        let arguments = words.split_off(count);
        Ok(Words { keys: words, arguments })
    }

    /// The call of a script with these words.
    pub(super) fn call<'w>(&'w self, name: &'w str, place: Place) -> Call<'w> {
        Call { name, place, keys: &self.keys, arguments: &self.arguments }
    }
}

fn run(ctx: &mut Ctx<'_>, argv: Argv<'_>, sha: &Sha, words: &Words<'_>) -> CommandResult {
    let flags = ctx.rooms.script.touch(sha).map_or_else(ScriptFlags::default, |script| script.flags);
    let vm = ctx.rooms.script.eval_vm().map_err(CommandError::line)?;
    let name = scripts::text(sha);
    let run = ctx.begin_script(Kind::Eval, name, argv, flags)?;
    ctx.run_script(&vm, words.call(name, Place::Scripts), run)
}
