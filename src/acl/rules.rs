//! The words ACL SETUSER takes: what they do to a selector, and what is wrong with them.

use super::selector::{Access, KeyPattern};
use super::{Catalog, Selector, has_spaces, is_one_of};
use crate::base::text::lossless;
use crate::spec::Category;
use thiserror::Error;

/// The reason why a rule is refused. `Display` is Redis's text.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum RuleError {
    /// No such command, subcommand or category.
    #[error("Unknown command or category name in ACL")]
    Unknown,
    /// No rule at all.
    #[error("Syntax error")]
    Syntax,
    /// All keys are allowed already.
    #[error(
        "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any effect. \
         Try 'resetkeys' to start with an empty list of patterns"
    )]
    AfterAllKeys,
    /// All channels are allowed already.
    #[error(
        "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any effect. \
         Try 'resetchannels' to start with an empty list of channels"
    )]
    AfterAllChannels,
    /// `<` or `!` with a password the user does not have.
    #[error("The password you are trying to remove from the user does not exist")]
    NoSuchPassword,
    /// `#` or `!` with something that is no SHA-256.
    #[error(
        "The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters"
    )]
    Hash,
    /// `+config|get|something`.
    #[error("Allowing first-arg of a subcommand is not supported")]
    FirstArgOfSubcommand,
}

/// Applies one rule to a selector. A wrong one changes nothing; an empty one does nothing.
pub(super) fn apply(selector: &mut Selector, rule: &[u8], catalog: &Catalog) -> Result<(), RuleError> {
    if is_one_of(rule, &["allkeys", "~*", "resetkeys"]) {
        selector.all_keys = !is_one_of(rule, &["resetkeys"]);
        selector.keys.clear();
    } else if is_one_of(rule, &["allchannels", "&*", "resetchannels"]) {
        selector.all_channels = !is_one_of(rule, &["resetchannels"]);
        selector.channels.clear();
    } else if is_one_of(rule, &["allcommands", "+@all", "nocommands", "-@all"]) {
        selector.set_all_commands(is_one_of(rule, &["allcommands", "+@all"]));
    } else {
        return match rule {
            [] => Ok(()),
            [b'~' | b'%', ..] => add_keys(selector, rule),
            [b'&', channel @ ..] => add_channel(selector, channel),
            [sign @ (b'+' | b'-'), b'@', category @ ..] => {
                let category = Category::by_name(category).ok_or(RuleError::Unknown)?;
                selector.set_category(catalog, category, *sign == b'+');
                Ok(())
            }
            [b'+', name @ ..] => allow(selector, name, catalog),
            [b'-', name @ ..] => {
                let command = catalog.find(name).ok_or(RuleError::Unknown)?;
                selector.set_command(catalog, command, false);
                Ok(())
            }
            _ => Err(RuleError::Syntax),
        };
    }
    Ok(())
}

/// `~pattern` and `%RW~pattern`. Redis takes `%R` for a pattern of nothing.
fn add_keys(selector: &mut Selector, rule: &[u8]) -> Result<(), RuleError> {
    if selector.all_keys {
        return Err(RuleError::AfterAllKeys);
    }
    let (may, pattern) = match rule {
        [b'%', rest @ ..] => read_access(rest)?,
        _ => (Access::ALL, &rule[1..]),
    };
    if has_spaces(pattern) {
        return Err(RuleError::Syntax);
    }
    match selector.keys.iter_mut().find(|known| known.pattern == pattern) {
        Some(known) => {
            known.may.read |= may.read;
            known.may.write |= may.write;
        }
        None => selector.keys.push(KeyPattern { pattern: pattern.to_vec(), may }),
    }
    Ok(())
}

/// The letters before a `~`, each at most once and at least one, and what follows it.
fn read_access(letters: &[u8]) -> Result<(Access, &[u8]), RuleError> {
    let mut may = Access { read: false, write: false };
    let end = letters.iter().position(|&letter| letter == b'~').unwrap_or(letters.len());
    for letter in &letters[..end] {
        let flag = match letter.to_ascii_uppercase() {
            b'R' => &mut may.read,
            b'W' => &mut may.write,
            _ => return Err(RuleError::Syntax),
        };
        if std::mem::replace(flag, true) {
            return Err(RuleError::Syntax);
        }
    }
    if !may.read && !may.write {
        return Err(RuleError::Syntax);
    }
    Ok((may, letters.get(end + 1..).unwrap_or_default()))
}

fn add_channel(selector: &mut Selector, channel: &[u8]) -> Result<(), RuleError> {
    if selector.all_channels {
        return Err(RuleError::AfterAllChannels);
    }
    if has_spaces(channel) {
        return Err(RuleError::Syntax);
    }
    if !selector.channels.iter().any(|known| known == channel) {
        selector.channels.push(channel.to_vec());
    }
    Ok(())
}

/// `+command`, `+container|subcommand`, and `+command|first-argument`, which Redis warns of.
fn allow(selector: &mut Selector, name: &[u8], catalog: &Catalog) -> Result<(), RuleError> {
    let Some(bar) = name.iter().rposition(|&byte| byte == b'|') else {
        let command = catalog.find(name).ok_or(RuleError::Unknown)?;
        selector.set_command(catalog, command, true);
        return Ok(());
    };
    let (parent, word) = (&name[..bar], &name[bar + 1..]);
    let parent = catalog.find(parent).ok_or(RuleError::Unknown)?;
    if catalog.is_subcommand(parent) {
        return Err(RuleError::FirstArgOfSubcommand);
    }
    if word.is_empty() {
        return Err(RuleError::Syntax);
    }
    if !catalog.subcommands(parent).is_empty() {
        let command = catalog.find(name).ok_or(RuleError::Unknown)?;
        selector.set_command(catalog, command, true);
        return Ok(());
    }
    log::warn!(
        "Deprecation warning: Allowing a first arg of an otherwise blocked command is a misuse of ACL and may get \
         disabled in the future (offender: +{})",
        lossless(name)
    );
    let allowed = selector.first_args.entry(parent).or_default();
    if !allowed.iter().any(|known| known.eq_ignore_ascii_case(word)) {
        allowed.push(word.to_vec());
    }
    Ok(())
}

/// Joins the words of selectors that are spread over several: `(+get`, `~a)` become `(+get ~a)`.
/// Errors with the place of the word that opens one that never ends.
pub fn merge_selectors<W: AsRef<[u8]>>(words: &[W]) -> Result<Vec<Vec<u8>>, usize> {
    let mut merged: Vec<Vec<u8>> = Vec::new();
    let mut open: Option<(usize, Vec<u8>)> = None;
    for (place, word) in words.iter().enumerate() {
        let word = word.as_ref();
        open = match open {
            Some((start, mut selector)) => {
                selector.push(b' ');
                selector.extend_from_slice(word);
                if word.ends_with(b")") {
                    merged.push(selector);
                    None
                } else {
                    Some((start, selector))
                }
            }
            None if word.starts_with(b"(") && !word.ends_with(b")") => Some((place, word.to_vec())),
            None => {
                merged.push(word.to_vec());
                None
            }
        };
    }
    open.map_or(Ok(merged), |(start, _)| Err(start))
}
