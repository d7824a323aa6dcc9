//! OBJECT: how a value is kept, and how it was used lately.

use crate::base::number::parse_i64;
use crate::commands::help;
use crate::config::MaxmemoryPolicy;
use crate::keyspace::{KeyView, StringCoding, ValueRef};
use crate::server::{Args, Command, CommandError, CommandResult, Ctx};
use crate::spec::*;

/// The subcommands of OBJECT.
pub(super) const COMMANDS: &[Command] = &[
    Command::new(
        Spec::new("object|encoding", Group::Generic, 3, "key")
            .flags(&[READONLY])
            .categories(&[Category::Keyspace])
            .keys(&[KeySpec::one(2, &[RO])])
            .since("2.2.3")
            .summary("Tells how a value is encoded.")
            .tips(&["nondeterministic_output"]),
        encoding,
    ),
    Command::new(
        Spec::new("object|freq", Group::Generic, 3, "key")
            .flags(&[READONLY])
            .categories(&[Category::Keyspace])
            .keys(&[KeySpec::one(2, &[RO])])
            .since("4.0.0")
            .summary("Tells how often a key is used, on a logarithmic scale.")
            .tips(&["nondeterministic_output"]),
        freq,
    ),
    Command::new(
        Spec::new("object|help", Group::Generic, 2, "")
            .flags(&[LOADING, STALE])
            .categories(&[Category::Keyspace])
            .since("6.2.0")
            .summary("Describes the subcommands."),
        help_,
    ),
    Command::new(
        Spec::new("object|idletime", Group::Generic, 3, "key")
            .flags(&[READONLY])
            .categories(&[Category::Keyspace])
            .keys(&[KeySpec::one(2, &[RO])])
            .since("2.2.3")
            .summary("Tells for how many seconds a key was not used.")
            .tips(&["nondeterministic_output"]),
        idletime,
    ),
    Command::new(
        Spec::new("object|refcount", Group::Generic, 3, "key")
            .flags(&[READONLY])
            .categories(&[Category::Keyspace])
            .keys(&[KeySpec::one(2, &[RO])])
            .since("2.2.3")
            .summary("Tells how many references a value has.")
            .tips(&["nondeterministic_output"]),
        refcount,
    ),
];

/// The answer of REFCOUNT for the small integers that Redis shares between all keys.
const SHARED_REFERENCES: i64 = i32::MAX as i64;
/// Redis shares the integers below this.
const SHARED_INTEGERS: i64 = 10_000;

fn encoding(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    match view(ctx, args.key()).map(|view| view.encoding()) {
        Some(name) => ctx.reply.bulk(name.as_bytes()),
        None => ctx.reply.null(),
    }
    Ok(())
}

fn freq(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let Some(access) = view(ctx, args.key()).map(|view| view.access()) else {
        ctx.reply.null();
        return Ok(());
    };
    let clock = ctx.db.access_clock();
    if !clock.lfu {
        return Err(CommandError::fixed(
            "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when \
             switching between policies at runtime LRU and LFU data will take some time to adjust.",
        ));
    }
    ctx.reply.integer(i64::from(clock.frequency(access)));
    Ok(())
}

fn idletime(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let Some(access) = view(ctx, args.key()).map(|view| view.access()) else {
        ctx.reply.null();
        return Ok(());
    };
    let clock = ctx.db.access_clock();
    if clock.lfu {
        return Err(CommandError::fixed(
            "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching \
             between policies at runtime LRU and LFU data will take some time to adjust.",
        ));
    }
    ctx.reply.integer(clock.idle_ms(access) / 1000);
    Ok(())
}

fn refcount(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let may_share = ctx.rooms.config.maxmemory == 0 || !tracks_accesses(ctx.rooms.config.maxmemory_policy);
    match view(ctx, args.key()).map(|view| is_shared_integer(&view)) {
        Some(true) if may_share => ctx.reply.integer(SHARED_REFERENCES),
        Some(_) => ctx.reply.integer(1),
        None => ctx.reply.null(),
    }
    Ok(())
}

fn help_(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CommandResult {
    help::of_container(ctx, "OBJECT", COMMANDS);
    Ok(())
}

/// The key as it is. Counts a hit or miss, but neither touches it nor tells of a miss.
fn view<'a>(ctx: &'a mut Ctx<'_>, key: &[u8]) -> Option<KeyView<'a>> {
    let found = ctx.db.peek(key).is_some();
    ctx.db.findings.hits += u64::from(found);
    ctx.db.findings.misses += u64::from(!found);
    ctx.db.peek(key)
}

fn is_shared_integer(view: &KeyView<'_>) -> bool {
    let ValueRef::String(text) = view.value else { return false };
    let value = if view.string_coding() == StringCoding::Int { parse_i64(text) } else { None };
    value.is_some_and(|value| (0..SHARED_INTEGERS).contains(&value)) && !view.is_copied_integer()
}

/// True when every value needs an access history of its own.
fn tracks_accesses(policy: MaxmemoryPolicy) -> bool {
    use MaxmemoryPolicy::*;
    matches!(policy, VolatileLru | VolatileLfu | AllkeysLru | AllkeysLfu)
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::TestServer;
    use crate::config::MaxmemoryPolicy;

    #[test]
    fn a_copied_integer_is_not_shared_until_it_is_written_again() {
        let mut server = TestServer::new();
        server.run("SET a 5");
        server.run("COPY a b");
        server.check(&[
            ("OBJECT REFCOUNT a", "(integer) 2147483647"),
            ("OBJECT REFCOUNT b", "(integer) 1"),
            ("OBJECT ENCODING b", "\"int\""),
            ("GET b", "\"5\""),
            ("RENAME b c", "OK"),
            ("OBJECT REFCOUNT c", "(integer) 1"),
            ("INCR c", "(integer) 6"),
            ("OBJECT REFCOUNT c", "(integer) 2147483647"),
        ]);
    }

    #[test]
    fn strings_have_three_encodings() {
        let mut server = TestServer::new();
        let (fits, long) = ("x".repeat(44), "x".repeat(45));
        let rows = [
            ("12", "\"int\""),
            ("-9223372036854775808", "\"int\""),
            ("012", "\"embstr\""),
            ("\"\"", "\"embstr\""),
            (&fits, "\"embstr\""),
            (&long, "\"raw\""),
        ];
        for (value, encoding) in rows {
            server.run("DEL k");
            server.run(&format!("SETNX k {value}"));
            assert_eq!(server.run("OBJECT ENCODING k"), encoding, "{value}");
        }
    }

    #[test]
    fn small_integers_are_shared_unless_accesses_are_tracked() {
        let mut server = TestServer::new();
        server.run("SETNX a 9999");
        server.run("SETNX b 10000");
        server.run("SETNX c abc");
        server.check(&[
            ("OBJECT REFCOUNT a", "(integer) 2147483647"),
            ("OBJECT REFCOUNT b", "(integer) 1"),
            ("OBJECT REFCOUNT c", "(integer) 1"),
        ]);
        let mut server = TestServer::with(|config| {
            config.maxmemory = 1 << 40;
            config.maxmemory_policy = MaxmemoryPolicy::AllkeysLru;
        });
        server.run("SETNX a 1");
        assert_eq!(server.run("OBJECT REFCOUNT a"), "(integer) 1");
    }

    #[test]
    fn idle_time_counts_from_the_last_use_and_looking_is_no_use() {
        let mut server = TestServer::new();
        server.run("SETNX k v");
        server.advance(5000);
        server.check(&[("OBJECT IDLETIME k", "(integer) 5"), ("EXISTS k", "(integer) 1")]);
        server.check(&[
            ("TYPE k", "string"),
            ("TTL k", "(integer) -1"),
            ("OBJECT IDLETIME k", "(integer) 5"),
        ]);
        server.check(&[("TOUCH k", "(integer) 1"), ("OBJECT IDLETIME k", "(integer) 0")]);
        assert!(
            server.run("OBJECT FREQ k").starts_with("(error) ERR An LFU maxmemory policy is not selected")
        );
        server.advance(3000);
        server.check(&[("COPY k copy", "(integer) 1"), ("OBJECT IDLETIME copy", "(integer) 0")]);
    }

    #[test]
    fn frequency_is_told_under_an_lfu_policy() {
        let mut server = TestServer::with(|config| config.maxmemory_policy = MaxmemoryPolicy::AllkeysLfu);
        server.run("SETNX k v");
        assert_eq!(server.run("OBJECT FREQ k"), "(integer) 5");
        server.advance(2 * 60_000);
        assert_eq!(server.run("OBJECT FREQ k"), "(integer) 3", "it falls by one a minute");
        assert!(
            server.run("OBJECT IDLETIME k").starts_with("(error) ERR An LFU maxmemory policy is selected")
        );
    }

    #[test]
    fn missing_keys_and_words_are_told() {
        let mut server = TestServer::new();
        for sub in ["ENCODING", "FREQ", "IDLETIME", "REFCOUNT"] {
            assert_eq!(server.run(&format!("OBJECT {sub} nothing")), "(nil)", "{sub}");
            let arity =
                format!("(error) ERR wrong number of arguments for 'object|{}' command", sub.to_lowercase());
            assert_eq!(server.run(&format!("OBJECT {sub}")), arity);
        }
        server.check(&[
            ("OBJECT nonsense k", "(error) ERR unknown subcommand 'nonsense'. Try OBJECT HELP."),
            ("OBJECT", "(error) ERR wrong number of arguments for 'object' command"),
        ]);
        assert!(server.run("OBJECT HELP").contains("1) OBJECT <subcommand>"));
    }
}
