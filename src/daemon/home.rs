//! The folder in which `start` and its siblings keep files that nobody has named a place for.
//!
//! A server that is started in the background must find its data again, from whatever folder it is
//! started. So it has a home: `pyredis` in the user's state folder (XDG Base Directory
//! Specification). A folder belongs to one server, and so does a PID file: those of another port
//! than 6379 carry it, `pyredis-7000`.

use std::ffi::OsString;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::config::Config;

/// The name of the log in a server's folder.
pub const LOG_FILE: &str = "pyredis.log";
/// The mode that the specification wants for folders above ours that are not there yet.
const STATE_MODE: u32 = 0o700;
/// Of the home itself: a group may be let in to read backups.
const HOME_MODE: u32 = 0o750;

/// The home of the server of this port, or None where the user has no home folder. `user_home` is
/// theirs.
pub fn folder(
    port: u16,
    variable: impl Fn(&str) -> Option<OsString>,
    user_home: Option<PathBuf>,
) -> Option<PathBuf> {
    // The specification: what is not absolute does not count.
    let state = variable("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let state = state.or_else(|| Some(user_home.filter(|home| home.is_absolute())?.join(".local/state")))?;
    Some(state.join(name(port)))
}

/// The PID file of the server of this port, where none is named.
pub fn pid_file(port: u16) -> PathBuf {
    Path::new("/tmp").join(name(port) + ".pid")
}

fn name(port: u16) -> String {
    if port == Config::default().port { "pyredis".to_owned() } else { format!("pyredis-{port}") }
}

/// Makes the folder, and those above it, unless it is there.
pub fn create(home: &Path) -> io::Result<()> {
    if home.is_dir() {
        return Ok(());
    }
    if let Some(state) = home.parent() {
        DirBuilder::new().recursive(true).mode(STATE_MODE).create(state)?;
    }
    match DirBuilder::new().mode(HOME_MODE).create(home) {
        // Somebody else may have been faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => fs::metadata(home).map(drop),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_home_is_in_the_state_folder_and_belongs_to_one_port() {
        for (port, state, home, expected) in [
            (6379, None, Some("/home/ann"), Some("/home/ann/.local/state/pyredis")),
            (7000, None, Some("/home/ann"), Some("/home/ann/.local/state/pyredis-7000")),
            (6379, Some("/var/state"), Some("/home/ann"), Some("/var/state/pyredis")),
            (6379, Some("/var/state"), None, Some("/var/state/pyredis")),
            (6379, Some("state"), Some("/home/ann"), Some("/home/ann/.local/state/pyredis")),
            (6379, Some(""), Some("/home/ann"), Some("/home/ann/.local/state/pyredis")),
            (6379, Some("state"), None, None),
            (6379, None, Some(""), None),
            (6379, None, Some("ann"), None),
        ] {
            let variable =
                |name: &str| (name == "XDG_STATE_HOME").then(|| state.map(OsString::from)).flatten();
            let found = folder(port, variable, home.map(PathBuf::from));
            assert_eq!(found, expected.map(PathBuf::from), "{port} {state:?} {home:?}");
        }
        assert_eq!(pid_file(6379), Path::new("/tmp/pyredis.pid"));
        assert_eq!(pid_file(7000), Path::new("/tmp/pyredis-7000.pid"));
        assert_eq!(Config::default().pidfile.to_string(), pid_file(Config::default().port).to_str().unwrap());
    }

    #[test]
    fn the_home_is_made_with_what_is_above_it() {
        let above = tempfile::tempdir().unwrap();
        let home = above.path().join("state/pyredis");
        create(&home).unwrap();
        create(&home).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        // The umask of the tests may take away more.
        assert_eq!(mode(&home) & !HOME_MODE, 0);
        assert_eq!(mode(home.parent().unwrap()) & !STATE_MODE, 0);
        fs::write(above.path().join("file"), "").unwrap();
        assert!(create(&above.path().join("file/pyredis")).is_err());
    }
}
