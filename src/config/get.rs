//! CONFIG GET: what parameters hold.

use super::kind::{Flags, Parameter};
use super::lookup::{lookup, names};
use super::parameters::{Config, PARAMETERS};
use crate::base::glob::{Budget, Case, TooMuch, glob_match};

/// A parameter's name and its value.
pub type Shown = (Vec<u8>, Vec<u8>);

/// CONFIG GET: names and values for every pattern, each name once.
///
/// A pattern without `*`, `?` or `[` is a name: it is looked up in any case, answered as it was
/// spelled, and finds hidden parameters too. Errors when the patterns take too long to match.
/// Source: CONFIG GET.
pub fn config_get(config: &Config, patterns: &[&[u8]]) -> Result<Vec<Shown>, TooMuch> {
    let mut budget = Budget::COMMAND;
    let mut found: Vec<Shown> = Vec::new();
    let mut add = |name: &[u8], parameter: &Parameter| {
        if !found.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)) {
            found.push((name.to_vec(), parameter.get(config)));
        }
    };
    for pattern in patterns {
        if !pattern.iter().any(|byte| matches!(byte, b'*' | b'?' | b'[')) {
            if let Some((parameter, _)) = lookup(pattern) {
                add(pattern, parameter);
            }
            continue;
        }
        for parameter in PARAMETERS {
            for name in shown_names(parameter) {
                if glob_match(pattern, name.as_bytes(), Case::Insensitive, &mut budget)? {
                    add(name.as_bytes(), parameter);
                }
            }
        }
    }
    Ok(found)
}

/// The names under which a pattern may find a parameter.
fn shown_names(parameter: &'static Parameter) -> impl Iterator<Item = &'static str> {
    names(parameter).filter(|name| {
        let hidden = if *name == parameter.name { Flags::HIDDEN } else { Flags::HIDDEN_ALIAS };
        !parameter.is(Flags::HIDDEN) && !parameter.is(hidden)
    })
}
