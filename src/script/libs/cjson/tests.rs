//! What `cjson` answers. The expectations are those of redis-server 7.0.15.

use super::open;
use crate::script::meter::Meter;
use crate::script::testing::{lua_with, run};

/// Runs rows of expressions, one after the other in one Lua state, and compares what they give.
fn check(rows: &[(&str, &str)]) {
    let lua = lua_with("cjson", open);
    for (expression, expected) in rows {
        assert_eq!(run(&lua, &format!("return {expression}")), *expected, "{expression}");
    }
}

/// The same for expressions that fail, which are no tail calls.
fn check_errors(rows: &[(&str, &str)]) {
    let lua = lua_with("cjson", open);
    for (expression, expected) in rows {
        let expected = format!("error: user_script:1: {expected}");
        assert_eq!(run(&lua, &format!("local x = {expression}")), expected, "{expression}");
    }
}

/// Arrays `levels` deep, as an expression.
fn nested(levels: usize, before: &str, after: &str) -> String {
    format!("(function() local t = {{}} for i = 2, {levels} do t = {{{before}t{after}}} end return t end)()")
}

#[test]
fn values_are_written_as_redis_does() {
    check(&[
        ("cjson.encode(cjson.null) .. cjson.encode(nil)", "nullnull"),
        ("cjson.encode({}) .. cjson.encode({cjson.null}) .. cjson.encode({{}, {}})", "{}[null][{},{}]"),
        ("cjson.encode({1, 2, nil, 4}) .. cjson.encode({true, false})", "[1,2,null,4][true,false]"),
        ("cjson.encode({a = {b = {1, {c = 'x'}}}})", r#"{"a":{"b":[1,{"c":"x"}]}}"#),
        ("cjson.encode({[1.5] = 1}) .. cjson.encode({['1'] = 1})", r#"{"1.5":1}{"1":1}"#),
        ("cjson.encode({[0] = 1, [-1] = 1})", r#"{"0":1,"-1":1}"#),
        (
            "cjson.encode({1e15, 1e13, 0.1, -0, 1e-7, 2^53})",
            "[1e+15,10000000000000,0.1,-0,1e-07,9.007199254741e+15]",
        ),
        (r#"cjson.encode('a/"\\\b\f\n\r\t\0\31\127')"#, r#""a\/\"\\\b\f\n\r\t\u0000\u001f\u007f""#),
        ("cjson.encode(setmetatable({1}, {__index = {2, 3}}))", "[1]"),
        ("cjson.encode(cjson.decode('{\"b\":1,\"a\":2,\"c\":[{}]}'))", r#"{"a":2,"c":[{}],"b":1}"#),
    ]);
}

#[test]
fn an_object_goes_on_behind_a_table_in_it() {
    let lua = lua_with("cjson", open);
    let chunk = "local t, seen = {}, {}
        for i = 1, 300 do t['k' .. i] = i % 3 == 0 and {i} or i end
        for key, value in pairs(cjson.decode(cjson.encode(t))) do
            seen[#seen + 1] = type(value) == 'table' and value[1] or value
        end
        table.sort(seen)
        return #seen .. ' ' .. seen[1] .. ' ' .. seen[300]";
    assert_eq!(run(&lua, chunk), "300 1 300");
}

#[test]
fn sparse_arrays_are_refused_or_become_objects() {
    check(&[
        ("cjson.encode({[10] = 1})", "[null,null,null,null,null,null,null,null,null,1]"),
        ("cjson.encode({1, [2^40] = 1})", r#"{"1":1,"1099511627776":1}"#),
        ("select('#', cjson.encode_sparse_array(true, 2, 10))", "3"),
        ("cjson.encode({[11] = 1})", r#"{"11":1}"#),
        ("select(2, cjson.encode_sparse_array(true, 0, 0))", "0"),
        ("cjson.encode({[12] = 1}):sub(1, 11)", "[null,null,"),
    ]);
    check_errors(&[("cjson.encode({[11] = 1})", "Cannot serialise table: excessively sparse array")]);
}

#[test]
fn what_is_no_json_is_refused() {
    check_errors(&[
        ("cjson.encode()", "bad argument #1 to 'encode' (expected 1 argument)"),
        ("cjson.encode(1, nil)", "bad argument #1 to 'encode' (expected 1 argument)"),
        ("cjson.encode(1/0)", "Cannot serialise number: must not be NaN or Inf"),
        ("cjson.encode({[1/0] = 1})", "Cannot serialise number: must not be NaN or Inf"),
        ("cjson.encode({[true] = 1})", "Cannot serialise boolean: table key must be a number or string"),
        ("cjson.encode({x = 1, [{}] = 1})", "Cannot serialise table: table key must be a number or string"),
        ("cjson.encode({a = cjson.encode})", "Cannot serialise function: type not supported"),
        ("cjson.encode({{cjson.encode}})", "Cannot serialise function: type not supported"),
    ]);
}

#[test]
fn json_is_read_as_redis_does() {
    check(&[
        ("cjson.decode('{\"a\":[1,{\"b\":null}],\"\":\"x\"}').a[2].b == cjson.null", "true"),
        ("type(cjson.null) .. ' ' .. tostring(cjson.null)", "userdata userdata: (nil)"),
        ("cjson.decode(5) + cjson.decode('\\t\\n\\r 1 ')", "6"),
        ("cjson.decode('12\\0x')", "12"),
        (r#"cjson.decode('"\\ud83d\\ude00\\u00e9\\u20ac\\/\\b\\n"')"#, "😀é€/\u{8}\n"),
        (r#"#cjson.decode('"\\u0000"')"#, "1"),
        ("cjson.decode('1e400') .. cjson.decode('-Infinity') .. cjson.decode('inf')", "inf-infinf"),
        ("cjson.decode('0x10') .. ' ' .. cjson.decode('+5') .. ' ' .. cjson.decode('007')", "16 5 7"),
        ("cjson.decode('1.') .. ' ' .. cjson.decode('-.5') .. ' ' .. cjson.decode('1E+2')", "1 -0.5 100"),
        ("1 / cjson.decode('-0')", "-inf"),
        ("cjson.decode('[[],{}]')[2] ~= nil", "true"),
    ]);
}

#[test]
fn mistakes_are_told_with_their_place() {
    let rows = [
        ("''", "value", "T_END", 1),
        ("'[1,2'", "comma or array end", "T_END", 5),
        ("'[1,]'", "value", "T_ARR_END", 4),
        ("'[1 2]'", "comma or array end", "T_NUMBER", 4),
        ("'[,]'", "value", "T_COMMA", 2),
        ("'{'", "object key string", "T_END", 2),
        ("'{1:2}'", "object key string", "T_NUMBER", 2),
        ("'{\"a\"}'", "colon", "T_OBJ_END", 5),
        ("'{\"a\":1,}'", "object key string", "T_OBJ_END", 8),
        ("'{\"a\":1 \"b\"}'", "comma or object end", "T_STRING", 8),
        ("'1 2'", "the end", "T_NUMBER", 3),
        ("'truefalse'", "the end", "T_BOOLEAN", 5),
        ("'\"abc'", "value", "unexpected end of string", 5),
        ("'\"a\\\\x\"'", "value", "invalid escape code", 3),
        ("'\"a\\\\u12\"'", "value", "invalid unicode escape code", 3),
        ("'\"\\\\ud800\\\\u0041\"'", "value", "invalid unicode escape code", 2),
        ("'\"\\\\udc00\"'", "value", "invalid unicode escape code", 2),
        ("'nul'", "value", "invalid token", 1),
        ("'.5'", "value", "invalid token", 1),
        ("'+'", "value", "invalid number", 1),
        ("'-'", "value", "invalid number", 1),
        ("'infx'", "the end", "invalid token", 4),
    ];
    let lua = lua_with("cjson", open);
    for (json, wanted, found, at) in rows {
        let expected = format!("error: user_script:1: Expected {wanted} but found {found} at character {at}");
        assert_eq!(run(&lua, &format!("local x = cjson.decode({json})")), expected, "{json}");
    }
    check_errors(&[
        ("cjson.decode()", "bad argument #1 to 'decode' (expected 1 argument)"),
        ("cjson.decode({})", "bad argument #1 to 'decode' (string expected, got table)"),
        ("cjson.decode('\\0\\0')", "JSON parser does not support UTF-16 or UTF-32"),
    ]);
}

#[test]
fn settings_hold_for_later_scripts() {
    check(&[
        ("cjson.encode_max_depth() .. ' ' .. cjson.decode_max_depth()", "1000 1000"),
        ("tostring(cjson.encode_sparse_array()) .. cjson.encode_number_precision()", "false14"),
        ("tostring(cjson.encode_keep_buffer()) .. tostring(cjson.decode_invalid_numbers())", "truetrue"),
        ("cjson.encode_number_precision(3) .. ' ' .. cjson.encode(1234.5)", "3 1.23e+03"),
        ("cjson.encode(2/3)", "0.667"),
        ("cjson.encode_invalid_numbers('null') .. cjson.encode({1/0, 0/0})", "null[null,null]"),
        ("cjson.encode_invalid_numbers('on\\0x')", "true"),
        ("cjson.encode({1/0, 0/0, -1/0})", "[inf,nan,-inf]"),
        ("cjson.encode_max_depth(1000.9) .. ' ' .. cjson.encode_max_depth(nil)", "1000 1000"),
        ("cjson.new().encode_number_precision()", "14"),
        ("cjson.new(1, 2).encode(2/3)", "0.66666666666667"),
    ]);
}

#[test]
fn wrong_settings_are_refused() {
    let range = "(expected integer between 0 and 2147483647)";
    check_errors(&[
        ("cjson.encode_sparse_array('on', -1)", &format!("bad argument #1 to 'encode_sparse_array' {range}")),
        ("cjson.encode_sparse_array(5)", "bad argument #1 to 'encode_sparse_array' (invalid option '5')"),
        (
            "cjson.encode_sparse_array(1, 2, 3, 4)",
            "bad argument #4 to 'encode_sparse_array' (found too many arguments)",
        ),
        (
            "cjson.encode_keep_buffer({})",
            "bad argument #1 to 'encode_keep_buffer' (string expected, got table)",
        ),
        (
            "cjson.encode_keep_buffer('null')",
            "bad argument #1 to 'encode_keep_buffer' (invalid option 'null')",
        ),
        (
            "cjson.encode_max_depth('x')",
            "bad argument #1 to 'encode_max_depth' (number expected, got string)",
        ),
        (
            "cjson.encode_max_depth(2^31)",
            "bad argument #1 to 'encode_max_depth' (expected integer between 1 and 2147483647)",
        ),
        (
            "cjson.encode_number_precision(15)",
            "bad argument #1 to 'encode_number_precision' (expected integer between 1 and 14)",
        ),
    ]);
}

#[test]
fn strict_numbers_are_json_and_nothing_else() {
    let lua = lua_with("cjson", open);
    run(&lua, "cjson.decode_invalid_numbers(false)");
    for (json, fault) in
        [("nan", "token"), ("+1", "token"), ("01", "number"), ("0x1", "number"), ("-inf", "number")]
    {
        let expected =
            format!("error: user_script:1: Expected value but found invalid {fault} at character 1");
        assert_eq!(run(&lua, &format!("local x = cjson.decode('{json}')")), expected);
    }
    assert_eq!(run(&lua, "return cjson.decode('-.5') + cjson.decode('0')"), "-0.5");
}

#[test]
fn depth_has_a_limit() {
    let lua = lua_with("cjson", open);
    let encode = |table: String| run(&lua, &format!("local x = cjson.encode({table}) return #x"));
    let decode =
        |levels: usize, text: &str| run(&lua, &format!("local x = cjson.decode(('{text}'):rep({levels}))"));
    assert_eq!(encode(nested(1000, "", "")), "2000");
    let expected = "error: user_script:1: Cannot serialise, excessive nesting (1001)";
    assert_eq!(encode(nested(1001, "", "")), expected);
    assert_eq!(encode("(function() local t = {} t.t = t return t end)()".to_owned()), expected);
    let many = "error: user_script:1: Found too many nested data structures (1001) at character";
    assert_eq!(decode(1001, "["), format!("{many} 1001"));
    assert_eq!(decode(1001, "{\"a\":"), format!("{many} 5001"));
}

/// Where the stack of a C function ends, whatever a script sets.
#[test]
fn depth_has_an_end() {
    let lua = lua_with("cjson", open);
    run(&lua, "cjson.encode_max_depth(10^6) cjson.decode_max_depth(10^6)");
    let encode = |table: String| run(&lua, &format!("local x = cjson.encode({table}) return #x"));
    assert_eq!(encode(nested(7997, "", "")), "15994");
    let excessive = "error: user_script:1: Cannot serialise, excessive nesting";
    assert_eq!(encode(nested(200_000, "", "")), format!("{excessive} (7998)"));
    assert_eq!(encode(nested(3999, "a = ", ", b = 1")), (3998 * 12 + 2).to_string());
    assert_eq!(encode(nested(200_000, "a = ", "")), format!("{excessive} (4000)"));
    let decode = |text: String| run(&lua, &format!("local x = cjson.decode({text}) return #cjson.encode(x)"));
    assert_eq!(decode("('['):rep(7997) .. (']'):rep(7997)".to_owned()), "15994");
    assert_eq!(decode("('{\"a\":[1,'):rep(2660) .. '0' .. ('],\"c\":3}'):rep(2660)".to_owned()), "42561");
    let many = "error: user_script:1: Found too many nested data structures";
    assert_eq!(decode("('['):rep(200000)".to_owned()), format!("{many} (7999) at character 7999"));
    assert_eq!(decode("('{\"a\":'):rep(200000)".to_owned()), format!("{many} (4000) at character 19996"));
}

#[test]
fn memory_has_a_limit() {
    let lua = lua_with("cjson", open);
    lua.set_app_data(Meter::new(2 << 20));
    let rows = [
        "local s, t = ('x'):rep(1000), {} for i = 1, 10000 do t[i] = s end return #cjson.encode(t)",
        "local t = {1} for i = 1, 40 do t = {t, t} end return #cjson.encode(t)",
        "cjson.encode_sparse_array(true, 0, 0) return #cjson.encode({[2^31 - 1] = 1})",
    ];
    for chunk in rows {
        assert_eq!(run(&lua, chunk), "error: not enough memory", "{chunk}");
    }
}

#[test]
fn any_bytes_are_read_or_refused() {
    let lua = lua_with("cjson", open);
    let mut random = fastrand::Rng::with_seed(7);
    let alphabet = b"{}[],:\"\\0123456789abtfnulrse-+.eExXiIN \x00\xff";
    for _ in 0..5000 {
        let bytes: Vec<u8> =
            (0..random.usize(..24)).map(|_| alphabet[random.usize(..alphabet.len())]).collect();
        lua.globals().raw_set("bytes", lua.create_string(&bytes).unwrap()).unwrap();
        let result = run(&lua, "return type(cjson.decode(bytes))");
        assert!(!result.contains("panic"), "{bytes:?}: {result}");
    }
}
