//! `math.random` and `math.randomseed` with the generator of Redis, which gives the same numbers on
//! every machine: [`open`], [`reseed`]. The rest of `math` is Lua's own.
//!
//! Redis 7.0 does not seed it anew before each script, as older ones did: the numbers go on from
//! script to script, from where `math.randomseed` has set them last.

use crate::script::arguments::Arguments;
use crate::script::{meter, raise};
use mlua::{Lua, MultiValue, Result, Table, Value};
use std::cell::Cell;
use std::rc::Rc;

/// The largest number that the generator gives, and what results are divided by
/// (`REDIS_LRAND48_MAX`).
const LARGEST: i32 = i32::MAX;

/// The state that the generator starts with.
const FIRST_STATE: u64 = 0x1234_ABCD_330E;

/// The generator: 48 bits of state, as `drand48` of the C library has it.
#[derive(Clone, Default)]
struct Generator(Rc<Cell<u64>>);

impl Generator {
    fn seed(&self, seed: i32) {
        self.0.set(u64::from(seed as u32) << 16 | 0x330E);
    }

    /// The next number from 0 to 1.
    fn next(&self) -> f64 {
        let state = self.0.get().wrapping_mul(0x5_DEEC_E66D).wrapping_add(0xB) & 0xFFFF_FFFF_FFFF;
        self.0.set(state);
        let number = (state >> 17) as i32;
        f64::from(number % LARGEST) / f64::from(LARGEST)
    }
}

/// Replaces what is Redis's in `math`.
pub fn open(lua: &Lua, math: &Table) -> Result<()> {
    let generator = Generator::default();
    generator.0.set(FIRST_STATE);
    lua.set_app_data(generator.clone());
    let seeded = generator.clone();
    math.raw_set("random", meter::function(lua, move |lua, values| random(lua, &generator, values))?)?;
    let randomseed = move |lua: &Lua, values| {
        seeded.seed(Arguments::new(lua, values).integer(1)? as i32);
        Ok(())
    };
    math.raw_set("randomseed", meter::function(lua, randomseed)?)
}

/// Sets the generator to where it is when a server starts.
pub fn reseed(lua: &Lua) {
    if let Some(generator) = lua.app_data_ref::<Generator>() {
        generator.0.set(FIRST_STATE);
    }
}

/// A number below 1; or a whole number from 1 to the argument, or between both arguments.
fn random(lua: &Lua, generator: &Generator, values: MultiValue) -> Result<Value> {
    let arguments = Arguments::new(lua, values);
    let number = generator.next();
    let (first, last, blamed) = match arguments.len() {
        0 => return Ok(Value::Number(number)),
        1 => (1, arguments.integer(1)? as i32, 1),
        2 => (arguments.integer(1)? as i32, arguments.integer(2)? as i32, 2),
        _ => return Err(raise::at_caller(lua, "wrong number of arguments")),
    };
    if first > last {
        return Err(raise::argument(lua, blamed, "interval is empty"));
    }
    let count = last.wrapping_sub(first).wrapping_add(1);
    Ok(Value::Number((number * f64::from(count)).floor() + f64::from(first)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::testing::{run_sealed, sealed};

    /// Chunks with what redis-server 7.0.15 answers.
    #[test]
    fn the_numbers_are_those_of_redis() {
        let rows = [
            (
                "return {tostring(math.random()),tostring(math.random()),math.random(10),math.random(3,7),\
                 math.random(1000000)}",
                "[0.39646477363839 0.84048536971234 4 5 318693]",
            ),
            (
                "math.randomseed(42) return {tostring(math.random()),tostring(math.random()),\
                 math.random(10),math.random(3,7),math.random(1000000)}",
                "[0.74452500033403 0.34270147855519 2 5 81112]",
            ),
            ("math.randomseed(-1) return tostring(math.random())", "0.30002572727391"),
            ("math.randomseed(2^40+7) return tostring(math.random())", "0.26644419658298"),
            ("math.randomseed('3.9') return tostring(math.random())", "0.78323496216127"),
            ("return math.random(-2^31, 2^31-1)", "-2147483648"),
            ("return math.random(-2^60, 2^60)", "0"),
        ];
        let (lua, sealed) = sealed();
        for (chunk, expected) in rows {
            reseed(&lua);
            assert_eq!(run_sealed(&lua, &sealed, chunk), expected, "{chunk}");
        }
    }

    #[test]
    fn wrong_arguments_fail_with_lua_s_texts() {
        let rows = [
            ("math.randomseed()", "bad argument #1 to 'randomseed' (number expected, got no value)"),
            ("return math.random(0)", "bad argument #1 to 'random' (interval is empty)"),
            ("return math.random(5,1)", "bad argument #2 to 'random' (interval is empty)"),
            ("return math.random(2^31)", "bad argument #1 to 'random' (interval is empty)"),
            ("return math.random(1,2,3)", "wrong number of arguments"),
            ("return math.random('x')", "bad argument #1 to 'random' (number expected, got string)"),
        ];
        let (lua, sealed) = sealed();
        for (chunk, expected) in rows {
            let expected = format!("error: user_script:1: {expected}");
            assert_eq!(run_sealed(&lua, &sealed, chunk), expected, "{chunk}");
        }
    }
}
