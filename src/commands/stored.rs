//! Sorted sets that commands of several groups store as their result.

use crate::config::NotifyClasses;
use crate::keyspace::Collection;
use crate::keyspace::sorted_set::SortedSetBuilder;
use crate::server::Ctx;

/// Sets `destination` to a sorted set, or deletes it when the result is empty. Returns how many
/// members were stored. A stored result counts as `changes` changes.
pub(super) fn store_sorted_set(
    ctx: &mut Ctx<'_>,
    event: &str,
    destination: &[u8],
    result: SortedSetBuilder,
    changes: u64,
) -> usize {
    let stored = result.len();
    if stored > 0 {
        let set = result.into_sorted_set(&ctx.db.limits());
        ctx.db.insert(destination, set.into_value(), None);
        ctx.changed_by(changes, NotifyClasses::ZSET, event, destination);
    } else if ctx.db.remove(destination) {
        ctx.changed(NotifyClasses::GENERIC, "del", destination);
    }
    stored
}
