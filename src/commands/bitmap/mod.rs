//! Bitmaps: strings seen as bits, the most significant bit of a byte first.
//!
//! BITFIELD and BITFIELD_RO are in `field`.

mod field;

use crate::base::bits::{self, Combine};
use crate::base::number;
use crate::config::NotifyClasses;
use crate::keyspace::{Ttl, string};
use crate::server::{Args, Command, CommandError, CommandResult, Ctx};
use crate::spec::*;
use std::ops::Range;

/// The commands of the group.
pub const COMMANDS: &[Command] = &[
    Command::new(
        Spec::new(
            "bitcount",
            Group::Bitmap,
            -2,
            "key [start end:integer [BYTE | BIT]@index_unit^7.0.0]@index",
        )
        .flags(&[READONLY])
        .keys(&[KeySpec::one(1, &[RO, ACCESS])])
        .since("2.6.0")
        .complexity("O(N), N: bytes looked at.")
        .summary("Counts the bits that are set.")
        .history(&[("7.0.0", "`BYTE` and `BIT`.")]),
        bitcount,
    ),
    Command::new(
        Spec::new(
            "bitfield",
            Group::Bitmap,
            -2,
            "key [<GET (encoding offset) | ([OVERFLOW <WRAP | SAT | FAIL>] <SET (encoding \
            offset value:integer) | INCRBY (encoding offset \
            increment)>@write_operation)@write> [<GET encoding offset | [OVERFLOW <WRAP | SAT \
            | FAIL>] <SET encoding offset value | INCRBY encoding offset increment>> \
            ...]]@operation",
        )
        .flags(&[WRITE, DENYOOM])
        .keys(&[KeySpec::one(1, &[RW, ACCESS, UPDATE, VARIABLE_FLAGS])
            .notes("GET subcommands read, the others write.")])
        .keys_by(KeysBy::BitField)
        .since("3.2.0")
        .complexity("O(1) for each subcommand.")
        .summary("Reads and changes integers of any width inside a string."),
        field::bitfield,
    )
    .edits_string_at(1),
    Command::new(
        Spec::new("bitfield_ro", Group::Bitmap, -2, "key [GET (encoding offset) [GET encoding offset ...]]")
            .flags(&[READONLY, FAST])
            .keys(&[KeySpec::one(1, &[RO, ACCESS])])
            .since("6.0.0")
            .complexity("O(1) for each subcommand.")
            .summary("Reads integers of any width inside a string."),
        field::bitfield_ro,
    ),
    Command::new(
        Spec::new("bitop", Group::Bitmap, -4, "operation destkey key [key ...]")
            .flags(&[WRITE, DENYOOM])
            .keys(&[KeySpec::one(2, &[OW, UPDATE]), KeySpec::range(3, -1, 1, &[RO, ACCESS])])
            .since("2.6.0")
            .complexity("O(N), N: length of the longest string.")
            .summary("Combines strings bit by bit into another."),
        bitop,
    ),
    Command::new(
        Spec::new(
            "bitpos",
            Group::Bitmap,
            -3,
            "key bit [start [end:integer [BYTE | BIT]@index_unit^7.0.0]@end_index]@index",
        )
        .flags(&[READONLY])
        .keys(&[KeySpec::one(1, &[RO, ACCESS])])
        .since("2.8.7")
        .complexity("O(N), N: bytes looked at.")
        .summary("Finds the first bit that is set, or clear.")
        .history(&[("7.0.0", "`BYTE` and `BIT`.")]),
        bitpos,
    ),
    Command::new(
        Spec::new("getbit", Group::Bitmap, 3, "key offset")
            .flags(&[READONLY, FAST])
            .keys(&[KeySpec::one(1, &[RO, ACCESS])])
            .since("2.2.0")
            .summary("Reads one bit of a string."),
        getbit,
    ),
    Command::new(
        Spec::new("setbit", Group::Bitmap, 4, "key offset value:integer")
            .flags(&[WRITE, DENYOOM])
            .keys(&[KeySpec::one(1, &[RW, ACCESS, UPDATE])])
            .since("2.2.0")
            .summary("Sets or clears one bit of a string."),
        setbit,
    )
    .edits_string_at(1),
];

const BAD_OFFSET: CommandError = CommandError::fixed("ERR bit offset is not an integer or out of range");
const BAD_BIT: CommandError = CommandError::fixed("ERR bit is not an integer or out of range");

fn setbit(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let key = args.key();
    let offset = bit_offset(ctx, args.key())?;
    let on = args.int_in(0, 1, BAD_BIT)? == 1;
    let old_len = ctx.db.string_for_update(key)?.map_or(0, <[u8]>::len);
    let len = bytes_up_to(offset);
    let was_on = ctx.db.edit_string(key, |bytes| {
        string::grow(bytes, len);
        let was_on = bits::get(bytes, offset);
        bits::set(bytes, offset, on);
        was_on
    })?;
    if len > old_len || was_on != on {
        ctx.changed(NotifyClasses::STRING, "setbit", key);
    }
    ctx.reply.integer(i64::from(was_on));
    Ok(())
}

fn getbit(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let key = args.key();
    let offset = bit_offset(ctx, args.key())?;
    let on = ctx.db.string(key)?.is_some_and(|bytes| bits::get(bytes, offset));
    ctx.reply.integer(i64::from(on));
    Ok(())
}

fn bitcount(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let Some(bytes) = ctx.db.string(args.key())? else {
        // Redis: the range of a missing key is not looked at.
        ctx.reply.integer(0);
        return Ok(());
    };
    let range = match args.remaining() {
        0 => 0..bits_of(bytes),
        2 | 3 => {
            let (start, end) = (args.int()?, args.int()?);
            if start < 0 && end < 0 && start > end {
                // Redis: so are two such indexes, whatever unit follows.
                0..0
            } else {
                let unit = if args.is_done() { Unit::Byte } else { Unit::read(args.key())? };
                unit.range(start, end, bytes)
            }
        }
        _ => return Err(CommandError::Syntax),
    };
    ctx.reply.integer(bits::count(bytes, range).cast_signed());
    Ok(())
}

fn bitpos(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let key = args.key();
    let on = match args.int()? {
        0 => false,
        1 => true,
        _ => return Err(CommandError::fixed("ERR The bit argument must be 1 or 0.")),
    };
    let Some(bytes) = ctx.db.string(key)? else {
        // Redis: a missing key is endless zeros; its range is not looked at.
        ctx.reply.integer(if on { -1 } else { 0 });
        return Ok(());
    };
    let has_end = args.remaining() >= 2;
    let range = position_range(args, bytes)?;
    let after = range.end;
    let position = match bits::find(bytes, on, range.clone()) {
        Some(position) => position.cast_signed(),
        // Redis: a string ends in endless zeros unless the client says where to stop.
        None if !on && !has_end && !range.is_empty() => after.cast_signed(),
        None => -1,
    };
    ctx.reply.integer(position);
    Ok(())
}

fn bitop(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let operation = Operation::read(args.key())?;
    let target = args.key();
    if matches!(operation, Operation::Not) && args.remaining() != 1 {
        return Err(CommandError::fixed("ERR BITOP NOT must be called with a single source key."));
    }
    let result = combined(ctx, operation, args)?;
    if !result.is_empty() {
        ctx.db.set_edited_string(target, &result, Ttl::Clear);
        ctx.changed(NotifyClasses::STRING, "set", target);
    } else if ctx.db.remove(target) {
        ctx.changed(NotifyClasses::GENERIC, "del", target);
    }
    ctx.reply.count(result.len());
    Ok(())
}

/// The operation of BITOP on its sources.
#[derive(Clone, Copy, Debug)]
enum Operation {
    Not,
    Combine(Combine),
}

impl Operation {
    fn read(word: &[u8]) -> Result<Operation, CommandError> {
        let operations: [(&[u8], Operation); 4] = [
            (b"AND", Operation::Combine(Combine::And)),
            (b"OR", Operation::Combine(Combine::Or)),
            (b"XOR", Operation::Combine(Combine::Xor)),
            (b"NOT", Operation::Not),
        ];
        let found = operations.iter().find(|(name, _)| word.eq_ignore_ascii_case(name));
        found.map(|&(_, operation)| operation).ok_or(CommandError::Syntax)
    }
}

/// The combination of all keys; missing ones are empty, shorter ones end in zeros.
fn combined(ctx: &mut Ctx<'_>, operation: Operation, mut keys: Args<'_>) -> Result<Vec<u8>, CommandError> {
    let mut result = ctx.db.string(keys.key())?.unwrap_or_default().to_vec();
    match operation {
        Operation::Not => result.iter_mut().for_each(|byte| *byte = !*byte),
        Operation::Combine(how) => {
            for key in keys.rest() {
                bits::combine(how, &mut result, ctx.db.string(key)?.unwrap_or_default());
            }
        }
    }
    Ok(result)
}

/// The unit that the indexes of a range count.
#[derive(Clone, Copy, Debug)]
enum Unit {
    Byte,
    Bit,
}

impl Unit {
    fn read(word: &[u8]) -> Result<Unit, CommandError> {
        if word.eq_ignore_ascii_case(b"BIT") {
            Ok(Unit::Bit)
        } else if word.eq_ignore_ascii_case(b"BYTE") {
            Ok(Unit::Byte)
        } else {
            Err(CommandError::Syntax)
        }
    }

    /// The bits from `start` to `end`, both included, negative ones counted from the end.
    fn range(self, start: i64, end: i64, bytes: &[u8]) -> Range<u64> {
        let unit_bits = match self {
            Unit::Byte => 8,
            Unit::Bit => 1,
        };
        let units = bits_of(bytes) / unit_bits;
        let place = |index: i64| match u64::try_from(index) {
            Ok(index) => index,
            Err(_) => units.saturating_sub(index.unsigned_abs()),
        };
        let (start, end) = (place(start), place(end));
        if units == 0 || start > end.min(units - 1) {
            return 0..0;
        }
        start * unit_bits..(end.min(units - 1) + 1) * unit_bits
    }
}

/// The range of BITPOS. Redis reads the start, then the unit, then the end.
fn position_range(mut args: Args<'_>, bytes: &[u8]) -> Result<Range<u64>, CommandError> {
    match args.remaining() {
        0 => Ok(0..bits_of(bytes)),
        1 => Ok(Unit::Byte.range(args.int()?, -1, bytes)),
        2 => Ok(Unit::Byte.range(args.int()?, args.int()?, bytes)),
        3 => {
            let start = args.int()?;
            let end = args.key();
            let unit = Unit::read(args.key())?;
            Ok(unit.range(start, number::parse_i64(end).ok_or(CommandError::NotInteger)?, bytes))
        }
        _ => Err(CommandError::Syntax),
    }
}

fn bits_of(bytes: &[u8]) -> u64 {
    bytes.len() as u64 * 8
}

/// The number of bytes a string with bit `offset` has at least; offsets were bounded when read.
fn bytes_up_to(offset: u64) -> usize {
    usize::try_from(offset / 8 + 1).expect("bounded by proto-max-bulk-len, which fits an address")
}

/// An offset in bits; it lies in the first `proto-max-bulk-len` bytes.
fn bit_offset(ctx: &Ctx<'_>, text: &[u8]) -> Result<u64, CommandError> {
    let offset = number::parse_i64(text).ok_or(BAD_OFFSET)?;
    checked_offset(ctx, offset)
}

fn checked_offset(ctx: &Ctx<'_>, offset: i64) -> Result<u64, CommandError> {
    let offset = u64::try_from(offset).map_err(|_| BAD_OFFSET)?;
    if offset / 8 < ctx.rooms.config.proto_max_bulk_len || ctx.must_obey() {
        Ok(offset)
    } else {
        Err(BAD_OFFSET)
    }
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::TestServer;

    #[test]
    fn setbit_reports_only_what_changed() {
        let mut server = TestServer::new();
        for (line, answer, effect) in [
            ("SETBIT k 1 1", "(integer) 0", "SELECT 0 | SETBIT k 1 1"),
            ("SETBIT k 1 1", "(integer) 1", ""),
            ("SETBIT k 7 0", "(integer) 0", ""),
            ("SETBIT k 8 0", "(integer) 0", "SETBIT k 8 0"),
            ("SETBIT k 1 0", "(integer) 1", "SETBIT k 1 0"),
            ("GETBIT k 1", "(integer) 0", ""),
            ("SETBIT k 17 1", "(integer) 0", "SETBIT k 17 1"),
            ("GETBIT k 17", "(integer) 1", ""),
            ("GETBIT k 4000000000", "(integer) 0", ""),
            ("GET k", "\"\\x00\\x00@\"", ""),
        ] {
            assert_eq!(server.run(line), answer, "{line}");
            assert_eq!(server.effects(), effect, "{line}");
        }
    }

    #[test]
    fn a_bit_lies_in_the_longest_string_allowed() {
        let bad_offset = "(error) ERR bit offset is not an integer or out of range";
        let bad_bit = "(error) ERR bit is not an integer or out of range";
        let mut server = TestServer::with(|config| config.proto_max_bulk_len = 1 << 20);
        assert_eq!(server.run("SETBIT k 8388607 1"), "(integer) 0");
        assert_eq!(server.run("STRLEN k"), "(integer) 1048576");
        for (line, error) in [
            ("SETBIT k 8388608 1", bad_offset),
            ("SETBIT k -1 1", bad_offset),
            ("SETBIT k 9223372036854775807 1", bad_offset),
            ("SETBIT k x 1", bad_offset),
            ("GETBIT k 8388608", bad_offset),
            ("SETBIT k 1 2", bad_bit),
            ("SETBIT k 1 -1", bad_bit),
            ("SETBIT k 1 x", bad_bit),
            ("BITFIELD k SET u8 8388608 1", bad_offset),
        ] {
            assert_eq!(server.run(line), error, "{line}");
        }
    }

    #[test]
    fn bitcount_takes_ranges_of_bytes_and_bits() {
        let mut server = TestServer::new();
        server.run("SET k foobar");
        for (range, count) in [
            ("", 26),
            (" 0 -1", 26),
            (" 0 0", 4),
            (" 1 1 BYTE", 6),
            (" 0 -5", 10),
            (" 5 30 bit", 17),
            (" -10 -1 BIT", 5),
            (" 7 5", 0),
            (" -1 -2 NOUNIT", 0),
            (" 100 200", 0),
        ] {
            assert_eq!(server.run(&format!("BITCOUNT k{range}")), format!("(integer) {count}"), "{range}");
        }
        for line in ["BITCOUNT k 0", "BITCOUNT k 0 1 hello", "BITCOUNT k 0 1 BIT more"] {
            assert_eq!(server.run(line), "(error) ERR syntax error", "{line}");
        }
        assert_eq!(server.run("BITCOUNT missing a b"), "(integer) 0");
    }

    #[test]
    fn bitpos_sees_zeros_behind_the_end_unless_told_where_to_stop() {
        let mut server = TestServer::new();
        server.run("SET ones \"\\xff\\xff\\xff\"");
        server.run("SET k \"\\x00\\xff\\xf0\"");
        server.run("SET empty \"\"");
        for (line, position) in [
            ("ones 0", 24),
            ("ones 0 1", 24),
            ("ones 0 0 -1", -1),
            ("ones 0 3", -1),
            ("ones 1 2", 16),
            ("ones 0 3 9 BIT", -1),
            ("k 1", 8),
            ("k 1 2", 16),
            ("k 0 1", 20),
            ("k 0 9 19 BIT", -1),
            ("k 0 9 20 BIT", 20),
            ("k 1 0 7 BIT", -1),
            ("k 1 -4 -1 BIT", -1),
            ("k 1 -5 -1 BIT", 19),
            ("empty 0", -1),
            ("empty 1", -1),
            ("missing 0", 0),
            ("missing 1 a", -1),
        ] {
            assert_eq!(server.run(&format!("BITPOS {line}")), format!("(integer) {position}"), "{line}");
        }
        for (line, error) in [
            ("BITPOS k 2", "ERR The bit argument must be 1 or 0."),
            ("BITPOS k x", "ERR value is not an integer or out of range"),
            ("BITPOS k 1 x", "ERR value is not an integer or out of range"),
            ("BITPOS k 1 0 x", "ERR value is not an integer or out of range"),
            ("BITPOS k 1 0 x nounit", "ERR syntax error"),
            ("BITPOS k 1 0 1 BIT more", "ERR syntax error"),
        ] {
            assert_eq!(server.run(line), format!("(error) {error}"), "{line}");
        }
    }

    #[test]
    fn bitop_combines_strings_of_different_lengths() {
        let mut server = TestServer::new();
        server.run("SET a abc");
        server.run("SET b \"\\xff\"");
        server.effects();
        for (line, len, result) in [
            ("AND d a b", 3, "\"a\\x00\\x00\""),
            ("or d a b", 3, "\"\\xffbc\""),
            ("XOR d a b missing", 3, "\"\\x9ebc\""),
            ("AND d missing a", 3, "\"\\x00\\x00\\x00\""),
            ("NOT d b", 1, "\"\\x00\""),
            ("AND d a", 3, "\"abc\""),
        ] {
            assert_eq!(server.run(&format!("BITOP {line}")), format!("(integer) {len}"), "{line}");
            assert_eq!(server.run("GET d"), result, "{line}");
            assert_eq!(server.effects(), format!("BITOP {line}"));
        }
    }

    #[test]
    fn an_empty_result_of_bitop_deletes() {
        let mut server = TestServer::new();
        server.run("SET d x");
        server.effects();
        assert_eq!(server.run("BITOP OR d missing"), "(integer) 0");
        assert_eq!(server.run("BITOP OR d missing"), "(integer) 0");
        assert_eq!(server.run("GET d"), "(nil)");
        assert_eq!(server.effects(), "BITOP OR d missing");
        assert_eq!(server.run("BITOP NAND d a"), "(error) ERR syntax error");
        let error = "(error) ERR BITOP NOT must be called with a single source key.";
        assert_eq!(server.run("BITOP NOT d a b"), error);
    }
}
