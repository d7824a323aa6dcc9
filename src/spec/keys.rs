//! The places of the keys of a command.
//!
//! A [`KeySpec`] is a recipe in two steps: where a run of keys begins, and how far it reaches.
//! Cluster clients read these recipes from `COMMAND INFO`; the server itself finds keys with them
//! for ACL checks, cluster slots and `COMMAND GETKEYS`. A few commands (SORT, MIGRATE, SET, …) hide
//! their keys behind options; [`KeysBy`] names the search that knows them.

use std::fmt;

use super::Spec;

/// One recipe for finding keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeySpec {
    /// The place where the run of keys begins.
    pub begin: BeginSearch,
    /// The reach of the run.
    pub find: FindKeys,
    /// The things that are done to the keys found.
    pub flags: KeyFlags,
    /// Notes for a reader of the recipe; mostly empty.
    pub notes: &'static str,
}

/// The place where a run of keys begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BeginSearch {
    /// At a position of the argument vector.
    Index(i32),
    /// Behind a word, searched from a position; a negative position searches backwards from the
    /// end.
    Keyword(&'static str, i32),
    /// Only [`KeysBy`] knows.
    Unknown,
}

/// The reach of a run of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FindKeys {
    /// To a last position.
    Range {
        /// Position of the last key, counted from the first; negative: from the end of the
        /// arguments.
        last: i32,
        /// Distance from key to key.
        step: i32,
        /// With `last` -1 and a limit of 2 or more: only the first 1/limit of the arguments are
        /// keys.
        limit: i32,
    },
    /// An argument tells the number of keys.
    KeyNum {
        /// Position of that number, counted from the beginning.
        number: i32,
        /// Position of the first key, counted from the beginning.
        first: i32,
        /// Distance from key to key.
        step: i32,
    },
    /// Only [`KeysBy`] knows.
    Unknown,
}

/// The things that are done to keys, as `COMMAND INFO` tells them.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct KeyFlags(u16);

/// Reads the value of the key and does not change it.
pub const RO: KeyFlags = KeyFlags(1 << 0);
/// Reads and changes the value.
pub const RW: KeyFlags = KeyFlags(1 << 1);
/// Overwrites the value without reading it.
pub const OW: KeyFlags = KeyFlags(1 << 2);
/// Deletes the key.
pub const RM: KeyFlags = KeyFlags(1 << 3);
/// Tells the user of the data in the key.
pub const ACCESS: KeyFlags = KeyFlags(1 << 4);
/// Changes data in the key.
pub const UPDATE: KeyFlags = KeyFlags(1 << 5);
/// Adds data without changing or removing any.
pub const INSERT: KeyFlags = KeyFlags(1 << 6);
/// Removes data.
pub const DELETE: KeyFlags = KeyFlags(1 << 7);
/// Looks like a key but is none: a channel, or a key name that is only counted for its slot.
pub const NOT_KEY: KeyFlags = KeyFlags(1 << 8);
/// The recipe does not find all keys.
pub const INCOMPLETE: KeyFlags = KeyFlags(1 << 9);
/// Other arguments decide what is done.
pub const VARIABLE_FLAGS: KeyFlags = KeyFlags(1 << 10);

/// The names that `COMMAND INFO` prints, in its order.
const NAMES: &[(KeyFlags, &str)] = &[
    (RO, "RO"),
    (RW, "RW"),
    (OW, "OW"),
    (RM, "RM"),
    (ACCESS, "access"),
    (UPDATE, "update"),
    (INSERT, "insert"),
    (DELETE, "delete"),
    (NOT_KEY, "not_key"),
    (INCOMPLETE, "incomplete"),
    (VARIABLE_FLAGS, "variable_flags"),
];

impl KeyFlags {
    /// No flag.
    pub const NONE: KeyFlags = KeyFlags(0);

    /// The set with `other` added.
    pub const fn with(self, other: KeyFlags) -> KeyFlags {
        KeyFlags(self.0 | other.0)
    }

    /// True when all flags of `other` are set.
    pub const fn contains(self, other: KeyFlags) -> bool {
        self.0 & other.0 == other.0
    }

    /// True when any flag of `other` is set.
    pub const fn intersects(self, other: KeyFlags) -> bool {
        self.0 & other.0 != 0
    }

    /// The words `COMMAND INFO` and `COMMAND GETKEYSANDFLAGS` print, in their order.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        NAMES.iter().filter(move |(flag, _)| self.contains(*flag)).map(|(_, name)| *name)
    }

    /// The union of a list of flags.
    const fn all(list: &[KeyFlags]) -> KeyFlags {
        let mut set = KeyFlags::NONE;
        let mut i = 0;
        while i < list.len() {
            set = set.with(list[i]);
            i += 1;
        }
        set
    }
}

impl fmt::Debug for KeyFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

impl KeySpec {
    /// The recipe of the two steps.
    pub const fn new(begin: BeginSearch, find: FindKeys, flags: &[KeyFlags]) -> KeySpec {
        KeySpec { begin, find, flags: KeyFlags::all(flags), notes: "" }
    }

    /// One key at a position.
    pub const fn one(index: i32, flags: &[KeyFlags]) -> KeySpec {
        KeySpec::range(index, 0, 1, flags)
    }

    /// Keys from a position on: `last` counts from the first key, or, negative, from the end.
    pub const fn range(index: i32, last: i32, step: i32, flags: &[KeyFlags]) -> KeySpec {
        KeySpec::new(BeginSearch::Index(index), FindKeys::Range { last, step, limit: 0 }, flags)
    }

    /// As many keys as the number at a position says, right behind it.
    pub const fn keynum(index: i32, flags: &[KeyFlags]) -> KeySpec {
        KeySpec::new(BeginSearch::Index(index), FindKeys::KeyNum { number: 0, first: 1, step: 1 }, flags)
    }

    /// One key behind a word, searched from a position.
    pub const fn after(word: &'static str, from: i32, flags: &[KeyFlags]) -> KeySpec {
        KeySpec::new(BeginSearch::Keyword(word, from), FindKeys::Range { last: 0, step: 1, limit: 0 }, flags)
    }

    /// The keys behind a word up to the end, of which only the first 1/limit are keys (0: all).
    pub const fn all_after(word: &'static str, from: i32, limit: i32, flags: &[KeyFlags]) -> KeySpec {
        KeySpec::new(BeginSearch::Keyword(word, from), FindKeys::Range { last: -1, step: 1, limit }, flags)
    }

    /// Keys that only [`KeysBy`] finds.
    pub const fn unknown(flags: &[KeyFlags]) -> KeySpec {
        KeySpec::new(BeginSearch::Unknown, FindKeys::Unknown, flags)
    }

    /// Adds a remark.
    pub const fn notes(mut self, notes: &'static str) -> KeySpec {
        self.notes = notes;
        self
    }
}

/// The way in which keys are found where key specs do not tell everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum KeysBy {
    /// The key specs tell everything.
    #[default]
    Specs,
    /// SET: only GET reads the old value.
    Set,
    /// BITFIELD: only GET subcommands leave the key alone.
    BitField,
    /// SORT: the source key and the last STORE.
    Sort,
    /// SORT_RO: the source key.
    SortRo,
    /// MIGRATE: one key, or those behind KEYS.
    Migrate,
    /// XREADGROUP: half of what follows STREAMS, wherever that stands.
    XReadGroup,
    /// GEORADIUS and GEORADIUSBYMEMBER: the source key and every destination among the options,
    /// which begin at this position. COMMAND GETKEYS tells what the key specs find, as Redis does:
    /// the first STORE, even where that word is a key.
    GeoRadius(u8),
    /// A number of keys at this position, the keys right behind it.
    KeyNum(u8),
    /// A destination at 1, a number of keys at 2, the keys right behind it.
    StoreKeyNum,
}

/// The arguments of a command that are Pub/Sub channels, and the things that happen to them. ACLs
/// want to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Channels {
    /// There are none.
    #[default]
    None,
    /// The first argument is published to.
    Publish,
    /// All arguments are subscribed to.
    Subscribe,
    /// All arguments are patterns that are subscribed to.
    SubscribePatterns,
    /// All arguments are left.
    Unsubscribe,
    /// All arguments are patterns that are left.
    UnsubscribePatterns,
}

impl Spec {
    /// The first, last and step that `COMMAND INFO` printed before there were key specs. All zero
    /// without keys.
    pub fn key_range(&self) -> (i32, i32, i32) {
        legacy(self.keys).0
    }

    /// True when first, last and step do not find all keys.
    pub fn has_movable_keys(&self) -> bool {
        legacy(self.keys).1
    }
}

/// First, last and step over all plain ranges, and whether that leaves something out.
///
/// Redis: only one range, or ranges of step one that follow each other, fit the old triple.
fn legacy(keys: &[KeySpec]) -> ((i32, i32, i32), bool) {
    if let [
        KeySpec { begin: BeginSearch::Index(first), find: FindKeys::Range { last, step, .. }, flags, .. },
    ] = keys
    {
        let end = if *last >= 0 { first + last } else { *last };
        return ((*first, end, *step), flags.contains(INCOMPLETE));
    }
    let mut movable = false;
    let mut range: Option<(i32, i32)> = None;
    for spec in keys {
        let (BeginSearch::Index(index), FindKeys::Range { last, step: 1, .. }) = (spec.begin, spec.find)
        else {
            movable = true;
            continue;
        };
        if range.is_some_and(|(_, end)| end != index - 1) {
            movable = true;
            continue;
        }
        movable |= spec.flags.contains(INCOMPLETE);
        let end = if last >= 0 { index + last } else { last };
        range = Some(match range {
            None => (index, end),
            // As unsigned numbers, so that "from the end" is beyond every position.
            Some((first, previous)) => (first.min(index), (previous as u32).max(end as u32) as i32),
        });
    }
    (range.map_or((0, 0, 0), |(first, last)| (first, last, 1)), movable)
}
