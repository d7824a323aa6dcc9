//! The entries that the consumers of a group have not acknowledged: XACK, XPENDING, XCLAIM,
//! XAUTOCLAIM.

use super::answers::{reply_entry, reply_id};
use super::ids::{parse_end, parse_id, parse_ids, parse_start};
use super::propagated::{as_setid, as_xclaim};
use crate::base::number::parse_i64;
use crate::base::text::{lossless, until_nul};
use crate::base::time::UnixMillis;
use crate::config::NotifyClasses;
use crate::keyspace::stream::{ConsumerNumber, Found, Group, Pending, StreamEntry};
use crate::keyspace::{Db, Stream, StreamId, WrongType};
use crate::resp::{OwnedArgv, Reply};
use crate::server::{Args, Command, CommandError, CommandResult, Ctx};
use crate::spec::{self, ACCESS, DELETE, FAST, KeySpec, READONLY, RO, RW, Spec, UPDATE, WRITE};

/// The commands of the file.
pub const COMMANDS: &[Command] = &[
    Command::new(
        Spec::new("xack", spec::Group::Stream, -4, "key group id [id ...]")
            .flags(&[WRITE, FAST])
            .keys(&[KeySpec::one(1, &[RW, UPDATE])])
            .since("5.0.0")
            .complexity("O(log(N)) for each ID, N: pending entries of the group.")
            .summary("Acknowledges entries: they are pending no more."),
        xack,
    ),
    Command::new(
        Spec::new(
            "xautoclaim",
            spec::Group::Stream,
            -6,
            "key group consumer min-idle-time start:string [COUNT count] [JUSTID]",
        )
        .flags(&[WRITE, FAST])
        .keys(&[KeySpec::one(1, &[RW, DELETE])])
        .since("6.2.0")
        .complexity("O(C*log(N)), C: COUNT, N: pending entries of the group.")
        .summary("Gives a consumer what others have left pending for long.")
        .tips(&["nondeterministic_output"])
        .history(&[("7.0.0", "Answers the IDs of deleted entries, which are pending no more.")]),
        xautoclaim,
    ),
    Command::new(
        Spec::new(
            "xclaim",
            spec::Group::Stream,
            -6,
            "key group consumer min-idle-time id [id ...] [IDLE ms:integer] [TIME unix-time-milliseconds] \
            [RETRYCOUNT count] [FORCE] [JUSTID] [LASTID id]",
        )
        .flags(&[WRITE, FAST])
        .keys(&[KeySpec::one(1, &[RW, UPDATE])])
        .since("5.0.0")
        .complexity("O(log(N)) for each ID, N: pending entries of the group.")
        .summary("Gives a consumer entries that are pending for others.")
        .tips(&["nondeterministic_output"]),
        xclaim,
    ),
    Command::new(
        Spec::new(
            "xpending",
            spec::Group::Stream,
            -3,
            "key group [[IDLE min-idle-time:integer]^6.2.0 start:string end count [consumer]]@filters",
        )
        .flags(&[READONLY])
        .keys(&[KeySpec::one(1, &[RO, ACCESS])])
        .since("5.0.0")
        .complexity("O(log(N)+M), N: pending entries, M: entries looked at; of the summary M: consumers.")
        .summary("Tells what is pending for a group.")
        .tips(&["nondeterministic_output"])
        .history(&[("6.2.0", "`IDLE`, and intervals that leave their ends out.")]),
        xpending,
    ),
];

/// The stream at `key` to change it. Redis: these commands count as reads of it.
fn stream_of<'a>(db: &'a mut Db, key: &[u8]) -> Result<Option<&'a mut Stream>, WrongType> {
    db.exists(key);
    db.write(key)
}

/// The error of a group or a stream that is missing. Redis: names end at a zero byte.
fn no_group(key: &[u8], group: &[u8]) -> CommandError {
    let (key, group) = (lossless(until_nul(key)), lossless(until_nul(group)));
    CommandError::line(format!("NOGROUP No such key '{key}' or consumer group '{group}'"))
}

fn xack(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let (key, name) = (args.key(), args.key());
    let Some(group) = stream_of(ctx.db, key)?.and_then(|stream| stream.groups.get_mut(name)) else {
        ctx.reply.integer(0);
        return Ok(());
    };
    let ids = parse_ids(args)?;
    let acknowledged = group.remove_each_pending(&ids);
    ctx.reply.count(acknowledged);
    if acknowledged > 0 {
        ctx.changed_aside(acknowledged as u64, key);
    }
    Ok(())
}

/// The pending entries that XPENDING tells of.
struct Filter<'a> {
    /// 0 for any.
    min_idle_ms: i64,
    first: StreamId,
    last: StreamId,
    count: usize,
    consumer: Option<&'a [u8]>,
}

impl<'a> Filter<'a> {
    /// `None` when only the summary is wanted.
    fn parse(mut args: Args<'a>) -> Result<Option<Filter<'a>>, CommandError> {
        match args.remaining() {
            0 => return Ok(None),
            3..=6 => {}
            _ => return Err(CommandError::Syntax),
        }
        let mut min_idle_ms = 0;
        if args.keyword("IDLE") {
            min_idle_ms = args.int()?;
            if args.remaining() < 3 {
                return Err(CommandError::Syntax);
            }
        }
        let (first, last, count) = (args.key(), args.key(), args.int()?);
        Ok(Some(Filter {
            min_idle_ms,
            first: parse_start(first)?,
            last: parse_end(last)?,
            count: usize::try_from(count).unwrap_or(0),
            // Redis: what stands behind it is not looked at.
            consumer: args.peek(),
        }))
    }
}

fn xpending(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let (key, name) = (args.key(), args.key());
    let filter = Filter::parse(args)?;
    let group = ctx.db.read::<Stream>(key)?.and_then(|stream| stream.groups.get(name));
    let group = group.ok_or_else(|| no_group(key, name))?;
    match filter {
        None => reply_summary(&mut ctx.reply, group),
        Some(filter) => reply_filtered(&mut ctx.reply, group, &filter, ctx.now),
    }
    Ok(())
}

fn reply_summary(reply: &mut Reply<'_>, group: &Group) {
    let pending = group.pending();
    reply.array(4);
    reply.integer(pending.len() as i64);
    let (Some(first), Some(last)) = (pending.first(), pending.last()) else {
        reply.null();
        reply.null();
        return reply.null_array();
    };
    reply_id(reply, first.id);
    reply_id(reply, last.id);
    let waiting = || group.consumers().iter().filter(|consumer| !consumer.pending().is_empty());
    reply.array(waiting().count());
    for consumer in waiting() {
        reply.array(2);
        reply.bulk(consumer.name());
        reply.bulk_integer(consumer.pending().len() as i64);
    }
}

fn reply_filtered(reply: &mut Reply<'_>, group: &Group, filter: &Filter<'_>, now: UnixMillis) {
    let Some(name) = filter.consumer else {
        let rows = group.pending().iter_from(filter.first).copied();
        return reply_rows(reply, group, filter, now, rows);
    };
    let consumers = group.consumers();
    let Some(consumer) = consumers.find(name).and_then(|number| consumers.get(number)) else {
        return reply.array(0);
    };
    let ids = consumer.pending().iter_from(filter.first);
    let rows = ids.filter_map(|&id| group.pending().get(id).copied());
    reply_rows(reply, group, filter, now, rows);
}

fn reply_rows(
    reply: &mut Reply<'_>,
    group: &Group,
    filter: &Filter<'_>,
    now: UnixMillis,
    rows: impl Iterator<Item = Pending>,
) {
    let wanted = rows
        .take_while(|row| row.id <= filter.last)
        .filter(|row| is_idle(row, filter.min_idle_ms, now))
        .take(filter.count);
    let place = reply.deferred();
    let mut answered = 0;
    for row in wanted {
        reply.array(4);
        reply_id(reply, row.id);
        reply.bulk(group.consumers().get(row.consumer).map_or(b"", |consumer| consumer.name()));
        reply.integer(idle_ms(&row, now).max(0));
        reply.integer(row.deliveries as i64);
        answered += 1;
    }
    reply.close_array(place, answered);
}

/// A file may name any time of delivery.
fn idle_ms(row: &Pending, now: UnixMillis) -> i64 {
    now.0.wrapping_sub(row.delivered_ms)
}

/// True when an entry has been pending for `min_idle_ms`, 0 being any time.
fn is_idle(row: &Pending, min_idle_ms: i64, now: UnixMillis) -> bool {
    min_idle_ms == 0 || idle_ms(row, now) >= min_idle_ms
}

/// The form of the answer for a claimed entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    /// All of it; it counts as delivered once more.
    Entry,
    /// Its ID. Source: JUSTID.
    Id,
}

impl Shown {
    fn reply(self, reply: &mut Reply<'_>, entry: &StreamEntry<'_>) {
        match self {
            Shown::Entry => reply_entry(reply, entry),
            Shown::Id => reply_id(reply, entry.id),
        }
    }

    /// Returns the number of deliveries of an entry that was delivered so often before.
    fn deliveries(self, before: u64) -> u64 {
        before.wrapping_add(u64::from(self == Shown::Entry))
    }
}

/// A consumer of a group takes pending entries over; what is to be told of that is gathered.
struct Claim<'a> {
    key: &'a [u8],
    group: &'a [u8],
    consumer_name: &'a [u8],
    now: UnixMillis,
    /// Known once something is claimed: Redis makes no consumer in vain.
    consumer: Option<ConsumerNumber>,
    has_created: bool,
    wants_effects: bool,
    effects: Vec<OwnedArgv>,
    /// Entries that are claimed, or pending no more.
    changes: u64,
}

impl<'a> Claim<'a> {
    /// Reads the names of the key, the group and the consumer.
    fn begin(args: &mut Args<'a>, ctx: &Ctx<'_>) -> Claim<'a> {
        Claim {
            key: args.key(),
            group: args.key(),
            consumer_name: args.key(),
            now: ctx.now,
            consumer: None,
            has_created: false,
            wants_effects: ctx.rooms.propagation.is_wanted(),
            effects: Vec::new(),
            changes: 0,
        }
    }

    fn no_group(&self) -> CommandError {
        no_group(self.key, self.group)
    }

    /// The consumer that claims, which was seen just now. `None` when there can be no more.
    fn consumer(&mut self, group: &mut Group) -> Option<ConsumerNumber> {
        if self.consumer.is_none() {
            let (number, found) = group.consumers_mut().find_or_add(self.consumer_name, self.now)?;
            group.consumers_mut().get_mut(number)?.seen = self.now;
            self.consumer = Some(number);
            self.has_created = found == Found::New;
        }
        self.consumer
    }

    /// Makes an entry pending for the consumer it names. `id` is as the client wrote it.
    fn take(&mut self, group: &mut Group, pending: Pending, id: &[u8]) {
        group.set_pending(pending);
        self.tell(group, &pending, id);
    }

    /// Makes a deleted entry pending no more.
    fn drop_deleted(&mut self, group: &mut Group, pending: &Pending, id: &[u8]) {
        self.tell(group, pending, id);
        group.remove_pending(pending.id);
    }

    fn tell(&mut self, group: &Group, pending: &Pending, id: &[u8]) {
        self.changes += 1;
        if self.wants_effects {
            self.effects.push(as_xclaim(self.key, self.group, group, pending, id));
        }
    }

    /// Tells that the group has read further, unless that was told with an entry.
    fn tell_last_id(&mut self, group: &Group) {
        if self.changes > 0 {
            return;
        }
        self.changes = 1;
        if self.wants_effects {
            self.effects.push(as_setid(self.key, self.group, group));
        }
    }

    /// Keeps the books.
    fn finish(self, ctx: &mut Ctx<'_>) {
        ctx.propagate_nothing();
        if self.changes == 0 {
            return;
        }
        ctx.changed_aside(self.changes + u64::from(self.has_created), self.key);
        if self.has_created {
            ctx.notify(NotifyClasses::STREAM, "xgroup-createconsumer", self.key);
        }
        self.effects.into_iter().for_each(|argv| ctx.effect.replace(argv));
    }
}

/// The options of XCLAIM.
struct ClaimOptions {
    /// The time at which the entries count as delivered.
    delivered_ms: i64,
    deliveries: Option<u64>,
    is_forced: bool,
    shown: Shown,
    last_id: StreamId,
}

impl ClaimOptions {
    fn parse(mut args: Args<'_>, now: UnixMillis) -> Result<ClaimOptions, CommandError> {
        let mut options = ClaimOptions {
            delivered_ms: now.0,
            deliveries: None,
            is_forced: false,
            shown: Shown::Entry,
            last_id: StreamId::MIN,
        };
        while !args.is_done() {
            if args.keyword("FORCE") {
                options.is_forced = true;
            } else if args.keyword("JUSTID") {
                options.shown = Shown::Id;
            } else if args.keyword_with_value("IDLE") {
                let idle = int(&mut args, "ERR Invalid IDLE option argument for XCLAIM")?;
                options.delivered_ms = now.0.wrapping_sub(idle);
            } else if args.keyword_with_value("TIME") {
                options.delivered_ms = int(&mut args, "ERR Invalid TIME option argument for XCLAIM")?;
            } else if args.keyword_with_value("RETRYCOUNT") {
                let count = int(&mut args, "ERR Invalid RETRYCOUNT option argument for XCLAIM")?;
                options.deliveries = u64::try_from(count).ok();
            } else if args.keyword_with_value("LASTID") {
                options.last_id = parse_id(args.key(), 0)?;
            } else {
                let word = lossless(until_nul(args.key()));
                return Err(CommandError::line(format!("ERR Unrecognized XCLAIM option '{word}'")));
            }
        }
        // Redis: times that cannot be stand for this moment; clients may reckon by other clocks.
        if !(0..=now.0).contains(&options.delivered_ms) {
            options.delivered_ms = now.0;
        }
        Ok(options)
    }
}

fn int(args: &mut Args<'_>, error: &'static str) -> Result<i64, CommandError> {
    parse_i64(args.next()?).ok_or(CommandError::fixed(error))
}

fn xclaim(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let mut claim = Claim::begin(&mut args, ctx);
    let Stream { log, groups } = stream_of(ctx.db, claim.key)?.ok_or_else(|| claim.no_group())?;
    let group = groups.get_mut(claim.group).ok_or_else(|| claim.no_group())?;
    let min_idle_ms = int(&mut args, "ERR Invalid min-idle-time argument for XCLAIM")?.max(0);
    let mut ids = Vec::new();
    while let Some(id) = args.peek().and_then(|text| parse_id(text, 0).ok()) {
        ids.push((args.key(), id));
    }
    let options = ClaimOptions::parse(args, ctx.now)?;
    let reads_further = options.last_id > group.last_id;
    group.last_id = group.last_id.max(options.last_id);
    let place = ctx.reply.deferred();
    let mut answered = 0;
    for (text, id) in ids {
        let old = group.pending().get(id).copied();
        let Some(entry) = log.get(id) else {
            if let Some(old) = old {
                claim.drop_deleted(group, &old, text);
            }
            continue;
        };
        // Redis: what is forced to be pending was delivered once by that alone.
        let before = match old {
            Some(old) if !is_idle(&old, min_idle_ms, ctx.now) => continue,
            Some(old) => old.deliveries,
            None if options.is_forced => 1,
            None => continue,
        };
        let Some(consumer) = claim.consumer(group) else { continue };
        let deliveries = options.deliveries.unwrap_or_else(|| options.shown.deliveries(before));
        claim.take(group, Pending { id, delivered_ms: options.delivered_ms, deliveries, consumer }, text);
        options.shown.reply(&mut ctx.reply, &entry);
        answered += 1;
    }
    if reads_further {
        claim.tell_last_id(group);
    }
    ctx.reply.close_array(place, answered);
    claim.finish(ctx);
    Ok(())
}

/// Entries that XAUTOCLAIM looks at for each that it may answer.
const ATTEMPTS_FACTOR: i64 = 10;
/// Redis: a larger COUNT is no number for it.
const MAX_COUNT: i64 = i64::MAX / 16;
/// Redis wants memory for the IDs of as many deleted entries beforehand, and no machine has that
/// for this many.
const TOO_LARGE_COUNT: i64 = 1 << 43;

/// Walks over the pending entries of a group that is being changed.
struct Walk {
    next: Option<StreamId>,
    page: std::vec::IntoIter<Pending>,
}

impl Walk {
    /// Entries read at once.
    const PAGE: usize = 64;

    fn next(&mut self, group: &Group) -> Option<Pending> {
        if let Some(row) = self.page.next() {
            return Some(row);
        }
        let page: Vec<Pending> = group.pending().iter_from(self.next?).take(Self::PAGE).copied().collect();
        self.next = page.last().and_then(|row| row.id.next());
        self.page = page.into_iter();
        self.page.next()
    }
}

/// COUNT and JUSTID of XAUTOCLAIM.
fn parse_autoclaim(mut args: Args<'_>) -> Result<(i64, Shown), CommandError> {
    let (mut count, mut shown) = (100, Shown::Entry);
    while !args.is_done() {
        if args.keyword_with_value("COUNT") {
            count = args.int_in(1, MAX_COUNT, CommandError::fixed("ERR COUNT must be > 0"))?;
        } else if args.keyword("JUSTID") {
            shown = Shown::Id;
        } else {
            return Err(CommandError::Syntax);
        }
    }
    Ok((count, shown))
}

fn xautoclaim(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let mut claim = Claim::begin(&mut args, ctx);
    ctx.db.exists(claim.key);
    let min_idle_ms = int(&mut args, "ERR Invalid min-idle-time argument for XAUTOCLAIM")?.max(0);
    let start = parse_start(args.key())?;
    let (mut left, shown) = parse_autoclaim(args)?;
    let stream = ctx.db.write::<Stream>(claim.key)?;
    let Stream { log, groups } = stream.ok_or_else(|| claim.no_group())?;
    let group = groups.get_mut(claim.group).ok_or_else(|| claim.no_group())?;
    if left >= TOO_LARGE_COUNT {
        return Err(CommandError::fixed(
            "ERR Insufficient memory, failed allocating transient memory, COUNT too high.",
        ));
    }
    let mark = ctx.reply.mark();
    let (mut answered, mut deleted) = (0, Vec::new());
    let mut attempts = left * ATTEMPTS_FACTOR;
    let mut walk = Walk { next: Some(start), page: Vec::new().into_iter() };
    while attempts > 0
        && left > 0
        && let Some(old) = walk.next(group)
    {
        attempts -= 1;
        let id = old.id.to_text();
        let Some(entry) = log.get(old.id) else {
            claim.drop_deleted(group, &old, id.as_bytes());
            deleted.push(old.id);
            left -= 1;
            continue;
        };
        if !is_idle(&old, min_idle_ms, ctx.now) {
            continue;
        }
        let Some(consumer) = claim.consumer(group) else { continue };
        let deliveries = shown.deliveries(old.deliveries);
        let pending = Pending { delivered_ms: ctx.now.0, deliveries, consumer, ..old };
        claim.take(group, pending, id.as_bytes());
        shown.reply(&mut ctx.reply, &entry);
        answered += 1;
        left -= 1;
    }
    let cursor = walk.next(group).map_or(StreamId::MIN, |row| row.id);
    ctx.reply.insert(mark, |reply| {
        reply.array(3);
        reply_id(reply, cursor);
        reply.array(answered);
    });
    ctx.reply.array(deleted.len());
    deleted.into_iter().for_each(|id| reply_id(&mut ctx.reply, id));
    claim.finish(ctx);
    Ok(())
}
