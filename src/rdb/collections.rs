//! Reading collections, in all the forms that Redis's versions have written.
//!
//! Large forms are a count and the elements; small ones are one string holding a flat structure,
//! which becomes the value as it is once it has been checked. Whatever is found twice where it may
//! be once, or is not a number where one belongs, makes the value corrupt, as with Redis's
//! `sanitize-dump-payload yes`.

use super::error::RdbError;
use super::reader::RdbReader;
use super::ziplist::{Ziplist, Zipmap};
use crate::base::number;
use crate::ds::intset::Intset;
use crate::ds::listpack::{Listpack, ListpackValue};
use crate::keyspace::{EncodingLimits, Hash, List, Set, SortedSet};
use std::io::BufRead;

/// Larger ziplists become several chunks of a list.
const MAX_CHUNK_BYTES: usize = 64 << 10;

/// The containers of a quicklist's nodes.
pub(super) const PLAIN_NODE: u64 = 1;
pub(super) const PACKED_NODE: u64 = 2;

/// The format in which a sorted set's scores are written.
#[derive(Clone, Copy)]
pub(super) enum Scores {
    /// One byte of length and text.
    Text,
    /// Eight bytes.
    Binary,
}

/// The format in which the nodes of a quicklist are written.
#[derive(Clone, Copy)]
pub(super) enum Nodes {
    /// Ziplists.
    Ziplists,
    /// Each says whether it is a listpack or one long element.
    Marked,
}

impl<R: BufRead> RdbReader<R> {
    pub(super) fn list(&mut self, limits: &EncodingLimits) -> Result<List, RdbError> {
        let mut list = List::new(limits);
        for _ in 0..self.length()? {
            list.elements.push_back(&self.string()?);
        }
        Ok(list)
    }

    pub(super) fn list_of_ziplist(&mut self, limits: &EncodingLimits) -> Result<List, RdbError> {
        let mut list = List::new(limits);
        let bytes = self.string()?;
        let ziplist =
            Ziplist::checked(&bytes).ok_or_else(|| self.corrupt("List ziplist integrity check failed"))?;
        append(&mut list, ziplist, bytes.len());
        Ok(list)
    }

    pub(super) fn quicklist(&mut self, nodes: Nodes, limits: &EncodingLimits) -> Result<List, RdbError> {
        let mut list = List::new(limits);
        for _ in 0..self.length()? {
            let container = match nodes {
                Nodes::Ziplists => PACKED_NODE,
                Nodes::Marked => self.length()?,
            };
            let bytes = self.string()?;
            match (container, nodes) {
                (PLAIN_NODE, _) if bytes.is_empty() => {
                    return Err(self.corrupt("a list's node without bytes"));
                }
                (PLAIN_NODE, _) => list.elements.append_plain(bytes),
                (PACKED_NODE, Nodes::Marked) => list.elements.append_listpack(self.listpack(bytes)?),
                (PACKED_NODE, Nodes::Ziplists) => {
                    let ziplist = Ziplist::checked(&bytes);
                    append(
                        &mut list,
                        ziplist.ok_or_else(|| self.corrupt("Quicklist ziplist integrity check failed"))?,
                        bytes.len(),
                    );
                }
                _ => return Err(self.corrupt("a list's node of unknown form")),
            }
        }
        Ok(list)
    }

    pub(super) fn set(&mut self, limits: &EncodingLimits) -> Result<Set, RdbError> {
        let mut set = Set::new();
        for _ in 0..self.length()? {
            if !set.insert(&self.string()?, limits) {
                return Err(self.corrupt("a set with the same member twice"));
            }
        }
        Ok(set)
    }

    pub(super) fn set_of_intset(&mut self, limits: &EncodingLimits) -> Result<Set, RdbError> {
        let ints = Intset::from_bytes_checked(self.string()?)
            .map_err(|_| self.corrupt("Intset integrity check failed"))?;
        Ok(Set::from_intset(ints, limits))
    }

    pub(super) fn set_of_listpack(&mut self, limits: &EncodingLimits) -> Result<Set, RdbError> {
        let bytes = self.string()?;
        let members = self.listpack(bytes)?;
        let mut set = Set::new();
        if members.iter().all(|(_, member)| set.insert_member(member, limits)) {
            Ok(set)
        } else {
            Err(self.corrupt("a set with the same member twice"))
        }
    }

    pub(super) fn hash(&mut self, limits: &EncodingLimits) -> Result<Hash, RdbError> {
        let mut hash = Hash::new();
        for _ in 0..self.length()? {
            let (field, value) = (self.string()?, self.string()?);
            if !hash.set(&field, &value, limits) {
                return Err(self.corrupt("a hash with the same field twice"));
            }
        }
        Ok(hash)
    }

    pub(super) fn hash_of_listpack(&mut self, limits: &EncodingLimits) -> Result<Hash, RdbError> {
        let bytes = self.string()?;
        let pairs = self.listpack(bytes)?;
        self.hash_of_pairs(pairs, limits)
    }

    pub(super) fn hash_of_ziplist(&mut self, limits: &EncodingLimits) -> Result<Hash, RdbError> {
        let bytes = self.string()?;
        let ziplist =
            Ziplist::checked(&bytes).ok_or_else(|| self.corrupt("Hash ziplist integrity check failed"))?;
        let pairs = self.repacked(ziplist)?;
        self.hash_of_pairs(pairs, limits)
    }

    pub(super) fn hash_of_zipmap(&mut self, limits: &EncodingLimits) -> Result<Hash, RdbError> {
        let bytes = self.string()?;
        let zipmap = Zipmap::checked(&bytes).ok_or_else(|| self.corrupt("Zipmap integrity check failed"))?;
        let mut hash = Hash::new();
        if zipmap.iter().all(|(field, value)| hash.set(field, value, limits)) {
            Ok(hash)
        } else {
            Err(self.corrupt("a hash with the same field twice"))
        }
    }

    /// Redis loads every set of this kind as a tree and packs it when it is complete, if it fits:
    /// one that does not fit keeps a score of -0, which packed ones have as 0.
    pub(super) fn sorted_set(
        &mut self,
        scores: Scores,
        limits: &EncodingLimits,
    ) -> Result<SortedSet, RdbError> {
        let length = self.length()?;
        let mut set = SortedSet::new();
        let mut few = Vec::new();
        if length > limits.zset_max_listpack_entries as u64 {
            set.become_tree(limits);
        } else {
            for _ in 0..length {
                few.push(self.scored_member(scores)?);
            }
            if few.iter().any(|(member, _)| member.len() > limits.zset_max_listpack_value) {
                set.become_tree(limits);
            }
        }
        let mut few = few.into_iter();
        for _ in 0..length {
            let (member, score) = few.next().map_or_else(|| self.scored_member(scores), Ok)?;
            if !set.add(&member, score, limits) {
                return Err(self.corrupt("a sorted set with the same member twice"));
            }
        }
        Ok(set)
    }

    fn scored_member(&mut self, scores: Scores) -> Result<(Vec<u8>, f64), RdbError> {
        let member = self.string()?;
        let score = match scores {
            Scores::Binary => f64::from_le_bytes(self.array()?),
            Scores::Text => self.score_text()?,
        };
        if score.is_nan() {
            return Err(self.corrupt("a sorted set with a score that is no number"));
        }
        Ok((member, score))
    }

    pub(super) fn sorted_set_of_listpack(&mut self, limits: &EncodingLimits) -> Result<SortedSet, RdbError> {
        let bytes = self.string()?;
        let pairs = self.listpack(bytes)?;
        self.sorted_set_of_pairs(pairs, limits)
    }

    pub(super) fn sorted_set_of_ziplist(&mut self, limits: &EncodingLimits) -> Result<SortedSet, RdbError> {
        let bytes = self.string()?;
        let ziplist =
            Ziplist::checked(&bytes).ok_or_else(|| self.corrupt("Zset ziplist integrity check failed"))?;
        let pairs = self.repacked(ziplist)?;
        self.sorted_set_of_pairs(pairs, limits)
    }

    fn hash_of_pairs(&self, pairs: Listpack, limits: &EncodingLimits) -> Result<Hash, RdbError> {
        let fields = pairs.iter().map(|(_, text)| text).step_by(2);
        if !pairs.len().is_multiple_of(2) || !are_different(fields) {
            return Err(self.corrupt("Hash integrity check failed: not pairs with different fields"));
        }
        Ok(Hash::from_listpack(pairs, limits))
    }

    fn sorted_set_of_pairs(&self, pairs: Listpack, limits: &EncodingLimits) -> Result<SortedSet, RdbError> {
        let set = SortedSet::from_listpack(pairs, limits);
        set.ok_or_else(|| {
            self.corrupt("Zset integrity check failed: not different members with their scores")
        })
    }

    fn listpack(&self, bytes: Vec<u8>) -> Result<Listpack, RdbError> {
        Listpack::from_bytes_checked(bytes).map_err(|_| self.corrupt("Listpack integrity check failed"))
    }

    /// The elements of a ziplist as a listpack.
    fn repacked(&self, ziplist: Ziplist<'_>) -> Result<Listpack, RdbError> {
        to_listpack(ziplist).ok_or_else(|| self.corrupt("a ziplist too large for a listpack"))
    }

    /// A score as versions before 8 wrote it.
    fn score_text(&mut self) -> Result<f64, RdbError> {
        match self.byte()? {
            255 => Ok(f64::NEG_INFINITY),
            254 => Ok(f64::INFINITY),
            253 => Ok(f64::NAN),
            len => {
                let text = self.bytes(u64::from(len))?;
                let number = number::strtod(&text);
                if number.consumed == 0 {
                    return Err(self.corrupt("a score that is no number"));
                }
                Ok(number.value)
            }
        }
    }
}

fn append(list: &mut List, ziplist: Ziplist<'_>, bytes: usize) {
    let small = if bytes <= MAX_CHUNK_BYTES { to_listpack(ziplist) } else { None };
    match small {
        Some(listpack) => list.elements.append_listpack(listpack),
        None => {
            for value in ziplist.iter() {
                value.with_bytes(|element| list.elements.push_back(element));
            }
        }
    }
}

/// `None` if it is larger than a listpack can be.
fn to_listpack(ziplist: Ziplist<'_>) -> Option<Listpack> {
    let mut listpack = Listpack::new();
    for value in ziplist.iter() {
        value.with_bytes(|element| listpack.push_back(element)).ok()?;
    }
    listpack.shrink_to_fit();
    Some(listpack)
}

/// True when no text stands twice, however it is encoded. Sorting needs no memory per text.
fn are_different<'a>(texts: impl Iterator<Item = ListpackValue<'a>>) -> bool {
    #[derive(PartialEq, Eq, PartialOrd, Ord)]
    enum Text<'a> {
        Int(i64),
        Bytes(&'a [u8]),
    }
    let canonical = |text| match text {
        ListpackValue::Int(int) => Text::Int(int),
        ListpackValue::Bytes(bytes) => number::parse_i64(bytes).map_or(Text::Bytes(bytes), Text::Int),
    };
    let mut texts: Vec<Text<'_>> = texts.map(canonical).collect();
    texts.sort_unstable();
    texts.windows(2).all(|two| two[0] != two[1])
}
