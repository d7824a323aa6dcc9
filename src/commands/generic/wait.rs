//! WAIT: until replicas have what this client wrote. There are no replicas yet, so none ever has.

use crate::base::number::parse_i64;
use crate::server::{Args, CommandError, CommandResult, Ctx};
use crate::waiting::TimeoutReply;

pub(super) fn wait(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let replicas = args.int()?;
    let timeout_ms =
        parse_i64(args.key()).ok_or(CommandError::fixed("ERR timeout is not an integer or out of range"))?;
    if timeout_ms < 0 {
        return Err(CommandError::fixed("ERR timeout is negative"));
    }
    if replicas <= 0 {
        ctx.reply.integer(0);
        return Ok(());
    }
    // Redis: a time beyond 64 bits is never reached, like 0.
    let is_reached = timeout_ms != 0 && ctx.now.0.checked_add(timeout_ms).is_some();
    let deadline = is_reached.then(|| ctx.rooms.time.monotonic.saturating_add_ms(timeout_ms));
    ctx.block_on_keys(args.argv(), [], deadline, TimeoutReply::Integer(0));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::TestServer;

    #[test]
    fn nobody_answers_until_the_time_is_over() {
        let mut server = TestServer::new();
        assert_eq!(server.run("WAIT 0 0"), "(integer) 0");
        assert_eq!(server.run("WAIT -1 5"), "(integer) 0");
        assert_eq!(server.run("WAIT 1 50"), "");
        server.advance(49);
        assert_eq!(server.output_of(1), "");
        server.advance(1);
        assert_eq!(server.output_of(1), "(integer) 0");
        for (id, timeout) in [(2, "0"), (3, "9223372036854775807")] {
            server.connect(id);
            assert_eq!(server.run_as(id, &format!("WAIT 1 {timeout}")), "");
            server.advance(1_000_000_000);
            assert_eq!(server.output_of(id), "");
            assert_eq!(server.run(&format!("CLIENT UNBLOCK {id}")), "(integer) 1");
            assert_eq!(server.output_of(id), "(integer) 0");
        }
    }

    #[test]
    fn arguments_are_checked_from_the_left() {
        let mut server = TestServer::new();
        for (line, answer) in [
            ("WAIT x x", "(error) ERR value is not an integer or out of range"),
            ("WAIT 1 x", "(error) ERR timeout is not an integer or out of range"),
            ("WAIT 1 -1", "(error) ERR timeout is negative"),
            ("WAIT 0 -1", "(error) ERR timeout is negative"),
        ] {
            assert_eq!(server.run(line), answer, "{line}");
        }
    }
}
