//! Numbers in strings: INCR, DECR, INCRBY, DECRBY, INCRBYFLOAT.

use crate::base::long_double::LongDouble;
use crate::base::number;
use crate::config::NotifyClasses;
use crate::keyspace::Ttl;
use crate::server::{Args, CommandError, CommandResult, Ctx};

pub(super) fn incr(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    add(ctx, args.key(), 1)
}

pub(super) fn decr(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    add(ctx, args.key(), -1)
}

pub(super) fn incrby(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let (key, increment) = (args.key(), args.int()?);
    add(ctx, key, increment)
}

pub(super) fn decrby(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let (key, decrement) = (args.key(), args.int()?);
    let increment = decrement.checked_neg().ok_or(CommandError::fixed("ERR decrement would overflow"))?;
    add(ctx, key, increment)
}

/// Is propagated as the sum, since another machine may add floats differently.
pub(super) fn incrbyfloat(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let (key, increment) = (args.key(), args.key());
    let old = match ctx.db.string_for_update(key)? {
        Some(text) => LongDouble::parse(text).ok_or(CommandError::NotFloat)?,
        None => LongDouble::ZERO,
    };
    let sum = old + LongDouble::parse(increment).ok_or(CommandError::NotFloat)?;
    if !sum.is_finite() {
        return Err(CommandError::NotFinite);
    }
    let mut text = Vec::new();
    sum.format(&mut text);
    ctx.db.set_text_string(key, &text, Ttl::Keep);
    ctx.changed(NotifyClasses::STRING, "incrbyfloat", key);
    ctx.propagate_instead([b"SET", key, &text, b"KEEPTTL"]);
    ctx.reply.bulk(&text);
    Ok(())
}

fn add(ctx: &mut Ctx<'_>, key: &[u8], increment: i64) -> CommandResult {
    let sum = ctx.db.change_integer(key, |old| {
        let old = old.map_or(Some(0), number::parse_i64).ok_or(CommandError::NotInteger)?;
        old.checked_add(increment).ok_or(CommandError::Overflow)
    })?;
    ctx.changed(NotifyClasses::STRING, "incrby", key);
    ctx.reply.integer(sum);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::TestServer;
    use crate::config::Protected;

    #[test]
    fn integers_add_up_and_do_not_wrap() {
        let rows = [
            ("5", "INCR n", "(integer) 6"),
            ("5", "DECR n", "(integer) 4"),
            ("5", "INCRBY n -7", "(integer) -2"),
            ("5", "DECRBY n 7", "(integer) -2"),
            ("9223372036854775806", "INCR n", "(integer) 9223372036854775807"),
            ("9223372036854775807", "INCR n", "(error) ERR increment or decrement would overflow"),
            ("-9223372036854775808", "DECR n", "(error) ERR increment or decrement would overflow"),
            ("5", "DECRBY n -9223372036854775808", "(error) ERR decrement would overflow"),
            ("5", "INCRBY n 1.5", "(error) ERR value is not an integer or out of range"),
            ("5", "INCRBY n 9223372036854775808", "(error) ERR value is not an integer or out of range"),
            (" 5", "INCR n", "(error) ERR value is not an integer or out of range"),
            ("5 ", "INCR n", "(error) ERR value is not an integer or out of range"),
            ("05", "INCR n", "(error) ERR value is not an integer or out of range"),
            ("", "INCR n", "(error) ERR value is not an integer or out of range"),
            ("5", "INCR missing", "(integer) 1"),
        ];
        for (value, line, answer) in rows {
            let mut server = TestServer::new();
            server.run_args(&[b"SET", b"n", value.as_bytes()]);
            server.effects();
            assert_eq!(server.run(line), answer, "{value} {line}");
            let effects = if answer.starts_with("(error)") { "" } else { line };
            assert_eq!(server.effects(), effects, "{value} {line}");
        }
    }

    #[test]
    fn a_sum_is_stored_as_an_integer_whatever_its_length() {
        let mut server = TestServer::new();
        for (value, line, sum) in [
            ("1", "INCR n", "2"),
            ("9", "INCR n", "10"),
            ("-1", "INCR n", "0"),
            ("1000", "DECR n", "999"),
            ("7", "INCRBY n -9", "-2"),
        ] {
            server.run("DEL n");
            server.run(&format!("APPEND n {value}"));
            server.run("APPEND n \"\"");
            server.run(line);
            assert_eq!(server.run("GET n"), format!("\"{sum}\""));
            assert_eq!(server.run("OBJECT ENCODING n"), "\"int\"");
        }
    }

    #[test]
    fn an_expired_number_counts_from_zero_and_is_propagated_as_gone() {
        let mut server = TestServer::with(|config| config.enable_debug_command = Protected::Yes);
        server.run("DEBUG SET-ACTIVE-EXPIRE 0");
        server.run("SET n 5 PX 10");
        server.advance(11);
        server.effects();
        assert_eq!(server.run("INCR n"), "(integer) 1");
        assert_eq!(server.effects(), "MULTI | DEL n | INCR n | EXEC");
        assert_eq!(server.run("PTTL n"), "(integer) -1");
    }

    #[test]
    fn floats_add_up_in_eighty_bits_and_are_propagated_as_set() {
        let rows = [
            ("1.5", "1.5", "3"),
            ("3", "1.1", "4.1"),
            ("1e3", "5e-1", "1000.5"),
            ("17179869184", "1", "17179869185"),
            ("0.1", "0.2", "0.3"),
        ];
        for (value, increment, sum) in rows {
            let mut server = TestServer::new();
            server.run(&format!("SET f {value}"));
            server.effects();
            assert_eq!(server.run(&format!("INCRBYFLOAT f {increment}")), format!("\"{sum}\""));
            assert_eq!(server.effects(), format!("SET f {sum} KEEPTTL"));
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        let mut server = TestServer::new();
        server.run("SET f 1");
        server.run("SET text abc");
        server.effects();
        let rows = [
            ("INCRBYFLOAT f x", "ERR value is not a valid float"),
            ("INCRBYFLOAT f nan", "ERR value is not a valid float"),
            ("INCRBYFLOAT text 1", "ERR value is not a valid float"),
            ("INCRBYFLOAT f inf", "ERR increment would produce NaN or Infinity"),
            ("INCRBYFLOAT f -inf", "ERR increment would produce NaN or Infinity"),
        ];
        for (line, error) in rows {
            assert_eq!(server.run(line), format!("(error) {error}"), "{line}");
        }
        assert_eq!(server.effects(), "");
    }

    #[test]
    fn a_counter_keeps_its_deadline() {
        let mut server = TestServer::new();
        server.run("SET n 1 PX 100");
        server.run("SET f 1 PX 100");
        server.run("INCR n");
        server.run("INCRBYFLOAT f 1");
        assert_eq!(server.run("MGET n f"), "1) \"2\"\n2) \"2\"");
        server.advance(101);
        assert_eq!(server.run("MGET n f"), "1) (nil)\n2) (nil)");
    }
}
