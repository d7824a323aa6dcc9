//! DEBUG: what tests of the server need. Guarded by `enable-debug-command`.
//!
//! Its subcommands are no commands of their own in Redis, so they have a small table here:
//! name, how many words may follow, handler.

use super::{config, debug_forms, digest};
use crate::base::number;
use crate::base::text::lossless;
use crate::commands::help;
use crate::config::{Added, NotifyClasses};
use crate::keyspace::{PresentKeys, Ttl};
use crate::rdb::Checksum;
use crate::resp::Protocol;
use crate::server::{Args, Command, CommandError, CommandResult, Ctx, Handler, Origin, ReloadSteps};
use crate::spec::*;
use std::ops::RangeInclusive;

/// DEBUG.
pub const COMMANDS: &[Command] = &[Command::new(
    Spec::new("debug", Group::Server, -2, "")
        .flags(&[ADMIN, NOSCRIPT, LOADING, STALE, GUARDED_AS_DEBUG, LOOKS_AT_ANY_KEY])
        .since("1.0.0")
        .complexity("Depends on subcommand.")
        .summary("Tools for testing the server.")
        .system(),
    debug,
)];

/// One subcommand.
struct Sub {
    name: &'static str,
    words: RangeInclusive<usize>,
    handler: Handler,
}

const fn sub(name: &'static str, words: RangeInclusive<usize>, handler: Handler) -> Sub {
    Sub { name, words, handler }
}

const MANY: usize = usize::MAX;

const SUBCOMMANDS: &[Sub] = &[
    sub("AOF-FLUSH-SLEEP", 1..=1, aof_flush_sleep),
    sub("ASSERT", 0..=0, panic_now),
    sub("CONFIG-REWRITE-FORCE-ALL", 0..=0, config_rewrite_force_all),
    sub("DIGEST", 0..=0, digest_all),
    sub("DIGEST-VALUE", 0..=MANY, digest_value),
    sub("ERROR", 1..=1, error),
    sub("HTSTATS", 1..=1, debug_forms::htstats),
    sub("HTSTATS-KEY", 1..=1, debug_forms::htstats_key),
    sub("LISTPACK", 1..=1, debug_forms::listpack),
    sub("LOADAOF", 0..=0, loadaof),
    sub("LOG", 1..=1, log_message),
    sub("OBJECT", 1..=1, debug_forms::object),
    sub("PANIC", 0..=0, panic_now),
    sub("PAUSE-CRON", 1..=1, pause_cron),
    sub("POPULATE", 1..=3, populate),
    sub("PROTOCOL", 1..=1, protocol),
    sub("QUICKLIST", 1..=2, debug_forms::quicklist),
    sub("QUICKLIST-PACKED-THRESHOLD", 1..=1, debug_forms::quicklist_packed_threshold),
    sub("RELOAD", 0..=3, reload),
    sub("REPLYBUFFER", 2..=2, replybuffer),
    sub("SEGFAULT", 0..=0, panic_now),
    sub("SET-ACTIVE-EXPIRE", 1..=1, set_active_expire),
    sub("SET-DISABLE-DENY-SCRIPTS", 1..=1, set_disable_deny_scripts),
    sub("SET-SKIP-CHECKSUM-VALIDATION", 1..=1, set_skip_checksum_validation),
    sub("SLEEP", 1..=1, sleep),
];

fn debug(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let word = args.key();
    if word.eq_ignore_ascii_case(b"HELP") && args.is_done() {
        help::reply(ctx, "DEBUG", |name| SUBCOMMANDS.iter().any(|sub| sub.name == name));
        return Ok(());
    }
    let sub = SUBCOMMANDS.iter().find(|sub| sub.name.as_bytes().eq_ignore_ascii_case(word));
    match sub.filter(|sub| sub.words.contains(&args.remaining())) {
        Some(sub) => (sub.handler)(ctx, args),
        None => Err(ctx.unknown_subcommand(word)),
    }
}

fn panic_now(_ctx: &mut Ctx<'_>, _args: Args<'_>) -> CommandResult {
    panic!("DEBUG called for it");
}

fn config_rewrite_force_all(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CommandResult {
    config::rewrite_file(ctx, Added::All)
}

fn digest_all(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CommandResult {
    ctx.reply.simple(&digest::of_keyspace(ctx.db));
    Ok(())
}

fn digest_value(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    ctx.reply.array(args.remaining());
    for key in args.rest() {
        ctx.reply.simple(&digest::of_value(ctx.db, key));
    }
    Ok(())
}

fn error(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    ctx.reply.error(&lossless(args.key()));
    Ok(())
}

fn log_message(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    log::warn!("DEBUG LOG: {}", lossless(args.key()));
    ctx.reply.ok();
    Ok(())
}

fn flag(args: &mut Args<'_>) -> bool {
    number::parse_i64(args.key()).is_some_and(|value| value != 0)
}

fn pause_cron(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    ctx.rooms.time.cron_paused = flag(&mut args);
    ctx.reply.ok();
    Ok(())
}

fn replybuffer(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    if args.keyword("PEAK-RESET-TIME") {
        if args.keyword("NEVER") {
            ctx.rooms.clients.reply_buffers.peak_reset_ms = None;
        } else if args.keyword("RESET") {
            ctx.rooms.clients.reply_buffers.reset_peak_time();
        } else {
            let ms = args.int()?;
            ctx.rooms.clients.reply_buffers.peak_reset_ms = (ms >= 0).then_some(ms);
        }
    } else if args.keyword("RESIZING") {
        ctx.rooms.clients.reply_buffers.enabled = flag(&mut args);
    } else {
        return Err(ctx.unknown_subcommand(args.argv().at(1)));
    }
    ctx.reply.ok();
    Ok(())
}

fn set_active_expire(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    ctx.rooms.time.active_expire = flag(&mut args);
    ctx.reply.ok();
    Ok(())
}

fn set_skip_checksum_validation(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    ctx.rooms.persistence.checksum = if flag(&mut args) { Checksum::Skipped } else { Checksum::Verified };
    ctx.reply.ok();
    Ok(())
}

fn set_disable_deny_scripts(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    ctx.rooms.script.may_call_all = flag(&mut args);
    ctx.reply.ok();
    Ok(())
}

fn sleep(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let seconds = number::strtod(args.key()).value;
    // A sleep of more than a day is a mistake; the cast saturates.
    ctx.rooms.outside.host.sleep_us((seconds.clamp(0.0, 86_400.0) * 1e6) as u64);
    ctx.reply.ok();
    Ok(())
}

fn populate(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let count = args.positive()?;
    let prefix = if args.is_done() { &b"key"[..] } else { args.key() };
    let size = if args.is_done() { None } else { Some(args.positive()?) };
    let limit = i64::try_from(ctx.rooms.config.proto_max_bulk_len).unwrap_or(i64::MAX);
    if size.is_some_and(|size| size > limit) {
        return Err(CommandError::StringTooLong);
    }
    for index in 0..count {
        let key = [prefix, b":", index.to_string().as_bytes()].concat();
        if ctx.db.peek(&key).is_some() {
            continue;
        }
        let mut value = format!("value:{index}").into_bytes();
        if let Some(size) = size.and_then(|size| usize::try_from(size).ok()) {
            value.resize(size, 0);
        }
        ctx.db.set_text_string(&key, &value, Ttl::Clear);
        // Redis: whoever watches or has read the key is told, but it is no change to be saved.
        ctx.also_changed(ctx.db.index(), NotifyClasses::NONE, "", &key);
    }
    ctx.propagate_nothing();
    ctx.reply.ok();
    Ok(())
}

fn reload(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    if ctx.origin == Origin::Script {
        // What a script has changed could not be undone.
        return Err(CommandError::NotFromScript);
    }
    let mut steps = ReloadSteps { save: true, flush: true, present_keys: PresentKeys::Refused };
    while !args.is_done() {
        if args.keyword("NOSAVE") {
            steps.save = false;
        } else if args.keyword("NOFLUSH") {
            steps.flush = false;
        } else if args.keyword("MERGE") {
            steps.present_keys = PresentKeys::Replaced;
        } else {
            let line = "ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.";
            return Err(CommandError::fixed(line));
        }
    }
    if let Err(reason) = ctx.reload(steps) {
        log::warn!("DEBUG RELOAD failed: {reason}");
        return Err(CommandError::fixed("ERR Error trying to load the RDB dump"));
    }
    log::warn!("DB reloaded by DEBUG RELOAD");
    ctx.reply.ok();
    Ok(())
}

fn aof_flush_sleep(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let us = number::parse_i64(args.key()).and_then(|us| u64::try_from(us).ok()).unwrap_or(0);
    ctx.rooms.set_aof_sleep(us);
    ctx.reply.ok();
    Ok(())
}

fn loadaof(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CommandResult {
    if ctx.rooms.persistence.loading {
        return Err(CommandError::fixed("LOADING Redis is loading the dataset in memory"));
    }
    let waits = ctx.origin == Origin::Client;
    ctx.rooms.request_aof_reload(waits.then_some(ctx.session.id));
    if waits {
        ctx.block_on_task();
    } else {
        ctx.reply.ok();
    }
    Ok(())
}

fn protocol(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let is_resp3 = ctx.reply.protocol() == Protocol::Resp3;
    match args.key().to_ascii_lowercase().as_slice() {
        b"string" => ctx.reply.bulk(b"Hello World"),
        b"integer" => ctx.reply.integer(12345),
        b"double" => ctx.reply.number_text(b"3.141"),
        b"bignum" => ctx.reply.big_number(b"1234567999999999999999999999999999999"),
        b"null" => ctx.reply.null(),
        b"array" => {
            ctx.reply.array(3);
            (0..3).for_each(|value| ctx.reply.integer(value));
        }
        b"set" => {
            ctx.reply.set(3);
            (0..3).for_each(|value| ctx.reply.integer(value));
        }
        b"map" => {
            ctx.reply.map(3);
            for value in 0..3 {
                ctx.reply.integer(value);
                ctx.reply.boolean(value == 1);
            }
        }
        b"attrib" => {
            if is_resp3 {
                ctx.reply.attribute(1);
                ctx.reply.bulk(b"key-popularity");
                ctx.reply.array(2);
                ctx.reply.bulk(b"key:123");
                ctx.reply.integer(90);
            }
            ctx.reply.bulk(b"Some real reply following the attribute");
        }
        b"push" if !is_resp3 => {
            return Err(CommandError::fixed("ERR RESP2 is not supported by this command"));
        }
        b"push" => {
            ctx.reply.push(2);
            ctx.reply.bulk(b"server-cpu-usage");
            ctx.reply.integer(42);
            ctx.reply.bulk(b"Some real reply following the push reply");
        }
        b"verbatim" => ctx.reply.verbatim("txt", b"This is a verbatim\nstring"),
        b"true" => ctx.reply.boolean(true),
        b"false" => ctx.reply.boolean(false),
        _ => {
            return Err(CommandError::fixed(
                "ERR Wrong protocol type name. Please use one of the following: \
                 string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false",
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::TestServer;
    use crate::config::Protected;

    fn server() -> TestServer {
        TestServer::with(|config| config.enable_debug_command = Protected::Yes)
    }

    #[test]
    fn it_is_closed_unless_the_configuration_opens_it() {
        let line = TestServer::new().run("DEBUG SLEEP 0");
        assert_eq!(
            line,
            "(error) ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run \
             it from a local connection, otherwise you need to set this option in the configuration file, and then \
             restart the server."
        );
    }

    #[test]
    fn populate_leaves_existing_keys_alone() {
        let mut server = server();
        server.run("SET k:1 mine");
        assert_eq!(server.run("DEBUG POPULATE 3 k 10"), "OK");
        assert_eq!(
            server.run("MGET k:0 k:1 k:2"),
            "1) \"value:0\\x00\\x00\\x00\"\n2) \"mine\"\n3) \"value:2\\x00\\x00\\x00\""
        );
        assert_eq!(server.run("DEBUG POPULATE x"), "(error) ERR value is out of range, must be positive");
        assert!(server.run("DEBUG POPULATE 1 k 99999999999999").starts_with("(error) ERR string exceeds"));
    }

    #[test]
    fn who_watches_a_key_is_told_that_populate_made_it() {
        let mut server = server();
        server.connect(2);
        for line in ["WATCH k:0", "MULTI", "PING"] {
            server.run_as(2, line);
        }
        server.run("DEBUG POPULATE 1 k");
        assert_eq!(server.run_as(2, "EXEC"), "(nil)");
        assert_eq!((server.dirty(), server.effects().as_str()), (0, ""));
    }

    #[test]
    fn unknown_words_and_counts_are_refused_in_the_words_of_redis() {
        let mut server = server();
        let line = "(error) ERR unknown subcommand or wrong number of arguments for 'foo'. Try DEBUG HELP.";
        assert_eq!(server.run("DEBUG foo"), line);
        assert!(server.run("DEBUG SLEEP").contains("for 'SLEEP'"));
        assert!(server.run("DEBUG HELP").contains("DIGEST-VALUE <key> [<key> ...]"));
        assert_eq!(server.run("DEBUG ERROR \"MY thing\""), "(error) MY thing");
        assert_eq!(server.run("DEBUG OBJECT nokey"), "(error) ERR no such key");
    }

    #[test]
    fn due_keys_stay_while_active_expire_is_off() {
        let mut server = server();
        server.run("DEBUG SET-ACTIVE-EXPIRE 0");
        server.run("SET k v PX 10");
        server.advance(20);
        assert_eq!(server.run("DBSIZE"), "(integer) 1");
        server.run("DEBUG SET-ACTIVE-EXPIRE 1");
        server.advance(1);
        assert_eq!(server.run("DBSIZE"), "(integer) 0");
    }

    #[test]
    fn digests_are_those_of_redis() {
        let mut server = server();
        assert_eq!(server.run("DEBUG DIGEST"), "0".repeat(40));
        server.run("SET a 1");
        assert_eq!(
            server.run("DEBUG DIGEST-VALUE a nokey"),
            format!("1) b4fc66738120fba0b5aa500ab5c2bf89cea1c5da\n2) {}", "0".repeat(40))
        );
        server.run("DEL a");
        server.run("DEBUG POPULATE 3 k 12");
        server.run("SET a 1");
        assert_eq!(server.run("DEBUG DIGEST"), "ea77e44d55ad389b85db868fb10f4f682dccfeb7");
    }
}
