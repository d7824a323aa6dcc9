//! Start, stop, restart and signals, seen from outside.

use std::fs;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use crate::support::{
    Client, Installation, LIMIT, Server, free_port, pyredis, run, signal, text, wait_until,
};

fn lines(text: &str) -> usize {
    text.lines().count()
}

#[test]
fn start_answers_and_stop_leaves_nothing() {
    let here = Installation::new();
    let said = here.expect("start", &[]);
    let (pid, folder, log) = (here.pid(), here.real_folder(), here.real_folder().join("pyredis.log"));
    let (folder, log) = (folder.display(), log.display());
    assert_eq!(
        said,
        format!(
            "pyredis has started with PID {pid}\n  listens on 127.0.0.1:{}\n  data in    {folder}\n  logs to    {log}\n",
            here.port
        )
    );
    assert_eq!(here.client().run("PING"), "PONG");
    assert!(fs::read_to_string(here.path("pyredis.log")).unwrap().contains("Ready to accept connections"));
    let pid_file = here.pid_file();
    assert_eq!(
        here.expect("status", &[]),
        format!(
            "pyredis is running with PID {pid} (PID file {})\n  data in    {folder}\n  logs to    {log}\n",
            pid_file.display()
        )
    );

    let (code, _, stderr) = here.run("start", &[]);
    assert_eq!(
        stderr,
        format!("pyredis: already running with PID {pid} (PID file {})\n", pid_file.display())
    );
    assert_eq!(code, 1);
    assert_eq!(here.client().run("PING"), "PONG");

    let stopped = format!("pyredis has stopped (PID {pid})\n  its log    {log}\n");
    assert_eq!(here.expect("stop", &[]), stopped);
    assert!(!here.pid_file().exists());
    assert!(std::net::TcpStream::connect(("127.0.0.1", here.port)).is_err(), "somebody listens still");
    let not_running = here.expect("stop", &[]);
    assert!(not_running.starts_with("pyredis is not running"), "{not_running}");
    assert!(
        not_running.ends_with("/pyredis.log\n"),
        "whoever looks for a crash finds the log: {not_running}"
    );
    assert_eq!(here.run("status", &[]), (3, not_running, String::new()));
}

#[test]
fn restart_keeps_the_data_and_starts_what_does_not_run() {
    let here = Installation::new();
    here.expect("restart", &[]);
    let first = here.pid();
    assert_eq!(here.client().run("SET k value"), "OK");
    here.expect("restart", &[]);
    assert_ne!(here.pid(), first);
    assert_eq!(here.client().run("GET k"), "\"value\"");
}

#[test]
fn restart_with_a_bad_configuration_stops_nothing() {
    let here = Installation::new();
    here.expect("start", &[]);
    let pid = here.pid();
    let (code, _, stderr) = here.run("restart", &["--maxmemory-policy", "sometimes"]);
    assert_eq!(code, 1);
    let expected =
        "pyredis: the option --maxmemory-policy \"sometimes\" is wrong: argument(s) must be one of";
    assert!(stderr.starts_with(expected) && lines(&stderr) == 1, "{stderr}");
    assert_eq!((here.pid(), here.client().run("PING").as_str()), (pid, "PONG"));
}

#[test]
fn port_in_use_is_one_line_and_leaves_nothing() {
    let here = Installation::new();
    let _taken = std::net::TcpListener::bind(("127.0.0.1", here.port)).unwrap();
    let (code, stdout, stderr) = here.run("start", &[]);
    assert_eq!((code, stdout.as_str()), (1, ""));
    let line = format!("pyredis: can't listen on 127.0.0.1:{}: bind: Address already in use", here.port);
    let log = here.real_folder().join("pyredis.log");
    assert_eq!(stderr, format!("{line}; see {}\n", log.display()));
    assert!(!here.pid_file().exists());
    let (code, _, again) = here.run("start", &["--foreground"]);
    assert_eq!((code, again), (1, line + "\n"));
    assert!(!here.pid_file().exists());
}

#[test]
fn a_server_that_has_the_port_is_named() {
    let here = Installation::new();
    let other = Server::start(&[]);
    for (requirepass, who) in [
        ("", format!("pyredis (PID {})", other.pid())),
        ("secret", "another server of Redis's protocol".to_owned()),
    ] {
        assert_eq!(other.client().show(&[b"CONFIG", b"SET", b"requirepass", requirepass.as_bytes()]), "OK");
        let (code, _, stderr) = here.run("start", &["--port", &other.port.to_string()]);
        assert_eq!((code, lines(&stderr)), (1, 1), "{stderr}");
        let expected =
            format!("Address already in use: {who} answers there; stop it, or choose another port");
        assert!(stderr.contains(&expected), "{stderr}");
    }
}

#[test]
fn bad_folders_are_one_line() {
    let here = Installation::new();
    fs::write(here.path("file"), "").unwrap();
    for (dir, expected) in [
        (
            "missing",
            format!("can't use the folder {}: No such file or directory", here.path("missing").display()),
        ),
        ("file", format!("can't use the folder {}: Not a directory", here.path("file").display())),
        ("/proc/self", "can't write in the folder /proc/".to_owned()),
    ] {
        let (code, stdout, stderr) = here.run("start", &["--dir", dir]);
        assert_eq!((code, stdout.as_str(), lines(&stderr)), (1, "", 1), "{dir}: {stderr}");
        assert!(stderr.starts_with(&format!("pyredis: {expected}")), "{stderr}");
        assert!(!here.pid_file().exists());
    }
}

#[test]
fn a_wrong_option_is_told_without_lines_of_a_file() {
    let here = Installation::new();
    for (words, expected) in [
        (&["--nonsense", "1"][..], "there is no option --nonsense; options are the directives of redis.conf"),
        (&["--prot", "7000"], "there is no option --prot; did you mean --port?"),
        (&["--port", "x"], "the option --port \"x\" is wrong: argument couldn't be parsed into an integer"),
        (&["--port", "1", "2"], "the option --port \"1\" \"2\" is wrong: wrong number of arguments"),
        (&["--include"], "the option --include is wrong: Bad directive or wrong number of arguments"),
    ] {
        for word in ["start", "stop", "status"] {
            let (code, stdout, stderr) = here.run(word, words);
            assert_eq!((code, stdout.as_str()), (1, ""));
            assert_eq!(stderr, format!("pyredis: {expected}\n"));
        }
    }
    let output = run(pyredis(here.folder.path()).args(["--nonsense", "1"]));
    assert!(text(&output.stderr).contains("at line 2\n>>> 'nonsense \"1\"'"), "the form of redis-server");
    let output = run(pyredis(here.folder.path()).arg("strat"));
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).ends_with("did you mean start?\n"), "{}", text(&output.stderr));
}

#[test]
fn bad_configuration_is_told_in_the_words_of_redis() {
    let here = Installation::new();
    fs::write(here.path("redis.conf"), "hz 10\nnonsense 1\n").unwrap();
    let (code, stdout, stderr) = here.run("start", &[]);
    assert_eq!((code, stdout.as_str()), (1, ""));
    assert_eq!(
        stderr,
        "\n*** FATAL CONFIG FILE ERROR (Redis 7.0.15) ***\nReading the configuration file, at line 2\n\
         >>> 'nonsense 1'\nBad directive or wrong number of arguments\n"
    );
    assert!(!here.pid_file().exists());

    let output = run(pyredis(here.folder.path()).args(["start", "nowhere.conf"]));
    assert_eq!(output.status.code(), Some(1));
    let file = here.folder.path().join("nowhere.conf");
    assert_eq!(
        text(&output.stderr),
        format!(
            "pyredis: Fatal error, can't open config file '{}': No such file or directory\n",
            file.display()
        )
    );
}

#[test]
fn damaged_dump_is_refused_in_one_line() {
    let here = Installation::new();
    fs::write(here.path("dump.rdb"), "REDIS0010 but not really").unwrap();
    let (code, _, stderr) = here.run("start", &[]);
    assert_eq!(code, 1);
    assert!(stderr.starts_with("pyredis: can't load dump.rdb: "), "{stderr}");
    assert!(lines(&stderr) == 1 && stderr.ends_with("/pyredis.log\n"), "{stderr}");
    assert!(!here.pid_file().exists());
    assert_eq!(fs::read_to_string(here.path("dump.rdb")).unwrap(), "REDIS0010 but not really");
}

#[test]
fn password_does_not_keep_start_from_knowing_that_it_answers() {
    let here = Installation::new();
    here.expect("start", &["--requirepass", "secret"]);
    let mut client = here.client();
    assert!(client.run("PING").starts_with("-NOAUTH"));
    assert_eq!(client.run("AUTH secret"), "OK");
    assert_eq!(client.run("PING"), "PONG");
}

#[test]
fn installations_run_side_by_side() {
    let (one, other) = (Installation::new(), Installation::new());
    one.expect("start", &[]);
    other.expect("start", &[]);
    assert_eq!(one.client().run("SET k one"), "OK");
    assert_eq!(other.client().run("GET k"), "(nil)");
    one.expect("stop", &[]);
    assert_eq!(other.client().run("PING"), "PONG");
}

#[test]
fn environment_counts_more_than_the_file_and_less_than_the_command_line() {
    let here = Installation::new();
    let port = free_port();
    let environment = |command: &mut Command| {
        command
            .env("PYREDIS_CONF", here.path("redis.conf"))
            .env("PYREDIS_PORT", port.to_string())
            .env("PYREDIS_PIDFILE", here.path("other.pid"))
            .env("PYREDIS_LOGFILE", here.path("other.log"));
    };
    let mut start = pyredis(here.folder.path());
    environment(start.arg("start"));
    assert!(run(&mut start).status.success());
    assert_eq!(Client::connect(port).run("PING"), "PONG");
    assert!(here.path("other.pid").exists() && !here.pid_file().exists());
    assert!(fs::read_to_string(here.path("other.log")).unwrap().contains("Ready to accept connections"));

    let mut status = pyredis(here.folder.path());
    environment(status.args(["status", "--pidfile"]).arg(here.pid_file()));
    assert_eq!(run(&mut status).status.code(), Some(3));
    let mut stop = pyredis(here.folder.path());
    environment(stop.arg("stop"));
    assert!(text(&run(&mut stop).stdout).starts_with("pyredis has stopped"));
}

#[test]
fn foreground_start_holds_the_pid_file_and_stops_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let pid_file = folder.path().join("own.pid");
    let mut server = Server::start_in(folder, &["--pidfile", pid_file.to_str().unwrap()]);
    assert_eq!(fs::read_to_string(&pid_file).unwrap(), format!("{}\n", server.pid()));
    let _idle = server.client();
    signal(server.pid(), "TERM");
    assert_eq!(server.wait().code(), Some(0));
    assert!(!pid_file.exists());
    let log = server.log.join("\n");
    let mut rest = log.as_str();
    for expected in [
        " # oO0OoO0OoO0Oo Redis is starting oO0OoO0OoO0Oo",
        " # Redis version=7.0.15, bits=64,",
        " # Configuration loaded",
        " * monotonic clock: POSIX clock_gettime",
        &format!("port={}.", server.port()),
        "Server initialized",
        &format!("{}:M ", server.pid()),
        " * Ready to accept connections",
        "Received SIGTERM scheduling shutdown...",
        "User requested shutdown...",
        "Redis is now ready to exit, bye bye...",
    ] {
        let found = rest.find(expected).unwrap_or_else(|| panic!("no {expected:?} in the rest of\n{log}"));
        rest = &rest[found + expected.len()..];
    }
}

/// The next datagram as text.
fn heard(listening: &UnixDatagram) -> String {
    let mut state = [0; 200];
    let count = listening.recv(&mut state).expect("a datagram within the limit");
    text(&state[..count])
}

#[test]
fn systemd_is_told_of_start_and_stop_and_daemonize_gives_way() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("notify");
    let listening = UnixDatagram::bind(&socket).unwrap();
    listening.set_read_timeout(Some(LIMIT)).unwrap();
    let mut program = pyredis(folder.path());
    program.env("NOTIFY_SOCKET", &socket).env_remove("UPSTART_JOB");
    let directives = ["--supervised", "auto", "--daemonize", "yes", "--save", "900 1"];
    let server = Server::spawn_as(program, folder, &directives);
    for state in ["STATUS=Redis is loading...\n", "STATUS=Ready to accept connections\n", "READY=1\n"] {
        assert_eq!(heard(&listening), state);
    }
    assert_eq!(server.client().run("PING"), "PONG");
    drop(server.stop());
    for state in ["STOPPING=1\n", "STATUS=Saving the final RDB snapshot\n"] {
        assert_eq!(heard(&listening), state);
    }
}

#[test]
fn upstart_sees_a_stopped_process_and_continues_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut program = pyredis(folder.path());
    program.env("UPSTART_JOB", "pyredis");
    let mut server = Server::spawn_as(program, folder, &["--supervised", "upstart"]);
    server.wait_for("supervised by upstart, will stop to signal readiness.");
    let state = format!("/proc/{}/stat", server.pid());
    wait_until("it stops itself", || fs::read_to_string(&state).unwrap().contains(") T "));
    signal(server.pid(), "CONT");
    server.wait_for("Ready to accept connections");
    assert_eq!(server.client().run("PING"), "PONG");
}

#[test]
fn log_at_level_debug_tells_of_clients_and_keys_as_redis_does() {
    let mut server = Server::start(&["--loglevel", "debug", "--unixsocket", "s"]);
    server.wait_for(". 0 clients connected (0 replicas), ");
    let mut client = server.client();
    let addr = client.local_addr();
    server.wait_for(&format!("- Accepted {addr}"));
    assert_eq!((client.run("SET k v EX 100"), client.run("SET l v")), ("OK".to_owned(), "OK".to_owned()));
    drop(client);
    let closed = server.wait_for("- Client closed connection id=");
    assert!(
        closed.contains(&format!(" addr={addr} ")) && closed.contains(" cmd=set user=default "),
        "{closed}"
    );

    let mut client = server.client();
    let addr = client.local_addr();
    client.send_raw(b"*1\r\nfoo\r\n");
    let wrong = server.wait_for("- Protocol error (expected $ but got something else) from client: id=");
    assert!(wrong.contains(&format!(" addr={addr} ")), "{wrong}");

    drop(UnixStream::connect(server.folder.path().join("s")).unwrap());
    server.wait_for("- Accepted connection to ");
    let closed = server.wait_for("- Client closed connection id=");
    assert!(closed.contains(" addr=s:0 ") && closed.contains(" flags=U "), "{closed}");
    // Those that the server ended itself have no such line.
    assert_eq!(server.log.iter().filter(|line| line.contains("Client closed connection")).count(), 2);
    server.wait_for("- DB 0: 2 keys (1 volatile) in 1 slots HT.");
    server.wait_for(". 0 clients connected (0 replicas), ");
}

#[test]
fn redis_style_servers_share_a_pid_file_path_without_harm() {
    let folder = tempfile::tempdir().unwrap();
    let pid_file = folder.path().join("shared.pid").display().to_string();
    let one = Server::start(&["--pidfile", &pid_file]);
    let mut other = Server::start(&["--pidfile", &pid_file]);
    assert!(other.log.iter().any(|line| line.contains("Going on without a PID file: already running")));
    let unwritable = Server::start(&["--pidfile", "/proc/no/such.pid"]);
    assert_eq!(unwritable.client().run("PING"), "PONG");
    signal(other.pid(), "TERM");
    assert_eq!(other.wait().code(), Some(0));
    assert_eq!(fs::read_to_string(&pid_file).unwrap(), format!("{}\n", one.pid()));
}

#[test]
fn sigterm_saves_where_save_points_are_set() {
    for (save, expected) in [("3600 1", "\"kept\""), ("", "(nil)")] {
        let server = Server::start(&["--save", save]);
        assert_eq!(server.client().run("SET k kept"), "OK");
        let folder = server.stop();
        assert_eq!(folder.path().join("dump.rdb").exists(), !save.is_empty());
        let server = Server::start_in(folder, &[]);
        assert_eq!(server.client().run("GET k"), expected, "save {save:?}");
    }
}

#[test]
fn second_sigint_ends_it_at_once() {
    // The first SIGINT may overtake the command that is to keep the owner busy; then the server
    // stops in order, with code 0, and the attempt has shown nothing.
    let mut attempts = 0;
    while interrupt_a_busy_server() == 0 {
        attempts += 1;
        assert_ne!(attempts, 20, "a second SIGINT never ends it with code 1");
    }
}

/// Sends SIGINT until a server whose owner sleeps for an hour has ended; returns its exit code.
fn interrupt_a_busy_server() -> i32 {
    let folder = tempfile::tempdir().unwrap();
    let pid_file = folder.path().join("own.pid");
    let directives =
        ["--enable-debug-command", "yes", "--save", "1000 1", "--pidfile", pid_file.to_str().unwrap()];
    let mut server = Server::start_in(folder, &directives);
    let mut client = server.client();
    assert_eq!(client.run("PING"), "PONG");
    client.send("DEBUG SLEEP 3600");
    // Signals of one kind that wait together are one, hence the loop.
    wait_until("SIGINT again and again ends it", || {
        let has_ended = server.has_ended();
        if !has_ended {
            signal(server.pid(), "INT");
        }
        has_ended
    });
    let code = server.wait().code().expect("an exit code");
    assert!(!pid_file.exists());
    assert_eq!(code == 1, server.log.iter().any(|line| line.contains("You insist... exiting now.")));
    code
}

#[test]
fn sighup_reopens_the_log_file() {
    let folder = tempfile::tempdir().unwrap();
    let (log, moved) = (folder.path().join("log"), folder.path().join("log.1"));
    let pid_file = folder.path().join("own.pid");
    let here = Installation::new();
    let directives = ["--logfile", log.to_str().unwrap(), "--pidfile", pid_file.to_str().unwrap()];
    here.expect("start", &directives);
    let pid: u32 = fs::read_to_string(&pid_file).unwrap().trim().parse().unwrap();
    fs::rename(&log, &moved).unwrap();
    signal(pid, "HUP");
    // Signals that wait together are taken in the order of their numbers, and HUP is the first.
    here.expect("stop", &directives);
    let (log, moved) = (fs::read_to_string(&log).unwrap(), fs::read_to_string(&moved).unwrap());
    assert!(moved.contains("Ready to accept connections") && !moved.contains("bye bye"), "{moved}");
    assert!(log.contains("Redis is now ready to exit, bye bye..."), "{log}");
}

#[test]
fn crash_signals_leave_a_report() {
    for (name, number) in [("ABRT", 6), ("SEGV", 11), ("BUS", 7)] {
        let mut server = Server::start(&[]);
        signal(server.pid(), name);
        assert_eq!(server.wait().signal(), Some(number), "it must die of the signal");
        expect_report(&server.log.join("\n"), number);
    }
}

fn expect_report(log: &str, signal: i32) {
    let crashed = format!("crashed by signal: {signal}");
    for expected in ["=== REDIS BUG REPORT START", &crashed, "STACK TRACE", "=== REDIS BUG REPORT END"] {
        assert!(log.contains(expected), "no {expected:?} in\n{log}");
    }
}

#[test]
fn daemonize_detaches_as_redis_does() {
    let here = Installation::new();
    let directives = ["redis.conf", "--daemonize", "yes", "--logfile", "log"];
    let output = run(pyredis(here.folder.path()).args(directives));
    assert_eq!((output.status.code(), output.stdout.len(), output.stderr.len()), (Some(0), 0, 0));
    // The parent has ended; its child holds the PID file some time later.
    wait_until("a server holds the PID file", || here.run("status", &[]).0 == 0);
    here.expect("restart", &[]);
    assert_eq!(here.client().run("PING"), "PONG");
    let log = fs::read_to_string(here.path("log")).unwrap();
    assert!(log.contains("Redis is starting"), "{log}");
}

#[test]
fn version_and_help_are_told_and_nothing_started() {
    let folder = tempfile::tempdir().unwrap();
    for (args, code, expected) in [
        (&["-v"][..], 0, "Redis server v=7.0.15 sha="),
        (&["--version"], 0, " pyredis="),
        (&["--help"], 0, "PYREDIS_PIDFILE"),
        (&["start", "--help"], 0, "--foreground"),
    ] {
        let output = run(pyredis(folder.path()).args(args));
        assert_eq!(output.status.code(), Some(code), "{args:?}");
        assert!(text(&output.stdout).contains(expected), "{args:?}: {}", text(&output.stdout));
    }
    let output = run(pyredis(folder.path()).args(["--test-memory", "100"]));
    assert_eq!((output.status.code(), lines(&text(&output.stderr))), (Some(1), 1));
}

/// What `ps` shows, without the zeros after it.
fn title_of(pid: u32) -> String {
    let shown = fs::read(format!("/proc/{pid}/cmdline")).unwrap();
    text(&shown).trim_end_matches('\0').to_owned()
}

#[test]
fn the_process_title_follows_its_template() {
    let server = Server::start(&["--proc-title-template", "{title} at {listen-addr} {server-mode}"]);
    let program = env!("CARGO_BIN_EXE_pyredis");
    let (pid, port) = (server.pid(), server.port);
    assert_eq!(title_of(pid), format!("{program} at 127.0.0.1:{port}"));
    let mut client = server.client();
    let long = "x".repeat(300);
    assert_eq!(client.run(&format!("CONFIG SET proc-title-template {long}{{port}}")), "OK");
    assert!(title_of(pid).starts_with(&long[..100]), "{}", title_of(pid));
    let refused = client.run("CONFIG SET proc-title-template {nonsense}");
    assert!(refused.ends_with("template format is invalid or contains unknown variables"), "{refused}");
    assert_eq!(client.run("CONFIG SET proc-title-template {port}"), "OK");
    assert_eq!(title_of(pid), port.to_string());
    server.stop();

    let plain = Server::start(&["--set-proc-title", "no"]);
    assert!(title_of(plain.pid()).starts_with(&format!("{program}\0--port\0")), "{}", title_of(plain.pid()));
    plain.stop();
}
