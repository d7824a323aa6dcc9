//! Tests of the table library: chunks with what redis-server 7.0.15 answers.

use crate::script::testing::{run_sealed, sealed};

#[test]
fn the_functions_answer_as_in_redis() {
    let rows = [
        ("local t={3,1,2} table.sort(t) return t", "[1 2 3]"),
        ("local t={3,1,2} table.sort(t, function(a,b) return a>b end) return t", "[3 2 1]"),
        (
            "local t={5,4,3,2,1,7} table.sort(t, function(a,b) return true end) return t",
            "error: user_script:1: invalid order function for sorting",
        ),
        ("table.sort({1,'x',true})", "error: attempt to compare boolean with number"),
        ("table.sort({1,2,3}, function() error({err='E'}) end)", "error: [] "),
        ("table.sort({1,2}, function() error('e') end)", "error: user_script:1: e"),
        (
            "table.sort({}, 5)",
            "error: user_script:1: bad argument #2 to 'sort' (function expected, got number)",
        ),
        ("local t=setmetatable({3,1,2},{}) table.sort(t) return t", "[1 2 3]"),
        ("return table.concat({1,2.5,'x'}, ', ')", "1, 2.5, x"),
        ("return table.concat({1,2,3}, '-', 2, 3)", "2-3"),
        (
            "return table.concat({1,{}})",
            "error: user_script:1: invalid value (table) at index 2 in table for 'concat'",
        ),
        ("local t={1,2} table.insert(t,1,0) table.insert(t,9) return t", "[0 1 2 9]"),
        ("local t={1,2,3} return {table.remove(t,1), table.remove(t), #t}", "[1 3 1]"),
        ("return select('#', table.remove({}))", "0"),
        ("table.insert({})", "error: user_script:1: wrong number of arguments to 'insert'"),
        ("table.setn({}, 3)", "error: user_script:1: 'setn' is obsolete"),
        ("return table.maxn({1,2,[10]=3})", "10"),
        ("return table.foreach({7}, function(k,v) return k+v end)", "8"),
        ("return table.foreachi({7,8}, function(k,v) if k==2 then return v end end)", "8"),
        ("table.insert(string, 1)", "error: Attempt to modify a readonly table"),
        ("return select('#', table.remove(string))", "0"),
    ];
    let (lua, sealed) = sealed();
    for (chunk, expected) in rows {
        assert_eq!(run_sealed(&lua, &sealed, chunk), expected.trim_end(), "{chunk}");
    }
}

#[test]
fn many_elements_are_moved_as_few_are() {
    let chunk = "local t={} for i=1,20001 do t[i]=i end table.insert(t,1,0) \
                 local r={t[1],t[2],t[20002],#t} r[5]=table.remove(t,2) r[6]=t[2] r[7]=#t return r";
    let (lua, sealed) = sealed();
    assert_eq!(run_sealed(&lua, &sealed, chunk), "[0 1 20001 20002 1 2 20001]");
}
