//! Groups and consumers, as several commands find them.

use crate::base::text::{lossless, until_nul};
use crate::config::NotifyClasses;
use crate::keyspace::stream::{ConsumerNumber, Found, Group};
use crate::keyspace::{Db, Stream};
use crate::server::{CommandError, Ctx};

/// The error of a group that is not there.
pub(super) fn no_group(key: &[u8], group: &[u8]) -> CommandError {
    let (key, group) = (lossless(until_nul(key)), lossless(until_nul(group)));
    CommandError::line(format!("NOGROUP No such consumer group '{group}' for key name '{key}'"))
}

/// A group to change, if it is there. Neither counts nor checks the type.
pub(super) fn group_mut<'d>(db: &'d mut Db, key: &[u8], group: &[u8]) -> Option<&'d mut Group> {
    db.reshape::<Stream>(key).ok()??.groups.get_mut(group)
}

/// The consumer of a group that exists. A new one is added, counted and announced; its caller says
/// how that is propagated.
pub(super) fn find_or_add(
    ctx: &mut Ctx<'_>,
    key: &[u8],
    group: &[u8],
    name: &[u8],
) -> Result<(ConsumerNumber, Found), CommandError> {
    let now = ctx.now;
    let consumers = group_mut(ctx.db, key, group).ok_or_else(|| no_group(key, group))?.consumers_mut();
    let consumer = consumers.find_or_add(name, now);
    let (number, found) = consumer.ok_or(CommandError::fixed("ERR the group has too many consumers"))?;
    if found == Found::New {
        ctx.changed_aside(1, key);
        ctx.notify(NotifyClasses::STREAM, "xgroup-createconsumer", key);
    }
    Ok((number, found))
}
