//! The snapshot walk: all databases as they were at one moment, handed out page by page to another
//! thread.
//!
//! [`Keyspace::begin_walk`] fixes the moment. From then on [`Keyspace::walk_on`], called at the end
//! of every turn, yields [`Parcel`]s: references to pages, a value with its page however large it
//! is, the owner encodes nothing. Whoever takes a parcel visits its keys on any thread
//! ([`Parcel::visit`]), which lets go of each page as it is passed, and reports it with
//! [`Keyspace::parcel_released`]. The parcel whose [`Parcel::is_last`] is set ends the walk. The
//! dict hands out a page that is about to change first ([`crate::ds::dict`]).
//!
//! Two bounds keep memory from doubling when the taker is slow:
//!
//! - **The window**: pages go out in order only while fewer than [`WINDOW_PAGES`] are on their way.
//! - **Copies**: pre-images are not optional, so what writers copied because of pages still on
//!   their way is counted, whether pages or chunks of large values, and so are values that were
//!   replaced or removed and live on only there. Above [`Keyspace::copies_limit`] the walk [is
//!   behind](Keyspace::walk_is_behind), and the server postpones writes until the taker has caught
//!   up. The count is an upper bound: all copies made since the oldest parcel on its way was put
//!   together.
//!
//! There is one walk at a time; a saver, a rewrite of the append-only file and a full
//! synchronisation are its takers. This file does not know which of them it is. A flushed database
//! leaves the walk as one item, the rest of its old pages; a swapped one keeps the number it had
//! when the walk began.

use super::databases::Keyspace;
use super::db::Db;
use super::db_index::DbIndex;
use super::parcel::{Handed, Parcel, WalkedDb};
use super::value::Value;
use crate::ds::dict::{Dict, View};
use crate::ds::shared;
use std::collections::VecDeque;

/// Pages that may be on their way in order, about 4 MiB of small keys.
pub const WINDOW_PAGES: usize = 1024;
/// Pages of one parcel at most.
pub const PARCEL_PAGES: usize = 64;
/// Pages that one call of [`Keyspace::walk_on`] looks at, so that a turn stays short.
const PAGES_PER_TURN: usize = 256;
/// Copies are never limited to less, bytes.
pub const MIN_COPIES: u64 = 4 << 20;
/// Else to the data set's size divided by this.
const COPIES_SHARE: u64 = 32;

/// The owner's book of a walk under way.
#[derive(Debug, Default)]
pub struct Walk {
    next_parcel: u64,
    on_their_way: VecDeque<OnItsWay>,
    pages_on_their_way: usize,
    /// The bytes that the thread had copied when pre-images were last collected.
    copied_at_collection: u64,
    copied_at_begin: u64,
    copies_limit: u64,
    peak_copies: u64,
    sent_last: bool,
}

#[derive(Debug)]
struct OnItsWay {
    parcel: u64,
    pages: usize,
    copied_before: u64,
}

impl Walk {
    /// Bytes copied or kept because of pages that are still on their way: an upper bound.
    #[must_use]
    pub fn copies(&self) -> u64 {
        let before = match self.on_their_way.front() {
            Some(oldest) => oldest.copied_before,
            // Nothing is shared any more, and nothing will be.
            None if self.sent_last => return 0,
            None => self.copied_at_collection,
        };
        shared::copied_bytes() - before
    }

    /// The largest number of such bytes so far.
    #[must_use]
    pub fn peak_copies(&self) -> u64 {
        self.peak_copies.max(self.copies())
    }

    /// Bytes copied since the walk began, those included that were let go of meanwhile.
    #[must_use]
    pub fn all_copies(&self) -> u64 {
        shared::copied_bytes() - self.copied_at_begin
    }

    /// The number of the newest parcel.
    #[must_use]
    pub fn last_packed(&self) -> Option<u64> {
        self.next_parcel.checked_sub(1)
    }

    /// True when this parcel and all before it have been dealt with.
    #[must_use]
    pub fn has_released(&self, number: u64) -> bool {
        number < self.next_parcel && self.on_their_way.front().is_none_or(|oldest| oldest.parcel > number)
    }

    fn pack(&mut self, items: Vec<(DbIndex, Handed)>, is_last: bool) -> Parcel {
        let number = self.next_parcel;
        self.next_parcel += 1;
        self.sent_last |= is_last;
        self.pages_on_their_way += items.len();
        let copied_before = self.copied_at_collection;
        self.on_their_way.push_back(OnItsWay { parcel: number, pages: items.len(), copied_before });
        Parcel { number, is_last, items }
    }
}

impl Keyspace {
    /// Begins a walk over all keys as they are now. Returns the databases that are not empty. A
    /// walk that was still under way ends.
    pub fn begin_walk(&mut self, dataset_bytes: u64) -> Vec<WalkedDb> {
        self.walks = self.walks.checked_add(1).expect("nobody saves four billion times");
        let number = self.walks;
        let copies_limit = MIN_COPIES.max(dataset_bytes / COPIES_SHARE);
        let copied = shared::copied_bytes();
        self.walk = Some(Box::new(Walk {
            copies_limit,
            copied_at_begin: copied,
            copied_at_collection: copied,
            ..Walk::default()
        }));
        let mut walked = Vec::new();
        for db in self.iter_mut() {
            db.end_walk();
            if !db.is_empty() {
                walked.push(WalkedDb { index: db.index(), keys: db.len(), deadlines: db.deadlines_len() });
                db.begin_walk(number);
            }
        }
        walked
    }

    /// Ends a walk that nobody takes parcels of any more, or whose last parcel was released.
    pub fn end_walk(&mut self) {
        self.walk = None;
        self.iter_mut().for_each(Db::end_walk);
    }

    /// The walk under way, its last parcel taken or not.
    #[must_use]
    pub fn walk(&self) -> Option<&Walk> {
        self.walk.as_deref()
    }

    /// The number of the walk under way, never 0 and never used again.
    #[inline]
    #[must_use]
    pub fn walk_number(&self) -> Option<u32> {
        self.walk.as_ref().map(|_| self.walks)
    }

    /// Takes the parcels to hand over at this moment: every pre-image since the last call, and as
    /// many pages in order as the window has room for. Nothing without a walk, and after the last
    /// parcel.
    pub fn walk_on(&mut self) -> Vec<Parcel> {
        let Some(mut walk) = self.walk.take_if(|walk| !walk.sent_last) else { return Vec::new() };
        walk.peak_copies = walk.peak_copies();
        let mut items = Vec::new();
        let mut left = WINDOW_PAGES.saturating_sub(walk.pages_on_their_way).min(PAGES_PER_TURN);
        let mut goes_on = false;
        for db in self.iter_mut() {
            db.collect_handed(&mut items);
            if left > 0 && db.is_walked() {
                let before = items.len();
                if !db.walk_on(left, &mut items) {
                    db.end_walk();
                }
                left = left.saturating_sub((items.len() - before).max(1));
            }
            goes_on |= db.is_walked();
        }
        let mut parcels = Vec::new();
        while items.len() > PARCEL_PAGES {
            let rest = items.split_off(PARCEL_PAGES);
            parcels.push(walk.pack(std::mem::replace(&mut items, rest), false));
        }
        if !items.is_empty() || !goes_on {
            parcels.push(walk.pack(items, !goes_on));
        }
        walk.copied_at_collection = shared::copied_bytes();
        self.walk = Some(walk);
        parcels
    }

    /// Notes that a parcel was dealt with. They come back in the order they went out.
    pub fn parcel_released(&mut self, number: u64) {
        let Some(walk) = &mut self.walk else { return };
        walk.peak_copies = walk.peak_copies();
        while let Some(oldest) = walk.on_their_way.pop_front_if(|oldest| oldest.parcel <= number) {
            walk.pages_on_their_way -= oldest.pages;
        }
    }

    /// True when [`Keyspace::walk_on`] has something to hand over even if nothing happens
    /// meanwhile.
    #[must_use]
    pub fn walk_has_room(&self) -> bool {
        self.walk.as_ref().is_some_and(|walk| !walk.sent_last && walk.pages_on_their_way < WINDOW_PAGES)
    }

    /// True when writes must wait: what they copy because of the walk has reached its limit.
    #[must_use]
    pub fn walk_is_behind(&self) -> bool {
        self.walk.as_ref().is_some_and(|walk| walk.copies() > walk.copies_limit)
    }

    /// True when so little is copied that writes which had to wait may go on.
    #[must_use]
    pub fn walk_has_caught_up(&self) -> bool {
        self.walk.as_ref().is_none_or(|walk| walk.copies() <= walk.copies_limit / 2)
    }

    /// The number of bytes that may be copied for the walk under way; 0 without one.
    #[must_use]
    pub fn copies_limit(&self) -> u64 {
        self.walk.as_ref().map_or(0, |walk| walk.copies_limit)
    }
}

impl Db {
    pub(super) fn begin_walk(&mut self, number: u32) {
        self.walked_as = self.index;
        self.dict.begin_walk(number);
    }

    pub(super) fn end_walk(&mut self) {
        self.dict.end_walk();
        self.flushed.clear();
    }

    pub(super) fn is_walked(&self) -> bool {
        self.dict.is_walked()
    }

    /// Takes what changes have handed out since the last call.
    fn collect_handed(&mut self, items: &mut Vec<(DbIndex, Handed)>) {
        items.append(&mut self.flushed);
        let db = self.walked_as;
        items.extend(self.dict.take_pre_images().into_iter().map(|page| (db, Handed::Page(page))));
    }

    /// The next pages in order, `max` at most. Returns whether more may follow.
    fn walk_on(&mut self, max: usize, items: &mut Vec<(DbIndex, Handed)>) -> bool {
        let mut pages = Vec::new();
        let goes_on = self.dict.walk_on(max, &mut pages);
        let db = self.walked_as;
        items.extend(pages.into_iter().map(|page| (db, Handed::Page(page))));
        goes_on
    }

    /// Empties the dict; what a walk has not taken yet goes to the walk as a whole. Returns what is
    /// to be freed.
    pub(super) fn clear_dict(&mut self) -> Option<View<Value>> {
        self.leave_pre_images();
        let (view, rest) = self.dict.clear_walked();
        self.flushed.extend(rest.map(|rest| (self.walked_as, Handed::Rest(rest))));
        view
    }

    /// The same; returns the dict, which may be put back.
    pub(super) fn take_dict(&mut self) -> Dict<Value> {
        self.leave_pre_images();
        let rest = self.dict.end_walk_early();
        self.flushed.extend(rest.map(|rest| (self.walked_as, Handed::Rest(rest))));
        self.dict.take()
    }

    /// Leaves to the walk what it was handed, before the dict leaves it.
    fn leave_pre_images(&mut self) {
        let handed = self.dict.take_pre_images();
        self.flushed.extend(handed.into_iter().map(|page| (self.walked_as, Handed::Page(page))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::random::Random;
    use crate::base::time::{MonotonicMillis, UnixMillis};
    use crate::keyspace::{Collection, EncodingLimits, Hash, KeyView, Ttl, ValueRef};
    use std::collections::BTreeMap;
    use std::convert::Infallible;

    type Key = (u16, Vec<u8>);
    type Value = (Option<i64>, Vec<u8>);
    type Model = BTreeMap<Key, Value>;

    fn keyspace() -> Keyspace {
        Keyspace::new(3, EncodingLimits::default(), 7)
    }

    /// Database and key, deadline and value of what `view` shows.
    fn shown(db: DbIndex, view: &KeyView<'_>) -> (Key, Value) {
        let mut text = Vec::new();
        match view.value {
            ValueRef::String(bytes) => text.extend(bytes),
            ValueRef::Object(value) => {
                let hash = Hash::of(value).expect("this test makes strings and hashes");
                let mut pairs: Vec<Vec<u8>> = hash
                    .iter()
                    .map(|(field, value)| field.with_bytes(|f| value.with_bytes(|v| [f, b"=", v].concat())))
                    .collect();
                pairs.sort();
                text.extend(pairs.concat());
            }
        }
        ((db.0, view.key.to_vec()), (view.deadline.map(|deadline| deadline.0), text))
    }

    fn contents(keyspace: &Keyspace) -> Model {
        keyspace.iter().flat_map(|db| db.iter().map(|view| shown(db.index(), &view))).collect()
    }

    /// Takes parcels and keeps what they show; an entry shown twice is an error.
    #[derive(Default)]
    struct Taker {
        waiting: VecDeque<Parcel>,
        shown: Model,
        is_done: bool,
    }

    impl Taker {
        fn take(&mut self, keyspace: &mut Keyspace) {
            assert!(!self.is_done || keyspace.walk().is_none());
            self.waiting.extend(keyspace.walk_on());
        }

        /// Deals with the oldest parcel.
        fn work(&mut self, keyspace: &mut Keyspace) {
            let Some(parcel) = self.waiting.pop_front() else { return };
            let (number, is_last) = (parcel.number, parcel.is_last);
            let visited = parcel.visit(|db, view| {
                let (key, value) = shown(db, &view);
                assert!(self.shown.insert(key, value).is_none(), "shown twice");
                Ok::<_, Infallible>(())
            });
            assert!(visited.is_ok());
            keyspace.parcel_released(number);
            if is_last {
                keyspace.end_walk();
                self.is_done = true;
            }
        }

        fn finish(&mut self, keyspace: &mut Keyspace) {
            while !self.is_done {
                self.take(keyspace);
                self.work(keyspace);
            }
        }
    }

    fn name(number: u64) -> Vec<u8> {
        format!("key:{number}").into_bytes()
    }

    fn change(keyspace: &mut Keyspace, random: &mut Random, keys: u64) {
        let db = DbIndex(random.below(3) as u16);
        let key = name(random.below(keys));
        let choice = random.below(1000);
        let home = keyspace.at(db).expect("there are three");
        match choice {
            0..=299 => {
                let value = random.below(1_000_000).to_string().repeat(1 + random.below(60) as usize);
                home.set_string(&key, value.as_bytes(), Ttl::Clear);
            }
            300..=499 => {
                home.remove(&key);
            }
            500..=699 => {
                let field = name(random.below(300));
                let limits = home.limits();
                if let Ok(hash) = home.write_or_create(&key, |_| Hash::default()) {
                    hash.set(&field, b"a value of the field", &limits);
                }
            }
            700..=799 => {
                let deadline = (random.below(2) == 0).then(|| UnixMillis(1000 + random.below(1000) as i64));
                home.set_deadline(&key, deadline);
            }
            800..=889 => drop(home.edit_string(&key, |bytes| bytes.extend(b"appended"))),
            890..=969 => {
                if let Some(stored) = home.take(&key) {
                    let other = DbIndex((db.0 + 1) % 3);
                    keyspace.at(other).expect("there are three").put(&key, stored);
                }
            }
            970..=984 => {
                home.expire_due(20);
            }
            985..=988 => keyspace.begin_undo(),
            989..=990 => keyspace.end_undo(),
            991..=992 => keyspace.roll_back(),
            993..=996 => keyspace.swap(db, DbIndex((db.0 + 1) % 3)),
            _ => {
                home.flush();
            }
        }
    }

    #[test]
    fn a_walk_shows_what_was_there_when_it_began_whatever_happens_meanwhile() {
        for seed in 0..12 {
            let mut random = Random::new(seed);
            let mut keyspace = keyspace();
            let keys = [10, 400, 20_000][seed as usize % 3];
            keyspace.freeze(UnixMillis(1), MonotonicMillis(1));
            for _ in 0..keys * 3 {
                change(&mut keyspace, &mut random, keys);
            }
            // Several walks of one keyspace, so that marks of earlier ones are met.
            for round in 0..3 {
                keyspace.freeze(UnixMillis(1 + 500 * round), MonotonicMillis(1 + 500 * round));
                let before = contents(&keyspace);
                let walked = keyspace.begin_walk(0);
                assert_eq!(walked.iter().map(|db| db.keys).sum::<usize>(), before.len());
                let (speed, mut taker) = (1 + random.below(200), Taker::default());
                let shrink = random.below(3) == 0;
                while !taker.is_done {
                    for _ in 0..random.below(speed) {
                        change(&mut keyspace, &mut random, if shrink { keys / 10 + 1 } else { keys * 2 });
                    }
                    if shrink {
                        let key = name(random.below(keys));
                        for db in keyspace.iter_mut() {
                            db.remove(&key);
                        }
                    }
                    taker.take(&mut keyspace);
                    (0..random.below(4)).for_each(|_| taker.work(&mut keyspace));
                }
                assert!(taker.shown == before, "seed {seed}, round {round}");
            }
        }
    }

    fn filled(keys: u64) -> Keyspace {
        let mut keyspace = keyspace();
        for key in 0..keys {
            keyspace.set_string(&name(key), b"sixteen bytes ..", Ttl::Clear);
        }
        keyspace
    }

    #[test]
    fn a_taker_that_does_nothing_gets_no_more_than_the_window() {
        let mut keyspace = filled(200_000);
        keyspace.begin_walk(0);
        let mut taker = Taker::default();
        (0..100).for_each(|_| taker.take(&mut keyspace));
        let pages: usize = taker.waiting.iter().map(|parcel| parcel.items.len()).sum();
        assert_eq!(pages, WINDOW_PAGES);
        assert!(!keyspace.walk_has_room());
        taker.finish(&mut keyspace);
        assert_eq!(taker.shown.len(), 200_000);
    }

    #[test]
    fn copies_for_a_slow_taker_stay_under_their_bound_when_writes_wait() {
        let mut keyspace = filled(300_000);
        let bytes = keyspace.table_bytes() as u64;
        keyspace.begin_walk(bytes);
        assert_eq!(keyspace.copies_limit(), MIN_COPIES);
        let (mut random, mut taker) = (Random::new(1), Taker::default());
        let (mut writes, mut waits) = (0, 0);
        while !taker.is_done {
            for _ in 0..500 {
                if keyspace.walk_is_behind() {
                    waits += 1;
                    break;
                }
                keyspace.set_string(&name(random.below(300_000)), b"another value ..", Ttl::Clear);
                writes += 1;
            }
            let copies = keyspace.walk().map_or(0, Walk::copies);
            assert!(copies <= MIN_COPIES + 8192, "{copies} bytes are copied");
            taker.take(&mut keyspace);
            taker.work(&mut keyspace);
        }
        assert!(waits > 0 && writes > 1000, "{waits} waits, {writes} writes");
        assert_eq!(taker.shown.len(), 300_000);
        assert!(taker.shown.values().all(|(_, value)| value == b"sixteen bytes .."));
    }

    #[test]
    fn chunks_of_a_large_value_that_writers_copy_count_as_copies() {
        let mut keyspace = keyspace();
        let limits = keyspace.limits();
        let fill = |keyspace: &mut Keyspace, value: &[u8]| {
            let hash = keyspace.write_or_create(b"h", |_| Hash::default()).expect("a hash");
            for field in 0..20_000 {
                hash.set(&name(field), value, &limits);
            }
        };
        fill(&mut keyspace, b"old");
        keyspace.begin_walk(0);
        let mut taker = Taker::default();
        taker.take(&mut keyspace);
        assert_eq!(keyspace.walk().map(Walk::copies), Some(0), "a reference costs nothing");
        fill(&mut keyspace, b"new");
        assert!(keyspace.walk().is_some_and(|walk| walk.copies() > 200_000));
        taker.finish(&mut keyspace);
        let (_, value) = taker.shown.pop_first().expect("one key").1;
        assert_eq!(value.windows(4).filter(|part| part == b"=old").count(), 20_000);
    }

    #[test]
    fn reading_touches_nothing_while_a_walk_is_under_way() {
        let mut keyspace = filled(1000);
        keyspace.freeze(UnixMillis(5000), MonotonicMillis(5000));
        keyspace.begin_walk(0);
        assert_eq!(keyspace.string(&name(5)), Ok(Some(&b"sixteen bytes .."[..])));
        let mut items = Vec::new();
        keyspace.collect_handed(&mut items);
        assert!(items.is_empty());
    }
}
