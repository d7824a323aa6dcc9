//! The entries of a stream: a counted tree of [`Node`]s by ID.
//!
//! Finding an ID is one descent and a walk through one node; so is finding how many entries stand
//! before it. Trimming drops whole nodes by reference.

use super::id::StreamId;
use super::node::{Node, Pairs, StreamEntry};
use crate::ds::counted_tree::{ByMark, ByPosition, CountedTree, Leaf, ToMark};
use crate::keyspace::EncodingLimits;
use thiserror::Error;

/// More entries that go at once are freed on another thread. A single node of the default size is
/// sooner freed than handed over: XADD that trims frees one at a time.
pub(super) const FREE_ELSEWHERE_ENTRIES: u64 = 128;

/// An entry larger than a listpack can be.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("Elements are too large to be stored")]
pub struct EntryTooLarge;

/// The entries that trimming leaves. Source: XADD and XTRIM, MAXLEN and MINID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrimTo {
    /// So many entries, the newest.
    Length(u64),
    /// The entries with this ID or a larger one.
    Ids(StreamId),
}

/// The precision with which a stream is trimmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// To the entry.
    Exact,
    /// By whole nodes, and no more than so many entries if a limit is given.
    WholeNodes {
        /// Source: LIMIT.
        limit: Option<u64>,
    },
}

/// The entries of a stream and what is known of those that are gone. A clone shares all nodes.
#[derive(Clone)]
pub struct Log {
    nodes: CountedTree<Node>,
    /// Redis: trimming by ID may delete every entry of the first node and keep it, because one that
    /// was deleted before has a larger ID. It holds nothing, but a dump shows it.
    emptied: Option<Node>,
    last: StreamId,
    max_deleted: StreamId,
    added: u64,
}

impl Default for Log {
    fn default() -> Self {
        Log {
            nodes: CountedTree::new(()),
            emptied: None,
            last: StreamId::MIN,
            max_deleted: StreamId::MIN,
            added: 0,
        }
    }
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter().map(|entry| entry.id)).finish()
    }
}

impl Log {
    /// The number of entries.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.nodes.len()
    }

    /// True when there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The ID of the first entry; [`StreamId::MIN`] without one.
    #[must_use]
    pub fn first_id(&self) -> StreamId {
        self.iter().next().map_or(StreamId::MIN, |entry| entry.id)
    }

    /// The ID from which entries are kept, deleted ones included; [`StreamId::MAX`] without any.
    /// Source: what XTRIM MINID ~ is propagated as.
    #[must_use]
    pub fn kept_from(&self) -> StreamId {
        self.nodes().next().map_or(StreamId::MAX, Node::master)
    }

    /// The largest ID an entry ever had, or what was set in its place.
    #[must_use]
    pub fn last_id(&self) -> StreamId {
        self.last
    }

    /// The ID of the last entry, or of a node without one the ID it was begun with;
    /// [`StreamId::MIN`] without any. No smaller ID may follow.
    #[must_use]
    pub fn last_node_id(&self) -> StreamId {
        self.last_node().map_or(StreamId::MIN, |node| node.last_living_id().unwrap_or(node.master()))
    }

    fn last_node(&self) -> Option<&Node> {
        let last = self.len().checked_sub(1).and_then(|last| self.nodes.leaf_at(last));
        last.map(|(node, _)| node).or(self.emptied.as_ref())
    }

    /// The largest ID of an entry that was deleted, but for trimming; [`StreamId::MIN`] without
    /// one.
    #[must_use]
    pub fn max_deleted_id(&self) -> StreamId {
        self.max_deleted
    }

    /// The number of entries that were ever added.
    #[must_use]
    pub fn added(&self) -> u64 {
        self.added
    }

    /// Sets the last ID, which is no smaller than that of the last entry. Source: XSETID.
    pub fn set_last_id(&mut self, id: StreamId) {
        self.last = id;
        // No entry with a smaller ID can join it.
        self.emptied.take_if(|node| node.master() > id);
    }

    /// Sets what [`Log::added`] tells. Source: XSETID.
    pub fn set_added(&mut self, added: u64) {
        self.added = added;
    }

    /// Sets what [`Log::max_deleted_id`] tells. Source: XSETID.
    pub fn set_max_deleted_id(&mut self, id: StreamId) {
        self.max_deleted = id;
    }

    /// Adds an entry, whose ID is larger than [`Log::last_id`].
    pub fn append(
        &mut self,
        id: StreamId,
        pairs: Pairs<'_>,
        limits: &EncodingLimits,
    ) -> Result<(), EntryTooLarge> {
        let (max_bytes, max_entries) = (limits.stream_node_max_bytes, limits.stream_node_max_entries);
        if self.nodes.len() == 0
            && let Some(node) = self.emptied.take_if(|node| node.has_room(pairs, max_bytes, max_entries))
        {
            self.nodes.edit(ByPosition(0), |siblings, index, _| {
                let mut node = node;
                node.push_entry(id, pairs);
                siblings.insert(index, node);
            });
        } else {
            self.nodes.edit(ByPosition(self.nodes.len()), |siblings, index, _| {
                if siblings.get(index).is_some_and(|node| node.has_room(pairs, max_bytes, max_entries)) {
                    siblings.update(index, |node| node.push_entry(id, pairs));
                    return Ok(());
                }
                let node = Node::of(id, pairs).ok_or(EntryTooLarge)?;
                if siblings.len() > 0 {
                    siblings.update(index, Node::close);
                }
                siblings.insert(siblings.len(), node);
                Ok(())
            })?;
        }
        self.last = id;
        self.added = self.added.saturating_add(1);
        Ok(())
    }

    /// Deletes the entry with this ID. Returns whether there was one.
    pub fn delete(&mut self, id: StreamId) -> bool {
        if self.get(id).is_none() {
            return false;
        }
        self.nodes.edit(ToMark(id), |siblings, index, _| {
            siblings.update(index, |node| node.delete(id));
            siblings.rebalance(index, ());
        });
        self.max_deleted = self.max_deleted.max(id);
        true
    }

    /// Removes the oldest entries. Returns how many, and what is to be freed elsewhere if it is
    /// much.
    pub fn trim(&mut self, to: TrimTo, precision: Precision) -> (u64, Option<Log>) {
        let count = self.count_to_trim(to, precision);
        let removed = (count > FREE_ELSEWHERE_ENTRIES).then(|| {
            let mut removed = Log { nodes: self.nodes.clone(), ..Log::default() };
            removed.nodes.remove_range(count, u64::MAX);
            removed
        });
        self.nodes.remove_range(0, count);
        (count, removed)
    }

    /// The number of the oldest entries that are to go. The part of the first node that is kept
    /// without being part of the tree is dealt with.
    fn count_to_trim(&mut self, to: TrimTo, precision: Precision) -> u64 {
        let limit = match precision {
            Precision::Exact => None,
            Precision::WholeNodes { limit } => Some(limit.unwrap_or(u64::MAX)),
        };
        match to {
            TrimTo::Length(length) => {
                let excess = self.len().saturating_sub(length);
                if excess > 0 {
                    self.emptied = None;
                }
                limit.map_or(excess, |limit| self.whole_nodes(excess.min(limit)))
            }
            TrimTo::Ids(id) => {
                if self.emptied.take_if(|node| node.last_id() < id).is_none() && self.emptied.is_some() {
                    return 0;
                }
                let mut to = ByMark::new(id);
                let Some(node) = self.nodes.leaf(&mut to) else { return 0 };
                let goes_whole = node.last_id() < id;
                let inside = node.entries().take_while(|entry| entry.id < id).count() as u64;
                match limit {
                    None if !goes_whole && inside == node.living() as u64 => {
                        self.empty_node(to.before);
                        to.before + inside
                    }
                    None => to.before + inside,
                    Some(limit) => {
                        self.whole_nodes(limit.min(to.before + if goes_whole { inside } else { 0 }))
                    }
                }
            }
        }
    }

    /// Keeps the node that begins at `position`, all of whose entries are about to be trimmed.
    fn empty_node(&mut self, position: u64) {
        let node = self.nodes.leaf_at(position).map(|(node, _)| node.clone());
        self.emptied = node.map(|mut node| {
            let living = node.living();
            node.remove_range(0, living);
            node
        });
    }

    /// The number of entries the first nodes hold that hold no more than `most` together.
    fn whole_nodes(&self, most: u64) -> u64 {
        match self.nodes.leaf_at(most) {
            Some((_, offset)) => most - offset as u64,
            None => self.len(),
        }
    }

    /// The entry with this ID.
    #[must_use]
    pub fn get(&self, id: StreamId) -> Option<StreamEntry<'_>> {
        self.nodes.leaf(&mut ToMark(id))?.get(id)
    }

    /// All entries, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = StreamEntry<'_>> {
        self.range(StreamId::MIN, StreamId::MAX)
    }

    /// The entries from `first` to `last`, both included, oldest first.
    pub fn range(&self, first: StreamId, last: StreamId) -> impl Iterator<Item = StreamEntry<'_>> {
        let mut to = ByMark::new(first);
        let mut node = self.nodes.leaf(&mut to);
        let mut next = to.before;
        let nodes = std::iter::from_fn(move || {
            let current = node.take().or_else(|| self.nodes.leaf_at(next).map(|(node, _)| node))?;
            next += current.living() as u64;
            Some(current)
        });
        nodes
            .flat_map(Node::entries)
            .skip_while(move |entry| entry.id < first)
            .take_while(move |entry| entry.id <= last)
    }

    /// The entries from `last` back to `first`, both included, newest first.
    pub fn range_rev(&self, first: StreamId, last: StreamId) -> impl Iterator<Item = StreamEntry<'_>> {
        let mut to = ByMark::new(last);
        let mut node = self.nodes.leaf(&mut to);
        let mut end = to.before;
        let nodes = std::iter::from_fn(move || {
            if let Some(node) = node.take() {
                return Some(node);
            }
            let (node, offset) = self.nodes.leaf_at(end.checked_sub(1)?)?;
            end -= offset as u64 + 1;
            Some(node)
        });
        nodes
            .flat_map(Node::entries_rev)
            .skip_while(move |entry| entry.id > last)
            .take_while(move |entry| entry.id >= first)
    }

    /// The number of nodes. Source: XINFO STREAM.
    #[must_use]
    pub fn node_count(&self) -> usize {
        self.nodes.leaf_count() + usize::from(self.emptied.is_some())
    }

    /// All nodes in order, as an RDB file keeps them.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.emptied.iter().chain(self.nodes.leaves())
    }

    /// Adds a node that was read from a file, whose IDs are all larger than those of the nodes
    /// before it. Errors when they are not.
    pub fn push_node(&mut self, node: Node) -> Result<(), &'static str> {
        if self.last_node().is_some() && node.master() <= self.last_node_id() {
            return Err("a stream with nodes out of order");
        }
        if node.living() == 0 {
            // Only the first can be like that; of others nothing would be seen.
            self.emptied = self.emptied.take().or(self.is_empty().then_some(node));
            return Ok(());
        }
        self.nodes.edit(ByPosition(self.len()), |siblings, _, _| siblings.insert(siblings.len(), node));
        Ok(())
    }

    /// Bytes allocated, extrapolated for very long streams.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.nodes.heap_bytes() + self.emptied.as_ref().map_or(0, |node| node.listpack().heap_bytes())
    }
}
