//! What a running script has changed and nobody was told yet: [`HeldChanges`].
//!
//! It lies in [`Rooms::held`](super::Rooms::held) while a script runs, so that whoever would tell
//! somebody finds it; what is done with it is said in [`held_changes`](super::held_changes).

use crate::propagation::UnitMark;
use crate::pubsub::Topic;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What nobody was told yet, and what to go back to. See the module.
#[derive(Debug)]
pub struct HeldChanges {
    told: Vec<Told>,
    /// The invalidations of `told`, since the last one of all keys.
    invalidated: BTreeSet<(Arc<[u8]>, Cause)>,
    pub(super) gives_up_save: bool,
    pub(super) schedules_save: bool,
    pub(super) before: Before,
}

/// Something that others are told.
#[derive(Debug)]
pub(super) enum Told {
    /// A key changed, for those who track it.
    Invalidated(Arc<[u8]>, Cause),
    /// All keys changed, for those who track.
    AllInvalidated,
    /// A message for those who listen: a channel's name, and what is said there.
    Message(Topic, Box<[u8]>, Box<[u8]>),
}

/// The reason why a key changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cause {
    /// The running command did it, so its client may be spared.
    Command,
    /// Its time had come.
    Expiry,
}

/// The state of other rooms when the script began.
#[derive(Debug)]
pub(super) struct Before {
    pub(super) dirty: u64,
    pub(super) expired_keys: u64,
    pub(super) ready_keys: usize,
    pub(super) unit: UnitMark,
    /// The changes noted as not on disk, and whether others hear of one.
    pub(super) unsynced: (usize, bool),
    pub(super) in_doubt: bool,
}

impl HeldChanges {
    /// Nothing, yet.
    pub(super) fn new(before: Before) -> Self {
        HeldChanges {
            told: Vec::new(),
            invalidated: BTreeSet::new(),
            gives_up_save: false,
            schedules_save: false,
            before,
        }
    }

    /// Keeps that a key changed, for those who track it.
    pub(super) fn invalidate(&mut self, key: &[u8], cause: Cause) {
        let key: Arc<[u8]> = key.into();
        if self.invalidated.insert((Arc::clone(&key), cause)) {
            self.told.push(Told::Invalidated(key, cause));
        }
    }

    /// Keeps that all keys changed, for those who track.
    pub(super) fn invalidate_all(&mut self) {
        self.invalidated.clear();
        self.told.push(Told::AllInvalidated);
    }

    /// Keeps a message.
    pub(super) fn publish(&mut self, topic: Topic, channel: &[u8], message: &[u8]) {
        self.told.push(Told::Message(topic, channel.into(), message.into()));
    }

    /// Takes what is to be told, in order.
    pub(super) fn take_told(&mut self) -> Vec<Told> {
        self.invalidated.clear();
        std::mem::take(&mut self.told)
    }

    /// The number of things that are to be told.
    #[must_use]
    pub fn told_len(&self) -> usize {
        self.told.len()
    }
}
