//! The command line and the environment: what is wanted, before anything is done.
//!
//! `pyredis start|stop|restart|status …` are words of this program and clap reads them. Everything
//! else is read as redis-server reads its command line, which no argument parser does (`--save ""`,
//! `--port 7000 daemonize no`, `-` for stdin): those words go to [`crate::config`] untouched.
//!
//! The environment (`PYREDIS_PORT` and its siblings) is worth less than the command line and more
//! than the file. So it becomes directives between the two, and the config room needs no third
//! source.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::check_aof::Remedy;
use super::suggest;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

/// The version of Redis that this server answers as.
pub const REDIS_VERSION: &str = "7.0.15";
/// The version of this program.
pub const PYREDIS_VERSION: &str = env!("CARGO_PKG_VERSION");

/// The exit code of `status` when no server runs, as init scripts have it.
pub const EXIT_NOT_RUNNING: u8 = 3;

/// The words of this program.
const WORDS: [&str; 6] = ["start", "stop", "restart", "status", "check-aof", "check-rdb"];

/// Environment variable → directive.
const ENVIRONMENT: [(&str, &str); 4] = [
    ("PYREDIS_PORT", "--port"),
    ("PYREDIS_DIR", "--dir"),
    ("PYREDIS_PIDFILE", "--pidfile"),
    ("PYREDIS_LOGFILE", "--logfile"),
];

/// The words that [`crate::config`] shall read: file and directives.
pub type ConfigArgs = Vec<OsString>;

/// The wish of the user.
#[derive(Debug, PartialEq, Eq)]
pub enum Wish {
    /// Serve as redis-server does.
    Serve(ConfigArgs),
    /// Start a server, there.
    Start(ConfigArgs, Place),
    /// Stop the server of this PID file.
    Stop(ConfigArgs),
    /// Stop it if it runs, and start it.
    Restart(ConfigArgs),
    /// Say whether it runs.
    Status(ConfigArgs),
    /// Check this snapshot file.
    CheckRdb(PathBuf),
    /// Check this append-only file or manifest.
    CheckAof(PathBuf, Remedy),
    /// Print this text and end well.
    Print(String),
    /// Print this text on stderr and end with this code.
    Refuse(String, u8),
}

/// The place where `start` leaves the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Detached, answering.
    Background,
    /// In front, logging as configured.
    Foreground,
    /// In front, with every log line on the terminal.
    Debug,
}

/// Reads the command line (without the program's name).
pub fn parse(args: &[OsString], environment: impl Fn(&str) -> Option<OsString>) -> Wish {
    match args.first().and_then(|first| first.to_str()) {
        Some("start" | "stop" | "restart" | "status") => control(args, environment),
        Some("check-aof") => check_aof(&args[1..]),
        Some("check-rdb") => check_rdb(&args[1..]),
        Some("-v" | "--version") => Wish::Print(version_line()),
        Some("-h" | "--help") => Wish::Print(command().render_long_help().to_string()),
        Some("--test-memory") => Wish::Refuse(
            "pyredis: there is no memory test in this server; memtester or memtest86+ do it better\n".into(),
            1,
        ),
        Some(word) if let Some(meant) = mistyped(word, &WORDS) => {
            let words = WORDS.join(", ");
            Wish::Refuse(
                format!("pyredis: {word} is neither a file nor one of {words}; did you mean {meant}?\n"),
                2,
            )
        }
        _ => Wish::Serve(with_environment(args, environment)),
    }
}

/// The word that was meant where this one is not the name of a file.
fn mistyped(word: &str, known: &[&'static str]) -> Option<&'static str> {
    let may_be_path = word.starts_with('-') || word.contains(['/', '.']) || Path::new(word).exists();
    if may_be_path { None } else { suggest::nearest(word, known.iter().copied()) }
}

/// The line of `--version`, in Redis's form with our own version beside.
pub fn version_line() -> String {
    format!(
        "Redis server v={REDIS_VERSION} sha=00000000:0 malloc=mimalloc bits={} build=0 pyredis={PYREDIS_VERSION}\n",
        usize::BITS
    )
}

/// Exit codes as redis-check-aof has them.
fn check_aof(args: &[OsString]) -> Wish {
    let usage =
        "Usage: pyredis check-aof [--fix|--truncate-to-timestamp $timestamp] <file.manifest|file.aof>\n";
    match args {
        [file] if !file.as_bytes().starts_with(b"-") => Wish::CheckAof(file.into(), Remedy::Tell),
        [option, file] if option == "--fix" => Wish::CheckAof(file.into(), Remedy::Fix),
        [option, time, file] if option == "--truncate-to-timestamp" => {
            match time.to_str().and_then(|time| time.parse().ok()).filter(|&time| time > 0) {
                Some(time) => Wish::CheckAof(file.into(), Remedy::TruncateTo(time)),
                None => Wish::Refuse("Invalid timestamp, aborting...\n".into(), 1),
            }
        }
        _ => Wish::Refuse(usage.into(), 1),
    }
}

/// Exit codes as redis-check-rdb has them.
fn check_rdb(args: &[OsString]) -> Wish {
    match args {
        [file] if file != "--help" && file != "-h" => Wish::CheckRdb(file.into()),
        _ => Wish::Refuse("Usage: pyredis check-rdb <rdb-file-name>\n".into(), 1),
    }
}

fn control(args: &[OsString], environment: impl Fn(&str) -> Option<OsString>) -> Wish {
    let name = OsStr::new("pyredis").to_owned();
    let matches = match command().try_get_matches_from(std::iter::once(&name).chain(args)) {
        Ok(matches) => matches,
        Err(error) if error.use_stderr() => return Wish::Refuse(error.to_string(), 2),
        Err(help) => return Wish::Print(help.to_string()),
    };
    let Some((word, matches)) = matches.subcommand() else {
        return Wish::Refuse("pyredis: start, stop, restart or status?\n".into(), 2);
    };
    let (mut args, mut place) = (directives(matches), Place::Background);
    if asks_for_help(&args) {
        return Wish::Print(subcommand_help(word));
    }
    if word == "start" {
        (args, place) = start_place(args, matches.get_flag("foreground"));
        if let Some(first) = args.first().and_then(|first| first.to_str())
            && let Some(meant) = mistyped(first, &["debug"])
        {
            return Wish::Refuse(
                format!("pyredis: there is no file {first}; did you mean start {meant}?\n"),
                2,
            );
        }
    }
    let args = with_environment(&args, environment);
    match word {
        "start" => Wish::Start(args, place),
        "stop" => Wish::Stop(args),
        "restart" => Wish::Restart(args),
        _ => Wish::Status(args),
    }
}

fn directives(matches: &ArgMatches) -> Vec<OsString> {
    matches.get_many::<OsString>("CONF and directives").into_iter().flatten().cloned().collect()
}

/// `start my.conf --help` is a question too, not a directive.
fn asks_for_help(args: &[OsString]) -> bool {
    args.iter().any(|arg| arg == "--help")
}

fn subcommand_help(word: &str) -> String {
    let mut command = command();
    command.build();
    command.find_subcommand_mut(word).map(|found| found.render_long_help().to_string()).unwrap_or_default()
}

/// Takes `debug` (first) and `--foreground` (anywhere) out of the words after `start`.
fn start_place(mut args: Vec<OsString>, foreground: bool) -> (Vec<OsString>, Place) {
    let before = args.len();
    args.retain(|arg| arg != "--foreground");
    let mut place = if foreground || args.len() < before { Place::Foreground } else { Place::Background };
    if args.first().is_some_and(|first| first == "debug") {
        args.remove(0);
        place = Place::Debug;
    }
    (args, place)
}

/// Puts the environment's directives after the file and before the directives of the command line,
/// and the environment's file where none is named.
fn with_environment(args: &[OsString], environment: impl Fn(&str) -> Option<OsString>) -> Vec<OsString> {
    let environment = |name: &str| environment(name).filter(|value| !value.is_empty());
    let names_a_file = args.first().is_some_and(|first| !first.as_bytes().starts_with(b"-"));
    let reads_stdin = [args.first(), args.last()].into_iter().flatten().any(|arg| arg == "-");
    // The file, or the `-` that stands for stdin, keeps its place.
    let keeps_first = names_a_file || args.first().is_some_and(|first| first == "-");
    let (file, directives) = args.split_at(usize::from(keeps_first));

    let mut result = file.to_vec();
    if !names_a_file && !reads_stdin {
        result.extend(environment("PYREDIS_CONF"));
    }
    let from_environment: Vec<OsString> = ENVIRONMENT
        .iter()
        .filter_map(|(name, directive)| Some([OsString::from(directive), environment(name)?]))
        .flatten()
        .collect();
    // Redis reads a first directive without dashes too (`my.conf port 7000`); behind those of the
    // environment it would be taken for another value of the last of them.
    let dashes_missing = !from_environment.is_empty()
        && directives.first().is_some_and(|first| first != "-" && !first.as_bytes().starts_with(b"--"));
    result.extend(from_environment);
    for (index, directive) in directives.iter().enumerate() {
        let prefix = if index == 0 && dashes_missing { "--" } else { "" };
        result.push(OsString::from_vec([prefix.as_bytes(), directive.as_bytes()].concat()));
    }
    result
}

fn command() -> Command {
    let words = [
        ("start", "Start a server in the background; return when it answers, or say why it does not"),
        (
            "stop",
            "Stop the server (SIGTERM: it saves first, if save points are set) and wait until it is gone",
        ),
        ("restart", "Stop the server if it runs, then start it; the data is kept"),
        ("status", "Say whether the server runs, under which PID, and where its data and its log are"),
    ];
    let foreground = Arg::new("foreground")
        .long("foreground")
        .action(ArgAction::SetTrue)
        .help("Stay in front instead (`start debug` does too, with every log line on the terminal)");
    words.into_iter().fold(base_command(), |command, (word, about)| {
        let mut subcommand = Command::new(word).about(about).arg(directives_arg()).after_help(AFTER_HELP);
        if word == "start" {
            subcommand = subcommand.arg(foreground.clone());
        }
        command.subcommand(subcommand)
    })
}

fn base_command() -> Command {
    Command::new("pyredis")
        .about("A Redis-compatible server: one thread per connection, one thread that owns the data")
        .override_usage(
            "pyredis start|stop|restart|status [CONF] [--directive value …]\n       \
             pyredis start [debug | --foreground] [CONF] [--directive value …]\n       \
             pyredis [/path/to/redis.conf | -] [--directive value …]     as redis-server, in the foreground\n       \
             pyredis check-aof [--fix | --truncate-to-timestamp N] FILE|MANIFEST\n       \
             pyredis check-rdb FILE                              is this snapshot whole, and what is in it?\n       \
             pyredis -v | --version\n       \
             pyredis -h | --help",
        )
        .after_help(AFTER_HELP)
        .disable_help_subcommand(true)
}

fn directives_arg() -> Arg {
    Arg::new("CONF and directives")
        .value_parser(value_parser!(OsString))
        .num_args(0..)
        .trailing_var_arg(true)
        .allow_hyphen_values(true)
        .help("A redis.conf and directives as redis-server takes them: my.conf --port 7000 --save \"\"")
}

const AFTER_HELP: &str = "\
Directives are those of redis.conf (port, bind, unixsocket, dir, save, requirepass, maxclients, loglevel …).
Of our own: --spawn-limit N, another name of maxclients (default 10000). Examples:
  pyredis start                                  every address, port 6379; see protected-mode
  pyredis start --port 7000                      a second one beside it; stop --port 7000 stops it
  pyredis start my.conf                          stop my.conf, status my.conf speak of the same one
  pyredis --port 7777 --save \"\"                  in the foreground, as redis-server

The command line counts more than the environment, the environment more than the file:
  PYREDIS_CONF      configuration file, where the command line names none
  PYREDIS_PORT      port                         (default 6379)
  PYREDIS_DIR       dir, the data folder         (default: below)
  PYREDIS_PIDFILE   pidfile                      (default /tmp/pyredis.pid)
  PYREDIS_LOGFILE   logfile                      (default: stdout; in the background pyredis.log in dir)

start, stop, restart and status mean the same server from every folder. Where nobody names dir it is pyredis in
your state folder, $XDG_STATE_HOME or else ~/.local/state. A server of another port than 6379 has a folder and a
PID file of its own: pyredis-7000, /tmp/pyredis-7000.pid. Relative paths of a configuration file start at the
folder of that file, dir on the command line where you stand, pidfile and logfile at dir. The redis-server form
(no word) does as Redis does: dir is the folder where you stand.

The PID file is locked while the server lives. The lock is what counts: a stale file, whatever it
holds, is taken over, and nothing but the process that holds the lock is ever signalled.

Exit codes:
  0  done: start, restart: the server answers; stop: it is gone (or was not running); status: it runs
  1  failed, with the reason on stderr: already running, port in use, bad configuration, folder missing …
  2  the words start, stop, restart, status were used in a way that is not understood
  3  status: it is not running
Signals: SIGTERM and SIGINT stop in order (a second SIGINT at once, exit code 1); SIGHUP reopens the log file.
";

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_words(line: &str, environment: &[(&str, &str)]) -> Wish {
        let args: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        parse(&args, |name| {
            environment.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
        })
    }

    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn control_words_keep_their_directives_in_order() {
        for (line, expected) in [
            ("start", Wish::Start(vec![], Place::Background)),
            (
                "start my.conf --port 7000 --save 60 1",
                Wish::Start(words("my.conf --port 7000 --save 60 1"), Place::Background),
            ),
            ("start --port 7000", Wish::Start(words("--port 7000"), Place::Background)),
            ("start --foreground my.conf", Wish::Start(words("my.conf"), Place::Foreground)),
            ("start --port 7 --foreground", Wish::Start(words("--port 7"), Place::Foreground)),
            ("start debug", Wish::Start(vec![], Place::Debug)),
            ("start debug a.conf --port 7", Wish::Start(words("a.conf --port 7"), Place::Debug)),
            ("stop a.conf", Wish::Stop(words("a.conf"))),
            ("stop --pidfile /run/a.pid", Wish::Stop(words("--pidfile /run/a.pid"))),
            ("restart - --port 0", Wish::Restart(words("- --port 0"))),
            ("status", Wish::Status(vec![])),
        ] {
            assert_eq!(parse_words(line, &[]), expected, "{line}");
        }
    }

    #[test]
    fn anything_else_is_read_as_redis_server_reads_it() {
        for line in ["", "my.conf", "--port 7000", "- --port 1", "my.conf port 7000", "./start", "--start"] {
            assert_eq!(parse_words(line, &[]), Wish::Serve(words(line)), "{line}");
        }
    }

    #[test]
    fn mistyped_words_are_told_and_files_are_not_words() {
        for (line, expected) in [
            ("strat", "did you mean start?"),
            ("Stop --port 7000", "did you mean stop?"),
            ("check_rdb dump.rdb", "did you mean check-rdb?"),
            ("start degub", "did you mean start debug?"),
            ("start degub --port 7000", "did you mean start debug?"),
        ] {
            let Wish::Refuse(text, 2) = parse_words(line, &[]) else { panic!("{line}") };
            assert!(text.ends_with(&format!("{expected}\n")) && text.lines().count() == 1, "{text}");
        }
        for line in ["unlike", "strat.conf", "./strat", "src", "-strat", "/strat"] {
            assert_eq!(parse_words(line, &[]), Wish::Serve(words(line)), "{line}");
        }
        assert_eq!(parse_words("stop degub", &[]), Wish::Stop(words("degub")));
    }

    #[test]
    fn environment_stands_between_file_and_command_line() {
        let environment = [("PYREDIS_PORT", "7001"), ("PYREDIS_CONF", "env.conf"), ("PYREDIS_DIR", "")];
        for (line, expected) in [
            ("", "env.conf --port 7001"),
            ("my.conf", "my.conf --port 7001"),
            ("--port 7", "env.conf --port 7001 --port 7"),
            ("my.conf --port 7", "my.conf --port 7001 --port 7"),
            ("my.conf port 7", "my.conf --port 7001 --port 7"),
            ("-", "- --port 7001"),
            ("--save 1 1 -", "--port 7001 --save 1 1 -"),
            ("my.conf -", "my.conf --port 7001 -"),
        ] {
            assert_eq!(parse_words(line, &environment), Wish::Serve(words(expected)), "{line}");
            let control = format!("stop {line}");
            assert_eq!(parse_words(&control, &environment), Wish::Stop(words(expected)), "{control}");
        }
    }

    #[test]
    fn every_variable_of_the_help_is_honoured() {
        for (name, directive) in ENVIRONMENT {
            let expected = words(&format!("{directive} x"));
            assert_eq!(parse_words("", &[(name, "x")]), Wish::Serve(expected));
            assert!(AFTER_HELP.contains(name), "{name} is not in the help");
        }
    }

    #[test]
    fn version_line_carries_both_versions() {
        for line in ["-v", "--version"] {
            let Wish::Print(text) = parse_words(line, &[]) else { panic!("{line}") };
            assert!(text.starts_with("Redis server v=7.0.15 sha="), "{text}");
            assert!(text.contains(" bits=64 build=") && text.contains(" pyredis=0.1.0\n"), "{text}");
        }
    }

    #[test]
    fn help_tells_words_variables_and_exit_codes() {
        for line in ["-h", "--help", "start --help", "stop a.conf --help", "status -h"] {
            let Wish::Print(text) = parse_words(line, &[]) else { panic!("{line}") };
            assert!(text.contains("PYREDIS_CONF") && text.contains("Exit codes:"), "{line}: {text}");
        }
        assert!(matches!(parse_words("--test-memory 100", &[]), Wish::Refuse(_, 1)));
    }
}
