//! Random scripts, run by pyredis and by a real redis-server 7.0.15 side by side: every answer must
//! be the same, and so must the data and the keyspace events behind it.
//!
//! A script is a list of lines, each a statement of its own: it calls commands of the tables, in
//! loops and in protected calls, passes on what they answer through the libraries, fails in places,
//! and returns a part of what it has got. `PYREDIS_SEED` is the seed of the first run,
//! `PYREDIS_SCRIPTS` how many scripts all runs send. What differs is cut down, steps first, then
//! lines.

use pyredis::base::random::Random;
use pyredis::script::api::hex_of_sha1;

use super::compare::Compare;
use super::{Arena, Difference, Generator, Row, Step, Words, environment, listed, pick, spoil};
use crate::support::{RealServer, Server};

/// Scripts of one run.
const RUN: u64 = 100;
/// Scripts of all runs, when the environment does not say.
const SCRIPTS: u64 = 400;
/// Steps between two comparisons of the whole data.
const DIGEST_EVERY: u64 = 25;
/// One call of a script is spoiled of so many.
const SPOIL_ONE_OF: u64 = 40;
/// What a script keeps is in so many variables.
const VARIABLES: u64 = 6;

/// Shows any value, tables in an order of their own.
const SHOW: &str = "local function show(x) local t = type(x) if t == 'table' then local p = {} for k, y in \
                    pairs(x) do p[#p + 1] = show(k) .. '=' .. show(y) end table.sort(p) return '{' .. \
                    table.concat(p, ',') .. '}' end if t == 'function' then return t end return t .. ':' .. \
                    tostring(x) end";

/// Expressions. `$` is a variable, `#N` a small number, `@S` mostly a string, `@T` a
/// string always (a real server does not survive other errors), `@X` any expression.
const EXPRESSIONS: &[&str] = &[
    "$",
    "$",
    "show($)",
    "show($)",
    "type($)",
    "#$",
    "cjson.encode($)",
    "cjson.decode(cjson.encode($))",
    "cjson.decode(@S)",
    "show(cjson.decode('{\"a\":[1,2,{\"b\":null}],\"c\":1.5e3,\"d\":\"\\\\u00e9\\\\n\",\"e\":true}'))",
    "cmsgpack.unpack(cmsgpack.pack($))",
    "cmsgpack.pack($, $)",
    "show({pcall(cmsgpack.unpack, @T)})",
    "struct.pack('>I2i4Bs', #N, #N, #N, tostring(#N))",
    "show({struct.unpack('<i2', 'abcdef', 2)})",
    "bit.tohex(bit.bxor(#N, 12345))",
    "bit.band($, 255)",
    "string.format('%5.2f|%s|%q|%d|%x|%g', #N / 3, tostring(#N), @S, #N, 200, #N / 7)",
    "string.format('%s', $)",
    "string.format('%d', $)",
    "tonumber($)",
    "tonumber(@S, 16)",
    "$ + 1",
    "$ .. 'a'",
    "$ == false",
    "not $",
    "$ and $.ok",
    "$.err",
    "$[1]",
    "string.upper(@S)",
    "string.rep(@S, #N)",
    "string.gsub(@S, '[a-m]', '%0%0')",
    "{string.find(@S, '(%a+)(%d*)')}",
    "{string.byte(@S, 1, -1)}",
    "string.sub(@S, #N, -2)",
    "(@S):reverse()",
    "{(@S):match('^(.-)(%d)(.*)$')}",
    "table.concat({@S, #N, @S}, ', ')",
    "table.concat($, '-')",
    "{unpack({#N, @S, false, #N})}",
    "select('#', unpack(KEYS))",
    "redis.sha1hex(@S)",
    "redis.sha1hex($)",
    "redis.error_reply(@S)",
    "redis.error_reply('MY code and text')",
    "redis.status_reply(@S)",
    "{ok = @S}",
    "{err = 'ERR of a script'}",
    "{err = 'no code'}",
    "{double = #N / 4}",
    "{double = 3}",
    "{map = {a = {#N, @S}}}",
    "{set = {m = true}}",
    "{big_number = '123456789012345678901234567890'}",
    "{verbatim_string = {format = 'txt', string = @S}}",
    "{#N, {#N, {@S, true, false}}, nil, 5}",
    "2 ^ 53 + #N",
    "3.99 * #N",
    "-0.5",
    "1e15 / 7",
    "tostring(1e15 / #N)",
    "tostring(2 ^ 63)",
    "math.floor(#N / 3)",
    "math.fmod(7, #N)",
    "math.max(#N, #N, 2.5)",
    "(function() math.randomseed(#N) return math.random(1, 100) end)()",
    "KEYS[1]",
    "ARGV[#ARGV]",
    "#KEYS + #ARGV",
    "KEYS",
    "{KEYS, ARGV}",
    "{pcall(function() return @X end)}",
    "show({pcall(function() return @X end)})",
    "show({pcall(redis.call, 'get', @S)})",
    "show({pcall(function() return redis.call('incr', 'list:1') end)})",
    "{pcall(error, @S)}",
    "show({pcall(error, {err = @S})})",
    "show({xpcall(function() return @X end, function(e) return type(e) end)})",
    "redis.pcall()",
    "redis.pcall('nosuch', @S)",
    "redis.pcall('get')",
    "redis.pcall('get', {})",
    "redis.pcall('set', 'str:1', #N / 3)",
    "redis.pcall('echo', #N)",
    "redis.pcall('subscribe', 'x')",
    "redis.pcall('multi')",
    "redis.pcall('ping')",
    "redis.pcall('select', #N)",
    "redis.pcall('eval', 'return 1', 0)",
    "redis.acl_check_cmd('get', @S)",
    "redis.replicate_commands()",
    "redis.REDIS_VERSION_NUM",
    "nosuch",
    "nosuch.field",
    "loadstring('return #N + 1')()",
    "setmetatable({}, {__index = function(t, k) return k end}).field",
    "coroutine.wrap(function() coroutine.yield(#N) end)()",
    "next({#N})",
    "tostring(nil) .. tostring(true)",
    "rawequal($, $)",
    "({pairs($)})[2] == $",
    "(function() local t = {@S, @S, 'b', 'a'} table.sort(t) return t end)()",
    "(function() local t = {3, 1, 2, #N} table.sort(t, function(a, b) return a > b end) return t end)()",
    "(function() local t = {1, 2, 3} table.insert(t, 2, @S) table.remove(t, 1) return t end)()",
    "string.format('%10.3s|%-5d|%e|%c|%o|%X|%i', @S, #N, #N, 65, 8, 255, #N)",
    "(@S):gsub('%w+', {foobar = 'X', a = false})",
    "(@S):gsub('(%w)(%w)', '%2%1', #N)",
    "(@S):gsub('.', function(c) return c:byte() % 2 == 0 and 'e' or nil end)",
    "{(@S):find('b', #N, true)}",
    "(function() local t = {} for k in (@S):gmatch('%d+') do t[#t + 1] = k end return t end)()",
    "cjson.encode({#N, @S, {a = #N}, cjson.null, true, 1e20, 0.1, #N / 3})",
    "cjson.encode({})",
    "show(cjson.decode('[1, 1e2, -0.5, null, {}, []]'))",
    "show({pcall(cjson.encode, {[1] = 1, [20] = #N})})",
    "show({pcall(cjson.decode, @S)})",
    "cmsgpack.pack({a = #N})",
    "cmsgpack.pack(#N * 1000000, 1.5, -#N, nil, true, @S)",
    "show({pcall(cmsgpack.unpack_one, cmsgpack.pack(1, 2, 3), #N)})",
    "show({pcall(cmsgpack.unpack_limit, cmsgpack.pack(1, 2, 3), 2, #N)})",
    "{bit.lshift(#N, 3), bit.arshift(-#N, 1), bit.rol(#N, 30), bit.bswap(#N), bit.tobit(2 ^ 33 + #N)}",
    "show({struct.unpack('>bHfds', struct.pack('>bHfds', #N, 5, 1.5, #N / 7, 'abc'))})",
    "show({pcall(struct.pack, 'i9', #N)})",
    "{math.modf(#N / 2), math.ldexp(#N, 3), #N % 3, #N ^ 2}",
    "{tostring(#N / 0), tostring(math.sqrt(#N)), tostring(math.pi)}",
    "#N < 3 and @X or @X",
    "@S < 'b'",
    "{select(2, @S, @S), select(-1, #N, @S)}",
    "{tonumber('0x10'), tonumber('  12  '), tonumber('z', 36), tonumber(@S)}",
    "show({pcall(setmetatable, _G, {})})",
    "show({pcall(rawset, redis, 'x', 1)})",
    "tostring(setmetatable({}, {__tostring = function() return 'me' end}))",
    "show({pcall(string.rep)})",
    "show({pcall(string.char, 300)})",
    "show({pcall(table.concat, {1, {}})})",
    "show({pcall(unpack)})",
    "show({pcall(ipairs)})",
    "show({pcall(setmetatable, 1, 2)})",
    "show({pcall(string.format, '%d', @S)})",
    "show({pcall(string.gsub, @S, '(', '')})",
    "show({pcall(string.find, @S, '%')})",
    "show({coroutine.resume(coroutine.create(function() error(@S) end))})",
];

/// Statements. `=` is a variable to be set, `!` a call of a command.
const STATEMENTS: &[(u64, &str)] = &[
    (16, "= !call"),
    (16, "= !pcall"),
    (20, "= @X"),
    (3, "for i = 1, #N do = !pcall end"),
    (3, "for i = 1, #N do = @X end"),
    (2, "if $ then = !pcall else = @X end"),
    (2, "if type($) == 'table' and $.err then = $.err end"),
    (1, "if $ then return @X end"),
    (1, "for k, y in pairs({#N, @S}) do = {k, y} end"),
    (1, "for k, y in ipairs($) do = show(y) end"),
    (1, "repeat = @X until true"),
    (1, "redis.setresp(3)"),
    (1, "redis.setresp(#N)"),
    (1, "error(@T)"),
    (1, "error({err = @T})"),
    (1, "error(redis.error_reply(@S))"),
    (1, "assert($, @T)"),
    (1, "global = 1"),
    (1, "redis.set_repl(redis.REPL_ALL)"),
    (1, "= = 1"),
];

const SHEBANGS: &[&str] = &[
    "#!lua",
    "#!lua flags=no-writes",
    "#!lua flags=allow-oom",
    "#!lua flags=no-writes,allow-stale",
    "#!lua flags=",
    "#!lua name=x",
    "#!lua flags=nosuch",
    "#!python",
    "#!lua  flags=allow-cross-slot-keys",
];

/// Makes a script.
struct Writer<'g, 'r> {
    generator: &'g ScriptGenerator,
    random: &'r mut Random,
    keys: Words,
    arguments: Words,
}

impl Writer<'_, '_> {
    fn variable(&mut self) -> String {
        format!("v{}", 1 + self.random.below(VARIABLES))
    }

    fn small(&mut self) -> String {
        (*pick(&["0", "1", "2", "3", "4", "5", "17", "-1"], self.random)).to_owned()
    }

    fn string(&mut self) -> String {
        match self.random.below(4) {
            0 => quoted(&pick(&self.generator.words, self.random).clone()),
            1 if !self.arguments.is_empty() => {
                format!("ARGV[{}]", 1 + self.random.below(self.arguments.len() as u64))
            }
            2 => self.variable(),
            _ => quoted(pick::<&[u8]>(TEXTS, self.random)),
        }
    }

    /// Fills in a template. What is in an expression becomes less the deeper it is.
    fn fill(&mut self, template: &str, depth: u64) -> String {
        let mut text = String::new();
        let mut rest = template;
        while let Some(at) = rest.find(['$', '#', '@', '!', '=']) {
            text.push_str(&rest[..at]);
            rest = &rest[at..];
            let (part, used) = match rest {
                _ if rest.starts_with("#N") => (self.small(), 2),
                _ if rest.starts_with("@S") => (self.string(), 2),
                _ if rest.starts_with("@T") => (quoted(pick::<&[u8]>(TEXTS, self.random)), 2),
                _ if rest.starts_with("@X") => (self.expression(depth + 1), 2),
                _ if rest.starts_with("!call") => (self.call("call"), 5),
                _ if rest.starts_with("!pcall") => (self.call("pcall"), 6),
                _ if rest.starts_with("= ") && is_start(&text) => (format!("{} = ", self.variable()), 2),
                _ if rest.starts_with('$') && !rest.starts_with("$'") => (self.variable(), 1),
                _ => (rest[..1].to_owned(), 1),
            };
            text.push_str(&part);
            rest = &rest[used..];
        }
        text + rest
    }

    fn expression(&mut self, depth: u64) -> String {
        if depth > 3 {
            return self.variable();
        }
        let template = pick(EXPRESSIONS, self.random);
        self.fill(template, depth)
    }

    /// A call of a command of the tables.
    fn call(&mut self, name: &str) -> String {
        let row = pick(&self.generator.rows, self.random);
        let mut words = row.template.words(self.random);
        if row.spoilable && self.random.below(SPOIL_ONE_OF) == 0 {
            spoil(&mut words, self.random);
        }
        let is_plain = row.compare == Compare::Bytes;
        let words: Vec<String> = words.into_iter().map(|word| self.word(word)).collect();
        let call = format!("redis.{name}({})", words.join(", "));
        // What is not the same to the byte is not looked at, but for an error of it.
        if is_plain { call } else { format!("type({call})") }
    }

    fn word(&mut self, word: Vec<u8>) -> String {
        match self.random.below(10) {
            0 => {
                self.keys.push(word);
                format!("KEYS[{}]", self.keys.len())
            }
            1 => {
                self.arguments.push(word);
                format!("ARGV[{}]", self.arguments.len())
            }
            2..=5 => match std::str::from_utf8(&word).ok().filter(|text| is_number(text)) {
                Some(number) => number.to_owned(),
                None => quoted(&word),
            },
            _ => quoted(&word),
        }
    }

    fn statement(&mut self) -> String {
        let total: u64 = STATEMENTS.iter().map(|(weight, _)| weight).sum();
        let mut point = self.random.below(total);
        let found = STATEMENTS.iter().find(|(weight, _)| {
            let found = point < *weight;
            point = point.saturating_sub(*weight);
            found
        });
        self.fill(found.expect("the point is below the total").1, 0)
    }

    fn script(&mut self) -> String {
        let mut lines = Vec::new();
        if self.random.below(12) == 0 {
            lines.push((*pick(SHEBANGS, self.random)).to_owned());
        }
        let names: Vec<String> = (1..=VARIABLES).map(|nth| format!("v{nth}")).collect();
        lines.push(format!("local {}", names.join(", ")));
        lines.push(SHOW.to_owned());
        if self.random.below(4) == 0 {
            lines.push("redis.setresp(3)".to_owned());
        }
        for _ in 0..1 + self.random.below(7) {
            lines.push(self.statement());
        }
        let end = match self.random.below(4) {
            0 => "return $".to_owned(),
            1 => "return {show(v1), show(v2), show(v3), show(v4), show(v5), show(v6)}".to_owned(),
            2 => "return {v1 or 0, v2 or 0, v3 or 0, v4 or 0, v5 or 0, v6 or 0}".to_owned(),
            _ => "return @X".to_owned(),
        };
        lines.push(self.fill(&end, 0));
        lines.join("\n")
    }
}

/// True where a statement begins.
fn is_start(before: &str) -> bool {
    before.is_empty() || ["do ", "then ", "else ", "repeat ", "= "].iter().any(|word| before.ends_with(word))
}

/// True for what is the same number in Lua and as a word of a command.
fn is_number(text: &str) -> bool {
    text.parse::<i32>().is_ok_and(|number| number.to_string() == text)
}

/// Bytes as a string of Lua.
fn quoted(bytes: &[u8]) -> String {
    let mut text = String::from("'");
    for &byte in bytes {
        match byte {
            b'\'' | b'\\' => text.extend(['\\', char::from(byte)]),
            b' '..=b'~' => text.push(char::from(byte)),
            _ => text.push_str(&format!("\\{byte:03}")),
        }
    }
    text + "'"
}

const TEXTS: &[&[u8]] = &[
    b"",
    b"a",
    b"foobar 42 baz",
    b"MYERR with text",
    b"-ERR with a minus",
    b"line\r\nline",
    b"\0\xff\xfe",
    b"3.5",
    b"0x1f",
    b"1e3",
    b"[1,2,{\"a\":null}]",
    b"\x93\x01\xa1a\xc0",
    b"caf\xc3\xa9",
];

/// Makes the steps of runs.
struct ScriptGenerator {
    rows: Vec<Row>,
    words: Words,
}

impl ScriptGenerator {
    fn new() -> Self {
        // A cursor is a place in each server's own table, and a dump has two sides.
        let is_whole = |row: &Row| !matches!(row.compare, Compare::Walk | Compare::Exchange);
        let rows = Generator::new().groups.into_iter().flat_map(|(_, rows)| rows).filter(is_whole).collect();
        let words = ["str:1", "list:2", "hash:0", "zset:3", "set:1", "ints:0", "stream:1"];
        Self { rows, words: words.map(|word| word.as_bytes().to_vec()).to_vec() }
    }

    /// A script in EVAL or EVAL_RO, and the ways it can be run again.
    fn scripts(&self, random: &mut Random) -> Vec<Words> {
        let mut writer = Writer { generator: self, random, keys: Words::new(), arguments: Words::new() };
        let script = writer.script();
        let (keys, arguments) = (writer.keys, writer.arguments);
        let call = |name: &str, script: &[u8]| {
            let start = [name.as_bytes(), script, keys.len().to_string().as_bytes()].map(<[u8]>::to_vec);
            start.iter().chain(&keys).chain(&arguments).cloned().collect::<Words>()
        };
        let sha = hex_of_sha1(script.as_bytes());
        let script = script.into_bytes();
        let word = |text: &str| text.as_bytes().to_vec();
        match random.below(12) {
            0 => vec![call("EVAL_RO", &script)],
            1 => vec![call("EVAL", &script), call("EVALSHA", sha.to_uppercase().as_bytes())],
            2 => vec![vec![word("SCRIPT"), word("LOAD"), script], call("EVALSHA_RO", sha.as_bytes())],
            3 => vec![call("EVALSHA", sha.as_bytes()), vec![word("SCRIPT"), word("EXISTS"), word(&sha)]],
            4 => vec![call("EVAL", &script), vec![word("SCRIPT"), word("FLUSH")]],
            5 => {
                let mut words = call("EVAL", &script);
                spoil(&mut words, random);
                vec![words]
            }
            _ => vec![call("EVAL", &script)],
        }
    }

    fn run(&self, seed: u64) -> Vec<Step> {
        let mut random = Random::new(seed);
        let commands = Generator::new();
        let mut steps = Vec::new();
        for index in 1..=RUN {
            // What scripts find.
            steps.extend((0..3).map(|_| commands.step(&mut random)));
            let connection = *pick(&[0, 0, 1, 1, 2], &mut random);
            let step = |words| Step { connection, compare: Compare::Bytes, words };
            steps.extend(self.scripts(&mut random).into_iter().map(step));
            if index % DIGEST_EVERY == 0 {
                let words = vec![b"DEBUG".to_vec(), b"DIGEST".to_vec()];
                steps.push(Step { connection: 0, compare: Compare::Digest, words });
            }
        }
        steps
    }
}

/// Leaves out lines of the scripts that the difference does not need.
fn fewer_lines(arena: &mut Arena, mut steps: Vec<Step>) -> (Vec<Step>, Option<Difference>) {
    let mut found = None;
    for index in 0..steps.len() {
        let is_script = |step: &Step| step.words.len() > 2 && step.words[1].contains(&b'\n');
        let mut at = 0;
        while is_script(&steps[index]) {
            let mut fewer = steps.clone();
            let script = &mut fewer[index].words[1];
            let mut lines: Vec<&[u8]> = script.split(|&byte| byte == b'\n').collect();
            if at >= lines.len() {
                break;
            }
            lines.remove(at);
            let shorter = lines.join(&b'\n');
            *script = shorter;
            match arena.play(&fewer) {
                Some(difference) => (steps, found) = (fewer, Some(difference)),
                None => at += 1,
            }
        }
    }
    (steps, found)
}

/// What is different in one run.
fn report_of(arena: &mut Arena, generator: &ScriptGenerator, seed: u64) -> String {
    let mut steps = generator.run(seed);
    let Some(difference) = arena.play(&steps) else { return String::new() };
    steps.truncate(difference.index + 1);
    let (steps, found) = arena.shortest(steps);
    let (steps, last) = fewer_lines(arena, steps);
    let Difference { ours, theirs, .. } = last.or(found).unwrap_or(difference);
    format!("PYREDIS_SEED={seed}\n{}  pyredis: {ours}\n  redis:   {theirs}\n", listed(&steps))
}

#[test]
fn random_scripts_do_what_they_do_on_a_real_server() {
    let Some(real) = RealServer::start(&["--save", ""]) else { return };
    let server = Server::start(&["--save", "", "--enable-debug-command", "yes"]);
    let generator = ScriptGenerator::new();
    let mut arena = Arena::new(server, real);
    let first = environment("PYREDIS_SEED", 1);
    let scripts = environment("PYREDIS_SCRIPTS", SCRIPTS);
    let mut report = String::new();
    for seed in first..first + scripts.div_ceil(RUN) {
        arena.configure(seed);
        let found = report_of(&mut arena, &generator, seed);
        print!("{found}");
        report += &found;
    }
    assert!(report.is_empty(), "differences:\n{report}");
}
