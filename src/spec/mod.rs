//! The description of a command.
//!
//! A command is declared once, as `const` data beside its handler. [`Spec`] is that data: what a
//! command is called, how many arguments it takes, what it does to the world, where its keys are
//! and how its arguments are written. Everything else that Redis tells about a command (the arity
//! error, `COMMAND INFO`, `COMMAND DOCS`, `COMMAND GETKEYS`, ACL categories, cluster slots, `HELP`)
//! is derived from it by the functions of this room, and never written twice.
//!
//! This room knows no handler, no server and no wire: it returns plain data, which
//! `commands/` renders.
//!
//! ```
//! use pyredis::spec::*;
//! const SET: Spec = Spec::new("set", Group::String, -3, "key value [NX | XX]@condition")
//!     .flags(&[WRITE, DENYOOM])
//!     .keys(&[KeySpec::one(1, &[RW, ACCESS, UPDATE, VARIABLE_FLAGS])])
//!     .since("1.0.0")
//!     .complexity("O(1)")
//!     .summary("Stores a string under a key.");
//! assert!(SET.accepts(3) && !SET.accepts(2));
//! ```
//!
//! Read [`Spec`] first, then [`KeySpec`] and the notation of a syntax line in `syntax`.

mod category;
mod command_index;
#[cfg(test)]
pub(crate) mod captured_info;
mod flags;
mod key_search;
mod keys;
mod secrets;
pub mod syntax;

pub use category::*;
pub use command_index::*;
pub use flags::*;
pub use key_search::*;
pub use keys::*;
pub use secrets::Secrets;

/// Everything a command says about itself.
///
/// Built in `const` context: [`Spec::new`] takes what every command has, the other methods add.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// Lower-case name; a subcommand carries its container: `client|list`.
    pub name: &'static str,
    /// The family, as `COMMAND DOCS` reports it.
    pub group: Group,
    /// The number of words a call has, the name included.
    pub arity: Arity,
    /// The arguments in the notation of `syntax`, without the command's name.
    pub syntax: &'static str,
    /// The properties of the command: the things it does, and the states in which it may run.
    pub flags: Flags,
    /// ACL categories that follow neither from the flags nor from the group.
    pub extra_categories: Categories,
    /// The places of the keys (and channels) in the argument vector.
    pub keys: &'static [KeySpec],
    /// The arguments that are Pub/Sub channels.
    pub channels: Channels,
    /// The way in which the keys are found, for what [`Spec::keys`] cannot express.
    pub keys_by: KeysBy,
    /// The arguments that SLOWLOG and MONITOR do not show.
    pub secrets: Secrets,
    /// Another name of the same command. It is renamed, permitted and refused with it.
    pub alias: Option<&'static str>,
    /// The first Redis version that had the command.
    pub since: &'static str,
    /// Cost, in big-O notation with a word of explanation; empty where Redis documents none.
    pub complexity: &'static str,
    /// One line on what the command is for.
    pub summary: &'static str,
    /// Hints for cluster clients and proxies: `request_policy:all_shards` and friends.
    pub tips: &'static [&'static str],
    /// True for commands of servers talking to servers; documented as `syscmd`.
    pub system: bool,
    /// Set when users are asked to move on.
    pub deprecated: Option<Deprecated>,
    /// The changes since [`Spec::since`]: version and words.
    pub history: &'static [(&'static str, &'static str)],
}

/// The version that deprecated a command, and its replacement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deprecated {
    /// The version that deprecated it.
    pub since: &'static str,
    /// The replacement, in Markdown.
    pub replaced_by: &'static str,
}

impl Spec {
    /// A command with what every command has: its name, group, arity (Redis meaning) and syntax
    /// line.
    pub const fn new(name: &'static str, group: Group, arity: i8, syntax: &'static str) -> Spec {
        Spec {
            name,
            group,
            arity: Arity(arity),
            syntax,
            flags: Flags::NONE,
            extra_categories: group.categories(),
            keys: &[],
            channels: Channels::None,
            keys_by: KeysBy::Specs,
            secrets: Secrets::None,
            alias: None,
            since: "1.0.0",
            complexity: "O(1)",
            summary: "",
            tips: &[],
            system: false,
            deprecated: None,
            history: &[],
        }
    }

    /// A command that only holds subcommands. Redis gives it no category but `@slow`.
    pub const fn container(name: &'static str, group: Group) -> Spec {
        let mut spec = Spec::new(name, group, -2, "");
        spec.extra_categories = Categories::NONE;
        spec.complexity = "Depends on subcommand.";
        spec
    }

    /// Adds flags.
    pub const fn flags(mut self, flags: &[Flags]) -> Spec {
        let mut i = 0;
        while i < flags.len() {
            self.flags = self.flags.with(flags[i]);
            i += 1;
        }
        self
    }

    /// Adds ACL categories beyond those of the flags and the group.
    pub const fn categories(mut self, categories: &[Category]) -> Spec {
        self.extra_categories = self.extra_categories.with_all(categories);
        self
    }

    /// States where the keys are.
    pub const fn keys(mut self, keys: &'static [KeySpec]) -> Spec {
        self.keys = keys;
        self
    }

    /// States how keys are found when the key specs alone cannot tell.
    pub const fn keys_by(mut self, keys_by: KeysBy) -> Spec {
        self.keys_by = keys_by;
        self
    }

    /// States which arguments are secrets.
    pub const fn secrets(mut self, secrets: Secrets) -> Spec {
        self.secrets = secrets;
        self
    }

    /// States another name of the same command.
    pub const fn alias(mut self, alias: &'static str) -> Spec {
        self.alias = Some(alias);
        self
    }

    /// States which arguments are Pub/Sub channels.
    pub const fn channels(mut self, channels: Channels) -> Spec {
        self.channels = channels;
        self
    }

    /// States the first Redis version that had the command.
    pub const fn since(mut self, version: &'static str) -> Spec {
        self.since = version;
        self
    }

    /// States the cost.
    pub const fn complexity(mut self, complexity: &'static str) -> Spec {
        self.complexity = complexity;
        self
    }

    /// States what the command is for, in one line.
    pub const fn summary(mut self, summary: &'static str) -> Spec {
        self.summary = summary;
        self
    }

    /// Adds hints for cluster clients and proxies.
    pub const fn tips(mut self, tips: &'static [&'static str]) -> Spec {
        self.tips = tips;
        self
    }

    /// Marks a command that only servers send to servers.
    pub const fn system(mut self) -> Spec {
        self.system = true;
        self
    }

    /// Marks the command as deprecated since a version, and names its replacement.
    pub const fn deprecated(mut self, since: &'static str, replaced_by: &'static str) -> Spec {
        self.deprecated = Some(Deprecated { since, replaced_by });
        self
    }

    /// Tells what changed since the command was introduced.
    pub const fn history(mut self, history: &'static [(&'static str, &'static str)]) -> Spec {
        self.history = history;
        self
    }

    /// True when a call of `argc` words (the name, and a subcommand's container, included) has the
    /// right length.
    pub const fn accepts(&self, argc: usize) -> bool {
        self.arity.accepts(argc)
    }

    /// The last part of the name: `list` of `client|list`, `get` of `get`.
    pub fn own_name(&self) -> &'static str {
        self.name.rsplit_once('|').map_or(self.name, |(_, own)| own)
    }

    /// The arguments as `COMMAND DOCS` tells of them.
    pub fn arguments(&self) -> Vec<syntax::Argument> {
        syntax::parse(self.syntax).expect("a test compares every syntax line with a real COMMAND DOCS")
    }

    /// All flags, the derived ones included: `COMMAND INFO` also tells of [`MOVABLEKEYS`].
    pub fn all_flags(&self) -> Flags {
        if self.has_movable_keys() { self.flags.with(MOVABLEKEYS) } else { self.flags }
    }
}

/// The number of words a call has, the command's name included: exactly `n`, or at least `-n` if
/// negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arity(pub i8);

impl Arity {
    /// True when a call of `argc` words has the right length.
    pub const fn accepts(self, argc: usize) -> bool {
        let bound = self.0.unsigned_abs() as usize;
        if self.0 < 0 { argc >= bound } else { argc == bound }
    }
}

/// The families of commands. A group is a file in `commands/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Group {
    /// Any kind of key.
    Generic,
    /// Strings.
    String,
    /// Lists.
    List,
    /// Sets.
    Set,
    /// Sorted sets.
    SortedSet,
    /// Hashes.
    Hash,
    /// Publish and subscribe.
    PubSub,
    /// MULTI and friends.
    Transactions,
    /// The session of a client.
    Connection,
    /// Administration.
    Server,
    /// Scripts and functions.
    Scripting,
    /// HyperLogLog.
    HyperLogLog,
    /// Cluster.
    Cluster,
    /// Geospatial indexes.
    Geo,
    /// Streams.
    Stream,
    /// Bitmaps.
    Bitmap,
}

impl Group {
    /// The name `COMMAND DOCS` prints.
    pub const fn name(self) -> &'static str {
        match self {
            Group::Generic => "generic",
            Group::String => "string",
            Group::List => "list",
            Group::Set => "set",
            Group::SortedSet => "sorted-set",
            Group::Hash => "hash",
            Group::PubSub => "pubsub",
            Group::Transactions => "transactions",
            Group::Connection => "connection",
            Group::Server => "server",
            Group::Scripting => "scripting",
            Group::HyperLogLog => "hyperloglog",
            Group::Cluster => "cluster",
            Group::Geo => "geo",
            Group::Stream => "stream",
            Group::Bitmap => "bitmap",
        }
    }

    /// The ACL categories every command of the group is in, containers apart.
    const fn categories(self) -> Categories {
        let category = match self {
            Group::String => Category::String,
            Group::List => Category::List,
            Group::Set => Category::Set,
            Group::SortedSet => Category::SortedSet,
            Group::Hash => Category::Hash,
            Group::Transactions => Category::Transaction,
            Group::Connection => Category::Connection,
            Group::Scripting => Category::Scripting,
            Group::HyperLogLog => Category::HyperLogLog,
            Group::Geo => Category::Geo,
            Group::Stream => Category::Stream,
            Group::Bitmap => Category::Bitmap,
            Group::Generic | Group::PubSub | Group::Server | Group::Cluster => return Categories::NONE,
        };
        Categories::NONE.with(category)
    }
}

#[cfg(test)]
mod tests {
    use super::captured_info::{CAPTURED_INFO, compare};
    use super::*;

    const LMOVE: Spec = Spec::new(
        "lmove",
        Group::List,
        5,
        "source destination <LEFT | RIGHT>@wherefrom <LEFT | RIGHT>@whereto",
    )
    .flags(&[WRITE, DENYOOM])
    .keys(&[KeySpec::one(1, &[RW, ACCESS, DELETE]), KeySpec::one(2, &[RW, INSERT])])
    .since("6.2.0");

    #[test]
    fn a_negative_arity_is_a_minimum() {
        for (arity, argc, accepted) in
            [(2, 1, false), (2, 2, true), (2, 3, false), (-2, 1, false), (-2, 2, true), (-2, 300, true)]
        {
            assert_eq!(Arity(arity).accepts(argc), accepted, "arity {arity}, {argc} words");
        }
    }

    #[test]
    fn what_redis_says_is_derived_from_the_row() {
        assert_eq!(LMOVE.key_range(), (1, 2, 1));
        assert!(!LMOVE.has_movable_keys());
        let names: Vec<&str> = LMOVE.acl_categories().iter().map(Category::name).collect();
        assert_eq!(names, ["write", "list", "slow"]);
        assert_eq!(LMOVE.all_flags().names().collect::<Vec<_>>(), ["write", "denyoom"]);
        assert_eq!(compare([LMOVE].iter(), CAPTURED_INFO), Vec::<String>::new());
    }

    #[test]
    fn a_row_that_differs_from_redis_is_told() {
        let wrong = [LMOVE.flags(&[FAST]), Spec::new("nope", Group::List, 1, "")];
        let differences = compare(wrong.iter(), CAPTURED_INFO);
        assert_eq!(differences.len(), 2);
        assert!(differences[0].contains("ours    flags write denyoom fast"), "{}", differences[0]);
        assert!(differences[0].contains("redis   flags write denyoom"), "{}", differences[0]);
        assert_eq!(differences[1], "nope: unknown to Redis");
    }

    #[test]
    fn keys_that_no_plain_range_covers_are_movable() {
        const STORE: Spec = LMOVE.keys(&[KeySpec::one(1, &[OW]), KeySpec::keynum(2, &[RO])]);
        const STREAMS: Spec = LMOVE.keys(&[KeySpec::all_after("STREAMS", 1, 2, &[RO])]);
        const MERGE: Spec = LMOVE.keys(&[KeySpec::one(1, &[RW]), KeySpec::range(2, -1, 1, &[RO])]);
        for (spec, range, movable) in
            [(STORE, (1, 1, 1), true), (STREAMS, (0, 0, 0), true), (MERGE, (1, -1, 1), false)]
        {
            assert_eq!((spec.key_range(), spec.has_movable_keys()), (range, movable));
        }
    }

    #[test]
    fn scripts_are_in_no_read_category() {
        let eval_ro = Spec::new("eval_ro", Group::Scripting, -3, "").flags(&[READONLY]);
        assert!(!eval_ro.acl_categories().contains(Category::Read));
        assert_eq!(Category::by_name(b"SortedSet"), Some(Category::SortedSet));
        assert_eq!(Category::by_name(b"all"), None);
    }
}
