//! A handler that changes a key and tells nobody is found: made-up commands that forget one duty
//! each.

use super::testing::TestServer;
use crate::config::NotifyClasses;
use crate::keyspace::Ttl;
use crate::server::{Args, Command, CommandResult, CommandTable, Ctx};
use crate::spec::{Group, KeySpec, RW, Spec, UPDATE, WRITE};
use std::panic::{AssertUnwindSafe, catch_unwind};

const fn made_up(name: &'static str, handler: crate::server::Handler) -> Command {
    const KEYS: &[KeySpec] = &[KeySpec::one(1, &[RW, UPDATE])];
    Command::new(Spec::new(name, Group::String, 2, "key").flags(&[WRITE]).keys(KEYS), handler)
}

static COMMANDS: &[Command] = &[
    made_up("silent", silent),
    made_up("uncounted", uncounted),
    made_up("private", private),
    made_up("dutiful", dutiful),
    made_up("idle", idle),
];

fn set(ctx: &mut Ctx<'_>, args: &mut Args<'_>, bytes: &[u8]) -> Vec<u8> {
    let key = args.key().to_vec();
    ctx.db.set_string(&key, bytes, Ttl::Clear);
    ctx.reply.ok();
    key
}

/// Reports nothing.
fn silent(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    set(ctx, &mut args, b"silent");
    Ok(())
}

/// Reports the change of a key as one that is counted elsewhere, and counts it nowhere.
fn uncounted(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let key = set(ctx, &mut args, b"uncounted");
    ctx.also_changed(ctx.db.index(), NotifyClasses::STRING, "set", &key);
    Ok(())
}

/// The same, but says that nothing is propagated.
fn private(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let key = set(ctx, &mut args, b"private");
    ctx.also_changed(ctx.db.index(), NotifyClasses::STRING, "set", &key);
    ctx.propagate_nothing();
    Ok(())
}

fn dutiful(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let key = set(ctx, &mut args, b"dutiful");
    ctx.changed(NotifyClasses::STRING, "set", &key);
    Ok(())
}

/// Leaves the key as it is.
fn idle(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    set(ctx, &mut args, b"dutiful");
    Ok(())
}

#[test]
fn a_change_that_nobody_is_told_of_is_found() {
    let fresh = || TestServer::of(CommandTable::new(COMMANDS, &[]), |_| {}).expect("it starts");
    for (line, text) in [
        ("silent k", "silent changes the key 'k' and does not report it"),
        ("uncounted k", "uncounted changes the key 'k' and propagates nothing of it"),
    ] {
        let mut server = fresh();
        let panic = catch_unwind(AssertUnwindSafe(|| server.run(line))).expect_err("it is found");
        assert_eq!(panic.downcast_ref::<String>().map(String::as_str), Some(text));
    }
    let mut server = fresh();
    server.check(&[("private k", "OK"), ("dutiful k", "OK"), ("idle k", "OK")]);
    assert_eq!(server.effects(), "SELECT 0 | dutiful k");
}
