//! The group *scripting*: scripts of EVAL ([`eval`]), what is known of them ([`script`]), functions
//! ([`function`], [`fcall`]).

mod eval;
#[cfg(test)]
mod eval_tests;
mod fcall;
mod function;
#[cfg(test)]
mod function_tests;
mod script;
#[cfg(test)]
mod stop_tests;

use crate::server::Command;
use crate::spec::*;

/// EVAL and its siblings, SCRIPT, FUNCTION, FCALL.
pub const COMMANDS: &[Command] = &[
    eval::EVAL,
    eval::EVAL_RO,
    eval::EVALSHA,
    eval::EVALSHA_RO,
    fcall::FCALL,
    fcall::FCALL_RO,
    Command::container(
        Spec::container("function", Group::Scripting).since("7.0.0").summary("Libraries of functions."),
        function::FUNCTION_COMMANDS,
    ),
    Command::container(
        Spec::container("script", Group::Scripting).since("2.6.0").summary("The scripts that are known."),
        script::SCRIPT_COMMANDS,
    ),
];
