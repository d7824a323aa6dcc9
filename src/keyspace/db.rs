//! One database: the only way to touch a value.
//!
//! Every accessor takes care of lazy expiry, WRONGTYPE, hit and miss counts and the LRU/LFU touch.
//! What it finds out on the way (a key had expired, a big value is to be freed) is left as a fact
//! for `server/` to act on; this file knows no client, no reply and no configuration file. An
//! entry's layout is [`entry`]'s.

mod batch;
mod entry;
mod evict;
mod facts;

pub use batch::{Attributes, Batch, Content, ExpiredKeys, PIECE_KEYS, PresentKeys, TakenIn};
pub use entry::{KeyView, Presence, Stored, StringCoding, ValueRef};
pub use evict::{Among, EvictionPool};
pub use facts::{Facts, Garbage};

use super::access::AccessClock;
use super::checked_keys::CheckedKeys;
use super::snapshot::{Handed, WalkedDb};
use super::value::{Collection, Kind, Shared, Value};
use crate::base::hash::HashSeed;
use crate::base::number;
use crate::base::random::Random;
use crate::base::time::{MonotonicMillis, UnixMillis};
use crate::ds::dict::{Dict, EntryRef, Found, NewEntry, Shape, View};
use crate::ds::shared::{count_copy, make_mut};
use entry::{COPIED_INTEGER, HEADER, MAX_EMBSTR, MAX_INLINE_STRING, access_of, coding_for, header_byte};
use thiserror::Error;
use triomphe::Arc;

/// Copying more of a string than this at once would be felt by everybody.
const LONG_STRING_BYTES: usize = 1 << 20;

/// A database's number, below the parameter `databases`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DbIndex(pub u16);

/// The key holds a value of another type.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("WRONGTYPE Operation against a key holding the wrong kind of value")]
pub struct WrongType;

/// What happens to a key's deadline when its value is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ttl {
    /// It goes.
    Clear,
    /// It stays.
    Keep,
    /// It becomes this.
    At(UnixMillis),
}

/// Thresholds between a collection's compact and its large form, from the parameters of the
/// same names, and the seed of new tables.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// `list-max-listpack-size`: elements, or -1..-5 for 4..64 KiB.
    pub list_max_listpack_size: i64,
    /// Elements of lists of so many bytes stand alone: DEBUG QUICKLIST-PACKED-THRESHOLD.
    pub list_plain_from: u64,
    /// `hash-max-listpack-entries`.
    pub hash_max_listpack_entries: usize,
    /// `hash-max-listpack-value`, bytes.
    pub hash_max_listpack_value: usize,
    /// `set-max-intset-entries`.
    pub set_max_intset_entries: usize,
    /// `zset-max-listpack-entries`.
    pub zset_max_listpack_entries: usize,
    /// `zset-max-listpack-value`, bytes.
    pub zset_max_listpack_value: usize,
    /// The hash seed of new tables.
    pub seed: HashSeed,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            list_max_listpack_size: -2,
            list_plain_from: u64::MAX,
            hash_max_listpack_entries: 128,
            hash_max_listpack_value: 64,
            set_max_intset_entries: 512,
            zset_max_listpack_entries: 128,
            zset_max_listpack_value: 64,
            seed: HashSeed([0; 16]),
        }
    }
}

/// One database. See the module.
#[derive(Debug)]
pub struct Db {
    pub(super) index: DbIndex,
    pub(super) dict: Dict<Value>,
    /// The database that the keys belonged to when a snapshot walk over them began.
    pub(super) walked_as: DbIndex,
    /// What a flush has left to the walk.
    pub(super) flushed: Vec<(DbIndex, Handed)>,
    now: UnixMillis,
    access: AccessClock,
    limits: Limits,
    random: Random,
    keeps_expired: bool,
    /// What the running command is held to.
    pub(super) checked_keys: CheckedKeys,
    /// What the accessors found out.
    pub facts: Facts,
}

impl Db {
    /// An empty database.
    #[must_use]
    pub fn new(index: DbIndex, limits: Limits, random_seed: u64) -> Self {
        Db {
            index,
            dict: Dict::new(limits.seed.0),
            walked_as: index,
            flushed: Vec::new(),
            now: UnixMillis::default(),
            access: AccessClock::default(),
            limits,
            random: Random::new(random_seed),
            keeps_expired: false,
            checked_keys: CheckedKeys::default(),
            facts: Facts::default(),
        }
    }

    /// Its number.
    #[must_use]
    pub fn index(&self) -> DbIndex {
        self.index
    }

    /// The number of keys, expired ones that nobody met yet included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.dict.len()
    }

    /// Whether there is no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.dict.is_empty()
    }

    /// How many keys have a deadline.
    #[must_use]
    pub fn deadlines_len(&self) -> usize {
        self.dict.deadlines_len()
    }

    /// The average time to live of some keys that have one, milliseconds.
    #[must_use]
    pub fn average_ttl_ms(&self) -> i64 {
        /// Enough for an estimate that costs nothing.
        const SAMPLE: usize = 64;
        if self.deadlines_len() == 0 {
            return 0;
        }
        let sample = self.dict.iter().take(SAMPLE * 4).filter_map(|entry| entry.deadline).take(SAMPLE);
        let (sum, count) = sample.fold((0i64, 0), |(sum, count), deadline| {
            (sum.saturating_add(deadline.saturating_sub(self.now.0).max(0)), count + 1)
        });
        sum.checked_div(count).unwrap_or(0)
    }

    /// The thresholds of compact collections.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Bytes held by the table itself, without values outside it.
    #[must_use]
    pub fn table_bytes(&self) -> usize {
        self.dict.heap_bytes()
    }

    /// Bytes of what leads to the keys and knows their deadlines: the table without keys and
    /// values.
    #[must_use]
    pub fn index_bytes(&self) -> (usize, usize) {
        (self.dict.index_bytes(), self.dict.deadline_index_bytes())
    }

    /// Bytes a key takes with its value, `None` if it is missing. Neither counts nor touches.
    /// Source: MEMORY USAGE.
    pub fn usage(&mut self, key: &[u8]) -> Option<usize> {
        self.assert_may_look(key);
        let hash = self.dict.hash(key);
        if !self.alive(hash, key) {
            return None;
        }
        let entry = self.dict.get_hashed(hash, key)?;
        Some(entry.heap_bytes() + entry.object.map_or(0, Value::heap_bytes))
    }

    /// The size of the table, in pages.
    #[must_use]
    pub fn page_count(&self) -> usize {
        self.dict.page_count()
    }

    /// How the table is filled; looks at every page of it. Source: DEBUG HTSTATS.
    #[must_use]
    pub fn table_shape(&self) -> Shape {
        self.dict.shape()
    }

    /// The time all accessors go by, frozen for a turn.
    #[must_use]
    pub fn now(&self) -> UnixMillis {
        self.now
    }

    /// What the access history of a key means.
    #[must_use]
    pub fn access_clock(&self) -> AccessClock {
        self.access
    }

    pub(super) fn freeze(&mut self, now: UnixMillis, monotonic: MonotonicMillis) {
        self.now = now;
        self.access.freeze(monotonic);
    }

    pub(super) fn stop_clock(&mut self) {
        self.now = UnixMillis(i64::MIN);
    }

    pub(super) fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    pub(super) fn set_access(&mut self, access: AccessClock) {
        let monotonic = self.access.now();
        self.access = access;
        self.access.freeze(monotonic);
    }

    /// On a replica expired keys read as missing but stay until the primary deletes them.
    pub(super) fn keeps_expired(&self) -> bool {
        self.keeps_expired
    }

    pub(super) fn set_keeps_expired(&mut self, keeps_expired: bool) {
        self.keeps_expired = keeps_expired;
    }

    // ── looking ──────────────────────────────────────────────────────────────────────────────

    /// Whether `key` exists, for a command that reads it. Counts a hit or a miss; does not touch.
    pub fn exists(&mut self, key: &[u8]) -> bool {
        let found = self.peek(key).is_some();
        self.count(found, key);
        found
    }

    /// A number that stands for `key` of this database: the same for no other key but by chance.
    #[must_use]
    pub fn hash_of(&self, key: &[u8]) -> u64 {
        self.numbered(self.dict.hash(key))
    }

    /// Which keys were looked up since the last call: whether one of them is what `is_sought` says
    /// of its [`Db::hash_of`].
    pub fn has_looked_up(&mut self, mut is_sought: impl FnMut(u64) -> bool) -> bool {
        let mut looked_up = std::mem::take(&mut self.facts.looked_up);
        let any = looked_up.take_any(|hash| is_sought(self.numbered(hash)));
        self.facts.looked_up = looked_up;
        any
    }

    /// Databases share their seed: a key has the same `hash` in all of them.
    fn numbered(&self, hash: u64) -> u64 {
        hash.wrapping_add(u64::from(self.index.0).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// What there is of `key`. Changes nothing: a key whose time is over stays.
    #[must_use]
    pub fn presence(&self, key: &[u8]) -> Presence {
        match self.dict.get(key) {
            None => Presence::Missing,
            Some(entry) if self.is_past(entry.deadline) => Presence::Expired,
            Some(_) => Presence::Alive,
        }
    }

    /// Marks `key` as used now. Returns whether it exists. Counts a hit or a miss.
    pub fn touch(&mut self, key: &[u8]) -> bool {
        self.assert_may_look(key);
        let hash = self.dict.hash(key);
        let found = self.find_touched(hash, key).is_some();
        self.count(found, key);
        found
    }

    /// `key` as it is: expiry applies, but nothing is counted or touched.
    pub fn peek(&mut self, key: &[u8]) -> Option<KeyView<'_>> {
        self.assert_may_look(key);
        let hash = self.dict.hash(key);
        if !self.alive(hash, key) {
            return None;
        }
        self.dict.get_hashed(hash, key).map(KeyView::of)
    }

    /// The type of `key`. Neither counts nor touches.
    pub fn kind(&mut self, key: &[u8]) -> Option<Kind> {
        self.peek(key).map(|view| view.kind())
    }

    /// A string for reading. Counts, touches. Errors with `WrongType` for other types.
    pub fn string(&mut self, key: &[u8]) -> Result<Option<&[u8]>, WrongType> {
        match self.view_for_read(key).map(|view| view.value) {
            None => Ok(None),
            Some(ValueRef::String(bytes)) => Ok(Some(bytes)),
            Some(ValueRef::Object(_)) => Err(WrongType),
        }
    }

    /// A string about to be replaced: touches, counts nothing. Errors with `WrongType`.
    pub fn string_for_update(&mut self, key: &[u8]) -> Result<Option<&[u8]>, WrongType> {
        match self.view_for_update(key).map(|view| view.value) {
            None => Ok(None),
            Some(ValueRef::String(bytes)) => Ok(Some(bytes)),
            Some(ValueRef::Object(_)) => Err(WrongType),
        }
    }

    /// A collection for reading. Counts, touches. Errors with `WrongType` for other types.
    pub fn read<T: Collection>(&mut self, key: &[u8]) -> Result<Option<&T>, WrongType> {
        match self.view_for_read(key).map(|view| view.value) {
            None => Ok(None),
            Some(ValueRef::Object(value)) => T::of(value).map(Some).ok_or(WrongType),
            Some(ValueRef::String(_)) => Err(WrongType),
        }
    }

    /// As [`Db::read`], by reference: a command that reads several collections side by side.
    pub fn read_shared<T: Shared>(&mut self, key: &[u8]) -> Result<Option<Arc<T>>, WrongType> {
        match self.view_for_read(key).map(|view| view.value) {
            None => Ok(None),
            Some(ValueRef::Object(value)) => {
                T::shared(value).map(|inner| Some(inner.clone())).ok_or(WrongType)
            }
            Some(ValueRef::String(_)) => Err(WrongType),
        }
    }

    /// Any value for reading. Counts and touches.
    pub fn view_for_read(&mut self, key: &[u8]) -> Option<KeyView<'_>> {
        self.assert_may_look(key);
        let hash = self.dict.hash(key);
        let found = self.find_touched(hash, key);
        self.count(found.is_some(), key);
        found.map(|found| KeyView::of(self.dict.at(found)))
    }

    /// Any value for a write that looks first. Touches, counts nothing.
    pub fn view_for_update(&mut self, key: &[u8]) -> Option<KeyView<'_>> {
        self.assert_may_look(key);
        let hash = self.dict.hash(key);
        self.find_touched(hash, key).map(|found| KeyView::of(self.dict.at(found)))
    }

    /// When `key` expires: `None` for a missing key, `Some(None)` for one that stays.
    pub fn deadline(&mut self, key: &[u8]) -> Option<Option<UnixMillis>> {
        self.peek(key).map(|view| view.deadline)
    }

    /// A key chosen at random. Expired ones met on the way are removed; on a replica, where they
    /// stay, one is given only when many tries found no other.
    pub fn random_key(&mut self) -> Option<Vec<u8>> {
        /// Redis gives up avoiding expired keys after as many tries when it may not delete them.
        const MAX_TRIES: usize = 100;
        let mut tries = 0;
        // Bounded: every try finds a living key, removes one, or counts.
        loop {
            let random = &mut self.random;
            let key = self.dict.random(&mut |bound| random.below(bound))?.key.to_vec();
            let hash = self.dict.hash(&key);
            tries += usize::from(self.keeps_expired);
            if self.alive(hash, &key) || tries > MAX_TRIES {
                return Some(key);
            }
        }
    }

    /// Visits about `count` keys from `cursor` on and returns the next cursor, 0 at the end.
    /// Expired keys are visited too: their views carry the deadline. Source: SCAN.
    pub fn scan(&self, cursor: u64, count: usize, mut visit: impl FnMut(KeyView<'_>)) -> u64 {
        self.dict.scan(cursor, count, |entry| visit(KeyView::of(entry)))
    }

    /// All keys in hash order, expired ones included.
    pub fn iter(&self) -> impl Iterator<Item = KeyView<'_>> {
        self.dict.iter().map(KeyView::of)
    }

    /// Whether a view is of a key whose time has come.
    #[must_use]
    pub fn is_expired(&self, view: &KeyView<'_>) -> bool {
        view.deadline.is_some_and(|deadline| deadline < self.now)
    }

    // ── changing ─────────────────────────────────────────────────────────────────────────────

    /// Sets `key` to a string, whatever it held. Integers are stored as such for OBJECT ENCODING.
    pub fn set_string(&mut self, key: &[u8], bytes: &[u8], ttl: Ttl) {
        self.put_string(key, bytes, coding_for(bytes), ttl);
    }

    /// Sets `key` to a string that keeps the form an edit in place leaves: `raw`.
    pub fn set_edited_string(&mut self, key: &[u8], bytes: &[u8], ttl: Ttl) {
        self.put_string(key, bytes, StringCoding::Raw, ttl);
    }

    /// Sets `key` to a string of a short text that is not looked at for being an integer.
    pub fn set_text_string(&mut self, key: &[u8], bytes: &[u8], ttl: Ttl) {
        let coding = if bytes.len() <= MAX_EMBSTR { StringCoding::Embstr } else { StringCoding::Raw };
        self.put_string(key, bytes, coding, ttl);
    }

    /// Replaces the text of an integer by what `change` makes of it, `None` being a missing key;
    /// the deadline stays. One search, and no more when the text keeps its length. Source: INCR.
    pub fn change_integer<E: From<WrongType>>(
        &mut self,
        key: &[u8],
        change: impl FnOnce(Option<&[u8]>) -> Result<i64, E>,
    ) -> Result<i64, E> {
        self.assert_may_change(key);
        let hash = self.dict.hash(key);
        let Some(found) = self.find_touched(hash, key) else {
            let value = change(None)?;
            let text = number::I64Text::new(value);
            self.put_string_hashed(hash, key, text.as_bytes(), StringCoding::Int, None);
            return Ok(value);
        };
        let EntryRef { payload, object, deadline, .. } = self.dict.at(found);
        let old = match object {
            None => &payload[HEADER..],
            Some(Value::String(bytes)) => bytes,
            Some(_) => return Err(WrongType.into()),
        };
        let (value, fits) = (change(Some(old))?, old.len());
        let text = number::I64Text::new(value);
        if object.is_none() && fits == text.as_bytes().len() {
            let entry = self.dict.at_mut(found);
            entry.payload[0] = header_byte(Kind::String, StringCoding::Int);
            entry.payload[HEADER..].copy_from_slice(text.as_bytes());
        } else {
            self.put_string_hashed(hash, key, text.as_bytes(), StringCoding::Int, deadline);
        }
        Ok(value)
    }

    /// Changes a string in place, a missing one from empty; the deadline stays. The edited string
    /// must not be empty. Errors with `WrongType`. Source: APPEND, SETRANGE, SETBIT.
    pub fn edit_string<R>(
        &mut self,
        key: &[u8],
        edit: impl FnOnce(&mut Vec<u8>) -> R,
    ) -> Result<R, WrongType> {
        self.assert_may_change(key);
        let hash = self.dict.hash(key);
        if self.alive(hash, key)
            && let Some(entry) = self.dict.get_mut_hashed(hash, key)
        {
            match entry.object {
                Some(Value::String(bytes)) => {
                    entry.payload[0] = header_byte(Kind::String, StringCoding::Raw);
                    return Ok(edit(make_mut(bytes, |bytes| bytes.len())));
                }
                Some(_) => return Err(WrongType),
                None => {
                    let mut bytes = entry.payload[HEADER..].to_vec();
                    let result = edit(&mut bytes);
                    self.put_edited(hash, key, bytes);
                    return Ok(result);
                }
            }
        }
        let mut bytes = Vec::new();
        let result = edit(&mut bytes);
        self.put_edited(hash, key, bytes);
        Ok(result)
    }

    /// Whether [`Db::edit_string`] would copy a long string because somebody else holds it too. A
    /// walk under way that has not been handed its page is handed it now.
    pub fn edit_would_copy(&mut self, key: &[u8]) -> bool {
        let hash = self.dict.hash(key);
        match self.dict.get_hashed(hash, key).and_then(|entry| entry.object) {
            Some(Value::String(bytes)) if bytes.len() >= LONG_STRING_BYTES => {
                !bytes.is_unique() || self.dict.hand_page_over(hash)
            }
            _ => false,
        }
    }

    /// Stores an edited string whose deadline stays. A long one is moved, not copied: it may be
    /// half a GB.
    fn put_edited(&mut self, hash: u64, key: &[u8], bytes: Vec<u8>) {
        if bytes.len() <= MAX_INLINE_STRING {
            return self.set_edited_string(key, &bytes, Ttl::Keep);
        }
        let old = self.dict.get_hashed(hash, key).map(|entry| (entry.deadline, access_of(entry.payload)));
        self.insert(key, Value::String(Arc::new(bytes)), old.and_then(|old| old.0).map(UnixMillis));
        if let Some((_, access)) = old.filter(|_| self.access.lfu) {
            self.set_access_of(key, access);
        }
    }

    /// A collection to change, `None` when the key is missing. Errors with `WrongType`. A handler
    /// that may have emptied it calls `ctx.shrunk`.
    pub fn write<T: Collection>(&mut self, key: &[u8]) -> Result<Option<&mut T>, WrongType> {
        self.assert_may_change(key);
        self.in_place(key)
    }

    /// As [`Db::write`], for a command that only reads `key` but leaves what it holds in another
    /// form.
    pub fn reshape<T: Collection>(&mut self, key: &[u8]) -> Result<Option<&mut T>, WrongType> {
        self.assert_may_look(key);
        self.in_place(key)
    }

    fn in_place<T: Collection>(&mut self, key: &[u8]) -> Result<Option<&mut T>, WrongType> {
        let hash = self.dict.hash(key);
        let Some(found) = self.find_touched(hash, key) else { return Ok(None) };
        let inner = self.dict.at_mut(found).object.and_then(T::of_mut).ok_or(WrongType)?;
        Ok(Some(inner))
    }

    /// A collection to change; a missing key gets the one `create` makes. The caller fills it.
    pub fn write_or_create<T: Collection>(
        &mut self,
        key: &[u8],
        create: impl FnOnce(&Limits) -> T,
    ) -> Result<&mut T, WrongType> {
        self.assert_may_change(key);
        let hash = self.dict.hash(key);
        let found = match self.find_touched(hash, key) {
            Some(found) => found,
            None => {
                let value = create(&self.limits).into_value();
                self.insert(key, value, None);
                self.dict.find_hashed(hash, key).expect("the key was just made")
            }
        };
        let inner = self.dict.at_mut(found).object.and_then(T::of_mut).ok_or(WrongType)?;
        Ok(inner)
    }

    /// Sets `key` to a value, whatever it held; its deadline becomes `deadline`.
    pub fn insert(&mut self, key: &[u8], value: Value, deadline: Option<UnixMillis>) {
        self.assert_may_change(key);
        if let Value::String(bytes) = &value
            && bytes.len() <= MAX_INLINE_STRING
        {
            return self.set_string(key, bytes, deadline.map_or(Ttl::Clear, Ttl::At));
        }
        let coding = if let Value::String(bytes) = &value { coding_for(bytes) } else { StringCoding::Raw };
        let header = self.header(value.kind(), coding);
        let stored = Stored { payload: header.to_vec(), object: Some(value), deadline };
        if self.replace(key, stored) {
            self.note_added(key);
        }
    }

    /// Removes `key`. Returns whether it existed. A big value is left to be freed elsewhere.
    pub fn remove(&mut self, key: &[u8]) -> bool {
        self.assert_may_change(key);
        let hash = self.dict.hash(key);
        self.alive(hash, key) && self.remove_hashed(hash, key)
    }

    /// Takes `key` out with all that belongs to it. Source: RENAME, MOVE.
    pub fn take(&mut self, key: &[u8]) -> Option<Stored> {
        self.assert_may_change(key);
        let hash = self.dict.hash(key);
        if !self.alive(hash, key) {
            return None;
        }
        let payload = self.dict.get_hashed(hash, key)?.payload.to_vec();
        let removed = self.dict.remove_hashed(hash, key)?;
        Some(Stored { payload, object: removed.object, deadline: removed.deadline.map(UnixMillis) })
    }

    /// A copy of what `key` holds; collections are shared until one side changes. Source: COPY.
    pub fn copy_of(&mut self, key: &[u8]) -> Option<Stored> {
        self.assert_may_look(key);
        let hash = self.dict.hash(key);
        if !self.alive(hash, key) {
            return None;
        }
        let entry = self.dict.get_hashed(hash, key)?;
        let deadline = entry.deadline.map(UnixMillis);
        Some(Stored { payload: entry.payload.to_vec(), object: entry.object.cloned(), deadline })
    }

    /// Makes `stored` a value of its own: a copy has no history of accesses and shares no integer.
    pub fn refresh_access(&self, stored: &mut Stored) {
        if stored.payload[0] == header_byte(Kind::String, StringCoding::Int) {
            stored.payload[0] = COPIED_INTEGER;
        }
        stored.payload[1..HEADER].copy_from_slice(&self.access.fresh().to_le_bytes()[..3]);
    }

    /// Puts what [`Db::take`] or [`Db::copy_of`] gave under `key`, whatever it held. Redis deletes
    /// that first, so the key counts as new in any case.
    pub fn put(&mut self, key: &[u8], stored: Stored) {
        self.assert_may_change(key);
        self.replace(key, stored);
        self.note_added(key);
    }

    /// Puts a value under `key`. Returns whether that held none.
    fn replace(&mut self, key: &[u8], stored: Stored) -> bool {
        let hash = self.dict.hash(key);
        let deadline = stored.deadline.map(|deadline| deadline.0);
        let new = NewEntry { deadline, payload: &[&stored.payload], object: stored.object };
        let replaced = self.dict.insert_hashed(hash, key, new);
        let is_new = replaced.is_none();
        self.discard(replaced.and_then(|replaced| replaced.object));
        is_new
    }

    /// Whether `key` holds a collection without elements: what a handler that took some out may
    /// leave behind for a moment.
    pub fn is_empty_collection(&self, key: &[u8]) -> bool {
        let object = self.dict.get(key).and_then(|entry| entry.object);
        object.is_some_and(|object| object.kind() != Kind::String && object.is_empty())
    }

    /// Sets or removes a deadline. Returns whether the key exists.
    pub fn set_deadline(&mut self, key: &[u8], deadline: Option<UnixMillis>) -> bool {
        self.assert_may_change(key);
        let hash = self.dict.hash(key);
        self.alive(hash, key) && self.dict.set_deadline_hashed(hash, key, deadline.map(|deadline| deadline.0))
    }

    /// Sets the access history of `key`: 24 bits as Redis keeps them. Source: RESTORE, RDB.
    pub fn set_access_of(&mut self, key: &[u8], access: u32) {
        self.assert_may_change(key);
        let hash = self.dict.hash(key);
        if let Some(entry) = self.dict.get_mut_hashed(hash, key) {
            entry.payload[1..HEADER].copy_from_slice(&access.to_le_bytes()[..3]);
        }
    }

    /// Removes every key; what was there is left to be freed elsewhere. Returns how many.
    pub fn flush(&mut self) -> usize {
        let keys = self.dict.len();
        let old = self.clear_dict().filter(|_| keys > 0);
        self.facts.garbage.extend(old.map(|old| Garbage::Dict(Box::new(old))));
        keys
    }

    /// Exchanges the keys of two databases. Source: SWAPDB.
    pub fn swap_contents(&mut self, other: &mut Db) {
        std::mem::swap(&mut self.dict, &mut other.dict);
        std::mem::swap(&mut self.walked_as, &mut other.walked_as);
    }

    /// The state of all keys at this moment; costs one reference per page.
    #[must_use]
    pub fn snapshot(&self) -> DbSnapshot {
        DbSnapshot { index: self.index, view: self.dict.view(), deadlines: self.dict.deadlines_len() }
    }

    // ── time ─────────────────────────────────────────────────────────────────────────────────

    /// When the next key may be due; never later than the truth.
    #[must_use]
    pub fn next_deadline(&self) -> Option<UnixMillis> {
        self.dict.next_deadline().map(UnixMillis)
    }

    /// Removes up to `max` keys whose time has come, in order of their pages' deadlines, and
    /// leaves them in [`Facts::expired`]. Returns how many.
    pub fn expire_due(&mut self, max: usize) -> usize {
        if self.keeps_expired || self.dict.next_deadline().is_none_or(|next| next >= self.now.0) {
            return 0;
        }
        let due = self.dict.due(self.now.0 - 1, max);
        let count = due.len();
        for key in due {
            let hash = self.dict.hash(&key);
            self.remove_hashed(hash, &key);
            self.facts.expired.push(key.into_vec());
        }
        count
    }

    // ── rights ───────────────────────────────────────────────────────────────────────────────

    /// In debug builds: `key` is one that the rights of the running command were checked for.
    fn assert_may_look(&self, key: &[u8]) {
        if cfg!(debug_assertions) {
            self.checked_keys.assert_may_look(key);
        }
    }

    /// The same of a key that is about to be changed.
    fn assert_may_change(&self, key: &[u8]) {
        if cfg!(debug_assertions) {
            self.checked_keys.assert_may_change(key);
        }
    }

    // ── inside ───────────────────────────────────────────────────────────────────────────────

    // Redis: a key is gone once its deadline has passed, not when it is reached.

    /// False when `key` is missing for being expired; removes it then, except on a replica.
    fn alive(&mut self, hash: u64, key: &[u8]) -> bool {
        self.facts.looked_up.note(hash);
        if self.dict.next_deadline().is_none_or(|next| next >= self.now.0) {
            return true;
        }
        let deadline = self.dict.get_hashed(hash, key).and_then(|entry| entry.deadline);
        if !self.is_past(deadline) {
            return true;
        }
        self.expire(hash, key);
        false
    }

    /// Where `key` is, unless it is missing or its time has come. Renews its access history.
    fn find_touched(&mut self, hash: u64, key: &[u8]) -> Option<Found> {
        self.facts.looked_up.note(hash);
        let found = self.dict.find_hashed(hash, key)?;
        let entry = self.dict.at(found);
        if self.is_past(entry.deadline) {
            self.expire(hash, key);
            return None;
        }
        let old = access_of(entry.payload);
        // Redis: while a save is under way nothing is touched, for that would copy what is being
        // saved.
        let new = if self.is_walked() { old } else { self.access.touched(old, &mut self.random) };
        if new != old {
            self.dict.at_mut(found).payload[1..HEADER].copy_from_slice(&new.to_le_bytes()[..3]);
        }
        Some(found)
    }

    fn is_past(&self, deadline: Option<i64>) -> bool {
        deadline.is_some_and(|deadline| deadline < self.now.0)
    }

    /// Removes a key whose time has come, except on a replica.
    fn expire(&mut self, hash: u64, key: &[u8]) {
        if !self.keeps_expired {
            self.remove_hashed(hash, key);
            self.facts.expired.push(key.to_vec());
        }
    }

    fn note_added(&mut self, key: &[u8]) {
        if self.facts.wants_added {
            self.facts.added.push(key.to_vec());
        }
    }

    fn count(&mut self, found: bool, key: &[u8]) {
        if found {
            self.facts.hits += 1;
            return;
        }
        self.facts.misses += 1;
        if self.facts.wants_missed {
            self.facts.missed.push(key.to_vec());
        }
    }

    fn put_string(&mut self, key: &[u8], bytes: &[u8], coding: StringCoding, ttl: Ttl) {
        self.assert_may_change(key);
        let hash = self.dict.hash(key);
        if self.access.lfu {
            // Redis: replacing a value is using its key.
            self.find_touched(hash, key);
        }
        let deadline = match ttl {
            Ttl::Clear => None,
            Ttl::Keep => {
                let old = self.dict.get_hashed(hash, key).and_then(|entry| entry.deadline);
                old.filter(|_| !self.is_past(old))
            }
            Ttl::At(deadline) => Some(deadline.0),
        };
        self.put_string_hashed(hash, key, bytes, coding, deadline);
    }

    fn put_string_hashed(
        &mut self,
        hash: u64,
        key: &[u8],
        bytes: &[u8],
        coding: StringCoding,
        deadline: Option<i64>,
    ) {
        let mut header = self.header(Kind::String, coding);
        if self.access.lfu
            && let Some(entry) = self.dict.get_hashed(hash, key)
        {
            // Redis: a new value inherits how often the old one was used.
            header[1..].copy_from_slice(&entry.payload[1..HEADER]);
        }
        let long = bytes.len() > MAX_INLINE_STRING;
        let object = long.then(|| Value::String(Arc::new(bytes.to_vec())));
        let inline = if long { &[][..] } else { bytes };
        let new = NewEntry { deadline, payload: &[&header, inline], object };
        let Some(replaced) = self.dict.insert_hashed(hash, key, new) else { return self.note_added(key) };
        if self.is_past(replaced.deadline) && !self.keeps_expired {
            // What was replaced had ended before, and whoever follows the changes must know.
            self.facts.expired.push(key.to_vec());
            self.note_added(key);
        }
        self.discard(replaced.object);
    }

    /// Leaves a big value to be freed elsewhere; a small one goes at once. What a walk has taken
    /// over stays until that lets go of it, beside whatever takes its place here.
    fn discard(&mut self, object: Option<Value>) {
        if let Some(object) = object.as_ref().filter(|object| object.is_shared()) {
            count_copy(object.heap_bytes());
        }
        self.facts.garbage.extend(object.filter(Value::is_costly_to_free).map(Garbage::Value));
    }

    fn remove_hashed(&mut self, hash: u64, key: &[u8]) -> bool {
        let Some(removed) = self.dict.remove_hashed(hash, key) else { return false };
        self.discard(removed.object);
        true
    }

    fn header(&self, kind: Kind, coding: StringCoding) -> [u8; HEADER] {
        let access = self.access.fresh().to_le_bytes();
        [header_byte(kind, coding), access[0], access[1], access[2]]
    }
}

/// A database as it was at one moment. May be sent to another thread.
#[derive(Clone, Debug)]
pub struct DbSnapshot {
    /// Its number.
    pub index: DbIndex,
    view: View<Value>,
    deadlines: usize,
}

impl DbSnapshot {
    /// The number of keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.view.len()
    }

    /// Whether there was no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.view.is_empty()
    }

    /// Its size.
    #[must_use]
    pub fn facts(&self) -> WalkedDb {
        WalkedDb { index: self.index, keys: self.view.len(), deadlines: self.deadlines }
    }

    /// All keys in hash order.
    pub fn iter(&self) -> impl Iterator<Item = KeyView<'_>> {
        self.view.iter().map(KeyView::of)
    }
}
