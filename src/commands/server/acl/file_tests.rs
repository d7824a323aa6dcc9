//! ACL SAVE and ACL LOAD: who waits for the file, what is written and taken, and who is closed.

use crate::base::ClientId;
use crate::commands::testing::TestServer;
use crate::server::{FileJob, FileReport, Task, UsersJob, UsersOutcome, UsersReport, UsersWork};

const PATH: &[u8] = b"/data/users.acl";

/// A server with an ACL file in its folder, and a second client.
fn with_file() -> TestServer {
    let mut server = TestServer::new();
    server.server.rooms.config.dir = "/data".into();
    server.server.rooms.config.aclfile = "users.acl".into();
    server.connect(2);
    server
}

/// Returns the answer of client 1 when the work on the file is done.
fn run(server: &mut TestServer, line: &str) -> String {
    assert_eq!(server.run(line), "", "{line} waits");
    server.work_on_files();
    server.output_of(1)
}

/// The work that the server has asked for.
fn jobs(server: &mut TestServer) -> Vec<UsersJob> {
    let tasks = server.server.take_tasks().into_iter();
    let job = |task| if let Task::File(FileJob::Users(job)) = task { Some(job) } else { None };
    tasks.filter_map(job).collect()
}

fn report(server: &mut TestServer, client: Option<ClientId>, outcome: UsersOutcome) {
    let report = UsersReport { client, path: PATH.into(), outcome };
    server.server.file_reported(FileReport::Users(report));
    server.advance(0);
}

/// Reports that a file was read which holds this.
fn report_read(server: &mut TestServer, job: &UsersJob, text: &str) {
    let UsersWork::Read(at) = job.work else { panic!("it is no job that reads") };
    report(server, job.client, UsersOutcome::Read(at, Ok(text.as_bytes().to_vec())));
}

#[test]
fn an_acl_file_is_saved_and_loaded_and_ends_the_connections_of_its_users() {
    let mut server = with_file();
    let missing = "(error) ERR Error loading ACLs, opening file 'users.acl': No such file or directory";
    assert_eq!(run(&mut server, "ACL LOAD"), missing);
    server.check(&[("ACL SETUSER bob on nopass +@all ~b", "OK")]);
    assert_eq!(server.run_as(2, "AUTH bob x"), "OK");
    assert_eq!(run(&mut server, "ACL SAVE"), "OK");
    let text = server.files.borrow()[PATH].clone();
    assert_eq!(
        String::from_utf8(text).unwrap(),
        "user bob on nopass ~b resetchannels +@all\nuser default on nopass ~* &* +@all\n"
    );
    server.check(&[("ACL SETUSER eve", "OK")]);
    assert_eq!(run(&mut server, "ACL LOAD"), "OK");
    assert_eq!(server.closed, [ClientId(2)]);
    server.check(&[("ACL USERS", "1) \"bob\"\n2) \"default\"")]);
    server.files.borrow_mut().insert(PATH.into(), b"user bob on\nuser eve nosuch".to_vec());
    assert_eq!(
        run(&mut server, "ACL LOAD"),
        "(error) ERR users.acl:2: Syntax error. WARNING: ACL errors detected, no change to the previously active ACL \
         rules was performed"
    );
    assert!(server.run("ACL LIST").contains("user bob on nopass ~b resetchannels +@all"));
    server.files.borrow_mut().insert(PATH.into(), b"user default on >x +@all".to_vec());
    assert_eq!(run(&mut server, "ACL LOAD"), "OK");
    let refused = "(error) NOPERM this user has no permissions to access one of the keys used as arguments";
    server.check(&[("GET a", refused)]);
}

#[test]
fn who_loads_users_waits_with_what_it_sent_behind_it_and_others_go_on() {
    let mut server = with_file();
    assert_eq!(server.pipeline_as(1, &["ACL LOAD", "ACL USERS"]), "");
    // The folder may be another when the file is opened.
    server.server.rooms.config.dir = "/elsewhere".into();
    assert_eq!(server.run_as(2, "PING"), "PONG");
    let jobs = jobs(&mut server);
    assert_eq!(jobs.iter().map(|job| &job.path[..]).collect::<Vec<_>>(), [PATH]);
    report_read(&mut server, &jobs[0], "user bob on");
    assert_eq!(server.output_of(1), "OK\n1) \"bob\"\n2) \"default\"");
}

#[test]
fn a_user_that_loads_users_is_answered_and_closed() {
    let mut server = with_file();
    server.run("ACL SETUSER bob on nopass +@all ~*");
    server.run_as(2, "AUTH bob x");
    assert_eq!(server.pipeline_as(2, &["ACL LOAD", "PING"]), "");
    let jobs = jobs(&mut server);
    report_read(&mut server, &jobs[0], "user bob on nopass +@all");
    assert_eq!((server.output_of(2).as_str(), &server.closed[..]), ("OK", &[ClientId(2)][..]));
}

#[test]
fn what_a_client_that_is_gone_has_asked_for_is_done_all_the_same() {
    let mut server = with_file();
    server.run_as(2, "ACL LOAD");
    server.disconnect(2);
    let jobs = jobs(&mut server);
    report_read(&mut server, &jobs[0], "user bob on");
    server.check(&[("ACL USERS", "1) \"bob\"\n2) \"default\"")]);
}

#[test]
fn what_was_read_before_users_were_saved_is_read_again() {
    let mut server = with_file();
    server.run("ACL LOAD");
    let reads = jobs(&mut server);
    server.run_as(2, "ACL SETUSER eve on");
    server.run_as(2, "ACL SAVE");
    server.server.rooms.config.dir = "/elsewhere".into();
    let saves = jobs(&mut server);
    report_read(&mut server, &reads[0], "user bob on");
    assert_eq!((server.output_of(1).as_str(), saves.len()), ("", 1), "eve is not lost");
    report(&mut server, saves[0].client, UsersOutcome::Saved(Ok(())));
    assert_eq!(server.output_of(2), "OK");
    let reads = jobs(&mut server);
    assert_eq!(reads[0].path, PATH);
    report_read(&mut server, &reads[0], "user eve on");
    assert_eq!(server.output_of(1), "OK");
    server.check(&[("ACL USERS", "1) \"default\"\n2) \"eve\"")]);
}

#[test]
fn users_that_cannot_be_saved_are_told_of_in_the_log_only() {
    let mut server = with_file();
    server.run("ACL SAVE");
    report(&mut server, Some(ClientId(1)), UsersOutcome::Saved(Err("Permission denied".to_owned())));
    assert_eq!(
        server.output_of(1),
        "(error) ERR There was an error trying to save the ACLs. Please check the server logs for more information"
    );
}

#[test]
fn in_a_transaction_the_file_is_written_and_read_at_once_and_is_still_the_last_to_be_written() {
    let mut server = with_file();
    server.run_as(2, "ACL SAVE");
    server.pipeline_as(1, &["MULTI", "ACL SETUSER bob on", "ACL SAVE", "ACL SETUSER eve on", "ACL LOAD"]);
    assert_eq!(server.run("EXEC"), "1) OK\n2) OK\n3) OK\n4) OK");
    server.check(&[("ACL USERS", "1) \"bob\"\n2) \"default\"")]);
    let text = server.files.borrow()[PATH].clone();
    let jobs = jobs(&mut server);
    assert_eq!(jobs.iter().map(|job| job.client).collect::<Vec<_>>(), [Some(ClientId(2)), None]);
    assert!(matches!(&jobs[1].work, UsersWork::Save(written) if *written == text));
    report(&mut server, None, UsersOutcome::Saved(Ok(())));
    assert_eq!(server.run("PING"), "PONG", "nobody waited for it");
}
