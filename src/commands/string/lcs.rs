//! LCS: the longest common subsequence, its length or where it is.

use crate::base::lcs::{Lcs, Stretch, length};
use crate::base::number;
use crate::keyspace::ValueRef;
use crate::server::{Args, CommandError, CommandResult, Ctx};

const WRONG_KEYS: CommandError = CommandError::fixed("ERR The specified keys must contain string values");
const AMBIGUOUS: CommandError =
    CommandError::fixed("ERR If you want both the length and indexes, please just use IDX.");
const TOO_LONG: CommandError = CommandError::fixed("ERR String too long for LCS");
const TOO_MUCH: CommandError =
    CommandError::fixed("ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len");
const NO_MEMORY: CommandError =
    CommandError::fixed("ERR Insufficient memory, failed allocating transient memory for LCS");

/// The options of the call.
#[derive(Clone, Copy, Debug, Default)]
struct Options {
    len: bool,
    idx: bool,
    with_match_len: bool,
    min_match_len: i64,
}

pub(super) fn lcs(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let (key_a, key_b) = (args.key(), args.key());
    let (a_len, b_len) = (string_len(ctx, key_a), string_len(ctx, key_b));
    let (a_len, b_len) = (a_len?, b_len?);
    let options = read_options(args)?;
    check_size(ctx, a_len, b_len)?;
    let a = string(ctx, key_a).to_vec();
    let b = string(ctx, key_b);
    if options.len {
        let len = length(&a, b).map_err(|_| NO_MEMORY)?;
        ctx.reply.count(len);
        return Ok(());
    }
    // The table outlives the borrow of the database, which `ctx.reply` must not wait for.
    let table = Lcs::new(&a, b).map_err(|_| NO_MEMORY)?;
    let (len, stretches) = (table.len(), table.stretches().collect::<Vec<_>>());
    if options.idx {
        answer_matches(ctx, &options, len, &stretches);
    } else {
        let subsequence: Vec<u8> = stretches
            .iter()
            .rev()
            .flat_map(|stretch| &a[stretch.a_start..stretch.a_start + stretch.len])
            .copied()
            .collect();
        ctx.reply.bulk(&subsequence);
    }
    Ok(())
}

fn read_options(mut args: Args<'_>) -> Result<Options, CommandError> {
    let mut options = Options::default();
    while !args.is_done() {
        if args.keyword("IDX") {
            options.idx = true;
        } else if args.keyword("LEN") {
            options.len = true;
        } else if args.keyword("WITHMATCHLEN") {
            options.with_match_len = true;
        } else if args.keyword_with_value("MINMATCHLEN") {
            options.min_match_len = number::parse_i64(args.key()).ok_or(CommandError::NotInteger)?;
        } else {
            return Err(CommandError::Syntax);
        }
    }
    if options.idx && options.len { Err(AMBIGUOUS) } else { Ok(options) }
}

/// The length of the string under `key`; a missing one is empty.
fn string_len(ctx: &mut Ctx<'_>, key: &[u8]) -> Result<usize, CommandError> {
    match ctx.db.view_for_read(key).map(|view| view.value) {
        None => Ok(0),
        Some(ValueRef::String(bytes)) => Ok(bytes.len()),
        Some(ValueRef::Object(_)) => Err(WRONG_KEYS),
    }
}

/// The string under `key`, which was seen to be none but a string.
fn string<'c>(ctx: &'c mut Ctx<'_>, key: &[u8]) -> &'c [u8] {
    match ctx.db.peek(key).map(|view| view.value) {
        Some(ValueRef::String(bytes)) => bytes,
        Some(ValueRef::Object(_)) | None => &[],
    }
}

/// Refuses what Redis refuses, which stores a number of four bytes for each pair of bytes. Our
/// table is far smaller, so the limit bounds our memory and time as well.
fn check_size(ctx: &Ctx<'_>, a_len: usize, b_len: usize) -> CommandResult {
    const LENGTH_LIMIT: usize = u32::MAX as usize - 1;
    if a_len >= LENGTH_LIMIT || b_len >= LENGTH_LIMIT {
        return Err(TOO_LONG);
    }
    let table_bytes = (a_len as u128 + 1) * (b_len as u128 + 1) * 4;
    if table_bytes > u128::from(ctx.rooms.config.proto_max_bulk_len) { Err(TOO_MUCH) } else { Ok(()) }
}

fn answer_matches(ctx: &mut Ctx<'_>, options: &Options, len: usize, stretches: &[Stretch]) {
    let long_enough =
        |stretch: &&Stretch| i64::try_from(stretch.len).is_ok_and(|len| len >= options.min_match_len);
    let reply = &mut ctx.reply;
    reply.map(2);
    reply.bulk(b"matches");
    reply.array(stretches.iter().filter(long_enough).count());
    for stretch in stretches.iter().filter(long_enough) {
        reply.array(2 + usize::from(options.with_match_len));
        for start in [stretch.a_start, stretch.b_start] {
            reply.array(2);
            reply.count(start);
            reply.count(start + stretch.len - 1);
        }
        if options.with_match_len {
            reply.count(stretch.len);
        }
    }
    reply.bulk(b"len");
    reply.count(len);
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::TestServer;

    fn server() -> TestServer {
        let mut server = TestServer::new();
        server.run("MSET a ohmytext b mynewtext");
        server
    }

    #[test]
    fn answers_the_subsequence_its_length_or_its_places() {
        let mut server = server();
        assert_eq!(server.run("LCS a b"), "\"mytext\"");
        assert_eq!(server.run("LCS a b LEN"), "(integer) 6");
        assert_eq!(server.run("LCS a missing"), "\"\"");
        assert_eq!(server.run("LCS missing a LEN"), "(integer) 0");
        assert_eq!(server.raw("LCS a missing IDX"), "*4\r\n$7\r\nmatches\r\n*0\r\n$3\r\nlen\r\n:0\r\n");
        let matches = "*4\r\n$7\r\nmatches\r\n*2\r\n*2\r\n*2\r\n:4\r\n:7\r\n*2\r\n:5\r\n:8\r\n\
            *2\r\n*2\r\n:2\r\n:3\r\n*2\r\n:0\r\n:1\r\n$3\r\nlen\r\n:6\r\n";
        assert_eq!(server.raw("LCS a b IDX"), matches);
        assert_eq!(server.raw("LCS a b IDX MINMATCHLEN -4"), matches);
        let long = "*4\r\n$7\r\nmatches\r\n*1\r\n*3\r\n*2\r\n:4\r\n:7\r\n*2\r\n:5\r\n:8\r\n:4\r\n$3\r\nlen\r\n:6\r\n";
        assert_eq!(server.raw("LCS a b idx minmatchlen 4 withmatchlen"), long);
    }

    #[test]
    fn options_that_do_not_go_together_are_refused() {
        let mut server = server();
        for (line, error) in [
            ("LCS a b LEN IDX", "ERR If you want both the length and indexes, please just use IDX."),
            ("LCS a b FOO", "ERR syntax error"),
            ("LCS a b MINMATCHLEN", "ERR syntax error"),
            ("LCS a b MINMATCHLEN x", "ERR value is not an integer or out of range"),
        ] {
            assert_eq!(server.run(line), format!("(error) {error}"), "{line}");
        }
    }

    #[test]
    fn the_table_of_redis_must_fit_the_limit() {
        let mut server = TestServer::with(|config| config.proto_max_bulk_len = 1 << 20);
        let refused = "(error) ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len";
        server.run("SETRANGE a 511 x");
        server.run("SETRANGE b 511 x");
        assert_eq!(server.run("LCS a b LEN"), refused, "513 * 513 * 4 bytes are more than a MiB");
        server.run("SETRANGE c 510 x");
        assert_eq!(server.run("LCS a c LEN"), refused);
        server.run("SETRANGE d 509 x");
        assert_eq!(server.run("LCS d c LEN"), "(integer) 510");
    }
}
