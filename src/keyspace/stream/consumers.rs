//! The consumers of a group, by name and by the number that pending entries know them by.

use super::id::StreamId;
use crate::base::time::UnixMillis;
use crate::ds::sorted_rows::SortedRows;
use std::collections::BTreeMap;

/// Stands for a consumer of one group. A number is given again when its consumer is gone, and
/// nothing is pending for one that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsumerNumber(u32);

impl ConsumerNumber {
    /// Stands for none: of what is being loaded.
    pub(super) const NOBODY: ConsumerNumber = ConsumerNumber(u32::MAX);
}

/// A reader of a group.
#[derive(Clone, Debug)]
pub struct Consumer {
    name: Box<[u8]>,
    /// The time at which it asked for entries last, whether it got some or not.
    pub seen: UnixMillis,
    pending: SortedRows<StreamId>,
}

impl Consumer {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// The IDs of what it was given and has not acknowledged.
    #[must_use]
    pub fn pending(&self) -> &SortedRows<StreamId> {
        &self.pending
    }
}

/// Tells a consumer that was there from a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// It was.
    Old,
    /// It was added.
    New,
}

/// All consumers of a group.
#[derive(Clone, Debug, Default)]
pub struct Consumers {
    numbers: BTreeMap<Box<[u8]>, ConsumerNumber>,
    /// By number; the places of those that are gone are empty.
    places: Vec<Option<Consumer>>,
    free: Vec<ConsumerNumber>,
}

impl Consumers {
    /// Returns the number of consumers.
    #[must_use]
    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    /// True when there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of the consumer of this name.
    #[must_use]
    pub fn find(&self, name: &[u8]) -> Option<ConsumerNumber> {
        self.numbers.get(name).copied()
    }

    /// A consumer by its number; `None` for one that is gone.
    #[must_use]
    pub fn get(&self, number: ConsumerNumber) -> Option<&Consumer> {
        self.places.get(number.0 as usize)?.as_ref()
    }

    /// The same, to change when it was seen.
    pub fn get_mut(&mut self, number: ConsumerNumber) -> Option<&mut Consumer> {
        self.places.get_mut(number.0 as usize)?.as_mut()
    }

    /// All of them by name.
    pub fn iter(&self) -> impl Iterator<Item = &Consumer> {
        self.numbers.values().filter_map(|&number| self.get(number))
    }

    /// Adds a consumer. `None` when there is one of this name, or there are four billion.
    pub fn add(&mut self, name: &[u8], seen: UnixMillis) -> Option<ConsumerNumber> {
        if self.numbers.contains_key(name) {
            return None;
        }
        let new = ConsumerNumber(u32::try_from(self.places.len()).ok()?);
        let number = self.free.pop().unwrap_or(new);
        if number == ConsumerNumber::NOBODY {
            return None;
        }
        let consumer = Consumer { name: name.into(), seen, pending: SortedRows::default() };
        match self.places.get_mut(number.0 as usize) {
            Some(place) => *place = Some(consumer),
            None => self.places.push(Some(consumer)),
        }
        self.numbers.insert(name.into(), number);
        Some(number)
    }

    /// The consumer of this name; a new one was seen just now. `None` when there can be no more.
    pub fn find_or_add(&mut self, name: &[u8], now: UnixMillis) -> Option<(ConsumerNumber, Found)> {
        match self.find(name) {
            Some(number) => Some((number, Found::Old)),
            None => self.add(name, now).map(|number| (number, Found::New)),
        }
    }

    /// Removes the consumer of this name. Entries that are pending for it stay with the group.
    pub(super) fn remove(&mut self, name: &[u8]) -> Option<Consumer> {
        let number = self.numbers.remove(name)?;
        self.free.push(number);
        self.places[number.0 as usize].take()
    }

    pub(super) fn add_pending(&mut self, number: ConsumerNumber, id: StreamId) {
        if let Some(consumer) = self.get_mut(number) {
            consumer.pending.insert(id);
        }
    }

    pub(super) fn remove_pending(&mut self, number: ConsumerNumber, id: StreamId) {
        if let Some(consumer) = self.get_mut(number) {
            consumer.pending.remove(id);
        }
    }

    pub(super) fn clone_bytes(&self) -> usize {
        self.numbers.len() * (size_of::<Consumer>() + 2 * size_of::<Box<[u8]>>())
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let places = self.places.capacity() * size_of::<Option<Consumer>>()
            + self.free.capacity() * size_of::<ConsumerNumber>();
        let each = |consumer: &Consumer| {
            2 * consumer.name.len() + size_of::<(Box<[u8]>, ConsumerNumber)>() + consumer.pending.heap_bytes()
        };
        places + self.iter().map(each).sum::<usize>()
    }
}
