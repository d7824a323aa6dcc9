//! CONFIG SET: all of the given parameters, or none.

use super::kind::{Flags, Parameter, Source};
use super::lookup::lookup;
use super::parameters::Config;
use crate::base::text::lossless;
use std::fmt;

/// The facts about the moment and the client that CONFIG SET must know.
#[derive(Clone, Copy, Debug, Default)]
pub struct SetContext {
    /// A data set is being loaded.
    pub loading: bool,
    /// The client is connected from this machine, for `enable-protected-configs local`.
    pub local_client: bool,
}

/// The reason why CONFIG SET changed nothing. `Display` is the error line without its leading `-`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigSetError {
    /// A name without a value.
    Syntax,
    /// No parameter has this name.
    Unknown(Vec<u8>),
    /// Not while a data set is being loaded.
    Loading,
    /// The value was refused, by this room or by whoever applies it.
    Refused {
        /// The name at fault.
        argument: String,
        /// Redis's words for why.
        reason: String,
    },
}

impl ConfigSetError {
    /// The error for a change of `argument` that could not be applied.
    pub fn refused(argument: &str, reason: &str) -> ConfigSetError {
        ConfigSetError::Refused { argument: argument.to_owned(), reason: reason.to_owned() }
    }
}

impl fmt::Display for ConfigSetError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigSetError::Syntax => out.write_str("ERR syntax error"),
            ConfigSetError::Unknown(name) => {
                let name = lossless(name);
                write!(out, "ERR Unknown option or number of arguments for CONFIG SET - '{name}'")
            }
            ConfigSetError::Loading => out.write_str("LOADING Redis is loading the dataset in memory"),
            ConfigSetError::Refused { argument, reason } => {
                write!(out, "ERR CONFIG SET failed (possibly related to argument '{argument}') - {reason}")
            }
        }
    }
}

impl std::error::Error for ConfigSetError {}

/// CONFIG SET: all of the `name value …` arguments, or nothing.
///
/// Returns the parameters whose values changed, in the order given, for the caller to apply.
/// Source: CONFIG SET.
pub fn config_set(
    config: &mut Config,
    args: &[&[u8]],
    context: SetContext,
) -> Result<Vec<&'static Parameter>, ConfigSetError> {
    if !args.len().is_multiple_of(2) {
        return Err(ConfigSetError::Syntax);
    }
    let settings = resolve(config, args, context)?;
    let mut new = config.clone();
    for (parameter, name, value) in &settings {
        let set = parameter.set(&mut new, &[value], Source::Command);
        set.map_err(|reason| ConfigSetError::refused(name, &reason))?;
    }
    new.keep_in_bounds();
    let mut changed: Vec<&'static Parameter> = Vec::new();
    for (parameter, ..) in settings {
        if parameter.get(config) != parameter.get(&new) && !changed.contains(&parameter) {
            changed.push(parameter);
        }
    }
    *config = new;
    Ok(changed)
}

/// A parameter, the name it was called by, and the new value.
type Setting<'a> = (&'static Parameter, &'static str, &'a [u8]);

/// Looks all names up and checks that they may be set, before any is.
fn resolve<'a>(
    config: &Config,
    args: &[&'a [u8]],
    context: SetContext,
) -> Result<Vec<Setting<'a>>, ConfigSetError> {
    let mut settings: Vec<Setting<'a>> = Vec::new();
    let mut first_error = None;
    for pair in args.chunks_exact(2) {
        let Some((parameter, name)) = lookup(pair[0]) else {
            first_error.get_or_insert(ConfigSetError::Unknown(pair[0].to_vec()));
            continue;
        };
        if context.loading && parameter.is(Flags::DENY_LOADING) {
            // Redis: this error goes before all others, for clients know how to wait.
            return Err(ConfigSetError::Loading);
        }
        let refusal = if settings.iter().any(|(_, known, _)| *known == name) {
            Some("duplicate parameter")
        } else {
            refusal(config, parameter, context)
        };
        if let Some(reason) = refusal {
            let argument = lossless(pair[0]);
            first_error.get_or_insert(ConfigSetError::refused(&argument, reason));
        }
        settings.push((parameter, name, pair[1]));
    }
    first_error.map_or(Ok(settings), Err)
}

/// Returns the reason why a parameter may not be set by this client, if it may not.
fn refusal(config: &Config, parameter: &Parameter, context: SetContext) -> Option<&'static str> {
    let protected_allowed = config.enable_protected_configs.admits(context.local_client);
    if parameter.is(Flags::IMMUTABLE) {
        Some("can't set immutable config")
    } else if parameter.is(Flags::PROTECTED) && !protected_allowed {
        Some("can't set protected config")
    } else {
        None
    }
}

/// Redis works with at least 1 and at most this many turns of periodic work a second.
pub(super) const MAX_HZ: i64 = 500;
/// Redis keeps at least this much replication history.
const MIN_BACKLOG_BYTES: u64 = 16 << 10;

impl Config {
    /// Brings values that Redis accepts but does not use as given to what it uses.
    fn keep_in_bounds(&mut self) {
        self.hz = self.hz.clamp(1, MAX_HZ);
        self.repl_backlog_size = self.repl_backlog_size.max(MIN_BACKLOG_BYTES);
        if self.watchdog_period > 0 {
            // The watchdog cannot look more often than twice in a turn of periodic work.
            self.watchdog_period = self.watchdog_period.max(2 * 1000 / self.hz);
        }
    }
}
