//! MIGRATE: reads the words, finds the keys, and leaves the rest to a thread; see
//! `crate::server::migrate`.

use crate::base::number;
use crate::keyspace::Stored;
use crate::server::{Args, CommandError, CommandResult, Credentials, Ctx, MigrateJob, Origin, Target, Task};
use std::sync::Arc;

/// The timeout in the place of one that is none, milliseconds.
const DEFAULT_TIMEOUT_MS: i64 = 1000;

const KEY_AND_KEYS: CommandError = CommandError::fixed(
    "ERR When using MIGRATE KEYS option, the key argument must be set to the empty string",
);
/// Redis waits for the target in the middle of EXEC. We cannot: the owner waits for nobody.
const CANNOT_WAIT: CommandError =
    CommandError::fixed("ERR MIGRATE cannot wait for the target inside a transaction or a script");

/// The options that may follow the timeout.
#[derive(Default)]
struct Options<'a> {
    copy: bool,
    replace: bool,
    credentials: Option<Credentials>,
    keys: Option<Vec<&'a [u8]>>,
}

pub(super) fn migrate(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let (host, port, key, mut numbers) = (args.key(), args.key(), args.key(), args);
    args.take(2)?;
    // Redis: a wrong option is found before a wrong number.
    let options = options(args, key)?;
    let (target_db, timeout_ms) = (numbers.int()?, numbers.int()?);
    if ctx.origin != Origin::Client {
        return Err(CANNOT_WAIT);
    }
    let names = options.keys.unwrap_or_else(|| vec![key]);
    let keys = present(ctx, &names);
    if keys.is_empty() {
        ctx.reply.simple("NOKEY");
        return Ok(());
    }
    let timeout_ms = if timeout_ms <= 0 { DEFAULT_TIMEOUT_MS } else { timeout_ms };
    let job = MigrateJob {
        client: ctx.session.id,
        target: Target { host: String::from_utf8_lossy(host).into_owned(), port: port_of(port) },
        target_db,
        db: ctx.db.index(),
        timeout_ms: timeout_ms.unsigned_abs(),
        credentials: options.credentials,
        replace: options.replace,
        copy: options.copy,
        compress: ctx.rooms.config.rdbcompression,
        keys,
        sockets: Arc::clone(&ctx.rooms.stats.migrate_sockets),
    };
    ctx.rooms.outside.tasks.push(Task::Migrate(job));
    ctx.block_on_task();
    Ok(())
}

fn options<'a>(mut args: Args<'a>, key: &[u8]) -> Result<Options<'a>, CommandError> {
    let mut options = Options::default();
    while !args.is_done() {
        if args.keyword("COPY") {
            options.copy = true;
        } else if args.keyword("REPLACE") {
            options.replace = true;
        } else if args.keyword_with_value("AUTH") {
            options.credentials = Some(Credentials { user: None, password: args.key().to_vec() });
        } else if args.remaining() > 2 && args.keyword("AUTH2") {
            let user = Some(args.key().to_vec());
            options.credentials = Some(Credentials { user, password: args.key().to_vec() });
        } else if args.keyword("KEYS") {
            if !key.is_empty() {
                return Err(KEY_AND_KEYS);
            }
            options.keys = Some(args.rest().collect());
            break;
        } else {
            return Err(CommandError::Syntax);
        }
    }
    Ok(options)
}

/// The keys that exist, with references to what they hold.
fn present(ctx: &mut Ctx<'_>, names: &[&[u8]]) -> Vec<(Vec<u8>, Stored)> {
    let mut keys = Vec::new();
    for name in names {
        if ctx.db.view_for_read(name).is_some()
            && let Some(stored) = ctx.db.copy_of(name)
        {
            keys.push((name.to_vec(), stored));
        }
    }
    keys
}

/// Redis: `atoi`; what is no port cannot be connected to.
fn port_of(text: &[u8]) -> u16 {
    number::parse_i64(text).and_then(|port| u16::try_from(port).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::TestServer;
    use crate::server::Task;
    use crate::server::{MigrateError, MigrateJob, MigrateReport};

    fn job(server: &mut TestServer, line: &str) -> MigrateJob {
        assert_eq!(server.run(line), "", "the client waits");
        match server.server.take_tasks().pop() {
            Some(Task::Migrate(job)) => job,
            other => panic!("{other:?}"),
        }
    }

    fn report(server: &mut TestServer, job: MigrateJob, result: Result<(), MigrateError>) -> String {
        let report = MigrateReport { client: job.client, db: job.db, taken: job.keys, result, from: None };
        server.server.migrated(report);
        server.advance(0);
        server.output_of(1)
    }

    #[test]
    fn words_are_judged_in_the_order_of_redis() {
        let mut server = TestServer::new();
        server.run("SET k v");
        let syntax = "(error) ERR syntax error";
        let number = "(error) ERR value is not an integer or out of range";
        let both =
            "(error) ERR When using MIGRATE KEYS option, the key argument must be set to the empty string";
        for (line, answer) in [
            ("MIGRATE h 1 k x y FOO", syntax),
            ("MIGRATE h 1 k x 1", number),
            ("MIGRATE h 1 k 0 1y", number),
            ("MIGRATE h 1 k 0 0 AUTH", syntax),
            ("MIGRATE h 1 k 0 0 AUTH2 a", syntax),
            ("MIGRATE h 1 k 0 0 KEYS a", both),
            ("MIGRATE h 1 \"\" 0 0 KEYS a b", "NOKEY"),
            ("MIGRATE h 1 nokey 0 0", "NOKEY"),
        ] {
            assert_eq!(server.run(line), answer, "{line}");
        }
        let job = job(&mut server, "MIGRATE h nonsense k 7 -5 COPY REPLACE AUTH2 u p");
        assert_eq!((job.target.port, job.target_db, job.timeout_ms), (0, 7, 1000));
        assert!(job.copy && job.replace && job.credentials.is_some_and(|who| who.user.is_some()));
    }

    #[test]
    fn what_the_target_took_is_deleted_and_propagated_as_one_del() {
        let mut server = TestServer::new();
        server.run("MSET a 1 b 2 c 3");
        let job = job(&mut server, "MIGRATE h 1 \"\" 0 0 KEYS a nokey b a");
        server.effects();
        assert_eq!(report(&mut server, job, Ok(())), "OK");
        assert_eq!(server.effects(), "DEL a b");
        assert_eq!(server.run("KEYS *"), "1) \"c\"");
    }

    #[test]
    fn a_key_that_changed_on_the_way_stays_and_the_client_is_told() {
        let kept = "(error) ERR Key changed while it was migrated: the target has the older value, this server keeps \
                    the newer one";
        for (make, change) in [
            ("SET k v", "SET k w"),
            ("SET k v", "EXPIRE k 100"),
            ("RPUSH k a", "RPUSH k b"),
            ("RPUSH k a", "DEL k"),
            ("SADD k a", "RENAME other k"),
        ] {
            let mut server = TestServer::new();
            server.run("SADD other a");
            server.run(make);
            let job = job(&mut server, "MIGRATE h 1 k 0 0");
            server.connect(2);
            server.run_as(2, change);
            server.effects();
            assert_eq!(report(&mut server, job, Ok(())), kept, "{make}, {change}");
            assert_eq!(server.effects(), "");
        }
        let mut server = TestServer::new();
        server.run("RPUSH k a");
        let job = job(&mut server, "MIGRATE h 1 k 0 0");
        server.connect(2);
        server.run_as(2, "LRANGE k 0 -1");
        assert_eq!(report(&mut server, job, Ok(())), "OK", "reading changes nothing");
    }

    #[test]
    fn a_deadline_that_passes_on_the_way_is_no_change() {
        let mut server = TestServer::new();
        server.run("SET k v PX 100");
        let job = job(&mut server, "MIGRATE h 1 k 0 0");
        server.advance(200);
        assert_eq!(report(&mut server, job, Ok(())), "OK");
    }

    #[test]
    fn keys_sent_to_the_server_itself_stay() {
        for (peer, from) in [
            ("127.0.0.1:4000", "127.0.0.1:4000"),
            ("[::ffff:127.0.0.1]:4000", "127.0.0.1:4000"),
            ("[::1]:4000", "[::1]:4000"),
        ] {
            let mut server = TestServer::new();
            server.run("MSET a 1 b 2");
            let job = job(&mut server, "MIGRATE h 1 \"\" 0 0 REPLACE KEYS a b");
            server.connect_from(2, peer);
            server.effects();
            let from = Some(from.parse().expect("an address"));
            let report =
                MigrateReport { client: job.client, db: job.db, taken: job.keys, result: Ok(()), from };
            server.server.migrated(report);
            server.advance(0);
            assert_eq!(
                server.output_of(1),
                "(error) IOERR error or timeout reading to target instance",
                "{peer}"
            );
            assert_eq!((server.run("EXISTS a b").as_str(), server.effects().as_str()), ("(integer) 2", ""));
        }
    }

    #[test]
    fn trouble_is_told_after_what_was_taken_is_deleted() {
        let mut server = TestServer::new();
        server.run("MSET a 1 b 2");
        let mut job = job(&mut server, "MIGRATE h 1 \"\" 0 0 KEYS a b");
        job.keys.truncate(1);
        let error = MigrateError::Refused("BUSYKEY Target key name already exists.".to_owned());
        assert_eq!(
            report(&mut server, job, Err(error)),
            "(error) ERR Target instance replied with error: BUSYKEY Target key name already exists."
        );
        assert_eq!(server.run("EXISTS a b"), "(integer) 1");
    }
}
