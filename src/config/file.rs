//! The configuration file: lines of `directive argument …`, read in order.
//!
//! A configuration is one text: the file, then stdin, then the command line as lines. Each line is
//! looked up in the table; the few directives that are no parameters (`include`, `user`,
//! `rename-command`, `loadmodule`) are handled here. An error names the line and gives Redis's
//! reason. Everything outside the text is reached through [`Surroundings`].
//!
//! `include` reads another text with line numbers of its own. A file that includes itself would
//! never end, so both the depth and the number of files are bounded.

use std::collections::HashSet;
use std::{fmt, io};

use super::args::CommandLine;
use super::directive::{RenameCommand, UserLine};
use super::kind::Source;
use super::lookup::lookup;
use super::parameters::Config;
use super::set::MAX_HZ;
use super::text::{Text, trim};
use crate::base::text::{lossless, os_reason, split_args};

/// The depth to which `include` may nest.
pub const MAX_INCLUDE_DEPTH: usize = 32;
/// The number of files one configuration may consist of.
pub const MAX_CONFIG_FILES: usize = 1000;

/// The services that reading a configuration needs from the world.
pub trait Surroundings {
    /// The bytes of a file; relative paths are relative to the working folder of the moment.
    fn read(&mut self, path: &[u8]) -> io::Result<Vec<u8>>;
    /// Everything on stdin.
    fn read_stdin(&mut self) -> io::Result<Vec<u8>>;
    /// The paths a pattern with `*`, `?` or `[` matches, sorted; none when nothing does.
    fn glob(&mut self, pattern: &[u8]) -> Vec<Vec<u8>>;
    /// Enters a folder, which a line of this origin names. Returns its absolute path.
    fn change_dir(&mut self, path: &[u8], origin: Origin) -> io::Result<Vec<u8>>;
    /// Checks that a log file can be opened for appending.
    fn try_log_file(&mut self, path: &[u8]) -> io::Result<()>;
    /// True when a command has this name, for `rename-command`.
    fn knows_command(&self, name: &[u8]) -> bool;
    /// Checks that the rules of a `user` line can be read; the error is the reason. Everything
    /// passes by default.
    fn check_user(&self, _name: &[u8], _rules: &[Text]) -> Result<(), String> {
        Ok(())
    }
}

/// The place where a line stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// In a file, or on stdin.
    File,
    /// Among the directives of the command line.
    CommandLine,
}

/// The parameters that some line has named, whatever their values.
pub type Named = HashSet<&'static str>;

/// The reason why a configuration could not be read. `Display` is what goes to stderr, without the
/// last newline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoadError {
    /// A line is wrong.
    Line {
        /// Its number, from 1, in the text it stands in.
        number: usize,
        /// The line, without space at its ends.
        line: Text,
        /// Redis's words for what is wrong.
        reason: String,
        /// The origin of the line. Redis speaks of a file either way, and so does `Display`.
        origin: Origin,
    },
    /// The lines are fine one by one, but not together.
    Whole(String),
    /// A file could not be read. Redis logs this one instead of printing it.
    Unreadable {
        /// The file.
        path: Text,
        /// The operating system's words.
        reason: String,
    },
}

impl fmt::Display for LoadError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        const TITLE: &str = "\n*** FATAL CONFIG FILE ERROR (Redis 7.0.15) ***";
        match self {
            LoadError::Line { number, line, reason, .. } => {
                writeln!(out, "{TITLE}\nReading the configuration file, at line {number}")?;
                write!(out, ">>> '{line}'\n{reason}")
            }
            LoadError::Whole(reason) => write!(out, "{TITLE}\n{reason}"),
            LoadError::Unreadable { path, reason } => {
                write!(out, "Fatal error, can't open config file '{path}': {reason}")
            }
        }
    }
}

impl std::error::Error for LoadError {}

/// Reads everything a command line asks for into `config`: its file, stdin, its directives. Returns
/// what they name.
pub fn load(
    line: &CommandLine,
    config: &mut Config,
    surroundings: &mut dyn Surroundings,
) -> Result<Named, LoadError> {
    let mut reader = Reader::new(config, surroundings);
    let mut text = Vec::new();
    if let Some(path) = &line.config_file {
        text = reader.read_matching(path)?;
    }
    if line.stdin {
        let more = reader.surroundings.read_stdin();
        let unreadable = |e| LoadError::Unreadable { path: Text::from("-"), reason: os_reason(&e) };
        text.extend(as_c_text(&more.map_err(unreadable)?));
    }
    if !line.directives.is_empty() {
        text.push(b'\n');
        reader.first_directive = text.split(|byte| *byte == b'\n').count() - 1;
        text.extend_from_slice(&line.directives);
    }
    reader.read_text(&text)?;
    Ok(reader.seen)
}

/// Reads one text into `config`.
pub fn parse_file(
    text: &[u8],
    config: &mut Config,
    surroundings: &mut dyn Surroundings,
) -> Result<(), LoadError> {
    Reader::new(config, surroundings).read_text(text)
}

/// The directives that are no parameters.
pub const DIRECTIVES: &[&str] = &["include", "rename-command", "user", "loadmodule"];

/// Directives of earlier versions that are read and forgotten; each takes one argument.
const FORGOTTEN: &[&str] = &["list-max-ziplist-entries", "list-max-ziplist-value", "lua-replicate-commands"];

struct Reader<'a> {
    config: &'a mut Config,
    surroundings: &'a mut dyn Surroundings,
    /// Parameters that some line has named already.
    seen: Named,
    /// The index of the line of the outermost text at which the directives of the command line
    /// begin.
    first_directive: usize,
    depth: usize,
    files: usize,
}

impl<'a> Reader<'a> {
    fn new(config: &'a mut Config, surroundings: &'a mut dyn Surroundings) -> Reader<'a> {
        let seen = Named::new();
        Reader { config, surroundings, seen, first_directive: usize::MAX, depth: 0, files: 0 }
    }

    fn read_text(&mut self, text: &[u8]) -> Result<(), LoadError> {
        for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
            let line = trim(line);
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            let is_directive = self.depth == 0 && index >= self.first_directive;
            let origin = if is_directive { Origin::CommandLine } else { Origin::File };
            self.read_line(line, origin).map_err(|trouble| match trouble {
                Trouble::Here(reason) => {
                    LoadError::Line { number: index + 1, line: Text::from(line), reason, origin }
                }
                Trouble::Elsewhere(error) => error,
            })?;
        }
        self.check_whole()
    }

    fn read_line(&mut self, line: &[u8], origin: Origin) -> Result<(), Trouble> {
        let args = split_args(line).ok_or("Unbalanced quotes in configuration line")?;
        let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
        let Some((name, values)) = args.split_first() else { return Ok(()) };
        let Some((parameter, _)) = lookup(name) else { return self.read_directive(name, values) };
        let source = if self.seen.insert(parameter.name) { Source::FirstLine } else { Source::NextLine };
        parameter.set(self.config, values, source)?;
        if parameter.name == "dir" {
            let entered = self.surroundings.change_dir(values[0], origin).map_err(|e| os_reason(&e))?;
            self.config.dir = Text::from(entered);
        }
        Ok(())
    }

    /// The directives that are no parameters.
    fn read_directive(&mut self, name: &[u8], values: &[&[u8]]) -> Result<(), Trouble> {
        let name = name.to_ascii_lowercase();
        match (name.as_slice(), values) {
            (b"include", [path]) => self.include(path),
            (b"rename-command", [from, to]) => self.rename_command(from, to),
            (b"user", [user, rules @ ..]) => self.user(user, rules),
            (b"loadmodule", [_, ..]) => {
                self.config.modules.push(values.iter().map(|value| Text::from(*value)).collect());
                Ok(())
            }
            (b"sentinel", _) => Err("sentinel directive while not in sentinel mode".into()),
            (name, [_]) if FORGOTTEN.iter().any(|old| old.as_bytes() == name) => Ok(()),
            _ => Err("Bad directive or wrong number of arguments".into()),
        }
    }

    fn include(&mut self, path: &[u8]) -> Result<(), Trouble> {
        if self.depth == MAX_INCLUDE_DEPTH {
            return Err("Too many levels of include".into());
        }
        self.depth += 1;
        let text = self.read_matching(&Text::from(path)).map_err(Trouble::Elsewhere)?;
        self.read_text(&text).map_err(Trouble::Elsewhere)?;
        self.depth -= 1;
        Ok(())
    }

    /// The text of a file, or of all files a pattern matches.
    fn read_matching(&mut self, path: &Text) -> Result<Vec<u8>, LoadError> {
        let is_pattern = path.as_bytes().iter().any(|byte| matches!(byte, b'*' | b'?' | b'['));
        let paths = match is_pattern {
            true => self.surroundings.glob(path.as_bytes()),
            false => vec![path.as_bytes().to_vec()],
        };
        let mut text = Vec::new();
        for path in paths {
            self.files += 1;
            let read = match self.files {
                0..=MAX_CONFIG_FILES => self.surroundings.read(&path).map_err(|e| os_reason(&e)),
                _ => Err(format!("more than {MAX_CONFIG_FILES} files")),
            };
            let unreadable = |reason| LoadError::Unreadable { path: Text::from(path), reason };
            text.extend(as_c_text(&read.map_err(unreadable)?));
        }
        Ok(text)
    }

    fn rename_command(&mut self, from: &[u8], to: &[u8]) -> Result<(), Trouble> {
        if !self.command_exists(from) {
            return Err("No such command in rename-command".into());
        }
        let frees_target = from.eq_ignore_ascii_case(to);
        if !to.is_empty() && !frees_target && self.command_exists(to) {
            return Err("Target command name already exists".into());
        }
        self.config.renamed_commands.push(RenameCommand { from: Text::from(from), to: Text::from(to) });
        Ok(())
    }

    /// True when a command has this name after the renames read so far.
    fn command_exists(&self, name: &[u8]) -> bool {
        let is = |known: &Text| known.as_bytes().eq_ignore_ascii_case(name);
        self.config.renamed_commands.iter().fold(self.surroundings.knows_command(name), |exists, rename| {
            is(&rename.to) || (exists && !is(&rename.from))
        })
    }

    fn user(&mut self, name: &[u8], rules: &[&[u8]]) -> Result<(), Trouble> {
        let shown = lossless(name);
        if self.config.users.iter().any(|user| user.name.as_bytes() == name) {
            let reason = "Duplicate user found. A user can only be defined once in config files";
            return Err(format!("Error in user declaration '{shown}': {reason}").into());
        }
        let rules: Vec<Text> = rules.iter().map(|rule| Text::from(*rule)).collect();
        self.surroundings.check_user(name, &rules)?;
        self.config.users.push(UserLine { name: Text::from(name), rules });
        Ok(())
    }

    /// Checks everything that only the end of a text can tell.
    fn check_whole(&mut self) -> Result<(), LoadError> {
        if !self.config.logfile.is_empty()
            && let Err(error) = self.surroundings.try_log_file(self.config.logfile.as_bytes())
        {
            return Err(LoadError::Whole(format!("Can't open the log file: {}", os_reason(&error))));
        }
        if self.config.cluster_enabled && self.config.replicaof.is_some() {
            return Err(LoadError::Whole("replicaof directive not allowed in cluster mode".to_owned()));
        }
        self.config.hz = self.config.hz.clamp(1, MAX_HZ);
        Ok(())
    }
}

/// Redis reads lines as C strings: a NUL hides the rest of its line, newline included.
fn as_c_text(bytes: &[u8]) -> Vec<u8> {
    let lines = bytes.split_inclusive(|byte| *byte == b'\n');
    lines.flat_map(|line| line.split(|byte| *byte == 0).next()).flatten().copied().collect()
}

/// The fault of a line: something in it, or in the file it includes.
enum Trouble {
    Here(String),
    Elsewhere(LoadError),
}

impl From<String> for Trouble {
    fn from(reason: String) -> Trouble {
        Trouble::Here(reason)
    }
}

impl From<&str> for Trouble {
    fn from(reason: &str) -> Trouble {
        Trouble::Here(reason.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::super::args::parse_args;
    use super::*;
    use crate::base::text::original;

    /// The errors that a real server prints for command lines and files.
    const REAL_ERRORS: &str = include_str!("../../tests/data/config-errors-7.0.15.txt");

    /// A world of a few files and commands.
    #[derive(Default)]
    struct World {
        files: HashMap<Vec<u8>, Vec<u8>>,
        stdin: Vec<u8>,
        reads: usize,
    }

    const NO_SUCH_FILE: i32 = 2;
    const NOT_A_DIRECTORY: i32 = 20;

    impl Surroundings for World {
        fn read(&mut self, path: &[u8]) -> io::Result<Vec<u8>> {
            self.reads += 1;
            self.files.get(path).cloned().ok_or_else(|| io::Error::from_raw_os_error(NO_SUCH_FILE))
        }

        fn read_stdin(&mut self) -> io::Result<Vec<u8>> {
            Ok(self.stdin.clone())
        }

        fn glob(&mut self, pattern: &[u8]) -> Vec<Vec<u8>> {
            let prefix = pattern.split(|byte| *byte == b'*').next().unwrap_or_default();
            let mut paths: Vec<_> =
                self.files.keys().filter(|path| path.starts_with(prefix)).cloned().collect();
            paths.retain(|_| !pattern.ends_with(b".nofile"));
            paths.sort();
            paths
        }

        fn change_dir(&mut self, path: &[u8], _: Origin) -> io::Result<Vec<u8>> {
            match path {
                b"" | b"/nofile" => Err(io::Error::from_raw_os_error(NO_SUCH_FILE)),
                _ if self.files.contains_key(path) => Err(io::Error::from_raw_os_error(NOT_A_DIRECTORY)),
                _ => Ok([b"/absolute/", path].concat()),
            }
        }

        fn try_log_file(&mut self, path: &[u8]) -> io::Result<()> {
            match path.starts_with(b"/nofile/") {
                true => Err(io::Error::from_raw_os_error(NO_SUCH_FILE)),
                false => Ok(()),
            }
        }

        fn knows_command(&self, name: &[u8]) -> bool {
            ["get", "set", "incr", "config"].iter().any(|known| known.as_bytes().eq_ignore_ascii_case(name))
        }
    }

    fn read(text: &str) -> Result<Config, LoadError> {
        let mut config = Config::default();
        parse_file(text.as_bytes(), &mut config, &mut World::default()).map(|()| config)
    }

    #[test]
    fn errors_are_those_of_a_real_server() {
        let mut rows = 0;
        for block in REAL_ERRORS.split("\n> ").skip(1) {
            let mut lines = block.lines();
            let args = split_args(lines.next().expect("arguments").as_bytes()).expect("balanced");
            let mut world = World::default();
            world.files.insert(b"other.conf".to_vec(), b"hz 10\nbar\n".to_vec());
            let mut expected = "\n*** FATAL CONFIG FILE ERROR (Redis 7.0.15) ***".to_owned();
            for line in lines {
                let text = || split_args(&line.as_bytes()[2..]).expect("balanced").remove(0);
                match line.as_bytes()[0] {
                    b'=' => drop(world.files.insert(b"my.conf".to_vec(), text())),
                    b'-' => world.stdin = text(),
                    _ => expected += &format!("\n{}", &line[2..]),
                }
            }
            let got = load(&parse_args(&args), &mut Config::default(), &mut world);
            assert_eq!(
                got.map_err(|error| String::from_utf8_lossy(&original(&error.to_string())).into_owned()),
                Err(expected),
                "{block}"
            );
            rows += 1;
        }
        assert!(rows > 200, "only {rows} rows were read");
    }

    #[test]
    fn the_generated_file_of_the_test_suite_is_read() {
        let config = read(
            "always-show-logo yes\nnotify-keyspace-events KEA\ndaemonize no\npidfile /var/run/redis.pid\n\
             port 21111\ntimeout 0\nbind 127.0.0.1\nloglevel verbose\nlogfile ''\ndatabases 16\n\
             latency-monitor-threshold 1\nrepl-diskless-sync-delay 0\nrdbcompression yes\n\
             dbfilename dump.rdb\ndir ./tests/tmp/server.1.2\nslave-serve-stale-data yes\nappendonly no\n\
             appendfsync everysec\nno-appendfsync-on-rewrite no\nactiverehashing yes\n\
             enable-protected-configs yes\nenable-debug-command yes\nenable-module-command yes\n\
             propagation-error-behavior panic\nunixsocket /tmp/socket\nsave \n",
        )
        .unwrap();
        assert_eq!(config.port, 21111);
        assert_eq!(config.bind, ["127.0.0.1"]);
        assert_eq!(config.dir, "/absolute/./tests/tmp/server.1.2");
        assert_eq!(config.notify_keyspace_events.to_string(), "AKE");
        assert!(config.save.is_empty() && config.logfile.is_empty());
    }

    #[test]
    fn save_lines_add_up_but_not_to_the_defaults() {
        let rows = [
            ("", "3600 1 300 100 60 10000"),
            ("save 900 1\nsave 300 10\n", "900 1 300 10"),
            ("save 900 1 300 10\n", "900 1 300 10"),
            ("save \"900 1\"\n", "900 1"),
            ("save 900 1\nsave \"\"\n", ""),
            ("save\nsave 5 6", "5 6"),
        ];
        for (text, expected) in rows {
            assert_eq!(read(text).unwrap().get("save").unwrap(), expected.as_bytes(), "{text:?}");
        }
    }

    #[test]
    fn directives_that_are_no_parameters_are_kept_as_data() {
        let config = read(
            "user alice on '>p w' ~*\nrename-command config \"\"\nrename-command GET fetch\n\
             loadmodule /m.so a b\n",
        )
        .unwrap();
        assert_eq!(config.users[0].name, "alice");
        assert_eq!(config.users[0].rules, ["on", ">p w", "~*"].map(Text::from));
        let renames: Vec<(&[u8], &[u8])> =
            config.renamed_commands.iter().map(|r| (r.from.as_bytes(), r.to.as_bytes())).collect();
        assert_eq!(renames, [(&b"config"[..], &b""[..]), (b"GET", b"fetch")]);
        assert_eq!(config.modules, [["/m.so", "a", "b"].map(Text::from)]);
    }

    #[test]
    fn later_sources_win() {
        let mut world = World::default();
        world.files.insert(b"my.conf".to_vec(), b"hz 1\nport 1\ntimeout 1\nsave 1 1\n".to_vec());
        world.stdin = b"port 2\ntimeout 2\nsave 2 2".to_vec();
        let mut config = Config::default();
        let line = parse_args(&["my.conf", "--timeout", "3", "--save", "3 3", "-"]);
        load(&line, &mut config, &mut world).unwrap();
        assert_eq!((config.hz, config.port, config.timeout), (1, 2, 3));
        assert_eq!(config.get("save").unwrap(), b"1 1 2 2 3 3");
    }

    #[test]
    fn an_error_knows_whether_its_line_is_of_the_command_line() {
        let mut world = World::default();
        world.files.insert(b"fine.conf".to_vec(), b"hz 10\n".to_vec());
        world.files.insert(b"bad.conf".to_vec(), b"hz 10\nbar\n\n\nbar".to_vec());
        for (words, expected) in [
            (&["fine.conf", "--bar", "1"][..], Origin::CommandLine),
            (&["--bar"], Origin::CommandLine),
            (&["--hz", "1", "--bar", "1"], Origin::CommandLine),
            (&["bad.conf"], Origin::File),
            (&["bad.conf", "--hz", "1"], Origin::File),
            (&["--hz", "1", "--include", "bad.conf"], Origin::File),
        ] {
            let error = load(&parse_args(words), &mut Config::default(), &mut world).unwrap_err();
            assert!(
                matches!(error, LoadError::Line { origin, .. } if origin == expected),
                "{words:?}: {error:?}"
            );
        }
        let named = load(&parse_args(&["fine.conf", "--PORT", "6379"]), &mut Config::default(), &mut world);
        assert_eq!(named, Ok(Named::from(["hz", "port"])));
    }

    #[test]
    fn includes_are_read_in_place_and_by_pattern() {
        let mut world = World::default();
        world.files.insert(b"a1.conf".to_vec(), b"hz 11\nport 11\n".to_vec());
        world.files.insert(b"a2.conf".to_vec(), b"port 12\n".to_vec());
        let mut config = Config::default();
        parse_file(b"hz 5\nport 5\ninclude a*.conf\ntimeout 7\n", &mut config, &mut world).unwrap();
        assert_eq!((config.hz, config.port, config.timeout), (11, 12, 7));
        let missing = parse_file(b"include nofile\n", &mut config, &mut world).unwrap_err();
        assert_eq!(
            missing.to_string(),
            "Fatal error, can't open config file 'nofile': No such file or directory"
        );
    }

    #[test]
    fn includes_that_never_end_are_refused() {
        let mut world = World::default();
        world.files.insert(b"loop.conf".to_vec(), b"include loop.conf\n".to_vec());
        let error = parse_file(b"include loop.conf\n", &mut Config::default(), &mut world).unwrap_err();
        assert!(error.to_string().ends_with("Too many levels of include"), "{error}");
        assert_eq!(world.reads, MAX_INCLUDE_DEPTH);

        let mut world = World::default();
        for depth in 0..MAX_INCLUDE_DEPTH {
            let text = format!("include {0}\ninclude {0}\n", depth + 1);
            world.files.insert(depth.to_string().into_bytes(), text.into_bytes());
        }
        world.files.insert(MAX_INCLUDE_DEPTH.to_string().into_bytes(), Vec::new());
        let error = parse_file(b"include 1\n", &mut Config::default(), &mut world).unwrap_err();
        assert!(error.to_string().contains("more than 1000 files"), "{error}");
        assert_eq!(world.reads, MAX_CONFIG_FILES);
    }

    #[test]
    fn hz_is_brought_into_its_bounds() {
        assert_eq!(read("hz 0\n").unwrap().hz, 1);
        assert_eq!(read("hz 100000\n").unwrap().hz, 500);
    }
}
