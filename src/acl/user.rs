//! One user: enabled or not, its passwords, its selectors.

use super::catalog::Catalog;
use super::password::Hash;
use super::selector::{Call, admits};
use super::{Denial, RuleError, Rulebook, Selector, is_one_of, rules};
use crate::base::glob::Budget;
use crate::resp::Argv;
use crate::spec::Spec;

/// Somebody who can log in. See the module of the room.
#[derive(Clone, Debug)]
pub struct User {
    pub(super) enabled: bool,
    pub(super) nopass: bool,
    /// True when payloads of RESTORE are checked in depth; `None` until somebody says so.
    pub(super) sanitize: Option<bool>,
    pub(super) passwords: Vec<Hash>,
    /// The user's own first; never empty.
    pub(super) selectors: Vec<Selector>,
}

impl User {
    /// A user who cannot log in and may do nothing.
    pub(super) fn new(book: Rulebook<'_>) -> User {
        User {
            enabled: false,
            nopass: false,
            sanitize: None,
            passwords: Vec::new(),
            selectors: vec![Selector::new(book.catalog, book.all_channels)],
        }
    }

    /// A user who needs no password and may do everything.
    pub(super) fn unrestricted(catalog: &Catalog) -> User {
        let mut user = User::new(Rulebook { catalog, all_channels: true });
        (user.enabled, user.nopass) = (true, true);
        user.own().set_all_commands(true);
        user.own().all_keys = true;
        user
    }

    /// True when it can log in.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// True when any password will do.
    #[must_use]
    pub fn needs_no_password(&self) -> bool {
        self.nopass
    }

    /// True when nothing it asks for needs to be checked.
    #[must_use]
    pub fn is_unrestricted(&self) -> bool {
        self.selectors.iter().any(Selector::is_unrestricted)
    }

    /// True when `password` is one of its own. The time that this takes tells nothing about them.
    #[must_use]
    pub fn accepts(&self, password: &[u8]) -> bool {
        let given = Hash::of(password);
        self.nopass | self.passwords.iter().fold(false, |found, known| found | known.equals(&given))
    }

    /// The hashes of its passwords, in hexadecimal digits.
    pub fn password_hashes(&self) -> impl ExactSizeIterator<Item = String> {
        self.passwords.iter().map(Hash::hex)
    }

    /// Its selectors, the user's own first.
    #[must_use]
    pub fn selectors(&self) -> &[Selector] {
        &self.selectors
    }

    /// Checks if a call is allowed; the error says why not: the last key or channel in the call
    /// that no selector admits, or the command when none allows it at all. `command` is its number
    /// in the catalog. Source: every command.
    pub fn check(&self, command: usize, spec: &Spec, argv: Argv<'_>) -> Result<(), Denial> {
        let mut call = Call::new(argv);
        let mut worst = Denial::Command;
        for selector in &self.selectors {
            match selector.check(command, spec, &mut call) {
                Ok(()) => return Ok(()),
                Err(denial) => worst = worst.max(denial),
            }
        }
        Err(worst)
    }

    /// True when a call may read keys that its arguments do not name. Source: SORT BY, SORT GET.
    #[must_use]
    pub fn may_read_any_key(&self, command: usize, spec: &Spec, argv: Argv<'_>) -> bool {
        let mut call = Call::new(argv);
        self.selectors
            .iter()
            .any(|selector| selector.reads_any_key() && selector.check(command, spec, &mut call).is_ok())
    }

    /// True when one who was subscribed as `self` may lose a channel by becoming `new`: `new` does
    /// not have all channels, nor every pattern that `self` has.
    #[must_use]
    pub fn loses_channels(&self, new: &User) -> bool {
        if new.selectors.iter().any(|selector| selector.all_channels) {
            return false;
        }
        let kept = new.channel_patterns();
        self.selectors.iter().any(|selector| {
            selector.all_channels
                || selector.channels.iter().any(|channel| !kept.contains(&channel.as_slice()))
        })
    }

    /// True when some selector admits a channel, or with `is_pattern` a pattern.
    #[must_use]
    pub fn admits_channel(&self, channel: &[u8], is_pattern: bool) -> bool {
        let mut budget = Budget::COMMAND;
        self.selectors.iter().any(|selector| selector.all_channels)
            || admits(&self.channel_patterns(), channel, is_pattern, &mut budget)
    }

    fn channel_patterns(&self) -> Vec<&[u8]> {
        self.selectors.iter().flat_map(|selector| selector.channels.iter().map(Vec::as_slice)).collect()
    }

    fn own(&mut self) -> &mut Selector {
        &mut self.selectors[0]
    }

    /// Makes `password` the only one, or an empty one none at all.
    pub(super) fn set_only_password(&mut self, password: &[u8]) {
        self.passwords.clear();
        self.nopass = password.is_empty();
        if !password.is_empty() {
            self.passwords.push(Hash::of(password));
        }
    }

    /// Applies one rule. A wrong one changes nothing.
    pub(super) fn apply(&mut self, rule: &[u8], book: Rulebook<'_>) -> Result<(), RuleError> {
        if is_one_of(rule, &["on", "off"]) {
            self.enabled = is_one_of(rule, &["on"]);
        } else if is_one_of(rule, &["nopass", "resetpass"]) {
            self.nopass = is_one_of(rule, &["nopass"]);
            self.passwords.clear();
        } else if is_one_of(rule, &["sanitize-payload", "skip-sanitize-payload"]) {
            self.sanitize = Some(is_one_of(rule, &["sanitize-payload"]));
        } else if is_one_of(rule, &["clearselectors"]) {
            self.selectors.truncate(1);
        } else if is_one_of(rule, &["reset"]) {
            *self = User { sanitize: Some(true), ..User::new(book) };
        } else {
            return match rule {
                [b'>', password @ ..] => self.add_password(Ok(Hash::of(password))),
                [b'#', hash @ ..] => self.add_password(Hash::from_hex(hash)),
                [b'<', password @ ..] => self.remove_password(Ok(Hash::of(password))),
                [b'!', hash @ ..] => self.remove_password(Hash::from_hex(hash)),
                [b'(', inner @ .., b')'] => self.add_selector(inner, book),
                rule => rules::apply(self.own(), rule, book.catalog),
            };
        }
        Ok(())
    }

    fn add_password(&mut self, hash: Result<Hash, RuleError>) -> Result<(), RuleError> {
        let hash = hash?;
        if !self.passwords.iter().any(|known| known.equals(&hash)) {
            self.passwords.push(hash);
        }
        self.nopass = false;
        Ok(())
    }

    fn remove_password(&mut self, hash: Result<Hash, RuleError>) -> Result<(), RuleError> {
        let hash = hash?;
        let place = self.passwords.iter().position(|known| known.equals(&hash));
        self.passwords.remove(place.ok_or(RuleError::NoSuchPassword)?);
        Ok(())
    }

    fn add_selector(&mut self, inner: &[u8], book: Rulebook<'_>) -> Result<(), RuleError> {
        let mut selector = Selector::new(book.catalog, book.all_channels);
        for rule in crate::base::text::split_args(inner).unwrap_or_default() {
            rules::apply(&mut selector, &rule, book.catalog)?;
        }
        self.selectors.push(selector);
        Ok(())
    }
}
