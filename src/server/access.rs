//! The user of a client and its permissions: joins the ACL room with the sessions.
//!
//! A session keeps its user's name and whether that user is unrestricted. The gate looks at that
//! one bit; only who is restricted pays for a [`check`]. So whoever changes users does it through
//! the [`Ctx`] methods here, which keep the bit true for everybody and close the connections of
//! those who lost the right to have one.

use super::command::{CommandTable, FoundCommand};
use super::ctx::Ctx;
use super::error::{CommandError, CommandResult};
use super::host::Host;
use super::origin::Origin;
use super::{Rooms, client_info};
use crate::acl::{
    Acl, AclLog, Catalog, Context, DEFAULT_USER, Denial, Guess, LogEntry, Reason, Rulebook, SetUserError,
    Throttle, User, Users,
};
use crate::base::ClientId;
use crate::clients::{Close, Connection, Session};
use crate::config::{AclPubsubDefault, Config, Text, UserLine};
use crate::pubsub::Topic;
use crate::resp::Argv;

const WRONG_PASSWORD: &str = "WRONGPASS invalid username-password pair or user is disabled.";

/// The error for clients of other machines while there is no password.
pub(super) const PROTECTED: &str = "DENIED Redis is running in protected mode because protected mode is enabled and \
     no password is set for the default user. In this mode connections are only accepted from the loopback interface. \
     If you want to connect from external computers to Redis you may adopt one of the following solutions: 1) Just \
     disable protected mode sending the command 'CONFIG SET protected-mode no' from the loopback interface by \
     connecting to Redis from the same host the server is running, however MAKE SURE Redis is not publicly accessible \
     from internet if you do so. Use CONFIG REWRITE to make this change permanent. 2) Alternatively you can just \
     disable the protected mode by editing the Redis configuration file, and setting the protected mode option to \
     'no', and then restarting the server. 3) If you started the server manually just for testing, restart it with the \
     '--protected-mode no' option. 4) Setup a an authentication password for the default user. NOTE: You only need to \
     do one of the above things in order for the server to start accepting connections from the outside.";

/// A call that its user may not make.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refusal {
    denial: Denial,
    command: &'static str,
}

impl Refusal {
    /// The error that EXEC answers in the place of a command that was allowed when it was queued.
    pub(super) fn in_exec(self) -> CommandError {
        let reason = match self.denial {
            Denial::Command => "no permission to execute the command or subcommand",
            Denial::Key(_) => "no permission to touch the specified keys",
            Denial::Channel(_) => {
                "no permission to access one of the channels used as arguments to the command"
            }
        };
        CommandError::line(format!(
            "NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This \
             command is no longer allowed for the following reason: {reason}"
        ))
    }

    /// The error of a command that a script calls.
    pub(super) fn in_script(self) -> CommandError {
        let reason = match self.denial {
            Denial::Command => "can't run this command or subcommand",
            Denial::Key(_) => "can't access at least one of the keys mentioned in the command arguments",
            Denial::Channel(_) => "can't publish to the channel mentioned in the command",
        };
        CommandError::line(format!("ERR The user executing the script {reason}"))
    }
}

impl From<Refusal> for CommandError {
    fn from(refusal: Refusal) -> Self {
        match refusal.denial {
            Denial::Command => CommandError::line(format!(
                "NOPERM this user has no permissions to run the '{}' command",
                refusal.command
            )),
            Denial::Key(_) => CommandError::fixed(
                "NOPERM this user has no permissions to access one of the keys used as arguments",
            ),
            Denial::Channel(_) => CommandError::fixed(
                "NOPERM this user has no permissions to access one of the channels used as arguments",
            ),
        }
    }
}

/// Checks if a restricted user may make this call; a denied one is logged.
#[cold]
#[inline(never)]
pub(super) fn check(
    rooms: &mut Rooms,
    session: &Session,
    (command, _, index): FoundCommand,
    argv: Argv<'_>,
    context: Context,
) -> Result<(), Refusal> {
    let name = command.spec.name;
    let user = rooms.acl.users.get(&session.login.user);
    let checked =
        user.map_or(Err(Denial::Command), |user| user.check(usize::from(index.0), &command.spec, argv));
    let Err(denial) = checked else { return Ok(()) };
    let (reason, object) = match denial {
        Denial::Command => (Reason::Command, name.as_bytes()),
        Denial::Key(at) => (Reason::Key, argv.at(at)),
        Denial::Channel(at) => (Reason::Channel, argv.at(at)),
    };
    rooms.log_refusal(session, reason, context, object, &session.login.user);
    Err(Refusal { denial, command: name })
}

/// [`check`] for a command that EXEC is about to run; the error is the line it answers instead.
pub(super) fn check_queued(
    rooms: &mut Rooms,
    session: &Session,
    entry: FoundCommand,
    argv: Argv<'_>,
) -> Result<(), String> {
    if session.login.unrestricted {
        return Ok(());
    }
    check(rooms, session, entry, argv, Context::Multi).map_err(|refusal| refusal.in_exec().to_string())
}

impl Acl {
    /// The users of the configuration: the default one with `requirepass`, those of its lines,
    /// those of its file. Errors with the last line that was logged. Source: the start.
    pub(super) fn new(config: &Config, commands: &CommandTable, host: &dyn Host) -> Result<Acl, String> {
        let catalog = Catalog::new(commands.named_in_rules(), commands.aliases());
        let mut users = Users::new(&catalog);
        users.set_default_password(config.requirepass.as_bytes());
        let mut acl = Acl { users, catalog, log: AclLog::default(), throttle: Throttle::default(), saves: 0 };
        let fatal = |line: String| {
            log::warn!("{line}");
            line
        };
        if !config.aclfile.is_empty() && !config.users.is_empty() {
            return Err(fatal(TWO_SOURCES.to_string()));
        }
        acl.take_lines(config).map_err(|line| {
            log::warn!("{line}");
            fatal("Critical error while loading ACLs. Exiting.".to_string())
        })?;
        if !config.aclfile.is_empty() {
            acl.users = acl
                .read_file(config, host)
                .map_err(|errors| fatal(format!("Aborting Redis startup because of ACL errors: {errors}")))?;
        }
        Ok(acl)
    }

    fn take_lines(&mut self, config: &Config) -> Result<(), String> {
        for line in &config.users {
            let words: Vec<&[u8]> = line.rules.iter().map(Text::as_bytes).collect();
            let name = line.name.as_bytes();
            let user = self.users.configured(name, &words, self.rulebook(config))?;
            if !user.is_enabled() {
                log::info!(
                    "The user '{}' is disabled (there is no 'on' modifier in the user description). Make sure this is \
                     not a configuration error.",
                    line.name
                );
            }
            self.users.insert(name, user);
        }
        Ok(())
    }

    /// The context that rules are read with.
    pub(super) fn rulebook(&self, config: &Config) -> Rulebook<'_> {
        let all_channels = config.acl_pubsub_default == AclPubsubDefault::Allchannels;
        Rulebook { catalog: &self.catalog, all_channels }
    }

    /// The users as lines of a configuration file; none when they live in a file of their own.
    #[must_use]
    pub fn user_lines(&self, config: &Config) -> Vec<UserLine> {
        if !config.aclfile.is_empty() {
            return Vec::new();
        }
        let line = |(name, user): (&[u8], &User)| {
            // A selector is written as several words, as Redis writes it.
            let rules = user.rules(&self.catalog);
            let words = rules.iter().flat_map(|rule| rule.split(|byte| *byte == b' ')).map(Text::from);
            UserLine { name: Text::from(name), rules: words.collect() }
        };
        self.users.iter().map(line).collect()
    }

    /// Makes `session` what every connection begins as.
    pub(super) fn log_out(&self, session: &mut Session) {
        session.login.user = DEFAULT_USER.to_vec();
        session.set_authenticated(self.users.default_is_open());
        refresh(session, &self.users);
    }

    /// True when somebody from another machine is sent away because nothing protects the data.
    pub(super) fn refuses(&self, config: &Config, connection: &Connection) -> bool {
        config.protected_mode && !connection.is_local() && self.users.default_user().needs_no_password()
    }
}

const TWO_SOURCES: &str = "Configuring Redis with users defined in redis.conf and at the same setting an ACL file path is \
     invalid. This setup is very likely to lead to configuration errors and security holes, please define either an \
     ACL file or declare users directly in your redis.conf, but not both.";

impl Rooms {
    fn log_refusal(
        &mut self,
        session: &Session,
        reason: Reason,
        context: Context,
        object: &[u8],
        username: &[u8],
    ) {
        let entry = LogEntry {
            reason,
            context,
            object: object.to_vec(),
            username: username.to_vec(),
            client_info: client_info::info_line(self, session),
            time: self.time.monotonic,
            count: 1,
        };
        self.acl.log.add(entry, self.config.acllog_max_len);
    }

    /// Closes the connections of a user; `own`, whose command runs, after its answer.
    fn close_clients_of(&mut self, own: &mut Session, name: &[u8]) {
        self.close_others_of(name);
        if own.login.user == name {
            close_own(own);
        }
    }

    /// Closes the connections of a user but the one whose command runs.
    fn close_others_of(&mut self, name: &[u8]) {
        let is_theirs = |session: &&Session| session.login.authenticated && session.login.user == name;
        let ids: Vec<ClientId> = self.clients.iter().filter(is_theirs).map(|session| session.id).collect();
        for id in ids {
            if let Some(session) = self.clients.get_mut(id) {
                disown(session);
            }
            self.close_client(id, Close::Now);
        }
    }

    /// Closes subscribers of a user who may no longer listen to what they listen to, by the rules
    /// of `new`. Redis: whoever gets all channels or more patterns than before is not looked at.
    fn close_subscribers_of(&mut self, own: &mut Session, name: &[u8], new: &User) {
        if !self.acl.users.get(name).is_some_and(|old| old.loses_channels(new)) {
            return;
        }
        let is_lost = |session: &Session| {
            let listens = session.close != Close::Now && !session.subscribed.is_zero();
            listens && session.login.user == name && !self.may_listen(session.id, new)
        };
        let ids: Vec<ClientId> =
            self.clients.iter().filter(|session| is_lost(session)).map(|session| session.id).collect();
        if is_lost(own) {
            close_own(own);
        }
        ids.into_iter().for_each(|id| self.close_client(id, Close::Now));
    }

    /// True when `user` may listen to all that a client listens to.
    fn may_listen(&self, client: ClientId, user: &User) -> bool {
        [Topic::Channel, Topic::Pattern, Topic::Shard].into_iter().all(|topic| {
            let names = self.pubsub.names_of(topic, client);
            names.iter().all(|name| user.admits_channel(name, topic == Topic::Pattern))
        })
    }

    /// Puts `users` in the place of those before. Everybody but the default user loses its
    /// connections; `own`, the client that asked, after its answer.
    pub(super) fn replace_users(&mut self, mut own: Option<&mut Session>, users: Users) {
        let old = std::mem::replace(&mut self.acl.users, users);
        for (name, _) in old.iter().filter(|(name, _)| *name != DEFAULT_USER) {
            self.close_others_of(name);
            if let Some(own) = own.as_deref_mut().filter(|own| own.login.user == name) {
                close_own(own);
            }
        }
        self.refresh_sessions(own);
    }

    /// Lets every session know what its user may do now.
    fn refresh_sessions(&mut self, own: Option<&mut Session>) {
        for session in self.clients.iter_mut().chain(own) {
            refresh(session, &self.acl.users);
        }
    }
}

/// Lets a session know what its user may do now.
fn refresh(session: &mut Session, users: &Users) {
    session.login.unrestricted = users.get(&session.login.user).is_some_and(User::is_unrestricted);
    session.login.must_log_in = !session.login.authenticated && !users.default_is_open();
}

/// Closes the connection whose command runs, after its answer.
fn close_own(session: &mut Session) {
    disown(session);
    session.close = Close::AfterFlush;
}

/// Takes everything from a session that is about to be closed.
fn disown(session: &mut Session) {
    session.login.user = DEFAULT_USER.to_vec();
    session.set_authenticated(false);
    session.login.unrestricted = false;
}

impl Ctx<'_> {
    /// Makes the session one of `user`'s. A failure is logged, and makes the next password of this
    /// address wait; in a transaction no further password is looked at. Errors with WRONGPASS.
    /// Source: AUTH, HELLO.
    pub fn log_in(&mut self, argv: Argv<'_>, user: &[u8], password: &[u8]) -> CommandResult {
        // Nothing waits in a transaction, so one guess is all that it has.
        let found =
            if self.session.login.has_guessed { None } else { self.rooms.acl.users.log_in(user, password) };
        if let Some(found) = found {
            self.session.login.unrestricted = found.is_unrestricted();
            self.session.login.must_log_in = false;
            self.session.login.user = user.to_vec();
            self.session.set_authenticated(true);
            return Ok(());
        }
        let is_queued = self.origin == Origin::Transaction;
        let context = if is_queued { Context::Multi } else { Context::Toplevel };
        self.rooms.log_refusal(self.session, Reason::Auth, context, argv.at(0), user);
        if !self.session.login.has_guessed && (is_queued || self.origin == Origin::Client) {
            let (host, guess) = (self.session.connection.host(), Guess::of(user, password));
            self.rooms.acl.throttle.failed(host, guess, self.rooms.time.monotonic);
            self.session.login.has_guessed = is_queued;
        }
        Err(CommandError::fixed(WRONG_PASSWORD))
    }

    /// Makes the session what every connection begins as. Source: RESET.
    pub fn log_out(&mut self) {
        self.rooms.acl.log_out(self.session);
    }

    /// True when the running command may read keys that its arguments do not name; if so, it can
    /// from here on. Source: SORT BY, SORT GET.
    #[must_use]
    pub fn may_read_any_key(&mut self, argv: Argv<'_>) -> bool {
        let may = self.session.login.unrestricted || self.must_obey() || self.user_may_read_any_key(argv);
        if may {
            self.db.let_read_any_key();
        }
        may
    }

    fn user_may_read_any_key(&self, argv: Argv<'_>) -> bool {
        let (acl, spec) = (&self.rooms.acl, &self.command.spec);
        let (user, command) =
            (acl.users.get(&self.session.login.user), acl.catalog.find(spec.name.as_bytes()));
        user.zip(command).is_some_and(|(user, command)| user.may_read_any_key(command, spec, argv))
    }

    /// Gives the default user the password of the configuration. Source: CONFIG SET requirepass.
    pub fn apply_requirepass(&mut self) {
        self.rooms.acl.users.set_default_password(self.rooms.config.requirepass.as_bytes());
        self.rooms.refresh_sessions(Some(self.session));
    }

    /// Creates a user or changes its rules, all or none. A user that is switched off loses its
    /// connections but the one that said so: it may be the only way back, and `reset` switches off
    /// before it switches on. Source: ACL SETUSER.
    pub fn set_user(&mut self, name: &[u8], rules: &[&[u8]]) -> Result<(), SetUserError> {
        let rooms = &mut *self.rooms;
        let user = rooms.acl.users.changed(name, rules, rooms.acl.rulebook(&rooms.config))?;
        let old = rooms.acl.users.get(name);
        let is_switched_off = old.is_some_and(User::is_enabled) && !user.is_enabled();
        rooms.close_subscribers_of(self.session, name, &user);
        rooms.acl.users.insert(name, user);
        rooms.refresh_sessions(Some(self.session));
        if is_switched_off {
            rooms.close_others_of(name);
        }
        Ok(())
    }

    /// Removes a user and closes its connections. Returns whether there was one. Source: ACL
    /// DELUSER.
    pub fn delete_user(&mut self, name: &[u8]) -> bool {
        let removed = self.rooms.acl.users.remove(name);
        if removed {
            self.rooms.close_clients_of(self.session, name);
        }
        removed
    }
}
