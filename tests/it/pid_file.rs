//! The PID file seen from outside: who may start, who is obeyed, what it looks like.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::thread;

use crate::support::{Installation, clean, run, text, wait_until, within_limit};

/// What a pipe holds.
const PIPE_BYTES: usize = 64 << 10;

/// A process that has nothing to do with us, and must live on.
struct Bystander(Child);

impl Bystander {
    fn new() -> Self {
        Self(Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap())
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }

    fn expect_alive(&mut self) {
        assert_eq!(self.0.try_wait().unwrap(), None, "the bystander was killed");
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn lines(text: &str) -> usize {
    text.lines().count()
}

#[test]
fn of_six_starts_at_once_one_wins() {
    let here = Installation::new();
    let starts: Vec<_> = (0..6)
        .map(|_| here.command("start", &[]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
        .collect();
    expect_one_winner(&here, starts);
}

/// One of them serves, the others say who does.
fn expect_one_winner(here: &Installation, starts: Vec<Child>) {
    let mut winners = 0;
    for start in starts {
        let output = within_limit("each start ends", move || start.wait_with_output().unwrap());
        let stderr = text(&output.stderr);
        match output.status.code() {
            Some(0) => winners += 1,
            Some(1) => assert!(
                stderr.starts_with("pyredis: already running with PID ") && lines(&stderr) == 1,
                "{stderr}"
            ),
            other => panic!("{other:?}: {stderr}"),
        }
    }
    assert_eq!(winners, 1);
    assert_eq!(here.client().run("PING"), "PONG");
}

#[test]
fn start_that_fails_leaves_the_place_to_one_of_the_six_that_wait() {
    let here = Installation::new();
    // Cannot listen there, and says so in a line that the pipe has no room for: it stands still
    // before it gives up.
    let nowhere = "x".repeat(1000);
    let (mut said, mut output) = io::pipe().unwrap();
    output.write_all(&[b'\n'; PIPE_BYTES - 800]).unwrap();
    let failing = here
        .command("start", &["--foreground", "--bind", &nowhere])
        .stdout(output)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let pid_file = here.pid_file();
    wait_until("the PID file is locked", || {
        fs::File::open(&pid_file).is_ok_and(|file| file.try_lock_shared().is_err())
    });
    assert_eq!(fs::read_to_string(here.pid_file()).unwrap(), "", "it does not serve");

    let log = here.path("six.log");
    let starts: Vec<_> = (0..6)
        .map(|_| {
            let mut start = here.command("start", &["--logfile", "six.log"]);
            start.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    let waiting = format!("Waiting for PID {}, which is starting", failing.id());
    wait_until("all six wait for the one that starts", || {
        fs::read_to_string(&log).unwrap_or_default().matches(&waiting).count() == 6
    });
    thread::spawn(move || io::copy(&mut said, &mut io::sink()));
    let failed = within_limit("the start that fails ends", move || failing.wait_with_output().unwrap());
    assert_eq!(failed.status.code(), Some(1));
    assert!(text(&failed.stderr).starts_with("pyredis: can't listen on xxx"));
    expect_one_winner(&here, starts);
}

#[test]
fn stale_pid_files_are_never_obeyed() {
    let mut bystander = Bystander::new();
    let mut dead = Bystander::new();
    dead.0.kill().unwrap();
    dead.0.wait().unwrap();
    let here = Installation::new();
    for content in [
        format!("{}\n", bystander.pid()),
        format!("{}\n", dead.pid()),
        "garbage\n".to_owned(),
        format!("-{}\n", bystander.pid()),
        "-1\n".to_owned(),
        "0\n".to_owned(),
        "1\n".to_owned(),
        String::new(),
    ] {
        fs::write(here.pid_file(), &content).unwrap();
        assert!(here.expect("stop", &[]).starts_with("pyredis is not running"), "{content:?}");
        assert_eq!(here.run("status", &[]).0, 3, "{content:?}");
        fs::write(here.pid_file(), &content).unwrap();
        here.expect("start", &[]);
        assert_eq!(here.client().run("PING"), "PONG");
        here.expect("stop", &[]);
        assert!(!here.pid_file().exists(), "{content:?}");
    }
    bystander.expect_alive();
}

#[test]
fn forged_pid_file_of_a_running_server_misleads_nobody() {
    let mut bystander = Bystander::new();
    let here = Installation::new();
    here.expect("start", &[]);
    let pid = here.pid();
    fs::write(here.pid_file(), format!("{}\n", bystander.pid())).unwrap();
    assert!(here.expect("status", &[]).contains(&format!(" PID {pid} ")));
    let (code, _, stderr) = here.run("start", &[]);
    assert_eq!((code, stderr.contains(&format!(" already running with PID {pid} "))), (1, true), "{stderr}");
    assert!(here.expect("stop", &[]).starts_with(&format!("pyredis has stopped (PID {pid})\n")));
    bystander.expect_alive();
}

#[test]
fn linked_pid_file_is_refused_and_its_target_untouched() {
    let here = Installation::new();
    fs::write(here.path("precious"), "precious").unwrap();
    std::os::unix::fs::symlink(here.path("precious"), here.pid_file()).unwrap();
    let (code, _, stderr) = here.run("start", &[]);
    assert_eq!(code, 1);
    assert!(stderr.contains("is a symbolic link; refusing to use it") && lines(&stderr) == 1, "{stderr}");
    assert_eq!(fs::read_to_string(here.path("precious")).unwrap(), "precious");
    fs::remove_file(here.pid_file()).unwrap();
}

#[test]
fn pid_file_is_readable_by_all_whatever_the_umask() {
    let here = Installation::new();
    let start = r#"umask 077; exec "$0" start redis.conf"#;
    let mut shell = clean(Command::new("sh"), here.folder.path());
    assert!(run(shell.args(["-c", start, env!("CARGO_BIN_EXE_pyredis")])).status.success());
    assert_eq!(fs::metadata(here.pid_file()).unwrap().permissions().mode() & 0o7777, 0o644);
    let content = fs::read_to_string(here.pid_file()).unwrap();
    assert_eq!(content, format!("{}\n", content.trim().parse::<u32>().unwrap()));
}
