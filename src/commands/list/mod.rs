//! Lists.
//!
//! The table is here; the handlers stand beside it: `push_pop` (both ends), `read`, `edit`
//! (in the middle), `transfer` (from list to list, and the commands that wait).

mod push_pop;
mod read;

use crate::ds::listpack::ListpackValue;
use crate::keyspace::List;
use crate::resp::Reply;
use crate::server::Command;
use crate::spec::*;

/// The commands of the group.
pub const COMMANDS: &[Command] = &[
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
        Spec::new("llen", Group::List, 2, "key")
            .flags(&[READONLY, FAST])
            .keys(&[KeySpec::one(1, &[RO])])
            .since("1.0.0")
            .summary("Counts the elements."),
        read::llen,
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
    /// The event of an element added here.
    fn push_event(self) -> &'static str {
        match self {
            Side::Left => "lpush",
            Side::Right => "rpush",
        }
    }

    /// The event of elements taken from here; also the command that takes them.
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

/// The part of a list of `len` elements that `start` and `stop` name, both counted from the end when
/// negative: the first index and how many. Source: LRANGE, LTRIM.
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
