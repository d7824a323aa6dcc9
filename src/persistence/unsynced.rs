//! Keys whose changes are not on disk yet: [`Unsynced`].

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};

/// Room for so many keys is kept when none is on its way.
const MAX_IDLE_KEYS: usize = 4096;

/// Changes that were made in one turn.
#[derive(Debug, Default)]
struct Changes {
    /// They are on disk when the file is, up to here.
    end: u64,
    keys: Vec<u64>,
    /// Keys that nobody has named changed too.
    has_others: bool,
}

/// Changes that are in memory and not on disk, by the hashes of their keys.
#[derive(Debug, Default)]
pub struct Unsynced {
    /// Those of this turn.
    turn: Changes,
    /// Those that were handed over, oldest first.
    handed: VecDeque<Changes>,
    /// The number of these sets of changes that each key is in.
    keys: HashMap<u64, u32, BuildHasherDefault<KeyHasher>>,
    /// The number of these sets in which others have changed too.
    others: usize,
}

impl Unsynced {
    /// `key`, a hash, changed in this turn.
    pub fn note(&mut self, key: u64) {
        if self.turn.keys.last() != Some(&key) {
            self.turn.keys.push(key);
            *self.keys.entry(key).or_default() += 1;
        }
    }

    /// Keys that nobody names changed in this turn.
    pub fn note_all(&mut self) {
        self.others += usize::from(!std::mem::replace(&mut self.turn.has_others, true));
    }

    /// The number of keys noted in this turn, and whether keys that nobody names are.
    #[must_use]
    pub fn noted(&self) -> (usize, bool) {
        (self.turn.keys.len(), self.turn.has_others)
    }

    /// Forgets what was noted in this turn since it was `noted`: it is undone.
    pub fn forget_noted_after(&mut self, noted: (usize, bool)) {
        for key in self.turn.keys.split_off(noted.0.min(self.turn.keys.len())) {
            self.forget_key(key);
        }
        if self.turn.has_others && !noted.1 {
            self.turn.has_others = false;
            self.others -= 1;
        }
    }

    fn forget_key(&mut self, key: u64) {
        if let Some(count) = self.keys.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                self.keys.remove(&key);
            }
        }
    }

    /// Hands over the changes of this turn: they are on disk when the file is, up to `end`.
    pub fn hand_over(&mut self, end: u64) {
        if self.turn.has_others || !self.turn.keys.is_empty() {
            let turn = std::mem::take(&mut self.turn);
            self.handed.push_back(Changes { end, ..turn });
        }
    }

    /// The file is on disk up to `offset`, or nobody waits for that.
    pub fn forget(&mut self, offset: u64) {
        while let Some(changes) = self.handed.pop_front_if(|changes| changes.end <= offset) {
            self.others -= usize::from(changes.has_others);
            for key in changes.keys {
                self.forget_key(key);
            }
        }
        if self.is_empty() && self.keys.capacity() > MAX_IDLE_KEYS {
            self.keys = HashMap::default();
        }
    }

    /// True when everything is on disk.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.others == 0
    }

    /// True when `key` may have a change that is not on disk.
    #[must_use]
    pub fn holds(&self, key: u64) -> bool {
        self.others > 0 || self.keys.contains_key(&key)
    }
}

/// The keys are hashes already.
#[derive(Debug, Default)]
struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u64(self.0.rotate_left(8) ^ u64::from(byte)));
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_held_until_its_last_change_is_on_disk() {
        let mut unsynced = Unsynced::default();
        for (keys, end) in [([1, 2], 10), ([2, 3], 20)] {
            keys.iter().for_each(|&key| unsynced.note(key));
            unsynced.hand_over(end);
        }
        unsynced.note(4);
        let held = |unsynced: &Unsynced| (0..6).filter(|&key| unsynced.holds(key)).collect::<Vec<_>>();
        assert_eq!(held(&unsynced), [1, 2, 3, 4]);
        unsynced.forget(19);
        assert_eq!(held(&unsynced), [2, 3, 4], "the second change of 2 is on its way");
        unsynced.note_all();
        unsynced.note_all();
        unsynced.hand_over(30);
        assert_eq!(held(&unsynced).len(), 6);
        unsynced.forget(29);
        assert_eq!(held(&unsynced).len(), 6);
        unsynced.forget(30);
        assert!(unsynced.is_empty() && unsynced.handed.is_empty());
    }

    #[test]
    fn what_is_undone_is_forgotten_and_nothing_else() {
        let mut unsynced = Unsynced::default();
        [1, 2].iter().for_each(|&key| unsynced.note(key));
        let noted = unsynced.noted();
        [2, 3, 2, 1].iter().for_each(|&key| unsynced.note(key));
        unsynced.note_all();
        unsynced.forget_noted_after(noted);
        assert!(unsynced.holds(1) && unsynced.holds(2) && !unsynced.holds(3));
        unsynced.hand_over(10);
        unsynced.note(4);
        unsynced.forget_noted_after((7, true));
        assert!(unsynced.holds(4), "the turn in which it was noted is over");
        unsynced.hand_over(11);
        unsynced.forget(11);
        assert!(unsynced.is_empty());
    }

    #[test]
    fn many_keys_leave_no_room_behind() {
        let mut unsynced = Unsynced::default();
        (0..100_000).for_each(|key| unsynced.note(key));
        unsynced.hand_over(1);
        unsynced.forget(1);
        assert!(unsynced.keys.capacity() <= MAX_IDLE_KEYS);
    }
}
