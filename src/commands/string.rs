//! Strings.

use crate::config::NotifyClasses;
use crate::keyspace::Ttl;
use crate::server::{Args, Command, CommandResult, Ctx};
use crate::spec::*;

/// The commands of the group.
pub const COMMANDS: &[Command] = &[
    Command::new(
        Spec::new("get", Group::String, 2, "key")
            .flags(&[READONLY, FAST])
            .keys(&[KeySpec::one(1, &[RO, ACCESS])])
            .since("1.0.0")
            .complexity("O(1)")
            .summary("Answers the string under a key."),
        get,
    ),
    Command::new(
        Spec::new("setnx", Group::String, 3, "key value")
            .flags(&[WRITE, DENYOOM, FAST])
            .keys(&[KeySpec::one(1, &[OW, INSERT])])
            .since("1.0.0")
            .complexity("O(1)")
            .summary("Sets a string only if the key does not exist."),
        setnx,
    ),
];

fn get(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let value = ctx.db.string(args.key())?;
    ctx.reply.bulk_or_null(value);
    Ok(())
}

fn setnx(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let (key, value) = (args.key(), args.key());
    let exists = ctx.db.peek(key).is_some();
    if !exists {
        ctx.db.set_string(key, value, Ttl::Clear);
        ctx.changed(NotifyClasses::STRING, "set", key);
    }
    ctx.reply.integer(i64::from(!exists));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::TestServer;

    #[test]
    fn setnx_sets_once() {
        let mut server = TestServer::new();
        assert_eq!(server.run("SETNX k v"), "(integer) 1");
        assert_eq!(server.run("SETNX k w"), "(integer) 0");
        assert_eq!(server.run("GET k"), "\"v\"");
        assert_eq!(server.effects(), "SELECT 0 | SETNX k v");
        assert_eq!(server.run("GET"), "(error) ERR wrong number of arguments for 'get' command");
    }
}
