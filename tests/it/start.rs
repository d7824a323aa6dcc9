//! What `start` and its siblings do where nothing is configured, and `scripts/pyredis.sh`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Client, Installation, Server, clean, free_port, pyredis, run, signal, text};

/// A user of their own: a home folder and two folders to stand in.
struct User {
    home: tempfile::TempDir,
    ports: [u16; 2],
}

impl User {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir_all(home.path().join("here")).unwrap();
        fs::create_dir_all(home.path().join("there")).unwrap();
        Self { home, ports: [free_port(), free_port()] }
    }

    /// A folder of theirs as the system names it.
    fn path(&self, name: &str) -> PathBuf {
        self.home.path().canonicalize().unwrap().join(name)
    }

    /// Runs `pyredis LINE` in one of the folders; returns the exit code and what it says.
    fn run(&self, folder: &str, line: &str) -> (i32, String) {
        let mut command = pyredis(&self.path(folder));
        let output = run(command.env("HOME", self.home.path()).args(line.split(' ')));
        (output.status.code().unwrap(), text(&output.stdout) + &text(&output.stderr))
    }

    fn expect(&self, folder: &str, line: &str) -> String {
        let (code, said) = self.run(folder, line);
        assert_eq!(code, 0, "{line}: {said}");
        said
    }
}

impl Drop for User {
    fn drop(&mut self) {
        for port in self.ports {
            self.run("here", &format!("stop --port {port}"));
        }
    }
}

#[test]
fn restart_from_another_folder_finds_the_data() {
    let user = User::new();
    let port = user.ports[0];
    let home = user.path(&format!(".local/state/pyredis-{port}"));
    let said = user.expect("here", &format!("start --port {port} --bind 127.0.0.1"));
    assert!(said.contains(&format!("  data in    {}\n", home.display())), "{said}");
    assert_eq!(fs::metadata(&home).unwrap().permissions().mode() & 0o027, 0);
    assert_eq!(Client::connect(port).run("SET k value"), "OK");
    let said = user.expect("there", &format!("restart --port {port} --bind 127.0.0.1"));
    assert!(said.starts_with("pyredis has stopped"), "{said}");
    assert_eq!(Client::connect(port).run("GET k"), "\"value\"");
    let said = user.expect("there", &format!("status --port {port}"));
    assert!(said.contains(&format!("  data in    {}\n", home.display())), "{said}");
    assert!(fs::read_dir(user.path("here")).unwrap().next().is_none(), "nothing is left where one stands");
    assert!(fs::read_dir(user.path("there")).unwrap().next().is_none());
}

#[test]
fn a_configuration_file_means_the_same_from_every_folder() {
    let user = User::new();
    let port = user.ports[0];
    fs::create_dir(user.path("here/data")).unwrap();
    fs::write(user.path("here/more.conf"), "dir data\nlogfile log\n").unwrap();
    fs::write(user.path("here/my.conf"), format!("port {port}\nbind 127.0.0.1\ninclude more.conf\n"))
        .unwrap();
    let data = user.path("here/data");
    let said = user.expect("there", "start ../here/my.conf");
    assert!(said.contains(&format!("  data in    {}\n", data.display())), "{said}");
    assert!(said.contains(&format!("  logs to    {}\n", data.join("log").display())), "{said}");
    assert_eq!(Client::connect(port).run("SET k value"), "OK");
    user.expect("here", "restart my.conf");
    assert_eq!(Client::connect(port).run("GET k"), "\"value\"");
    user.expect("there", "stop ../here/my.conf");
    assert!(data.join("dump.rdb").exists());
}

#[test]
fn servers_of_two_ports_are_two_servers() {
    let user = User::new();
    let [one, other] = user.ports;
    for port in [one, other] {
        user.expect("here", &format!("start --port {port} --bind 127.0.0.1"));
        assert_eq!(Client::connect(port).run(&format!("SET k {port}")), "OK");
    }
    let said = user.expect("there", &format!("stop --port {other}"));
    assert!(said.starts_with("pyredis has stopped"), "{said}");
    assert_eq!(user.run("there", &format!("status --port {other}")).0, 3);
    assert_eq!(Client::connect(one).run("GET k"), format!("\"{one}\""));
}

#[test]
fn without_a_home_folder_the_data_folder_must_be_named() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port().to_string();
    let mut start = pyredis(folder.path());
    let output = run(start.env("HOME", "nowhere").args(["start", "--port", &port]));
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        text(&output.stderr),
        "pyredis: you have no home folder to keep the data in; name a folder with --dir\n"
    );
    let mut status = pyredis(folder.path());
    assert_eq!(run(status.env("HOME", "nowhere").args(["status", "--port", &port])).status.code(), Some(3));
}

#[test]
fn the_redis_form_keeps_its_data_where_one_stands() {
    let mut server = Server::start(&[]);
    assert_eq!(server.client().run("SET k v"), "OK");
    signal(server.pid(), "TERM");
    assert_eq!(server.wait().code(), Some(0));
    assert!(server.folder.path().join("dump.rdb").exists());
}

#[test]
fn start_debug_logs_for_a_person() {
    let folder = tempfile::tempdir().unwrap();
    let pid_file = folder.path().join("own.pid");
    let mut program = pyredis(folder.path());
    program.args(["start", "debug"]);
    let directives = ["--dir", ".", "--pidfile", pid_file.to_str().unwrap(), "--save", ""];
    let mut server = Server::spawn_as(program, folder, &directives);
    let ready = server.wait_for("Ready to accept connections");
    let (time, rest) = ready.split_at("17:06:19.100".len());
    assert!(time.chars().all(|c| c.is_ascii_digit() || c == ':' || c == '.'), "{ready}");
    assert_eq!(rest, " notice  pyredis: Ready to accept connections");
    signal(server.pid(), "TERM");
    server.wait();
    let log = server.log.join("\n");
    assert!(log.contains(" notice  pyredis: Redis is now ready to exit, bye bye..."), "{log}");
}

#[test]
fn script_hands_over_from_any_folder_and_through_a_link() {
    let here = Installation::new();
    // A target folder whose release binary is the one under test, newer than every source.
    let release = here.path("target/release");
    fs::create_dir_all(&release).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_pyredis"), release.join("pyredis")).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/pyredis.sh");
    std::os::unix::fs::symlink(&script, here.path("link.sh")).unwrap();
    for (word, expected) in [
        ("start", "pyredis has started with PID "),
        ("restart", "pyredis has stopped (PID "),
        ("status", "pyredis is running with PID "),
        ("stop", "pyredis has stopped (PID "),
    ] {
        let mut command = clean(Command::new("./link.sh"), here.folder.path());
        let output = run(command.args([word, "redis.conf"]).env("CARGO_TARGET_DIR", here.path("target")));
        assert!(output.status.success(), "{word}: {}", text(&output.stderr));
        assert!(text(&output.stdout).starts_with(expected), "{word}: {}", text(&output.stdout));
    }
}

#[test]
fn script_finds_mistakes_before_it_builds() {
    let here = Installation::new();
    fs::write(here.path("file"), "").unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/pyredis.sh");
    for (word, target, code, expected) in [
        ("strat", "target", 2, "pyredis.sh: strat is neither a file nor one of start, stop, restart, "),
        ("start", "file/target", 1, "pyredis.sh: pyredis must be built, and you can't write in "),
    ] {
        let mut command = clean(Command::new(&script), here.folder.path());
        let output = run(command.arg(word).env("CARGO_TARGET_DIR", here.path(target)));
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{stderr}");
        assert!(stderr.starts_with(expected) && stderr.lines().count() == 1, "{stderr}");
        assert!(word != "strat" || stderr.ends_with("; did you mean start?\n"), "{stderr}");
        assert!(!here.path("target").exists());
    }
}

#[test]
fn script_says_that_cargo_is_missing() {
    let here = Installation::new();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/pyredis.sh");
    let mut command = clean(Command::new(script), here.folder.path());
    command.args(["start", "redis.conf"]).env("CARGO_TARGET_DIR", here.path("target"));
    command.env("PATH", "/usr/bin:/bin").env("HOME", here.folder.path()).env_remove("CARGO_HOME");
    let output = run(&mut command);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("cargo is missing"), "{}", text(&output.stderr));
}
