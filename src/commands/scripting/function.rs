//! FUNCTION, as far as it is true without functions: there are no libraries.
//!
//! A server without libraries can delete them all, list none of them and serialize the empty set;
//! so it does, byte for byte as Redis with no library. FUNCTION LOAD and RESTORE, and FCALL, are not
//! there and answer as unknown.

use crate::base::crc64::crc64;
use crate::base::text::lossless;
use crate::commands::help;
use crate::rdb;
use crate::server::{Args, Command, CommandError, CommandResult, Ctx};
use crate::spec::*;

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
        Spec::new("function|kill", Group::Scripting, 2, "")
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
        Spec::new("function|stats", Group::Scripting, 2, "")
            .flags(&[NOSCRIPT, ALLOW_BUSY])
            .since("7.0.0")
            .summary("Describes the function that is running, and the engines.")
            .tips(&["nondeterministic_output", "request_policy:all_shards", "response_policy:special"]),
        function_stats,
    ),
];

fn function_delete(_ctx: &mut Ctx<'_>, _args: Args<'_>) -> CommandResult {
    Err(CommandError::fixed("ERR Library not found"))
}

/// No library, the version and the checksum.
fn function_dump(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CommandResult {
    let mut payload = (rdb::VERSION as u16).to_le_bytes().to_vec();
    payload.extend(crc64(&payload).to_le_bytes());
    ctx.reply.bulk(&payload);
    Ok(())
}

fn function_flush(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    if args.remaining() > 1 {
        return Err(ctx.unknown_subcommand(b"flush"));
    }
    if !args.is_done() && !args.keyword("SYNC") && !args.keyword("ASYNC") {
        return Err(CommandError::fixed("ERR FUNCTION FLUSH only supports SYNC|ASYNC option"));
    }
    ctx.reply.ok();
    Ok(())
}

fn function_help(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CommandResult {
    help::of_container(ctx, "FUNCTION", FUNCTION_COMMANDS);
    Ok(())
}

fn function_kill(_ctx: &mut Ctx<'_>, _args: Args<'_>) -> CommandResult {
    Err(CommandError::fixed("NOTBUSY No scripts in execution right now."))
}

fn function_list(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    // Redis: each option once.
    let (mut with_code, mut library_name) = (false, None);
    while let Some(word) = args.peek() {
        if !with_code && args.keyword("WITHCODE") {
            with_code = true;
        } else if library_name.is_none() && args.keyword("LIBRARYNAME") {
            let missing = CommandError::fixed("ERR library name argument was not given");
            library_name = Some(args.next().map_err(|_| missing)?);
        } else {
            let word = lossless(word);
            return Err(CommandError::line(format!("ERR Unknown argument {word}")));
        }
    }
    ctx.reply.array(0);
    Ok(())
}

fn function_stats(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CommandResult {
    ctx.reply.map(2);
    ctx.reply.bulk(b"running_script");
    ctx.reply.null();
    ctx.reply.bulk(b"engines");
    ctx.reply.map(0);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::TestServer;

    #[test]
    fn a_server_without_libraries_says_so() {
        let mut server = TestServer::new();
        for (line, answer) in [
            ("FUNCTION LIST", "(empty array)"),
            ("FUNCTION LIST WITHCODE LIBRARYNAME x", "(empty array)"),
            ("FUNCTION LIST LIBRARYNAME", "(error) ERR library name argument was not given"),
            ("FUNCTION LIST foo", "(error) ERR Unknown argument foo"),
            ("FUNCTION LIST WITHCODE withcode", "(error) ERR Unknown argument withcode"),
            ("FUNCTION LIST LIBRARYNAME a LIBRARYNAME b", "(error) ERR Unknown argument LIBRARYNAME"),
            ("FUNCTION DELETE x", "(error) ERR Library not found"),
            ("FUNCTION KILL", "(error) NOTBUSY No scripts in execution right now."),
            ("FUNCTION FLUSH", "OK"),
            ("FUNCTION FLUSH ASYNC", "OK"),
            ("FUNCTION FLUSH foo", "(error) ERR FUNCTION FLUSH only supports SYNC|ASYNC option"),
            (
                "FUNCTION FLUSH SYNC x",
                "(error) ERR unknown subcommand or wrong number of arguments for 'flush'. Try FUNCTION HELP.",
            ),
            ("FUNCTION DUMP", "\"\\n\\x00]\\x9b\\\\@\\x0f\\x7f\\xa2\\xda\""),
        ] {
            assert_eq!(server.run(line), answer, "{line}");
        }
        assert!(server.run("FUNCTION LOAD x").starts_with("(error) ERR unknown subcommand"));
        assert_eq!(server.effects(), "");
    }
}
