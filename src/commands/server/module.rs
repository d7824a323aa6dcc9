//! MODULE. There is no module API, so no module is ever loaded, and a wish for one is refused as a
//! module that cannot be loaded: with Redis's error line, and the reason in the log. LOAD, LOADEX
//! and UNLOAD are guarded by `enable-module-command`, which the gate looks at.

use crate::base::text::lossless;
use crate::commands::help;
use crate::server::{Args, Command, CommandError, CommandResult, Ctx};
use crate::spec::*;

/// MODULE.
pub const COMMANDS: &[Command] = &[Command::container(
    Spec::container("module", Group::Server).since("4.0.0").summary("Modules of the server."),
    SUBCOMMANDS,
)];

const SUBCOMMANDS: &[Command] = &[
    Command::new(
        Spec::new("module|help", Group::Server, 2, "")
            .flags(&[LOADING, STALE])
            .since("5.0.0")
            .summary("Describes the subcommands."),
        module_help,
    ),
    Command::new(
        Spec::new("module|list", Group::Server, 2, "")
            .flags(&[ADMIN, NOSCRIPT])
            .since("4.0.0")
            .complexity("O(N), N: modules.")
            .summary("Lists the loaded modules.")
            .tips(&["nondeterministic_output_order"]),
        module_list,
    ),
    Command::new(
        Spec::new("module|load", Group::Server, -3, "path [arg [arg ...]]")
            .flags(&[ADMIN, NOSCRIPT, NO_ASYNC_LOADING, GUARDED_AS_MODULE])
            .since("4.0.0")
            .summary("Loads a module."),
        module_load,
    ),
    Command::new(
        Spec::new(
            "module|loadex",
            Group::Server,
            -3,
            "path [CONFIG (name value)@configs [CONFIG name value ...]] [ARGS (arg)@args [arg \
            ...]]",
        )
        .flags(&[ADMIN, NOSCRIPT, NO_ASYNC_LOADING, GUARDED_AS_MODULE])
        .since("7.0.0")
        .summary("Loads a module with settings."),
        module_loadex,
    ),
    Command::new(
        Spec::new("module|unload", Group::Server, 3, "name")
            .flags(&[ADMIN, NOSCRIPT, NO_ASYNC_LOADING, GUARDED_AS_MODULE])
            .since("4.0.0")
            .summary("Unloads a module."),
        module_unload,
    ),
];

fn module_help(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CommandResult {
    help::of_container(ctx, "MODULE", SUBCOMMANDS);
    Ok(())
}

fn module_list(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CommandResult {
    ctx.reply.array(0);
    Ok(())
}

fn module_load(_ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    log::warn!("Module {} failed to load: pyredis has no module API", lossless(args.key()));
    Err(CommandError::fixed("ERR Error loading the extension. Please check the server logs."))
}

fn module_loadex(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    module_load(ctx, args)
}

fn module_unload(_ctx: &mut Ctx<'_>, _args: Args<'_>) -> CommandResult {
    Err(CommandError::fixed("ERR Error unloading module: no such module with that name"))
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::TestServer;
    use crate::config::Protected;

    #[test]
    fn no_module_is_loaded_and_the_wish_is_guarded() {
        let mut server = TestServer::new();
        assert_eq!(server.run("MODULE LIST"), "(empty array)");
        for line in ["MODULE LOAD /x.so", "MODULE LOADEX /x.so CONFIG a b", "MODULE UNLOAD x"] {
            assert_eq!(
                server.run(line),
                "(error) ERR MODULE command not allowed. If the enable-module-command option is set to \"local\", you \
                 can run it from a local connection, otherwise you need to set this option in the configuration file, \
                 and then restart the server."
            );
        }
        let mut server = TestServer::with(|config| config.enable_module_command = Protected::Yes);
        let refused = "(error) ERR Error loading the extension. Please check the server logs.";
        assert_eq!(server.run("MODULE LOAD /x.so a b"), refused);
        assert_eq!(server.run("MODULE LOADEX /x.so CONFIG a b"), refused);
        assert_eq!(
            server.run("MODULE UNLOAD x"),
            "(error) ERR Error unloading module: no such module with that name"
        );
        assert_eq!(server.run("MODULE foo"), "(error) ERR unknown subcommand 'foo'. Try MODULE HELP.");
    }
}
