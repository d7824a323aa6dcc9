//! Publishing: what joins [`pubsub`](crate::pubsub), which knows who listens, with the clients.

use super::Rooms;
use super::command::Command;
use super::ctx::Ctx;
use super::error::CommandError;
use crate::clients::{Session, Waking};
use crate::config::NotifyClasses;
use crate::keyspace::DbIndex;
use crate::pubsub::{Subscriptions, Topic};
use crate::resp::{Broadcast, Protocol, Reply};
use crate::spec::ALLOWED_WHILE_SUBSCRIBED;
use std::sync::Arc;

impl Rooms {
    /// Sends `message` to everybody who listens to `channel`, and to the patterns that match it.
    /// Returns how many it reached; who listens in two ways counts twice. A client that listens to
    /// a pattern of which nobody can tell whether it matches is not left waiting for a message that
    /// does not come: its connection is closed, as that of a client that does not read.
    pub fn publish(&mut self, channel: &[u8], message: &[u8]) -> usize {
        if let Some(held) = &mut self.held {
            let (reached, is_clear) = count_reached(&self.pubsub, channel);
            if reached > 0 || !is_clear {
                held.publish(Topic::Channel, channel, message);
            }
            return reached;
        }
        let mut reached = self.publish_to(Topic::Channel, "message", channel, message);
        let mut undecided = Vec::new();
        for (pattern, subscribers) in self.pubsub.matching(channel) {
            let Ok(pattern) = pattern else {
                undecided.extend(subscribers);
                continue;
            };
            let write = |reply: &mut Reply<'_>| {
                reply.push(4);
                [b"pmessage", pattern, channel, message].iter().for_each(|part| reply.bulk(part));
            };
            let mut broadcast = Broadcast::new(&write);
            for id in subscribers {
                self.clients.push(id, &mut broadcast);
                reached += 1;
            }
        }
        for subscriber in undecided {
            // At once, so that its patterns cost nothing for the rest of the turn.
            self.pubsub.remove(subscriber);
            self.clients.mark_undecided(subscriber);
        }
        reached
    }

    /// Sends `message` to everybody who listens to this shard channel. Returns how many it reached.
    pub fn publish_shard(&mut self, channel: &[u8], message: &[u8]) -> usize {
        if let Some(held) = &mut self.held {
            let reached = self.pubsub.listeners_len(Topic::Shard, channel);
            if reached > 0 {
                held.publish(Topic::Shard, channel, message);
            }
            return reached;
        }
        self.publish_to(Topic::Shard, "smessage", channel, message)
    }

    fn publish_to(&mut self, topic: Topic, kind: &str, channel: &[u8], message: &[u8]) -> usize {
        let write = |reply: &mut Reply<'_>| {
            reply.push(3);
            [kind.as_bytes(), channel, message].iter().for_each(|part| reply.bulk(part));
        };
        let mut broadcast = Broadcast::new(&write);
        let mut reached = 0;
        for id in self.pubsub.listeners(topic, channel) {
            self.clients.push(id, &mut broadcast);
            reached += 1;
        }
        reached
    }

    /// Publishes a keyspace event whose class is on, if anybody may hear it.
    pub(super) fn publish_event(&mut self, db: DbIndex, event: &str, key: &[u8]) {
        if self.pubsub.is_silent() {
            return;
        }
        let classes = self.config.notify_keyspace_events;
        if classes.intersects(NotifyClasses::KEYSPACE) {
            let channel = [format!("__keyspace@{}__:", db.0).as_bytes(), key].concat();
            self.publish(&channel, event.as_bytes());
        }
        if classes.intersects(NotifyClasses::KEYEVENT) {
            let channel = format!("__keyevent@{}__:{event}", db.0);
            self.publish(channel.as_bytes(), key);
        }
    }
}

/// Returns how many a message on `channel` would reach, and whether that can be told of every
/// pattern.
fn count_reached(pubsub: &Subscriptions, channel: &[u8]) -> (usize, bool) {
    let (mut reached, mut is_clear) = (pubsub.listeners_len(Topic::Channel, channel), true);
    for (pattern, subscribers) in pubsub.matching(channel) {
        match pattern {
            Ok(_) => reached += subscribers.count(),
            Err(_) => is_clear = false,
        }
    }
    (reached, is_clear)
}

impl Ctx<'_> {
    /// Sends `message` to who listens to `channel`; to the client itself before its answer. Returns
    /// how many it reached. Source: PUBLISH.
    pub fn publish(&mut self, channel: &[u8], message: &[u8]) -> usize {
        let reached = self.rooms.publish(channel, message);
        self.place_own();
        reached
    }

    /// The same for a shard channel. Source: SPUBLISH.
    pub fn publish_shard(&mut self, channel: &[u8], message: &[u8]) -> usize {
        let reached = self.rooms.publish_shard(channel, message);
        self.place_own();
        reached
    }

    /// Lets the client listen to `name`. Source: SUBSCRIBE, PSUBSCRIBE, SSUBSCRIBE.
    pub fn subscribe(&mut self, topic: Topic, name: &[u8]) {
        let subscriber = self.session.id;
        self.rooms.pubsub.subscribe(topic, subscriber, name);
        self.count_subscriptions();
    }

    /// Lets the client no longer listen to `name`. Source: UNSUBSCRIBE, PUNSUBSCRIBE, SUNSUBSCRIBE.
    pub fn unsubscribe(&mut self, topic: Topic, name: &[u8]) {
        let subscriber = self.session.id;
        self.rooms.pubsub.unsubscribe(topic, subscriber, name);
        self.count_subscriptions();
    }

    fn count_subscriptions(&mut self) {
        let counts = self.rooms.pubsub.counts(self.session.id);
        if counts.is_zero() != self.session.subscribed.is_zero() {
            self.wake_worker(if counts.is_zero() { Waking::Gathered } else { Waking::AtOnce });
        }
        self.session.subscribed = counts;
    }

    /// Returns the names that the client listens to, in the order in which it subscribed.
    #[must_use]
    pub fn subscriptions(&self, topic: Topic) -> Vec<Arc<[u8]>> {
        self.rooms.pubsub.names_of(topic, self.session.id)
    }

    /// Lets the client no longer listen to anything, without a word. Source: RESET.
    pub fn unsubscribe_from_all(&mut self) {
        let subscriber = self.session.id;
        self.rooms.pubsub.remove(subscriber);
        self.count_subscriptions();
    }
}

/// Refuses what a RESP2 client cannot ask for while it listens: it could not tell answers from
/// messages.
#[inline]
pub(super) fn admit(session: &Session, command: &Command) -> Result<(), CommandError> {
    if session.subscribed.is_zero() || session.protocol == Protocol::Resp3 {
        return Ok(());
    }
    admit_while_subscribed(command)
}

fn admit_while_subscribed(command: &Command) -> Result<(), CommandError> {
    if command.spec.flags.contains(ALLOWED_WHILE_SUBSCRIBED) {
        return Ok(());
    }
    Err(CommandError::line(format!(
        "ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this \
         context",
        command.spec.name
    )))
}
