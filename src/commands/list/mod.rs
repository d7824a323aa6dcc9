//! Lists.
//!
//! The table is here; the handlers stand beside it: `push_pop` (both ends), `read`, `edit` (in the
//! middle), `transfer` (from list to list, several lists), `waiting` (the commands that block).

mod edit;
mod push_pop;
mod read;
mod transfer;
mod waiting;

use crate::ds::listpack::ListpackValue;
use crate::keyspace::List;
use crate::resp::Reply;
use crate::server::{Args, Command, CommandError};
use crate::spec::*;

/// The commands of the group.
pub const COMMANDS: &[Command] = &[
    Command::new(
        Spec::new(
            "blmove",
            Group::List,
            6,
            "source destination <LEFT | RIGHT>@wherefrom <LEFT | RIGHT>@whereto timeout",
        )
        .flags(&[WRITE, DENYOOM, NOSCRIPT, BLOCKING])
        .keys(&[KeySpec::one(1, &[RW, ACCESS, DELETE]), KeySpec::one(2, &[RW, INSERT])])
        .since("6.2.0")
        .summary("Moves an element from list to list; waits for one if there is none."),
        waiting::blmove,
    ),
    Command::new(
        Spec::new(
            "blmpop",
            Group::List,
            -5,
            "timeout numkeys key [key ...] <LEFT | RIGHT>@where [COUNT count]",
        )
        .flags(&[WRITE, BLOCKING])
        .keys(&[KeySpec::keynum(2, &[RW, ACCESS, DELETE])])
        .keys_by(KeysBy::KeyNum(2))
        .since("7.0.0")
        .complexity("O(N+M), N: keys, M: elements popped.")
        .summary("Pops elements from the first list that has any; waits if none has."),
        waiting::blmpop,
    ),
    Command::new(
        Spec::new("blpop", Group::List, -3, "key [key ...] timeout")
            .flags(&[WRITE, NOSCRIPT, BLOCKING])
            .keys(&[KeySpec::range(1, -2, 1, &[RW, ACCESS, DELETE])])
            .since("2.0.0")
            .complexity("O(N), N: keys.")
            .summary("Pops the first element of the first list that has any; waits if none has.")
            .history(&[("6.0.0", "`timeout` may have a fraction.")]),
        waiting::blpop,
    ),
    Command::new(
        Spec::new("brpop", Group::List, -3, "key [key ...] timeout")
            .flags(&[WRITE, NOSCRIPT, BLOCKING])
            .keys(&[KeySpec::range(1, -2, 1, &[RW, ACCESS, DELETE])])
            .since("2.0.0")
            .complexity("O(N), N: keys.")
            .summary("Pops the last element of the first list that has any; waits if none has.")
            .history(&[("6.0.0", "`timeout` may have a fraction.")]),
        waiting::brpop,
    ),
    Command::new(
        Spec::new("brpoplpush", Group::List, 4, "source destination timeout")
            .flags(&[WRITE, DENYOOM, NOSCRIPT, BLOCKING])
            .keys(&[KeySpec::one(1, &[RW, ACCESS, DELETE]), KeySpec::one(2, &[RW, INSERT])])
            .since("2.2.0")
            .summary("Moves the last element of a list to the front of another; waits for one.")
            .deprecated("6.2.0", "`BLMOVE` with `RIGHT` and `LEFT`")
            .history(&[("6.0.0", "`timeout` may have a fraction.")]),
        waiting::brpoplpush,
    ),
    Command::new(
        Spec::new("lindex", Group::List, 3, "key index")
            .flags(&[READONLY])
            .keys(&[KeySpec::one(1, &[RO, ACCESS])])
            .since("1.0.0")
            .complexity("O(N), N: elements to walk over; O(1) at both ends.")
            .summary("Reads the element at an index."),
        read::lindex,
    ),
    Command::new(
        Spec::new("linsert", Group::List, 5, "key <BEFORE | AFTER>@where pivot element")
            .flags(&[WRITE, DENYOOM])
            .keys(&[KeySpec::one(1, &[RW, INSERT])])
            .since("2.2.0")
            .complexity("O(N), N: elements before the other one.")
            .summary("Inserts an element beside another."),
        edit::linsert,
    ),
    Command::new(
        Spec::new("llen", Group::List, 2, "key")
            .flags(&[READONLY, FAST])
            .keys(&[KeySpec::one(1, &[RO])])
            .since("1.0.0")
            .summary("Counts the elements."),
        read::llen,
    ),
    Command::new(
        Spec::new(
            "lmove",
            Group::List,
            5,
            "source destination <LEFT | RIGHT>@wherefrom <LEFT | RIGHT>@whereto",
        )
        .flags(&[WRITE, DENYOOM])
        .keys(&[KeySpec::one(1, &[RW, ACCESS, DELETE]), KeySpec::one(2, &[RW, INSERT])])
        .since("6.2.0")
        .summary("Moves an element from list to list."),
        transfer::lmove,
    ),
    Command::new(
        Spec::new("lmpop", Group::List, -4, "numkeys key [key ...] <LEFT | RIGHT>@where [COUNT count]")
            .flags(&[WRITE])
            .keys(&[KeySpec::keynum(1, &[RW, ACCESS, DELETE])])
            .keys_by(KeysBy::KeyNum(1))
            .since("7.0.0")
            .complexity("O(N+M), N: keys, M: elements popped.")
            .summary("Pops elements from the first list that has any."),
        transfer::lmpop,
    ),
    Command::new(
        Spec::new("lpop", Group::List, -2, "key [count^6.2.0]")
            .flags(&[WRITE, FAST])
            .keys(&[KeySpec::one(1, &[RW, ACCESS, DELETE])])
            .since("1.0.0")
            .complexity("O(N), N: elements popped.")
            .summary("Pops elements from the front.")
            .history(&[("6.2.0", "`count`.")]),
        push_pop::lpop,
    ),
    Command::new(
        Spec::new(
            "lpos",
            Group::List,
            -3,
            "key element [RANK rank] [COUNT num-matches:integer] [MAXLEN len]",
        )
        .flags(&[READONLY])
        .keys(&[KeySpec::one(1, &[RO, ACCESS])])
        .since("6.0.6")
        .complexity("O(N), N: elements of the list.")
        .summary("Finds the index of an element."),
        read::lpos,
    ),
    Command::new(
        Spec::new("lpush", Group::List, -3, "key element [element ...]")
            .flags(&[WRITE, DENYOOM, FAST])
            .keys(&[KeySpec::one(1, &[RW, INSERT])])
            .since("1.0.0")
            .complexity("O(1) for each element.")
            .summary("Adds elements to the front; creates the list if missing.")
            .history(&[("2.4.0", "Takes several elements.")]),
        push_pop::lpush,
    ),
    Command::new(
        Spec::new("lpushx", Group::List, -3, "key element [element ...]")
            .flags(&[WRITE, DENYOOM, FAST])
            .keys(&[KeySpec::one(1, &[RW, INSERT])])
            .since("2.2.0")
            .complexity("O(1) for each element.")
            .summary("Adds elements to the front if the list exists.")
            .history(&[("4.0.0", "Takes several elements.")]),
        push_pop::lpushx,
    ),
    Command::new(
        Spec::new("lrange", Group::List, 4, "key start stop")
            .flags(&[READONLY])
            .keys(&[KeySpec::one(1, &[RO, ACCESS])])
            .since("1.0.0")
            .complexity("O(S+N), S: distance to the start, N: elements returned.")
            .summary("Reads a range of elements."),
        read::lrange,
    ),
    Command::new(
        Spec::new("lrem", Group::List, 4, "key count element")
            .flags(&[WRITE])
            .keys(&[KeySpec::one(1, &[RW, DELETE])])
            .since("1.0.0")
            .complexity("O(N+M), N: elements of the list, M: elements removed.")
            .summary("Removes elements equal to a value."),
        edit::lrem,
    ),
    Command::new(
        Spec::new("lset", Group::List, 4, "key index element")
            .flags(&[WRITE, DENYOOM])
            .keys(&[KeySpec::one(1, &[RW, UPDATE])])
            .since("1.0.0")
            .complexity("O(N), N: elements of the list; O(1) at both ends.")
            .summary("Replaces the element at an index."),
        edit::lset,
    ),
    Command::new(
        Spec::new("ltrim", Group::List, 4, "key start stop")
            .flags(&[WRITE])
            .keys(&[KeySpec::one(1, &[RW, DELETE])])
            .since("1.0.0")
            .complexity("O(N), N: elements removed.")
            .summary("Keeps a range of elements and removes the others."),
        edit::ltrim,
    ),
    Command::new(
        Spec::new("rpop", Group::List, -2, "key [count^6.2.0]")
            .flags(&[WRITE, FAST])
            .keys(&[KeySpec::one(1, &[RW, ACCESS, DELETE])])
            .since("1.0.0")
            .complexity("O(N), N: elements popped.")
            .summary("Pops elements from the end.")
            .history(&[("6.2.0", "`count`.")]),
        push_pop::rpop,
    ),
    Command::new(
        Spec::new("rpoplpush", Group::List, 3, "source destination")
            .flags(&[WRITE, DENYOOM])
            .keys(&[KeySpec::one(1, &[RW, ACCESS, DELETE]), KeySpec::one(2, &[RW, INSERT])])
            .since("1.2.0")
            .summary("Moves the last element of a list to the front of another.")
            .deprecated("6.2.0", "`LMOVE` with `RIGHT` and `LEFT`"),
        transfer::rpoplpush,
    ),
    Command::new(
        Spec::new("rpush", Group::List, -3, "key element [element ...]")
            .flags(&[WRITE, DENYOOM, FAST])
            .keys(&[KeySpec::one(1, &[RW, INSERT])])
            .since("1.0.0")
            .complexity("O(1) for each element.")
            .summary("Adds elements to the end; creates the list if missing.")
            .history(&[("2.4.0", "Takes several elements.")]),
        push_pop::rpush,
    ),
    Command::new(
        Spec::new("rpushx", Group::List, -3, "key element [element ...]")
            .flags(&[WRITE, DENYOOM, FAST])
            .keys(&[KeySpec::one(1, &[RW, INSERT])])
            .since("2.2.0")
            .complexity("O(1) for each element.")
            .summary("Adds elements to the end if the list exists.")
            .history(&[("4.0.0", "Takes several elements.")]),
        push_pop::rpushx,
    ),
];

/// An end of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

impl Side {
    /// The next argument: LEFT or RIGHT.
    fn parse(args: &mut Args<'_>) -> Result<Side, CommandError> {
        if args.keyword("LEFT") {
            Ok(Side::Left)
        } else if args.keyword("RIGHT") {
            Ok(Side::Right)
        } else {
            Err(CommandError::Syntax)
        }
    }

    /// The word for it in what is propagated.
    fn word(self) -> &'static [u8] {
        match self {
            Side::Left => b"left",
            Side::Right => b"right",
        }
    }

    /// The command that takes elements from here, as it is propagated.
    fn pop_command(self) -> &'static [u8] {
        match self {
            Side::Left => b"LPOP",
            Side::Right => b"RPOP",
        }
    }

    /// The event of an element added here.
    fn push_event(self) -> &'static str {
        match self {
            Side::Left => "lpush",
            Side::Right => "rpush",
        }
    }

    /// The event of elements taken from here.
    fn pop_event(self) -> &'static str {
        match self {
            Side::Left => "lpop",
            Side::Right => "rpop",
        }
    }

    fn push(self, list: &mut List, element: &[u8]) {
        match self {
            Side::Left => list.elements.push_front(element),
            Side::Right => list.elements.push_back(element),
        }
    }

    /// Takes one element out after showing it to `see`.
    fn pop<R>(self, list: &mut List, see: impl FnOnce(ListpackValue<'_>) -> R) -> Option<R> {
        match self {
            Side::Left => list.elements.pop_front_with(see),
            Side::Right => list.elements.pop_back_with(see),
        }
    }
}

/// Answers an element.
fn answer(reply: &mut Reply<'_>, element: ListpackValue<'_>) {
    match element {
        ListpackValue::Bytes(bytes) => reply.bulk(bytes),
        ListpackValue::Int(int) => reply.bulk_integer(int),
    }
}

/// Answers up to `count` elements from `side` as an array and takes them out; the last ones go with
/// the list, which the caller then removes. Returns how many, and whether they are all.
fn pop_many(reply: &mut Reply<'_>, list: &mut List, side: Side, count: u64) -> (u64, bool) {
    let len = list.elements.len();
    let count = count.min(len);
    let taken = usize::try_from(count).unwrap_or(usize::MAX);
    reply.array(taken);
    match side {
        Side::Left => list.elements.iter().take(taken).for_each(|element| answer(reply, element)),
        Side::Right => list.elements.iter_rev().take(taken).for_each(|element| answer(reply, element)),
    }
    if count < len {
        list.elements.remove_range(if side == Side::Left { 0 } else { len - count }, count);
    }
    (count, count == len)
}

/// The part of a list of `len` elements that `start` and `stop` name, both counted from the end
/// when negative: the first index and how many. Source: LRANGE, LTRIM.
fn range(start: i64, stop: i64, len: u64) -> (u64, u64) {
    let end = i64::try_from(len).unwrap_or(i64::MAX);
    let from_end = |index: i64| if index < 0 { index.saturating_add(end) } else { index };
    let (start, stop) = (from_end(start).max(0), from_end(stop).min(end - 1));
    if start > stop { (0, 0) } else { (start.unsigned_abs(), (stop - start + 1).unsigned_abs()) }
}

/// The element `index` names, counted from the end when negative. Source: LINDEX, LSET.
fn position(index: i64, len: u64) -> Option<u64> {
    if index < 0 {
        len.checked_sub(index.unsigned_abs())
    } else {
        Some(index.unsigned_abs()).filter(|&at| at < len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_count_from_either_end() {
        for (start, stop, len, found) in [
            (0, -1, 3, (0, 3)),
            (-100, 100, 3, (0, 3)),
            (1, 1, 3, (1, 1)),
            (2, 1, 3, (0, 0)),
            (3, 9, 3, (0, 0)),
            (-1, -2, 3, (0, 0)),
            (0, -4, 3, (0, 0)),
            (i64::MIN, i64::MAX, 3, (0, 3)),
            (i64::MAX, i64::MIN, 3, (0, 0)),
        ] {
            assert_eq!(range(start, stop, len), found, "{start} {stop}");
        }
        for (index, found) in [(0, Some(0)), (2, Some(2)), (3, None), (-3, Some(0)), (-4, None)] {
            assert_eq!(position(index, 3), found, "{index}");
        }
        assert_eq!((position(i64::MIN, 3), position(i64::MAX, 3)), (None, None));
    }
}
