//! Users as rules again: what ACL LIST, ACL GETUSER, ACL SAVE and CONFIG REWRITE show.
//!
//! The commands of a selector are bits, whichever rules set them, so the rules shown are found
//! anew: from all or from nothing, the category that fits best, then the next best, until none fits
//! better than it harms, then what is left one by one. A selector under construction follows along;
//! in the end it has the same commands, or the rules shown would not be worth reading.

use super::selector::{Access, KeyPattern};
use super::{Catalog, Selector, User};
use crate::spec::Category;

/// A key pattern or channel as a rule.
pub type Pattern = Vec<u8>;

/// The permissions of one selector as ACL GETUSER shows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectorText {
    /// Command rules, separated by spaces.
    pub commands: Vec<u8>,
    /// Key patterns, separated by spaces.
    pub keys: Vec<u8>,
    /// Channel patterns, separated by spaces.
    pub channels: Vec<u8>,
}

impl Selector {
    /// Returns the text that ACL GETUSER shows.
    #[must_use]
    pub fn text(&self, catalog: &Catalog) -> SelectorText {
        SelectorText {
            commands: self.command_rules(catalog).join(&b' '),
            keys: self.key_rules().join(&b' '),
            channels: self.channel_rules().join(&b' '),
        }
    }

    /// All rules that make this selector from an empty one.
    fn rules(&self, catalog: &Catalog) -> Vec<Pattern> {
        let mut rules = self.key_rules();
        if !self.all_channels {
            rules.push(b"resetchannels".to_vec());
        }
        rules.extend(self.channel_rules());
        rules.extend(self.command_rules(catalog));
        rules
    }

    fn key_rules(&self) -> Vec<Pattern> {
        if self.all_keys {
            return vec![b"~*".to_vec()];
        }
        self.keys.iter().map(KeyPattern::rule).collect()
    }

    fn channel_rules(&self) -> Vec<Pattern> {
        if self.all_channels {
            return vec![b"&*".to_vec()];
        }
        self.channels.iter().map(|channel| [b"&", channel.as_slice()].concat()).collect()
    }

    fn command_rules(&self, catalog: &Catalog) -> Vec<Pattern> {
        let additive = !self.future_commands;
        let sign = if additive { '+' } else { '-' };
        let mut rules = vec![if additive { b"-@all".to_vec() } else { b"+@all".to_vec() }];
        let mut built = Selector::new(catalog, false);
        built.set_all_commands(!additive);
        let mut rest = self.clone();
        let mut untried: Vec<Category> = Category::ALL.to_vec();
        while let Some(best) = rest.best_category(catalog, &untried, additive) {
            rules.push(format!("{sign}@{}", best.name()).into_bytes());
            built.set_category(catalog, best, additive);
            rest.set_category(catalog, best, !additive);
            untried.retain(|category| *category != best);
        }
        for command in 0..catalog.len() {
            if built.has(command) != self.has(command) {
                built.set_command(catalog, command, self.has(command));
                rules.push([self.sign_of(command), catalog.name(command).as_bytes()].concat());
            }
            let args = self.first_args.get(&command).filter(|_| !self.has(command));
            for arg in args.into_iter().flatten() {
                rules.push([b"+", catalog.name(command).as_bytes(), b"|", arg].concat());
            }
        }
        assert!(built.has_commands_of(self), "the rules shown are those that hold");
        rules
    }

    fn sign_of(&self, command: usize) -> &'static [u8] {
        if self.has(command) { b"+" } else { b"-" }
    }

    /// The category in which more commands are as they should be than are not, with the fewest of
    /// those that are not, and among equals with the most of those that are.
    fn best_category(&self, catalog: &Catalog, untried: &[Category], additive: bool) -> Option<Category> {
        let mut best = None;
        let (mut fewest, mut most) = (usize::MAX, 0);
        for &category in untried {
            let members = (0..catalog.len()).filter(|&command| catalog.is_in(command, category));
            let (same, different): (Vec<_>, Vec<_>) = members.partition(|&it| self.has(it) == additive);
            let (same, different) = (same.len(), different.len());
            if same > different && (different < fewest || (different == fewest && same > most)) {
                (best, fewest, most) = (Some(category), different, same);
            }
        }
        best
    }
}

impl KeyPattern {
    fn rule(&self) -> Pattern {
        let prefix: &[u8] = match self.may {
            Access { read: true, write: false } => b"%R~",
            Access { read: false, write: true } => b"%W~",
            _ => b"~",
        };
        [prefix, &self.pattern].concat()
    }
}

impl User {
    /// Its flags, as ACL GETUSER lists them.
    pub fn flags(&self) -> impl Iterator<Item = &'static str> {
        let flags = [
            (self.enabled, "on"),
            (!self.enabled, "off"),
            (self.nopass, "nopass"),
            (self.sanitize == Some(false), "skip-sanitize-payload"),
            (self.sanitize == Some(true), "sanitize-payload"),
        ];
        flags.into_iter().filter(|(is_set, _)| *is_set).map(|(_, flag)| flag)
    }

    /// The rules that make this user from a new one. Selectors are one rule each.
    #[must_use]
    pub fn rules(&self, catalog: &Catalog) -> Vec<Pattern> {
        let mut rules: Vec<Pattern> = self.flags().map(|flag| flag.as_bytes().to_vec()).collect();
        rules.extend(self.password_hashes().map(|hash| format!("#{hash}").into_bytes()));
        for (place, selector) in self.selectors().iter().enumerate() {
            let own = selector.rules(catalog);
            match place {
                0 => rules.extend(own),
                _ => rules.push([b"(", own.join(&b' ').as_slice(), b")"].concat()),
            }
        }
        rules
    }

    /// A line of an ACL file, without its end.
    #[must_use]
    pub fn line(&self, name: &[u8], catalog: &Catalog) -> Vec<u8> {
        [b"user ", name, b" ", &self.rules(catalog).join(&b' ')].concat()
    }
}
