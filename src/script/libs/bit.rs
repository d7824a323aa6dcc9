//! The library `bit`: operations on the bits of numbers, 32 of them.

use crate::script::arguments::Arguments;
use crate::script::meter;
use mlua::{Lua, MultiValue, Result, Table};

/// An operation on an argument and a count of places.
type Shift = fn(u32, u32) -> u32;
/// An operation that takes any number of arguments together.
type Fold = fn(u32, u32) -> u32;

/// Makes the table `bit`.
pub fn open(lua: &Lua) -> Result<Table> {
    let table = lua.create_table()?;
    let unary = |name: &str, act: fn(u32) -> u32| -> Result<()> {
        let function = move |lua: &Lua, values| Ok(signed(act(bits(&Arguments::new(lua, values), 1)?)));
        table.raw_set(name, meter::function(lua, function)?)
    };
    unary("tobit", |bits| bits)?;
    unary("bnot", |bits| !bits)?;
    unary("bswap", u32::swap_bytes)?;
    let folds: [(&str, Fold); 3] = [("band", |a, b| a & b), ("bor", |a, b| a | b), ("bxor", |a, b| a ^ b)];
    for (name, act) in folds {
        table.raw_set(name, meter::function(lua, move |lua, values| fold(lua, values, act))?)?;
    }
    let shifts: [(&str, Shift); 5] = [
        ("lshift", |bits, places| bits << places),
        ("rshift", |bits, places| bits >> places),
        ("arshift", |bits, places| (bits as i32 >> places) as u32),
        ("rol", u32::rotate_left),
        ("ror", u32::rotate_right),
    ];
    for (name, act) in shifts {
        table.raw_set(name, meter::function(lua, move |lua, values| shift(lua, values, act))?)?;
    }
    table.raw_set("tohex", meter::function(lua, tohex)?)?;
    Ok(table)
}

/// The low 32 bits of argument `index`, rounded to a whole number.
///
/// Adding 1.5 × 2^52 moves the units of a double into the low bits of its mantissa; what is larger
/// than 2^51 gives bits of no meaning, as in the original.
fn bits(arguments: &Arguments<'_>, index: usize) -> Result<u32> {
    Ok((arguments.number(index)? + 6_755_399_441_055_744.0).to_bits() as u32)
}

/// Results have a sign.
fn signed(bits: u32) -> i32 {
    bits as i32
}

fn fold(lua: &Lua, values: MultiValue, act: Fold) -> Result<i32> {
    let arguments = Arguments::new(lua, values);
    let first = bits(&arguments, 1)?;
    // From the last to the second, so that of several wrong ones the last is told.
    let mut rest = (2..=arguments.len()).rev();
    rest.try_fold(first, |all, index| Ok(act(all, bits(&arguments, index)?))).map(signed)
}

fn shift(lua: &Lua, values: MultiValue, act: Shift) -> Result<i32> {
    let arguments = Arguments::new(lua, values);
    let first = bits(&arguments, 1)?;
    Ok(signed(act(first, bits(&arguments, 2)? & 31)))
}

/// So many of the last hexadecimal digits: 8 if nothing is said, capital letters below zero.
fn tohex(lua: &Lua, values: MultiValue) -> Result<String> {
    let arguments = Arguments::new(lua, values);
    let number = bits(&arguments, 1)?;
    let digits = if arguments.len() < 2 { 8 } else { signed(bits(&arguments, 2)?) };
    let text = if digits < 0 { format!("{number:08X}") } else { format!("{number:08x}") };
    let shown = digits.unsigned_abs().min(8) as usize;
    Ok(text[8 - shown..].to_owned())
}

#[cfg(test)]
mod tests {
    use super::open;
    use crate::script::testing::{lua_with, run};

    #[test]
    fn results_are_those_of_redis() {
        let lua = lua_with("bit", open);
        let rows = [
            ("bit.tobit('0x10')", "16"),
            ("bit.tobit(0/0) .. ' ' .. bit.tobit(1/0) .. ' ' .. bit.tobit(2^52)", "0 0 0"),
            (
                "bit.tobit(2^31) .. ' ' .. bit.tobit(2^53+2) .. ' ' .. bit.tobit(1e300)",
                "-2147483648 1 -2013235812",
            ),
            ("bit.tobit(1.5) .. ' ' .. bit.tobit(2.5) .. ' ' .. bit.tobit(-0.5)", "2 2 0"),
            ("bit.lshift(1,31) .. ' ' .. bit.lshift(1,32) .. ' ' .. bit.lshift(1,33)", "-2147483648 1 2"),
            (
                "bit.lshift(1,-1) .. ' ' .. bit.rshift(-1,1) .. ' ' .. bit.arshift(-8,2)",
                "-2147483648 2147483647 -2",
            ),
            ("bit.rol(0x12345678,12) .. ' ' .. bit.ror(0x12345678,12)", "1164411171 1736516421"),
            ("bit.rol(1,0) .. ' ' .. bit.ror(5,32) .. ' ' .. bit.bswap(0x12345678)", "1 5 2018915346"),
            ("bit.bnot(5) .. ' ' .. bit.bxor(1,2,3) .. ' ' .. bit.bor(1,2,4,8)", "-6 0 15"),
            ("bit.tohex(1) .. ' ' .. bit.tohex(-1,4) .. ' ' .. bit.tohex(-1,-4)", "00000001 ffff FFFF"),
            (
                "'<' .. bit.tohex(10,0) .. '> ' .. bit.tohex(10,20) .. ' ' .. bit.tohex(10,-20)",
                "<> 0000000a 0000000A",
            ),
            ("bit.tohex(255,'3') .. ' ' .. bit.tohex(255,-2^31)", "0ff 000000FF"),
        ];
        for (chunk, expected) in rows {
            assert_eq!(run(&lua, &format!("return {chunk}")), expected, "{chunk}");
        }
    }

    #[test]
    fn errors_are_those_of_redis() {
        let lua = lua_with("bit", open);
        let rows = [
            ("bit.tobit()", "#1 to 'tobit' (number expected, got no value)"),
            ("bit.tobit('x')", "#1 to 'tobit' (number expected, got string)"),
            ("bit.band(1,2^52,'x',{})", "#4 to 'band' (number expected, got table)"),
            ("bit.band('x',{})", "#1 to 'band' (number expected, got string)"),
            ("bit.band(0,nil)", "#2 to 'band' (number expected, got nil)"),
            ("bit.lshift(1)", "#2 to 'lshift' (number expected, got no value)"),
            ("bit.tohex(255,nil)", "#2 to 'tohex' (number expected, got nil)"),
        ];
        for (chunk, expected) in rows {
            let expected = format!("error: user_script:1: bad argument {expected}");
            assert_eq!(run(&lua, &format!("local x = {chunk}")), expected, "{chunk}");
        }
    }
}
