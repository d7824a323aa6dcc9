//! Arguments that several groups read in the same way.

use crate::keyspace::DbIndex;
use crate::server::{Args, CommandError, Ctx};

/// The next argument as an integer in `low..=high`, with the error that names the range.
pub(super) fn int_between(args: &mut Args<'_>, low: i64, high: i64) -> Result<i64, CommandError> {
    let value = args.int()?;
    if (low..=high).contains(&value) {
        return Ok(value);
    }
    Err(CommandError::line(format!("ERR value is out of range, value must between {low} and {high}")))
}

/// The database a client names by number; beyond `databases` it is an error.
pub(super) fn db_index(ctx: &Ctx<'_>, index: i64) -> Result<DbIndex, CommandError> {
    let index = u16::try_from(index).map_err(|_| CommandError::DbIndexOutOfRange)?;
    if usize::from(index) < ctx.db.databases() {
        Ok(DbIndex(index))
    } else {
        Err(CommandError::DbIndexOutOfRange)
    }
}
