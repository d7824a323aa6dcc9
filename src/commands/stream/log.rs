//! The entries of a stream: XADD, XTRIM, XDEL, XLEN, XRANGE, XREVRANGE, XSETID.

use super::answers::{reply_entry, reply_id};
use super::ids::{NewId, parse_end, parse_id, parse_ids, parse_start};
use super::trim::{self, Trimmed};
use crate::config::NotifyClasses;
use crate::keyspace::stream::{EntryTooLarge, Log, StreamEntry, TrimTo};
use crate::keyspace::{Collection, Stream, StreamId};
use crate::resp::Reply;
use crate::server::{Args, Command, CommandError, CommandResult, Ctx};
use crate::spec::*;

/// The commands of the file.
pub const COMMANDS: &[Command] = &[
    Command::new(
        Spec::new(
            "xadd",
            Group::Stream,
            -5,
            "key [NOMKSTREAM]^6.2.0 \
            [<MAXLEN | MINID^6.2.0>@strategy [=@equal | ~@approximately]@operator threshold \
            [LIMIT count]^6.2.0]@trim <*@auto_id | id>@id_or_auto field value [field value ...]@field_value",
        )
        .flags(&[WRITE, DENYOOM, FAST])
        .keys(&[KeySpec::one(1, &[RW, UPDATE])
            .notes("UPDATE instead of INSERT because of the optional trimming feature")])
        .since("5.0.0")
        .complexity("O(1) for the entry, O(N) for N entries that are trimmed.")
        .summary("Adds an entry to a stream.")
        .tips(&["nondeterministic_output"])
        .history(&[("6.2.0", "`NOMKSTREAM`, `MINID` and `LIMIT`."), ("7.0.0", "IDs of the form `<ms>-*`.")]),
        xadd,
    ),
    Command::new(
        Spec::new("xdel", Group::Stream, -3, "key id [id ...]")
            .flags(&[WRITE, FAST])
            .keys(&[KeySpec::one(1, &[RW, DELETE])])
            .since("5.0.0")
            .complexity("O(log(N)) for each ID, N: entries of the stream.")
            .summary("Deletes entries by ID."),
        xdel,
    ),
    Command::new(
        Spec::new("xlen", Group::Stream, 2, "key")
            .flags(&[READONLY, FAST])
            .keys(&[KeySpec::one(1, &[RO])])
            .since("5.0.0")
            .summary("Counts the entries."),
        xlen,
    ),
    Command::new(
        Spec::new("xrange", Group::Stream, -4, "key start:string end [COUNT count]")
            .flags(&[READONLY])
            .keys(&[KeySpec::one(1, &[RO, ACCESS])])
            .since("5.0.0")
            .complexity("O(log(N)+M), N: entries of the stream, M: entries answered.")
            .summary("Entries between two IDs.")
            .history(&[("6.2.0", "Intervals that leave their ends out.")]),
        xrange,
    ),
    Command::new(
        Spec::new("xrevrange", Group::Stream, -4, "key end start:string [COUNT count]")
            .flags(&[READONLY])
            .keys(&[KeySpec::one(1, &[RO, ACCESS])])
            .since("5.0.0")
            .complexity("O(log(N)+M), N: entries of the stream, M: entries answered.")
            .summary("Entries between two IDs, newest first.")
            .history(&[("6.2.0", "Intervals that leave their ends out.")]),
        xrevrange,
    ),
    Command::new(
        Spec::new(
            "xsetid",
            Group::Stream,
            -3,
            "key last-id [ENTRIESADDED entries_added]^7.0.0 [MAXDELETEDID max_deleted_entry_id]^7.0.0",
        )
        .flags(&[WRITE, DENYOOM, FAST])
        .keys(&[KeySpec::one(1, &[RW, UPDATE])])
        .since("5.0.0")
        .summary("Sets the last ID of a stream, and what it counts.")
        .history(&[("7.0.0", "`ENTRIESADDED` and `MAXDELETEDID`.")]),
        xsetid,
    ),
    Command::new(
        Spec::new(
            "xtrim",
            Group::Stream,
            -4,
            "key (<MAXLEN | MINID^6.2.0>@strategy [=@equal | ~@approximately]@operator threshold \
            [LIMIT count]^6.2.0)@trim",
        )
        .flags(&[WRITE])
        .keys(&[KeySpec::one(1, &[RW, DELETE])])
        .since("5.0.0")
        .complexity("O(log(N)), N: entries of the stream; what is removed is freed on another thread.")
        .summary("Removes the oldest entries.")
        .tips(&["nondeterministic_output"])
        .history(&[("6.2.0", "`MINID` and `LIMIT`.")]),
        xtrim,
    ),
];

fn xadd(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let key = args.key();
    let options = trim::Options::parse_xadd(&mut args)?;
    let id_at = args.position();
    let new_id = args.peek().map(NewId::parse).transpose()?;
    let trim = options.check(ctx)?;
    let pairs = args.rest().skip(1).collect::<Vec<_>>();
    let Some(new_id) = new_id.filter(|_| !pairs.is_empty() && pairs.len().is_multiple_of(2)) else {
        return Err(CommandError::Arity("xadd".into()));
    };
    if new_id == NewId::Exactly(StreamId::MIN) {
        return Err(CommandError::fixed("ERR The ID specified in XADD must be greater than 0-0"));
    }
    let (limits, now_ms) = (ctx.db.limits(), ctx.now.0);
    let add = |log: &mut Log| {
        let id = next_id(new_id, log.last_id(), now_ms)?;
        log.append(id, &pairs, &limits).map_err(|EntryTooLarge| too_large())?;
        Ok::<_, CommandError>((id, trim.map(|trim| trim.run(log)).unwrap_or_default()))
    };
    let (id, trimmed) = match ctx.db.write::<Stream>(key)? {
        Some(stream) => add(&mut stream.log)?,
        None if options.no_mkstream => {
            ctx.reply.null();
            return Ok(());
        }
        None => {
            // Nothing is left of an entry that is too large; Redis leaves a stream without entries.
            let mut stream = Stream::default();
            let added = add(&mut stream.log)?;
            ctx.db.insert(key, stream.into_value(), None);
            added
        }
    };
    reply_id(&mut ctx.reply, id);
    ctx.changed(NotifyClasses::STREAM, "xadd", key);
    if trimmed.count > 0 {
        ctx.notify(NotifyClasses::STREAM, "xtrim", key);
    }
    let made = (!matches!(new_id, NewId::Exactly(_))).then_some((id_at, id));
    finish(ctx, args, made, trimmed);
    Ok(())
}

/// The ID of the next entry. Errors when it would not be larger than `last`, the last one.
fn next_id(wanted: NewId, last: StreamId, now_ms: i64) -> Result<StreamId, CommandError> {
    let Some(following) = last.next() else {
        return Err(CommandError::fixed(
            "ERR The stream has exhausted the last possible ID, unable to add more items",
        ));
    };
    let id = match wanted {
        NewId::Any => following.max(StreamId { ms: u64::try_from(now_ms).unwrap_or(0), seq: 0 }),
        // Redis has no words of its own for this.
        NewId::AnyOf(ms) if ms == last.ms => {
            StreamId { ms, seq: last.seq.checked_add(1).ok_or_else(too_large)? }
        }
        NewId::AnyOf(ms) => StreamId { ms, seq: 0 },
        NewId::Exactly(id) => id,
    };
    if id > last {
        return Ok(id);
    }
    Err(CommandError::fixed(
        "ERR The ID specified in XADD is equal or smaller than the target stream top item",
    ))
}

fn too_large() -> CommandError {
    CommandError::fixed("ERR Elements are too large to be stored")
}

/// Leaves what was trimmed to be freed, and propagates the command as what it did: with the ID that
/// was made for the argument at a place, and trimming to where it stopped.
fn finish(ctx: &mut Ctx<'_>, args: Args<'_>, made: Option<(usize, StreamId)>, trimmed: Trimmed) {
    if let Some(log) = trimmed.removed {
        ctx.db.free_elsewhere(Stream { log, ..Stream::default() });
    }
    let is_as_asked = made.is_none() && trimmed.exact.is_none();
    if is_as_asked || !ctx.rooms.propagation.is_wanted() {
        return;
    }
    let id = made.map(|(at, id)| (at, id.to_string()));
    let threshold = trimmed.exact.map(|(at, to)| match to {
        TrimTo::Length(length) => (at, length.to_string()),
        TrimTo::Ids(id) => (at, id.to_string()),
    });
    let words = args.argv().iter().enumerate().map(|(at, word)| match (&id, &threshold) {
        (Some((id_at, id)), _) if at == *id_at => id.as_bytes(),
        (_, Some((threshold_at, _))) if at + 1 == *threshold_at => b"=",
        (_, Some((threshold_at, threshold))) if at == *threshold_at => threshold.as_bytes(),
        _ => word,
    });
    ctx.propagate_instead(words);
}

fn xtrim(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let key = args.key();
    let trim = trim::Options::parse_xtrim(&mut args)?.check_given(ctx)?;
    let Some(Stream { log, .. }) = ctx.db.write(key)? else {
        ctx.reply.integer(0);
        return Ok(());
    };
    let trimmed = trim.run(log);
    ctx.reply.integer(i64::try_from(trimmed.count).unwrap_or(i64::MAX));
    if trimmed.count > 0 {
        ctx.changed_by(trimmed.count, NotifyClasses::STREAM, "xtrim", key);
        finish(ctx, args, None, trimmed);
    }
    Ok(())
}

fn xdel(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let key = args.key();
    let Some(Stream { log, .. }) = ctx.db.write(key)? else {
        ctx.reply.integer(0);
        return Ok(());
    };
    let ids = parse_ids(args)?;
    let deleted = ids.into_iter().filter(|&id| log.delete(id)).count();
    ctx.reply.count(deleted);
    ctx.changed_by(deleted as u64, NotifyClasses::STREAM, "xdel", key);
    Ok(())
}

fn xlen(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let len = ctx.db.read::<Stream>(args.key())?.map_or(0, Stream::len);
    ctx.reply.count(len);
    Ok(())
}

fn xrange(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let key = args.key();
    let (first, last) = (parse_start(args.key())?, parse_end(args.key())?);
    let count = parse_count(args)?;
    let stream = ctx.db.read::<Stream>(key)?;
    reply_entries(&mut ctx.reply, stream.map(|stream| stream.log.range(first, last)), count);
    Ok(())
}

fn xrevrange(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let (key, last, first) = (args.key(), args.key(), args.key());
    let (first, last) = (parse_start(first)?, parse_end(last)?);
    let count = parse_count(args)?;
    let stream = ctx.db.read::<Stream>(key)?;
    reply_entries(&mut ctx.reply, stream.map(|stream| stream.log.range_rev(first, last)), count);
    Ok(())
}

/// The option COUNT; `None` without it. Redis: a negative one is 0.
fn parse_count(mut args: Args<'_>) -> Result<Option<usize>, CommandError> {
    let mut count = None;
    while !args.is_done() {
        if !args.keyword_with_value("COUNT") {
            return Err(CommandError::Syntax);
        }
        count = Some(usize::try_from(args.int()?).unwrap_or(0));
    }
    Ok(count)
}

/// Answers at most `count` entries, `None` of which stand for a missing key.
fn reply_entries<'a>(
    reply: &mut Reply<'_>,
    entries: Option<impl Iterator<Item = StreamEntry<'a>>>,
    count: Option<usize>,
) {
    let Some(entries) = entries else { return reply.array(0) };
    if count == Some(0) {
        return reply.null_array();
    }
    let place = reply.deferred();
    let mut answered = 0;
    for entry in entries.take(count.unwrap_or(usize::MAX)) {
        reply_entry(reply, &entry);
        answered += 1;
    }
    reply.close_array(place, answered);
}

fn xsetid(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let (key, last) = (args.key(), parse_id(args.key(), 0)?);
    let (mut added, mut max_deleted) = (None, StreamId::MIN);
    while !args.is_done() {
        if args.keyword_with_value("ENTRIESADDED") {
            let negative = CommandError::fixed("ERR entries_added must be positive");
            added = Some(u64::try_from(args.int()?).map_err(|_| negative)?);
        } else if args.keyword_with_value("MAXDELETEDID") {
            max_deleted = parse_id(args.key(), 0)?;
            if last < max_deleted {
                return Err(CommandError::fixed(
                    "ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id",
                ));
            }
        } else {
            return Err(CommandError::Syntax);
        }
    }
    let Stream { log, .. } = ctx.db.write::<Stream>(key)?.ok_or(CommandError::NoSuchKey)?;
    let top = log.range_rev(StreamId::MIN, StreamId::MAX).next().map(|entry| entry.id);
    if top.is_some_and(|top| last < top) {
        return Err(CommandError::fixed(
            "ERR The ID specified in XSETID is smaller than the target stream top item",
        ));
    }
    if added.is_some_and(|added| added < log.len()) {
        return Err(CommandError::fixed(
            "ERR The entries_added specified in XSETID is smaller than the target stream length",
        ));
    }
    log.set_last_id(last);
    if let Some(added) = added {
        log.set_added(added);
    }
    if max_deleted != StreamId::MIN {
        log.set_max_deleted_id(max_deleted);
    }
    ctx.reply.ok();
    ctx.changed_aside(1, key);
    ctx.notify(NotifyClasses::STREAM, "xsetid", key);
    Ok(())
}
