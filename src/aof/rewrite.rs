//! A data set as the commands that make it: the base of an append-only file when
//! `aof-use-rdb-preamble` is off.
//!
//! Long collections are spread over several commands, so that loading one never needs much memory.

use crate::base::number::{I64Text, format_f64_17g};
use crate::keyspace::stream::{Group, Log, Stream};
use crate::keyspace::{DbIndex, KeyView, Value, ValueRef};
use crate::resp::{Protocol, Reply};
use std::io::{self, Write};

/// Elements of a collection in one command. Redis: `AOF_REWRITE_ITEMS_PER_CMD`.
pub const ITEMS_PER_COMMAND: usize = 64;

/// Writes keys as commands to any `Write`.
#[derive(Debug)]
pub struct CommandWriter<W> {
    out: W,
    buffer: Vec<u8>,
}

impl<W: Write> CommandWriter<W> {
    /// A writer to `out`.
    pub fn new(out: W) -> Self {
        CommandWriter { out, buffer: Vec::new() }
    }

    /// Returns the sink that was given to [`CommandWriter::new`], with everything written to it.
    pub fn into_inner(self) -> W {
        self.out
    }

    /// Says that all that follows belongs to this database.
    pub fn select(&mut self, db: DbIndex) -> io::Result<()> {
        self.command(&[b"SELECT", db.0.to_string().as_bytes()])
    }

    /// A library of functions, by its code.
    pub fn library(&mut self, code: &[u8]) -> io::Result<()> {
        self.command(&[b"FUNCTION", b"LOAD", code])
    }

    /// One key: its value, then its deadline.
    pub fn key(&mut self, view: &KeyView<'_>) -> io::Result<()> {
        self.value(view.key, view.value)?;
        match view.deadline {
            Some(deadline) => self.command(&[b"PEXPIREAT", view.key, I64Text::new(deadline.0).as_bytes()]),
            None => Ok(()),
        }
    }

    fn value(&mut self, key: &[u8], value: ValueRef<'_>) -> io::Result<()> {
        let one = |element: crate::keyspace::Member<'_>, reply: &mut Reply<'_>| {
            element.with_bytes(|bytes| reply.bulk(bytes))
        };
        match value {
            ValueRef::String(bytes) => self.command(&[b"SET", key, bytes]),
            ValueRef::Object(Value::String(bytes)) => self.command(&[b"SET", key, bytes]),
            ValueRef::Object(Value::List(list)) => {
                let length = usize::try_from(list.elements.len()).unwrap_or(usize::MAX);
                self.batches(b"RPUSH", key, 1, length, list.elements.iter(), one)
            }
            ValueRef::Object(Value::Set(set)) => self.batches(b"SADD", key, 1, set.len(), set.iter(), one),
            ValueRef::Object(Value::Hash(hash)) => {
                self.batches(b"HMSET", key, 2, hash.len(), hash.iter(), |(field, value), reply| {
                    one(field, reply);
                    one(value, reply);
                })
            }
            ValueRef::Object(Value::SortedSet(set)) => {
                let mut score_text = Vec::new();
                self.batches(b"ZADD", key, 2, set.len(), set.iter(), |(member, score), reply| {
                    score_text.clear();
                    format_f64_17g(score, &mut score_text);
                    reply.bulk(&score_text);
                    one(member, reply);
                })
            }
            ValueRef::Object(Value::Stream(stream)) => self.stream(key, stream),
        }
    }

    fn stream(&mut self, key: &[u8], stream: &Stream) -> io::Result<()> {
        for entry in stream.log.iter() {
            let mut reply = Reply::new(&mut self.buffer, Protocol::Resp2);
            reply.array(3 + 2 * entry.len());
            [b"XADD", key, entry.id.to_text().as_bytes()].iter().for_each(|word| reply.bulk(word));
            for (field, value) in entry.fields() {
                field.with_bytes(|text| reply.bulk(text));
                value.with_bytes(|text| reply.bulk(text));
            }
            self.flush_buffer()?;
        }
        if stream.is_empty() {
            // Redis: what makes a key and leaves it empty.
            self.command(&[b"XADD", key, b"MAXLEN", b"0", b"0-1", b"x", b"y"])?;
        }
        self.counters(key, &stream.log)?;
        stream.groups.iter().try_for_each(|(name, group)| self.group(key, name, group))
    }

    /// The numbers of a stream besides its entries, so that XSETID takes them.
    fn counters(&mut self, key: &[u8], log: &Log) -> io::Result<()> {
        let (last, deleted) = (log.last_id(), log.max_deleted_id());
        let (last_text, deleted_text) = (last.to_text(), deleted.to_text());
        let largest = last.max(deleted).to_text();
        let added = I64Text::new(signed(log.added().max(log.len())));
        let words = [b"XSETID", key, largest.as_bytes(), b"ENTRIESADDED", added.as_bytes()];
        self.command(&[&words[..], &[b"MAXDELETEDID", deleted_text.as_bytes()]].concat())?;
        if last < deleted {
            // Only without MAXDELETEDID may it be smaller.
            self.command(&[b"XSETID", key, last_text.as_bytes()])?;
        }
        Ok(())
    }

    fn group(&mut self, key: &[u8], name: &[u8], group: &Group) -> io::Result<()> {
        let read = I64Text::new(group.entries_read.map_or(-1, signed));
        let last = group.last_id.to_text();
        let words = [b"XGROUP", b"CREATE".as_slice(), key, name, last.as_bytes()];
        self.command(&[&words[..], &[b"ENTRIESREAD", read.as_bytes()]].concat())?;
        for consumer in group.consumers().iter() {
            if consumer.pending().is_empty() {
                self.command(&[b"XGROUP", b"CREATECONSUMER", key, name, consumer.name()])?;
            }
            for id in consumer.pending().iter() {
                let Some(pending) = group.pending().get(*id) else { continue };
                let (id, time) = (id.to_text(), I64Text::new(pending.delivered_ms));
                let deliveries = I64Text::new(signed(pending.deliveries));
                let words = [b"XCLAIM", key, name, consumer.name(), b"0", id.as_bytes()];
                let delivery = [b"TIME", time.as_bytes(), b"RETRYCOUNT", deliveries.as_bytes()];
                self.command(&[&words[..], &delivery, &[b"JUSTID", b"FORCE"]].concat())?;
            }
        }
        Ok(())
    }

    /// Writes `items`, of which there are `length`, with `words` arguments each.
    fn batches<T>(
        &mut self,
        verb: &[u8],
        key: &[u8],
        words: usize,
        length: usize,
        items: impl Iterator<Item = T>,
        mut write: impl FnMut(T, &mut Reply<'_>),
    ) -> io::Result<()> {
        let mut left = length;
        for (index, item) in items.enumerate() {
            if index % ITEMS_PER_COMMAND == 0 {
                self.flush_buffer()?;
                let mut reply = Reply::new(&mut self.buffer, Protocol::Resp2);
                reply.array(2 + words * left.min(ITEMS_PER_COMMAND));
                reply.bulk(verb);
                reply.bulk(key);
                left = left.saturating_sub(ITEMS_PER_COMMAND);
            }
            write(item, &mut Reply::new(&mut self.buffer, Protocol::Resp2));
        }
        self.flush_buffer()
    }

    fn command(&mut self, words: &[&[u8]]) -> io::Result<()> {
        let mut reply = Reply::new(&mut self.buffer, Protocol::Resp2);
        reply.array(words.len());
        words.iter().for_each(|word| reply.bulk(word));
        self.flush_buffer()
    }

    fn flush_buffer(&mut self) -> io::Result<()> {
        self.out.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }
}

/// A counter as commands take it. Redis writes a larger one as a negative number, which most of
/// them refuse.
fn signed(counter: u64) -> i64 {
    i64::try_from(counter).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aof::{AofEntry, AofReader};
    use crate::base::time::UnixMillis;
    use crate::keyspace::stream::Pending;
    use crate::keyspace::{Collection, EncodingLimits, Keyspace, StreamId, Ttl};

    fn commands(keyspace: &Keyspace) -> Vec<String> {
        let mut writer = CommandWriter::new(Vec::new());
        for db in keyspace.snapshot() {
            writer.select(db.index).unwrap();
            db.iter().for_each(|view| writer.key(&view).unwrap());
        }
        let bytes = writer.into_inner();
        let mut reader = AofReader::new(&bytes[..], 0);
        std::iter::from_fn(|| reader.next_entry().unwrap())
            .map(|entry| {
                let AofEntry::Command(argv) = entry else { panic!("only commands") };
                let words = argv.as_argv().iter().map(|word| String::from_utf8_lossy(word).into_owned());
                words.collect::<Vec<_>>().join(" ")
            })
            .collect()
    }

    #[test]
    fn strings_carry_their_deadline_behind_them() {
        let mut keyspace = Keyspace::new(2, EncodingLimits::default(), 1);
        keyspace.set_text_string(b"a", b"1", Ttl::At(UnixMillis(5000)));
        assert_eq!(commands(&keyspace), ["SELECT 0", "SET a 1", "PEXPIREAT a 5000"]);
    }

    #[test]
    fn what_is_known_of_a_stream_is_written_so_that_commands_take_it() {
        let id = |ms| StreamId { ms, seq: 0 };
        let mut stream = Stream::default();
        stream.log.append(id(5), &[b"f", b"v"], &EncodingLimits::default()).unwrap();
        // A file may say less than there is.
        stream.log.set_added(0);
        stream.log.set_max_deleted_id(id(9));
        let mut group = Group::new(id(5), Some(1 << 63));
        let consumer = group.consumers_mut().add(b"c", UnixMillis(0)).unwrap();
        group.set_pending(Pending { id: id(5), delivered_ms: 7, deliveries: u64::MAX, consumer });
        stream.groups.add(b"g", group);
        let mut keyspace = Keyspace::new(1, EncodingLimits::default(), 1);
        keyspace.insert(b"s", stream.into_value(), None);
        assert_eq!(
            commands(&keyspace)[1..],
            [
                "XADD s 5-0 f v",
                "XSETID s 9-0 ENTRIESADDED 1 MAXDELETEDID 9-0",
                "XSETID s 5-0",
                "XGROUP CREATE s g 5-0 ENTRIESREAD 9223372036854775807",
                "XCLAIM s g c 0 5-0 TIME 7 RETRYCOUNT 9223372036854775807 JUSTID FORCE",
            ]
        );
    }
}
