//! The permissions of users: their passwords and rules (ACL version 2), and the log of refusals.
//!
//! A *user* ([`User`]) has passwords and *selectors* ([`Selector`]); each selector allows some
//! commands on some keys and channels, and a call passes when one selector allows all of it. The
//! first one is the user's own, the others were written in parentheses. [`Users`] holds all of them
//! by name, and changes them: a list of rules is applied whole or not at all.
//!
//! This room knows commands only as numbers into a [`Catalog`], which is made from their names, and
//! what a call does from the spec handed to [`User::check`]. It knows no client: [`Users`] says who
//! may log in, the server remembers who did. It reads no file, but the lines of one
//! ([`Users::load`]).
//!
//! Read [`Selector`] first, then `rules` (the words ACL SETUSER takes) and `describe` (the words
//! ACL LIST gives back).

mod catalog;
mod describe;
mod file;
mod log;
mod password;
mod rules;
mod selector;
mod throttle;
mod user;

pub use catalog::Catalog;
pub use describe::{Pattern, SelectorText};
pub use log::{AclLog, Context, LogEntry, Reason};
pub use rules::{RuleError, merge_selectors};
pub use selector::{Denial, Selector};
pub use throttle::{Guess, Throttle};
pub use user::User;

use crate::base::text::{eq_ignore_case, lossless};
use std::collections::BTreeMap;
use std::fmt;

/// The user every connection begins as.
pub const DEFAULT_USER: &[u8] = b"default";

/// The context that rules are read with.
#[derive(Clone, Copy, Debug)]
pub struct Rulebook<'a> {
    /// The commands there are.
    pub catalog: &'a Catalog,
    /// True when a new selector may use all channels: `acl-pubsub-default`.
    pub all_channels: bool,
}

/// The reason why the rules of ACL SETUSER were not applied. `Display` is Redis's text, without the
/// code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetUserError {
    /// The name could not stand in an ACL file.
    Name,
    /// A selector that begins with this word does not end.
    Unmatched(Vec<u8>),
    /// A rule is wrong.
    Rule(Vec<u8>, RuleError),
}

impl fmt::Display for SetUserError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = lossless;
        match self {
            SetUserError::Name => out.write_str("Usernames can't contain spaces or null characters"),
            SetUserError::Unmatched(word) => {
                write!(out, "Unmatched parenthesis in acl selector starting at '{}'.", text(word))
            }
            SetUserError::Rule(rule, error) => {
                write!(out, "Error in ACL SETUSER modifier '{}': {error}", text(rule))
            }
        }
    }
}

impl std::error::Error for SetUserError {}

/// Users, what their rules speak of, and who was refused.
#[derive(Debug)]
pub struct Acl {
    /// All users.
    pub users: Users,
    /// The commands as rules see them.
    pub catalog: Catalog,
    /// The latest refusals.
    pub log: AclLog,
    /// The time for which passwords wait.
    pub throttle: Throttle,
    /// The number of times that the users were to be written to their file: what was read before is
    /// out of date.
    pub saves: u64,
}

/// All users by name. The user `default` is always among them.
#[derive(Clone, Debug)]
pub struct Users {
    by_name: BTreeMap<Vec<u8>, User>,
}

impl Users {
    /// The user `default`, who needs no password and may do everything.
    #[must_use]
    pub fn new(catalog: &Catalog) -> Users {
        let mut users = Users { by_name: BTreeMap::new() };
        users.by_name.insert(DEFAULT_USER.to_vec(), User::unrestricted(catalog));
        users
    }

    /// The user of this name.
    #[must_use]
    pub fn get(&self, name: &[u8]) -> Option<&User> {
        self.by_name.get(name)
    }

    /// The user every connection begins as.
    #[must_use]
    pub fn default_user(&self) -> &User {
        self.get(DEFAULT_USER).expect("the default user cannot be removed")
    }

    /// All users in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &User)> {
        self.by_name.iter().map(|(name, user)| (name.as_slice(), user))
    }

    /// Finds the user that logs in as `name` with `password`, if it is one that is enabled and the
    /// password is one of its own.
    #[must_use]
    pub fn log_in(&self, name: &[u8], password: &[u8]) -> Option<&User> {
        self.get(name).filter(|user| user.is_enabled() && user.accepts(password))
    }

    /// True when a connection that nobody logged in may run commands.
    #[must_use]
    pub fn default_is_open(&self) -> bool {
        let user = self.default_user();
        user.is_enabled() && user.needs_no_password()
    }

    /// Returns user `name`, which may be new, as it would be after these rules. Source: ACL
    /// SETUSER.
    pub fn changed(&self, name: &[u8], words: &[&[u8]], book: Rulebook<'_>) -> Result<User, SetUserError> {
        if has_spaces(name) {
            return Err(SetUserError::Name);
        }
        let rules = merge_selectors(words).map_err(|open| SetUserError::Unmatched(words[open].to_vec()))?;
        let mut user = self.get(name).cloned().unwrap_or_else(|| User::new(book));
        for rule in rules {
            user.apply(&rule, book).map_err(|error| SetUserError::Rule(rule, error))?;
        }
        Ok(user)
    }

    /// Returns `name` as a `user` line makes it: a new user, or the default one begun anew. Errors
    /// with the lines Redis logs. Source: the configuration file.
    pub fn configured(&self, name: &[u8], words: &[&[u8]], book: Rulebook<'_>) -> Result<User, String> {
        if has_spaces(name) {
            return Err("Spaces not allowed in ACL usernames".to_string());
        }
        let mut user = User::new(book);
        let mut rules = merge_selectors(words).map_err(|_| "Unmatched parenthesis in selector definition")?;
        if name == DEFAULT_USER {
            rules.insert(0, b"reset".to_vec());
        }
        for rule in rules {
            user.apply(&rule, book).map_err(|error| {
                let (rule, name) = (lossless(&rule), lossless(name));
                format!("Error loading ACL rule '{rule}' for the user named '{name}': {error}")
            })?;
        }
        Ok(user)
    }

    /// Puts a user in the place of the one with this name.
    pub fn insert(&mut self, name: &[u8], user: User) {
        self.by_name.insert(name.to_vec(), user);
    }

    /// Removes a user. Returns whether there was one.
    pub fn remove(&mut self, name: &[u8]) -> bool {
        debug_assert!(name != DEFAULT_USER, "the default user stays");
        self.by_name.remove(name).is_some()
    }

    /// Gives the default user this password and no other, or with an empty one lets it in without.
    /// Source: `requirepass`.
    pub fn set_default_password(&mut self, password: &[u8]) {
        let user = self.by_name.get_mut(DEFAULT_USER).expect("the default user cannot be removed");
        user.set_only_password(password);
    }
}

/// Checks that the rules of a `user` line can be read; the error is what Redis prints. Commands
/// that are not known pass: what the line means is found out when the server starts. Source: the
/// configuration file.
pub fn check_user_line(words: &[&[u8]], book: Rulebook<'_>) -> Result<(), String> {
    let refuse = |place: usize, error: RuleError| {
        // Redis counts from the wrong end: the word it shows stands two before the wrong one.
        let word = words.get(place).copied().unwrap_or_default();
        Err(format!("Error in user declaration '{}': {error}", lossless(word)))
    };
    let rules = match merge_selectors(words.get(2..).unwrap_or_default()) {
        Ok(rules) => rules,
        Err(open) => return refuse(open, RuleError::Unknown),
    };
    let mut user = User::new(book);
    for (place, rule) in rules.iter().enumerate() {
        match user.apply(rule, book) {
            Ok(()) | Err(RuleError::Unknown) => {}
            Err(error) => return refuse(place, error),
        }
    }
    Ok(())
}

/// True when a word could not stand on a line of an ACL file.
fn has_spaces(word: &[u8]) -> bool {
    word.iter().any(|byte| matches!(byte, b' ' | b'\t'..=b'\r' | 0))
}

/// True when `word` is one of `names`, in any case.
fn is_one_of(word: &[u8], names: &[&str]) -> bool {
    names.iter().any(|name| eq_ignore_case(word, name))
}

#[cfg(test)]
mod tests;
