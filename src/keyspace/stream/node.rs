//! A node: up to some hundred entries of a stream in one listpack, in Redis's own form.
//!
//! ```text
//! live | deleted | n | field 1 … field n | 0            the master entry
//! flags | ms | seq | value 1 … value n | pieces         an entry with the master's fields
//! flags | ms | seq | k | field 1 | value 1 … | pieces   an entry with k fields of its own
//! ```
//!
//! The first entry of a node gives the master its fields and its ID; `ms` and `seq` of every entry
//! are differences to that. `pieces` is the number of elements before it that belong to the entry,
//! to walk backwards. An entry that is deleted only gets a flag, so what follows stays where it is;
//! a node goes when its last living entry does.
//!
//! DUMP and RDB files carry these bytes as they are, so they must be what Redis would have written.

use super::id::StreamId;
use crate::ds::counted_tree::Leaf;
use crate::ds::listpack::{self, Cursor, Listpack, ListpackValue, MAX_BYTES};

const DELETED: i64 = 1;
const SAME_FIELDS: i64 = 2;
/// Elements of an entry besides its fields and values: the flags and both halves of the ID.
const FIXED_PIECES: usize = 3;
/// Elements of a master entry before its fields.
const MASTER_NUMBERS: usize = 3;
/// The most bytes that numbers of an entry or a master entry take, besides its texts: five of nine
/// bytes and as many of one byte to walk back.
const NUMBERS_BYTES: usize = 50;
/// The most bytes that a text takes besides itself: its length, written before and behind it.
const MAX_TEXT_OVERHEAD: usize = 10;

const FITS: &str = "its size was looked at before";
const HAS_MASTER: &str = "every node begins with a master entry";

/// Fields and values of an entry in turn: an even number of texts.
pub type Pairs<'a> = &'a [&'a [u8]];

/// Entries in one piece; see the file's doc.
#[derive(Clone)]
pub struct Node {
    master: StreamId,
    listpack: Listpack,
}

/// An entry, seen in place.
#[derive(Clone)]
pub struct StreamEntry<'a> {
    /// Its ID.
    pub id: StreamId,
    is_deleted: bool,
    flags: Cursor,
    len: usize,
    /// The master's fields, if they are the entry's.
    names: Option<listpack::Iter<'a>>,
    pieces: listpack::Iter<'a>,
}

impl<'a> StreamEntry<'a> {
    /// The number of fields.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// True when there is no field, which no entry is like.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Fields with their values.
    pub fn fields(&self) -> impl Iterator<Item = (ListpackValue<'a>, ListpackValue<'a>)> + use<'a> {
        let (mut names, mut pieces) = (self.names.clone(), self.pieces.clone());
        (0..self.len).map_while(move |_| {
            let (_, name) = names.as_mut().unwrap_or(&mut pieces).next()?;
            Some((name, pieces.next()?.1))
        })
    }
}

impl Node {
    /// A node of one entry. `None` when no listpack is large enough for it.
    pub(super) fn of(id: StreamId, pairs: Pairs<'_>) -> Option<Node> {
        let numbers = [1, 0, pairs.len() as i64 / 2].map(ListpackValue::Int);
        let names = pairs.iter().step_by(2).map(|name| ListpackValue::of(name));
        let master = numbers.into_iter().chain(names).chain([ListpackValue::Int(0)]);
        let mut listpack = Listpack::new();
        listpack.push_back_all(master.chain(pieces(Fields::Masters, 0, 0, pairs))).ok()?;
        Some(Node { master: id, listpack })
    }

    /// Takes a node from outside after checking everything that later reads rely on. The texts of
    /// the errors are for the log.
    pub fn checked(master: StreamId, listpack: Listpack) -> Result<Node, &'static str> {
        let mut rest = listpack.iter();
        let mut number = || match rest.next() {
            Some((_, ListpackValue::Int(number))) => Ok(number),
            _ => Err(
                "Stream listpack integrity check failed: a node whose master entry has no number where one belongs",
            ),
        };
        let counts = (number()?, number()?);
        let fields = usize::try_from(number()?)
            .map_err(|_| "Stream listpack integrity check failed: a node with less than no fields")?;
        rest.pass(fields);
        if !matches!(rest.next(), Some((_, ListpackValue::Int(0)))) {
            return Err("Stream listpack integrity check failed: a node whose master entry does not end");
        }
        let (mut living, mut deleted, mut last) = (0, 0, None);
        while let Some(entry) = CheckedEntry::next(&mut rest, fields)? {
            let id = entry.id(master);
            if entry.flags & DELETED != 0 {
                // Redis: XSETID may let smaller IDs follow it.
                deleted += 1;
                continue;
            }
            if id == StreamId::MIN || last.map_or(id < master, |last| id <= last) {
                return Err("Stream listpack integrity check failed: a node with entries out of order");
            }
            last = Some(id);
            living += 1;
        }
        if living + deleted == 0 || counts != (living, deleted) {
            return Err(
                "Stream listpack integrity check failed: a node with another number of entries than it says",
            );
        }
        Ok(Node { master, listpack })
    }

    /// The ID that the node was begun with.
    #[must_use]
    pub fn master(&self) -> StreamId {
        self.master
    }

    /// The entries as an RDB file keeps them.
    #[must_use]
    pub fn listpack(&self) -> &Listpack {
        &self.listpack
    }

    /// Returns the number of entries that live.
    pub(super) fn living(&self) -> usize {
        self.number(0) as usize
    }

    fn deleted(&self) -> usize {
        self.number(1) as usize
    }

    /// True when an entry of `pairs` may still join. Redis: of the entry only its text counts, and
    /// deleted entries count as well; a limit of 0 is none.
    pub(super) fn has_room(&self, pairs: Pairs<'_>, max_bytes: usize, max_entries: usize) -> bool {
        let text: usize = pairs.iter().map(|piece| piece.len()).sum();
        let max_bytes = if max_bytes == 0 { MAX_BYTES } else { max_bytes.min(MAX_BYTES) };
        let most = self.listpack.byte_len() + text + pairs.len() * MAX_TEXT_OVERHEAD + NUMBERS_BYTES;
        self.listpack.byte_len() + text < max_bytes
            && (max_entries == 0 || self.living() + self.deleted() < max_entries)
            && most <= MAX_BYTES
    }

    /// Adds an entry at the end, for which there is room.
    pub(super) fn push_entry(&mut self, id: StreamId, pairs: Pairs<'_>) {
        let fields = if self.has_fields(pairs) { Fields::Masters } else { Fields::Own };
        let ms = id.ms.wrapping_sub(self.master.ms) as i64;
        let seq = id.seq.wrapping_sub(self.master.seq) as i64;
        self.listpack.push_back_all(pieces(fields, ms, seq, pairs)).expect(FITS);
        let first = self.listpack.first().expect(HAS_MASTER);
        self.set_int(first, self.living() as i64 + 1);
    }

    /// Gives back the room kept for growing.
    pub(super) fn close(&mut self) {
        self.listpack.shrink_to_fit();
    }

    /// The living entries in order.
    pub(super) fn entries(&self) -> impl Iterator<Item = StreamEntry<'_>> + Clone {
        self.all_entries().filter(|entry| !entry.is_deleted)
    }

    /// The living entries, last to first.
    pub(super) fn entries_rev(&self) -> impl Iterator<Item = StreamEntry<'_>> + Clone {
        self.all_entries_rev().filter(|entry| !entry.is_deleted)
    }

    /// The living entry with this ID.
    pub(super) fn get(&self, id: StreamId) -> Option<StreamEntry<'_>> {
        self.entries().find(|entry| entry.id >= id).filter(|entry| entry.id == id)
    }

    /// The largest ID of a living entry.
    pub(super) fn last_living_id(&self) -> Option<StreamId> {
        self.entries_rev().next().map(|entry| entry.id)
    }

    /// The ID of the last entry, whether it lives or not.
    pub(super) fn last_id(&self) -> StreamId {
        self.all_entries_rev().next().map_or(self.master, |entry| entry.id)
    }

    /// Deletes the living entry with this ID, if there is one.
    pub(super) fn delete(&mut self, id: StreamId) {
        let flags: Vec<_> = self.get(id).map(|entry| entry.flags).into_iter().collect();
        self.flag_deleted(&flags);
    }

    fn flag_deleted(&mut self, flags: &[Cursor]) {
        // From the last on: a file may spell flags longer than they get here.
        for &cursor in flags.iter().rev() {
            if let ListpackValue::Int(old) = self.listpack.value(cursor) {
                self.set_int(cursor, old | DELETED);
            }
        }
        let (living, deleted) = (self.living() - flags.len(), self.deleted() + flags.len());
        let first = self.listpack.first().expect(HAS_MASTER);
        self.set_int(first, living as i64);
        let second = self.listpack.next(first).expect(HAS_MASTER);
        self.set_int(second, deleted as i64);
    }

    fn all_entries(&self) -> Entries<'_> {
        let mut rest = self.listpack.iter();
        rest.pass(MASTER_NUMBERS);
        let (names, master_fields) = (rest.clone(), self.number(2) as usize);
        rest.pass(master_fields + 1);
        Entries { master: self.master, master_fields, names, rest }
    }

    fn all_entries_rev(&self) -> EntriesRev<'_> {
        EntriesRev { listpack: &self.listpack, forward: self.all_entries(), end: self.listpack.last() }
    }

    fn has_fields(&self, pairs: Pairs<'_>) -> bool {
        let mut names = self.listpack.iter();
        names.pass(MASTER_NUMBERS);
        self.number(2) as usize == pairs.len() / 2
            && pairs.iter().step_by(2).zip(names).all(|(field, (_, name))| name.eq_bytes(field))
    }

    /// A number of the master entry: living entries, deleted ones, fields.
    fn number(&self, index: usize) -> i64 {
        let mut numbers = self.listpack.iter();
        numbers.pass(index);
        numbers.next().map_or(0, |(_, value)| int(value))
    }

    fn set_int(&mut self, cursor: Cursor, number: i64) {
        self.listpack.replace_value(cursor, ListpackValue::Int(number)).expect(FITS);
    }
}

/// Whose fields an entry has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fields {
    Masters,
    Own,
}

/// The pieces of a new entry; `ms` and `seq` are differences to the master's ID.
fn pieces<'a>(
    fields: Fields,
    ms: i64,
    seq: i64,
    pairs: Pairs<'a>,
) -> impl Iterator<Item = ListpackValue<'a>> + Clone {
    let len = pairs.len() / 2;
    let (flags, own_len, left_out, pieces) = match fields {
        Fields::Masters => (SAME_FIELDS, None, 1, FIXED_PIECES + len),
        Fields::Own => (0, Some(len as i64), 0, FIXED_PIECES + 1 + 2 * len),
    };
    let numbers = [flags, ms, seq].into_iter().chain(own_len).map(ListpackValue::Int);
    // Of the fields and values in turn all, or the values.
    let texts = pairs.iter().skip(left_out).step_by(left_out + 1);
    numbers.chain(texts.map(|text| ListpackValue::of(text))).chain([ListpackValue::Int(pieces as i64)])
}

/// Numbers are kept as numbers: [`Node::checked`] saw to it.
fn int(value: ListpackValue<'_>) -> i64 {
    match value {
        ListpackValue::Int(number) => number,
        ListpackValue::Bytes(_) => 0,
    }
}

/// The entries of a node in order, deleted ones included.
#[derive(Clone)]
struct Entries<'a> {
    master: StreamId,
    master_fields: usize,
    names: listpack::Iter<'a>,
    rest: listpack::Iter<'a>,
}

impl<'a> Iterator for Entries<'a> {
    type Item = StreamEntry<'a>;

    fn next(&mut self) -> Option<StreamEntry<'a>> {
        let (cursor, flags) = self.rest.next()?;
        let flags = int(flags);
        let ms = self.master.ms.wrapping_add(int(self.rest.next()?.1) as u64);
        let seq = self.master.seq.wrapping_add(int(self.rest.next()?.1) as u64);
        let has_same_fields = flags & SAME_FIELDS != 0;
        let len = if has_same_fields { self.master_fields } else { int(self.rest.next()?.1) as usize };
        let entry = StreamEntry {
            id: StreamId { ms, seq },
            is_deleted: flags & DELETED != 0,
            flags: cursor,
            len,
            names: has_same_fields.then(|| self.names.clone()),
            pieces: self.rest.clone(),
        };
        self.rest.pass(if has_same_fields { len } else { 2 * len } + 1);
        Some(entry)
    }
}

/// The entries of a node, last to first, deleted ones included.
#[derive(Clone)]
struct EntriesRev<'a> {
    listpack: &'a Listpack,
    /// Any place: it is moved to the entry to be read.
    forward: Entries<'a>,
    /// The last element of what was not passed.
    end: Option<Cursor>,
}

impl<'a> Iterator for EntriesRev<'a> {
    type Item = StreamEntry<'a>;

    fn next(&mut self) -> Option<StreamEntry<'a>> {
        let end = self.end?;
        let pieces = int(self.listpack.value(end));
        if pieces == 0 {
            return None;
        }
        let flags = (0..pieces).try_fold(end, |at, _| self.listpack.prev(at))?;
        self.end = self.listpack.prev(flags);
        self.forward.rest = self.listpack.iter_from(flags);
        self.forward.next()
    }
}

/// An entry of a node that nobody has checked yet.
struct CheckedEntry {
    flags: i64,
    ms: i64,
    seq: i64,
}

impl CheckedEntry {
    /// The next one, `None` at the end. All its pieces are there, and their number is right.
    fn next(
        rest: &mut listpack::Iter<'_>,
        master_fields: usize,
    ) -> Result<Option<CheckedEntry>, &'static str> {
        let broken = "Stream listpack integrity check failed: a node with a broken entry";
        let Some((_, first)) = rest.next() else { return Ok(None) };
        let ListpackValue::Int(flags @ 0..=3) = first else { return Err(broken) };
        let mut number = || match rest.next() {
            Some((_, ListpackValue::Int(number))) => Ok(number),
            _ => Err(broken),
        };
        let (ms, seq) = (number()?, number()?);
        let pieces = if flags & SAME_FIELDS != 0 {
            FIXED_PIECES as i64 + master_fields as i64
        } else {
            let fields = number()?;
            // A negative or huge one finds no such number of pieces.
            fields
                .checked_mul(2)
                .and_then(|texts| texts.checked_add(FIXED_PIECES as i64 + 1))
                .ok_or(broken)?
        };
        let texts = pieces - FIXED_PIECES as i64 - i64::from(flags & SAME_FIELDS == 0);
        if texts == 0 {
            // Redis takes it, but no command could add it when a file of commands is read.
            return Err("Stream listpack integrity check failed: a node with an entry without fields");
        }
        rest.pass(usize::try_from(texts).map_err(|_| broken)?);
        match rest.next() {
            Some((_, ListpackValue::Int(said))) if said == pieces => {
                Ok(Some(CheckedEntry { flags, ms, seq }))
            }
            _ => Err(broken),
        }
    }

    fn id(&self, master: StreamId) -> StreamId {
        StreamId { ms: master.ms.wrapping_add(self.ms as u64), seq: master.seq.wrapping_add(self.seq as u64) }
    }
}

impl Leaf for Node {
    type Mark = StreamId;
    type Limits = ();

    fn len(&self) -> usize {
        self.living()
    }

    fn mark(&self) -> StreamId {
        self.master
    }

    /// Nodes stay as they were written.
    fn should_merge(&self, _: &Self, (): ()) -> bool {
        false
    }

    fn append(&mut self, _: &Self) {
        unreachable!("nodes are never merged");
    }

    fn remove_range(&mut self, start: usize, count: usize) {
        let flags: Vec<_> = self.entries().skip(start).take(count).map(|entry| entry.flags).collect();
        self.flag_deleted(&flags);
    }

    fn heap_bytes(&self) -> usize {
        self.listpack.heap_bytes()
    }

    /// A reference, which counts for itself when it is copied.
    fn clone_bytes(&self) -> usize {
        0
    }
}
