//! Reading a list: LLEN, LINDEX, LRANGE, LPOS.

use super::{answer, position, range};
use crate::ds::listpack::{ListpackValue, Needle};
use crate::keyspace::List;
use crate::server::{Args, CommandError, CommandResult, Ctx};

pub(super) fn llen(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let len = ctx.db.read::<List>(args.key())?.map_or(0, List::len);
    ctx.reply.count(len);
    Ok(())
}

pub(super) fn lindex(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    // Redis: the index of a missing key may be anything.
    let Some(list) = ctx.db.read::<List>(args.key())? else {
        ctx.reply.null();
        return Ok(());
    };
    let elements = &list.elements;
    match position(args.int()?, elements.len()).and_then(|index| elements.get(index)) {
        Some(element) => answer(&mut ctx.reply, element),
        None => ctx.reply.null(),
    }
    Ok(())
}

pub(super) fn lrange(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let (key, start, stop) = (args.key(), args.int()?, args.int()?);
    let Some(list) = ctx.db.read::<List>(key)? else {
        ctx.reply.array(0);
        return Ok(());
    };
    let (first, count) = range(start, stop, list.elements.len());
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    ctx.reply.array(count);
    list.elements.iter_from(first).take(count).for_each(|element| answer(&mut ctx.reply, element));
    Ok(())
}

pub(super) fn lpos(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let (key, needle) = (args.key(), Needle::new(args.key()));
    let search = Search::parse(&mut args)?;
    match ctx.db.read::<List>(key)? {
        None if search.count.is_some() => ctx.reply.array(0),
        None => ctx.reply.null(),
        Some(list) if search.count.is_some() => {
            let place = ctx.reply.deferred();
            let mut found = 0;
            for index in search.matches(list, needle) {
                ctx.reply.count(index);
                found += 1;
            }
            ctx.reply.close_array(place, found);
        }
        Some(list) => match search.matches(list, needle).next() {
            Some(index) => ctx.reply.count(index),
            None => ctx.reply.null(),
        },
    }
    Ok(())
}

/// The options of LPOS besides the element.
struct Search {
    /// The first match that counts, from 1; negative from the end.
    rank: i64,
    /// The number of matches that are answered; all for 0.
    count: Option<i64>,
    /// The number of elements that are looked at; all for 0.
    max_len: i64,
}

impl Search {
    /// Reads `[RANK rank] [COUNT num-matches] [MAXLEN len]` to the end. The last of each counts.
    fn parse(args: &mut Args<'_>) -> Result<Self, CommandError> {
        const BAD_COUNT: CommandError = CommandError::fixed("ERR COUNT can't be negative");
        const BAD_MAX_LEN: CommandError = CommandError::fixed("ERR MAXLEN can't be negative");
        let mut search = Search { rank: 1, count: None, max_len: 0 };
        while !args.is_done() {
            if args.keyword_with_value("RANK") {
                search.rank = args.int()?;
                if search.rank == 0 {
                    return Err(CommandError::fixed(ZERO_RANK));
                }
            } else if args.keyword_with_value("COUNT") {
                search.count = Some(args.int_in(0, i64::MAX, BAD_COUNT)?);
            } else if args.keyword_with_value("MAXLEN") {
                search.max_len = args.int_in(0, i64::MAX, BAD_MAX_LEN)?;
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Ok(search)
    }

    /// The indexes of the matches to answer, in the order of the search.
    fn matches<'l>(&self, list: &'l List, needle: Needle<'l>) -> impl Iterator<Item = usize> + use<'l> {
        let whole = |number: i64| usize::try_from(number).unwrap_or(usize::MAX);
        let all_for_zero = |number: i64| if number == 0 { usize::MAX } else { whole(number) };
        // Redis: this rank has no positive counterpart, and then neither rank nor count holds.
        let lawless = self.rank == i64::MIN;
        let skip = if lawless { 0 } else { whole(self.rank.saturating_abs() - 1) };
        let count = if lawless { usize::MAX } else { self.count.map_or(1, all_for_zero) };
        let (len, backward) = (list.len(), self.rank < 0);
        let elements: Box<dyn Iterator<Item = ListpackValue<'l>>> =
            if backward { Box::new(list.elements.iter_rev()) } else { Box::new(list.elements.iter()) };
        elements
            .take(all_for_zero(self.max_len))
            .enumerate()
            .filter(move |&(_, value)| needle.matches(value))
            .skip(skip)
            .take(count)
            .map(move |(distance, _)| if backward { len - 1 - distance } else { distance })
    }
}

const ZERO_RANK: &str = "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second \
     ... or use negative to start from the end of the list";

#[cfg(test)]
mod tests {
    use crate::commands::testing::TestServer;

    #[test]
    fn lpos_searches_from_either_end() {
        let mut server = TestServer::new();
        server.run("RPUSH l a b a c a");
        let not_integer = "(error) ERR value is not an integer or out of range";
        for (options, answer) in [
            ("", "(integer) 0"),
            ("RANK 2", "(integer) 2"),
            ("RANK -1", "(integer) 4"),
            ("RANK -2 MAXLEN 3", "(integer) 2"),
            ("RANK 4", "(nil)"),
            ("MAXLEN 0", "(integer) 0"),
            ("COUNT 0", "1) (integer) 0\n2) (integer) 2\n3) (integer) 4"),
            ("COUNT 0 MAXLEN 3", "1) (integer) 0\n2) (integer) 2"),
            ("COUNT 2 RANK -1", "1) (integer) 4\n2) (integer) 2"),
            ("COUNT 1 RANK 4", "(empty array)"),
            ("RANK 2 COUNT 9223372036854775807", "1) (integer) 2\n2) (integer) 4"),
            ("RANK 9223372036854775807", "(nil)"),
            ("RANK -9223372036854775807 COUNT 0", "(empty array)"),
            ("RANK -9223372036854775808", "(integer) 4"),
            ("RANK -9223372036854775808 COUNT 2", "1) (integer) 4\n2) (integer) 2\n3) (integer) 0"),
            ("RANK 2 RANK 1", "(integer) 0"),
            ("RANK x", not_integer),
            ("RANK 9223372036854775808", not_integer),
            ("COUNT -1", "(error) ERR COUNT can't be negative"),
            ("COUNT x", "(error) ERR COUNT can't be negative"),
            ("MAXLEN -1", "(error) ERR MAXLEN can't be negative"),
            ("MAXLEN", "(error) ERR syntax error"),
            ("FIRST 1", "(error) ERR syntax error"),
        ] {
            assert_eq!(server.run(&format!("LPOS l a {options}")), answer, "{options}");
        }
        let zero = server.run("LPOS l a RANK 0");
        assert_eq!(
            zero,
            "(error) ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use \
             negative to start from the end of the list"
        );
        assert_eq!(server.run("LPOS none a"), "(nil)");
        assert_eq!(server.run("LPOS none a COUNT 1"), "(empty array)");
        server.run("SETNX s v");
        assert!(server.run("LPOS s a").starts_with("(error) WRONGTYPE"));
        server.run("RPUSH n 5 07 7");
        assert_eq!(server.run("LPOS n 7"), "(integer) 2", "text is compared, not value");
    }
}
