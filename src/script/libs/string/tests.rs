//! Tests of the string library: chunks with what redis-server 7.0.15 answers.

use crate::script::testing::{run_sealed, sealed};

fn check(rows: &[(&str, &str)]) {
    let (lua, sealed) = sealed();
    for (chunk, expected) in rows {
        assert_eq!(run_sealed(&lua, &sealed, chunk), *expected, "{chunk}");
    }
}

#[test]
fn patterns_match_as_in_redis() {
    check(&[
        ("return {string.find('a\\0b','\\0b')}", "[2 3]"),
        ("return {string.find('a\\0b','\\0%a')}", "[]"),
        ("return {string.find('THE (quick) fox', '%f[%a]%a+', 5)}", "[6 10]"),
        ("return {('key=val'):match('(%w+)=(%w+)')}", "[key val]"),
        ("return {('a(b(c)d)e'):match('%b()')}", "[(b(c)d)]"),
        ("return {('abab'):find('(a)(b)%1%2')}", "[1 4 a b]"),
        ("return {('  x '):match('^%s*(.-)%s*$')}", "[x]"),
        ("return {('abc'):match('()b()')}", "[2 3]"),
        ("return {('hello world'):gsub('o', '<%0>')}", "[hell<o> w<o>rld 2]"),
        ("return {('abc'):gsub('', '-')}", "[-a-b-c- 4]"),
        ("return {('abc'):gsub('%w', {a='1', b=false})}", "[1bc 3]"),
        ("return {('abc'):gsub('%w', function(c) if c ~= 'b' then return c..c end end, 2)}", "[aabc 2]"),
        ("local t={} for k,v in ('a=1,b=2'):gmatch('(%w)=(%w)') do t[#t+1]=k..v end return t", "[a1 b2]"),
        ("local t={} for k in ('abc'):gmatch('') do t[#t+1]='.' end return #t", "4"),
    ]);
}

#[test]
fn wrong_patterns_fail_with_lua_s_texts() {
    let rows = [
        ("return ('x'):find('%')", "malformed pattern (ends with '%')"),
        ("return ('x'):find('[a')", "malformed pattern (missing ']')"),
        ("return ('x'):find('%f')", "missing '[' after '%f' in pattern"),
        ("return ('x'):find('%b')", "unbalanced pattern"),
        ("return ('x'):find('(x')", "unfinished capture"),
        ("return ('x'):match('x)')", "invalid pattern capture"),
        ("return ('x'):find('%1')", "invalid capture index"),
        ("return ('x'):gsub('x', '%2')", "invalid capture index"),
        ("return ('x'):find(('()'):rep(33))", "too many captures"),
        ("return ('x'):gsub('x', function() return {} end)", "invalid replacement value (a table)"),
        ("return string.gsub('x', 'x')", "bad argument #3 to 'gsub' (string/function/table expected)"),
        ("for k in ('x'):gmatch('%') do end", "malformed pattern (ends with '%')"),
        ("return string.rep()", "bad argument #1 to 'rep' (string expected, got no value)"),
        ("local s='a' return s:rep({})", "bad argument #1 to 'rep' (number expected, got table)"),
    ];
    let rows = rows.map(|(chunk, text)| (chunk, format!("error: user_script:1: {text}")));
    check(&rows.each_ref().map(|(chunk, text)| (*chunk, text.as_str())));
}

#[test]
fn formats_are_those_of_c() {
    check(&[
        (
            "return string.format('%5.2s|%-5s|%05d|%+d|% d|%#x|%e|%g', 'abc','x',3,4,5,255,1.5,1e20)",
            "   ab|x    |00003|+4| 5|0xff|1.500000e+00|1e+20",
        ),
        (
            "return string.format('%d %u %x', 2^63, -3, -1)",
            "-9223372036854775808 18446744073709551613 ffffffffffffffff",
        ),
        ("return string.format('%s|%.3s', 'a\\0bcd', 'a\\0bcd')", "a|a"),
        ("return string.format('%q', 'a\\nb\"\\0\\r\\\\')", "\"a\\\nb\\\"\\000\\r\\\\\""),
        ("return string.format('%y', 1)", "error: user_script:1: invalid option '%y' to 'format'"),
        (
            "return string.format('%100d', 1)",
            "error: user_script:1: invalid format (width or precision too long)",
        ),
        ("return string.format('%-+ #0-d', 1)", "error: user_script:1: invalid format (repeated flags)"),
        ("return string.format('%d')", "error: user_script:1: bad argument #2 to 'format' (no value)"),
        (
            "return string.format('%s', {})",
            "error: user_script:1: bad argument #2 to 'format' (string expected, got table)",
        ),
        (
            "return ('%d'):format('x')",
            "error: user_script:1: bad argument #1 to 'format' (number expected, got string)",
        ),
    ]);
}

/// Long texts go another way than short ones.
#[test]
fn long_formats_are_as_short_ones() {
    check(&[
        (
            "local s=('x'):rep(70000) return tostring(string.format('%d%%%s%5.1s|%q', 7, s, s, s) == \
          '7%'..s..'    x|\"'..s..'\"')",
            "true",
        ),
        (
            "return string.format('%d%s', 'x', ('x'):rep(70000))",
            "error: user_script:1: bad argument #2 to 'format' (number expected, got string)",
        ),
        (
            "return string.format(('x'):rep(70000)..'%s')",
            "error: user_script:1: bad argument #2 to 'format' (no value)",
        ),
        (
            "return string.format(('x'):rep(70000)..'%y', 1)",
            "error: user_script:1: invalid option '%y' to 'format'",
        ),
        (
            "return string.format(('x'):rep(70000)..'%100d', 1)",
            "error: user_script:1: invalid format (width or precision too long)",
        ),
    ]);
}

#[test]
fn texts_are_repeated_and_turned_as_in_redis() {
    check(&[
        ("return string.rep('ab', '3')", "ababab"),
        ("return string.rep('ab', 2^31)", ""),
        ("return #string.rep('ab', 100001)", "200002"),
        ("return string.rep('ab', 100001):sub(-3)", "bab"),
        ("return ('aBc'):upper()..('aBc'):lower()..('aBc'):reverse()", "ABCabccBa"),
        ("return #('x'):rep(200000):upper():reverse()", "200000"),
    ]);
}
