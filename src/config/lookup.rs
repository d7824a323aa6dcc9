//! Parameters by their names.

use super::kind::{Flags, Parameter, Source};
use super::parameters::{Config, PARAMETERS};

/// Finds a parameter by name or alias, in any case. Returns it with the name it was found under.
pub fn lookup(name: &[u8]) -> Option<(&'static Parameter, &'static str)> {
    PARAMETERS.iter().find_map(|parameter| {
        let found = names(parameter).find(|known| known.as_bytes().eq_ignore_ascii_case(name))?;
        Some((parameter, found))
    })
}

/// A parameter's name and, if it has one, its alias.
pub(super) fn names(parameter: &'static Parameter) -> impl Iterator<Item = &'static str> {
    std::iter::once(parameter.name).chain(parameter.alias)
}

/// True when the value of this parameter is a secret, which no log may show.
#[must_use]
pub fn is_sensitive(name: &[u8]) -> bool {
    lookup(name).is_some_and(|(parameter, _)| parameter.flags.has(Flags::SENSITIVE))
}

impl Config {
    /// Sets one parameter by name, as one line of a configuration file would.
    ///
    /// Errors with Redis's words for that line.
    pub fn set(&mut self, name: &str, args: &[&str]) -> Result<(), String> {
        let (parameter, _) =
            lookup(name.as_bytes()).ok_or_else(|| "Bad directive or wrong number of arguments".to_owned())?;
        let args: Vec<&[u8]> = args.iter().map(|arg| arg.as_bytes()).collect();
        parameter.set(self, &args, Source::FirstLine)
    }

    /// The value of one parameter as CONFIG GET shows it.
    pub fn get(&self, name: &str) -> Option<Vec<u8>> {
        lookup(name.as_bytes()).map(|(parameter, _)| parameter.get(self))
    }
}
