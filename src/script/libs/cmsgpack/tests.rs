//! What `cmsgpack` answers. The expectations are those of redis-server 7.0.15.

use super::open;
use crate::script::meter::Meter;
use crate::script::testing::{lua_with, run};
use mlua::Lua;

/// A Lua state with `hex`, and `show`, which tells values with what is in tables.
fn lua() -> Lua {
    let lua = lua_with("cmsgpack", open);
    let helpers = "function hex(text)
        return (text:gsub('.', function(c) return ('%02x'):format(c:byte()) end))
    end
    function show(...)
        local out = {}
        for i = 1, select('#', ...) do
            local value = select(i, ...)
            out[i] = tostring(value)
            if type(value) == 'table' then
                out[i] = '{'
                for key, item in pairs(value) do out[i] = out[i] .. show(key) .. '=' .. show(item) .. ';' end
                out[i] = out[i] .. '}'
            end
        end
        return table.concat(out, ' ')
    end";
    run(&lua, helpers);
    lua
}

#[test]
fn values_become_messagepack() {
    let lua = lua();
    let rows = [
        ("nil", "c0"),
        ("1, nil, true, false", "01c0c3c2"),
        ("0, 127, 128, 255, 256", "007fcc80ccffcd0100"),
        ("65535, 65536, 2^32 - 1, 2^32", "cdffffce00010000ceffffffffcf0000000100000000"),
        ("-1, -32, -33, -128, -129", "ffe0d0dfd080d1ff7f"),
        ("-32768, -32769, -2^31, -2^31 - 1", "d18000d2ffff7fffd280000000d3ffffffff7fffffff"),
        ("2^63, -2^63, -2^64", "ca5f000000d38000000000000000cadf800000"),
        ("1.5, 1.1, -0", "ca3fc00000cb3ff199999999999a00"),
        ("1/0, -1/0", "ca7f800000caff800000"),
        ("{}, {1, 2}, {1, nil, 3}", "909201028201010303"),
        ("{a = 1}, {[2] = 2}, {[-1] = 1}", "81a1610181020281ff01"),
        ("{[true] = false}, {[1.5] = 2}", "81c3c281ca3fc0000002"),
        ("{[{1, 2}] = {3}}", "819201029103"),
        ("setmetatable({1, 2}, {__index = function() return 7 end})", "920102"),
        ("'', 'abc', cmsgpack.pack", "a0a3616263c0"),
    ];
    for (values, expected) in rows {
        let given = run(&lua, &format!("return hex(cmsgpack.pack({values}))"));
        assert_eq!(given, expected, "{values}");
    }
}

#[test]
fn lengths_are_written_short() {
    let lua = lua();
    let rows = [
        ("('x'):rep(31)", "bf78"),
        ("('x'):rep(32)", "d92078"),
        ("('x'):rep(255)", "d9ff78"),
        ("('x'):rep(256)", "da010078"),
        ("('x'):rep(65536)", "db0001000078"),
        ("items(15)", "9f01"),
        ("items(16)", "dc001001"),
        ("items(65536)", "dd0001000001"),
        ("keys(15)", "8f"),
        ("keys(16)", "de0010"),
        ("keys(65536)", "df00010000"),
    ];
    run(
        &lua,
        "function items(n) local t = {} for i = 1, n do t[i] = i end return t end
        function keys(n) local t = {} for i = 1, n do t['k' .. i] = i end return t end",
    );
    for (value, expected) in rows {
        let given = run(&lua, &format!("return hex(cmsgpack.pack({value}):sub(1, {}))", expected.len() / 2));
        assert_eq!(given, expected, "{value}");
    }
}

#[test]
fn tables_end_at_sixteen_levels() {
    let lua = lua();
    let nested = "local t = {} for i = 1, 20 do t = {t} end return hex(cmsgpack.pack(t))";
    assert_eq!(run(&lua, nested), "91".repeat(16) + "c0");
    let circle = "local t = {} t.x = t return hex(cmsgpack.pack(t))";
    assert_eq!(run(&lua, circle), "81a178".repeat(16) + "c0");
}

#[test]
fn messagepack_becomes_values() {
    let lua = lua();
    let rows = [
        ("unpack('')", ""),
        ("unpack('abc')", "97 98 99"),
        ("unpack('a', 'x', 'y')", "97"),
        ("unpack(5)", "53"),
        ("unpack('\\207\\255\\255\\255\\255\\255\\255\\255\\255')", "-1"),
        ("unpack('\\207\\127\\255\\255\\255\\255\\255\\255\\255')", "9.2233720368548e+18"),
        ("unpack('\\206\\255\\255\\255\\255\\210\\255\\255\\255\\255')", "4294967295 -1"),
        ("unpack('\\205\\255\\254\\209\\255\\254\\208\\128\\204\\128')", "65534 -2 -128 128"),
        ("unpack('\\202\\63\\192\\0\\0\\203\\63\\248\\0\\0\\0\\0\\0\\0')", "1.5 1.5"),
        ("unpack('\\192\\194\\195\\161x\\217\\1y\\218\\0\\1z\\219\\0\\0\\0\\1w')", "nil false true x y z w"),
        ("unpack('\\147\\1\\192\\3\\220\\0\\1\\7\\221\\0\\0\\0\\1\\8\\144')", "{1=1;3=3;} {1=7;} {1=8;} {}"),
        ("unpack('\\129\\1\\192\\129\\1\\129\\2\\3\\222\\0\\1\\4\\5\\128')", "{} {1={2=3;};} {4=5;} {}"),
        ("unpack_one('abc')", "1 97"),
        ("unpack_one('abc', 2)", "-1 99"),
        ("unpack_one('abc', 3)", "-1"),
        ("unpack_one('')", "-1"),
        ("unpack_limit('abc', 2)", "2 97 98"),
        ("unpack_limit('abc', 2, 1)", "-1 98 99"),
        ("unpack_limit('abc', 0)", "97 98 99"),
        ("unpack_limit('abc', 0, 1)", "1"),
    ];
    for (expression, expected) in rows {
        assert_eq!(run(&lua, &format!("return show(cmsgpack.{expression})")), expected, "{expression}");
    }
}

#[test]
fn wrong_arguments_and_bytes_are_refused() {
    let lua = lua();
    let rows = [
        ("pack()", "bad argument #0 to 'pack' (MessagePack pack needs input.)"),
        ("unpack({})", "bad argument #1 to 'unpack' (string expected, got table)"),
        ("unpack_limit()", "bad argument #2 to 'unpack_limit' (number expected, got no value)"),
        ("unpack_limit('abc', -1)", "Invalid request to unpack with offset of 0 and limit of 3."),
        ("unpack_one('abc', -1)", "Invalid request to unpack with offset of -1 and limit of 3."),
        ("unpack_one('abc', 1e300)", "Invalid request to unpack with offset of 0 and limit of 3."),
        ("unpack_one('abc', 2^40 + 7)", "Start offset 7 greater than input length 3."),
        ("unpack_limit('abc', 1, 4)", "Start offset 4 greater than input length 3."),
        ("unpack('a\\193')", "Bad data format in input."),
        ("unpack('\\199\\1\\1')", "Bad data format in input."),
        ("unpack('\\217\\5ab')", "Missing bytes in input."),
        ("unpack('\\221\\255\\255\\255\\255a')", "Missing bytes in input."),
        ("unpack('\\223\\255\\255\\255\\255a')", "Missing bytes in input."),
        ("unpack('\\219\\255\\255\\255\\255a')", "Missing bytes in input."),
        ("unpack('\\129\\192')", "Missing bytes in input."),
    ];
    for (expression, expected) in rows {
        let expected = format!("error: user_script:1: {expected}");
        assert_eq!(run(&lua, &format!("local x = cmsgpack.{expression}")), expected, "{expression}");
    }
    assert_eq!(run(&lua, "return cmsgpack.unpack('\\129\\192\\1')"), "error: table index is nil");
    let nan = "return cmsgpack.unpack('\\129\\203\\127\\248\\0\\0\\0\\0\\0\\0\\1')";
    assert_eq!(run(&lua, nan), "error: table index is NaN");
}

#[test]
fn depth_and_results_have_a_limit() {
    let lua = lua();
    let unpack = |text: &str| run(&lua, &format!("local n = select('#', cmsgpack.unpack({text})) return n"));
    let depth = |text: &str| {
        let walk = "local n = 0 while type(t) == 'table' do t, n = t[1], n + 1 end return n";
        run(&lua, &format!("local t = cmsgpack.unpack({text}) {walk}"))
    };
    let overflow = "error: user_script:1: stack overflow";
    let many =
        format!("{overflow} (too many return values at once; use unpack_one or unpack_limit instead.)");
    assert_eq!(depth("('\\145'):rep(3998) .. '\\1'"), "3998");
    assert_eq!(unpack("('\\145'):rep(200000)"), format!("{overflow} (in function mp_decode_to_lua_array)"));
    assert_eq!(depth("('\\129\\1'):rep(3998) .. '\\1'"), "3998");
    assert_eq!(unpack("('\\129\\1'):rep(200000)"), many);
    assert_eq!(unpack("('\\129'):rep(200000)"), many);
    assert_eq!(unpack("('\\129'):rep(7999)"), "error: user_script:1: Missing bytes in input.");
    assert_eq!(unpack("('a'):rep(7900)"), "7900");
    assert_eq!(unpack("('a'):rep(200000)"), many);
    assert_eq!(unpack("('\\161a'):rep(200000)"), many);
}

#[test]
fn arguments_have_a_limit() {
    let lua = lua();
    run(&lua, "function ones(n) local t = {} for i = 1, n do t[i] = 1 end return unpack(t) end");
    assert_eq!(run(&lua, "return #cmsgpack.pack(ones(4000))"), "4000");
    let expected =
        "error: user_script:1: bad argument #0 to 'pack' (Too many arguments for MessagePack pack.)";
    assert_eq!(run(&lua, "local x = cmsgpack.pack(ones(4001))"), expected);
}

#[test]
fn memory_has_a_limit() {
    let lua = lua();
    lua.set_app_data(Meter::new(2 << 20));
    let rows = [
        "local t = {1} for i = 1, 15 do local u = {} for n = 1, 9 do u[n] = t end t = u end
            return #cmsgpack.pack(t)",
        "local s, t = ('x'):rep(1000), {} for i = 1, 10000 do t[i] = s end return #cmsgpack.pack(t)",
    ];
    for chunk in rows {
        assert_eq!(run(&lua, chunk), "error: not enough memory", "{chunk}");
    }
}

#[test]
fn any_bytes_are_read_or_refused() {
    let lua = lua();
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..5000 {
        let mark = |random: &mut fastrand::Rng| if random.bool() { random.u8(0x80..) } else { random.u8(..) };
        let bytes: Vec<u8> = (0..random.usize(..24)).map(|_| mark(&mut random)).collect();
        lua.globals().raw_set("bytes", lua.create_string(&bytes).unwrap()).unwrap();
        for chunk in ["return type(cmsgpack.unpack(bytes))", "return cmsgpack.unpack_one(bytes)"] {
            let result = run(&lua, chunk);
            assert!(!result.contains("panic"), "{bytes:?}: {result}");
        }
    }
}
