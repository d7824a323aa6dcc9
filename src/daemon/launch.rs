//! From the command line to a [`Config`]: the world as the config room sees it.
//!
//! [`Launch::read`] does what a server does while it reads its configuration: it enters `dir` and
//! tries the log file. [`find_pid_file`] reads the same configuration to know which server `stop` and
//! `status` mean, and touches nothing: a data folder that has gone is no reason not to stop.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::{env, fs};

use super::reason;
use super::supervisor::Supervisor;
use crate::acl::{self, Catalog, Rulebook};
use crate::base::glob::{Case, glob_match};
use crate::commands;
use crate::config::{self, Config, LoadError, Surroundings, Text};

/// Everything a start needs to know.
pub struct Launch {
    /// The parameters.
    pub config: Config,
    /// The configuration file, absolute; None without one.
    pub config_file: Option<PathBuf>,
    /// Whether anything was configured at all.
    pub configured: bool,
}

/// Why there is nothing to start.
pub enum LaunchError {
    /// `dir` cannot be entered.
    Folder {
        /// As configured.
        path: PathBuf,
        /// What the system said.
        reason: String,
        /// The same in the words and lines of Redis.
        error: LoadError,
    },
    /// Anything else, in the words and lines of Redis.
    Config(LoadError),
}

impl Launch {
    /// Reads file, stdin and directives. The working folder is `dir` afterwards.
    pub fn read(args: &[OsString]) -> Result<Self, LaunchError> {
        let mut world = World { folder: None, refused: None };
        let (config, config_file) = load(args, &mut world).map_err(|error| match world.refused.take() {
            Some((path, reason)) => LaunchError::Folder { path, reason, error },
            None => LaunchError::Config(error),
        })?;
        Ok(Self { config, config_file, configured: !args.is_empty() })
    }

    /// The PID file, absolute.
    pub fn pid_file(&self) -> PathBuf {
        absolute(path_of(&pid_file_text(&self.config)))
    }

    /// Who waits for word of this process.
    pub fn supervisor(&self) -> Supervisor {
        Supervisor::of(self.config.supervised, |name| env::var_os(name))
    }

    /// Whether the configuration names a PID file of its own.
    pub fn names_pid_file(&self) -> bool {
        self.config.pidfile != Config::default().pidfile && !self.config.pidfile.is_empty()
    }
}

/// The PID file of this configuration, absolute. Changes nothing and creates nothing.
pub fn find_pid_file(args: &[OsString]) -> Result<PathBuf, LoadError> {
    let mut world = World { folder: Some(env::current_dir().unwrap_or_default()), refused: None };
    let (config, _) = load(args, &mut world)?;
    Ok(world.resolve(path_of(&pid_file_text(&config))))
}

/// `pidfile ""` means none to redis-server; `start` and `stop` cannot do without, and take the usual one.
fn pid_file_text(config: &Config) -> Text {
    if config.pidfile.is_empty() { Config::default().pidfile } else { config.pidfile.clone() }
}

fn load(args: &[OsString], world: &mut World) -> Result<(Config, Option<PathBuf>), LoadError> {
    let words: Vec<&[u8]> = args.iter().map(|arg| arg.as_bytes()).collect();
    let mut line = config::parse_args(&words);
    // Before `dir` is entered.
    let config_file = line.config_file.as_ref().map(|path| world.resolve(&absolute(path_of(path))));
    line.config_file = config_file.as_ref().map(|path| Text::from(path.as_os_str().as_bytes()));
    let mut config = Config::default();
    config::load(&line, &mut config, world)?;
    // Redis: `dir` is told by its full path, configured or not.
    if config.dir == Config::default().dir
        && world.folder.is_none()
        && let Ok(folder) = env::current_dir()
    {
        config.dir = Text::from(folder.as_os_str().as_bytes());
    }
    Ok((config, config_file))
}

/// A text parameter as a path.
pub fn path_of(text: &Text) -> &Path {
    Path::new(OsStr::from_bytes(text.as_bytes()))
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
    /// Where relative paths start when only looking; None when the working folder does move.
    folder: Option<PathBuf>,
    /// The folder that could not be entered, and why.
    refused: Option<(PathBuf, String)>,
}

impl World {
    /// What lies in `folder` under a name that matches.
    fn matching(&self, folder: &Path, pattern: &[u8]) -> Vec<PathBuf> {
        let place = self.resolve(if folder == Path::new("") { Path::new(".") } else { folder });
        let Ok(entries) = fs::read_dir(place) else { return Vec::new() };
        let hidden_wanted = pattern.starts_with(b".");
        let names = entries.flatten().map(|entry| entry.file_name());
        names
            .filter(|name| hidden_wanted || !name.as_bytes().starts_with(b"."))
            .filter(|name| glob_match(pattern, name.as_bytes(), Case::Sensitive))
            .map(|name| folder.join(name))
            .collect()
    }

    fn resolve(&self, path: &Path) -> PathBuf {
        match &self.folder {
            Some(folder) => folder.join(path),
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
                found = found.iter().flat_map(|folder| self.matching(folder, name.as_bytes())).collect();
            } else {
                found.iter_mut().for_each(|path| path.push(name));
            }
        }
        found.retain(|path| self.resolve(path).exists());
        found.sort();
        found.into_iter().map(|path| path.into_os_string().into_vec()).collect()
    }

    fn change_dir(&mut self, path: &[u8]) -> io::Result<Vec<u8>> {
        let path = Path::new(OsStr::from_bytes(path));
        if self.folder.is_some() {
            let folder = self.resolve(path);
            self.folder = Some(folder.clone());
            return Ok(folder.into_os_string().into_vec());
        }
        match env::set_current_dir(path).and_then(|()| env::current_dir()) {
            Ok(folder) => Ok(folder.into_os_string().into_vec()),
            Err(error) => {
                self.refused = Some((path.into(), reason(&error)));
                Err(error)
            }
        }
    }

    fn try_log_file(&mut self, path: &[u8]) -> io::Result<()> {
        match self.folder {
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
        for (line, expected) in [
            ("", PathBuf::from("/tmp/pyredis.pid")),
            ("--pidfile ''", "/tmp/pyredis.pid".into()),
            ("--pidfile a.pid", here.join("a.pid")),
            ("--dir /no/such/folder --pidfile a.pid", "/no/such/folder/a.pid".into()),
            ("--dir /no/such --dir folder --pidfile a.pid", "/no/such/folder/a.pid".into()),
            ("--logfile /no/such/log --pidfile /run/a.pid", "/run/a.pid".into()),
        ] {
            assert_eq!(find_pid_file(&args(line)).unwrap(), expected, "{line}");
        }
        assert_eq!(env::current_dir().unwrap(), here);
        assert!(find_pid_file(&args("--nonsense 1")).is_err());
    }

    #[test]
    fn include_patterns_match_every_part_of_a_path() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.conf", "a.conf", ".hidden.conf", "a.txt"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let mut world = World { folder: Some(folder.path().into()), refused: None };
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
