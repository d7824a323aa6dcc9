//! SORT: the elements of a list, set or sorted set, by themselves or by other keys.
//!
//! The value is held by reference while it is sorted, so no element is copied: the vector holds
//! references to them, and beside each its score. Only the texts of `BY … ALPHA` are copies, since
//! the keys they come from are looked up one after the other. With LIMIT the elements behind the
//! wanted ones are dropped before the rest is put in order.
//!
//! Texts are compared as C's `strcoll` does in the locale "C": byte by byte up to the first NUL;
//! with STORE all bytes count, so that the result is the same on every machine.

mod pattern;

use crate::base::number::strtod;
use crate::clients::Close;
use crate::commands::answer::{max_waiting_bytes, reply_text};
use crate::config::NotifyClasses;
use crate::ds::listpack::ListpackValue;
use crate::keyspace::sorted_set::Direction;
use crate::keyspace::{Collection, Db, Kind, List, SortedSet, Value, ValueRef};
use crate::server::{Args, CommandError, CommandResult, Ctx, Origin};
use pattern::{Pattern, c_text};
use std::cmp::Ordering;
use std::ops::Range;

/// About what an element costs beside its text.
const ELEMENT_BYTES: usize = 2;

pub(super) fn sort(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    answer(ctx, args, Access::ReadWrite)
}

pub(super) fn sort_ro(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    answer(ctx, args, Access::ReadOnly)
}

/// Says if STORE is an option.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    ReadWrite,
    ReadOnly,
}

/// The options of SORT.
#[derive(Debug, Default)]
struct Options<'a> {
    descending: bool,
    alpha: bool,
    /// `BY` a name without a star: the elements stay in the order they have.
    as_they_are: bool,
    offset: i64,
    /// Negative: all.
    count: i64,
    by: Option<Pattern<'a>>,
    get: Vec<Pattern<'a>>,
    store: Option<&'a [u8]>,
}

fn denied(option: &str) -> CommandError {
    CommandError::line(format!("ERR {option} option of SORT denied due to insufficient ACL permissions."))
}

impl<'a> Options<'a> {
    /// `reads_any_key`: whether the user may read what the patterns lead to.
    fn parse(args: &mut Args<'a>, access: Access, reads_any_key: bool) -> Result<Self, CommandError> {
        let mut options = Options { count: -1, ..Options::default() };
        while !args.is_done() {
            if args.keyword("ASC") {
                options.descending = false;
            } else if args.keyword("DESC") {
                options.descending = true;
            } else if args.keyword("ALPHA") {
                options.alpha = true;
            } else if args.remaining() >= 3 && args.keyword("LIMIT") {
                (options.offset, options.count) = (args.int()?, args.int()?);
            } else if access == Access::ReadWrite && args.keyword_with_value("STORE") {
                options.store = Some(args.key());
            } else if args.keyword_with_value("BY") {
                let by = Pattern::parse(args.key());
                if by.has_star() && !reads_any_key {
                    return Err(denied("BY"));
                }
                // Redis: a later BY with a star does not take this back.
                options.as_they_are |= !by.has_star();
                options.by = Some(by);
            } else if args.keyword_with_value("GET") {
                if !reads_any_key {
                    return Err(denied("GET"));
                }
                options.get.push(Pattern::parse(args.key()));
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Ok(options)
    }

    /// The places of the wanted elements among `len`.
    fn range(&self, len: usize) -> Range<usize> {
        let offset = usize::try_from(self.offset.max(0)).unwrap_or(usize::MAX).min(len);
        let count = usize::try_from(self.count).unwrap_or(usize::MAX);
        offset..offset.saturating_add(count).min(len)
    }
}

fn answer(ctx: &mut Ctx<'_>, mut args: Args<'_>, access: Access) -> CommandResult {
    let key = args.key();
    let reads_any_key = ctx.may_read_any_key(args.argv());
    let mut options = Options::parse(&mut args, access, reads_any_key)?;
    if ctx.db.kind(key) == Some(Kind::SortedSet) {
        // Redis: whoever sorts a sorted set finds it a skiplist afterwards.
        let limits = ctx.db.limits();
        ctx.db.reshape::<SortedSet>(key)?.into_iter().for_each(|set| set.become_tree(&limits));
    }
    let value = match ctx.db.view_for_read(key).map(|view| (view.kind(), view.value)) {
        None => None,
        Some((Kind::List | Kind::Set | Kind::SortedSet, ValueRef::Object(value))) => Some(value.clone()),
        Some(_) => return Err(CommandError::WrongType),
    };
    // Redis: a set has no order of its own, so that what is stored or seen by a script is sorted.
    let must_agree = options.store.is_some() || ctx.origin == Origin::Script;
    if options.as_they_are && must_agree && matches!(value, Some(Value::Set(_))) {
        (options.as_they_are, options.alpha, options.by) = (false, true, None);
    }
    let elements = match &value {
        None => Vec::new(),
        Some(value) if options.as_they_are => in_own_order(value, &options),
        Some(value) => sorted(ctx.db, value, &options)?,
    };
    match options.store {
        Some(destination) => store(ctx, destination, &elements, &options.get)?,
        None => show(ctx, &elements, &options.get),
    }
    Ok(())
}

/// The wanted elements of a collection that is not to be sorted.
fn in_own_order<'v>(value: &'v Value, options: &Options<'_>) -> Vec<ListpackValue<'v>> {
    let range = options.range(value.len());
    match value {
        Value::List(list) if options.descending => {
            let last = (list.len() - 1).saturating_sub(range.start);
            list.elements.iter_rev_from(last as u64).take(range.len()).collect()
        }
        Value::List(list) => list.elements.iter_from(range.start as u64).take(range.len()).collect(),
        Value::SortedSet(set) => {
            let (ranks, direction) = if options.descending {
                (set.len() - range.end..set.len() - range.start, Direction::Descending)
            } else {
                (range, Direction::Ascending)
            };
            set.walk(ranks, direction).map(|(member, _)| member).collect()
        }
        _ => all(value).skip(range.start).take(range.len()).collect(),
    }
}

/// All elements, in no special order.
fn all<'v>(value: &'v Value) -> Box<dyn Iterator<Item = ListpackValue<'v>> + 'v> {
    match value {
        Value::List(list) => Box::new(list.elements.iter()),
        Value::Set(set) => Box::new(set.iter()),
        Value::SortedSet(set) => Box::new(set.iter().map(|(member, _)| member)),
        // Not to be sorted: refused before.
        Value::String(_) | Value::Hash(_) | Value::Stream(_) => Box::new(std::iter::empty()),
    }
}

/// The wanted elements in the wanted order.
fn sorted<'v>(
    db: &mut Db,
    value: &'v Value,
    options: &Options<'_>,
) -> Result<Vec<ListpackValue<'v>>, CommandError> {
    let range = options.range(value.len());
    let whole_text = options.store.is_some();
    match (&options.by, options.alpha) {
        (by, false) => {
            let scored = with_scores(db, value, by.as_ref())?;
            Ok(pick(scored, range, options.descending, |a, b| {
                a.0.partial_cmp(&b.0).unwrap_or(Ordering::Equal).then_with(|| compare(a.1, b.1))
            }))
        }
        (None, true) => {
            let elements = all(value).map(|element| ((), element)).collect();
            Ok(pick(elements, range, options.descending, |a, b| {
                a.1.with_bytes(|a| b.1.with_bytes(|b| collate(a, b, whole_text)))
            }))
        }
        (Some(by), true) => {
            let mut text_of = |element| by.look_up(db, element).map(|text| text.to_vec().into_boxed_slice());
            let elements = all(value).map(|element| (text_of(element), element)).collect();
            Ok(pick(elements, range, options.descending, |a, b| match (&a.0, &b.0) {
                (Some(a), Some(b)) => collate(a, b, whole_text),
                (a, b) => a.is_some().cmp(&b.is_some()),
            }))
        }
    }
}

/// Every element with the number it is sorted by: its own, or that of the key `by` leads to; 0
/// when there is none.
fn with_scores<'v>(
    db: &mut Db,
    value: &'v Value,
    by: Option<&Pattern<'_>>,
) -> Result<Vec<(f64, ListpackValue<'v>)>, CommandError> {
    let mut all_are_numbers = true;
    let mut scored = Vec::with_capacity(value.len());
    for element in all(value) {
        let score = match by {
            None => score_of(element),
            Some(by) => by.look_up(db, element).map_or(Some(0.0), score_of),
        };
        all_are_numbers &= score.is_some();
        scored.push((score.unwrap_or(0.0), element));
    }
    if !all_are_numbers {
        return Err(CommandError::fixed("ERR One or more scores can't be converted into double"));
    }
    Ok(scored)
}

/// Returns the number that `strtod` reads, if it reads all up to the first NUL.
fn score_of(text: ListpackValue<'_>) -> Option<f64> {
    match text {
        ListpackValue::Int(int) => Some(int as f64),
        ListpackValue::Bytes(bytes) => {
            let bytes = c_text(bytes);
            let read = strtod(bytes);
            let whole = read.consumed == bytes.len();
            (whole && !read.out_of_range && !read.value.is_nan()).then_some(read.value)
        }
    }
}

/// Puts `items` in order and gives the elements in `range`. Equal ones keep their order.
fn pick<'v, W>(
    mut items: Vec<(W, ListpackValue<'v>)>,
    range: Range<usize>,
    descending: bool,
    compare: impl Fn(&(W, ListpackValue<'v>), &(W, ListpackValue<'v>)) -> Ordering,
) -> Vec<ListpackValue<'v>> {
    let compare = |a: &_, b: &_| if descending { compare(b, a) } else { compare(a, b) };
    // Choosing costs O(N), but mixes equal items; worth it when few are wanted.
    if range.end < items.len() / 4 {
        items.select_nth_unstable_by(range.end, compare);
        items.truncate(range.end);
    }
    items.sort_by(compare);
    items.drain(..range.start);
    items.truncate(range.len());
    items.into_iter().map(|(_, element)| element).collect()
}

fn compare(a: ListpackValue<'_>, b: ListpackValue<'_>) -> Ordering {
    a.with_bytes(|a| b.with_bytes(|b| a.cmp(b)))
}

fn collate(a: &[u8], b: &[u8], whole_text: bool) -> Ordering {
    if whole_text { a.cmp(b) } else { c_text(a).cmp(c_text(b)) }
}

/// A client can ask for the same values again and again: the answer of GET stops, and the client is
/// closed, when more than [`max_waiting_bytes`] would wait for it.
fn show(ctx: &mut Ctx<'_>, elements: &[ListpackValue<'_>], get: &[Pattern<'_>]) {
    ctx.reply.array(elements.len() * get.len().max(1));
    if get.is_empty() {
        return elements.iter().for_each(|&element| reply_text(&mut ctx.reply, element));
    }
    let max = max_waiting_bytes(&ctx.rooms.config);
    for (&element, pattern) in pairs(elements, get) {
        match pattern.look_up(ctx.db, element) {
            Some(text) => reply_text(&mut ctx.reply, text),
            None => ctx.reply.null(),
        }
        if ctx.reply.mark() > max {
            ctx.session.close = Close::Now;
            return;
        }
    }
}

/// Every element with every pattern, in the order of the answer.
fn pairs<'p, 'v>(
    elements: &'p [ListpackValue<'v>],
    get: &'p [Pattern<'p>],
) -> impl Iterator<Item = (&'p ListpackValue<'v>, &'p Pattern<'p>)> {
    elements.iter().flat_map(move |element| get.iter().map(move |pattern| (element, pattern)))
}

/// Redis has no bound here, but a million elements and a call of a million patterns would fill any
/// memory: GET may bring together as many bytes as the longest string, `proto-max-bulk-len`.
fn store(
    ctx: &mut Ctx<'_>,
    destination: &[u8],
    elements: &[ListpackValue<'_>],
    get: &[Pattern<'_>],
) -> CommandResult {
    let mut list = List::new(&ctx.db.limits());
    if get.is_empty() {
        elements.iter().for_each(|element| element.with_bytes(|text| list.elements.push_back(text)));
    }
    let max = ctx.rooms.config.proto_max_bulk_len;
    let mut bytes = 0;
    for (&element, pattern) in pairs(elements, get) {
        let text = pattern.look_up(ctx.db, element).unwrap_or(ListpackValue::Bytes(b""));
        bytes += (text.len_as_text() + ELEMENT_BYTES) as u64;
        if bytes > max {
            return Err(CommandError::fixed("ERR the result of SORT is too large to be stored"));
        }
        text.with_bytes(|text| list.elements.push_back(text));
    }
    let len = list.len();
    if len > 0 {
        ctx.db.insert(destination, list.into_value(), None);
        ctx.changed_by(len as u64, NotifyClasses::LIST, "sortstore", destination);
    } else if ctx.db.remove(destination) {
        ctx.changed(NotifyClasses::GENERIC, "del", destination);
    }
    ctx.reply.count(len);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::TestServer;

    fn server(lines: &[&str]) -> TestServer {
        let mut server = TestServer::new();
        for line in lines {
            let answer = server.run(line);
            assert!(!answer.starts_with("(error)"), "{line}: {answer}");
        }
        server
    }

    /// The answer's elements with spaces between them; anything else as it is.
    fn words(answer: &str) -> String {
        if !answer.trim_start().starts_with("1) ") {
            return answer.to_string();
        }
        let word =
            |line: &str| line.split_once(") ").map_or(line, |(_, word)| word).trim_matches('"').to_string();
        answer.lines().map(|line| word(line.trim_start())).collect::<Vec<_>>().join(" ")
    }

    fn check(server: &mut TestServer, rows: &[(&str, &str)]) {
        for (line, answer) in rows {
            assert_eq!(words(&server.run(line)), *answer, "{line}");
        }
    }

    #[test]
    fn numbers_are_sorted_by_value_and_equal_ones_by_text() {
        let mut server = server(&["RPUSH l 10 9 1.5 -3 0x10 \" 7\" 1e1 \"\""]);
        check(
            &mut server,
            &[
                ("SORT l", "-3  1.5  7 9 10 1e1 0x10"),
                ("SORT l DESC", "0x10 1e1 10 9  7 1.5  -3"),
                ("SORT l LIMIT 1 2", " 1.5"),
                ("SORT l LIMIT -5 1", "-3"),
                ("SORT l LIMIT 7 -1", "0x10"),
                ("SORT l LIMIT 8 5", "(empty array)"),
                ("SORT l LIMIT 0 0", "(empty array)"),
                ("SORT l LIMIT 3 9223372036854775807 DESC", "9  7 1.5  -3"),
                ("SORT nothing", "(empty array)"),
            ],
        );
    }

    #[test]
    fn what_is_no_number_is_an_error_without_alpha() {
        let error = "(error) ERR One or more scores can't be converted into double";
        for element in ["x", "1x", "nan", "1e400", "\"1 \""] {
            let mut server = server(&[&format!("RPUSH l 1 {element} 2")]);
            check(&mut server, &[("SORT l", error), ("SORT l STORE d", error), ("EXISTS d", "(integer) 0")]);
        }
    }

    #[test]
    fn alpha_compares_bytes_up_to_a_nul_unless_stored() {
        let mut server = server(&["RPUSH l b a B \"a\\x00z\" \"a\\x00b\" 10 9"]);
        check(
            &mut server,
            &[
                ("SORT l ALPHA", "10 9 B a a\\x00z a\\x00b b"),
                ("SORT l ALPHA STORE d", "(integer) 7"),
                ("LRANGE d 0 -1", "10 9 B a a\\x00b a\\x00z b"),
            ],
        );
    }

    #[test]
    fn by_and_get_follow_patterns_to_strings_and_hash_fields() {
        let mut server = server(&[
            "RPUSH l 1 2 3",
            "MSET w1 30 w3 10 o1 one o2 two",
            "HSET h1 f 1 name eins",
            "HSET h2 f 9",
            "HSET h3 f 5 name drei",
            "SET w1:x 5",
        ]);
        check(
            &mut server,
            &[
                ("SORT l BY w*", "2 3 1"),
                ("SORT l BY w* DESC", "1 3 2"),
                ("SORT l BY w* ALPHA", "2 3 1"),
                ("SORT l BY h*->f", "1 3 2"),
                ("SORT l BY h*->f GET # GET h*->name GET o*", "1 eins one 3 drei (nil) 2 (nil) two"),
                ("SORT l BY w*->f", "1 2 3"),
                ("SORT l BY w*-> GET w*:x", "5 (nil) (nil)"),
                ("SORT l BY nosort GET fixed", "(nil) (nil) (nil)"),
                ("SORT l BY nosort DESC GET #", "3 2 1"),
                ("SORT l BY nosort LIMIT 1 1", "2"),
                ("SORT l BY nosort DESC LIMIT 1 5", "2 1"),
                ("SORT l BY nosort BY w*", "1 2 3"),
                ("SORT l BY o*", "(error) ERR One or more scores can't be converted into double"),
                ("SORT l GET o* STORE d", "(integer) 3"),
                ("LRANGE d 0 -1", "one two "),
            ],
        );
    }

    #[test]
    fn store_replaces_the_destination_or_removes_it() {
        let mut server = server(&["RPUSH l 2 1", "SET d x EX 100"]);
        server.effects();
        let dirty = server.dirty();
        check(
            &mut server,
            &[("SORT l STORE d", "(integer) 2"), ("TTL d", "(integer) -1"), ("LRANGE d 0 -1", "1 2")],
        );
        assert_eq!(server.dirty() - dirty, 2);
        check(
            &mut server,
            &[
                ("SORT nothing STORE d", "(integer) 0"),
                ("EXISTS d", "(integer) 0"),
                ("SORT nothing STORE d", "(integer) 0"),
                ("SORT l STORE l DESC", "(integer) 2"),
                ("LRANGE l 0 -1", "2 1"),
            ],
        );
        assert_eq!(server.effects(), "SORT l STORE d | SORT nothing STORE d | SORT l STORE l DESC");
    }

    #[test]
    fn a_set_is_stored_in_order_even_when_told_not_to_sort() {
        let mut server = server(&["SADD s 10 9 b a", "SADD ints 3 20 1"]);
        check(
            &mut server,
            &[
                ("SORT s BY nosort STORE d", "(integer) 4"),
                ("LRANGE d 0 -1", "10 9 a b"),
                ("SORT ints DESC", "20 3 1"),
                ("SORT s ALPHA LIMIT 0 1", "10"),
            ],
        );
    }

    #[test]
    fn a_sorted_set_keeps_its_order_when_told_not_to_sort() {
        for filler in [0, 200] {
            let mut server = server(&["ZADD z 3 1 1 3 2 2 inf 9 -inf 7"]);
            let fill: Vec<String> = (0..filler).map(|n| format!("1e9 {}", 1000 + n)).collect();
            if filler > 0 {
                server.run(&format!("ZADD z {}", fill.join(" ")));
            }
            check(
                &mut server,
                &[
                    ("SORT z LIMIT 0 5", "1 2 3 7 9"),
                    ("OBJECT ENCODING z", "\"skiplist\""),
                    ("SORT z BY nosort LIMIT 0 4", "7 3 2 1"),
                    ("SORT z BY nosort LIMIT 1 2", "3 2"),
                    ("SORT z BY nosort DESC LIMIT 0 1", "9"),
                    ("SORT z BY nosort LIMIT 500 1", "(empty array)"),
                ],
            );
            let last = filler + 4;
            check(&mut server, &[(&format!("SORT z BY nosort DESC LIMIT {} 9", last - 1), "3 7")]);
        }
    }

    #[test]
    fn many_elements_come_out_in_order_with_and_without_a_limit() {
        let numbers: Vec<String> = (0..1000).map(|n| (n * 7919 % 1000).to_string()).collect();
        let mut server = server(&[&format!("RPUSH l {}", numbers.join(" "))]);
        let all = (0..1000).map(|n| n.to_string()).collect::<Vec<_>>();
        assert!(words(&server.run("SORT l")) == all.join(" "));
        assert_eq!(words(&server.run("SORT l LIMIT 10 20")), all[10..30].join(" "));
        let alpha: std::collections::BTreeSet<_> = all.into_iter().rev().collect();
        let first: Vec<_> = alpha.iter().rev().take(3).cloned().collect();
        assert_eq!(words(&server.run("SORT l ALPHA DESC LIMIT 0 3")), first.join(" "));
    }

    #[test]
    fn what_get_brings_together_is_bounded() {
        let mut server = TestServer::with(|config| {
            config.proto_max_bulk_len = 1 << 20;
            config.client_output_buffer_limit.normal.hard_bytes = 1 << 20;
        });
        server.run("RPUSH l 1 1 1 1 1 1 1 1 1 1");
        assert_eq!(server.run(&format!("SET w1 {}", "x".repeat(100_000))), "OK");
        assert_eq!(server.run("SORT l BY nosort GET w* STORE d"), "(integer) 10");
        let answer = server.run("SORT l BY nosort GET w* GET w* STORE d");
        assert_eq!(answer, "(error) ERR the result of SORT is too large to be stored");
        assert_eq!(server.run("LLEN d"), "(integer) 10", "what was there stays");
        server.raw_bytes("SORT l BY nosort GET w*");
        assert!(server.closed.is_empty());
        server.raw_bytes("SORT l BY nosort GET w* GET w*");
        assert_eq!(server.closed.len(), 1);
    }

    #[test]
    fn errors_are_told_before_the_key_is_looked_at() {
        let mut server = server(&["SET s x", "RPUSH l 1"]);
        let wrong = "(error) WRONGTYPE Operation against a key holding the wrong kind of value";
        check(
            &mut server,
            &[
                ("SORT s", wrong),
                ("SORT_RO s", wrong),
                ("SORT s BY", "(error) ERR syntax error"),
                ("SORT s LIMIT 1", "(error) ERR syntax error"),
                ("SORT s LIMIT 1 x", "(error) ERR value is not an integer or out of range"),
                ("SORT s nonsense", "(error) ERR syntax error"),
                ("SORT_RO l STORE d", "(error) ERR syntax error"),
                ("SORT_RO l", "1"),
                ("SORT", "(error) ERR wrong number of arguments for 'sort' command"),
            ],
        );
    }
}
