//! Sessions of the debugger with a client that sends its commands one by one.

use crate::resp::{Argv, Protocol, Reply};
use crate::script::settings::Settings;
use crate::script::vm::{Call, Place, Vm};
use crate::script::{Host, Order, Readers, Verdict};
use std::collections::VecDeque;

/// A server with one key, and the client of the debugger.
#[derive(Default)]
struct Client {
    orders: VecDeque<Order>,
    /// What it was told, each time it was asked for a command.
    told: Vec<Vec<String>>,
    was_refused: bool,
    is_too_long: bool,
    /// Looks at the interrupt until it ends the script.
    patience: Option<u32>,
}

fn texts(lines: &[Vec<u8>]) -> Vec<String> {
    lines.iter().map(|line| String::from_utf8_lossy(line).into_owned()).collect()
}

impl Host for Client {
    fn call(&mut self, argv: Argv<'_>, _: Protocol, reply: &mut Vec<u8>) {
        self.was_refused = argv.at(0) == b"shutdown";
        reply.extend_from_slice(match argv.at(0) {
            b"get" => b"$5\r\nvalue\r\n",
            b"lrange" => b"*2\r\n$1\r\na\r\n:2\r\n",
            b"shutdown" => b"-ERR This Redis command is not allowed from script\r\n",
            b"oom" => b"-OOM no\r\n",
            _ => b"-WRONGTYPE it is something else\r\n",
        });
    }

    fn tick(&mut self) -> Verdict {
        match &mut self.patience {
            Some(0) => Verdict::Stop("ERR killed".to_owned()),
            Some(left) => {
                *left -= 1;
                Verdict::GoOn
            }
            None => Verdict::GoOn,
        }
    }

    fn may_run(&mut self, _: Argv<'_>) -> Option<bool> {
        None
    }

    fn propagate_to(&mut self, _: Readers) {}

    fn was_refused(&mut self) -> bool {
        self.was_refused
    }

    fn runs_too_long(&mut self) -> bool {
        self.is_too_long
    }

    fn ask_debugger(&mut self, said: Vec<Vec<u8>>) -> Order {
        self.told.push(texts(&said));
        self.orders.pop_front().unwrap_or(Order::Gone)
    }

    fn leave_debugger(&mut self, said: Vec<Vec<u8>>) {
        self.told.push(texts(&said));
    }
}

fn orders(commands: &[&str]) -> VecDeque<Order> {
    let words = |line: &&str| line.split(' ').map(|word| word.as_bytes().to_vec()).collect();
    commands.iter().map(|line| Order::Command(words(line))).collect()
}

/// Debugs a script; returns what it answers.
fn debug(code: &str, client: &mut Client) -> String {
    let vm = Vm::for_eval(Settings { limit_bytes: 64 << 20, ..Settings::new("7.0.15") }).expect("Lua starts");
    debug_in(&vm, code, client)
}

fn debug_in(vm: &Vm, code: &str, client: &mut Client) -> String {
    vm.add("name", code.as_bytes()).expect("it compiles");
    vm.debug_next(code.as_bytes());
    let mut bytes = Vec::new();
    let call = Call { name: "name", keys: &[b"k1"], arguments: &[b"a1"], place: Place::Scripts };
    match vm.run(call, client, &mut Reply::new(&mut bytes, Protocol::Resp2)) {
        Ok(_) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(failure) => failure.line,
    }
}

/// What the client is told at the start, and in answer to each command.
fn told(code: &str, commands: &[&str]) -> Vec<String> {
    let mut client = Client { orders: orders(commands), ..Client::default() };
    debug(code, &mut client);
    client.told.iter().map(|lines| lines.join("\n")).collect()
}

/// The lines that the last of these commands is answered with.
fn answer(code: &str, commands: &[&str]) -> String {
    told(code, commands)[commands.len()].clone()
}

const CODE: &str = "\
local x = 10
local t = {1, {a = 1}}
local function f(a, b)
  local c = a + b
  return c
end
local r = f(1, 2.5)
return r";

#[test]
fn a_script_stops_at_each_line_that_it_steps_to() {
    let steps = ["s", "step", "N", "next", "s", "s"];
    let lines: Vec<String> =
        told(CODE, &steps).iter().filter_map(|text| Some(text.lines().nth(1)?.to_owned())).collect();
    let expected = [
        "-> 1   local x = 10",
        "-> 2   local t = {1, {a = 1}}",
        "-> 6   end",
        "-> 7   local r = f(1, 2.5)",
        "-> 4     local c = a + b",
        "-> 5     return c",
        "-> 8   return r",
    ];
    assert_eq!(lines, expected);
    assert_eq!(
        told(CODE, &["s"])[1],
        "* Stopped at 2, stop reason = step over\n-> 2   local t = {1, {a = 1}}"
    );
}

#[test]
fn it_goes_on_to_breakpoints_and_calls_of_breakpoint() {
    let added = "   3   local function f(a, b)\n  #4     local c = a + b\n   5     return c";
    assert_eq!(answer(CODE, &["b 4"]), added);
    assert_eq!(
        answer(CODE, &["b 4", "c"]),
        "* Stopped at 4, stop reason = break point\n->#4     local c = a + b"
    );
    assert_eq!(answer(CODE, &["b 4", "b -4", "c"]), "");
    assert_eq!(
        answer(CODE, &["b 4 4 99 -3 x 0"]).lines().skip(3).collect::<Vec<_>>(),
        [
            "Wrong line number.",
            "Wrong line number.",
            "No breakpoint in the specified line.",
            "Invalid argument:'x'",
            "All breakpoints removed.",
        ]
    );
    assert_eq!(answer(CODE, &["b"]), "No breakpoints set. Use 'b <line>' to add one.");
    assert_eq!(
        answer(CODE, &["b 1 5", "break"]),
        "2 breakpoints set:\n->#1   local x = 10\n  #5     return c"
    );
    let code = "redis.breakpoint()\nlocal a = 1\nreturn a";
    assert_eq!(
        answer(code, &["c"]),
        "* Stopped at 2, stop reason = redis.breakpoint() called\n-> 2   local a = 1"
    );
}

#[test]
fn the_source_is_listed_around_a_line() {
    assert_eq!(answer(CODE, &["l"]).lines().count(), 6);
    assert_eq!(answer(CODE, &["w"]).lines().count(), 8);
    assert_eq!(
        answer(CODE, &["l 4 1"]),
        "   3   local function f(a, b)\n   4     local c = a + b\n   5     return c"
    );
    assert_eq!(answer(CODE, &["l 0 0"]), "-> 1   local x = 10");
    assert_eq!(answer(CODE, &["l x -1"]), "");
    assert_eq!(answer(CODE, &["l 99999999999999999999 3"]), "");
}

#[test]
fn variables_are_printed_from_the_innermost_out() {
    assert_eq!(answer(CODE, &["p"]), "No local variables in the current context.");
    assert_eq!(answer(CODE, &["s", "s", "p"]), "<value> x = 10\n<value> t = {1; {[\"a\"]=1}}");
    let inside = ["b 5", "c", "p"];
    assert_eq!(answer(CODE, &inside), "<value> a = 1\n<value> b = 2.5\n<value> c = 3.5");
    assert_eq!(answer(CODE, &["b 5", "c", "p c"]), "<value> 3.5");
    assert_eq!(answer(CODE, &["b 5", "c", "print x"]), "<value> 10");
    assert_eq!(answer(CODE, &["p nosuch"]), "No such variable.");
    assert_eq!(answer(CODE, &["p KEYS"]), "<value> {\"k1\"}");
    assert_eq!(answer(CODE, &["p ARGV"]), "<value> {\"a1\"}");
}

#[test]
fn a_backtrace_shows_the_calls() {
    assert_eq!(answer(CODE, &["t"]), "In top level:\n-> 1   local x = 10");
    assert_eq!(
        answer(CODE, &["b 4", "c", "trace"]),
        "In f:\n->#4     local c = a + b\nFrom top level:\n   7   local r = f(1, 2.5)"
    );
}

#[test]
fn code_is_evaluated_beside_the_script() {
    for (command, expected) in [
        ("e 1 + 1", "<retval> 2"),
        ("eval KEYS[1]", "<retval> \"k1\""),
        ("e", "<retval> nil"),
        ("e local a = 1", "<retval> nil"),
        ("e error('boo')", "<error> ldb_eval:1: boo"),
        ("e error({})", "<error> {}"),
        ("e x y", "<error> ldb_eval:1: '=' expected near 'y'"),
        ("e redis.call('get', 'k')", "<retval> \"value\""),
        ("e redis.call('incr', 'k')", "<error> WRONGTYPE it is something else"),
    ] {
        assert_eq!(answer(CODE, &[command]), expected, "{command}");
    }
}

#[test]
fn evaluated_code_that_does_not_end_is_ended() {
    let mut orders = orders(&["e while true do end"]);
    orders.push_back(Order::Stop);
    let mut client = Client { orders, patience: Some(1000), ..Client::default() };
    assert!(debug(CODE, &mut client).starts_with("ERR killed"));
}

#[test]
fn commands_are_told_while_the_script_steps() {
    let code = "local a = redis.call('get', KEYS[1])\nlocal b = redis.pcall('incr', KEYS[1])\nreturn a";
    let stopped = "* Stopped at 2, stop reason = step over\n-> 2   local b = redis.pcall('incr', KEYS[1])";
    assert_eq!(answer(code, &["s"]), format!("<redis> get k1\n<reply> \"value\"\n{stopped}"));
    let failed = "<redis> incr k1\n<error> -WRONGTYPE it is something else\n<reply> \"-WRONGTYPE it is something else\"";
    assert!(answer(code, &["s", "s"]).starts_with(failed));
    assert_eq!(answer(code, &["c"]), "");
    for (command, expected) in [
        ("r get k", "<redis> get k\n<reply> \"value\""),
        ("redis lrange l 0 -1", "<redis> lrange l 0 -1\n<reply> [\"a\",2]"),
        ("r shutdown", "<redis> shutdown\n<error> This Redis command is not allowed from script"),
        ("r", "<error> Unknown Redis Lua debugger command or wrong number of arguments."),
    ] {
        assert_eq!(answer(code, &[command]), expected, "{command}");
    }
    let many = answer(code, &["r get 1 2 3 4 5 6 7 8 9 10 11 12"]);
    assert!(many.starts_with("<redis> get 1 2 3 4 5 6 7 8 9 ... (2 more)\n"), "{many}");
}

#[test]
fn errors_of_the_table_redis_are_told_while_the_script_steps() {
    for (call, expected) in [
        ("redis.error_reply('My Err')", "<error> -My Err"),
        ("redis.error_reply()", "<error> wrong number or type of arguments"),
        ("redis.pcall()", "<error> Please specify at least one argument for this redis lib call"),
        ("pcall(redis.sha1hex)", "<error> wrong number of arguments"),
    ] {
        let code = format!("local a = {call}\nreturn 1");
        assert_eq!(answer(&code, &["s"]).lines().next(), Some(expected), "{call}");
    }
}

#[test]
fn debug_tells_of_values_also_while_the_script_goes_on() {
    let code = "redis.debug('a', {1}, nil)\nredis.debug()\nreturn 1";
    assert_eq!(answer(code, &["c"]), "<debug> line 1: \"a\", {1}, nil\n<debug> line 2: ");
    let code = "local t = {} for i = 1, 7000 do t[i] = 1 end redis.debug(unpack(t)) return 1";
    assert!(answer(code, &["c"]).ends_with(" 1, 1, 1"));
}

#[test]
fn the_length_of_values_is_a_wish() {
    let code = "local long = string.rep('x', 300)\nreturn 1";
    assert_eq!(answer(code, &["m"]), "<value> replies are truncated at 256 bytes.");
    assert_eq!(answer(code, &["m 1"]), "<value> replies are truncated at 60 bytes.");
    assert_eq!(answer(code, &["maxlen 0"]), "<value> replies are unlimited.");
    let cut = answer(code, &["s", "p long"]);
    assert!(cut.starts_with("<value> \"xxx") && cut.contains("x ...\n<hint> The above reply"), "{cut}");
    assert_eq!(answer(code, &["s", "m 0", "p long"]).len(), "<value> ".len() + 302);
}

#[test]
fn help_names_every_command() {
    let help = answer(CODE, &["h"]);
    assert_eq!(help.lines().count(), 30);
    for (_, name, ..) in super::commands::COMMANDS {
        assert!(help.contains(&format!("[{}]{}", &name[..1], &name[1..])), "{name}");
    }
    assert!(answer(CODE, &["foo"]).starts_with("<error> Unknown Redis Lua debugger command"));
}

#[test]
fn a_script_is_given_up_at_a_wish_or_for_garbage() {
    let mut client = Client { orders: orders(&["abort"]), ..Client::default() };
    assert!(debug(CODE, &mut client).starts_with("ERR script aborted for user request script: name"));
    let mut client = Client { orders: [Order::Garbage].into(), ..Client::default() };
    assert!(debug(CODE, &mut client).starts_with("ERR protocol error script: name"));
    let mut client = Client { orders: [Order::Stop].into(), patience: Some(0), ..Client::default() };
    assert!(debug(CODE, &mut client).starts_with("ERR killed"));
}

#[test]
fn without_a_client_it_runs_to_its_end_or_until_it_takes_too_long() {
    let mut client = Client { orders: orders(&["b 5"]), ..Client::default() };
    assert_eq!(debug(CODE, &mut client), ":3\r\n");
    assert_eq!(client.told.len(), 3, "it stops no more");
    let mut client = Client { is_too_long: true, ..Client::default() };
    let answer = debug("local i = 0\nwhile true do i = i + 1 end", &mut client);
    assert!(
        answer.starts_with("ERR timeout during Lua debugging with client closing connection"),
        "{answer}"
    );
}

#[test]
fn a_script_that_catches_errors_ends_with_its_client_too() {
    let ends = [
        (orders(&["c"]), true, "ERR timeout during Lua debugging with client closing connection"),
        ([Order::Garbage].into(), false, "ERR protocol error"),
    ];
    for (orders, is_too_long, expected) in ends {
        for code in [
            "while true do pcall(function() while true do end end) end",
            "while true do pcall(error, 'x') xpcall(error, function() while true do end end) end",
            "while true do coroutine.resume(coroutine.create(function() while true do end end)) end",
        ] {
            let mut client = Client { orders: orders.clone(), is_too_long, ..Client::default() };
            let answer = debug(code, &mut client);
            assert!(answer.starts_with(expected), "{code}: {answer}");
        }
    }
}

#[test]
fn a_script_that_runs_too_long_stops() {
    let mut client = Client { orders: orders(&["c", "a"]), is_too_long: true, ..Client::default() };
    debug("local i = 0\nwhile true do i = i + 1 end", &mut client);
    assert_eq!(client.told[1][0], "* Stopped at 2, stop reason = timeout reached, infinite loop?");
}

#[test]
fn the_script_after_it_is_not_debugged() {
    let vm = Vm::for_eval(Settings { limit_bytes: 64 << 20, ..Settings::new("7.0.15") }).expect("Lua starts");
    let mut client = Client { orders: orders(&["c"]), ..Client::default() };
    assert_eq!(debug_in(&vm, "return {redis.breakpoint(), 1}", &mut client), "*2\r\n:1\r\n:1\r\n");
    let mut bytes = Vec::new();
    vm.add("other", b"return {redis.breakpoint(), redis.debug('x')}").expect("it compiles");
    let call = Call { name: "other", keys: &[], arguments: &[], place: Place::Scripts };
    let mut client = Client::default();
    vm.run(call, &mut client, &mut Reply::new(&mut bytes, Protocol::Resp2)).expect("it runs");
    assert_eq!(bytes, b"*1\r\n$-1\r\n");
    assert!(client.told.is_empty());
}

#[test]
fn coroutines_are_debugged_too() {
    let code = "local co = coroutine.wrap(function()\n  local inside = 5\n  return inside\nend)\nreturn co()";
    assert_eq!(answer(code, &["b 3", "c", "p"]), "<value> inside = 5");
}
