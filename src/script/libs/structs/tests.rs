//! What `struct` answers. The expectations are those of redis-server 7.0.15.

use super::open;
use crate::script::testing::{lua_with, run};
use mlua::Lua;

/// A Lua state with `show`, which tells the bytes of strings in hexadecimal digits.
fn lua() -> Lua {
    let lua = lua_with("struct", open);
    let show = "function show(...)
        local out = {...}
        for i = 1, #out do
            local hex = function(c) return ('%02x'):format(c:byte()) end
            out[i] = type(out[i]) == 'string' and '<' .. out[i]:gsub('.', hex) .. '>' or tostring(out[i])
        end
        return table.concat(out, ' ')
    end";
    run(&lua, show);
    lua
}

fn check(rows: &[(&str, &str)]) {
    let lua = lua();
    for (expression, expected) in rows {
        assert_eq!(run(&lua, &format!("return show(struct.{expression})")), *expected, "{expression}");
    }
}

fn check_errors(rows: &[(&str, &str)]) {
    let lua = lua();
    for (expression, expected) in rows {
        let expected = format!("error: user_script:1: {expected}");
        assert_eq!(run(&lua, &format!("local x = struct.{expression}")), expected, "{expression}");
    }
}

#[test]
fn values_become_bytes() {
    check(&[
        ("pack('>I3h', 258, -2)", "<000102fffe>"),
        ("pack('<I3h', 258, -2)", "<020100feff>"),
        ("pack('bBx', -1, 255)", "<ffff00>"),
        ("pack('i16', -1)", "<ffffffffffffffff0000000000000000>"),
        ("pack('>i16', 258)", "<00000000000000000000000000000102>"),
        ("pack('I0', 1)", "<>"),
        ("pack('!bd', 1, 2)", "<01000000000000000000000000000040>"),
        ("pack('!4xi', '1')", "<0000000001000000>"),
        ("pack('f', '3.5')", "<00006040>"),
        ("pack('>f', 1e300)", "<7f800000>"),
        ("pack('>I8', 2^64)", "<0000000000000000>"),
        ("pack('>I8', 2^63)", "<8000000000000000>"),
        ("pack('>I8', -2^70)", "<8000000000000000>"),
        ("pack('>I8', 0/0)", "<8000000000000000>"),
        ("pack('>I8', 1e19)", "<8ac7230489e80000>"),
        ("pack('>l', -1.5)", "<ffffffffffffffff>"),
        ("pack('s', 'a\\0b')", "<61006200>"),
        ("pack('c0c2', 'ab', 'cdef')", "<61626364>"),
        ("pack('x\\0i', 1)", "<00>"),
    ]);
}

#[test]
fn bytes_become_values() {
    check(&[
        ("unpack('>I3h', '\\0\\1\\2\\255\\254')", "258 -2 6"),
        ("unpack('i3', '\\1\\2\\255')", "-65023 4"),
        ("unpack('I0', '')", "0 1"),
        ("unpack('<i9', ('\\255'):rep(8) .. '\\0')", "-1 10"),
        ("unpack('<i12', '\\1\\2\\3\\128\\5\\6\\7\\8\\9\\10\\11\\129')", "-2147286527 13"),
        ("unpack('>i16', ('\\0'):rep(8) .. ('\\255'):rep(8))", "-1 17"),
        ("unpack('!1073741824xI32', ('x'):rep(100))", "8.6808207405692e+18 65"),
        ("unpack('>f<d', struct.pack('>f<d', 1.5, 2.25))", "1.5 2.25 13"),
        ("unpack('bc0', '\\3abcd')", "<616263> 5"),
        ("unpack('sc0', '3\\0abcd')", "<616263> 6"),
        ("unpack('dc0', struct.pack('d', 1e300) .. 'abc')", "<> 9"),
        ("unpack('fc0', struct.pack('f', 2.7) .. 'abc')", "<6162> 7"),
        ("unpack('s', 'abc\\0def')", "<616263> 5"),
        ("unpack('c3', 5555)", "<353535> 4"),
        ("unpack('b', 'x', nil)", "120 2"),
        ("unpack('', 'abcd', 9)", "9"),
        ("unpack('', 'abcd', -7)", "-7"),
    ]);
}

#[test]
fn sizes_are_told() {
    check(&[
        ("size('T')", "8"),
        ("size('!4xi')", "8"),
        ("size('!8xi!2d')", "16"),
        ("size('!4xI3')", "6"),
        ("size('z1')", "0"),
        ("size('c2147483647c2147483647c2147483647')", "6442450941"),
    ]);
    check_errors(&[
        ("size('s')", "bad argument #1 to 'size' (option 's' has no fixed size)"),
        ("size('c0')", "bad argument #1 to 'size' (option 'c0' has no fixed size)"),
        ("size('=')", "bad argument #1 to 'size' (invalid format option '=')"),
        ("size('!3')", "alignment 3 is not a power of 2"),
    ]);
}

#[test]
fn wrong_formats_and_arguments_are_refused() {
    check_errors(&[
        ("pack('I33', 1)", "integral size 33 is larger than limit of 32"),
        ("pack('I99999999999', 1)", "integral size overflow"),
        ("pack('c2147483648', 'x')", "integral size overflow"),
        ("pack('!0i', 1)", "alignment 0 is not a power of 2"),
        ("pack('z', 1)", "bad argument #1 to 'pack' (invalid format option 'z')"),
        ("pack()", "bad argument #1 to 'pack' (string expected, got no value)"),
        ("pack('ii', 1)", "bad argument #3 to 'pack' (number expected, got nil)"),
        ("pack('i', 'x')", "bad argument #2 to 'pack' (number expected, got string)"),
        ("pack('s', {})", "bad argument #2 to 'pack' (string expected, got table)"),
        ("pack('c5', 'abc')", "bad argument #3 to 'pack' (string too short)"),
        ("unpack('i')", "bad argument #2 to 'unpack' (string expected, got no value)"),
        ("unpack('b', 'x', 'y')", "bad argument #3 to 'unpack' (number expected, got string)"),
        ("unpack('c0', '3abc')", "format 'c0' needs a previous size"),
        ("unpack('bbc0c0', '\\1\\2abcdef')", "format 'c0' needs a previous size"),
        ("unpack('sc0', 'xx\\0abcd')", "format 'c0' needs a previous size"),
        ("unpack('s', 'abc')", "unfinished string in data"),
        ("unpack('', 'abcd', 0)", "bad argument #3 to 'unpack' (offset must be 1 or greater)"),
    ]);
}

#[test]
fn nothing_is_read_beyond_the_data() {
    let rows = [
        "unpack('i', 'abc')",
        "unpack('i', 'abcd', 2)",
        "unpack('i', 'abcd', -5)",
        "unpack(' ', 'abcd', 9)",
        "unpack('bc0', '\\9abcd')",
        "unpack('bc0', '\\255abcd')",
        "unpack('c2147483647', 'abc')",
        "unpack('dc0', struct.pack('d', 0/0) .. 'abc')",
        "unpack('!4096I3', 'abc', 2)",
        "unpack('i', 'abcd', 2^53)",
        "unpack('i', 'abcd', -2^63)",
    ];
    for expression in rows {
        check_errors(&[(expression, "bad argument #2 to 'unpack' (data string too short)")]);
    }
}

#[test]
fn results_have_a_limit() {
    let lua = lua();
    let count = |format: &str, data: &str| {
        run(&lua, &format!("local n = select('#', struct.unpack({format}, {data})) return n"))
    };
    assert_eq!(count("('b'):rep(7890)", "('x'):rep(8000)"), "7891");
    let expected = "error: user_script:1: stack overflow (too many results)";
    assert_eq!(count("('b'):rep(8000)", "('x'):rep(8000)"), expected);
    assert_eq!(count("('s'):rep(8000)", "('\\0'):rep(8000)"), expected);
    assert_eq!(count("('bc0'):rep(20000)", "('\\0'):rep(20000)"), expected);
}

#[test]
fn memory_has_a_limit() {
    let chunk = "local t, s = {}, ('x'):rep(1000000) for i = 1, 200 do t[i] = s end
        return #struct.pack(('s'):rep(200), unpack(t))";
    assert_eq!(run(&lua(), chunk), "error: not enough memory");
}

#[test]
fn any_bytes_are_read_or_refused() {
    let lua = lua();
    let mut random = fastrand::Rng::with_seed(7);
    let alphabet = b"bBhHlLTiIfdxcs<>! 0123456789\xff";
    for _ in 0..5000 {
        let format: Vec<u8> =
            (0..random.usize(..12)).map(|_| alphabet[random.usize(..alphabet.len())]).collect();
        let data: Vec<u8> = (0..random.usize(..64)).map(|_| random.u8(..)).collect();
        lua.globals().raw_set("format", lua.create_string(&format).unwrap()).unwrap();
        lua.globals().raw_set("data", lua.create_string(&data).unwrap()).unwrap();
        for chunk in ["return struct.unpack(format, data)", "return struct.size(format)"] {
            let result = run(&lua, chunk);
            assert!(!result.contains("panic"), "{format:?} {data:?}: {result}");
        }
    }
}
