//! The parser against Redis's texts and quirks, cut at every place, and what it holds in memory.

use super::*;
use proptest::prelude::*;

const OPEN: ParseLimits = ParseLimits { max_bulk_bytes: 512 * 1024 * 1024, login: Login::Done };
const ANONYMOUS: ParseLimits = ParseLimits { login: Login::Missing, ..OPEN };

type Words = &'static [&'static [u8]];
type Commands = Vec<Vec<Vec<u8>>>;

fn collect(requests: &Requests, commands: &mut Commands) {
    let owned = |index| requests.get(index).iter().map(<[u8]>::to_vec).collect();
    commands.extend((0..requests.len()).map(owned));
}

/// Feeds `bytes` in pieces that end at `cuts`; returns the commands and the failure.
fn parse_cut(bytes: &[u8], cuts: &[usize], limits: &ParseLimits) -> (Commands, Option<String>) {
    let mut cuts = cuts.iter().map(|&cut| cut.min(bytes.len())).collect::<Vec<_>>();
    cuts.push(bytes.len());
    cuts.sort_unstable();
    let (mut parser, mut commands, mut start) = (Parser::new(), Commands::new(), 0);
    for cut in cuts {
        parser.feed(&bytes[start..cut]);
        start = cut;
        if cut % 2 == 0 {
            parser.scan(limits);
        }
        let parsed = parser.parse(limits);
        collect(&parsed.requests, &mut commands);
        if parsed.requests.failure.is_some() {
            return (commands, parsed.requests.failure.map(|failure| failure.line));
        }
    }
    (commands, None)
}

fn parse_whole(bytes: &[u8], limits: &ParseLimits) -> (Commands, Option<String>) {
    parse_cut(bytes, &[], limits)
}

#[test]
fn a_batch_that_outgrew_the_memory_it_came_in_is_replaced_by_whoever_gets_it_back() {
    let mut parser = Parser::new();
    parser.reuse(Requests::with_capacity(256, 16));
    parser.feed(&b"PING\r\n".repeat(10));
    let fits = parser.parse(&OPEN).requests;
    let (place, room) = (fits.get(0).at(0).as_ptr(), fits.heap_bytes());
    let fits = fits.adopt();
    assert_eq!((fits.len(), fits.get(0).at(0).as_ptr()), (10, place), "as it was");
    parser.reuse(fits);
    parser.feed(&b"PING\r\n".repeat(100));
    let grown = parser.parse(&OPEN).requests;
    assert!(grown.heap_bytes() > room);
    let size = grown.heap_bytes();
    let adopted = grown.adopt();
    assert_eq!((adopted.len(), adopted.heap_bytes()), (0, size), "with as much room");
    parser.reuse(adopted);
    parser.feed(&b"PING\r\n".repeat(100));
    let full = parser.parse(&OPEN).requests;
    assert_eq!((full.len(), full.heap_bytes()), (100, size));
    assert_eq!(full.adopt().len(), 100, "it grows once");
}

#[test]
fn both_forms_and_their_quirks_parse_as_redis_parses_them() {
    let cases: &[(&[u8], &[Words])] = &[
        (b"", &[]),
        (b"*1\r\n$4\r\nPING\r\n", &[&[b"PING"]]),
        (b"*2\r\n$3\r\nGET\r\n$0\r\n\r\n*1\r\n$4\r\nPI", &[&[b"GET", b""]]),
        (b"PING\n\r\n\n  \r\nGET a\r\n", &[&[b"PING"], &[b"GET", b"a"]]),
        (b"*0\r\n*-1\r\n*-5\r\nPING\r\n", &[&[b"PING"]]),
        (b"SET \"a b\" '' \\x\r\n", &[&[b"SET", b"a b", b"", b"\\x"]]),
        // The byte after a header's CR and the two after a bulk are not looked at.
        (b"*1\rX$4\r?PINGxxGET\n", &[&[b"PING"], &[b"GET"]]),
        // A NUL hides the rest of what is searched for a line end.
        (b"PING a\0b\r\nPING\r\n", &[]),
        (b"*1\r\n$4\0\r\nPING\r\n", &[]),
        (b"*1\r\n$4\r\nPING\r", &[]),
        (b"\rPING \r \r\n", &[&[b"PING"]]),
    ];
    for (bytes, commands) in cases {
        let (found, failure) = parse_whole(bytes, &OPEN);
        assert_eq!(found, *commands, "{}", bytes.escape_ascii());
        assert_eq!(failure, None, "{}", bytes.escape_ascii());
    }
}

#[test]
fn broken_requests_fail_with_the_texts_of_redis() {
    let long = |prefix: &str, byte: &str| format!("{prefix}{}", byte.repeat(MAX_LINE_BYTES + 1)).into_bytes();
    let cases: &[(&[u8], &str)] = &[
        (b"*\r\n", "invalid multibulk length"),
        (b"*05\r\n", "invalid multibulk length"),
        (b"*+1\r\n", "invalid multibulk length"),
        (b"*-0\r\n", "invalid multibulk length"),
        (b"*1\n$4\r\n", "invalid multibulk length"),
        (b"*2147483648\r\n", "invalid multibulk length"),
        (b"*-9223372036854775809\r\n", "invalid multibulk length"),
        (b"*1\r\nPING\r\n", "expected '$', got 'P'"),
        (b"*1\r\n\n\r\n", "expected '$', got ' '"),
        (b"*1\r\n*1\r\n", "expected '$', got '*'"),
        (b"*1\r\n$\r\n", "invalid bulk length"),
        (b"*1\r\n$-1\r\n", "invalid bulk length"),
        (b"*1\r\n$00\r\n", "invalid bulk length"),
        (b"*1\r\n$4x\r\n", "invalid bulk length"),
        (b"*1\r\n$536870913\r\n", "invalid bulk length"),
        (b"PING \"a\"b\r\n", "unbalanced quotes in request"),
        (&long("", "P"), "too big inline request"),
        (&long("*", "1"), "too big mbulk count string"),
        (&long("*1\r\n$", "1"), "too big bulk count string"),
    ];
    for (bytes, reason) in cases {
        let (found, failure) = parse_whole(bytes, &OPEN);
        assert_eq!(failure, Some(format!("ERR Protocol error: {reason}")), "{}", bytes.escape_ascii());
        assert_eq!(found, Commands::new());
    }
}

#[test]
fn the_largest_allowed_requests_are_not_refused() {
    let line = format!("{}\r\n", "P".repeat(MAX_LINE_BYTES)).into_bytes();
    assert_eq!(parse_whole(&line, &OPEN).0.len(), 1);
    for bytes in [&b"*2147483647\r\n"[..], b"*1\r\n$536870912\r\n"] {
        assert_eq!(parse_whole(bytes, &OPEN), (Commands::new(), None));
    }
}

#[test]
fn commands_before_a_broken_one_still_come_out() {
    let (found, failure) = parse_whole(b"PING\r\n*1\r\n$1\r\nx\r\n*x\r\nPING\r\n", &OPEN);
    assert_eq!(found, [[b"PING".to_vec()], [b"x".to_vec()]]);
    assert_eq!(failure.as_deref(), Some("ERR Protocol error: invalid multibulk length"));
}

#[test]
fn before_auth_ten_arguments_of_16_kb_are_the_limit() {
    for bytes in [&b"*10\r\n"[..], b"*1\r\n$16384\r\n"] {
        assert_eq!(parse_whole(bytes, &ANONYMOUS).1, None);
    }
    let cases: &[(&[u8], &str)] = &[
        (b"*11\r\n", "unauthenticated multibulk length"),
        (b"*1\r\n$16385\r\n", "unauthenticated bulk length"),
        (b"*1\r\n$536870913\r\n", "invalid bulk length"),
        (b"*2147483648\r\n", "invalid multibulk length"),
    ];
    for (bytes, reason) in cases {
        let failure = parse_whole(bytes, &ANONYMOUS).1;
        assert_eq!(failure, Some(format!("ERR Protocol error: {reason}")));
    }
}

#[test]
fn before_auth_the_buffer_of_the_largest_command_is_made_once_and_no_larger() {
    let argument = [&b"$16384\r\n"[..], &[b'x'; 16384], b"\r\n"].concat();
    let command = [b"*10\r\n".to_vec(), argument.repeat(10)].concat();
    assert!(command.len() <= MAX_UNAUTHENTICATED_BYTES);
    for step in [1000, 4096, 16384] {
        let mut parser = Parser::new();
        let mut sizes = Vec::new();
        for bytes in command[..command.len() - 1].chunks(step) {
            let expected = parser.growth_of(bytes.len()).max(parser.buffer.capacity());
            parser.feed(bytes);
            assert!(parser.buffer.capacity() <= expected);
            assert!(parser.parse(&ANONYMOUS).requests.is_empty());
            sizes.push(parser.buffer.capacity());
        }
        assert_eq!(sizes.last(), Some(&MAX_UNAUTHENTICATED_BYTES.next_multiple_of(GROW_BYTES)));
        sizes.dedup();
        let outgrown: usize = sizes[..sizes.len() - 1].iter().sum();
        assert!(outgrown <= 32 * 1024, "{sizes:?}");
    }
}

#[test]
fn a_pending_login_stops_before_the_big_command_and_goes_on_after_it() {
    let bytes = b"AUTH x\r\n*11\r\n$4\r\nMGET\r\n";
    let mut parser = Parser::new();
    parser.feed(bytes);
    let parsed = parser.parse(&ParseLimits { login: Login::Pending, ..OPEN });
    assert!(parsed.needs_login);
    assert_eq!((parsed.requests.len(), parsed.requests.failure), (1, None));
    let parsed = parser.parse(&OPEN);
    assert!(!parsed.needs_login && parsed.requests.is_empty());
    parser.feed(&b"$1\r\nk\r\n".repeat(10));
    assert_eq!(parser.parse(&OPEN).requests.get(0).len(), 11);
}

#[test]
fn a_big_argument_costs_no_more_than_what_arrived_plus_a_step() {
    let mut parser = Parser::new();
    parser.feed(b"*2\r\n$3\r\nGET\r\n$500000000\r\n");
    assert!(parser.parse(&OPEN).requests.is_empty());
    let mut reads = 0;
    while parser.pending_bytes() < 4 << 20 {
        let arrived = parser.pending_bytes();
        let room = parser.space(1).len();
        assert!(room <= arrived.max(BULK_STEP_BYTES));
        assert!(parser.heap_bytes() <= 3 * arrived + 2 * BULK_STEP_BYTES);
        parser.advance(room);
        assert!(parser.parse(&OPEN).requests.is_empty());
        reads += 1;
    }
    assert!(reads < 16, "a big argument is read in big pieces");
}

#[test]
fn a_scan_tells_how_much_is_missing_and_loses_nothing() {
    let mut parser = Parser::new();
    parser.feed(b"PING\r\n*2\r\n$4\r\nECHO\r\n$5000\r\nxx");
    parser.scan(&OPEN);
    assert_eq!(parser.argument_bytes(), 5000);
    assert_eq!(parser.space(1).len(), 5000);
    assert_eq!(parser.parse(&OPEN).requests.len(), 1);
    assert_eq!(parser.argument_bytes(), 5000);
    parser.feed(&[b'x'; 5000]);
    parser.feed(b"*x\r\n");
    parser.scan(&OPEN);
    let requests = parser.parse(&OPEN).requests;
    assert_eq!((requests.get(0).at(1).len(), requests.failure.is_some()), (5000, true));
}

#[test]
fn a_big_argument_ends_its_buffer_exactly_and_is_announced_so() {
    let mut parser = Parser::new();
    parser.feed(b"*2\r\n$2\r\nab\r\n$70000\r\n");
    assert!(parser.parse(&OPEN).requests.is_empty());
    let announced = parser.announced_bytes();
    assert!(announced > 70_000 && parser.heap_bytes() < 1000);
    while parser.parse(&OPEN).requests.is_empty() {
        assert_eq!(parser.announced_bytes(), announced);
        let space = parser.space(1);
        space.fill(b'x');
        let room = space.len();
        parser.advance(room);
    }
    assert_eq!(parser.pending_bytes(), 0);
}

#[test]
fn behind_an_argument_that_has_arrived_the_steps_are_full() {
    let mut parser = Parser::new();
    parser.feed(b"*1\r\n$4\r\nPI");
    assert!(parser.parse(&OPEN).requests.is_empty());
    assert_eq!(parser.space(1000).len(), 4, "NG and the line's end");
    parser.feed(b"NG\r\n");
    assert_eq!(parser.space(1000).len(), 1000, "not one byte at a time until somebody parses");
    assert_eq!(parser.parse(&OPEN).requests.len(), 1);
}

#[test]
fn a_spent_batch_carries_the_next_one() {
    let mut parser = Parser::new();
    parser.feed(b"SET key value\r\n");
    let spent = parser.parse(&OPEN).requests;
    let held = spent.heap_bytes();
    assert!(parser.is_bare());
    parser.reuse(spent);
    parser.feed(b"GET a\r\n");
    let requests = parser.parse(&OPEN).requests;
    assert_eq!(requests.heap_bytes(), held);
    assert_eq!(requests.get(0).iter().collect::<Vec<_>>(), [&b"GET"[..], b"a"]);
    assert_eq!(requests.len(), 1);
}

#[test]
fn an_empty_parser_holds_no_memory_after_release() {
    let mut parser = Parser::new();
    parser.feed(b"PING\r\n\r\n");
    parser.parse(&OPEN);
    parser.space(4096);
    parser.release();
    assert_eq!(parser.heap_bytes(), 0);
}

/// One request as bytes: what a client may send, well formed or nearly.
fn request() -> impl Strategy<Value = Vec<u8>> {
    let word = proptest::collection::vec(any::<u8>(), 0..40);
    let command = proptest::collection::vec(word, 0..5).prop_map(|words| {
        let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            bytes.extend(format!("${}\r\n", word.len()).bytes());
            bytes.extend(word);
            bytes.extend(b"\r\n");
        }
        bytes
    });
    let noise = proptest::collection::vec(
        prop_oneof![Just(b'*'), Just(b'$'), Just(b'\r'), Just(b'\n'), Just(b'1'), Just(b'"'), any::<u8>()],
        0..12,
    );
    prop_oneof![8 => command, 2 => "[a-z]{0,5}( [a-z]{1,4}){0,3}\r?\n".prop_map(String::into_bytes), 1 => noise]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn any_fragmentation_parses_to_the_same_commands(
        requests in proptest::collection::vec(request(), 0..12),
        cuts in proptest::collection::vec(0usize..600, 0..40),
        anonymous: bool,
    ) {
        let bytes = requests.concat();
        let limits = if anonymous { ANONYMOUS } else { OPEN };
        let every = (0..bytes.len()).collect::<Vec<_>>();
        let whole = parse_whole(&bytes, &limits);
        prop_assert_eq!(&parse_cut(&bytes, &cuts, &limits), &whole);
        prop_assert_eq!(&parse_cut(&bytes, &every, &limits), &whole);
    }

    #[test]
    fn hostile_bytes_never_panic(bytes in proptest::collection::vec(
        prop_oneof![Just(b'*'), Just(b'$'), Just(b'\r'), Just(b'\n'), Just(b'-'), b'0'..=b'9', any::<u8>()], 0..200)) {
        parse_whole(&bytes, &OPEN);
    }
}
