//! BITFIELD: integers of any width inside a string.
//!
//! All subcommands are read before the first runs, so that a mistake in the last changes nothing.

use super::{BAD_OFFSET, bytes_up_to, checked_offset};
use crate::base::{bits, number};
use crate::config::NotifyClasses;
use crate::keyspace::string;
use crate::server::{Args, CommandError, CommandResult, Ctx};

const BAD_TYPE: CommandError = CommandError::fixed(
    "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.",
);

pub(super) fn bitfield(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let key = args.key();
    let steps = read_steps(ctx, args)?;
    match steps.iter().filter(|step| step.action.writes()).map(Step::last_bit).max() {
        None => read(ctx, key, &steps),
        Some(last_bit) => write(ctx, key, &steps, last_bit),
    }
}

pub(super) fn bitfield_ro(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let key = args.key();
    let steps = read_steps(ctx, args)?;
    if steps.iter().any(|step| step.action.writes()) {
        return Err(CommandError::fixed("ERR BITFIELD_RO only supports the GET subcommand"));
    }
    read(ctx, key, &steps)
}

/// `i5` or `u8`.
#[derive(Clone, Copy, Debug)]
struct FieldType {
    signed: bool,
    /// 1 to 64, of an unsigned one to 63.
    width: u32,
}

impl FieldType {
    fn read(text: &[u8]) -> Result<FieldType, CommandError> {
        let (signed, max) = match text.first() {
            Some(b'i') => (true, 64),
            Some(b'u') => (false, 63),
            _ => return Err(BAD_TYPE),
        };
        match number::parse_i64(&text[1..]) {
            Some(width) if (1..=max).contains(&width) => Ok(FieldType { signed, width: width as u32 }),
            _ => Err(BAD_TYPE),
        }
    }

    fn min(self) -> i128 {
        if self.signed { -(1 << (self.width - 1)) } else { 0 }
    }

    fn max(self) -> i128 {
        (1 << if self.signed { self.width - 1 } else { self.width }) - 1
    }

    /// Returns the meaning of the low bits of `raw`.
    fn value(self, raw: u64) -> i128 {
        let raw = i128::from(raw) & ((1 << self.width) - 1);
        if raw > self.max() { raw - (1 << self.width) } else { raw }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Overflow {
    Wrap,
    Saturate,
    Fail,
}

#[derive(Clone, Copy, Debug)]
enum Action {
    Get,
    Set(i64, Overflow),
    Increase(i64, Overflow),
}

impl Action {
    fn writes(self) -> bool {
        !matches!(self, Action::Get)
    }
}

/// One subcommand.
#[derive(Clone, Copy, Debug)]
struct Step {
    field: FieldType,
    offset: u64,
    action: Action,
}

impl Step {
    fn last_bit(&self) -> u64 {
        self.offset + u64::from(self.field.width) - 1
    }

    fn current(&self, bytes: &[u8]) -> i128 {
        self.field.value(bits::read_field(bytes, self.offset, self.field.width))
    }

    /// Returns the value that a writing step stores; `None` if that would overflow and may not.
    fn result(&self, old: i128) -> Option<i128> {
        let (wanted, overflow) = match self.action {
            Action::Get => (old, Overflow::Wrap),
            // Redis: a negative number set in an unsigned field is taken for a huge one.
            Action::Set(value, overflow) if !self.field.signed => {
                (i128::from(value.cast_unsigned()), overflow)
            }
            Action::Set(value, overflow) => (i128::from(value), overflow),
            Action::Increase(by, overflow) => (old + i128::from(by), overflow),
        };
        let (min, max) = (self.field.min(), self.field.max());
        let is_increase = matches!(self.action, Action::Increase(..));
        match overflow {
            _ if (min..=max).contains(&wanted) => Some(wanted),
            Overflow::Wrap => Some(self.field.value(wanted as u64)),
            // Redis: the distance of the lowest numbers to the maximum wraps around; they seem
            // above it.
            Overflow::Saturate if max - wanted > i128::from(i64::MAX) && !is_increase => Some(max),
            Overflow::Saturate => Some(wanted.clamp(min, max)),
            Overflow::Fail => None,
        }
    }
}

fn read_steps(ctx: &Ctx<'_>, mut args: Args<'_>) -> Result<Vec<Step>, CommandError> {
    let mut steps = Vec::new();
    let mut overflow = Overflow::Wrap;
    while !args.is_done() {
        let (word, following) = (args.key(), args.remaining());
        if word.eq_ignore_ascii_case(b"GET") && following >= 2 {
            let (field, offset) = read_place(ctx, &mut args)?;
            steps.push(Step { field, offset, action: Action::Get });
        } else if word.eq_ignore_ascii_case(b"SET") && following >= 3 {
            let (field, offset) = read_place(ctx, &mut args)?;
            steps.push(Step { field, offset, action: Action::Set(args.int()?, overflow) });
        } else if word.eq_ignore_ascii_case(b"INCRBY") && following >= 3 {
            let (field, offset) = read_place(ctx, &mut args)?;
            steps.push(Step { field, offset, action: Action::Increase(args.int()?, overflow) });
        } else if word.eq_ignore_ascii_case(b"OVERFLOW") && following >= 1 {
            overflow = read_overflow(args.key())?;
        } else {
            return Err(CommandError::Syntax);
        }
    }
    Ok(steps)
}

fn read_overflow(word: &[u8]) -> Result<Overflow, CommandError> {
    let kinds: [(&[u8], Overflow); 3] =
        [(b"WRAP", Overflow::Wrap), (b"SAT", Overflow::Saturate), (b"FAIL", Overflow::Fail)];
    let found = kinds.iter().find(|(name, _)| word.eq_ignore_ascii_case(name));
    found.map(|&(_, kind)| kind).ok_or(CommandError::fixed("ERR Invalid OVERFLOW type specified"))
}

/// A type and an offset; `#3` is the fourth field of that width. Redis: a product beyond 64 bits
/// wraps around, and only the result is compared with the range.
fn read_place(ctx: &Ctx<'_>, args: &mut Args<'_>) -> Result<(FieldType, u64), CommandError> {
    let field = FieldType::read(args.key())?;
    let text = args.key();
    let (digits, unit) = match text.strip_prefix(b"#") {
        Some(digits) => (digits, i64::from(field.width)),
        None => (text, 1),
    };
    let offset = number::parse_i64(digits).ok_or(BAD_OFFSET)?.wrapping_mul(unit);
    Ok((field, checked_offset(ctx, offset)?))
}

fn read(ctx: &mut Ctx<'_>, key: &[u8], steps: &[Step]) -> CommandResult {
    let bytes = ctx.db.string(key)?.unwrap_or_default();
    ctx.reply.array(steps.len());
    steps.iter().for_each(|step| ctx.reply.integer(as_i64(step.current(bytes))));
    Ok(())
}

fn write(ctx: &mut Ctx<'_>, key: &[u8], steps: &[Step], last_bit: u64) -> CommandResult {
    let old_len = ctx.db.string_for_update(key)?.map_or(0, <[u8]>::len);
    let len = bytes_up_to(last_bit);
    let grew = len > old_len;
    let reply = &mut ctx.reply;
    reply.array(steps.len());
    let changes = ctx.db.edit_string(key, |bytes| {
        string::grow(bytes, len);
        let mut changes = 0;
        for step in steps {
            let old = step.current(bytes);
            let Some(new) = step.result(old) else {
                reply.null();
                continue;
            };
            if step.action.writes() {
                bits::write_field(bytes, step.offset, step.field.width, new as u64);
                changes += u64::from(grew || old != new);
            }
            let answer = if matches!(step.action, Action::Increase(..)) { new } else { old };
            reply.integer(as_i64(answer));
        }
        changes
    })?;
    if changes == 0 && grew {
        // Redis: a string that grew although every step failed is no event; but it must be
        // propagated.
        ctx.changed(NotifyClasses::NONE, "", key);
    }
    ctx.changed_by(changes, NotifyClasses::STRING, "setbit", key);
    Ok(())
}

fn as_i64(value: i128) -> i64 {
    i64::try_from(value).expect("a field has at most 64 bits, an unsigned one 63")
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::TestServer;

    #[test]
    fn fields_are_read_and_written_anywhere() {
        let mut server = TestServer::new();
        for (line, answer) in [
            ("BITFIELD k", "(empty array)"),
            ("BITFIELD k SET i8 0 -100 GET i8 0", "1) (integer) 0\n2) (integer) -100"),
            ("BITFIELD k SET i8 0 101", "1) (integer) -100"),
            ("BITFIELD k SET u8 #1 255 GET u8 8", "1) (integer) 0\n2) (integer) 255"),
            ("BITFIELD k INCRBY u5 3 7 get u5 3", "1) (integer) 12\n2) (integer) 12"),
            ("BITFIELD k SET i64 #7 -9223372036854775808", "1) (integer) 0"),
            ("BITFIELD k GET i64 #7", "1) (integer) -9223372036854775808"),
            ("BITFIELD k GET u8 #-9223372036854775808", "1) (integer) 108"),
            ("BITFIELD_RO k GET u63 448", "1) (integer) 4611686018427387904"),
            ("BITFIELD k GET u8 500000", "1) (integer) 0"),
            ("BITFIELD missing GET u8 0 GET i64 10", "1) (integer) 0\n2) (integer) 0"),
        ] {
            assert_eq!(server.run(line), answer, "{line}");
        }
    }

    #[test]
    fn overflows_wrap_saturate_or_fail() {
        for (line, answer, stored) in [
            ("SET i8 0 100 INCRBY i8 0 100", "1) (integer) 0\n2) (integer) -56", -56),
            ("SET i8 0 -100 INCRBY i8 0 -100", "1) (integer) 0\n2) (integer) 56", 56),
            ("OVERFLOW SAT SET i8 0 100 INCRBY i8 0 100", "1) (integer) 0\n2) (integer) 127", 127),
            ("overflow sat INCRBY i8 0 -1000", "1) (integer) -128", -128),
            ("OVERFLOW FAIL SET i8 0 100 INCRBY i8 0 100", "1) (integer) 0\n2) (nil)", 100),
            ("SET u8 0 -1", "1) (integer) 0", -1),
            ("OVERFLOW SAT SET u8 0 -1", "1) (integer) 0", -1),
            ("OVERFLOW SAT INCRBY u8 0 -1", "1) (integer) 0", 0),
            ("INCRBY u8 0 -1", "1) (integer) 255", -1),
            ("OVERFLOW FAIL INCRBY u8 0 256", "1) (nil)", 0),
            ("SET i8 0 511", "1) (integer) 0", -1),
            ("OVERFLOW SAT SET i8 0 511", "1) (integer) 0", 127),
            ("OVERFLOW SAT SET i8 0 -129", "1) (integer) 0", -128),
            ("OVERFLOW SAT SET i8 0 -9223372036854775680", "1) (integer) 0", -128),
            ("OVERFLOW SAT SET i8 0 -9223372036854775681", "1) (integer) 0", 127),
            ("OVERFLOW SAT INCRBY i8 0 -9223372036854775808", "1) (integer) -128", -128),
            (
                "SET i64 0 9223372036854775807 INCRBY i64 0 1",
                "1) (integer) 0\n2) (integer) -9223372036854775808",
                -128,
            ),
        ] {
            let mut server = TestServer::new();
            assert_eq!(server.run(&format!("BITFIELD k {line}")), answer, "{line}");
            assert_eq!(server.run("BITFIELD k GET i8 0"), format!("1) (integer) {stored}"), "{line}");
        }
    }

    #[test]
    fn only_changes_are_propagated() {
        let mut server = TestServer::new();
        for (line, effects, dirty) in [
            ("BITFIELD k SET u8 0 1 SET u8 8 0", "SELECT 0 | BITFIELD k SET u8 0 1 SET u8 8 0", 2),
            ("BITFIELD k SET u8 0 1 GET u8 8", "", 0),
            ("BITFIELD k INCRBY u8 0 1 SET u8 0 3", "BITFIELD k INCRBY u8 0 1 SET u8 0 3", 2),
            ("BITFIELD k OVERFLOW FAIL INCRBY u8 0 999", "", 0),
            ("BITFIELD new OVERFLOW FAIL INCRBY u8 0 999", "BITFIELD new OVERFLOW FAIL INCRBY u8 0 999", 1),
        ] {
            let before = server.dirty();
            server.run(line);
            assert_eq!(server.effects(), effects, "{line}");
            assert_eq!(server.dirty() - before, dirty, "{line}");
        }
    }

    #[test]
    fn a_mistake_anywhere_changes_nothing() {
        let bad_type = "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.";
        let bad_offset = "ERR bit offset is not an integer or out of range";
        let mut server = TestServer::new();
        for (line, error) in [
            ("GET u64 0", bad_type),
            ("GET i65 0", bad_type),
            ("GET u0 0", bad_type),
            ("GET x8 0", bad_type),
            ("GET u 0", bad_type),
            ("GET U8 0", bad_type),
            ("GET u8 -1", bad_offset),
            ("GET u8 #-1", bad_offset),
            ("GET u8 #x", bad_offset),
            ("GET u8 #9223372036854775807", bad_offset),
            ("GET u8 4294967296", bad_offset),
            ("GET u8", "ERR syntax error"),
            ("SET u8 0", "ERR syntax error"),
            ("INCRBY u8 0", "ERR syntax error"),
            ("NOSUCH u8 0", "ERR syntax error"),
            ("OVERFLOW NOSUCH", "ERR Invalid OVERFLOW type specified"),
            ("SET u8 0 x", "ERR value is not an integer or out of range"),
        ] {
            let line = format!("BITFIELD k SET u8 0 1 {line}");
            assert_eq!(server.run(&line), format!("(error) {error}"), "{line}");
        }
        let read_only = "(error) ERR BITFIELD_RO only supports the GET subcommand";
        assert_eq!(server.run("BITFIELD_RO k GET u8 0 SET u8 0 1"), read_only);
        assert_eq!(server.run("GET k"), "(nil)");
        assert_eq!(server.effects(), "");
    }
}
