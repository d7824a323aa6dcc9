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
use super::kind::Source;
use super::text::Text;
use super::{Config, RenameCommand, UserLine, lookup};
use crate::base::text::split_args;

/// How deep `include` may nest.
pub const MAX_INCLUDE_DEPTH: usize = 32;
/// How many files one configuration may consist of.
pub const MAX_CONFIG_FILES: usize = 1000;

/// What reading a configuration needs from the world.
pub trait Surroundings {
    /// The bytes of a file; relative paths are relative to the working folder of the moment.
    fn read(&mut self, path: &[u8]) -> io::Result<Vec<u8>>;
    /// Everything on stdin.
    fn read_stdin(&mut self) -> io::Result<Vec<u8>>;
    /// The paths a pattern with `*`, `?` or `[` matches, sorted; none when nothing does.
    fn glob(&mut self, pattern: &[u8]) -> Vec<Vec<u8>>;
    /// Enters a folder. Returns its absolute path.
    fn change_dir(&mut self, path: &[u8]) -> io::Result<Vec<u8>>;
    /// Whether a log file can be opened for appending.
    fn try_log_file(&mut self, path: &[u8]) -> io::Result<()>;
    /// Whether a command has this name, for `rename-command`.
    fn knows_command(&self, name: &[u8]) -> bool;
    /// Whether the rules of a `user` line can be read; else the reason. Everything passes by default.
    fn check_user(&self, _name: &[u8], _rules: &[Text]) -> Result<(), String> {
        Ok(())
    }
}

/// Why a configuration could not be read. `Display` is what goes to stderr, without the last newline.
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
            LoadError::Line { number, line, reason } => {
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

/// Reads everything a command line asks for into `config`: its file, stdin, its directives.
pub fn load(
    line: &CommandLine,
    config: &mut Config,
    surroundings: &mut dyn Surroundings,
) -> Result<(), LoadError> {
    let mut reader = Reader::new(config, surroundings);
    let mut text = Vec::new();
    if let Some(path) = &line.config_file {
        text = reader.read_matching(path)?;
    }
    if line.stdin {
        let more = reader.surroundings.read_stdin();
        let unreadable = |e| LoadError::Unreadable { path: Text::from("-"), reason: os_reason(&e) };
        text.extend(more.map_err(unreadable)?);
    }
    if !line.directives.is_empty() {
        text.push(b'\n');
        text.extend_from_slice(&line.directives);
    }
    reader.read_text(&text)
}

/// Reads one text into `config`.
pub fn parse_file(
    text: &[u8],
    config: &mut Config,
    surroundings: &mut dyn Surroundings,
) -> Result<(), LoadError> {
    Reader::new(config, surroundings).read_text(text)
}

/// Directives of earlier versions that are read and forgotten; each takes one argument.
const FORGOTTEN: &[&str] = &["list-max-ziplist-entries", "list-max-ziplist-value", "lua-replicate-commands"];

struct Reader<'a> {
    config: &'a mut Config,
    surroundings: &'a mut dyn Surroundings,
    /// Parameters that some line has named already.
    seen: HashSet<&'static str>,
    depth: usize,
    files: usize,
}

impl<'a> Reader<'a> {
    fn new(config: &'a mut Config, surroundings: &'a mut dyn Surroundings) -> Reader<'a> {
        Reader { config, surroundings, seen: HashSet::new(), depth: 0, files: 0 }
    }

    fn read_text(&mut self, text: &[u8]) -> Result<(), LoadError> {
        for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
            let line = line.trim_ascii();
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            self.read_line(line).map_err(|trouble| match trouble {
                Trouble::Here(reason) => {
                    LoadError::Line { number: index + 1, line: Text::from(line), reason }
                }
                Trouble::Elsewhere(error) => error,
            })?;
        }
        self.check_whole()
    }

    fn read_line(&mut self, line: &[u8]) -> Result<(), Trouble> {
        let args = split_args(line).ok_or("Unbalanced quotes in configuration line")?;
        let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
        let Some((name, values)) = args.split_first() else { return Ok(()) };
        let Some((parameter, _)) = lookup(name) else { return self.read_directive(name, values) };
        let source = if self.seen.insert(parameter.name) { Source::FirstLine } else { Source::NextLine };
        parameter.set(self.config, values, source)?;
        if parameter.name == "dir" {
            let entered = self.surroundings.change_dir(values[0]).map_err(|e| os_reason(&e))?;
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
            text.extend(read.map_err(unreadable)?);
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

    /// Whether a command has this name after the renames read so far.
    fn command_exists(&self, name: &[u8]) -> bool {
        let is = |known: &Text| known.as_bytes().eq_ignore_ascii_case(name);
        self.config.renamed_commands.iter().fold(self.surroundings.knows_command(name), |exists, rename| {
            is(&rename.to) || (exists && !is(&rename.from))
        })
    }

    fn user(&mut self, name: &[u8], rules: &[&[u8]]) -> Result<(), Trouble> {
        let shown = String::from_utf8_lossy(name);
        if self.config.users.iter().any(|user| user.name.as_bytes() == name) {
            let reason = "Duplicate user found. A user can only be defined once in config files";
            return Err(format!("Error in user declaration '{shown}': {reason}").into());
        }
        let rules: Vec<Text> = rules.iter().map(|rule| Text::from(*rule)).collect();
        self.surroundings.check_user(name, &rules)?;
        self.config.users.push(UserLine { name: Text::from(name), rules });
        Ok(())
    }

    /// What only the end of a text can tell.
    fn check_whole(&mut self) -> Result<(), LoadError> {
        if !self.config.logfile.is_empty()
            && let Err(error) = self.surroundings.try_log_file(self.config.logfile.as_bytes())
        {
            return Err(LoadError::Whole(format!("Can't open the log file: {}", os_reason(&error))));
        }
        if self.config.cluster_enabled && self.config.replicaof.is_some() {
            return Err(LoadError::Whole("replicaof directive not allowed in cluster mode".to_owned()));
        }
        self.config.hz = self.config.hz.clamp(1, super::MAX_HZ);
        Ok(())
    }
}

/// What went wrong with a line: something in it, or in the file it includes.
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

/// The operating system's words, without the number Rust adds to them.
fn os_reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}
