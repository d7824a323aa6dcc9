//! The commands that wait for an element: BLPOP, BRPOP, BLMPOP, BLMOVE, BRPOPLPUSH.
//!
//! Each does what its plain form does and parks its client when there is nothing to take. The
//! server runs it again when a list appears under one of its keys; see `server::blocking`.

use super::Side;
use super::transfer::{MultiPop, move_element, pop_from_first, pop_many_from_first};
use crate::server::{Args, CommandResult, Ctx, Origin};
use crate::waiting::TimeoutReply;

pub(super) fn blpop(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    pop_or_wait(ctx, args, Side::Left)
}

pub(super) fn brpop(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    pop_or_wait(ctx, args, Side::Right)
}

fn pop_or_wait(ctx: &mut Ctx<'_>, mut args: Args<'_>, side: Side) -> CommandResult {
    let keys = args.take(args.remaining() - 1)?;
    let deadline = args.deadline_secs(ctx.rooms.time.monotonic)?;
    if !pop_from_first(ctx, keys.iter(), side)? {
        ctx.block_on_keys(args.argv(), keys, deadline, TimeoutReply::NullArray);
    }
    Ok(())
}

pub(super) fn blmpop(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let mut timeout = args;
    args.next()?;
    let MultiPop { keys, side, count } = MultiPop::parse(&mut args)?;
    // Redis: the timeout is looked at last, though it comes first.
    let deadline = timeout.deadline_secs(ctx.rooms.time.monotonic)?;
    if !pop_many_from_first(ctx, &keys, side, count)? {
        ctx.block_on_keys(args.argv(), keys, deadline, TimeoutReply::NullArray);
    }
    Ok(())
}

pub(super) fn blmove(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let (source, destination) = (args.key(), args.key());
    let (from, to) = (Side::parse(&mut args)?, Side::parse(&mut args)?);
    let deadline = args.deadline_secs(ctx.rooms.time.monotonic)?;
    if !move_element(ctx, source, destination, from, to)? {
        ctx.block_on_keys(args.argv(), [source], deadline, TimeoutReply::Null);
        return Ok(());
    }
    if ctx.origin == Origin::Unparked {
        ctx.propagate_instead([b"LMOVE", source, destination, from.word(), to.word()]);
    } else {
        let argv = args.argv();
        ctx.propagate_instead([b"LMOVE", source, destination, argv.at(3), argv.at(4)]);
    }
    Ok(())
}

pub(super) fn brpoplpush(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let (source, destination) = (args.key(), args.key());
    let deadline = args.deadline_secs(ctx.rooms.time.monotonic)?;
    if !move_element(ctx, source, destination, Side::Right, Side::Left)? {
        ctx.block_on_keys(args.argv(), [source], deadline, TimeoutReply::Null);
        return Ok(());
    }
    ctx.propagate_instead([b"RPOPLPUSH", source, destination]);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::TestServer;

    const WRONG_TYPE: &str = "(error) WRONGTYPE Operation against a key holding the wrong kind of value";

    /// A server with clients 1 to `clients`.
    fn server_with(clients: u64) -> TestServer {
        let mut server = TestServer::new();
        (2..=clients).for_each(|id| server.connect(id));
        server
    }

    /// Parks client `id`, which must not be answered.
    fn park(server: &mut TestServer, id: u64, line: &str) {
        assert_eq!(server.run_as(id, line), "", "{line} waits");
    }

    fn outputs<const N: usize>(server: &mut TestServer, clients: [u64; N]) -> [String; N] {
        clients.map(|id| server.output_of(id))
    }

    #[test]
    fn nobody_waits_when_there_is_something_to_take() {
        let mut server = server_with(1);
        server.run("RPUSH l 1 2 3 4 5 6 7 8");
        server.effects();
        for (line, answer) in [
            ("BLPOP none l 0", "1) \"l\"\n2) \"1\""),
            ("BRPOP l l 0", "1) \"l\"\n2) \"8\""),
            ("BLMPOP 0 2 none l LEFT", "1) \"l\"\n2) 1) \"2\""),
            ("BLMPOP 0 1 l RIGHT COUNT 2", "1) \"l\"\n2) 1) \"7\"\n   2) \"6\""),
            ("BLMOVE l l LEFT right 0", "\"3\""),
            ("BRPOPLPUSH l m 0", "\"3\""),
        ] {
            assert_eq!(server.run(line), answer, "{line}");
        }
        assert_eq!(
            server.effects(),
            "LPOP l | RPOP l | LPOP l 1 | RPOP l 2 | LMOVE l l LEFT right | RPOPLPUSH l m"
        );
    }

    #[test]
    fn wrong_types_and_arguments_are_refused_at_once() {
        let mut server = server_with(1);
        server.run("SETNX s v");
        server.run("RPUSH l a");
        let not_float = "(error) ERR timeout is not a float or out of range";
        for (line, answer) in [
            ("BLPOP s l 0", WRONG_TYPE),
            ("BLPOP none s 0", WRONG_TYPE),
            ("BLMPOP 0 2 s l LEFT", WRONG_TYPE),
            ("BLMOVE s l LEFT LEFT 0", WRONG_TYPE),
            ("BLMOVE l s LEFT LEFT 0", WRONG_TYPE),
            ("BRPOPLPUSH l s 0", WRONG_TYPE),
            ("BLPOP l x", not_float),
            ("BLPOP l -1", "(error) ERR timeout is negative"),
            ("BLMOVE l m up left x", "(error) ERR syntax error"),
            ("BLMOVE l m left left x", not_float),
            ("BRPOPLPUSH l m x", not_float),
            ("BLMPOP x 0 l LEFT", "(error) ERR numkeys should be greater than 0"),
            ("BLMPOP x 1 l UP", "(error) ERR syntax error"),
            ("BLMPOP x 1 l LEFT", not_float),
            ("LRANGE l 0 -1", "1) \"a\""),
        ] {
            assert_eq!(server.run(line), answer, "{line}");
        }
    }

    #[test]
    fn the_oldest_waiter_of_a_key_is_served_first() {
        let mut server = server_with(4);
        park(&mut server, 4, "BLPOP l 0");
        park(&mut server, 2, "BRPOP other l l 0");
        park(&mut server, 3, "BLPOP l 0");
        assert_eq!(server.server.rooms.waiting.queue.len(), 3);
        assert_eq!(server.run("RPUSH l a b"), "(integer) 2", "counted before the waiters are served");
        let served = outputs(&mut server, [2, 3, 4]);
        assert_eq!(served, ["1) \"l\"\n2) \"b\"", "", "1) \"l\"\n2) \"a\""]);
        assert_eq!(server.effects(), "SELECT 0 | RPUSH l a b | LPOP l | RPOP l");
        assert_eq!(server.run("EXISTS l"), "(integer) 0");
        assert_eq!(server.dirty(), 2, "what waiters get is not counted");
        assert_eq!(server.server.rooms.waiting.queue.len(), 1);
    }

    #[test]
    fn elements_that_nobody_waits_for_stay() {
        let mut server = server_with(2);
        park(&mut server, 2, "BLMPOP 0 2 none l RIGHT COUNT 3");
        server.run("RPUSH l a b c d");
        assert_eq!(server.output_of(2), "1) \"l\"\n2) 1) \"d\"\n   2) \"c\"\n   3) \"b\"");
        assert_eq!(server.run("LRANGE l 0 -1"), "1) \"a\"");
        assert_eq!(server.effects(), "SELECT 0 | RPUSH l a b c d | RPOP l 3");
    }

    #[test]
    fn a_waiter_is_served_before_the_next_command_of_the_pusher() {
        let mut server = server_with(2);
        park(&mut server, 2, "BLPOP l 0");
        assert_eq!(server.pipeline_as(1, &["RPUSH l a", "LLEN l"]), "(integer) 1\n(integer) 0");
        assert_eq!(server.output_of(2), "1) \"l\"\n2) \"a\"");
    }

    #[test]
    fn what_a_client_sent_behind_its_wait_runs_in_order_after_the_pushers_batch() {
        let mut server = server_with(3);
        assert_eq!(server.pipeline_as(2, &["BLPOP l 0", "RPUSH m x", "BLPOP n 0", "LLEN m"]), "");
        assert_eq!(server.run_as(2, "RPUSH m y"), "", "what comes later waits as well");
        park(&mut server, 3, "BLPOP m 0");
        assert_eq!(server.pipeline_as(1, &["RPUSH l a", "EXISTS m"]), "(integer) 1\n(integer) 0");
        assert_eq!(server.output_of(2), "1) \"l\"\n2) \"a\"\n(integer) 1");
        assert_eq!(server.output_of(3), "1) \"m\"\n2) \"x\"");
        server.run("RPUSH n b");
        assert_eq!(server.output_of(2), "1) \"n\"\n2) \"b\"\n(integer) 0\n(integer) 1");
    }

    #[test]
    fn moves_go_on_through_those_who_wait_for_the_destination() {
        let mut server = server_with(4);
        park(&mut server, 2, "BLMOVE a b LEFT RIGHT 0");
        park(&mut server, 3, "BLMOVE b a LEFT RIGHT 0");
        park(&mut server, 4, "BRPOPLPUSH a c 0");
        server.run("RPUSH a 1");
        assert_eq!(outputs(&mut server, [2, 3, 4]), ["\"1\"", "\"1\"", "\"1\""]);
        assert_eq!(
            server.effects(),
            "SELECT 0 | RPUSH a 1 | LMOVE a b left right | LMOVE b a left right | RPOPLPUSH a c"
        );
        assert_eq!(server.run("LRANGE c 0 -1"), "1) \"1\"");
        assert_eq!(server.run("EXISTS a b"), "(integer) 0");
    }

    #[test]
    fn a_list_may_be_rotated_by_all_who_wait_for_it() {
        let mut server = server_with(3);
        park(&mut server, 2, "BLMOVE l l LEFT RIGHT 0");
        park(&mut server, 3, "BRPOPLPUSH l l 0");
        server.run("RPUSH l a b");
        assert_eq!(outputs(&mut server, [2, 3]), ["\"a\"", "\"a\""]);
        assert_eq!(server.run("LRANGE l 0 -1"), "1) \"a\"\n2) \"b\"");
        assert!(server.server.rooms.waiting.queue.is_empty());
    }

    #[test]
    fn a_destination_of_another_type_is_an_error_when_the_element_comes() {
        let mut server = server_with(2);
        server.run("SETNX s v");
        park(&mut server, 2, "BLMOVE l s LEFT LEFT 0");
        server.run("RPUSH l a");
        assert_eq!(server.output_of(2), WRONG_TYPE);
        assert_eq!(server.run("LLEN l"), "(integer) 1", "nothing was taken");
        assert_eq!(server.effects(), "SELECT 0 | SETNX s v | RPUSH l a");
    }

    #[test]
    fn a_key_of_another_type_wakes_nobody() {
        let mut server = server_with(2);
        park(&mut server, 2, "BLPOP x l 0");
        server.run("SET l v");
        server.run("SET x v");
        assert_eq!(server.output_of(2), "");
        server.run("DEL l");
        server.run("RPUSH l a");
        assert_eq!(server.output_of(2), "1) \"l\"\n2) \"a\"", "the other key is not looked at");
    }

    #[test]
    fn a_list_that_appears_by_other_means_wakes_as_well() {
        for line in ["RENAME other l", "COPY other l", "SWAPDB 0 1", "MOVE other 1"] {
            let mut server = server_with(2);
            let (db, key) = match line {
                "SWAPDB 0 1" => (1, "other"),
                "MOVE other 1" => (1, "other"),
                _ => (0, "l"),
            };
            server.run_as(2, &format!("SELECT {db}"));
            park(&mut server, 2, &format!("BLPOP {key} 0"));
            server.run("RPUSH other a");
            assert_eq!(server.output_of(2), "", "not yet");
            server.run(line);
            assert_eq!(server.output_of(2), format!("1) \"{key}\"\n2) \"a\""), "{line}");
            assert_eq!(server.run_as(2, &format!("EXISTS {key}")), "(integer) 0", "{line}");
            assert!(server.effects().ends_with(&format!("LPOP {key}")), "{line}");
        }
    }

    #[test]
    fn a_waiter_keeps_to_the_database_it_waited_in() {
        let mut server = server_with(2);
        server.run_as(2, "SELECT 3");
        park(&mut server, 2, "BLMOVE l m LEFT LEFT 0");
        server.run("RPUSH l a");
        assert_eq!(server.output_of(2), "");
        assert_eq!(
            server.pipeline_as(1, &["SELECT 3", "RPUSH l b", "SELECT 0", "LLEN l"]),
            "OK\n(integer) 1\nOK\n(integer) 1"
        );
        assert_eq!(server.output_of(2), "\"b\"");
        assert_eq!(server.run_as(2, "LLEN m"), "(integer) 1");
    }

    #[test]
    fn time_ends_a_wait_with_a_null_array() {
        let mut server = server_with(4);
        park(&mut server, 2, "BLPOP l 1.5");
        park(&mut server, 3, "BLMOVE l m LEFT LEFT 2");
        park(&mut server, 4, "BLMPOP 0.0001 1 l LEFT");
        server.advance(1);
        assert_eq!(outputs(&mut server, [2, 3, 4]), ["", "", "(nil)"]);
        server.advance(1498);
        assert_eq!(outputs(&mut server, [2, 3]), ["", ""]);
        server.advance(1);
        assert_eq!(outputs(&mut server, [2, 3]), ["(nil)", ""]);
        server.advance(500);
        assert_eq!(outputs(&mut server, [2, 3]), ["", "(nil)"]);
        park(&mut server, 2, "BLMOVE l m LEFT LEFT 1");
        server.advance(1000);
        server.run_as(2, "HELLO 3");
        park(&mut server, 2, "BRPOP l 9223372036854775.8");
        server.advance(1_000_000_000_000);
        assert_eq!(
            server.server.rooms.waiting.queue.len(),
            1,
            "more than there are milliseconds is for ever"
        );
        server.run("RPUSH l a");
        assert!(server.server.rooms.waiting.queue.is_empty());
    }

    #[test]
    fn client_unblock_ends_a_wait_at_once() {
        let mut server = server_with(3);
        park(&mut server, 2, "BLPOP l 0");
        let answers = server.pipeline_as(1, &["CLIENT UNBLOCK 2", "CLIENT UNBLOCK 2", "RPUSH l a", "DEL l"]);
        assert_eq!(answers, "(integer) 1\n(integer) 0\n(integer) 1\n(integer) 1");
        assert_eq!(server.output_of(2), "(nil)");
        assert_eq!(server.pipeline_as(2, &["BLPOP l 0", "LLEN l"]), "");
        assert_eq!(server.run("CLIENT UNBLOCK 2 ERROR"), "(integer) 1");
        assert_eq!(server.output_of(2), "(error) UNBLOCKED client unblocked via CLIENT UNBLOCK\n(integer) 0");
        assert_eq!(server.run("CLIENT UNBLOCK 3"), "(integer) 0");
        assert_eq!(server.run("CLIENT UNBLOCK 1"), "(integer) 0");
        assert_eq!(server.run("CLIENT UNBLOCK 99"), "(integer) 0");
    }

    #[test]
    fn nothing_is_taken_for_a_client_that_is_gone() {
        let mut server = server_with(4);
        park(&mut server, 2, "BLPOP l 0");
        park(&mut server, 3, "BLPOP l 0");
        park(&mut server, 4, "BLPOP l 0");
        server.disconnect(2);
        assert_eq!(server.pipeline_as(1, &["CLIENT KILL ID 3", "RPUSH l a b"]), "(integer) 1\n(integer) 2");
        assert_eq!(server.output_of(4), "1) \"l\"\n2) \"a\"");
        assert_eq!(server.output_of(3), "");
        assert_eq!(server.run("LLEN l"), "(integer) 1");
        assert!(server.server.rooms.waiting.queue.is_empty());
    }

    #[test]
    fn answers_a_client_does_not_want_are_left_out_when_they_come() {
        let mut server = server_with(2);
        assert_eq!(server.pipeline_as(2, &["CLIENT REPLY SKIP", "BLPOP l 0", "PING"]), "");
        server.run("RPUSH l a");
        assert_eq!(server.output_of(2), "PONG");
        assert_eq!(server.pipeline_as(2, &["CLIENT REPLY SKIP", "BLPOP l 1", "PING"]), "");
        server.advance(1000);
        assert_eq!(server.output_of(2), "PONG");
        assert_eq!(server.run("EXISTS l"), "(integer) 0");
    }

    #[test]
    fn a_command_is_counted_once_however_often_it_is_tried() {
        let mut server = server_with(2);
        park(&mut server, 2, "BLPOP l 0");
        let commands = server.server.rooms.stats.counters.commands;
        server.run("RPUSH l a");
        assert_eq!(server.server.rooms.stats.counters.commands - commands, 1);
    }

    #[test]
    fn requests_behind_a_wait_are_bounded() {
        let mut server = TestServer::with(|config| config.client_query_buffer_limit = 1 << 20);
        server.connect(2);
        park(&mut server, 2, "BLPOP l 0");
        let line = format!("ECHO {}", "x".repeat(100_000));
        (0..9).for_each(|_| park(&mut server, 2, &line));
        assert!(server.closed.is_empty());
        (0..9).for_each(|_| park(&mut server, 2, &line));
        assert!(server.closed.contains(&crate::base::ClientId(2)));
    }
}
