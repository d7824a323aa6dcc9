//! An ACL file: `user name rule …` lines.
//!
//! A file is taken whole or not at all. Every line is read even after a mistake, so that one answer
//! tells of all of them.

use super::rules::merge_selectors;
use super::{DEFAULT_USER, RuleError, Rulebook, User, Users, has_spaces};
use crate::base::text::lossless;
use std::collections::BTreeMap;

impl Users {
    /// The users of an ACL file called `file` in messages. The user `default` is added where the
    /// file does not name it. Errors with everything that is wrong, in Redis's words. Source: ACL
    /// LOAD.
    pub fn load(text: &[u8], file: &str, book: Rulebook<'_>) -> Result<Users, String> {
        let mut reader = Reader { file, book, users: BTreeMap::new(), errors: String::new() };
        for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
            reader.read_line(index + 1, trim(line, b" \t\r\n"));
        }
        let Reader { mut users, mut errors, .. } = reader;
        if !errors.is_empty() {
            errors +=
                "WARNING: ACL errors detected, no change to the previously active ACL rules was performed";
            return Err(errors);
        }
        users.entry(DEFAULT_USER.to_vec()).or_insert_with(|| User::unrestricted(book.catalog));
        Ok(Users { by_name: users })
    }

    /// All users as the text of an ACL file. Source: ACL SAVE.
    #[must_use]
    pub fn file_text(&self, catalog: &super::Catalog) -> Vec<u8> {
        let lines = self.iter().map(|(name, user)| [&user.line(name, catalog)[..], b"\n"].concat());
        lines.flatten().collect()
    }
}

struct Reader<'a> {
    file: &'a str,
    book: Rulebook<'a>,
    users: BTreeMap<Vec<u8>, User>,
    errors: String,
}

impl Reader<'_> {
    fn read_line(&mut self, number: usize, line: &[u8]) {
        if line.is_empty() {
            return;
        }
        let file = self.file;
        // Redis: no quotes here, and two spaces have an empty word between them.
        let words: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
        let [b"user", name, rules @ ..] = words.as_slice() else {
            self.errors +=
                &format!("{file}:{number} should start with user keyword followed by the username. ");
            return;
        };
        let shown = lossless(name);
        if has_spaces(name) {
            self.errors += &format!("'{file}:{number}: username '{shown}' contains invalid characters. ");
            return;
        }
        if self.users.contains_key(*name) {
            self.errors += &format!("WARNING: Duplicate user '{shown}' found on line {number}. ");
            return;
        }
        let user = self.read_rules(number, rules);
        self.users.insert(name.to_vec(), user);
    }

    /// Of several mistakes in one line the first is told, and every unknown command.
    fn read_rules(&mut self, number: usize, words: &[&[u8]]) -> User {
        let file = self.file;
        let mut user = User::new(self.book);
        let Ok(rules) = merge_selectors(words) else {
            self.errors += &format!("{file}:{number}: Unmatched parenthesis in selector definition.");
            return user;
        };
        let mut is_told = false;
        for rule in rules {
            let rule = trim(&rule, b"\t\r\n");
            match user.apply(rule, self.book) {
                Ok(()) => {}
                Err(error @ RuleError::Unknown) => {
                    let rule = lossless(rule);
                    self.errors +=
                        &format!("{file}:{number}: Error in applying operation '{rule}': {error}. ");
                }
                Err(error) if !is_told => {
                    self.errors += &format!("{file}:{number}: {error}. ");
                    is_told = true;
                }
                Err(_) => {}
            }
        }
        user
    }
}

/// `text` without the bytes of `cut` at its ends.
fn trim<'t>(text: &'t [u8], cut: &[u8]) -> &'t [u8] {
    let start = text.iter().position(|byte| !cut.contains(byte)).unwrap_or(text.len());
    let end = text.iter().rposition(|byte| !cut.contains(byte)).map_or(start, |last| last + 1);
    &text[start..end]
}
