//! One database: the only way to touch a value.
//!
//! Every accessor takes care of lazy expiry, WRONGTYPE, hit and miss counts and the LRU/LFU touch.
//! The things that it finds out on the way (a key had expired, a big value is to be freed) are left
//! as findings for `server/` to act on; this file knows no client, no reply and no configuration
//! file. An entry's layout is [`super::entry`]'s, writing is [`change`]'s.

pub(super) mod batch;
mod change;
pub(super) mod evict;
pub(super) mod findings;
mod fingerprint;

use super::access::AccessClock;
use super::checked_keys::CheckedKeys;
use super::db_index::DbIndex;
use super::encoding_limits::EncodingLimits;
use super::entry::{HEADER, KeyView, Presence, StringCoding, ValueRef, access_of, header_byte};
use super::parcel::{Handed, WalkedDb};
use super::undo::UndoLog;
use super::value::{Collection, Kind, Shared, Value};
use crate::base::random::Random;
use crate::base::time::{MonotonicMillis, UnixMillis};
use crate::ds::dict::{Dict, Found, TableShape, View};
use crate::ds::shared::count_copy;
use findings::{Findings, Garbage};
use thiserror::Error;
use triomphe::Arc;

/// The key holds a value of another type.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("WRONGTYPE Operation against a key holding the wrong kind of value")]
pub struct WrongType;

/// The treatment of a key's deadline when its value is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ttl {
    /// It goes.
    Clear,
    /// It stays.
    Keep,
    /// It becomes this.
    At(UnixMillis),
}

/// One database. See the module.
#[derive(Debug)]
pub struct Db {
    pub(super) index: DbIndex,
    pub(super) dict: Dict<Value>,
    /// The database that the keys belonged to when a snapshot walk over them began.
    pub(super) walked_as: DbIndex,
    /// The pages that a flush has left to the walk.
    pub(super) flushed: Vec<(DbIndex, Handed)>,
    now: UnixMillis,
    access: AccessClock,
    limits: EncodingLimits,
    random: Random,
    keeps_expired: bool,
    /// The rules that the running command is held to.
    pub(super) checked_keys: CheckedKeys,
    /// What is put back if what runs is undone.
    pub(super) undo: UndoLog,
    /// The facts that the accessors found out.
    pub findings: Findings,
}

impl Db {
    /// An empty database.
    #[must_use]
    pub fn new(index: DbIndex, limits: EncodingLimits, random_seed: u64) -> Self {
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
            undo: UndoLog::default(),
            findings: Findings::default(),
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

    /// True when there is no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.dict.is_empty()
    }

    /// The number of keys that have a deadline.
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
    pub fn limits(&self) -> EncodingLimits {
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

    /// Describes how the table is filled; looks at every page of it. Source: DEBUG HTSTATS.
    #[must_use]
    pub fn table_shape(&self) -> TableShape {
        self.dict.shape()
    }

    /// The time all accessors go by, frozen for a turn.
    #[must_use]
    pub fn now(&self) -> UnixMillis {
        self.now
    }

    /// Returns the clock that gives access histories of keys their meaning.
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

    pub(super) fn set_limits(&mut self, limits: EncodingLimits) {
        self.limits = limits;
    }

    pub(super) fn set_access(&mut self, access: AccessClock) {
        let monotonic = self.access.now();
        self.access = access;
        self.access.freeze(monotonic);
    }

    /// Sets if removed keys give their memory back at once, at some cost.
    pub(super) fn set_memory_is_short(&mut self, short: bool) {
        self.dict.pack_tightly(short);
    }

    /// On a replica expired keys read as missing but stay until the primary deletes them.
    pub(super) fn keeps_expired(&self) -> bool {
        self.keeps_expired
    }

    pub(super) fn set_keeps_expired(&mut self, keeps_expired: bool) {
        self.keeps_expired = keeps_expired;
    }

    // ── looking ──────────────────────────────────────────────────────────────────────────────

    /// True when `key` exists, for a command that reads it. Counts a hit or a miss; does not touch.
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

    /// Forgets the keys that were looked up since the last call; true when one of them is what
    /// `is_sought` says of its [`Db::hash_of`].
    pub fn has_looked_up(&mut self, mut is_sought: impl FnMut(u64) -> bool) -> bool {
        let mut looked_up = std::mem::take(&mut self.findings.looked_up);
        let any = looked_up.take_any(|hash| is_sought(self.numbered(hash)));
        self.findings.looked_up = looked_up;
        any
    }

    /// Databases share their seed: a key has the same `hash` in all of them.
    fn numbered(&self, hash: u64) -> u64 {
        hash.wrapping_add(u64::from(self.index.0).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// Returns the state of `key`. Changes nothing: a key whose time is over stays.
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

    /// `key` as it is stored: also one whose time has come and that nobody has met since. Source:
    /// DEBUG OBJECT.
    #[must_use]
    pub fn peek_stored(&self, key: &[u8]) -> Option<KeyView<'_>> {
        self.assert_may_look(key);
        self.dict.get_hashed(self.dict.hash(key), key).map(KeyView::of)
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

    /// Returns the time at which `key` expires: `None` for a missing key, `Some(None)` for one that
    /// stays.
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

    /// True when a view is of a key whose time has come.
    #[must_use]
    pub fn is_expired(&self, view: &KeyView<'_>) -> bool {
        view.deadline.is_some_and(|deadline| deadline < self.now)
    }

    /// The state of all keys at this moment; costs one reference per page.
    #[must_use]
    pub fn snapshot(&self) -> DbSnapshot {
        DbSnapshot { index: self.index, view: self.dict.view(), deadlines: self.dict.deadlines_len() }
    }

    // ── time ─────────────────────────────────────────────────────────────────────────────────

    /// Returns the time at which the next key may be due; never later than the truth.
    #[must_use]
    pub fn next_deadline(&self) -> Option<UnixMillis> {
        self.dict.next_deadline().map(UnixMillis)
    }

    /// Removes up to `max` keys whose time has come, in order of their pages' deadlines, and
    /// leaves them in [`Findings::expired`]. Returns how many.
    pub fn expire_due(&mut self, max: usize) -> usize {
        if self.keeps_expired || self.dict.next_deadline().is_none_or(|next| next >= self.now.0) {
            return 0;
        }
        let due = self.dict.due(self.now.0 - 1, max);
        let count = due.len();
        for key in due {
            let hash = self.dict.hash(&key);
            self.remove_hashed(hash, &key);
            self.findings.expired.push(key.into_vec());
        }
        count
    }

    // ── duties ───────────────────────────────────────────────────────────────────────────────

    /// In debug builds: `key` is one that the rights of the running command were checked for.
    fn assert_may_look(&self, key: &[u8]) {
        if cfg!(debug_assertions) {
            self.checked_keys.assert_may_look(key);
        }
    }

    /// The same of a key that is about to be changed; what it holds before is noted.
    fn assert_may_change(&self, key: &[u8]) {
        if cfg!(debug_assertions) {
            self.checked_keys.assert_may_change(key);
            if let Some(mutated) = self.checked_keys.mutated_keys() {
                mutated.note_lent(self.index.0, key, || self.fingerprint(key));
            }
        }
    }

    /// In debug builds: `changed` was told of `key`.
    pub fn note_reported(&self, key: &[u8]) {
        if cfg!(debug_assertions)
            && let Some(mutated) = self.checked_keys.mutated_keys()
        {
            mutated.note_reported(self.index.0, key);
        }
    }

    /// In debug builds: the running command is declared to change a part of the string at `key`.
    fn assert_edits_string(&self, key: &[u8]) {
        if cfg!(debug_assertions) {
            self.checked_keys.assert_edits_string(key);
        }
    }

    // ── inside ───────────────────────────────────────────────────────────────────────────────

    // Redis: a key is gone once its deadline has passed, not when it is reached.

    /// False when `key` is missing for being expired; removes it then, except on a replica.
    fn alive(&mut self, hash: u64, key: &[u8]) -> bool {
        self.findings.looked_up.note(hash);
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

    /// Finds `key`, unless it is missing or its time has come. Renews its access history.
    fn find_touched(&mut self, hash: u64, key: &[u8]) -> Option<Found> {
        self.findings.looked_up.note(hash);
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
            self.findings.expired.push(key.to_vec());
        }
    }

    fn note_added(&mut self, key: &[u8]) {
        if self.findings.wants_added {
            self.findings.added.push(key.to_vec());
        }
    }

    fn count(&mut self, found: bool, key: &[u8]) {
        if found {
            self.findings.hits += 1;
            return;
        }
        self.findings.misses += 1;
        if self.findings.wants_missed {
            self.findings.missed.push(key.to_vec());
        }
    }

    /// Leaves a big value to be freed elsewhere; a small one goes at once. A value that a walk has
    /// taken over stays until that lets go of it, beside whatever takes its place here.
    fn discard(&mut self, object: Option<Value>) {
        if let Some(object) = object.as_ref().filter(|object| object.is_shared()) {
            count_copy(object.heap_bytes());
        }
        self.findings.garbage.extend(object.filter(Value::is_costly_to_free).map(Garbage::Value));
    }

    fn remove_hashed(&mut self, hash: u64, key: &[u8]) -> bool {
        self.keep_before(hash, key);
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

    /// True when there was no key.
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
