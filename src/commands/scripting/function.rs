//! FUNCTION: the libraries of functions, and the function that runs.

use crate::base::glob::{Budget, Case, glob_match};
use crate::base::text::{lossless, until_nul};
use crate::commands::help;
use crate::rdb;
use crate::resp::Reply;
use crate::script::functions::{Codes, Policy};
use crate::script::libraries::{Existing, Function, Library};
use crate::script::run::{Kind, Run};
use crate::server::{Args, Command, CommandError, CommandResult, Ctx};
use crate::spec::*;

/// The only engine there is, as it is shown.
const ENGINE: &[u8] = b"LUA";

/// The subcommands of FUNCTION.
pub(super) const FUNCTION_COMMANDS: &[Command] = &[
    Command::new(
        Spec::new("function|delete", Group::Scripting, 3, "library-name")
            .flags(&[WRITE, NOSCRIPT])
            .since("7.0.0")
            .summary("Deletes a library and its functions.")
            .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
        function_delete,
    ),
    Command::new(
        Spec::new("function|dump", Group::Scripting, 2, "")
            .flags(&[NOSCRIPT])
            .since("7.0.0")
            .complexity("O(N), N: functions.")
            .summary("Serializes all libraries."),
        function_dump,
    ),
    Command::new(
        Spec::new("function|flush", Group::Scripting, -2, "[ASYNC | SYNC]@async")
            .flags(&[WRITE, NOSCRIPT])
            .since("7.0.0")
            .complexity("O(N), N: functions.")
            .summary("Deletes all libraries.")
            .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
        function_flush,
    ),
    Command::new(
        Spec::new("function|help", Group::Scripting, 2, "")
            .flags(&[LOADING, STALE])
            .since("7.0.0")
            .summary("Describes the subcommands."),
        function_help,
    ),
    Command::new(
        Spec::new("function|kill", Group::Scripting, -2, "")
            .flags(&[NOSCRIPT, ALLOW_BUSY])
            .since("7.0.0")
            .summary("Stops the function that is running.")
            .tips(&["request_policy:all_shards", "response_policy:one_succeeded"]),
        function_kill,
    ),
    Command::new(
        Spec::new("function|list", Group::Scripting, -2, "[LIBRARYNAME library-name-pattern] [WITHCODE]")
            .flags(&[NOSCRIPT])
            .since("7.0.0")
            .complexity("O(N), N: functions.")
            .summary("Lists the libraries and their functions.")
            .tips(&["nondeterministic_output_order"]),
        function_list,
    ),
    Command::new(
        Spec::new("function|load", Group::Scripting, -3, "[REPLACE] function-code")
            .flags(&[WRITE, DENYOOM, NOSCRIPT])
            .since("7.0.0")
            .complexity("O(1), but for what the code does.")
            .summary("Creates a library.")
            .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
        function_load,
    ),
    Command::new(
        Spec::new(
            "function|restore",
            Group::Scripting,
            -3,
            "serialized-value [FLUSH | APPEND | REPLACE]@policy",
        )
        .flags(&[WRITE, DENYOOM, NOSCRIPT])
        .since("7.0.0")
        .complexity("O(N), N: functions of the payload.")
        .summary("Restores the libraries of a payload.")
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
        function_restore,
    ),
    Command::new(
        Spec::new("function|stats", Group::Scripting, 2, "")
            .flags(&[NOSCRIPT, ALLOW_BUSY])
            .since("7.0.0")
            .summary("Describes the function that is running, and the engines.")
            .tips(&["nondeterministic_output", "request_policy:all_shards", "response_policy:special"]),
        function_stats,
    ),
];

fn function_delete(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let name = std::str::from_utf8(args.next()?).unwrap_or_default();
    if !ctx.rooms.script.functions.delete(name) {
        return Err(CommandError::fixed("ERR Library not found"));
    }
    ctx.count_changes(1);
    ctx.reply.ok();
    Ok(())
}

fn function_dump(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CommandResult {
    let codes = ctx.rooms.script.functions.libraries().codes();
    ctx.reply.bulk(&rdb::dump_libraries(&codes, ctx.rooms.config.rdbcompression));
    Ok(())
}

fn function_flush(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    if args.remaining() > 1 {
        return Err(ctx.unknown_subcommand(args.argv().at(1)));
    }
    // What both words differ in is who frees the memory.
    if !args.is_done() && !args.keyword("SYNC") && !args.keyword("ASYNC") {
        return Err(CommandError::fixed("ERR FUNCTION FLUSH only supports SYNC|ASYNC option"));
    }
    ctx.rooms.script.functions.flush();
    ctx.count_changes(1);
    ctx.reply.ok();
    Ok(())
}

fn function_help(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CommandResult {
    help::of_container(ctx, "FUNCTION", FUNCTION_COMMANDS);
    Ok(())
}

fn function_kill(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    ctx.kill_script(Kind::Function, args)
}

fn function_load(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let mut existing = Existing::Stays;
    while args.remaining() > 1 {
        if !args.keyword("REPLACE") {
            let word = lossless(until_nul(args.next()?));
            return Err(CommandError::line(format!("ERR Unknown option given: {word}")));
        }
        existing = Existing::Goes;
    }
    let name = ctx.load_library(args.next()?, existing)?;
    ctx.count_changes(1);
    ctx.reply.bulk(name.as_bytes());
    Ok(())
}

fn function_restore(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    if args.remaining() > 2 {
        return Err(ctx.unknown_subcommand(args.argv().at(1)));
    }
    let payload = args.next()?;
    let policy = read_policy(&mut args)?;
    let checksum = ctx.rooms.persistence.checksum;
    let read = rdb::read_libraries(payload, checksum);
    let read = read.map_err(|error| CommandError::line(format!("ERR {error}")))?;
    ctx.restore_libraries(Codes { codes: &read.codes, fault: read.fault }, policy)?;
    ctx.count_changes(1);
    ctx.reply.ok();
    Ok(())
}

fn read_policy(args: &mut Args<'_>) -> Result<Policy, CommandError> {
    if args.is_done() || args.keyword("APPEND") {
        Ok(Policy::Append)
    } else if args.keyword("REPLACE") {
        Ok(Policy::Replace)
    } else if args.keyword("FLUSH") {
        Ok(Policy::Flush)
    } else {
        Err(CommandError::fixed(
            "ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.",
        ))
    }
}

/// The libraries that are asked for, and how they are told of.
#[derive(Default)]
struct ListOptions<'a> {
    pattern: Option<&'a [u8]>,
    with_code: bool,
}

impl<'a> ListOptions<'a> {
    /// Redis: each option once.
    fn read(args: &mut Args<'a>) -> Result<Self, CommandError> {
        let mut options = ListOptions::default();
        while let Some(word) = args.peek() {
            if !options.with_code && args.keyword("WITHCODE") {
                options.with_code = true;
            } else if options.pattern.is_none() && args.keyword("LIBRARYNAME") {
                let missing = CommandError::fixed("ERR library name argument was not given");
                options.pattern = Some(args.next().map_err(|_| missing)?);
            } else {
                let word = lossless(until_nul(word));
                return Err(CommandError::line(format!("ERR Unknown argument {word}")));
            }
        }
        Ok(options)
    }
}

fn function_list(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let options = ListOptions::read(&mut args)?;
    let libraries = ctx.rooms.script.functions.libraries();
    let mut budget = Budget::COMMAND;
    let mut listed: Vec<&Library> = Vec::new();
    for library in libraries.iter() {
        let is_wanted = options.pattern.map_or(Ok(true), |pattern| {
            glob_match(pattern, library.name.as_bytes(), Case::Insensitive, &mut budget)
        });
        if is_wanted? {
            listed.push(library);
        }
    }
    ctx.reply.array(listed.len());
    listed.into_iter().for_each(|library| put_library(&mut ctx.reply, library, &options));
    Ok(())
}

fn put_library(reply: &mut Reply<'_>, library: &Library, options: &ListOptions<'_>) {
    reply.map(if options.with_code { 4 } else { 3 });
    put(reply, "library_name", library.name.as_bytes());
    put(reply, "engine", ENGINE);
    reply.bulk(b"functions");
    reply.array(library.functions.len());
    library.functions.iter().for_each(|function| put_function(reply, function));
    if options.with_code {
        put(reply, "library_code", &library.code);
    }
}

fn put(reply: &mut Reply<'_>, field: &str, value: &[u8]) {
    reply.bulk(field.as_bytes());
    reply.bulk(value);
}

fn put_function(reply: &mut Reply<'_>, function: &Function) {
    reply.map(3);
    put(reply, "name", function.name.as_bytes());
    reply.bulk(b"description");
    reply.bulk_or_null(function.description.as_deref());
    reply.bulk(b"flags");
    let flags = function.flags.names();
    reply.set(flags.len());
    flags.into_iter().for_each(|flag| reply.simple(flag));
}

fn function_stats(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CommandResult {
    let running = ctx.running_function()?.cloned();
    ctx.reply.map(2);
    ctx.reply.bulk(b"running_script");
    match running {
        None => ctx.reply.null(),
        Some(run) => put_running(ctx, &run),
    }
    let libraries = ctx.rooms.script.functions.libraries();
    ctx.reply.bulk(b"engines");
    ctx.reply.map(1);
    ctx.reply.bulk(ENGINE);
    ctx.reply.map(2);
    ctx.reply.bulk(b"libraries_count");
    ctx.reply.count(libraries.len());
    ctx.reply.bulk(b"functions_count");
    ctx.reply.count(libraries.functions_len());
    Ok(())
}

fn put_running(ctx: &mut Ctx<'_>, run: &Run) {
    let elapsed_ns = ctx.rooms.time.clock.monotonic_ns().saturating_sub(run.began_ns);
    ctx.reply.map(3);
    put(&mut ctx.reply, "name", run.name.as_bytes());
    ctx.reply.bulk(b"command");
    let command = run.command.as_argv();
    ctx.reply.array(command.len());
    command.iter().for_each(|word| ctx.reply.bulk(word));
    ctx.reply.bulk(b"duration_ms");
    ctx.reply.integer(i64::try_from(elapsed_ns / 1_000_000).unwrap_or(i64::MAX));
}
