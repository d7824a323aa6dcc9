//! Keys on their way into a database, many at once: what a load consists of.
//!
//! A [`Batch`] is put together on any thread: it hashes the keys, looks whether strings are
//! integers, and keeps all bytes in one allocation. [`Batch::take_pieces`] brings the keys into the
//! order of their hashes, which is the order in which a dict keeps its pages: who takes a piece in
//! ([`Db::take_in`]) goes through memory from front to back instead of jumping about, which
//! otherwise is most of the time that a load takes. Pieces are small enough for a turn.
//!
//! Keys of a batch are new to the database; it says so if one is not. Nobody is told of them: no
//! key event, no key miss.

use super::Db;
use crate::base::hash::{HashSeed, siphash};
use crate::base::time::UnixMillis;
use crate::ds::dict::NewEntry;
use crate::keyspace::entry::{HEADER, MAX_INLINE_STRING, StringCoding, coding_for, header_byte};
use crate::keyspace::value::{Kind, Value};
use std::ops::Range;
use triomphe::Arc;

/// Keys of a piece at most.
pub const PIECE_KEYS: usize = 256;
/// Bytes of a piece after which it ends; one large value may be more.
const PIECE_BYTES: usize = 64 << 10;
/// Keys after which a batch is worth sorting.
const BATCH_KEYS: usize = 64 << 10;
/// Bytes after which a batch is full whatever the number of keys.
const BATCH_BYTES: usize = 8 << 20;

/// The length and the coding of the text of a value that is no string.
const NO_TEXT: (u8, StringCoding) = (0, StringCoding::Raw);

/// The content of a key, as it arrives.
#[derive(Debug)]
pub enum Content<'a> {
    /// A string short enough to be copied.
    Text(&'a [u8]),
    /// Anything.
    Value(Value),
}

impl Content<'_> {
    /// The type.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Content::Text(_) => Kind::String,
            Content::Value(value) => value.kind(),
        }
    }

    /// The number of elements; the number of bytes of a string.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Content::Text(text) => text.len(),
            Content::Value(value) => value.len(),
        }
    }

    /// True when nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The attributes that arrive beside a key and its value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// The time at which the key expires.
    pub deadline: Option<UnixMillis>,
    /// Seconds since its last use, if known.
    pub idle_secs: Option<u64>,
    /// Its access counter, if known.
    pub frequency: Option<u8>,
}

/// The treatment of a key that is there already when its like is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PresentKeys {
    /// The file is wrong: a key stands in it once.
    Refused,
    /// The file's value takes the place of the present one.
    Replaced,
}

/// The treatment of a key that has expired when it is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpiredKeys {
    /// It is not there.
    LeftOut,
    /// It is there as long as commands follow that may need it: the base of an append-only file.
    Kept,
}

/// The result of taking in a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TakenIn {
    /// Keys that are in the database now.
    pub keys: u64,
    /// Keys left out because their time had come.
    pub expired: u64,
}

/// Keys with their values, and all that can be found out about them beforehand.
#[derive(Debug)]
pub struct Batch {
    seed: HashSeed,
    /// Each key, behind it its text if that is its value.
    texts: Vec<u8>,
    arrivals: Vec<Arrival>,
    /// About what the values outside of `texts` take.
    value_bytes: usize,
}

#[derive(Debug)]
struct Arrival {
    hash: u64,
    /// The value, if it is no text.
    value: Option<Value>,
    deadline: Option<UnixMillis>,
    idle_secs: Option<u32>,
    start: u32,
    key_len: u32,
    text_len: u8,
    coding: StringCoding,
    frequency: Option<u8>,
}

// There are many, and they change hands three times.
const _: () = assert!(size_of::<Arrival>() == 64);
const _: () = assert!(MAX_INLINE_STRING <= u8::MAX as usize);

impl Batch {
    /// An empty batch for databases whose tables hash by `seed`, that of their limits.
    #[must_use]
    pub fn new(seed: HashSeed) -> Self {
        Batch { seed, texts: Vec::new(), arrivals: Vec::new(), value_bytes: 0 }
    }

    /// The number of keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.arrivals.len()
    }

    /// True when there is no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.arrivals.is_empty()
    }

    /// True when it should be cut into pieces before more is added.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.len() >= BATCH_KEYS || self.texts.len() + self.value_bytes >= BATCH_BYTES
    }

    /// Adds a key of at most 4 GiB to a batch that is not full.
    pub fn push(&mut self, key: &[u8], content: Content<'_>, attributes: Attributes) {
        let length = |bytes: usize| u32::try_from(bytes).expect("a batch takes one key too long for it");
        let (start, key_len) = (length(self.texts.len()), length(key.len()));
        self.texts.extend_from_slice(key);
        let (text, value) = match content {
            Content::Text(text) if text.len() <= MAX_INLINE_STRING => (self.add_text(text), None),
            Content::Text(text) => (NO_TEXT, Some(Value::String(Arc::new(text.to_vec())))),
            Content::Value(Value::String(text)) if text.len() <= MAX_INLINE_STRING => {
                (self.add_text(&text), None)
            }
            Content::Value(value) => (NO_TEXT, Some(value)),
        };
        let (text_len, coding) = text;
        self.value_bytes += value.as_ref().map_or(0, Value::len);
        let Attributes { deadline, idle_secs, frequency } = attributes;
        self.arrivals.push(Arrival {
            hash: siphash(&self.seed, key),
            value,
            deadline,
            // Only the last 24 bits count.
            idle_secs: idle_secs.map(|secs| secs as u32),
            start,
            key_len,
            text_len,
            coding,
            frequency,
        });
    }

    fn add_text(&mut self, text: &[u8]) -> (u8, StringCoding) {
        self.texts.extend_from_slice(text);
        (text.len() as u8, coding_for(text))
    }

    /// Takes the keys out, in the order of their hashes and in pieces small enough for a turn.
    #[must_use]
    pub fn take_pieces(&mut self) -> Vec<Batch> {
        let order = order_by_hash(&self.arrivals);
        let mut pieces = Vec::with_capacity(order.len() / PIECE_KEYS + 1);
        let mut piece = Batch::new(self.seed);
        for index in order {
            if piece.len() >= PIECE_KEYS || piece.texts.len() + piece.value_bytes >= PIECE_BYTES {
                pieces.push(std::mem::replace(&mut piece, Batch::new(self.seed)));
            }
            if piece.is_empty() {
                piece.arrivals.reserve_exact(PIECE_KEYS);
                piece.texts.reserve(PIECE_KEYS * self.texts.len() / self.arrivals.len());
            }
            piece.adopt(self, index as usize);
        }
        if !piece.is_empty() {
            pieces.push(piece);
        }
        // The allocations stay, for the next keys.
        self.texts.clear();
        self.arrivals.clear();
        self.value_bytes = 0;
        pieces
    }

    /// Moves one key of another batch to the end of this one.
    fn adopt(&mut self, other: &mut Batch, index: usize) {
        let arrival = &mut other.arrivals[index];
        let value = arrival.value.take();
        self.value_bytes += value.as_ref().map_or(0, Value::len);
        let texts = &other.texts[arrival.texts()];
        self.arrivals.push(Arrival { start: self.texts.len() as u32, value, ..*arrival });
        self.texts.extend_from_slice(texts);
    }
}

impl Arrival {
    /// Returns the range of key and text.
    fn texts(&self) -> Range<usize> {
        let start = self.start as usize;
        start..start + self.key_len as usize + usize::from(self.text_len)
    }
}

/// The indices of `arrivals` in the order of the first sixteen bits of their hashes.
fn order_by_hash(arrivals: &[Arrival]) -> Vec<u32> {
    /// Bits that one pass looks at, and where they lie.
    const DIGIT_BITS: u32 = 8;
    const SHIFTS: [u32; 2] = [48, 56];
    let mut order: Vec<u32> = (0..arrivals.len() as u32).collect();
    for shift in SHIFTS {
        let digit = |index: u32| (arrivals[index as usize].hash >> shift) as usize % (1 << DIGIT_BITS);
        let mut places = [0; 1 << DIGIT_BITS];
        order.iter().for_each(|&index| places[digit(index)] += 1);
        let mut sum = 0;
        for place in &mut places {
            sum += std::mem::replace(place, sum);
        }
        let mut sorted = vec![0; order.len()];
        for &index in &order {
            let place = &mut places[digit(index)];
            sorted[*place] = index;
            *place += 1;
        }
        order = sorted;
    }
    order
}

impl Db {
    /// Says that so many keys will arrive by [`Db::take_in`], 0 that no more do. The table then
    /// takes the shape it will need as they come, instead of growing through all smaller ones.
    pub fn anticipate(&mut self, keys: usize) {
        self.dict.anticipate(if keys == 0 { 0 } else { self.dict.len() + keys });
    }

    /// Takes in what a file holds. The first key that is there already, where that is refused, ends
    /// it: the key is the error.
    pub fn take_in(
        &mut self,
        batch: Batch,
        present_keys: PresentKeys,
        expired_keys: ExpiredKeys,
    ) -> Result<TakenIn, Vec<u8>> {
        /// About what an entry has beside key and text.
        const MORE_BYTES: usize = 8;
        let Batch { texts, arrivals, .. } = batch;
        arrivals.iter().for_each(|arrival| self.dict.prefetch(arrival.hash));
        for arrival in &arrivals {
            self.dict.prefetch_room(arrival.hash, arrival.texts().len() + MORE_BYTES);
        }
        let mut taken = TakenIn::default();
        for arrival in arrivals {
            let is_past = arrival.deadline.is_some_and(|deadline| deadline < self.now);
            if is_past && expired_keys == ExpiredKeys::LeftOut {
                taken.expired += 1;
                continue;
            }
            taken.keys += 1;
            let (key, text) = texts[arrival.texts()].split_at(arrival.key_len as usize);
            self.take_in_key(key, text, arrival, present_keys).map_err(|Present| key.to_vec())?;
        }
        Ok(taken)
    }

    fn take_in_key(
        &mut self,
        key: &[u8],
        text: &[u8],
        arrival: Arrival,
        present_keys: PresentKeys,
    ) -> Result<(), Present> {
        let header = self.arrival_header(&arrival);
        let Arrival { hash, value, deadline, .. } = arrival;
        debug_assert_eq!(hash, self.dict.hash(key), "a batch hashes as its database does");
        debug_assert!(!self.undo.is_on(), "nothing is loaded while a script runs");
        let deadline = deadline.map(|deadline| deadline.0);
        let new = NewEntry { deadline, payload: &[&header, text], object: value };
        if present_keys == PresentKeys::Refused {
            return if self.dict.insert_new(hash, key, new) { Ok(()) } else { Err(Present) };
        }
        let replaced = self.dict.insert_hashed(hash, key, new);
        self.discard(replaced.and_then(|replaced| replaced.object));
        Ok(())
    }

    fn arrival_header(&self, arrival: &Arrival) -> [u8; HEADER] {
        let (kind, coding) = match &arrival.value {
            Some(Value::String(bytes)) => (Kind::String, coding_for(bytes)),
            Some(value) => (value.kind(), StringCoding::Raw),
            None => (Kind::String, arrival.coding),
        };
        let restored = self.access.restored(arrival.idle_secs.map(u64::from), arrival.frequency);
        let access = restored.unwrap_or_else(|| self.access.fresh()).to_le_bytes();
        [header_byte(kind, coding), access[0], access[1], access[2]]
    }
}

/// The key is there already.
struct Present;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::MonotonicMillis;
    use crate::keyspace::{DbIndex, EncodingLimits, Hash};

    fn db() -> Db {
        let mut db = Db::new(DbIndex(0), EncodingLimits::default(), 7);
        db.freeze(UnixMillis(1_000_000), MonotonicMillis(1_000_000));
        db
    }

    fn taken_in(db: &mut Db, mut batch: Batch) -> Result<u64, Vec<u8>> {
        let mut keys = 0;
        for piece in batch.take_pieces() {
            assert!(!piece.is_empty() && piece.len() <= PIECE_KEYS);
            keys += db.take_in(piece, PresentKeys::Refused, ExpiredKeys::LeftOut)?.keys;
        }
        Ok(keys)
    }

    fn name(number: u64) -> Vec<u8> {
        format!("key:{number}").into_bytes()
    }

    #[test]
    fn what_arrives_is_there_as_if_it_had_been_set() {
        let (mut bulk, mut single) = (db(), db());
        let limits = single.limits();
        let mut batch = Batch::new(limits.seed);
        bulk.anticipate(3000);
        for number in 0..3000 {
            let (key, deadline) =
                (name(number), (number % 3 == 0).then(|| UnixMillis(2_000_000 + number as i64)));
            let attributes = Attributes { deadline, ..Attributes::default() };
            let text = b"0123456789".repeat(number as usize % 30);
            if number % 10 == 7 {
                let mut hash = Hash::default();
                hash.set(b"field", &text, &limits);
                batch.push(&key, Content::Value(Value::Hash(hash.clone())), attributes);
                single.insert(&key, Value::Hash(hash), deadline);
            } else {
                let content = if number % 2 == 0 {
                    Content::Text(&text)
                } else {
                    Content::Value(Value::String(Arc::new(text.clone())))
                };
                batch.push(&key, content, attributes);
                single.insert(&key, Value::String(Arc::new(text)), deadline);
            }
        }
        assert_eq!(taken_in(&mut bulk, batch), Ok(3000));
        bulk.anticipate(0);
        assert_eq!((bulk.len(), bulk.deadlines_len()), (single.len(), single.deadlines_len()));
        assert_eq!(bulk.next_deadline(), single.next_deadline());
        for number in 0..3000 {
            let [one, two] = [&mut bulk, &mut single].map(|db| {
                let view = db.peek(&name(number)).expect("it was put in");
                format!("{view:?} {}", view.encoding())
            });
            assert_eq!(one, two);
        }
    }

    #[test]
    fn a_key_that_is_there_already_is_refused_or_replaced() {
        let mut db = db();
        let batch = |texts: &[&str]| {
            let mut batch = Batch::new(EncodingLimits::default().seed);
            for text in texts {
                batch.push(b"key", Content::Text(text.as_bytes()), Attributes::default());
            }
            batch
        };
        assert_eq!(taken_in(&mut db, batch(&["one", "two"])), Err(b"key".to_vec()));
        assert_eq!(taken_in(&mut db, batch(&["three"])), Err(b"key".to_vec()));
        assert_eq!(db.string(b"key"), Ok(Some(&b"one"[..])));
        let replaced = db.take_in(batch(&["four"]), PresentKeys::Replaced, ExpiredKeys::LeftOut);
        assert_eq!(replaced, Ok(TakenIn { keys: 1, expired: 0 }));
        assert_eq!(db.string(b"key"), Ok(Some(&b"four"[..])));
    }

    #[test]
    fn keys_whose_time_has_come_are_left_out_or_kept() {
        let batch = || {
            let mut batch = Batch::new(EncodingLimits::default().seed);
            for ms in [999_999, 1_000_000] {
                let attributes = Attributes { deadline: Some(UnixMillis(ms)), ..Attributes::default() };
                batch.push(&name(ms as u64), Content::Text(b"text"), attributes);
            }
            batch
        };
        for (rule, keys) in [(ExpiredKeys::LeftOut, 1), (ExpiredKeys::Kept, 2)] {
            let mut db = db();
            let taken = db.take_in(batch(), PresentKeys::Refused, rule).expect("they are new");
            assert_eq!((taken.keys, taken.expired, db.len() as u64), (keys, 2 - keys, keys));
        }
    }

    #[test]
    fn pieces_follow_the_order_of_hashes_and_are_small() {
        let mut batch = Batch::new(EncodingLimits::default().seed);
        let mut keys = 0;
        while !batch.is_full() {
            batch.push(&name(keys), Content::Text(&b"text"[..]), Attributes::default());
            keys += 1;
        }
        assert_eq!(keys as usize, BATCH_KEYS);
        let pieces = batch.take_pieces();
        let hashes: Vec<u64> =
            pieces.iter().flat_map(|piece| piece.arrivals.iter().map(|arrival| arrival.hash >> 48)).collect();
        assert!(hashes.is_sorted() && hashes.len() == BATCH_KEYS);
        let mut batch = Batch::new(EncodingLimits::default().seed);
        for number in 0..9 {
            batch.push(&name(number), Content::Text(&[b'x'; PIECE_BYTES]), Attributes::default());
        }
        assert_eq!(batch.take_pieces().len(), 9);
    }
}
