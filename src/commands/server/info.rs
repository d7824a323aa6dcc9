//! INFO: what `server::info` declares, by section.

use crate::server::info::{ALL_SECTIONS, DEFAULT_SECTIONS, View, write_section};
use crate::server::{Args, Command, CommandResult, Ctx};
use crate::spec::*;

/// INFO.
pub const COMMANDS: &[Command] = &[Command::new(
    Spec::new("info", Group::Server, -1, "[section [section ...]]")
        .flags(&[LOADING, STALE])
        .categories(&[Category::Dangerous])
        .since("1.0.0")
        .summary("Describes the server and counts what it does.")
        .tips(&["nondeterministic_output", "request_policy:all_shards", "response_policy:special"])
        .history(&[("7.0.0", "Takes several sections.")]),
    info,
)];

fn info(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    let mut sections: Vec<&str> = Vec::new();
    if args.is_done() {
        sections.extend(DEFAULT_SECTIONS);
    }
    for word in args.rest() {
        match word.to_ascii_lowercase().as_slice() {
            b"default" => sections.extend(DEFAULT_SECTIONS),
            b"all" | b"everything" => sections.extend(ALL_SECTIONS),
            b"modules" => sections.push("module_list"),
            word => sections.extend(ALL_SECTIONS.iter().find(|section| section.as_bytes() == word)),
        }
    }
    let view = View::new(ctx.db, ctx.rooms, ctx.session);
    let mut text = String::new();
    // In their own order and once, however often they are named.
    for section in ALL_SECTIONS.iter().filter(|section| sections.contains(section)) {
        write_section(&view, section, &mut text);
    }
    ctx.reply.verbatim("txt", text.as_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::base::ClientId;
    use crate::commands::testing::TestServer;
    use crate::resp::value::Value;
    use std::sync::atomic::Ordering;

    fn info(server: &mut TestServer, line: &str) -> String {
        let raw = server.raw(line);
        match Value::parse(raw.as_bytes()) {
            Ok(Some((Value::Bulk(text), _))) => String::from_utf8(text).expect("INFO is text"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_wait_of_a_password_is_no_time_of_the_command() {
        let mut server = TestServer::new();
        server.connect(2);
        server.run("AUTH nobody y");
        server.run("CONFIG RESETSTAT");
        server.send_only_as(2, "AUTH nobody x");
        server.advance(50);
        assert!(server.output_of(2).starts_with("(error) WRONGPASS"));
        let text = info(&mut server, "INFO commandstats");
        let auth = text.lines().find(|line| line.starts_with("cmdstat_auth:calls=1,usec=")).expect("it ran");
        let us = auth.split(['=', ',']).nth(3).and_then(|us| us.parse::<u64>().ok()).expect("a number");
        assert!(us < 1000, "{auth}");
    }

    #[test]
    fn a_client_that_was_killed_is_not_connected_any_more() {
        let mut server = TestServer::new();
        server.connect(2);
        assert!(info(&mut server, "INFO clients").contains("connected_clients:2\r"));
        server.run("MULTI");
        server.run("CLIENT KILL ID 2");
        server.run("INFO clients");
        let text = server.run("EXEC");
        assert!(text.contains("connected_clients:1\\r"), "its worker does not know yet: {text}");
    }

    #[test]
    fn subscriptions_and_the_asking_client_are_counted() {
        let mut server = TestServer::new();
        server.connect(2);
        server.run_as(2, "SUBSCRIBE a b");
        server.run_as(2, "PSUBSCRIBE p*");
        server.run_as(2, "SSUBSCRIBE s");
        let text = info(&mut server, "INFO stats");
        for line in ["pubsub_channels:2", "pubsub_patterns:1", "pubsubshard_channels:1"] {
            assert!(text.contains(line), "{text}");
        }
        let session = server.server.rooms.clients.get(ClientId(1)).expect("it is there");
        session.connection.gauges.read_bytes.store(1000, Ordering::Relaxed);
        session.connection.gauges.written_bytes.store(2000, Ordering::Relaxed);
        let text = info(&mut server, "INFO stats");
        for line in ["total_net_input_bytes:1000", "total_net_output_bytes:2000", "total_writes_processed:"] {
            assert!(text.contains(line), "{text}");
        }
        assert!(!text.contains("total_writes_processed:0\r"), "{text}");
    }

    #[test]
    fn sections_come_in_order_and_once() {
        let mut server = TestServer::new();
        let text = info(&mut server, "INFO keyspace SERVER server nosuch");
        assert!(text.starts_with("# Server\r\nredis_version:7.0.15\r\n"), "{text}");
        assert!(text.ends_with("\r\n\r\n# Keyspace\r\n"), "{text}");
        assert_eq!(text.matches("# Server").count(), 1);
        assert!(!info(&mut server, "INFO").contains("# Commandstats"));
        assert!(info(&mut server, "INFO everything").contains("cmdstat_info:calls=2,"));
        assert_eq!(info(&mut server, "INFO nosuch"), "");
    }

    #[test]
    fn fields_follow_what_happens() {
        let mut server = TestServer::new();
        server.run("SETNX k v");
        server.run("GET k");
        server.run("GET missing");
        server.run("NOSUCH");
        let text = info(&mut server, "INFO all");
        for line in [
            "connected_clients:1",
            "keyspace_hits:1",
            "keyspace_misses:1",
            "errorstat_ERR:count=1",
            "total_error_replies:1",
            "db0:keys=1,expires=0,avg_ttl=0",
            "rdb_changes_since_last_save:1",
        ] {
            assert!(text.contains(&format!("{line}\r\n")), "{line} in {text}");
        }
    }
}
