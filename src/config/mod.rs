//! Every parameter, declared once.
//!
//! [`PARAMETERS`] is the table of truth; CONFIG GET ([`config_get`]), CONFIG SET ([`config_set`]),
//! CONFIG REWRITE ([`rewrite()`]), the configuration file ([`load`]), the command line
//! ([`parse_args`]) and the table for people ([`parameter_table`]) all derive from it. The values
//! live in [`Config`], one typed public field each, so that the rest of the server reads
//! `config.maxmemory` and nothing looks up a name while serving.
//!
//! This room touches nothing: files, the working folder and the table of commands are reached
//! through [`Surroundings`], which the daemon implements. Nor does it apply anything:
//! [`config_set`] returns the parameters that changed, the caller acts on them, and puts its clone
//! of the old [`Config`] back if it cannot.
//!
//! Read first: [`Config`] and the rows in `parameters.rs`, then [`Parameter`].

mod args;
mod check;
mod choice;
mod directive;
mod docs;
mod file;
mod get;
mod kind;
mod lookup;
mod notify;
mod parameters;
mod rewrite;
mod set;
mod special;
mod startup;
#[cfg(test)]
mod tests;
mod text;

pub use args::{CommandLine, parse_args};
pub use check::expand_title;
pub use choice::*;
pub use directive::{RenameCommand, UserLine};
pub use docs::{accepted_table, parameter_table};
pub use file::{
    DIRECTIVES, LoadError, MAX_CONFIG_FILES, MAX_INCLUDE_DEPTH, Named, Origin, Surroundings, load, parse_file,
};
pub use get::{Shown, config_get};
pub use kind::{Effect, Empty, Flags, Kind, Line, Parameter, Source, Special, Take, Unit};
pub use lookup::{is_sensitive, lookup};
pub use notify::NotifyClasses;
pub use parameters::{Config, PARAMETERS};
pub use rewrite::{Added, rewrite};
pub use set::{ConfigSetError, SetContext, config_set};
pub use special::{
    BufferLimit, BufferLimits, MAX_BIND_ADDRESSES, PrimaryAddress, SavePoint, ShutdownOn, show_percentile,
};
pub use text::Text;
