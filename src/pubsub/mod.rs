//! Subscriptions of clients to channels, to patterns of channels, and to shard channels.
//!
//! A part that only knows names and numbers. It has never heard of a client's connection, of a
//! message or of RESP: the server asks whom a channel concerns and delivers. Ordered maps, not
//! hashed ones: no order may depend on chance. A channel's listeners stand in the order in which
//! they subscribed; patterns, whose order Redis leaves to its hash table, in that of their names.
//!
//! Both directions are kept, so that a client that hangs up costs what it subscribed to and not a
//! walk over all channels, and a channel of ten thousand listeners loses one by a search.

use crate::base::ClientId;
use crate::base::glob::{Budget, Case, TooMuch, glob_match};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The kind of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// A channel.
    Channel,
    /// A pattern of channels.
    Pattern,
    /// A channel of one slot of a cluster, apart from the others.
    Shard,
}

/// The numbers of names that one client listens to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Channels.
    pub channels: usize,
    /// Patterns.
    pub patterns: usize,
    /// Shard channels.
    pub shards: usize,
    /// Memory of all these subscriptions, bytes.
    pub bytes: usize,
}

impl Counts {
    /// True when it listens to nothing.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self.channels + self.patterns + self.shards == 0
    }

    /// Returns the number that a (un)subscription answers: shard channels are counted apart from
    /// the rest.
    #[must_use]
    pub fn of(self, topic: Topic) -> usize {
        match topic {
            Topic::Channel | Topic::Pattern => self.channels + self.patterns,
            Topic::Shard => self.shards,
        }
    }
}

/// A subscription's place among all, by arrival.
type Ticket = u64;
type Name = Arc<[u8]>;

/// Names and who listens to them.
#[derive(Debug, Default)]
struct Listeners(BTreeMap<Name, BTreeMap<Ticket, ClientId>>);

/// The names that one client listens to, each with the ticket of its subscription.
#[derive(Debug, Default)]
struct Own {
    topics: [BTreeMap<Name, Ticket>; 3],
    name_bytes: usize,
}

/// All subscriptions. See the module.
#[derive(Debug, Default)]
pub struct Subscriptions {
    listeners: [Listeners; 3],
    own: BTreeMap<ClientId, Own>,
    last_ticket: Ticket,
}

/// Estimated bytes of one subscription in both maps, without its name.
const SUBSCRIPTION_BYTES: usize = 96;

impl Subscriptions {
    /// True when nobody listens to a channel or a pattern: what is published reaches nobody.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.of(Topic::Channel).0.is_empty() && self.of(Topic::Pattern).0.is_empty()
    }

    /// Lets `subscriber` listen. Returns whether it did not yet.
    pub fn subscribe(&mut self, topic: Topic, subscriber: ClientId, name: &[u8]) -> bool {
        let own = self.own.entry(subscriber).or_default();
        if own.topics[topic as usize].contains_key(name) {
            return false;
        }
        let listeners = &mut self.listeners[topic as usize].0;
        let name: Name = listeners.get_key_value(name).map_or_else(|| name.into(), |(name, _)| name.clone());
        self.last_ticket += 1;
        own.name_bytes += name.len();
        own.topics[topic as usize].insert(name.clone(), self.last_ticket);
        listeners.entry(name).or_default().insert(self.last_ticket, subscriber);
        true
    }

    /// Lets `subscriber` no longer listen. Returns whether it did.
    pub fn unsubscribe(&mut self, topic: Topic, subscriber: ClientId, name: &[u8]) -> bool {
        let Some(own) = self.own.get_mut(&subscriber) else { return false };
        let Some(ticket) = own.topics[topic as usize].remove(name) else { return false };
        own.name_bytes -= name.len();
        if own.topics.iter().all(BTreeMap::is_empty) {
            self.own.remove(&subscriber);
        }
        let listeners = &mut self.listeners[topic as usize].0;
        if let Some(tickets) = listeners.get_mut(name) {
            tickets.remove(&ticket);
            if tickets.is_empty() {
                listeners.remove(name);
            }
        }
        true
    }

    /// Forgets a client.
    pub fn remove(&mut self, subscriber: ClientId) {
        for topic in [Topic::Channel, Topic::Pattern, Topic::Shard] {
            for name in self.names_of(topic, subscriber) {
                self.unsubscribe(topic, subscriber, &name);
            }
        }
    }

    /// Returns the names that `subscriber` listens to, in the order in which it subscribed.
    #[must_use]
    pub fn names_of(&self, topic: Topic, subscriber: ClientId) -> Vec<Arc<[u8]>> {
        let Some(own) = self.own.get(&subscriber) else { return Vec::new() };
        let mut names: Vec<_> =
            own.topics[topic as usize].iter().map(|(name, ticket)| (ticket, name)).collect();
        names.sort_unstable();
        names.into_iter().map(|(_, name)| name.clone()).collect()
    }

    /// Returns the numbers of names that `subscriber` listens to.
    #[must_use]
    pub fn counts(&self, subscriber: ClientId) -> Counts {
        let Some(own) = self.own.get(&subscriber) else { return Counts::default() };
        let [channels, patterns, shards] = [0, 1, 2].map(|topic| own.topics[topic].len());
        let bytes = own.name_bytes + (channels + patterns + shards) * SUBSCRIPTION_BYTES;
        Counts { channels, patterns, shards, bytes }
    }

    /// Returns the clients that listen to exactly this name, oldest first.
    pub fn listeners(&self, topic: Topic, name: &[u8]) -> impl Iterator<Item = ClientId> {
        self.of(topic).0.get(name).into_iter().flat_map(|tickets| tickets.values().copied())
    }

    /// The patterns that match `channel`, each with those who listen to it, oldest first; an error
    /// in the place of a pattern that is too long to find out, as is the channel. Each has a budget
    /// of its own: what one client listens to takes nothing from others.
    pub fn matching<'s>(
        &'s self,
        channel: &'s [u8],
    ) -> impl Iterator<Item = (Result<&'s [u8], TooMuch>, impl Iterator<Item = ClientId>)> {
        self.of(Topic::Pattern).0.iter().filter_map(|(pattern, tickets)| {
            let mut budget = Budget::ONE_OF_MANY;
            let found = match glob_match(pattern, channel, Case::Sensitive, &mut budget) {
                Ok(false) => return None,
                Ok(true) => Ok(&**pattern),
                Err(TooMuch) => Err(TooMuch),
            };
            Some((found, tickets.values().copied()))
        })
    }

    /// Every name that somebody listens to.
    pub fn names(&self, topic: Topic) -> impl Iterator<Item = &[u8]> {
        self.of(topic).0.keys().map(|name| &**name)
    }

    /// Returns the number of different names that somebody listens to.
    #[must_use]
    pub fn names_len(&self, topic: Topic) -> usize {
        self.of(topic).0.len()
    }

    /// Returns the number of clients that listen to exactly this name.
    #[must_use]
    pub fn listeners_len(&self, topic: Topic, name: &[u8]) -> usize {
        self.of(topic).0.get(name).map_or(0, BTreeMap::len)
    }

    fn of(&self, topic: Topic) -> &Listeners {
        &self.listeners[topic as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(listeners: impl Iterator<Item = ClientId>) -> Vec<u64> {
        listeners.map(|subscriber| subscriber.0).collect()
    }

    #[test]
    fn listeners_stand_in_the_order_in_which_they_subscribed() {
        let mut subscriptions = Subscriptions::default();
        for id in [9, 2, 5] {
            assert!(subscriptions.subscribe(Topic::Channel, ClientId(id), b"news"));
        }
        assert!(!subscriptions.subscribe(Topic::Channel, ClientId(2), b"news"), "it does already");
        assert_eq!(ids(subscriptions.listeners(Topic::Channel, b"news")), [9, 2, 5]);
        assert!(subscriptions.unsubscribe(Topic::Channel, ClientId(9), b"news"));
        assert!(!subscriptions.unsubscribe(Topic::Channel, ClientId(9), b"news"), "it does not any more");
        assert!(subscriptions.subscribe(Topic::Channel, ClientId(9), b"news"));
        assert_eq!(ids(subscriptions.listeners(Topic::Channel, b"news")), [2, 5, 9]);
        assert_eq!(ids(subscriptions.listeners(Topic::Shard, b"news")), [0; 0], "shard channels are apart");
    }

    #[test]
    fn a_channel_concerns_every_pattern_that_matches_it() {
        let mut subscriptions = Subscriptions::default();
        for (id, pattern) in [(1, "n*"), (2, "*"), (3, "x?"), (1, "*s"), (3, "n*")] {
            subscriptions.subscribe(Topic::Pattern, ClientId(id), pattern.as_bytes());
        }
        let found: Vec<_> = subscriptions.matching(b"news").map(|(name, who)| (name, ids(who))).collect();
        assert_eq!(found, [(Ok(&b"*"[..]), vec![2]), (Ok(b"*s"), vec![1]), (Ok(b"n*"), vec![1, 3])]);
        assert_eq!(subscriptions.names_len(Topic::Pattern), 4);
    }

    #[test]
    fn a_client_that_is_gone_leaves_nothing_behind() {
        let mut subscriptions = Subscriptions::default();
        assert!(subscriptions.is_silent());
        for (topic, name) in [(Topic::Channel, "b"), (Topic::Channel, "a"), (Topic::Pattern, "a*")] {
            subscriptions.subscribe(topic, ClientId(1), name.as_bytes());
        }
        subscriptions.subscribe(Topic::Shard, ClientId(1), b"s");
        subscriptions.subscribe(Topic::Channel, ClientId(2), b"a");
        let counts = subscriptions.counts(ClientId(1));
        assert_eq!((counts.channels, counts.patterns, counts.shards), (2, 1, 1));
        assert_eq!(
            (counts.of(Topic::Channel), counts.of(Topic::Pattern), counts.of(Topic::Shard)),
            (3, 3, 1)
        );
        assert_eq!(counts.bytes, 5 + 4 * SUBSCRIPTION_BYTES);
        let names = subscriptions.names_of(Topic::Channel, ClientId(1));
        assert_eq!(names.iter().map(|name| &**name).collect::<Vec<_>>(), [b"b", b"a"], "by arrival");
        subscriptions.remove(ClientId(1));
        assert_eq!(subscriptions.counts(ClientId(1)), Counts::default());
        assert_eq!(subscriptions.names(Topic::Channel).collect::<Vec<_>>(), [b"a"]);
        subscriptions.remove(ClientId(2));
        assert!(subscriptions.is_silent() && subscriptions.own.is_empty());
        assert_eq!(subscriptions.names_len(Topic::Shard), 0);
    }
}
