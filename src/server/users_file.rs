//! Users in a file of their own: the start, and ACL LOAD and ACL SAVE between their two halves.
//!
//! A thread of the engine reads and writes the file ([`UsersJob`]), one job after the other, while
//! the client waits, and reports ([`UsersReport`]). The text to write is fixed when the command
//! runs; a text that was read counts when it arrives. If the users were to be saved meanwhile, what
//! was read is out of date: it is read again behind that.
//!
//! In a transaction nothing can be waited for. There the file is read or written in place, as it
//! stands at that moment; what is written is written again behind the jobs under way, which are
//! older.

use super::Rooms;
use super::ctx::Ctx;
use super::error::{CommandError, CommandResult};
use super::file_job::{FileJob, ReadAt, UsersJob, UsersOutcome, UsersReport, UsersWork, read_users};
use super::host::Host;
use super::machine::Server;
use super::origin::Origin;
use super::task::Task;
use crate::acl::{Acl, Users};
use crate::base::ClientId;
use crate::clients::Session;
use crate::config::Config;

impl Ctx<'_> {
    /// Takes all users from `aclfile`, or none if anything is wrong with it, and answers. Everybody
    /// but the default user loses its connections. Source: ACL LOAD.
    pub fn load_acl_file(&mut self) -> CommandResult {
        let read_at = ReadAt(self.rooms.acl.saves);
        if self.origin == Origin::Client {
            self.rooms.ask_of_users_file(Some(self.session.id), UsersWork::Read(read_at));
            self.block_on_task();
            return Ok(());
        }
        let text = read_in_place(&self.rooms.config, self.rooms.outside.host.as_ref());
        self.rooms.take_users(Some(self.session), text).map_err(CommandError::line)?;
        self.reply.ok();
        Ok(())
    }

    /// Writes all users to `aclfile`, and answers. Source: ACL SAVE.
    pub fn save_acl_file(&mut self) -> CommandResult {
        let rooms = &mut *self.rooms;
        let text = rooms.acl.users.file_text(&rooms.acl.catalog);
        rooms.acl.saves += 1;
        if self.origin == Origin::Client {
            rooms.ask_of_users_file(Some(self.session.id), UsersWork::Save(text));
            self.block_on_task();
            return Ok(());
        }
        let saved = rooms.outside.host.replace_file(&path(&rooms.config), &text);
        rooms.ask_of_users_file(None, UsersWork::Save(text));
        save_answer(saved).map_err(CommandError::line)?;
        self.reply.ok();
        Ok(())
    }
}

impl Server {
    /// Goes on with a command whose work on the ACL file is done, and answers its client, if that
    /// is still there.
    pub(super) fn users_reported(&mut self, report: UsersReport) {
        let client = report.client;
        let answer = match report.outcome {
            UsersOutcome::Saved(result) => save_answer(result),
            UsersOutcome::Read(read_at, _) if read_at != ReadAt(self.rooms.acl.saves) => {
                let again = UsersWork::Read(ReadAt(self.rooms.acl.saves));
                return self.rooms.push_users_job(client, report.path, again);
            }
            UsersOutcome::Read(_, text) => {
                let mut own = client.and_then(|client| self.rooms.clients.take(client));
                let taken = self.rooms.take_users(own.as_deref_mut(), text);
                if let Some(own) = own {
                    self.rooms.clients.put_back(own);
                }
                taken
            }
        };
        self.answer_late(client, answer);
    }
}

impl Rooms {
    fn ask_of_users_file(&mut self, client: Option<ClientId>, work: UsersWork) {
        self.push_users_job(client, path(&self.config), work);
    }

    fn push_users_job(&mut self, client: Option<ClientId>, path: Vec<u8>, work: UsersWork) {
        self.outside.tasks.push(Task::File(FileJob::Users(UsersJob { client, path, work })));
    }

    /// Takes the users of an ACL file, or none if anything is wrong with it, and closes the
    /// connections of those before; `own` is the client that asked. The error is the line to
    /// answer.
    fn take_users(&mut self, own: Option<&mut Session>, text: Result<Vec<u8>, String>) -> Result<(), String> {
        let users = self.acl.read(&self.config, text).map_err(|errors| format!("ERR {errors}"))?;
        self.replace_users(own, users);
        Ok(())
    }
}

impl Acl {
    /// The users that `aclfile` declares, or what is wrong with it. Blocks on the disk: for the
    /// start.
    pub(super) fn read_file(&self, config: &Config, host: &dyn Host) -> Result<Users, String> {
        self.read(config, read_in_place(config, host))
    }

    /// The users that the text of `aclfile` declares, or what is wrong with it.
    fn read(&self, config: &Config, text: Result<Vec<u8>, String>) -> Result<Users, String> {
        let name = config.aclfile.to_str();
        let text = text.map_err(|reason| format!("Error loading ACLs, opening file '{name}': {reason}"))?;
        Users::load(&text, &name, self.rulebook(config))
    }
}

/// Returns the path of `aclfile`. A relative one is in the working folder, which may be another
/// when the file is opened.
fn path(config: &Config) -> Vec<u8> {
    let (folder, file) = (config.dir.as_bytes(), config.aclfile.as_bytes());
    if file.starts_with(b"/") { file.to_vec() } else { [folder, b"/", file].concat() }
}

fn read_in_place(config: &Config, host: &dyn Host) -> Result<Vec<u8>, String> {
    host.read_file(&path(config)).and_then(|file| read_users(file, ToString::to_string))
}

/// Logs why the users were not saved. The error is the line to answer.
fn save_answer(result: Result<(), String>) -> Result<(), String> {
    result.map_err(|reason| {
        log::warn!("Saving the ACL file: {reason}");
        "ERR There was an error trying to save the ACLs. Please check the server logs for more information"
            .to_owned()
    })
}
