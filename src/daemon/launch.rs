//! From the command line to a [`Config`]: the world as the config room sees it.
//!
//! [`Launch::read`] does what redis-server does while it reads its configuration: it enters `dir`,
//! wherever one stands, and tries the log file. [`Launch::find`] reads the same for `start` and its
//! siblings and touches nothing: a data folder that has gone is no reason not to stop. There the
//! same words mean the same server from every folder: what a file says is relative to the folder of
//! that file, and what nobody says is at [`home`]. [`Launch::enter`] then goes there.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::{env, fs};

use super::home;
use super::supervisor::Supervisor;
use crate::acl::{self, Catalog, Rulebook};
use crate::base::glob::{Budget, Case, TooMuch, glob_match};
use crate::base::text::os_reason;
use crate::commands;
use crate::config::{self, Config, LoadError, Named, Origin, Surroundings, Text};

/// Everything a start needs to know.
pub struct Launch {
    /// The parameters.
    pub config: Config,
    /// The configuration file, absolute; None without one.
    pub config_file: Option<PathBuf>,
    /// True when anything was configured at all.
    pub configured: bool,
    /// The parameters that were named.
    named: Named,
}

/// The reason why there is nothing to start.
pub enum LaunchError {
    /// `dir` cannot be entered.
    Folder {
        /// As configured.
        path: PathBuf,
        /// The error of the system.
        reason: String,
        /// The same in the words and lines of Redis.
        error: LoadError,
    },
    /// Anything else, in the words and lines of Redis.
    Config(LoadError),
}

impl Launch {
    /// Reads file, stdin and directives as redis-server does. The working folder is `dir`
    /// afterwards.
    pub fn read(args: &[OsString]) -> Result<Self, LaunchError> {
        let mut world = World { bases: None, refused: None };
        let mut launch = Self::load(args, &mut world).map_err(|error| match world.refused.take() {
            Some((path, reason)) => LaunchError::Folder { path, reason, error },
            None => LaunchError::Config(error),
        })?;
        // Redis: `dir` is told by its full path, configured or not.
        if !launch.names("dir")
            && let Ok(folder) = env::current_dir()
        {
            launch.config.dir = text_of(&folder);
        }
        if launch.config.daemonize && !launch.names("pidfile") {
            launch.config.pidfile = text_of(&home::pid_file(launch.config.port));
        }
        Ok(launch)
    }

    /// Reads the same for `start` and its siblings. Changes nothing and creates nothing.
    pub fn find(args: &[OsString]) -> Result<Self, LoadError> {
        let caller = env::current_dir().unwrap_or_default();
        let mut world = World { bases: Some(Bases { file: caller.clone(), caller }), refused: None };
        let mut launch = Self::load(args, &mut world)?;
        let port = launch.config.port;
        // `pidfile ""` means none to redis-server; `start` and `stop` cannot do without.
        if !launch.names("pidfile") || launch.config.pidfile.is_empty() {
            launch.config.pidfile = text_of(&home::pid_file(port));
        }
        if !launch.names("dir")
            && let Some(home) = home::folder(port, |name| env::var_os(name), env::home_dir())
        {
            launch.config.dir = text_of(&home);
        }
        Ok(launch)
    }

    /// Makes `dir` the working folder, and the home first if it is that. Errors in words for the
    /// user.
    pub fn enter(&mut self) -> Result<(), String> {
        let dir = path_of(&self.config.dir).to_owned();
        if self.config.dir == Config::default().dir {
            return Err("you have no home folder to keep the data in; name a folder with --dir".to_owned());
        }
        if !self.names("dir")
            && let Err(error) = home::create(&dir)
        {
            return Err(format!(
                "can't make the folder {}: {}; name another one with --dir",
                dir.display(),
                os_reason(&error)
            ));
        }
        let entered = env::set_current_dir(&dir).and_then(|()| env::current_dir());
        let folder = entered
            .map_err(|error| format!("can't use the folder {}: {}", dir.display(), os_reason(&error)))?;
        self.config.dir = text_of(&folder);
        Ok(())
    }

    /// Tries the log file, in the working folder. Errors in words for the user.
    pub fn try_log_file(&self) -> Result<(), String> {
        if !self.config.logfile.is_empty() {
            let path = path_of(&self.config.logfile);
            super::log::open(path).map_err(|error| {
                format!("can't open the log file {}: {}", path.display(), os_reason(&error))
            })?;
        }
        Ok(())
    }

    /// Gives a server that nobody sees a log file in its folder, unless something was said about
    /// one.
    pub fn log_to_folder(&mut self) {
        if !self.names("logfile") {
            self.config.logfile = text_of(Path::new(home::LOG_FILE));
        }
    }

    /// The log file, absolute; None where there is none.
    pub fn log_file(&self) -> Option<PathBuf> {
        (!self.config.logfile.is_empty()).then(|| self.in_folder(&self.config.logfile))
    }

    /// The PID file, absolute.
    pub fn pid_file(&self) -> PathBuf {
        self.in_folder(&self.config.pidfile)
    }

    /// A path of the configuration, which is relative to `dir`.
    fn in_folder(&self, path: &Text) -> PathBuf {
        absolute(&path_of(&self.config.dir).join(path_of(path)))
    }

    /// Returns the program that waits for word of this process.
    pub fn supervisor(&self) -> Supervisor {
        Supervisor::of(self.config.supervised, |name| env::var_os(name))
    }

    /// True when the configuration names a PID file of its own.
    pub fn names_pid_file(&self) -> bool {
        self.names("pidfile") && !self.config.pidfile.is_empty()
    }

    fn names(&self, parameter: &str) -> bool {
        self.named.contains(parameter)
    }

    fn load(args: &[OsString], world: &mut World) -> Result<Self, LoadError> {
        let words: Vec<&[u8]> = args.iter().map(|arg| arg.as_bytes()).collect();
        let mut line = config::parse_args(&words);
        // Before `dir` is entered.
        let config_file = line.config_file.as_ref().map(|path| absolute(path_of(path)));
        line.config_file = config_file.as_deref().map(text_of);
        if let (Some(bases), Some(folder)) = (&mut world.bases, config_file.as_deref().and_then(Path::parent))
        {
            bases.file = folder.into();
        }
        let mut config = Config::default();
        let named = config::load(&line, &mut config, world)?;
        Ok(Self { config, config_file, configured: !args.is_empty(), named })
    }
}

/// A text parameter as a path.
pub fn path_of(text: &Text) -> &Path {
    Path::new(OsStr::from_bytes(text.as_bytes()))
}

/// A path as a text parameter.
fn text_of(path: &Path) -> Text {
    Text::from(path.as_os_str().as_bytes())
}

/// `text` with `new` wherever `old`, of the same length, stands.
fn replaced(text: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let mut text = text.to_vec();
    for start in 0..text.len().saturating_sub(old.len() - 1) {
        if text[start..].starts_with(old) {
            text[start..start + new.len()].copy_from_slice(new);
        }
    }
    text
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.into())
}

struct World {
    /// The folders where relative paths start when only looking; None when the working folder does
    /// move.
    bases: Option<Bases>,
    /// The folder that could not be entered, and why.
    refused: Option<(PathBuf, String)>,
}

/// The folders where relative paths start. As with the working folder, a `dir` moves it for what
/// follows.
struct Bases {
    /// Those of the configuration file: its folder.
    file: PathBuf,
    /// Those of the command line: where the user stands.
    caller: PathBuf,
}

impl World {
    /// Returns the paths in `folders` under a name that matches.
    fn matching(&self, folders: &[PathBuf], pattern: &[u8]) -> Result<Vec<PathBuf>, TooMuch> {
        let mut budget = Budget::COMMAND;
        let hidden_wanted = pattern.starts_with(b".");
        let mut found = Vec::new();
        for folder in folders {
            let place = self.resolve(if folder == Path::new("") { Path::new(".") } else { folder });
            let Ok(entries) = fs::read_dir(place) else { continue };
            for name in entries.flatten().map(|entry| entry.file_name()) {
                let is_wanted = hidden_wanted || !name.as_bytes().starts_with(b".");
                if is_wanted && glob_match(pattern, name.as_bytes(), Case::Sensitive, &mut budget)? {
                    found.push(folder.join(name));
                }
            }
        }
        Ok(found)
    }

    fn resolve(&self, path: &Path) -> PathBuf {
        match &self.bases {
            Some(bases) => bases.file.join(path),
            None => path.into(),
        }
    }
}

impl Surroundings for World {
    fn read(&mut self, path: &[u8]) -> io::Result<Vec<u8>> {
        fs::read(self.resolve(Path::new(OsStr::from_bytes(path))))
    }

    fn read_stdin(&mut self) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        io::stdin().lock().read_to_end(&mut text)?;
        Ok(text)
    }

    /// Wildcards are understood in every part of the path, as glob(3) has them.
    fn glob(&mut self, pattern: &[u8]) -> Vec<Vec<u8>> {
        // glob(3) also takes the `!` of shells.
        let pattern = replaced(pattern, b"[!", b"[^");
        let mut found = vec![PathBuf::new()];
        for part in Path::new(OsStr::from_bytes(&pattern)).components() {
            let name = part.as_os_str();
            if name.as_bytes().iter().any(|byte| b"*?[".contains(byte)) {
                // A pattern that takes too long to match is no file's name, and told of as a file
                // that is not there.
                let Ok(matching) = self.matching(&found, name.as_bytes()) else { return vec![pattern] };
                found = matching;
            } else {
                found.iter_mut().for_each(|path| path.push(name));
            }
        }
        found.retain(|path| self.resolve(path).exists());
        found.sort();
        found.into_iter().map(|path| path.into_os_string().into_vec()).collect()
    }

    fn change_dir(&mut self, path: &[u8], origin: Origin) -> io::Result<Vec<u8>> {
        let path = Path::new(OsStr::from_bytes(path));
        if let Some(bases) = &mut self.bases {
            let base = match origin {
                Origin::File => &mut bases.file,
                Origin::CommandLine => &mut bases.caller,
            };
            *base = base.join(path);
            return Ok(base.as_os_str().as_bytes().to_vec());
        }
        match env::set_current_dir(path).and_then(|()| env::current_dir()) {
            Ok(folder) => Ok(folder.into_os_string().into_vec()),
            Err(error) => {
                self.refused = Some((path.into(), os_reason(&error)));
                Err(error)
            }
        }
    }

    fn try_log_file(&mut self, path: &[u8]) -> io::Result<()> {
        match self.bases {
            Some(_) => Ok(()),
            None => super::log::open(Path::new(OsStr::from_bytes(path))).map(drop),
        }
    }

    fn knows_command(&self, name: &[u8]) -> bool {
        commands::table().is_taken(name)
    }

    fn check_user(&self, name: &[u8], rules: &[Text]) -> Result<(), String> {
        let table = commands::table();
        let catalog = Catalog::new(table.named_in_rules(), table.aliases());
        let words: Vec<&[u8]> = [b"user", name].into_iter().chain(rules.iter().map(Text::as_bytes)).collect();
        acl::check_user_line(&words, Rulebook { catalog: &catalog, all_channels: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(line: &str) -> Vec<OsString> {
        line.split(' ').filter(|word| !word.is_empty()).map(|word| word.replace("''", "").into()).collect()
    }

    #[test]
    fn pid_file_is_found_without_entering_a_folder() {
        let here = env::current_dir().unwrap();
        let home = home::folder(6379, |name| env::var_os(name), env::home_dir()).unwrap();
        for (line, expected) in [
            ("", PathBuf::from("/tmp/pyredis.pid")),
            ("--pidfile ''", "/tmp/pyredis.pid".into()),
            ("--pidfile a.pid --dir .", here.join("a.pid")),
            ("--pidfile a.pid", home.join("a.pid")),
            ("--dir /no/such/folder --pidfile a.pid", "/no/such/folder/a.pid".into()),
            ("--dir /no/such --dir folder --pidfile a.pid", "/no/such/folder/a.pid".into()),
            ("--logfile /no/such/log --pidfile /run/a.pid", "/run/a.pid".into()),
        ] {
            assert_eq!(Launch::find(&args(line)).unwrap().pid_file(), expected, "{line}");
        }
        assert_eq!(env::current_dir().unwrap(), here);
        assert!(Launch::find(&args("--nonsense 1")).is_err());
    }

    #[test]
    fn folders_are_the_same_wherever_one_stands() {
        let folder = tempfile::tempdir().unwrap();
        let here = env::current_dir().unwrap();
        let home = home::folder(7000, |name| env::var_os(name), env::home_dir()).unwrap();
        for (text, line, dir, pid_file) in [
            ("port 7000", "", home.clone(), "/tmp/pyredis-7000.pid".into()),
            ("port 7000\ndir data", "", folder.path().join("data"), "/tmp/pyredis-7000.pid".into()),
            ("port 7000\ndir data\npidfile p", "", folder.path().join("data"), folder.path().join("data/p")),
            (
                "port 7000\ndir data\ndir more",
                "",
                folder.path().join("data/more"),
                "/tmp/pyredis-7000.pid".into(),
            ),
            ("dir data", "--dir mine", here.join("mine"), "/tmp/pyredis.pid".into()),
            ("dir /a\npidfile /tmp/pyredis.pid", "--port 7000", "/a".into(), "/tmp/pyredis.pid".into()),
            ("include more.conf", "", folder.path().join("included"), "/tmp/pyredis.pid".into()),
        ] {
            let file = folder.path().join("my.conf");
            fs::write(&file, text).unwrap();
            fs::write(folder.path().join("more.conf"), "dir included").unwrap();
            let mut words = vec![file.into_os_string()];
            words.extend(args(line));
            let launch = Launch::find(&words).unwrap();
            assert_eq!(path_of(&launch.config.dir), dir, "{text} {line}");
            assert_eq!(launch.pid_file(), pid_file, "{text} {line}");
        }
    }

    #[test]
    fn a_log_file_is_named_where_nobody_has() {
        for (line, expected) in [
            ("--dir /a", Some("/a/pyredis.log")),
            ("--dir /a --logfile b", Some("/a/b")),
            ("--dir /a --logfile /b", Some("/b")),
            ("--dir /a --logfile ''", None),
        ] {
            let mut launch = Launch::find(&args(line)).unwrap();
            launch.log_to_folder();
            assert_eq!(launch.log_file().as_deref(), expected.map(Path::new), "{line}");
        }
    }

    #[test]
    fn include_patterns_match_every_part_of_a_path() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.conf", "a.conf", ".hidden.conf", "a.txt"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let mut world = World {
            bases: Some(Bases { file: folder.path().into(), caller: PathBuf::new() }),
            refused: None,
        };
        assert_eq!(world.glob(b"*.conf"), [b"a.conf".to_vec(), b"b.conf".to_vec()]);
        assert_eq!(world.glob(b"./.*.conf"), [b"./.hidden.conf".to_vec()]);
        assert!(world.glob(b"missing/*.conf").is_empty());
        for name in ["one", "two", "three"] {
            fs::create_dir(folder.path().join(name)).unwrap();
            fs::write(folder.path().join(name).join("x.conf"), "").unwrap();
        }
        fs::remove_file(folder.path().join("three/x.conf")).unwrap();
        assert_eq!(world.glob(b"*/x.conf"), [b"one/x.conf".to_vec(), b"two/x.conf".to_vec()]);
        assert_eq!(world.glob(b"t*/?.c[a-z]nf"), [b"two/x.conf".to_vec()]);
        assert_eq!(world.glob(b"[!o]*/x.conf"), [b"two/x.conf".to_vec()]);
        let all = [folder.path().as_os_str().as_bytes(), b"/*/*.conf"].concat();
        assert_eq!(world.glob(&all).len(), 2);
    }
}
