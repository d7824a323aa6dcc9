//! CONFIG: the parameters of the `config` room, to be read and changed while the server runs.

use crate::commands::help;
use crate::config::{self, Added, Config, ConfigSetError, SetContext};
use crate::server::{
    Args, Command, CommandError, CommandResult, Ctx, FileJob, Origin, RewriteJob, Task, rewrite_answer,
};
use crate::spec::*;

/// CONFIG.
pub const COMMANDS: &[Command] = &[Command::container(
    Spec::container("config", Group::Server).since("2.0.0").summary("Settings of the server."),
    SUBCOMMANDS,
)];

const SUBCOMMANDS: &[Command] = &[
    Command::new(
        Spec::new("config|get", Group::Server, -3, "(parameter) [parameter ...]")
            .flags(&[ADMIN, NOSCRIPT, LOADING, STALE])
            .since("2.0.0")
            .complexity("O(N), N: patterns given.")
            .summary("Reads settings.")
            .history(&[("7.0.0", "Takes several patterns.")]),
        config_get,
    ),
    Command::new(
        Spec::new("config|help", Group::Server, 2, "")
            .flags(&[LOADING, STALE])
            .since("5.0.0")
            .summary("Describes the subcommands."),
        config_help,
    ),
    Command::new(
        Spec::new("config|resetstat", Group::Server, 2, "")
            .flags(&[ADMIN, NOSCRIPT, LOADING, STALE])
            .since("2.0.0")
            .summary("Sets the counters of INFO back to zero."),
        config_resetstat,
    ),
    Command::new(
        Spec::new("config|rewrite", Group::Server, 2, "")
            .flags(&[ADMIN, NOSCRIPT, LOADING, STALE])
            .since("2.8.0")
            .summary("Writes the current settings into the configuration file."),
        config_rewrite,
    ),
    Command::new(
        Spec::new("config|set", Group::Server, -4, "parameter value [parameter value ...]")
            .flags(&[ADMIN, NOSCRIPT, LOADING, STALE])
            .secrets(Secrets::OfParameters)
            .since("2.0.0")
            .complexity("O(N), N: settings given.")
            .summary("Changes settings.")
            .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
            .history(&[("7.0.0", "Takes several settings.")]),
        config_set,
    ),
];

fn config_get(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    let patterns: Vec<_> = args.rest().collect();
    let found = config::config_get(&ctx.rooms.config, &patterns)?;
    ctx.reply.map(found.len());
    for (name, value) in found {
        ctx.reply.bulk(&name);
        ctx.reply.bulk(&value);
    }
    Ok(())
}

fn config_set(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    let pairs: Vec<_> = args.rest().collect();
    let context = SetContext {
        loading: ctx.rooms.persistence.loading,
        local_client: ctx.session.connection.is_local(),
    };
    let old = ctx.rooms.config.clone();
    let changed = match config::config_set(&mut ctx.rooms.config, &pairs, context) {
        Ok(changed) => changed,
        Err(error) => {
            ctx.rooms.config = old;
            return Err(CommandError::line(error.to_string()));
        }
    };
    let mut applied = changed.iter().map(|parameter| (parameter.name, apply(ctx, parameter.name)));
    if let Some((name, Err(error))) = applied.find(|(_, result)| result.is_err()) {
        log::warn!(
            "Failed applying new configuration. Possibly related to new {name} setting. Restoring previous settings."
        );
        ctx.rooms.config = old;
        for parameter in &changed {
            // A value that was accepted before is accepted again; the first refusal is the one to
            // tell.
            let _ = apply(ctx, parameter.name);
        }
        return Err(CommandError::line(error.to_string()));
    }
    ctx.apply_config();
    if !apply_aof(ctx, &old) {
        ctx.reply.ok();
    }
    Ok(())
}

/// Turns the append-only file on or off, or deletes its history. Returns whether the answer comes
/// when that is done.
fn apply_aof(ctx: &mut Ctx<'_>, old: &Config) -> bool {
    let (id, may_wait) = (ctx.session.id, ctx.origin == Origin::Client);
    let server = &mut *ctx.rooms;
    let mut waits = false;
    if old.aof_disable_auto_gc
        && !server.config.aof_disable_auto_gc
        && server.delete_aof_history()
        && may_wait
    {
        waits = true;
    }
    if old.appendonly != server.config.appendonly {
        let wanted = server.config.appendonly;
        if server.set_appendonly(ctx.db, wanted, may_wait.then_some(id)) {
            // It answers for both.
            ctx.block_on_task();
            return true;
        }
    }
    if waits {
        ctx.rooms.wait_for_aof(id);
        ctx.block_on_task();
    }
    waits
}

/// Lets the process act on a parameter that has changed, or says why it cannot.
fn apply(ctx: &mut Ctx<'_>, name: &str) -> Result<(), ConfigSetError> {
    let server = &mut *ctx.rooms;
    match name {
        "dir" => {
            let refused = |reason: String| ConfigSetError::refused(name, &reason);
            let path = server.outside.host.change_dir(server.config.dir.as_bytes()).map_err(refused)?;
            server.config.dir = path.into();
        }
        "maxclients" => {
            let room = server.outside.host.make_room_for(server.config.maxclients);
            if room < server.config.maxclients {
                let reason = format!(
                    "The operating system is not able to handle the specified number of clients, try with {room}"
                );
                return Err(ConfigSetError::refused(name, &reason));
            }
        }
        "tls-port" | "tls-cluster" | "tls-replication" if server.config.refusal().is_some() => {
            let reason = "Unable to update TLS configuration. Check server logs.";
            return Err(ConfigSetError::refused(name, reason));
        }
        "maxmemory" => server.maxmemory_changed(),
        "maxmemory-policy" => server.memory.eviction.policy_changed(),
        "oom-score-adj" | "oom-score-adj-values" if !server.apply_oom_score() => {
            let reason = "Failed to set current oom_score_adj. Check server logs.";
            return Err(ConfigSetError::refused(name, reason));
        }
        "requirepass" => ctx.apply_requirepass(),
        "activedefrag" => server.config.defrag_notice().iter().for_each(|notice| log::warn!("{notice}")),
        "loglevel" => server.outside.host.set_log_level(server.config.loglevel),
        "port" | "bind" => {
            let reason = match name {
                "port" => "Unable to listen on this port. Check server logs.",
                _ => "Failed to bind to specified addresses.",
            };
            let listening = server.outside.host.listen(&server.config);
            listening.map_err(|_| ConfigSetError::refused(name, reason))?;
            if server.config.set_proc_title {
                // The template was accepted once, and is again.
                let _ = server.outside.host.show_title(&server.config, &server.process.config_file);
            }
        }
        "proc-title-template" => {
            let shown = server.outside.host.show_title(&server.config, &server.process.config_file);
            shown.map_err(|reason| ConfigSetError::refused(name, &reason))?;
        }
        _ => {}
    }
    Ok(())
}

fn config_resetstat(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CommandResult {
    ctx.rooms.stats.counters.reset();
    ctx.rooms.memory.eviction.reset_stats();
    for db in ctx.db.iter_mut() {
        (db.findings.hits, db.findings.misses) = (0, 0);
    }
    ctx.reply.ok();
    Ok(())
}

fn config_rewrite(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CommandResult {
    rewrite_file(ctx, Added::Changed)
}

/// Has the configuration file written anew as the parameters are at this moment. The client waits
/// for it; in a transaction nothing can be waited for, so there it is done in place.
pub(super) fn rewrite_file(ctx: &mut Ctx<'_>, added: Added) -> CommandResult {
    let server = &mut *ctx.rooms;
    if server.process.config_file.is_empty() {
        return Err(CommandError::fixed("ERR The server is running without a config file"));
    }
    let config = Config { users: server.acl.user_lines(&server.config), ..server.config.clone() };
    let file = server.process.config_file.clone();
    let may_wait = ctx.origin == Origin::Client;
    let written = (!may_wait).then(|| server.outside.host.rewrite_config(&file, &config, added));
    // A part that is written in place is written again behind those under way, which are older.
    let client = may_wait.then_some(ctx.session.id);
    let job = RewriteJob { client, file, config: Box::new(config), added };
    server.outside.tasks.push(Task::File(FileJob::Rewrite(job)));
    match written {
        Some(result) => {
            rewrite_answer(result).map_err(CommandError::line)?;
            ctx.reply.ok();
        }
        None => ctx.block_on_task(),
    }
    Ok(())
}

fn config_help(ctx: &mut Ctx<'_>, _args: Args<'_>) -> CommandResult {
    help::of_container(ctx, "CONFIG", SUBCOMMANDS);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Added, FileJob, RewriteJob, Task};
    use crate::commands::testing::TestServer;
    use crate::config::Protected;
    use crate::server::{FileReport, RewriteReport};

    #[test]
    fn a_setting_is_read_back_and_acts_at_once() {
        let mut server = TestServer::new();
        assert_eq!(server.run("CONFIG SET maxmemory 100mb timeout 5"), "OK");
        assert_eq!(server.run("CONFIG GET maxmemory"), "1) \"maxmemory\"\n2) \"104857600\"");
        assert_eq!(
            server.run("CONFIG SET timeout 7 maxmemory x"),
            "(error) ERR CONFIG SET failed (possibly related to argument 'maxmemory') - argument must be a memory value"
        );
        assert_eq!(server.run("CONFIG GET timeout"), "1) \"timeout\"\n2) \"5\"", "all or nothing");
        let line =
            "(error) ERR CONFIG SET failed (possibly related to argument 'dir') - No such file or directory";
        server.server.rooms.config.enable_protected_configs = crate::config::Protected::Yes;
        assert_eq!(server.run("CONFIG SET dir /nowhere"), line);
        let refused = server.run("CONFIG SET maxmemory 1gb oom-score-adj-values \"-5 0 0\"");
        assert!(refused.contains("Failed to set current oom_score_adj"), "{refused}");
        assert_eq!(server.run("CONFIG GET maxmemory"), "1) \"maxmemory\"\n2) \"104857600\"", "taken back");
        assert_eq!(server.run("CONFIG REWRITE"), "(error) ERR The server is running without a config file");
        assert!(server.raw("CONFIG GET save*").starts_with("*2\r\n"));
    }

    /// The rewrites that the server has asked for.
    fn jobs(server: &mut TestServer) -> Vec<RewriteJob> {
        let tasks = server.server.take_tasks().into_iter();
        let job = |task| if let Task::File(FileJob::Rewrite(job)) = task { Some(job) } else { None };
        tasks.filter_map(job).collect()
    }

    fn report(server: &mut TestServer, job: &RewriteJob, result: Result<(), &str>) {
        let result = result.map_err(str::to_owned);
        let report = RewriteReport { client: job.client, result };
        server.server.file_reported(FileReport::Rewritten(report));
        server.advance(0);
    }

    fn with_file() -> TestServer {
        let mut server = TestServer::with(|config| config.enable_debug_command = Protected::Yes);
        server.server.rooms.process.config_file = "/redis.conf".to_owned();
        server.connect(2);
        server
    }

    #[test]
    fn a_rewrite_writes_what_was_set_when_it_was_asked_for_and_answers_when_it_is_written() {
        let mut server = with_file();
        server.run("CONFIG SET hz 11");
        assert_eq!(server.pipeline_as(1, &["CONFIG REWRITE", "PING"]), "", "it waits");
        assert_eq!(server.run_as(2, "CONFIG SET hz 12"), "OK");
        assert_eq!(server.run_as(2, "DEBUG CONFIG-REWRITE-FORCE-ALL"), "");
        let jobs = jobs(&mut server);
        let fixed: Vec<_> = jobs.iter().map(|job| (job.config.hz, job.added, &*job.file)).collect();
        assert_eq!(fixed, [(11, Added::Changed, "/redis.conf"), (12, Added::All, "/redis.conf")]);
        report(&mut server, &jobs[0], Ok(()));
        assert_eq!((server.output_of(1), server.output_of(2)), ("OK\nPONG".to_owned(), String::new()));
        report(&mut server, &jobs[1], Err("Permission denied"));
        assert_eq!(server.output_of(2), "(error) ERR Rewriting config file: Permission denied");
    }

    #[test]
    fn a_client_that_is_gone_is_not_answered() {
        let mut server = with_file();
        server.run_as(2, "CONFIG REWRITE");
        server.disconnect(2);
        let jobs = jobs(&mut server);
        report(&mut server, &jobs[0], Ok(()));
        assert_eq!((server.output_of(2), server.run("PING")), (String::new(), "PONG".to_owned()));
    }

    #[test]
    fn in_a_transaction_a_rewrite_is_answered_at_once_and_is_still_the_last_to_be_written() {
        let mut server = with_file();
        server.run_as(2, "CONFIG REWRITE");
        server.pipeline_as(1, &["MULTI", "CONFIG SET hz 13", "CONFIG REWRITE"]);
        assert_eq!(server.run("EXEC"), "1) OK\n2) OK");
        let jobs = jobs(&mut server);
        assert_eq!(jobs.iter().map(|job| job.config.hz).collect::<Vec<_>>(), [10, 13]);
        report(&mut server, &jobs[1], Ok(()));
        assert_eq!(server.run("PING"), "PONG", "nobody waited for it");
    }

    #[test]
    fn texts_end_at_a_nul_and_tls_cannot_be_turned_on() {
        let mut server = TestServer::new();
        assert_eq!(server.run(r#"CONFIG SET masteruser "a\x00b" masterauth "a\x00b""#), "OK");
        assert_eq!(server.run("CONFIG GET masteruser"), "1) \"masteruser\"\n2) \"a\"");
        assert_eq!(
            server.run("CONFIG GET masterauth"),
            r#"1) "masterauth"
2) "a\x00b""#
        );
        for setting in ["tls-port 7000", "tls-cluster yes", "tls-replication yes"] {
            let name = setting.split(' ').next().unwrap();
            let line = format!(
                "(error) ERR CONFIG SET failed (possibly related to argument '{name}') - Unable to update TLS \
                 configuration. Check server logs."
            );
            assert_eq!(server.run(&format!("CONFIG SET timeout 9 {setting}")), line);
        }
        assert!(server.server.rooms.config.refusal().is_none() && server.server.rooms.config.timeout == 0);
    }

    #[test]
    fn error_lines_quote_any_byte_as_it_came() {
        let mut server = TestServer::new();
        let rows: &[(&str, &[u8])] = &[
            (r#""x\xff" "\x80""#, b"-ERR unknown command 'x\xff', with args beginning with: '\x80' \r\n"),
            (r#"CONFIG "\xfe\n""#, b"-ERR unknown subcommand '\xfe '. Try CONFIG HELP.\r\n"),
            (
                r#"CONFIG SET "\xc3" 1"#,
                b"-ERR Unknown option or number of arguments for CONFIG SET - '\xc3'\r\n",
            ),
            (r#"ACL SETUSER a "\xff""#, b"-ERR Error in ACL SETUSER modifier '\xff': Syntax error\r\n"),
        ];
        rows.iter().for_each(|(line, answer)| assert_eq!(server.raw_bytes(line), *answer, "{line}"));
    }

    #[test]
    fn a_renamed_container_is_called_by_its_new_name() {
        let mut server = TestServer::with(|config| {
            for (from, to) in [("config", "cfg"), ("client", "CL")] {
                config
                    .renamed_commands
                    .push(crate::config::RenameCommand { from: from.into(), to: to.into() });
            }
        });
        assert_eq!(server.run("cfg nosuch"), "(error) ERR unknown subcommand 'nosuch'. Try CFG HELP.");
        let line = "(error) ERR unknown subcommand or wrong number of arguments for 'UNBLOCK'. Try CL HELP.";
        assert_eq!(server.run("cl UNBLOCK 1 ERROR x"), line);
        assert!(server.run("CONFIG GET port").starts_with("(error) ERR unknown command 'CONFIG'"));
    }

    #[test]
    fn a_parameter_under_two_names_has_one_value() {
        let mut server = TestServer::new();
        let refused = server.run("CONFIG SET maxclients 2000000");
        assert!(
            refused.ends_with("is not able to handle the specified number of clients, try with 1000000"),
            "{refused}"
        );
        assert_eq!(server.run("CONFIG SET spawn-limit 77"), "OK");
        assert_eq!(server.run("CONFIG GET maxclients"), "1) \"maxclients\"\n2) \"77\"");
        let limit =
            server.server.rooms.clients.wire_limits.max_clients.load(std::sync::atomic::Ordering::Relaxed);
        assert_eq!(limit, 77);
    }

    #[test]
    fn resetstat_forgets_what_was_counted() {
        let mut server = TestServer::new();
        server.run("GET missing");
        server.run("NOSUCH");
        assert_eq!(server.run("CONFIG RESETSTAT"), "OK");
        assert_eq!(server.server.rooms.stats.counters.errors, 0);
        assert_eq!(server.server.keyspace.findings.misses, 0);
        assert_eq!(server.server.rooms.stats.counters.commands, 1, "only RESETSTAT itself");
    }
}
