//! The process title: what `ps` and `/proc/PID/cmdline` show in the place of the command line.
//!
//! ```text
//! arg_start              arg_end = env_start                     env_end
//!     │ redis-server\0x.conf\0 │ PATH=/usr/bin\0HOME=/root\0 … \0 │
//! ```
//!
//! Linux shows the memory in which a process was handed its arguments; whoever writes over it
//! changes the title. Behind it lies the environment, which gives the room for a long title:
//! [`Area::claim`] moves it to the heap first. The memory is written through `/proc/self/mem`, so
//! that no pointer is needed. If the system forbids any of this, the title stays the command line,
//! and nothing else is lost.

use std::ffi::{OsStr, OsString};
use std::fs::{self, OpenOptions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;

use super::sys;
use crate::config::{Config, expand_title};

/// The title of this process.
pub struct Title {
    program: OsString,
    area: Option<Area>,
}

impl Title {
    /// Takes hold of the memory the kernel shows. No other thread may run yet, for it moves the
    /// environment; and once a title is shown nobody may ask for the arguments any more.
    pub fn claim() -> Title {
        let program = std::env::args_os().next().unwrap_or_default();
        Title { program, area: Area::claim() }
    }

    /// A title that shows nothing.
    #[cfg(test)]
    pub fn nowhere() -> Title {
        Title { program: OsString::new(), area: None }
    }

    /// Shows what `proc-title-template` makes of the configuration. Errors in words.
    pub fn show(&self, config: &Config, config_file: &str) -> Result<(), String> {
        let title = expand(config, config_file, &self.program).ok_or("failed to set process title")?;
        if let Some(area) = &self.area
            && let Err(error) = area.write(&title)
        {
            log::debug!("The process title stays as it is: {error}");
        }
        Ok(())
    }
}

/// The title in words, as Redis has it; `None` for a template that means nothing.
fn expand(config: &Config, config_file: &str, program: &OsStr) -> Option<Vec<u8>> {
    let port = if config.port == 0 { config.tls_port } else { config.port };
    expand_title(config.proc_title_template.as_bytes(), |name| {
        Some(match name {
            "title" => program.as_bytes().to_vec(),
            "listen-addr" => match config.bind.first().map_or("*", String::as_str) {
                six if six.contains(':') => format!("[{six}]:{port}").into_bytes(),
                address => format!("{address}:{port}").into_bytes(),
            },
            "server-mode" if config.cluster_enabled => b"[cluster]".to_vec(),
            "server-mode" => Vec::new(),
            "config-file" => config_file.as_bytes().to_vec(),
            "port" => config.port.to_string().into_bytes(),
            "tls-port" => config.tls_port.to_string().into_bytes(),
            "unixsocket" => config.unixsocket.as_bytes().to_vec(),
            _ => return None,
        })
    })
}

/// The memory in which the kernel looks for the title.
struct Area {
    start: u64,
    bytes: usize,
}

impl Area {
    /// The arguments' memory, and the environment's if it could be moved.
    fn claim() -> Option<Area> {
        let [start, arg_end, env_start, env_end] = bounds(&fs::read("/proc/self/stat").ok()?)?;
        let joined = arg_end == env_start && env_start < env_end && sys::move_environment();
        let end = if joined { env_end } else { arg_end };
        let bytes = usize::try_from(end.checked_sub(start)?).ok()?;
        (start > 0 && bytes > 1).then_some(Area { start, bytes })
    }

    /// Writes the title, as much of it as there is room for, and zeros to the end: the last byte
    /// stays one.
    fn write(&self, title: &[u8]) -> std::io::Result<()> {
        let mut text = title[..title.len().min(self.bytes - 1)].to_vec();
        text.resize(self.bytes, 0);
        OpenOptions::new().write(true).open("/proc/self/mem")?.write_all_at(&text, self.start)
    }
}

/// `arg_start`, `arg_end`, `env_start` and `env_end` of `/proc/PID/stat`: its fields 48 to 51.
fn bounds(stat: &[u8]) -> Option<[u64; 4]> {
    // The second field is a name in brackets, which may hold anything.
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(&stat[end + 1..]).ok()?;
    let mut fields = rest.split_ascii_whitespace().skip(45).map(|field| field.parse().ok());
    Some([fields.next()??, fields.next()??, fields.next()??, fields.next()??])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_read_as_those_of_a_real_server() {
        let default = Config::default();
        let cluster = Config { cluster_enabled: true, bind: vec!["::1".into()], ..Config::default() };
        let tls = Config { port: 0, tls_port: 7, bind: Vec::new(), ..Config::default() };
        let full = "X {title} {listen-addr} {port} {tls-port} {unixsocket} {config-file}";
        let own = Config { proc_title_template: full.into(), unixsocket: "/s".into(), ..Config::default() };
        let unknown = Config { proc_title_template: "{x}".into(), ..Config::default() };
        let rows = [
            (default, Some("r *:6379")),
            (cluster, Some("r [::1]:6379 [cluster]")),
            (tls, Some("r *:7")),
            (own, Some("X r *:6379 6379 0 /s /r.conf")),
            (unknown, None),
        ];
        for (config, expected) in rows {
            let title = expand(&config, "/r.conf", OsStr::new("r"));
            assert_eq!(title.as_deref(), expected.map(str::as_bytes));
        }
    }

    #[test]
    fn bounds_are_found_behind_any_name() {
        let numbers = (3..=52).map(|field| field.to_string()).collect::<Vec<_>>().join(" ");
        let stat = format!("7 (a ) b) {numbers}\n");
        assert_eq!(bounds(stat.as_bytes()), Some([48, 49, 50, 51]));
        assert_eq!(bounds(b"7 (a) 1 2"), None);
        assert_eq!(bounds(b""), None);
    }
}
