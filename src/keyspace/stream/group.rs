//! A consumer group: how far it has read, and which entries it waits for to be acknowledged.
//!
//! Pending entries stand in one map by ID, with their consumer, and their IDs once more with each
//! consumer, so that a consumer's own history costs no look at those of others.

use super::consumers::{ConsumerNumber, Consumers};
use super::id::StreamId;
use crate::ds::sorted_rows::{Row, SortedRows};
use std::hint::black_box;

/// Entries that are looked up side by side.
const AT_ONCE: usize = 10;

/// An entry that was given to a consumer and not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// The entry, which may have been deleted meanwhile.
    pub id: StreamId,
    /// The time at which it was given to the consumer last, Unix time in milliseconds.
    pub delivered_ms: i64,
    /// The number of times that it was given to one.
    pub deliveries: u64,
    /// The consumer that it was given to.
    pub consumer: ConsumerNumber,
}

impl Row for Pending {
    type Key = StreamId;

    fn key(&self) -> StreamId {
        self.id
    }
}

impl Row for StreamId {
    type Key = StreamId;

    fn key(&self) -> StreamId {
        *self
    }
}

/// A group. A clone shares all pending entries.
#[derive(Clone, Debug)]
pub struct Group {
    /// The ID of the last entry it was given.
    pub last_id: StreamId,
    /// The number of entries that were added up to that one, if it is known.
    pub entries_read: Option<u64>,
    pending: SortedRows<Pending>,
    consumers: Consumers,
}

impl Group {
    /// A group without consumers that gets the entries after `last_id`.
    #[must_use]
    pub fn new(last_id: StreamId, entries_read: Option<u64>) -> Group {
        Group { last_id, entries_read, pending: SortedRows::default(), consumers: Consumers::default() }
    }

    /// All pending entries by ID.
    #[must_use]
    pub fn pending(&self) -> &SortedRows<Pending> {
        &self.pending
    }

    /// Its consumers.
    #[must_use]
    pub fn consumers(&self) -> &Consumers {
        &self.consumers
    }

    /// Its consumers, to add one or to note that one was seen.
    pub fn consumers_mut(&mut self) -> &mut Consumers {
        &mut self.consumers
    }

    /// Makes an entry pending, or changes one that is: it goes over to the consumer it names.
    pub fn set_pending(&mut self, pending: Pending) {
        let old = self.pending.insert(pending);
        match old {
            Some(old) if old.consumer == pending.consumer => return,
            Some(old) => self.consumers.remove_pending(old.consumer, pending.id),
            None => {}
        }
        self.consumers.add_pending(pending.consumer, pending.id);
    }

    /// Makes an entry pending no more. Returns what was known of it.
    pub fn remove_pending(&mut self, id: StreamId) -> Option<Pending> {
        let removed = self.pending.remove(id)?;
        self.consumers.remove_pending(removed.consumer, id);
        Some(removed)
    }

    /// Makes entries pending no more. Returns how many of them were.
    pub fn remove_each_pending(&mut self, ids: &[StreamId]) -> usize {
        let mut count = 0;
        for ids in ids.chunks(AT_ONCE) {
            if ids.len() > 2 {
                self.fetch(ids);
            }
            count += ids.iter().filter(|&&id| self.remove_pending(id).is_some()).count();
        }
        count
    }

    /// Brings what is known of a few entries into the cache. If they are pending for one consumer,
    /// as they mostly are, also what that one knows.
    fn fetch(&self, ids: &[StreamId]) {
        let ids = std::array::from_fn::<_, AT_ONCE, _>(|at| ids[at.min(ids.len() - 1)]);
        let found = self.pending.get_each(ids);
        let mut owners = found.iter().flatten().map(|row| row.consumer);
        let Some(owner) = owners.next() else { return };
        if owners.all(|other| other == owner)
            && let Some(consumer) = self.consumers.get(owner)
        {
            black_box(consumer.pending().get_each(ids));
        }
    }

    /// Adds a pending entry that was read from a file, whose consumer is not known yet. Returns
    /// false when there is one with its ID.
    pub fn load_pending(&mut self, id: StreamId, delivered_ms: i64, deliveries: u64) -> bool {
        let unowned = Pending { id, delivered_ms, deliveries, consumer: ConsumerNumber::NOBODY };
        self.pending.insert(unowned).is_none()
    }

    /// Gives a consumer a pending entry that [`Group::load_pending`] added. Returns false when
    /// there is none, or it has a consumer.
    pub fn load_owner(&mut self, id: StreamId, consumer: ConsumerNumber) -> bool {
        let is_free = self.pending.get(id).is_some_and(|row| row.consumer == ConsumerNumber::NOBODY);
        if is_free {
            self.pending.update(id, |row| row.consumer = consumer);
            self.consumers.add_pending(consumer, id);
        }
        is_free
    }

    /// True when each pending entry has a consumer.
    #[must_use]
    pub fn is_owned(&self) -> bool {
        self.pending.iter().all(|row| row.consumer != ConsumerNumber::NOBODY)
    }

    /// Removes a consumer with all that is pending for it. Returns how much that was, `None`
    /// without such a consumer.
    pub fn remove_consumer(&mut self, name: &[u8]) -> Option<u64> {
        let consumer = self.consumers.remove(name)?;
        for id in consumer.pending().iter() {
            self.pending.remove(*id);
        }
        Some(consumer.pending().len())
    }

    /// Bytes a clone copies.
    pub(super) fn clone_bytes(&self) -> usize {
        size_of::<Self>() + self.consumers.clone_bytes()
    }

    /// Bytes allocated besides the group itself, extrapolated for very many pending entries.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.pending.heap_bytes() + self.consumers.heap_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::random::Random;
    use crate::base::time::UnixMillis;
    use std::collections::BTreeMap;

    fn id(number: u64) -> StreamId {
        StreamId { ms: number, seq: 0 }
    }

    #[test]
    fn what_is_pending_for_a_consumer_is_what_the_group_says() {
        let mut group = Group::new(StreamId::MIN, None);
        let mut random = Random::new(7);
        let mut model = BTreeMap::new();
        let names: Vec<Vec<u8>> = (0..5).map(|number| vec![b'a' + number]).collect();
        for step in 0..20_000 {
            let name = &names[random.below(5) as usize];
            let entry = id(random.below(500));
            match random.below(100) {
                0 => {
                    let mine = model.values().filter(|owner| *owner == name).count() as u64;
                    let removed = group.remove_consumer(name);
                    assert!(removed.is_none_or(|removed| removed == mine));
                    model.retain(|_, owner| owner != name);
                }
                1..80 => {
                    let consumer = match group.consumers().find(name) {
                        Some(consumer) => consumer,
                        None => group.consumers_mut().add(name, UnixMillis(step)).expect("it is new"),
                    };
                    group.set_pending(Pending { id: entry, delivered_ms: step, deliveries: 1, consumer });
                    model.insert(entry, name.clone());
                }
                80..97 => assert_eq!(group.remove_pending(entry).is_some(), model.remove(&entry).is_some()),
                _ => {
                    let entries: Vec<_> = (0..random.below(25)).map(|_| id(random.below(500))).collect();
                    let mine = entries.iter().filter(|id| model.remove(id).is_some()).count();
                    assert_eq!(group.remove_each_pending(&entries), mine);
                }
            }
        }
        assert_eq!(group.pending().len(), model.len() as u64);
        assert!(group.is_owned());
        for consumer in group.consumers().iter() {
            let mine = model.iter().filter(|(_, owner)| *owner == consumer.name()).map(|(id, _)| *id);
            assert!(mine.eq(consumer.pending().iter().copied()));
        }
    }
}
