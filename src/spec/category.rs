//! ACL categories: the sets of commands that ACL rules name with `@`.
//!
//! Most categories follow from a command's flags and group; Redis computes them the same way when
//! it starts. Only what does not follow is written in a row.

use std::fmt;

use super::{ADMIN, BLOCKING, FAST, PUBSUB, READONLY, Spec, WRITE};

/// One ACL category, in the order in which Redis lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Category {
    /// Keys of any type: databases, expiry, names.
    Keyspace,
    /// Reads keys.
    Read,
    /// Writes keys.
    Write,
    /// Sets.
    Set,
    /// Sorted sets.
    SortedSet,
    /// Lists.
    List,
    /// Hashes.
    Hash,
    /// Strings.
    String,
    /// Bitmaps.
    Bitmap,
    /// HyperLogLog.
    HyperLogLog,
    /// Geospatial indexes.
    Geo,
    /// Streams.
    Stream,
    /// Publish and subscribe.
    PubSub,
    /// Administration.
    Admin,
    /// O(1) or O(log N).
    Fast,
    /// Not fast.
    Slow,
    /// May park the client.
    Blocking,
    /// Needs a second thought.
    Dangerous,
    /// The session of a client.
    Connection,
    /// MULTI and friends.
    Transaction,
    /// Scripts and functions.
    Scripting,
}

impl Category {
    /// All categories, in the order of `ACL CAT`.
    pub const ALL: [Category; 21] = [
        Category::Keyspace,
        Category::Read,
        Category::Write,
        Category::Set,
        Category::SortedSet,
        Category::List,
        Category::Hash,
        Category::String,
        Category::Bitmap,
        Category::HyperLogLog,
        Category::Geo,
        Category::Stream,
        Category::PubSub,
        Category::Admin,
        Category::Fast,
        Category::Slow,
        Category::Blocking,
        Category::Dangerous,
        Category::Connection,
        Category::Transaction,
        Category::Scripting,
    ];

    /// The name without `@`, as `ACL CAT` prints it.
    pub const fn name(self) -> &'static str {
        match self {
            Category::Keyspace => "keyspace",
            Category::Read => "read",
            Category::Write => "write",
            Category::Set => "set",
            Category::SortedSet => "sortedset",
            Category::List => "list",
            Category::Hash => "hash",
            Category::String => "string",
            Category::Bitmap => "bitmap",
            Category::HyperLogLog => "hyperloglog",
            Category::Geo => "geo",
            Category::Stream => "stream",
            Category::PubSub => "pubsub",
            Category::Admin => "admin",
            Category::Fast => "fast",
            Category::Slow => "slow",
            Category::Blocking => "blocking",
            Category::Dangerous => "dangerous",
            Category::Connection => "connection",
            Category::Transaction => "transaction",
            Category::Scripting => "scripting",
        }
    }

    /// The category of that name, in any case. `all` is no category.
    pub fn by_name(name: &[u8]) -> Option<Category> {
        Category::ALL.into_iter().find(|category| category.name().as_bytes().eq_ignore_ascii_case(name))
    }
}

/// A set of ACL categories.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Categories(u32);

impl Categories {
    /// No category.
    pub const NONE: Categories = Categories(0);

    /// The set with `category` added.
    pub const fn with(self, category: Category) -> Categories {
        Categories(self.0 | 1 << category as u8)
    }

    /// The set with all of `categories` added.
    pub const fn with_all(mut self, categories: &[Category]) -> Categories {
        let mut i = 0;
        while i < categories.len() {
            self = self.with(categories[i]);
            i += 1;
        }
        self
    }

    /// True when `category` is in the set.
    pub const fn contains(self, category: Category) -> bool {
        self.0 & 1 << category as u8 != 0
    }

    /// The categories in the order of `ACL CAT`.
    pub fn iter(self) -> impl Iterator<Item = Category> {
        Category::ALL.into_iter().filter(move |category| self.contains(*category))
    }
}

impl fmt::Debug for Categories {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// A command of Redis that is not built yet: what ACL rules know of it.
#[derive(Clone, Copy, Debug)]
pub struct Coming {
    /// Its name, as in [`Spec::name`].
    pub name: &'static str,
    /// All its ACL categories.
    pub categories: Categories,
}

impl Coming {
    /// A command to come, with all its ACL categories.
    pub const fn new(name: &'static str, categories: &[Category]) -> Coming {
        Coming { name, categories: Categories::NONE.with_all(categories) }
    }
}

impl Spec {
    /// All ACL categories of the command: stated, of its group, and implied by its flags.
    pub const fn acl_categories(&self) -> Categories {
        let mut set = self.extra_categories;
        if self.flags.contains(WRITE) {
            set = set.with(Category::Write);
        }
        // Redis: scripts may read anything or nothing, so @read leaves them out.
        if self.flags.contains(READONLY) && !set.contains(Category::Scripting) {
            set = set.with(Category::Read);
        }
        if self.flags.contains(ADMIN) {
            set = set.with(Category::Admin).with(Category::Dangerous);
        }
        if self.flags.contains(PUBSUB) {
            set = set.with(Category::PubSub);
        }
        if self.flags.contains(BLOCKING) {
            set = set.with(Category::Blocking);
        }
        if self.flags.contains(FAST) { set.with(Category::Fast) } else { set.with(Category::Slow) }
    }
}
