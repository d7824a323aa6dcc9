//! The listpack form of a sorted set: member, score, member, score, … with scores as texts.

use super::by_score;
use crate::base::number;
use crate::ds::listpack::{Cursor, Listpack, ListpackFull, ListpackValue};
use std::cmp::Ordering;

pub(super) fn score_text(text: ListpackValue<'_>) -> f64 {
    match text {
        ListpackValue::Int(int) => int as f64,
        // Checked on the way in; texts of our own are numbers anyway.
        ListpackValue::Bytes(bytes) => number::parse_f64(bytes).unwrap_or_default(),
    }
}

pub(super) fn score_after(pairs: &Listpack, member: Cursor) -> f64 {
    pairs.next(member).map_or(0.0, |place| score_text(pairs.value(place)))
}

/// Calls `f` with a score as a listpack stores it.
fn with_score_text<R>(score: f64, f: impl FnOnce(&[u8]) -> R) -> R {
    if let Some(int) = number::f64_as_i64(score) {
        return f(number::I64Text::new(int).as_bytes());
    }
    let mut text = Vec::with_capacity(24);
    number::format_f64_17g(score, &mut text);
    f(&text)
}

/// Adds a pair at the end; on an error nothing is changed.
pub(super) fn push_pair(pairs: &mut Listpack, member: &[u8], score: f64) -> Result<(), ListpackFull> {
    pairs.push_back(member)?;
    with_score_text(score, |text| pairs.push_back(text)).inspect_err(|_| {
        let member = pairs.last().expect("it was just added");
        pairs.remove(member);
    })
}

/// Adds a pair in its place; on an error nothing is changed.
pub(super) fn insert_pair(pairs: &mut Listpack, member: &[u8], score: f64) -> Result<(), ListpackFull> {
    let mut next = pairs.first();
    while let Some(place) = next {
        let goes_before = match by_score(score_after(pairs, place), score) {
            Ordering::Less => false,
            Ordering::Equal => pairs.value(place).with_bytes(|name| name > member),
            Ordering::Greater => true,
        };
        if goes_before {
            pairs.insert_before(place, member)?;
            let added = with_score_text(score, |text| pairs.insert_after(place, text));
            return added.map(|_| ()).inspect_err(|_| {
                pairs.remove(place);
            });
        }
        next = pairs.next(place).and_then(|score| pairs.next(score));
    }
    push_pair(pairs, member, score)
}
