//! Streams in files: nodes as they are in memory, then groups with what is pending.
//!
//! ```text
//! nodes { ID of 16 bytes, listpack }  length  last ID  first ID  largest deleted ID  added
//! groups { name  last ID  entries read
//!          pending { ID of 16 bytes  time  deliveries }
//!          consumers { name  seen  [active]  pending { ID of 16 bytes } } }
//! ```
//!
//! The first ID and what follows it up to the groups, and how many entries a group has read, exist
//! since Redis 7.0; the time a consumer was active since 7.2, and is passed over.

use super::error::RdbError;
use super::reader::RdbReader;
use super::writer::Writer;
use crate::base::time::UnixMillis;
use crate::ds::listpack::Listpack;
use crate::ds::sorted_rows::SortedRows;
use crate::keyspace::Stream;
use crate::keyspace::stream::{Consumer, Group, Log, Node, Pending, StreamId};
use std::io::{BufRead, Write};

/// The version of the format in which a stream was written.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum StreamVersion {
    /// 5.0 to 6.2.
    First,
    /// 7.0.
    Second,
    /// 7.2 and newer.
    Third,
}

/// The number that Redis writes when it does not know how many entries a group has read.
const UNKNOWN_READ: u64 = u64::MAX;

impl<R: BufRead> RdbReader<R> {
    pub(super) fn stream(&mut self, form: StreamVersion) -> Result<Stream, RdbError> {
        let mut stream = Stream { log: self.log(form)?, ..Stream::default() };
        for _ in 0..self.length()? {
            let name = self.string()?;
            let group = self.group(form, &stream.log)?;
            if !stream.groups.add(&name, group) {
                return Err(self.corrupt("Duplicated consumer group name"));
            }
        }
        Ok(stream)
    }

    fn log(&mut self, form: StreamVersion) -> Result<Log, RdbError> {
        let mut log = Log::default();
        for _ in 0..self.length()? {
            let id = self.string()?;
            let id = id
                .try_into()
                .map_err(|_| self.corrupt("Stream node key entry is not the size of a stream ID"))?;
            let bytes = self.string()?;
            let node = Listpack::from_bytes_checked(bytes)
                .map_err(|_| self.corrupt("Stream listpack integrity check failed"))?;
            let node =
                Node::checked(StreamId::from_bytes(id), node).map_err(|reason| self.corrupt(reason))?;
            log.push_node(node).map_err(|reason| self.corrupt(reason))?;
        }
        if self.length()? != log.len() {
            return Err(self.corrupt("Stream length inconsistent with its entries"));
        }
        // No smaller than the largest there is: what is added next must be larger than that.
        let last = self.spelled_id()?.max(log.last_node_id());
        log.set_last_id(last);
        log.set_added(log.len());
        if form > StreamVersion::First {
            // The first ID: the nodes tell it too.
            self.spelled_id()?;
            let max_deleted = self.spelled_id()?;
            log.set_max_deleted_id(max_deleted);
            let added = self.length()?;
            log.set_added(added);
        }
        Ok(log)
    }

    fn group(&mut self, form: StreamVersion, log: &Log) -> Result<Group, RdbError> {
        let last = self.spelled_id()?;
        let read = match form {
            StreamVersion::First => log.added_up_to(last),
            StreamVersion::Second | StreamVersion::Third => {
                Some(self.length()?).filter(|&read| read != UNKNOWN_READ)
            }
        };
        let mut group = Group::new(last, read);
        for _ in 0..self.length()? {
            let id = StreamId::from_bytes(self.array()?);
            let (delivered_ms, deliveries) = (i64::from_le_bytes(self.array()?), self.length()?);
            if !group.load_pending(id, delivered_ms, deliveries) {
                return Err(self.corrupt("Duplicated global PEL entry loading stream consumer group"));
            }
        }
        for _ in 0..self.length()? {
            self.consumer(form, &mut group)?;
        }
        if group.is_owned() { Ok(group) } else { Err(self.corrupt("Stream CG PEL entry without consumer")) }
    }

    fn consumer(&mut self, form: StreamVersion, group: &mut Group) -> Result<(), RdbError> {
        let name = self.string()?;
        let seen = UnixMillis(i64::from_le_bytes(self.array()?));
        if form == StreamVersion::Third {
            self.array::<8>()?;
        }
        let number = group.consumers_mut().add(&name, seen);
        let number = number.ok_or_else(|| self.corrupt("Duplicate stream consumer detected"))?;
        for _ in 0..self.length()? {
            let id = StreamId::from_bytes(self.array()?);
            if !group.load_owner(id, number) {
                return Err(
                    self.corrupt("Consumer entry not found in group global PEL, or with another consumer")
                );
            }
        }
        Ok(())
    }

    /// An ID as two numbers.
    fn spelled_id(&mut self) -> Result<StreamId, RdbError> {
        Ok(StreamId { ms: self.length()?, seq: self.length()? })
    }
}

/// Writes a stream as 7.0 does.
pub(super) fn write<W: Write>(writer: &mut Writer<'_, W>, stream: &Stream) -> Result<(), RdbError> {
    let log = &stream.log;
    writer.length(log.node_count() as u64)?;
    for node in log.nodes() {
        writer.string(&node.master().to_bytes())?;
        writer.string(node.listpack().as_bytes())?;
    }
    writer.length(log.len())?;
    for id in [log.last_id(), log.first_id(), log.max_deleted_id()] {
        write_id(writer, id)?;
    }
    writer.length(log.added())?;
    writer.length(stream.groups.len() as u64)?;
    stream.groups.iter().try_for_each(|(name, group)| {
        writer.string(name)?;
        write_group(writer, group)
    })
}

fn write_group<W: Write>(writer: &mut Writer<'_, W>, group: &Group) -> Result<(), RdbError> {
    write_id(writer, group.last_id)?;
    writer.length(group.entries_read.unwrap_or(UNKNOWN_READ))?;
    write_pending(writer, group.pending())?;
    writer.length(group.consumers().len() as u64)?;
    group.consumers().iter().try_for_each(|consumer| write_consumer(writer, consumer))
}

fn write_pending<W: Write>(
    writer: &mut Writer<'_, W>,
    pending: &SortedRows<Pending>,
) -> Result<(), RdbError> {
    writer.length(pending.len())?;
    for row in pending.iter() {
        writer.raw(&row.id.to_bytes())?;
        writer.raw(&row.delivered_ms.to_le_bytes())?;
        writer.length(row.deliveries)?;
    }
    Ok(())
}

fn write_consumer<W: Write>(writer: &mut Writer<'_, W>, consumer: &Consumer) -> Result<(), RdbError> {
    writer.string(consumer.name())?;
    writer.raw(&consumer.seen.0.to_le_bytes())?;
    writer.length(consumer.pending().len())?;
    consumer.pending().iter().try_for_each(|id| writer.raw(&id.to_bytes()))
}

fn write_id<W: Write>(writer: &mut Writer<'_, W>, id: StreamId) -> Result<(), RdbError> {
    writer.length(id.ms)?;
    writer.length(id.seq)
}
