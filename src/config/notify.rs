//! Classes of keyspace events, as `notify-keyspace-events` names them by letter.
//!
//! The keyspace says which class an event has; the server publishes it when that class and one of
//! `K` (channel per key) or `E` (channel per event) are on.

use std::fmt;
use std::ops::BitOr;

/// A set of event classes. `Display` gives the canonical letters: `KEA` shows as `AKE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct NotifyClasses(u16);

impl NotifyClasses {
    /// No class at all.
    pub const NONE: NotifyClasses = NotifyClasses(0);
    /// `K`: publish on `__keyspace@<db>__:<key>`.
    pub const KEYSPACE: NotifyClasses = NotifyClasses(1 << 0);
    /// `E`: publish on `__keyevent@<db>__:<event>`.
    pub const KEYEVENT: NotifyClasses = NotifyClasses(1 << 1);
    /// `g`: commands of no special type: DEL, EXPIRE, RENAME, ….
    pub const GENERIC: NotifyClasses = NotifyClasses(1 << 2);
    /// `$`: strings.
    pub const STRING: NotifyClasses = NotifyClasses(1 << 3);
    /// `l`: lists.
    pub const LIST: NotifyClasses = NotifyClasses(1 << 4);
    /// `s`: sets.
    pub const SET: NotifyClasses = NotifyClasses(1 << 5);
    /// `h`: hashes.
    pub const HASH: NotifyClasses = NotifyClasses(1 << 6);
    /// `z`: sorted sets.
    pub const ZSET: NotifyClasses = NotifyClasses(1 << 7);
    /// `x`: a key expired.
    pub const EXPIRED: NotifyClasses = NotifyClasses(1 << 8);
    /// `e`: a key was evicted.
    pub const EVICTED: NotifyClasses = NotifyClasses(1 << 9);
    /// `t`: streams.
    pub const STREAM: NotifyClasses = NotifyClasses(1 << 10);
    /// `m`: a key that does not exist was looked up; not part of `A`.
    pub const KEY_MISS: NotifyClasses = NotifyClasses(1 << 11);
    /// `d`: types of modules.
    pub const MODULE: NotifyClasses = NotifyClasses(1 << 12);
    /// `n`: a key came into being; not part of `A`.
    pub const NEW: NotifyClasses = NotifyClasses(1 << 13);
    /// `A`: every class but `m` and `n`.
    pub const ALL: NotifyClasses = NotifyClasses(0b1_0111_1111_1100);

    /// True when any class of `other` is in this set.
    pub const fn intersects(self, other: NotifyClasses) -> bool {
        self.0 & other.0 != 0
    }

    /// True when every class of `other` is in this set.
    pub const fn contains(self, other: NotifyClasses) -> bool {
        self.0 & other.0 == other.0
    }

    /// True when no class is in this set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Reads letters in any order; `None` when one is unknown.
    pub fn parse(letters: &[u8]) -> Option<NotifyClasses> {
        letters.iter().try_fold(NotifyClasses::NONE, |sum, letter| Some(sum | class_of(*letter)?))
    }
}

/// The letters, in the order `Display` writes them.
const LETTERS: &[(u8, NotifyClasses)] = &[
    (b'g', NotifyClasses::GENERIC),
    (b'$', NotifyClasses::STRING),
    (b'l', NotifyClasses::LIST),
    (b's', NotifyClasses::SET),
    (b'h', NotifyClasses::HASH),
    (b'z', NotifyClasses::ZSET),
    (b'x', NotifyClasses::EXPIRED),
    (b'e', NotifyClasses::EVICTED),
    (b't', NotifyClasses::STREAM),
    (b'd', NotifyClasses::MODULE),
    // Redis: `n` is shown only when `A` is not.
    (b'n', NotifyClasses::NEW),
    (b'K', NotifyClasses::KEYSPACE),
    (b'E', NotifyClasses::KEYEVENT),
    (b'm', NotifyClasses::KEY_MISS),
];

fn class_of(letter: u8) -> Option<NotifyClasses> {
    if letter == b'A' {
        return Some(NotifyClasses::ALL);
    }
    LETTERS.iter().find(|(known, _)| *known == letter).map(|(_, class)| *class)
}

impl BitOr for NotifyClasses {
    type Output = NotifyClasses;

    fn bitor(self, other: NotifyClasses) -> NotifyClasses {
        NotifyClasses(self.0 | other.0)
    }
}

impl fmt::Display for NotifyClasses {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.contains(NotifyClasses::ALL);
        if all {
            out.write_str("A")?;
        }
        let inside_all = NotifyClasses::ALL | NotifyClasses::NEW;
        for (letter, class) in LETTERS {
            if self.contains(*class) && !(all && inside_all.contains(*class)) {
                write!(out, "{}", char::from(*letter))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_shown_in_canonical_order() {
        let rows = [
            ("", ""),
            ("KEA", "AKE"),
            ("A", "A"),
            ("g$lshzxetd", "A"),
            ("lKg$K", "g$lK"),
            ("$lshzxetdmn", "$lshzxetdnm"),
            ("AKEmn", "AKEm"),
            ("Kgn", "gnK"),
            ("Em", "Em"),
            ("EKd", "dKE"),
        ];
        for (given, shown) in rows {
            assert_eq!(NotifyClasses::parse(given.as_bytes()).unwrap().to_string(), shown, "{given}");
        }
        assert_eq!(NotifyClasses::parse(b"Kq"), None);
        assert_eq!(NotifyClasses::parse(b"K E"), None);
    }

    #[test]
    fn all_leaves_out_misses_and_new_keys() {
        assert!(!NotifyClasses::ALL.intersects(NotifyClasses::KEY_MISS));
        assert!(!NotifyClasses::ALL.intersects(NotifyClasses::NEW));
        assert!(!NotifyClasses::ALL.intersects(NotifyClasses::KEYSPACE));
        assert!(!NotifyClasses::ALL.intersects(NotifyClasses::KEYEVENT));
        assert!(NotifyClasses::ALL.contains(NotifyClasses::MODULE));
    }
}
