//! Tests of EVAL and SCRIPT. Expectations are a real server's answers, but for what is ours: the
//! limit of the cache.

use crate::commands::testing::TestServer;
use crate::config::{NotifyClasses, Protected};
use crate::resp::{OwnedArgv, Requests};
use crate::script::cache::MAX_EVALED;

/// Runs a script without keys and shows its answer.
pub(super) fn eval(server: &mut TestServer, script: &str) -> String {
    server.run_args(&[b"EVAL", script.as_bytes(), b"0"])
}

/// Runs a script without keys and gives the bytes of its answer.
fn raw(server: &mut TestServer, script: &str) -> String {
    server.send_batch(1, Requests::single(OwnedArgv::from_parts([&b"EVAL"[..], script.as_bytes(), b"0"])));
    server.raw_output_of(1)
}

/// Runs each script and compares what it answers, up to the name of the script in an error.
fn check(server: &mut TestServer, rows: &[(&str, &str)]) {
    for (script, expected) in rows {
        let answer = eval(server, script);
        assert_eq!(answer.split(" script: ").next(), Some(*expected), "{script}");
    }
}

/// A server that is ready for tests with keys of each type.
pub(super) fn filled() -> TestServer {
    let mut server = TestServer::new();
    for line in ["SET k v", "HSET h f v", "SADD s a", "ZADD z 1.5 m", "RPUSH l a b", "SET n 5"] {
        server.run(line);
    }
    server
}

#[test]
fn values_of_lua_become_answers() {
    let mut server = filled();
    // The script, its answer to RESP2, and to RESP3 where that is another one.
    let rows = [
        ("return 3.99", ":3\r\n", ""),
        ("return -3.99", ":-3\r\n", ""),
        ("return 9007199254740993", ":9007199254740992\r\n", ""),
        ("return 2^63", ":-9223372036854775808\r\n", ""),
        ("return 0/0", ":-9223372036854775808\r\n", ""),
        ("return 'a'", "$1\r\na\r\n", ""),
        ("return nil", "$-1\r\n", "_\r\n"),
        ("return true", ":1\r\n", ""),
        ("return false", "$-1\r\n", "_\r\n"),
        ("redis.setresp(3) return true", ":1\r\n", "#t\r\n"),
        ("redis.setresp(3) return false", ":0\r\n", "#f\r\n"),
        ("return {}", "*0\r\n", ""),
        ("return {foo=1}", "*0\r\n", ""),
        ("return {1,nil,3}", "*1\r\n:1\r\n", ""),
        ("return {1,{2,{3,{}}},true}", "*3\r\n:1\r\n*2\r\n:2\r\n*2\r\n:3\r\n*0\r\n:1\r\n", ""),
        ("return function() end", "$-1\r\n", "_\r\n"),
        ("return {ok='a\\r\\nb'}", "+a  b\r\n", ""),
        ("return {err='x'}", "-x\r\n", ""),
        ("return {err='a\\r\\nb'}", "-a  b\r\n", ""),
        ("return {double=3.5}", "$3\r\n3.5\r\n", ",3.5\r\n"),
        ("return {double=3}", "$1\r\n3\r\n", ",3\r\n"),
        ("return {double=-1/0}", "$4\r\n-inf\r\n", ",-inf\r\n"),
        ("return {double=0/0}", "$4\r\n-nan\r\n", ",-nan\r\n"),
        ("return {big_number='12\\r\\n3'}", "$5\r\n12  3\r\n", "(12  3\r\n"),
        ("return {map={a=1}}", "*2\r\n$1\r\na\r\n:1\r\n", "%1\r\n$1\r\na\r\n:1\r\n"),
        ("return {set={a=true}}", "*1\r\n$1\r\na\r\n", "~1\r\n$1\r\na\r\n"),
        ("return {verbatim_string={format='longer',string='hi'}}", "$2\r\nhi\r\n", "=6\r\nlon:hi\r\n"),
        ("return {verbatim_string={format='x',string='hi'}}", "$2\r\nhi\r\n", "=6\r\nx  :hi\r\n"),
    ];
    for (script, resp2, _) in rows {
        assert_eq!(raw(&mut server, script), resp2, "{script}");
    }
    server.run("HELLO 3");
    for (script, resp2, resp3) in rows {
        let expected = if resp3.is_empty() { resp2 } else { resp3 };
        assert_eq!(raw(&mut server, script), expected, "{script}");
    }
}

#[test]
fn answers_become_values_of_lua() {
    check(
        &mut filled(),
        &[
            ("return type(redis.call('get','missing'))", "\"boolean\""),
            ("redis.setresp(3) return type(redis.call('get','missing'))", "\"nil\""),
            ("return redis.call('set','k','v').ok", "\"OK\""),
            ("return redis.call('ping')", "PONG"),
            ("return redis.call('incr','n') + 1", "(integer) 7"),
            ("return redis.pcall('incr','z').err:sub(1, 9)", "\"WRONGTYPE\""),
            ("return redis.call('zscore','z','m')", "\"1.5\""),
            ("redis.setresp(3) return redis.call('zscore','z','m').double * 2", "(integer) 3"),
            ("return redis.call('hgetall','h')[2]", "\"v\""),
            ("redis.setresp(3) return redis.call('hgetall','h').map.f", "\"v\""),
            ("redis.setresp(3) return tostring(redis.call('smembers','s').set.a)", "\"true\""),
            ("return #redis.call('lrange','l',0,-1)", "(integer) 2"),
            ("redis.call('set','k',1/3) return redis.call('get','k')", "\"0.33333333333333331\""),
            ("redis.call('set','k',2^53) return redis.call('get','k')", "\"9007199254740992\""),
            ("redis.call('set','k',-0) return redis.call('get','k')", "\"-0\""),
            ("redis.call('set','k',1e100) return redis.call('get','k')", "\"1e+100\""),
        ],
    );
}

#[test]
fn scripts_know_their_words_and_each_other_not_at_all() {
    let mut server = TestServer::new();
    server.check(&[
        (
            "EVAL 'return {KEYS[1],ARGV[1],#KEYS,#ARGV}' 1 a b c",
            "1) \"a\"\n2) \"b\"\n3) (integer) 1\n4) (integer) 2",
        ),
        ("EVAL 'return 1' x", "(error) ERR value is not an integer or out of range"),
        ("EVAL 'return 1' -1", "(error) ERR Number of keys can't be negative"),
        ("EVAL 'return 1' 2 a", "(error) ERR Number of keys can't be greater than number of args"),
        ("EVAL 'return 1'", "(error) ERR wrong number of arguments for 'eval' command"),
        ("EVAL 'KEYS[1] = 5 KEYS.x = 1 return 1' 0", "(integer) 1"),
        ("EVAL 'return {KEYS[1] or 0, KEYS.x or 0}' 0", "1) (integer) 0\n2) (integer) 0"),
    ]);
}

#[test]
fn errors_have_the_texts_of_redis() {
    let mut server = filled();
    check(
        &mut server,
        &[
            (
                "return redis.call()",
                "(error) ERR Please specify at least one argument for this redis lib call",
            ),
            (
                "return redis.call({})",
                "(error) ERR Lua redis lib command arguments must be strings or integers",
            ),
            (
                "return redis.call('get')",
                "(error) ERR Wrong number of args calling Redis command from script",
            ),
            ("return redis.call('nosuch')", "(error) ERR Unknown Redis command called from script"),
            (
                "return redis.call('subscribe','x')",
                "(error) ERR This Redis command is not allowed from script",
            ),
            ("return redis.call('blpop','l',0)", "(error) ERR This Redis command is not allowed from script"),
            (
                "return redis.call('eval','return 1',0)",
                "(error) ERR This Redis command is not allowed from script",
            ),
            (
                "return redis.call('xread','block',0,'streams','s','$')",
                "(error) ERR xread command is not allowed with BLOCK option from scripts",
            ),
            ("return redis.setresp(4)", "(error) ERR RESP version must be 2 or 3."),
            ("return redis.error_reply('-x y')", "(error) x y"),
            ("return redis.error_reply('nocode')", "(error) ERR nocode"),
            ("return redis.error_reply()", "(error) ERR wrong number or type of arguments"),
            ("error('boom')", "(error) ERR user_script:1: boom"),
            ("error({err='MY boom'})", "(error) MY boom"),
            ("error('a\\0b')", "(error) ERR user_script:1: a"),
            ("x=1", "(error) ERR user_script:1: Attempt to modify a readonly table"),
            (
                "\nreturn x",
                "(error) ERR user_script:2: Script attempted to access nonexistent global variable 'x'",
            ),
            (
                "return bad syntax",
                "(error) ERR Error compiling script (new function): user_script:1: '<eof>' expected near 'syntax'",
            ),
            ("return redis.log(9,'y')", "(error) ERR Invalid debug level."),
            (
                "return redis.acl_check_cmd('nosuch')",
                "(error) ERR Invalid command passed to redis.acl_check_cmd()",
            ),
            ("return redis.acl_check_cmd('get','x')", "(integer) 1"),
            (
                "return redis.set_repl(9)",
                "(error) ERR Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.",
            ),
        ],
    );
    assert_eq!(
        eval(&mut server, "return redis.call('incr','z')"),
        "(error) WRONGTYPE Operation against a key holding the wrong kind of value script: \
         b96cff5ce01b919e0af41193a7e6569bcc70798f, on @user_script:1."
    );
    // What is no UTF-8 goes through as it is.
    server.send_batch(1, Requests::single(OwnedArgv::from_parts([&b"EVAL"[..], b"error('\xff')", b"0"])));
    assert!(server.raw_output_of(1).starts_with("-ERR user_script:1: \u{fffd} script: "));
}

#[test]
fn scripts_are_known_by_their_names() {
    let mut server = TestServer::new();
    let sha = "e0e1f9fabfc9d4800c877a703b823ac0578ff8db";
    let upper = sha.to_uppercase();
    let no_script = "(error) NOSCRIPT No matching script. Please use EVAL.";
    server.check(&[
        (&format!("EVALSHA {sha} 0"), no_script),
        (&format!("EVALSHA {sha} x"), "(error) ERR value is not an integer or out of range"),
        ("EVALSHA short x", no_script),
        ("SCRIPT LOAD 'return 1'", &format!("\"{sha}\"")),
        (&format!("EVALSHA {upper} 0"), "(integer) 1"),
        (&format!("EVALSHA_RO {sha} 0"), "(integer) 1"),
        (&format!("SCRIPT EXISTS {sha} {upper} x"), "1) (integer) 1\n2) (integer) 1\n3) (integer) 0"),
        ("SCRIPT FLUSH foo", "(error) ERR SCRIPT FLUSH only support SYNC|ASYNC option"),
        ("SCRIPT FLUSH SYNC ASYNC", "(error) ERR SCRIPT FLUSH only support SYNC|ASYNC option"),
        ("SCRIPT FLUSH ASYNC", "OK"),
        (&format!("EVALSHA {sha} 0"), no_script),
        ("EVAL 'return 1' 0", "(integer) 1"),
        (&format!("EVALSHA {sha} 0"), "(integer) 1"),
        ("SCRIPT KILL", "(error) NOTBUSY No scripts in execution right now."),
        ("SCRIPT KILL ROLLBACK", "(error) NOTBUSY No scripts in execution right now."),
        ("SCRIPT KILL x", "(error) ERR wrong number of arguments for 'script|kill' command"),
        (
            "SCRIPT LOAD 'bad syntax'",
            "(error) ERR Error compiling script (new function): user_script:1: '=' expected near 'syntax'",
        ),
    ]);
}

/// The number of scripts that INFO tells of.
fn cached(server: &mut TestServer) -> usize {
    let info = server.run("INFO memory");
    let line =
        info.split("number_of_cached_scripts:").nth(1).and_then(|rest| rest.split(['\r', '\\']).next());
    line.expect("the field is there").parse().expect("a number")
}

#[test]
fn of_the_scripts_of_eval_the_latest_are_kept() {
    let mut server = TestServer::new();
    let known = |server: &mut TestServer, script: &str| {
        let sha = crate::script::api::hex_of_sha1(script.as_bytes());
        server.run(&format!("SCRIPT EXISTS {sha}")) == "1) (integer) 1"
    };
    server.run("SCRIPT LOAD 'return -1'");
    eval(&mut server, "return -2");
    server.run("SCRIPT LOAD 'return -2'");
    for number in 0..MAX_EVALED {
        eval(&mut server, &format!("return {number}"));
    }
    assert_eq!(cached(&mut server), MAX_EVALED + 2);
    // The first one is used again, so the second is the oldest.
    eval(&mut server, "return 0");
    eval(&mut server, "return 'one more'");
    assert_eq!(cached(&mut server), MAX_EVALED + 2);
    for (script, expected) in [
        ("return 0", true),
        ("return 1", false),
        ("return 2", true),
        ("return -1", true),
        ("return -2", true),
    ] {
        assert_eq!(known(&mut server, script), expected, "{script}");
    }
    server.run("SCRIPT FLUSH");
    assert_eq!(cached(&mut server), 0);
}

#[test]
fn the_first_line_says_what_a_script_does() {
    let mut server = filled();
    let refused = "(error) ERR Write commands are not allowed from read-only scripts.";
    check(
        &mut server,
        &[
            ("#!lua", "(error) ERR Invalid script shebang"),
            ("#!lua\nreturn 1", "(integer) 1"),
            ("#!lua flags=\nreturn 1", "(integer) 1"),
            ("#!lua flags=no-writes flags=allow-oom\nreturn 1", "(integer) 1"),
            ("#!python\nreturn 1", "(error) ERR Unexpected engine in script shebang: #!python"),
            ("#!\nreturn 1", "(error) ERR Unexpected engine in script shebang: #!"),
            ("#!lua name=x\nreturn 1", "(error) ERR Unknown lua shebang option: name=x"),
            ("#!lua flags=no-writes,foo\nreturn 1", "(error) ERR Unexpected flag in script shebang: foo"),
            ("#!lua flags=no-writes,\nreturn 1", "(error) ERR Unexpected flag in script shebang: "),
            ("#!lua flags='no-writes\nreturn 1", "(error) ERR Invalid engine in script shebang"),
            ("#!lua flags=no-writes\nreturn redis.call('set','a',1)", refused),
            ("#!lua flags=no-writes\nreturn redis.call('publish','a',1)", refused),
            ("#!lua flags=no-writes\nreturn redis.call('get','k')", "\"v\""),
            (
                "#!lua\nreturn x",
                "(error) ERR user_script:2: Script attempted to access nonexistent global variable 'x'",
            ),
        ],
    );
    server.check(&[
        ("EVAL_RO 'return redis.call(\"get\",KEYS[1])' 1 k", "\"v\""),
        (
            "EVAL_RO 'return redis.pcall(\"set\",\"a\",1).err' 0",
            "\"ERR Write commands are not allowed from read-only scripts.\"",
        ),
        (
            "EVAL_RO 'return redis.pcall(\"publish\",\"a\",1).err' 0",
            "\"ERR Write commands are not allowed from read-only scripts.\"",
        ),
        (
            "EVAL_RO \"#!lua\\nreturn 1\" 0",
            "(error) ERR Can not execute a script with write flag using *_ro command.",
        ),
        ("EVAL_RO \"#!lua flags=no-writes\\nreturn 1\" 0", "(integer) 1"),
        ("EXISTS a", "(integer) 0"),
    ]);
}

#[test]
fn without_memory_only_scripts_that_need_none_run() {
    let mut server = filled();
    server.server.rooms.memory.eviction.used_bytes = |_| 1 << 20;
    server.server.rooms.memory.eviction.own_bytes = |_| 0;
    server.run("CONFIG SET maxmemory 1");
    check(
        &mut server,
        &[
            (
                "return redis.call('set','a',1)",
                "(error) OOM command not allowed when used memory > 'maxmemory'.",
            ),
            ("return redis.call('get','k')", "\"v\""),
            ("#!lua\nreturn 1", "(error) OOM command not allowed when used memory > 'maxmemory'."),
            ("#!lua flags=allow-oom\nreturn redis.call('set','a',1)", "OK"),
            ("#!lua flags=no-writes\nreturn redis.call('get','a')", "\"1\""),
            ("redis.call('del','a') return redis.call('set','a',1)", "OK"),
        ],
    );
}

#[test]
fn the_user_s_rules_hold_inside() {
    let mut server = filled();
    server.run("ACL SETUSER u on nopass +@all -incr ~k* &c*");
    server.connect(2);
    server.run_as(2, "AUTH u x");
    for (script, expected) in [
        ("return redis.call('get','k')", "\"v\""),
        (
            "return redis.call('incr','k')",
            "(error) ERR The user executing the script can't run this command or subcommand",
        ),
        (
            "return redis.call('get','n')",
            "(error) ERR The user executing the script can't access at least one of the keys mentioned in the command \
             arguments",
        ),
        (
            "return redis.call('publish','x','y')",
            "(error) ERR The user executing the script can't publish to the channel mentioned in the command",
        ),
        ("return redis.call('publish','c1','y')", "(integer) 0"),
        (
            "return {redis.acl_check_cmd('incr','k'), redis.acl_check_cmd('get','n'), redis.acl_check_cmd('get','k')}",
            "1) (nil)\n2) (nil)\n3) (integer) 1",
        ),
    ] {
        let argv = OwnedArgv::from_parts([&b"EVAL"[..], script.as_bytes(), b"0"]);
        server.send_batch(2, Requests::single(argv));
        let answer = server.output_of(2);
        assert_eq!(answer.split(" script: ").next(), Some(expected), "{script}");
    }
    let log = server.run("ACL LOG");
    for entry in ["\"command\"", "\"key\"", "\"channel\""] {
        assert!(log.contains(entry), "{log}");
    }
    assert_eq!(log.matches("\"lua\"").count(), 3, "{log}");
}

#[test]
fn a_script_ends_where_it_began() {
    let mut server = filled();
    assert_eq!(
        eval(&mut server, "redis.call('select',3) redis.call('set','x',1) return redis.call('dbsize')"),
        "(integer) 1"
    );
    server.check(&[("EXISTS x", "(integer) 0"), ("SELECT 3", "OK"), ("GET x", "\"1\"")]);
    assert_eq!(
        eval(&mut server, "redis.call('select',0) error('x')").split(':').next(),
        Some("(error) ERR user_script")
    );
    assert_eq!(server.run("GET x"), "\"1\"");
}

#[test]
fn time_stands_still_for_the_data() {
    let mut server = filled();
    server.run("PEXPIRE k 100");
    server.take_us_per_look(1000);
    let script = "local n = 0 for i = 1, 100000 do n = n + 1 end
                  local t = redis.call('time') return {redis.call('pttl','k') > 0, redis.call('get','k')}";
    assert_eq!(eval(&mut server, script), "1) (integer) 1\n2) \"v\"");
    assert_eq!(server.run("GET k"), "(nil)");
}

#[test]
fn what_a_script_changes_is_one_unit() {
    let mut server = filled();
    server.effects();
    for (script, effects) in [
        ("return redis.call('incr','n')", "incr n"),
        (
            "redis.call('set','a',1) redis.call('get','a') redis.call('incr','a')",
            "MULTI | set a 1 | incr a | EXEC",
        ),
        ("redis.call('get','a')", ""),
        ("redis.call('set','b',1) error('x')", "set b 1"),
        ("redis.call('spop','s')", "SREM s a"),
        ("redis.set_repl(redis.REPL_NONE) redis.call('set','c',1)", ""),
        ("redis.set_repl(redis.REPL_AOF) redis.call('set','c',2)", "set c 2"),
        (
            "redis.call('set','c',3) redis.set_repl(0) redis.call('set','d',1) redis.set_repl(3) redis.call('del','d')",
            "MULTI | set c 3 | del d | EXEC",
        ),
        ("redis.call('select',2) redis.call('set','e',1)", "SELECT 2 | set e 1"),
        ("redis.call('set','f',1)", "SELECT 0 | set f 1"),
    ] {
        eval(&mut server, script);
        assert_eq!(server.effects(), effects, "{script}");
    }
    server.pipeline_as(
        1,
        &["MULTI", "SET g 1", "EVAL \"redis.call('incr','g') redis.call('incr','g')\" 0", "EXEC"],
    );
    assert_eq!(server.effects(), "MULTI | SET g 1 | incr g | incr g | EXEC");
}

/// The fields of a line of INFO.
fn stat(server: &mut TestServer, section: &str, name: &str) -> String {
    let info = server.raw(&format!("INFO {section}"));
    let line = info.lines().find_map(|line| line.strip_prefix(&format!("{name}:")));
    let fields = line.unwrap_or_default().split(',').filter(|field| !field.starts_with("usec"));
    fields.collect::<Vec<_>>().join(" ")
}

#[test]
fn what_scripts_run_is_counted_once() {
    let mut server = filled();
    server.run("CONFIG RESETSTAT");
    for script in [
        "return redis.call('incr','z')",
        "return redis.pcall('incr','z')",
        "redis.pcall('incr','z') return 1",
        "error('boom')",
        "return {err='MYCODE x'}",
        "return redis.call('nosuch')",
        "return redis.call('get')",
        "bad syntax",
        "return {redis.pcall('incr','z'), {err='INNER x'}}",
        "return {err='nocode'}",
    ] {
        eval(&mut server, script);
    }
    server.run("EVALSHA short 0");
    for (section, name, expected) in [
        ("errorstats", "errorstat_ERR", "count=5"),
        ("errorstats", "errorstat_MYCODE", "count=1"),
        ("errorstats", "errorstat_INNER", "count=1"),
        ("errorstats", "errorstat_NOSCRIPT", "count=1"),
        ("errorstats", "errorstat_WRONGTYPE", "count=4"),
        ("commandstats", "cmdstat_eval", "calls=10 rejected_calls=0 failed_calls=10"),
        ("commandstats", "cmdstat_incr", "calls=4 rejected_calls=0 failed_calls=4"),
        ("commandstats", "cmdstat_get", "calls=0 rejected_calls=1 failed_calls=0"),
        ("commandstats", "cmdstat_evalsha", "calls=1 rejected_calls=0 failed_calls=1"),
    ] {
        assert_eq!(stat(&mut server, section, name), expected, "{name}");
    }
    let used: u64 = stat(&mut server, "memory", "used_memory_vm_eval").parse().expect("a number");
    assert!(used > 10_000, "{used}");
}

#[test]
fn slowlog_and_monitor_show_scripts_and_what_they_call() {
    let mut server = filled();
    server.run("CONFIG SET slowlog-log-slower-than 0");
    server.run("SLOWLOG RESET");
    server.connect(2);
    server.run_as(2, "MONITOR");
    eval(&mut server, "redis.call('select',1) return redis.call('get','k')");
    server.run("CONFIG SET slowlog-log-slower-than -1");
    let shown = server.output_of(2);
    let shown: Vec<_> = shown.lines().filter_map(|line| line.split_once(' ')).map(|(_, rest)| rest).collect();
    assert_eq!(
        shown[..3],
        [
            "[0 127.0.0.1:10001] \"EVAL\" \"redis.call('select',1) return redis.call('get','k')\" \"0\"",
            "[1 lua] \"select\" \"1\"",
            "[1 lua] \"get\" \"k\""
        ]
    );
    let log = server.run("SLOWLOG GET");
    for part in ["\"EVAL\"", "\"select\"", "\"get\""] {
        assert_eq!(log.matches(part).count(), 1, "{part} in {log}");
    }
    assert_eq!(log.matches("\"?:0\"").count(), 2, "{log}");
}

#[test]
fn a_script_reads_for_a_client_that_tracks() {
    let mut server = filled();
    server.run("HELLO 3");
    server.run("CLIENT TRACKING ON");
    server.connect(2);
    // Redis remembers the keys the script was given, once it has read something.
    server.run("EVAL \"redis.call('get','other')\" 1 k");
    server.run("EVAL \"return 1\" 1 n");
    for (line, expected) in
        [("SET other 1", false), ("SET n 1", false), ("SET k 1", true), ("SET k 2", false)]
    {
        server.run_as(2, line);
        assert_eq!(server.raw_output_of(1).contains("invalidate"), expected, "{line}");
    }
}

#[test]
fn others_hear_of_a_script_in_order_at_its_end() {
    let mut server = filled();
    server.server.rooms.config.notify_keyspace_events =
        NotifyClasses::parse(b"EA").expect("they are classes");
    server.run("CONFIG SET notify-keyspace-events EA");
    for id in 2..=4 {
        server.connect(id);
    }
    server.run_as(2, "PSUBSCRIBE *");
    server.run_as(3, "WATCH a");
    server.run_as(4, "BLPOP list 0");
    let script = "redis.call('set','a',1) redis.call('publish','news','x') redis.call('rpush','list','e')
                  redis.call('del','a') return redis.call('llen','list')";
    assert_eq!(eval(&mut server, script), "(integer) 1");
    let heard = server.output_of(2);
    let order = ["__:set", "\"news\"", "__:rpush", "__:del", "__:lpop"].map(|word| heard.find(word));
    assert!(order.is_sorted() && order[0].is_some(), "{order:?} {heard}");
    assert_eq!(server.output_of(4), "1) \"list\"\n2) \"e\"");
    assert_eq!(server.pipeline_as(3, &["MULTI", "PING", "EXEC"]), "OK\nQUEUED\n(nil)");
}

#[test]
fn a_pause_of_writes_lets_a_transaction_of_scripts_pass_that_say_they_write_nothing() {
    let mut server = TestServer::new();
    server.connect(2);
    assert_eq!(server.run("CLIENT PAUSE 100000 WRITE"), "OK");
    server.run_as(2, "MULTI");
    assert_eq!(server.run_as(2, "EVAL '#!lua flags=no-writes\nreturn 12' 0"), "QUEUED");
    assert_eq!(server.run_as(2, "EXEC"), "1) (integer) 12");
    // Redis: one that says nothing waits before it is queued.
    server.run_as(2, "MULTI");
    assert_eq!(server.run_as(2, "EVAL 'return 12' 0"), "");
}

#[test]
fn a_name_in_capitals_has_the_flags_of_its_script() {
    let mut server = TestServer::new();
    let sha = server.run("SCRIPT LOAD '#!lua flags=no-writes\nreturn 12'").trim_matches('"').to_uppercase();
    server.connect(2);
    assert_eq!(server.run("CLIENT PAUSE 100000 WRITE"), "OK");
    assert_eq!(server.run_as(2, &format!("EVALSHA {sha} 0")), "(integer) 12");
}

#[test]
fn a_script_runs_no_script_and_reloads_nothing_whatever_debug_allows() {
    let mut server = TestServer::with(|config| config.enable_debug_command = Protected::Yes);
    assert_eq!(server.run("DEBUG SET-DISABLE-DENY-SCRIPTS 1"), "OK");
    assert_eq!(eval(&mut server, "return redis.call('debug', 'protocol', 'integer')"), "(integer) 12345");
    for call in [
        "'eval', 'return 1', 0",
        "'eval_ro', 'return 1', 0",
        "'evalsha', 'x', 0",
        "'fcall', 'f', 0",
        "'script', 'flush'",
        "'script', 'kill'",
        "'function', 'flush'",
        "'debug', 'reload'",
    ] {
        let answer = eval(&mut server, &format!("redis.call('set','k','w') return redis.pcall({call}).err"));
        assert_eq!(answer, "\"ERR This Redis command is not allowed from script\"", "{call}");
    }
    assert_eq!(server.run("GET k"), "\"w\"");
}
