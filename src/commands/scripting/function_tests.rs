//! Tests of functions. Expectations are a real server's answers.

use crate::commands::testing::TestServer;

/// The code of a library.
fn library(name: &str, body: &str) -> Vec<u8> {
    format!("#!lua name={name}\n{body}").into_bytes()
}

fn load(server: &mut TestServer, name: &str, body: &str) -> String {
    server.run_args(&[b"FUNCTION", b"LOAD", &library(name, body)])
}

fn replace(server: &mut TestServer, name: &str, body: &str) -> String {
    server.run_args(&[b"FUNCTION", b"LOAD", b"REPLACE", &library(name, body)])
}

fn with_library(body: &str) -> TestServer {
    let mut server = TestServer::new();
    assert_eq!(load(&mut server, "lib", body), "\"lib\"");
    server
}

const ONE: &str = "redis.register_function('one', function() return 1 end)";

#[test]
fn what_is_no_library_is_refused_with_its_reason() {
    let mut server = TestServer::new();
    for (code, error) in [
        ("x", "Missing library metadata"),
        ("#!lua name=a", "Invalid library metadata"),
        ("#!lua\n", "Library name was not given"),
        ("#!js name=a\n", "Engine 'js' not found"),
        ("#!lua name=a x\n", "Invalid metadata value given: x"),
        ("#!lua name=a\n", "No functions registered"),
        ("#!lua name=a\nfoo bar", "Error compiling function: user_function:2: '=' expected near 'bar'"),
    ] {
        let answer = server.run_args(&[b"FUNCTION", b"LOAD", code.as_bytes()]);
        assert_eq!(answer, format!("(error) ERR {error}"), "{code}");
    }
    server.check(&[
        ("FUNCTION LOAD", "(error) ERR wrong number of arguments for 'function|load' command"),
        ("FUNCTION LOAD REPLACE", "(error) ERR Missing library metadata"),
        ("FUNCTION LOAD foo x", "(error) ERR Unknown option given: foo"),
        ("FUNCTION LIST", "(empty array)"),
    ]);
    assert_eq!(server.effects(), "");
}

#[test]
fn what_is_no_function_is_refused_with_its_reason() {
    let name = "Library names can only contain letters, numbers, or underscores(_) and must be at least one \
                character long";
    let mut server = TestServer::new();
    for (body, error) in [
        ("redis.register_function()", "wrong number of arguments to redis.register_function"),
        (
            "redis.register_function('a',function() end,{})",
            "wrong number of arguments to redis.register_function",
        ),
        (
            "redis.register_function(function() end,'a')",
            "first argument to redis.register_function must be a string",
        ),
        ("redis.register_function('a','b')", "second argument to redis.register_function must be a function"),
        (
            "redis.register_function('a')",
            "calling redis.register_function with a single argument is only applicable to Lua table \
             (representing named arguments).",
        ),
        (
            "redis.register_function{callback=function() end}",
            "redis.register_function must get a function name argument",
        ),
        (
            "redis.register_function{function_name='a'}",
            "redis.register_function must get a callback argument",
        ),
        (
            "redis.register_function{function_name={}}",
            "function_name argument given to redis.register_function must be a string",
        ),
        (
            "redis.register_function{description={}}",
            "description argument given to redis.register_function must be a string",
        ),
        (
            "redis.register_function{callback=1}",
            "callback argument given to redis.register_function must be a function",
        ),
        (
            "redis.register_function{flags='x'}",
            "flags argument to redis.register_function must be a table representing function flags",
        ),
        ("redis.register_function{flags={'x'}}", "unknown flag given"),
        ("redis.register_function{flags={1}}", "unknown flag given"),
        ("redis.register_function{flags={{}}}", "unknown flag given"),
        ("redis.register_function{foo='x'}", "unknown argument given to redis.register_function"),
        ("redis.register_function{'x'}", "unknown argument given to redis.register_function"),
        (
            "redis.register_function{[true]='x'}",
            "named argument key given to redis.register_function is not a string",
        ),
        ("redis.register_function('a-b',function() end)", name),
        ("redis.register_function('',function() end)", name),
        (
            "redis.register_function('a',function() end) redis.register_function('a',function() end)",
            "Function already exists in the library",
        ),
        ("redis.log(1)", "redis.log() requires two arguments or more."),
    ] {
        let answer = load(&mut server, "a", body);
        assert_eq!(answer, format!("(error) ERR Error registering functions: ERR {error}"), "{body}");
    }
}

#[test]
fn a_library_sees_little_while_it_is_loaded() {
    let mut server = TestServer::new();
    for (body, missing) in [
        ("local x = y", "y"),
        ("error('boom')", "error"),
        ("pairs({})", "pairs"),
        ("math.random()", "math"),
        ("local a = KEYS", "KEYS"),
        ("_G.x = 1", "_G"),
        ("redis.call('get','x')", "call"),
        ("redis.setresp(3)", "setresp"),
        ("local a = redis[5]", "5"),
    ] {
        let error =
            format!("user_function:2: Script attempted to access nonexistent global variable '{missing}'");
        let answer = load(&mut server, "a", body);
        assert_eq!(answer, format!("(error) ERR Error registering functions: ERR {error}"), "{body}");
    }
    for (body, error) in [
        ("x = 1", "user_function:2: Attempt to modify a readonly table"),
        ("redis.x = 1", "user_function:2: Attempt to modify a readonly table"),
        ("local x; x()", "user_function:2: attempt to call local 'x' (a nil value)"),
        ("\n\nlocal x = 1 .. {}", "user_function:4: attempt to concatenate a table value"),
        (
            "local a = redis[{}]",
            "user_function:2: Second argument to luaProtectedTableError must be a string or number",
        ),
    ] {
        let answer = load(&mut server, "a", body);
        assert_eq!(answer, format!("(error) ERR Error registering functions: ERR {error}"), "{body}");
    }
    let body = "redis.log(redis.LOG_DEBUG, redis.REDIS_VERSION .. ('x'):upper() .. redis.REDIS_VERSION_NUM)";
    assert_eq!(load(&mut server, "a", &format!("{body} {ONE}")), "\"a\"");
}

/// A library with a function of every kind.
const CALLS: &str = "
local n = 0
local old = redis
redis.register_function('echo', function(keys, args) return {keys, args} end)
redis.register_function('count', function() n = n + 1 return n end)
redis.register_function('Case', function() return 'case' end)
redis.register_function('none', function() end)
redis.register_function('arity', function(...) return select('#', ...) end)
redis.register_function('writes', function(k, a) return redis.call('set', k[1], a[1]) end)
redis.register_function('map', function() redis.setresp(3) return {map={a=1}} end)
redis.register_function('caught', function() local _, e = pcall(error, 'x') return e end)
redis.register_function('global', function() x = 1 end)
redis.register_function('missing', function() return KEYS end)
redis.register_function('fails', function() error('bad') end)
redis.register_function('table', function() error({err='MY bad'}) end)
redis.register_function('reply', function() return redis.error_reply('MY bad') end)
redis.register_function('unknown', function() return redis.call('nosuch') end)
redis.register_function('nested', function() return redis.call('fcall', 'echo', 0) end)
redis.register_function('oldcall', function() return old.call end)
redis.register_function('late', function() old.register_function('z', function() end) end)
redis.register_function('none_there', function() redis.register_function('z', function() end) end)
redis.register_function('evals', function() return redis.replicate_commands() end)
redis.register_function{function_name='reads', flags={'no-writes'}, callback=function(k)
  return redis.call('get', k[1]) end}
redis.register_function{function_name='ro_writes', flags={'no-writes'}, callback=function(k)
  return redis.call('set', k[1], 1) end}
";

#[test]
fn a_function_gets_keys_and_arguments_and_keeps_what_its_library_shares() {
    let mut server = with_library(CALLS);
    server.check(&[
        ("FCALL echo 0", "1) (empty array)\n2) (empty array)"),
        ("FCALL ECHO 1 a b c", "1) 1) \"a\"\n2) 1) \"b\"\n   2) \"c\""),
        ("FCALL count 0", "(integer) 1"),
        ("FCALL count 0", "(integer) 2"),
        ("FCALL case 0", "\"case\""),
        ("FCALL none 0", "(nil)"),
        ("FCALL arity 0", "(integer) 2"),
        ("FCALL caught 0", "\"x\""),
        ("FCALL map 0", "1) \"a\"\n2) (integer) 1"),
        ("FCALL writes 1 key value", "OK"),
        ("FCALL reads 1 key", "\"value\""),
        ("FCALL_RO reads 1 key", "\"value\""),
        ("FCALL nosuch x", "(error) ERR Function not found"),
        ("FCALL echo x", "(error) ERR Bad number of keys provided"),
        ("FCALL echo -1", "(error) ERR Number of keys can't be negative"),
        ("FCALL echo 1", "(error) ERR Number of keys can't be greater than number of args"),
        ("FCALL echo", "(error) ERR wrong number of arguments for 'fcall' command"),
        ("FCALL_RO echo", "(error) ERR wrong number of arguments for 'fcall_ro' command"),
    ]);
    let effects = server.effects();
    assert!(effects.ends_with(" | set key value"), "{effects}");
}

#[test]
fn errors_of_functions_name_them_and_their_line() {
    let mut server = with_library(CALLS);
    let readonly = "Attempt to modify a readonly table";
    for (name, line, error) in [
        ("global", 13, format!("user_function:13: {readonly}")),
        (
            "missing",
            14,
            "user_function:14: Script attempted to access nonexistent global variable 'KEYS'".to_owned(),
        ),
        ("fails", 15, "user_function:15: bad".to_owned()),
        ("unknown", 18, "Unknown Redis command called from script".to_owned()),
        ("nested", 19, "This Redis command is not allowed from script".to_owned()),
        (
            "oldcall",
            20,
            "user_function:20: Script attempted to access nonexistent global variable 'call'".to_owned(),
        ),
        ("late", 21, "redis.register_function can only be called on FUNCTION LOAD command".to_owned()),
        (
            "none_there",
            22,
            "user_function:22: attempt to call field 'register_function' (a nil value)".to_owned(),
        ),
        (
            "evals",
            23,
            "user_function:23: attempt to call field 'replicate_commands' (a nil value)".to_owned(),
        ),
    ] {
        let expected = format!("(error) ERR {error} script: {name}, on @user_function:{line}.");
        assert_eq!(server.run(&format!("FCALL {name} 0")), expected);
    }
    server.check(&[
        ("FCALL table 0", "(error) MY bad script: table, on @user_function:16."),
        ("FCALL reply 0", "(error) MY bad"),
        (
            "FCALL ro_writes 1 k",
            "(error) ERR Write commands are not allowed from read-only scripts. script: ro_writes, on \
             @user_function:27.",
        ),
        ("FCALL_RO echo 0", "(error) ERR Can not execute a script with write flag using *_ro command."),
        (
            "EVAL \"return redis.call('fcall','echo',0)\" 0",
            "(error) ERR This Redis command is not allowed from script script: \
             8e94bf3afae70400ebda5142414654db9451e87b, on @user_script:1.",
        ),
    ]);
}

#[test]
fn the_flags_of_a_function_decide_what_it_may_do() {
    let mut server = with_library(
        "
redis.register_function('plain', function() return 1 end)
redis.register_function{function_name='reads', flags={'no-writes'}, callback=function() return 2 end}
redis.register_function{function_name='writes', flags={'allow-oom'}, callback=function()
  return redis.call('set', 'x', 'y') end}
redis.register_function{function_name='alone', flags={'no-cluster'}, callback=function() return 3 end}",
    );
    let oom = "(error) OOM command not allowed when used memory > 'maxmemory'.";
    assert_eq!(server.run("FCALL alone 0"), "(integer) 3");
    server.server.rooms.memory.eviction.used_bytes = |_| 1 << 20;
    server.server.rooms.memory.eviction.own_bytes = |_| 0;
    server.run("CONFIG SET maxmemory 1");
    server.check(&[
        ("FCALL plain 0", oom),
        ("FCALL_RO plain 0", oom),
        ("FCALL reads 0", "(integer) 2"),
        ("FCALL writes 0", "OK"),
        ("FCALL_RO writes 0", "(error) ERR Can not execute a script with write flag using *_ro command."),
        ("FUNCTION LOAD x", oom),
        ("FUNCTION RESTORE x", oom),
        ("FUNCTION DELETE x", "(error) ERR Library not found"),
    ]);
}

#[test]
fn users_are_asked_for_the_function_its_keys_and_what_it_runs() {
    let mut server = with_library(CALLS);
    server.check(&[
        ("ACL SETUSER u on nopass +@all -fcall ~*", "OK"),
        ("ACL SETUSER v on nopass +@all -set ~a*", "OK"),
        ("AUTH u x", "OK"),
        ("FCALL echo 0", "(error) NOPERM this user has no permissions to run the 'fcall' command"),
        ("FCALL_RO reads 1 x", "(nil)"),
        ("AUTH v x", "OK"),
        ("FCALL echo 1 b", "(error) NOPERM this user has no permissions to access one of the keys used as arguments"),
        (
            "FCALL writes 1 a b",
            "(error) ERR The user executing the script can't run this command or subcommand script: writes, on \
             @user_function:10.",
        ),
    ]);
}

#[test]
fn libraries_are_listed_with_what_they_have() {
    let mut server = TestServer::new();
    let body = "redis.register_function{FUNCTION_NAME='f', description=5, flags={'no-cluster','ALLOW-OOM',\
                'no-writes','allow-stale','allow-cross-slot-keys'}, callback=function() end}";
    assert_eq!(load(&mut server, "first", body), "\"first\"");
    assert_eq!(load(&mut server, "other", ONE), "\"other\"");
    let flags = "6) 1) no-writes\n            2) allow-oom\n            3) allow-stale\n            4) no-cluster\n            \
                 5) allow-cross-slot-keys";
    assert_eq!(
        server.run("FUNCTION LIST LIBRARYNAME F*T"),
        format!(
            "1) 1) \"library_name\"\n   2) \"first\"\n   3) \"engine\"\n   4) \"LUA\"\n   5) \"functions\"\n   \
             6) 1) 1) \"name\"\n         2) \"f\"\n         3) \"description\"\n         4) \"5\"\n         \
             5) \"flags\"\n         {flags}"
        )
    );
    assert_eq!(
        server.raw("FUNCTION LIST WITHCODE LIBRARYNAME other"),
        format!(
            "*1\r\n*8\r\n$12\r\nlibrary_name\r\n$5\r\nother\r\n$6\r\nengine\r\n$3\r\nLUA\r\n$9\r\nfunctions\r\n*1\r\n\
             *6\r\n$4\r\nname\r\n$3\r\none\r\n$11\r\ndescription\r\n$-1\r\n$5\r\nflags\r\n*0\r\n$12\r\n\
             library_code\r\n${}\r\n#!lua name=other\n{ONE}\r\n",
            "#!lua name=other\n".len() + ONE.len()
        )
    );
    server.check(&[
        ("FUNCTION LIST LIBRARYNAME zz*", "(empty array)"),
        ("FUNCTION LIST LIBRARYNAME", "(error) ERR library name argument was not given"),
        ("FUNCTION LIST foo", "(error) ERR Unknown argument foo"),
        ("FUNCTION LIST WITHCODE withcode", "(error) ERR Unknown argument withcode"),
        ("FUNCTION LIST LIBRARYNAME a LIBRARYNAME b", "(error) ERR Unknown argument LIBRARYNAME"),
    ]);
    server.run("HELLO 3");
    assert_eq!(
        server.raw("FUNCTION STATS"),
        "%2\r\n$14\r\nrunning_script\r\n_\r\n$7\r\nengines\r\n%1\r\n$3\r\nLUA\r\n%2\r\n$15\r\nlibraries_count\r\n:2\r\n\
         $15\r\nfunctions_count\r\n:2\r\n"
    );
    let listed = server.raw("FUNCTION LIST LIBRARYNAME first");
    let start = "*1\r\n%3\r\n$12\r\nlibrary_name\r\n$5\r\nfirst\r\n$6\r\nengine\r\n$3\r\nLUA\r\n$9\r\nfunctions\r\n*1\r\n%3\r\n";
    assert!(listed.starts_with(start), "{listed}");
    assert!(listed.contains("$5\r\nflags\r\n~5\r\n+no-writes\r\n+allow-oom\r\n"), "{listed}");
}

#[test]
fn a_library_is_replaced_as_a_whole_or_stays() {
    let mut server = with_library("redis.register_function('f', function() return 'old' end)");
    load(&mut server, "other", ONE);
    let f = |text: &str| format!("redis.register_function('f', function() return '{text}' end)");
    assert_eq!(load(&mut server, "lib", &f("x")), "(error) ERR Library 'lib' already exists");
    assert_eq!(load(&mut server, "more", &f("x")), "(error) ERR Function f already exists");
    let refused = replace(&mut server, "lib", &format!("{} {}", f("x"), ONE.replace("one", "ONE")));
    assert_eq!(refused, "(error) ERR Function ONE already exists");
    assert!(
        replace(&mut server, "lib", "local x = y").starts_with("(error) ERR Error registering functions")
    );
    assert_eq!(server.run("FCALL f 0"), "\"old\"");
    assert_eq!(replace(&mut server, "lib", &f("new")), "\"lib\"");
    server.check(&[
        ("FCALL f 0", "\"new\""),
        ("FUNCTION DELETE LIB", "(error) ERR Library not found"),
        ("FUNCTION DELETE lib", "OK"),
        ("FCALL f 0", "(error) ERR Function not found"),
        ("FCALL one 0", "(integer) 1"),
        ("CONFIG SET save \"\"", "OK"),
        ("FLUSHALL", "OK"),
        ("FCALL one 0", "(integer) 1"),
        ("FUNCTION FLUSH foo", "(error) ERR FUNCTION FLUSH only supports SYNC|ASYNC option"),
        (
            "FUNCTION Flush SYNC x",
            "(error) ERR unknown subcommand or wrong number of arguments for 'Flush'. Try FUNCTION HELP.",
        ),
        ("FUNCTION FLUSH ASYNC", "OK"),
        ("FCALL one 0", "(error) ERR Function not found"),
    ]);
    assert_eq!(load(&mut server, "lib", &f("again")), "\"lib\"");
    assert_eq!(server.run("FCALL f 0"), "\"again\"");
}

#[test]
fn a_payload_is_restored_as_a_whole_or_not_at_all() {
    let body = format!("redis.register_function('big',function() return '{}' end)", "a".repeat(200));
    let mut server = TestServer::new();
    assert_eq!(server.run("FUNCTION DUMP"), "\"\\n\\x00]\\x9b\\\\@\\x0f\\x7f\\xa2\\xda\"");
    load(&mut server, "big", &body);
    let payload = server.raw_bytes("FUNCTION DUMP");
    let start = payload.iter().position(|&byte| byte == 0xf5).unwrap_or_default();
    let payload = &payload[start..payload.len() - 2];
    // A real server's bytes.
    assert_eq!(
        payload,
        b"\xf5\xc3@HA\x0e\x1f#!lua name=big\nredis.register_fu\x07nction(' \x1c\x01',\xe0\x00\x0e\n) return 'a\xe0\xbe\
          \x00\x05' end)\n\x00\xb6\xe9\xa2\xde\xa4W|\xca"
    );
    let restore = |server: &mut TestServer, payload: &[u8], words: &[&str]| {
        let words = words.iter().map(|word| word.as_bytes());
        let all: Vec<&[u8]> = [&b"FUNCTION"[..], b"RESTORE", payload].into_iter().chain(words).collect();
        server.run_args(&all)
    };
    let exists = "(error) ERR Library big already exists";
    for (words, answer) in [
        (&[][..], exists),
        (&["append"], exists),
        (&["REPLACE"], "OK"),
        (&["FLUSH"], "OK"),
        (
            &["foo"],
            "(error) ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.",
        ),
        (
            &["FLUSH", "x"],
            "(error) ERR unknown subcommand or wrong number of arguments for 'RESTORE'. Try FUNCTION HELP.",
        ),
    ] {
        assert_eq!(restore(&mut server, payload, words), answer, "{words:?}");
    }
    let damaged = "(error) ERR DUMP payload version or checksum are wrong";
    assert_eq!(restore(&mut server, &payload[1..], &[]), damaged);
    load(&mut server, "lib", ONE);
    assert_eq!(replace(&mut server, "big", &ONE.replace("one", "two")), "\"big\"");
    load(&mut server, "third", &ONE.replace("one", "BIG"));
    assert_eq!(restore(&mut server, payload, &["REPLACE"]), "(error) ERR Function big already exists");
    assert_eq!(server.run("FCALL two 0"), "(integer) 1");
    assert_eq!(restore(&mut server, payload, &["FLUSH"]), "OK");
    assert_eq!(server.run("FUNCTION LIST LIBRARYNAME lib"), "(empty array)");
}

#[test]
fn what_changes_libraries_is_propagated_as_it_came() {
    let mut server = with_library(ONE);
    let loaded = server.effects();
    assert!(loaded.starts_with("SELECT 0 | FUNCTION LOAD \"#!lua name=lib\\nredis."), "{loaded}");
    server.run("FUNCTION DELETE none");
    server.run("FUNCTION LIST");
    assert_eq!(server.effects(), "");
    let dirty = server.dirty();
    server.run("FUNCTION DELETE lib");
    server.run("FUNCTION FLUSH SYNC");
    assert_eq!(server.effects(), "FUNCTION DELETE lib | FUNCTION FLUSH SYNC");
    server.run_args(&[b"FUNCTION", b"RESTORE", b"\x0a\x00]\x9b\\@\x0f\x7f\xa2\xda"]);
    assert!(server.effects().starts_with("FUNCTION RESTORE "));
    assert_eq!(server.dirty(), dirty + 3);
}

#[test]
fn a_transaction_runs_functions_and_changes_libraries() {
    let mut server = with_library(CALLS);
    server.check(&[
        ("MULTI", "OK"),
        ("FCALL echo 1 a b", "QUEUED"),
        ("FUNCTION DELETE lib", "QUEUED"),
        ("FCALL echo 0", "QUEUED"),
        ("EXEC", "1) 1) 1) \"a\"\n   2) 1) \"b\"\n2) OK\n3) (error) ERR Function not found"),
    ]);
}

#[test]
fn info_counts_functions_and_their_memory() {
    let mut server = with_library(CALLS);
    let info = server.run("INFO memory");
    let figure = |name: &str| {
        let after = info.split(&format!("{name}:")).nth(1).unwrap_or_default();
        let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<u64>().unwrap_or_default()
    };
    assert_eq!((figure("number_of_libraries"), figure("number_of_functions")), (1, 21));
    assert!(figure("used_memory_functions") > CALLS.len() as u64);
    assert!(figure("used_memory_vm_functions") > 10_000);
    assert_eq!(figure("used_memory_vm_total"), figure("used_memory_vm_functions"));
    server.run("EVAL 'return 1' 0");
    let stats = server.run("MEMORY STATS");
    assert!(!stats.contains("\"lua.caches\"\n    18) (integer) 0"), "{stats}");
}

#[test]
fn nothing_runs_that_could_be_stopped() {
    let mut server = TestServer::new();
    server.check(&[
        ("FUNCTION KILL", "(error) NOTBUSY No scripts in execution right now."),
        ("FUNCTION DELETE x", "(error) ERR Library not found"),
        ("FUNCTION FOO", "(error) ERR unknown subcommand 'FOO'. Try FUNCTION HELP."),
        ("COMMAND GETKEYS FCALL x 2 a b c", "1) \"a\"\n2) \"b\""),
    ]);
}
