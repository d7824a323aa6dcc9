//! The entries of a stream: XADD, XDEL, XLEN, XRANGE, XREVRANGE, XSETID, XTRIM.

use super::answers::{reply_entry, reply_id};
use super::ids::{NewId, parse_end, parse_id, parse_start};
use super::trimming::{TrimOptions, Trimming, propagate_replaced};
use crate::base::time::UnixMillis;
use crate::config::NotifyClasses;
use crate::keyspace::stream::{Entry, EntryTooLarge, Log};
use crate::keyspace::{Stream, StreamId};
use crate::server::{Args, Command, CommandError, CommandResult, Ctx};
use crate::spec::*;

/// The commands of this file.
pub const COMMANDS: &[Command] = &[
    Command::new(
        Spec::new(
            "xadd",
            Group::Stream,
            -5,
            "key [NOMKSTREAM]^6.2.0 [<MAXLEN | MINID^6.2.0>@strategy [=@equal | ~@approximately]@operator \
            threshold:string [LIMIT count]^6.2.0]@trim <*@auto_id | id:string>@id_or_auto field value \
            [field value ...]",
        )
        .flags(&[WRITE, DENYOOM, FAST])
        .keys(&[KeySpec::one(1, &[RW, UPDATE])])
        .since("5.0.0")
        .complexity("O(1) to add, O(N) to trim, N: entries trimmed.")
        .summary("Adds an entry to a stream, which is made if it is missing.")
        .tips(&["nondeterministic_output"])
        .history(&[("6.2.0", "`NOMKSTREAM`, `MINID`, `LIMIT`."), ("7.0.0", "The ID may be `<ms>-*`.")]),
        xadd,
    ),
    Command::new(
        Spec::new("xdel", Group::Stream, -3, "key id [id ...]")
            .flags(&[WRITE, FAST])
            .keys(&[KeySpec::one(1, &[RW, DELETE])])
            .since("5.0.0")
            .complexity("O(log(N)) for each ID, N: entries of the stream.")
            .summary("Deletes entries of a stream; answers how many there were."),
        xdel,
    ),
    Command::new(
        Spec::new("xlen", Group::Stream, 2, "key")
            .flags(&[READONLY, FAST])
            .keys(&[KeySpec::one(1, &[RO])])
            .since("5.0.0")
            .complexity("O(1)")
            .summary("The number of entries of a stream."),
        xlen,
    ),
    Command::new(
        Spec::new("xrange", Group::Stream, -4, "key start:string end:string [COUNT count]")
            .flags(&[READONLY])
            .keys(&[KeySpec::one(1, &[RO, ACCESS])])
            .since("5.0.0")
            .complexity("O(log(N)+M), N: entries of the stream, M: entries answered.")
            .summary("The entries of a stream from one ID to another.")
            .history(&[("6.2.0", "Intervals may leave their ends out.")]),
        xrange,
    ),
    Command::new(
        Spec::new("xrevrange", Group::Stream, -4, "key end:string start:string [COUNT count]")
            .flags(&[READONLY])
            .keys(&[KeySpec::one(1, &[RO, ACCESS])])
            .since("5.0.0")
            .complexity("O(log(N)+M), N: entries of the stream, M: entries answered.")
            .summary("The entries of a stream from one ID back to another.")
            .history(&[("6.2.0", "Intervals may leave their ends out.")]),
        xrevrange,
    ),
    Command::new(
        Spec::new(
            "xsetid",
            Group::Stream,
            -3,
            "key last-id:string [ENTRIESADDED entries_added:integer]^7.0.0 \
            [MAXDELETEDID max_deleted_entry_id:string]^7.0.0",
        )
        .flags(&[WRITE, DENYOOM, FAST])
        .keys(&[KeySpec::one(1, &[RW, UPDATE])])
        .since("5.0.0")
        .complexity("O(1)")
        .summary("Sets what is known of entries that are gone: the last ID, how many were added.")
        .history(&[("7.0.0", "`ENTRIESADDED` and `MAXDELETEDID`.")]),
        xsetid,
    ),
    Command::new(
        Spec::new(
            "xtrim",
            Group::Stream,
            -4,
            "key (<MAXLEN | MINID^6.2.0>@strategy [=@equal | ~@approximately]@operator threshold:string \
            [LIMIT count]^6.2.0)@trim",
        )
        .flags(&[WRITE])
        .keys(&[KeySpec::one(1, &[RW, DELETE])])
        .since("5.0.0")
        .complexity("O(log(N)), N: entries of the stream; what goes is freed by another thread.")
        .summary("Removes the oldest entries of a stream; answers how many.")
        .tips(&["nondeterministic_output"])
        .history(&[("6.2.0", "`MINID`, `LIMIT`.")]),
        xtrim,
    ),
];

const NOT_LARGER: &str = "ERR The ID specified in XADD is equal or smaller than the target stream top item";
const EXHAUSTED: &str = "ERR The stream has exhausted the last possible ID, unable to add more items";
const ZERO_ID: &str = "ERR The ID specified in XADD must be greater than 0-0";

impl From<EntryTooLarge> for CommandError {
    fn from(_: EntryTooLarge) -> Self {
        CommandError::fixed("ERR Elements are too large to be stored")
    }
}

fn xadd(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let key = args.key();
    let (mut options, mut makes_stream) = (TrimOptions::default(), true);
    // Redis: `*` needs no look at options.
    while args.peek().is_some_and(|word| word != b"*") {
        if args.keyword("NOMKSTREAM") {
            makes_stream = false;
        } else if !options.read(&mut args)? {
            break;
        }
    }
    let id_position = args.position();
    let new = args.peek().map_or(Ok(NewId::Exactly(StreamId::MIN)), NewId::parse)?;
    let trimming = options.finish(ctx)?;
    args.next().map_err(|_| wrong_arity())?;
    let pairs: Vec<_> = args.rest().collect();
    if pairs.is_empty() || pairs.len() % 2 == 1 {
        return Err(wrong_arity());
    }
    if new == NewId::Exactly(StreamId::MIN) {
        return Err(CommandError::fixed(ZERO_ID));
    }
    let (now, limits) = (ctx.db.now(), ctx.db.limits());
    let existing = ctx.db.write::<Stream>(key)?;
    let is_new = existing.is_none();
    if is_new && !makes_stream {
        ctx.reply.null();
        return Ok(());
    }
    let mut made = Stream::default();
    let log = &mut existing.unwrap_or(&mut made).log;
    let id = next_id(log, new, now)?;
    log.append(id, &pairs, &limits)?;
    if is_new {
        *ctx.db.write_or_create::<Stream>(key, |_| Stream::default())? = made;
    }
    reply_id(&mut ctx.reply, id);
    ctx.changed(NotifyClasses::STREAM, "xadd", key);
    let mut replaced = Vec::new();
    if let Some(trimming) = trimming {
        if trim(ctx, key, trimming)? > 0 {
            ctx.notify(NotifyClasses::STREAM, "xtrim", key);
        }
        if let Some(stream) = ctx.db.write::<Stream>(key)? {
            replaced = trimming.replaced_words(&stream.log);
        }
    }
    if !matches!(new, NewId::Exactly(_)) {
        replaced.push((id_position, id.to_text().as_bytes().to_vec()));
    }
    propagate_replaced(ctx, args.argv(), &replaced);
    Ok(())
}

fn wrong_arity() -> CommandError {
    CommandError::Arity("xadd".into())
}

/// The ID of the next entry of `log`.
fn next_id(log: &Log, new: NewId, now: UnixMillis) -> Result<StreamId, CommandError> {
    let last = log.last_id();
    let following = last.next().ok_or(CommandError::fixed(EXHAUSTED))?;
    let id = match new {
        NewId::Any => {
            let now = StreamId { ms: u64::try_from(now.0).unwrap_or(0), seq: 0 };
            if now.ms > last.ms { now } else { following }
        }
        NewId::AnyOf(ms) if ms == last.ms && following.ms == ms => following,
        // Redis: the first of a stream may be 0-1, as 0-0 is none.
        NewId::AnyOf(ms) => StreamId { ms, seq: 0 },
        NewId::Exactly(id) => id,
    };
    if id > last { Ok(id) } else { Err(CommandError::fixed(NOT_LARGER)) }
}

/// Trims the stream of `key`. Returns how many entries went.
fn trim(ctx: &mut Ctx<'_>, key: &[u8], trimming: Trimming) -> Result<u64, CommandError> {
    let Some(stream) = ctx.db.write::<Stream>(key)? else { return Ok(0) };
    let (count, removed) = stream.log.trim(trimming.to, trimming.precision);
    if let Some(log) = removed {
        ctx.db.free_elsewhere(Stream { log, ..Stream::default() });
    }
    Ok(count)
}

fn xtrim(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let key = args.key();
    let mut options = TrimOptions::default();
    while !args.is_done() {
        if !options.read(&mut args)? {
            return Err(CommandError::Syntax);
        }
    }
    let Some(trimming) = options.finish(ctx)? else {
        return Err(CommandError::fixed("ERR syntax error, XTRIM must be called with a trimming strategy"));
    };
    let count = trim(ctx, key, trimming)?;
    if count > 0 {
        ctx.changed_by(count, NotifyClasses::STREAM, "xtrim", key);
        let replaced = ctx.db.write::<Stream>(key)?.map(|stream| trimming.replaced_words(&stream.log));
        propagate_replaced(ctx, args.argv(), &replaced.unwrap_or_default());
    }
    ctx.reply.integer(i64::try_from(count).unwrap_or(i64::MAX));
    Ok(())
}

fn xdel(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let key = args.key();
    let Some(stream) = ctx.db.write::<Stream>(key)? else {
        ctx.reply.integer(0);
        return Ok(());
    };
    let ids: Result<Vec<_>, _> = args.rest().map(|text| parse_id(text, 0)).collect();
    let deleted = ids?.into_iter().filter(|&id| stream.log.delete(id)).count();
    ctx.changed_by(deleted as u64, NotifyClasses::STREAM, "xdel", key);
    ctx.reply.count(deleted);
    Ok(())
}

fn xlen(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let length = ctx.db.read::<Stream>(args.key())?.map_or(0, Stream::len);
    ctx.reply.count(length);
    Ok(())
}

fn xrange(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let key = args.key();
    let (start, end) = (parse_start(args.key())?, parse_end(args.key())?);
    let count = parse_count(&mut args)?;
    reply_range(ctx, key, count, |log| log.range(start, end))
}

fn xrevrange(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let key = args.key();
    let (end, start) = (args.key(), args.key());
    let (start, end) = (parse_start(start)?, parse_end(end)?);
    let count = parse_count(&mut args)?;
    reply_range(ctx, key, count, |log| log.range_rev(start, end))
}

/// How many entries a range may have; Redis takes what is below 0 for 0.
fn parse_count(args: &mut Args<'_>) -> Result<Option<usize>, CommandError> {
    let mut count = None;
    while !args.is_done() {
        if !args.keyword_with_value("COUNT") {
            return Err(CommandError::Syntax);
        }
        count = Some(usize::try_from(args.int()?.max(0)).unwrap_or(usize::MAX));
    }
    Ok(count)
}

fn reply_range<'l, I: Iterator<Item = Entry<'l>>>(
    ctx: &'l mut Ctx<'_>,
    key: &[u8],
    count: Option<usize>,
    range: impl FnOnce(&'l Log) -> I,
) -> CommandResult {
    let Some(stream) = ctx.db.read::<Stream>(key)? else {
        ctx.reply.array(0);
        return Ok(());
    };
    if count == Some(0) {
        ctx.reply.null_array();
        return Ok(());
    }
    let place = ctx.reply.deferred();
    let mut answered = 0;
    for entry in range(&stream.log).take(count.unwrap_or(usize::MAX)) {
        reply_entry(&mut ctx.reply, &entry);
        answered += 1;
    }
    ctx.reply.close_array(place, answered);
    Ok(())
}

fn xsetid(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let key = args.key();
    let id = parse_id(args.key(), 0)?;
    let (mut added, mut max_deleted) = (None, StreamId::MIN);
    while !args.is_done() {
        if args.keyword_with_value("ENTRIESADDED") {
            let value = u64::try_from(args.int()?);
            added = Some(value.map_err(|_| CommandError::fixed("ERR entries_added must be positive"))?);
        } else if args.keyword_with_value("MAXDELETEDID") {
            max_deleted = parse_id(args.next()?, 0)?;
            if id < max_deleted {
                return Err(CommandError::fixed(
                    "ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id",
                ));
            }
        } else {
            return Err(CommandError::Syntax);
        }
    }
    let Some(stream) = ctx.db.write::<Stream>(key)? else { return Err(CommandError::NoSuchKey) };
    let log = &mut stream.log;
    if log.range_rev(StreamId::MIN, StreamId::MAX).next().is_some_and(|newest| id < newest.id) {
        return Err(CommandError::fixed(
            "ERR The ID specified in XSETID is smaller than the target stream top item",
        ));
    }
    if !log.is_empty() && added.is_some_and(|added| added < log.len()) {
        return Err(CommandError::fixed(
            "ERR The entries_added specified in XSETID is smaller than the target stream length",
        ));
    }
    log.set_last_id(id);
    added.into_iter().for_each(|added| log.set_added(added));
    if max_deleted != StreamId::MIN {
        log.set_max_deleted_id(max_deleted);
    }
    ctx.reply.ok();
    ctx.changed(NotifyClasses::STREAM, "xsetid", key);
    Ok(())
}
