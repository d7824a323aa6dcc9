//! SCAN: a walk through the keys, a few at a time.

use crate::commands::scan::{Answer, ScanOptions, cursor};
use crate::server::{Args, CommandError, CommandResult, Ctx};

pub(super) fn scan(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let cursor = cursor(args.key())?;
    let mut options = ScanOptions::default();
    let mut wanted_kind = None;
    while !args.is_done() {
        if args.keyword_with_value("TYPE") {
            wanted_kind = Some(args.key());
        } else if !options.parse_one(&mut args)? {
            return Err(CommandError::Syntax);
        }
    }
    let answer = Answer::begin(&ctx.reply);
    let (mut listed, mut hits) = (0, 0);
    let mut expired = Vec::new();
    let (db, reply) = (&*ctx.db, &mut ctx.reply);
    let next = db.scan(cursor, options.count, |view| {
        if !options.matches(view.key) {
            return;
        }
        if db.is_expired(&view) {
            expired.push(view.key.to_vec());
            return;
        }
        if let Some(kind) = wanted_kind {
            // Redis: asking for the type is a read of the key.
            hits += 1;
            if !kind.eq_ignore_ascii_case(view.kind().name().as_bytes()) {
                return;
            }
        }
        reply.bulk(view.key);
        listed += 1;
    });
    answer.end(&mut ctx.reply, next, listed, options)?;
    ctx.db.findings.hits += hits;
    for key in expired {
        // Looking removes it.
        ctx.db.peek(&key);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::TestServer;
    use std::collections::BTreeMap;

    /// Walks to the end; how often each key was shown.
    fn walk(server: &mut TestServer, options: &str) -> BTreeMap<String, usize> {
        let mut seen = BTreeMap::new();
        let mut cursor = "0".to_string();
        for _ in 0..10_000 {
            let answer = server.run(&format!("SCAN {cursor} {options}"));
            let mut quoted = answer.split('"').skip(1).step_by(2).map(str::to_string);
            cursor = quoted.next().expect("a cursor");
            quoted.for_each(|key| *seen.entry(key).or_default() += 1);
            if cursor == "0" {
                return seen;
            }
        }
        panic!("the walk does not end");
    }

    #[test]
    fn a_walk_shows_every_key_once() {
        let mut server = TestServer::new();
        (0..1000).for_each(|n| assert_eq!(server.run(&format!("SETNX key:{n} v")), "(integer) 1"));
        for options in ["", "COUNT 1", "COUNT 1000000", "TYPE STRING", "MATCH *"] {
            let seen = walk(&mut server, options);
            assert!(seen.len() == 1000 && seen.values().all(|&times| times == 1), "{options}");
        }
        assert_eq!(walk(&mut server, "MATCH key:1??").len(), 100);
        assert_eq!(walk(&mut server, "TYPE list").len(), 0);
        assert_eq!(walk(&mut server, "TYPE nonsense").len(), 0);
    }

    #[test]
    fn a_walk_through_keys_that_go_shows_all_that_stay() {
        let mut server = TestServer::new();
        (0..500).for_each(|n| assert_eq!(server.run(&format!("SETNX key:{n} v")), "(integer) 1"));
        let mut seen = Vec::new();
        let mut cursor = "0".to_string();
        for step in 0.. {
            let answer = server.run(&format!("SCAN {cursor} COUNT 7"));
            let mut quoted = answer.split('"').skip(1).step_by(2).map(str::to_string);
            cursor = quoted.next().expect("a cursor");
            seen.extend(quoted);
            (step * 20..step * 20 + 20).filter(|n| n % 10 != 0).for_each(|n| {
                server.run(&format!("DEL key:{n}"));
            });
            if cursor == "0" {
                break;
            }
        }
        let stays = (0..500).step_by(10).map(|n| format!("key:{n}"));
        assert!(stays.into_iter().all(|key| seen.iter().filter(|&name| *name == key).count() == 1));
    }

    #[test]
    fn expired_keys_are_not_shown_but_removed() {
        let mut server = TestServer::new();
        server.run("SETNX a 1");
        server.run("SETNX b 1");
        server.server.rooms.time.active_expire = false;
        server.run("PEXPIRE a 10");
        server.advance(11);
        server.effects();
        assert_eq!(server.run("SCAN 0"), "1) \"0\"\n2) 1) \"b\"");
        assert_eq!(server.effects(), "DEL a");
        assert_eq!(server.run("DBSIZE"), "(integer) 1");
    }

    #[test]
    fn keys_that_expired_are_propagated_one_by_one() {
        let mut server = TestServer::new();
        server.run("MSET a 1 b 2 c 3");
        server.server.rooms.time.active_expire = false;
        ["a", "b", "c"]
            .iter()
            .for_each(|key| assert_eq!(server.run(&format!("PEXPIRE {key} 10")), "(integer) 1"));
        server.advance(11);
        server.effects();
        assert_eq!(server.run("SCAN 0 COUNT 100"), "1) \"0\"\n2) (empty array)");
        let effects = server.effects();
        assert!(!effects.contains("MULTI") && effects.matches("DEL ").count() == 3, "{effects}");
    }

    #[test]
    fn cursor_and_options_are_checked() {
        let mut server = TestServer::new();
        for (line, answer) in [
            ("SCAN x", "(error) ERR invalid cursor"),
            ("SCAN x COUNT x", "(error) ERR invalid cursor"),
            ("SCAN 0 COUNT x", "(error) ERR value is not an integer or out of range"),
            ("SCAN 0 COUNT 0", "(error) ERR syntax error"),
            ("SCAN 0 TYPE", "(error) ERR syntax error"),
            ("SCAN 0 COUNT 9223372036854775807", "1) \"0\"\n2) (empty array)"),
            ("SCAN 18446744073709551615", "1) \"0\"\n2) (empty array)"),
        ] {
            assert_eq!(server.run(line), answer, "{line}");
        }
    }
}
