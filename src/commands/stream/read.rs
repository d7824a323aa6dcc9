//! XREAD and XREADGROUP: what is new in one of several streams, at once or when it comes.
//!
//! Everything that a command leaves open is decided when it arrives: a client that waits for `$`
//! waits for what comes behind the entry that is the last one then. `>` is what the group has not
//! been given whenever that is asked, so that several who wait get different entries.

use super::answers::{reply_entry, reply_id};
use super::consumers::{find_or_add, group_mut};
use super::ids::parse_id;
use super::propagated::{as_setid, as_xclaim};
use crate::base::text::{lossless, until_nul};
use crate::base::time::MonotonicMillis;
use crate::commands::answer::{close_overfull, max_waiting_bytes};
use crate::keyspace::stream::{ConsumerNumber, Found, Log, Pending, StreamEntry};
use crate::keyspace::{Collection, Stream, StreamId, ValueRef};
use crate::resp::reply::{Deferred, Protocol};
use crate::resp::{Argv, OwnedArgv, Reply};
use crate::server::{Args, Command, CommandError, CommandResult, Ctx, Origin};
use crate::spec::*;
use crate::waiting::TimeoutReply;

/// XREAD and XREADGROUP.
pub const COMMANDS: &[Command] = &[
    Command::new(
        Spec::new(
            "xread",
            Group::Stream,
            -4,
            "[COUNT count] [BLOCK milliseconds:integer] STREAMS (key [key ...] id [id ...])@streams",
        )
        .flags(&[READONLY, BLOCKING])
        .keys(&[KeySpec::all_after("STREAMS", 1, 2, &[RO, ACCESS])])
        .since("5.0.0")
        .complexity("O(N), N: entries returned.")
        .summary("Returns entries behind an ID of each stream; may wait for some."),
        xread,
    ),
    Command::new(
        Spec::new(
            "xreadgroup",
            Group::Stream,
            -7,
            "GROUP (group consumer)@group_consumer [COUNT count] [BLOCK milliseconds:integer] [NOACK] \
             STREAMS (key [key ...] id [id ...])@streams",
        )
        .flags(&[WRITE, BLOCKING])
        .keys(&[KeySpec::all_after("STREAMS", 4, 2, &[RO, ACCESS])])
        .keys_by(KeysBy::XReadGroup)
        .since("5.0.0")
        .complexity("O(N), N: entries returned.")
        .summary("Gives a consumer entries that are new to its group, or what it has had; may wait."),
        xreadgroup,
    ),
];

/// Entries that whoever waited without a COUNT is given at most.
const DEFAULT_WAITING_COUNT: usize = 1000;

const UNBALANCED: CommandError = CommandError::fixed(
    "ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified.",
);
const GROUP_IN_XREAD: CommandError =
    CommandError::fixed("ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead.");
const NOACK_IN_XREAD: CommandError =
    CommandError::fixed("ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead.");
const LAST_IN_XREADGROUP: CommandError = CommandError::fixed(
    "ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this \
     consumer by specifying a proper ID, or use the > ID to get new messages. The $ ID would just return \
     an empty result set.",
);
const NEW_IN_XREAD: CommandError = CommandError::fixed(
    "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.",
);

/// The request of a client.
struct Request<'a> {
    /// For whom, in XREADGROUP.
    reader: Option<Reader<'a>>,
    /// Entries of each stream; 0 for all.
    count: usize,
    /// The end of its wait, if it waits.
    wait: Option<Option<MonotonicMillis>>,
    keys: Vec<&'a [u8]>,
    /// One for each key, as they were written.
    ids: Vec<&'a [u8]>,
}

/// A consumer of a group.
#[derive(Clone, Copy)]
struct Reader<'a> {
    group: &'a [u8],
    consumer: &'a [u8],
    acks: Acks,
}

/// Says if delivered entries are pending until they are acknowledged.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Acks {
    Wanted,
    /// Source: NOACK.
    Waived,
}

/// From where on a stream is read.
#[derive(Clone, Copy)]
enum Start {
    /// Behind this ID; in XREADGROUP what the consumer has had already.
    After(StreamId),
    /// The entries that the group has not been given.
    New,
}

fn xread(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let request = Request::parse(ctx, &mut args, None)?;
    read(ctx, args.argv(), &request)
}

fn xreadgroup(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let reader = Reader { group: b"", consumer: b"", acks: Acks::Wanted };
    let request = Request::parse(ctx, &mut args, Some(reader))?;
    // The change of the stream is propagated, not that it was read.
    ctx.propagate_nothing();
    read(ctx, args.argv(), &request)
}

impl<'a> Request<'a> {
    /// Reads the arguments; `reader` is there in XREADGROUP, and filled.
    fn parse(
        ctx: &Ctx<'_>,
        args: &mut Args<'a>,
        mut reader: Option<Reader<'a>>,
    ) -> Result<Request<'a>, CommandError> {
        let (mut count, mut wait, mut has_group) = (0, None, false);
        while !args.is_done() {
            if args.keyword_with_value("BLOCK") {
                if ctx.origin == Origin::Script {
                    let name = lossless(until_nul(args.argv().at(0))).into_owned();
                    let line = format!("ERR {name} command is not allowed with BLOCK option from scripts");
                    return Err(CommandError::line(line));
                }
                wait = Some(args.deadline_ms(ctx.rooms.time.monotonic)?);
            } else if args.keyword_with_value("COUNT") {
                count = usize::try_from(args.int()?.max(0)).unwrap_or(usize::MAX);
            } else if args.keyword_with_value("STREAMS") {
                let (number, odd) = (args.remaining() / 2, args.remaining() % 2);
                if odd == 1 {
                    return Err(UNBALANCED);
                }
                let (keys, ids) = (args.take(number)?, args.take(number)?);
                if reader.is_some() && !has_group {
                    return Err(CommandError::fixed("ERR Missing GROUP option for XREADGROUP"));
                }
                return Ok(Request { reader, count, wait, keys, ids });
            } else if args.remaining() > 2 && args.keyword("GROUP") {
                let reader = reader.as_mut().ok_or(GROUP_IN_XREAD)?;
                (reader.group, reader.consumer, has_group) = (args.next()?, args.next()?, true);
            } else if args.keyword("NOACK") {
                reader.as_mut().ok_or(NOACK_IN_XREAD)?.acks = Acks::Waived;
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Err(CommandError::Syntax)
    }

    /// From where on the stream at `place` is read, which is looked up as one that is read.
    fn start(&self, ctx: &mut Ctx<'_>, place: usize) -> Result<Start, CommandError> {
        let key = self.keys[place];
        let stream = ctx.db.read::<Stream>(key)?;
        if let Some(reader) = &self.reader
            && stream.is_none_or(|stream| stream.groups.get(reader.group).is_none())
        {
            let (key, group) = (lossless(until_nul(key)), lossless(until_nul(reader.group)));
            return Err(CommandError::line(format!(
                "NOGROUP No such key '{key}' or consumer group '{group}' in XREADGROUP with GROUP option"
            )));
        }
        match (until_nul(self.ids[place]), self.reader.is_some()) {
            (b"$", true) => Err(LAST_IN_XREADGROUP),
            (b"$", false) => Ok(Start::After(stream.map_or(StreamId::MIN, |stream| stream.log.last_id()))),
            (b">", true) => Ok(Start::New),
            (b">", false) => Err(NEW_IN_XREAD),
            (_, is_group) => match parse_id(self.ids[place], 0)? {
                // Redis: that is how it keeps `>`.
                StreamId::MAX if is_group => Ok(Start::New),
                id => Ok(Start::After(id)),
            },
        }
    }

    /// The command with the ID in the place of each `$`.
    fn decided(&self, argv: Argv<'_>, starts: &[Start]) -> OwnedArgv {
        let first = argv.len() - starts.len();
        let texts: Vec<_> = starts
            .iter()
            .map(|start| match start {
                Start::After(id) => Some(id.to_text()),
                Start::New => None,
            })
            .collect();
        OwnedArgv::from_parts(argv.iter().enumerate().map(|(at, word)| {
            let text = at.checked_sub(first).and_then(|place| texts[place].as_ref());
            text.map_or(word, |text| text.as_bytes())
        }))
    }
}

fn read(ctx: &mut Ctx<'_>, argv: Argv<'_>, request: &Request<'_>) -> CommandResult {
    if ctx.origin == Origin::Unparked {
        return read_again(ctx, argv, request);
    }
    let starts: Vec<_> =
        (0..request.keys.len()).map(|place| request.start(ctx, place)).collect::<Result<_, _>>()?;
    let mut answer = Answer::default();
    for (&key, &start) in request.keys.iter().zip(&starts) {
        match request.reader {
            None => read_entries(ctx, key, start, request.count, &mut answer)?,
            Some(reader) => read_for(ctx, key, reader, start, request.count, &mut answer)?,
        }
        // A key may be named many times.
        if answer.streams > 1 && ctx.reply.mark() > max_waiting_bytes(&ctx.rooms.config) {
            close_overfull(ctx);
            break;
        }
    }
    if answer.close(&mut ctx.reply) {
        return Ok(());
    }
    let Some(deadline) = request.wait else {
        ctx.reply.null_array();
        return Ok(());
    };
    ctx.block_on_keys(argv, request.keys.iter().copied(), deadline, TimeoutReply::NullArray);
    if let Some(wait) = &mut ctx.session.parked
        && request.ids.iter().any(|id| until_nul(id) == b"$")
    {
        wait.run_instead(request.decided(argv, &starts));
    }
    Ok(())
}

/// Looks at the one key of a waiting command that has changed.
fn read_again(ctx: &mut Ctx<'_>, argv: Argv<'_>, request: &Request<'_>) -> CommandResult {
    let place = request.keys.iter().position(|key| ctx.may_serve(key));
    let Some(place) = place else { return wait_on(ctx, argv) };
    let key = request.keys[place];
    let count = if request.count == 0 { DEFAULT_WAITING_COUNT } else { request.count };
    let mut answer = Answer::default();
    if let Some(reader) = request.reader {
        let Ok(Some(stream)) = ctx.db.reshape::<Stream>(key) else {
            return Err(CommandError::fixed("UNBLOCKED the stream key no longer exists"));
        };
        let Some(group) = stream.groups.get(reader.group) else {
            return Err(CommandError::fixed(
                "NOGROUP the consumer group this client was blocked on no longer exists",
            ));
        };
        if !has_after(&stream.log, group.last_id) {
            return wait_on(ctx, argv);
        }
        let consumer = consumer_of(ctx, key, reader)?;
        answer.begin(&mut ctx.reply, key);
        deliver(ctx, key, reader, consumer, count);
    } else {
        let after = parse_id(request.ids[place], 0)?;
        // Redis counts no hit and no miss here.
        let Some(ValueRef::Object(value)) = ctx.db.view_for_update(key).map(|view| view.value) else {
            return wait_on(ctx, argv);
        };
        let Some(stream) = Stream::of(value).filter(|stream| has_after(&stream.log, after)) else {
            return wait_on(ctx, argv);
        };
        answer.begin(&mut ctx.reply, key);
        reply_after(&mut ctx.reply, &stream.log, after, count);
    }
    answer.close(&mut ctx.reply);
    Ok(())
}

/// The change is not what the client waits for.
fn wait_on(ctx: &mut Ctx<'_>, argv: Argv<'_>) -> CommandResult {
    ctx.block_on_keys(argv, [], None, TimeoutReply::NullArray);
    Ok(())
}

/// The streams that are answered: a map in RESP3, else an array of pairs.
#[derive(Default)]
struct Answer {
    place: Option<Deferred>,
    streams: usize,
}

impl Answer {
    /// Begins a stream; its entries follow.
    fn begin(&mut self, reply: &mut Reply<'_>, key: &[u8]) {
        self.place.get_or_insert_with(|| reply.deferred());
        self.streams += 1;
        if reply.protocol() == Protocol::Resp2 {
            reply.array(2);
        }
        reply.bulk(key);
    }

    /// Ends the answer. Returns false when there is none.
    fn close(self, reply: &mut Reply<'_>) -> bool {
        let Some(place) = self.place else { return false };
        match reply.protocol() {
            Protocol::Resp2 => reply.close_array(place, self.streams),
            Protocol::Resp3 => reply.close_map(place, self.streams),
        }
        true
    }
}

/// True when there is an entry behind `after`.
fn has_after(log: &Log, after: StreamId) -> bool {
    log.last_id() > after
        && log.range_rev(StreamId::MIN, StreamId::MAX).next().is_some_and(|last| last.id > after)
}

/// The entries behind an ID; `count` 0 is all of them.
fn entries_after(log: &Log, after: StreamId, count: usize) -> impl Iterator<Item = StreamEntry<'_>> {
    let first = after.next();
    let most = if count == 0 { usize::MAX } else { count };
    log.range(first.unwrap_or(StreamId::MAX), StreamId::MAX).take(if first.is_some() { most } else { 0 })
}

fn reply_after(reply: &mut Reply<'_>, log: &Log, after: StreamId, count: usize) {
    let place = reply.deferred();
    let mut len = 0;
    for entry in entries_after(log, after, count) {
        reply_entry(reply, &entry);
        len += 1;
    }
    reply.close_array(place, len);
}

/// Answers XREAD for one key. Redis looks each up twice, and counts that.
fn read_entries(
    ctx: &mut Ctx<'_>,
    key: &[u8],
    start: Start,
    count: usize,
    answer: &mut Answer,
) -> CommandResult {
    let stream = ctx.db.read::<Stream>(key)?;
    if let (Some(stream), Start::After(after)) = (stream, start)
        && has_after(&stream.log, after)
    {
        answer.begin(&mut ctx.reply, key);
        reply_after(&mut ctx.reply, &stream.log, after, count);
    }
    Ok(())
}

/// Answers XREADGROUP for one key.
fn read_for(
    ctx: &mut Ctx<'_>,
    key: &[u8],
    reader: Reader<'_>,
    start: Start,
    count: usize,
    answer: &mut Answer,
) -> CommandResult {
    let Some(stream) = ctx.db.read::<Stream>(key)? else { return Ok(()) };
    let read_to = stream.groups.get(reader.group).map_or(StreamId::MAX, |group| group.last_id);
    if matches!(start, Start::New) && !has_after(&stream.log, read_to) {
        return Ok(());
    }
    let consumer = consumer_of(ctx, key, reader)?;
    answer.begin(&mut ctx.reply, key);
    match start {
        Start::New => deliver(ctx, key, reader, consumer, count),
        Start::After(after) => reply_history(ctx, key, reader, consumer, after, count),
    }
    ctx.changed_aside(1, key);
    Ok(())
}

/// The consumer, which is there from now on and was seen.
fn consumer_of(ctx: &mut Ctx<'_>, key: &[u8], reader: Reader<'_>) -> Result<ConsumerNumber, CommandError> {
    let (number, found) = find_or_add(ctx, key, reader.group, reader.consumer)?;
    let now = ctx.now;
    if let Some(consumer) =
        group_mut(ctx.db, key, reader.group).and_then(|group| group.consumers_mut().get_mut(number))
    {
        consumer.seen = now;
    }
    // Else it comes into being with what is given to it.
    if found == Found::New && reader.acks == Acks::Waived {
        let parts: [&[u8]; 5] = [b"XGROUP", b"CREATECONSUMER", key, reader.group, reader.consumer];
        ctx.propagate_instead(parts);
    }
    Ok(number)
}

/// Gives a consumer what its group has not been given.
fn deliver(ctx: &mut Ctx<'_>, key: &[u8], reader: Reader<'_>, consumer: ConsumerNumber, count: usize) {
    let is_wanted = ctx.rooms.propagation.is_wanted();
    let delivered_ms = ctx.now.0;
    let place = ctx.reply.deferred();
    let mut len = 0;
    if let Ok(Some(Stream { log, groups })) = ctx.db.reshape::<Stream>(key)
        && let Some(group) = groups.get_mut(reader.group)
    {
        for entry in entries_after(log, group.last_id, count) {
            group.advance(entry.id, log);
            reply_entry(&mut ctx.reply, &entry);
            len += 1;
            if reader.acks == Acks::Wanted {
                let pending = Pending { id: entry.id, delivered_ms, deliveries: 1, consumer };
                group.set_pending(pending);
                if is_wanted {
                    let id = entry.id.to_text();
                    ctx.effect.replace(as_xclaim(key, reader.group, group, &pending, id.as_bytes()));
                }
            }
        }
        if is_wanted && len > 0 && reader.acks == Acks::Waived {
            ctx.effect.replace(as_setid(key, reader.group, group));
        }
    }
    ctx.reply.close_array(place, len);
    ctx.changed_aside(0, key);
}

/// Gives a consumer again what is pending for it behind `after`. Of an entry that was deleted there
/// is only the ID.
fn reply_history(
    ctx: &mut Ctx<'_>,
    key: &[u8],
    reader: Reader<'_>,
    consumer: ConsumerNumber,
    after: StreamId,
    count: usize,
) {
    let delivered_ms = ctx.now.0;
    let place = ctx.reply.deferred();
    let mut len = 0;
    if let Ok(Some(Stream { log, groups })) = ctx.db.reshape::<Stream>(key)
        && let Some(group) = groups.get_mut(reader.group)
        && let Some(first) = after.next()
        && let Some(ids) = group.consumers().get(consumer).map(|consumer| consumer.pending().clone())
    {
        let most = if count == 0 { usize::MAX } else { count };
        for &id in ids.iter_from(first).take(most) {
            len += 1;
            let Some(entry) = log.get(id) else {
                ctx.reply.array(2);
                reply_id(&mut ctx.reply, id);
                ctx.reply.null_array();
                continue;
            };
            reply_entry(&mut ctx.reply, &entry);
            if let Some(&pending) = group.pending().get(id) {
                let deliveries = pending.deliveries.wrapping_add(1);
                group.set_pending(Pending { delivered_ms, deliveries, ..pending });
            }
        }
    }
    ctx.reply.close_array(place, len);
}
