//! Places around a centre: GEOSEARCH, GEOSEARCHSTORE, and GEORADIUS and GEORADIUSBYMEMBER with
//! their read-only forms.
//!
//! All six read the same options; a [`Form`] says which of them and where the centre comes from.
//! Cells of the map are ranges of scores, so a search reads a few ranges of ranks and measures
//! every place in them.

use super::{number_of, place, place_of, reply_distance, reply_place, unit};
use crate::base::geohash::{Place, Search, SearchArea};
use crate::base::text::lossless;
use crate::commands::answer::reply_text;
use crate::commands::stored::store_sorted_set;
use crate::keyspace::sorted_set::{Direction, ScoreRange, SortedSetBuilder};
use crate::keyspace::{Member, SortedSet};
use crate::server::{Args, CommandError, CommandResult, Ctx};

/// The place in the arguments of the centre and the shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Given {
    /// Longitude, latitude and radius in front of the options.
    Place,
    /// A member and a radius in front of the options.
    Member,
    /// In the options.
    Options,
}

/// Says if the result can be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stores {
    Never,
    /// With STORE or STOREDIST and a key.
    IfAsked,
    /// The destination is the first key.
    Always,
}

/// A form of the command.
#[derive(Clone, Copy, Debug)]
struct Form {
    given: Given,
    stores: Stores,
}

pub(super) fn geosearch(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    search(ctx, args, Form { given: Given::Options, stores: Stores::Never })
}

pub(super) fn geosearchstore(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    search(ctx, args, Form { given: Given::Options, stores: Stores::Always })
}

pub(super) fn georadius(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    search(ctx, args, Form { given: Given::Place, stores: Stores::IfAsked })
}

pub(super) fn georadius_ro(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    search(ctx, args, Form { given: Given::Place, stores: Stores::Never })
}

pub(super) fn georadiusbymember(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    search(ctx, args, Form { given: Given::Member, stores: Stores::IfAsked })
}

pub(super) fn georadiusbymember_ro(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    search(ctx, args, Form { given: Given::Member, stores: Stores::Never })
}

/// The search that the arguments ask for.
#[derive(Clone, Copy, Debug, Default)]
struct Request<'a> {
    centre: Option<Centre>,
    from: Option<From>,
    shape: Option<SearchArea>,
    /// Meters in the unit of the shape.
    unit: f64,
    with_distance: bool,
    with_number: bool,
    with_place: bool,
    direction: Option<Direction>,
    /// Not more results; `None` is all.
    count: Option<usize>,
    /// Any `count` results, not the nearest.
    any: bool,
    store: Option<&'a [u8]>,
    stores_distance: bool,
}

/// The middle of a search.
#[derive(Clone, Copy, Debug)]
enum Centre {
    Known(Place),
    /// A member of a key that is missing; nothing will be found.
    Nowhere,
}

/// The option that gave the centre.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    Member,
    Place,
}

impl Centre {
    fn of_member(set: Option<&SortedSet>, member: &[u8]) -> Result<Self, CommandError> {
        const MISSING: CommandError = CommandError::fixed("ERR could not decode requested zset member");
        let Some(set) = set else { return Ok(Centre::Nowhere) };
        place_of(set, member).map(Centre::Known).ok_or(MISSING)
    }
}

impl<'a> Request<'a> {
    /// Reads the centre and the radius that stand in front of the options.
    fn parse_given(
        &mut self,
        args: &mut Args<'a>,
        given: Given,
        set: Option<&SortedSet>,
    ) -> Result<(), CommandError> {
        match given {
            Given::Options => return Ok(()),
            Given::Place => self.centre = Some(Centre::Known(place(args)?)),
            Given::Member => self.centre = Some(Centre::of_member(set, args.key())?),
        }
        if given == Given::Member && set.is_none() {
            // Redis: nobody looks at the radius then.
            args.take(2)?;
            return Ok(());
        }
        self.parse_radius(args)
    }

    fn parse_radius(&mut self, args: &mut Args<'a>) -> CommandResult {
        let radius = args.double().map_err(|_| CommandError::fixed("ERR need numeric radius"))?;
        if radius < 0.0 {
            return Err(CommandError::fixed("ERR radius cannot be negative"));
        }
        self.unit = unit(args)?;
        self.shape = Some(SearchArea::Circle(radius * self.unit));
        Ok(())
    }

    fn parse_box(&mut self, args: &mut Args<'a>) -> CommandResult {
        let width = args.double().map_err(|_| CommandError::fixed("ERR need numeric width"))?;
        let height = args.double().map_err(|_| CommandError::fixed("ERR need numeric height"))?;
        if width < 0.0 || height < 0.0 {
            return Err(CommandError::fixed("ERR height or width cannot be negative"));
        }
        self.unit = unit(args)?;
        self.shape = Some(SearchArea::Box(width * self.unit, height * self.unit));
        Ok(())
    }

    fn parse_options(&mut self, args: &mut Args<'a>, form: Form, set: Option<&SortedSet>) -> CommandResult {
        while !args.is_done() {
            let known = self.parse_common(args)?
                || match form.given {
                    Given::Options => self.parse_search(args, form.stores, set)?,
                    Given::Place | Given::Member => {
                        form.stores == Stores::IfAsked && self.parse_store(args)?
                    }
                };
            if !known {
                return Err(CommandError::Syntax);
            }
        }
        Ok(())
    }

    /// Reads an option that all forms have.
    fn parse_common(&mut self, args: &mut Args<'a>) -> Result<bool, CommandError> {
        if args.keyword("WITHDIST") {
            self.with_distance = true;
        } else if args.keyword("WITHHASH") {
            self.with_number = true;
        } else if args.keyword("WITHCOORD") {
            self.with_place = true;
        } else if args.keyword("ANY") {
            self.any = true;
        } else if args.keyword("ASC") {
            self.direction = Some(Direction::Ascending);
        } else if args.keyword("DESC") {
            self.direction = Some(Direction::Descending);
        } else if args.keyword_with_value("COUNT") {
            let count = args.int()?;
            if count <= 0 {
                return Err(CommandError::fixed("ERR COUNT must be > 0"));
            }
            self.count = Some(usize::try_from(count).unwrap_or(usize::MAX));
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    fn parse_store(&mut self, args: &mut Args<'a>) -> Result<bool, CommandError> {
        self.stores_distance = if args.keyword_with_value("STORE") {
            false
        } else if args.keyword_with_value("STOREDIST") {
            true
        } else {
            return Ok(false);
        };
        self.store = Some(args.key());
        Ok(true)
    }

    /// Reads an option of GEOSEARCH.
    fn parse_search(
        &mut self,
        args: &mut Args<'a>,
        stores: Stores,
        set: Option<&SortedSet>,
    ) -> Result<bool, CommandError> {
        let left = args.remaining();
        let may = |chosen: bool, words: usize| !chosen && left > words;
        let from_member = self.from == Some(From::Member);
        let from_place = self.from == Some(From::Place);
        let by_radius = matches!(self.shape, Some(SearchArea::Circle(_)));
        let by_box = matches!(self.shape, Some(SearchArea::Box(..)));
        if may(from_place, 1) && args.keyword("FROMMEMBER") {
            self.centre = Some(Centre::of_member(set, args.key())?);
            self.from = Some(From::Member);
        } else if may(from_member, 2) && args.keyword("FROMLONLAT") {
            self.centre = Some(Centre::Known(place(args)?));
            self.from = Some(From::Place);
        } else if may(by_box, 2) && args.keyword("BYRADIUS") {
            self.parse_radius(args)?;
        } else if may(by_radius, 3) && args.keyword("BYBOX") {
            self.parse_box(args)?;
        } else if stores == Stores::Always && args.keyword("STOREDIST") {
            self.stores_distance = true;
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// Refuses what does not go together, in the order of Redis.
    fn check(&self, form: Form, name: &[u8]) -> CommandResult {
        let name = lossless(name);
        let line = if self.store.is_some() && (self.with_distance || self.with_number || self.with_place) {
            let what = match form.stores {
                Stores::Always => "GEOSEARCHSTORE",
                Stores::Never | Stores::IfAsked => "STORE option in GEORADIUS",
            };
            format!("ERR {what} is not compatible with WITHDIST, WITHHASH and WITHCOORD options")
        } else if form.given == Given::Options && self.centre.is_none() {
            format!("ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for {name}")
        } else if form.given == Given::Options && self.shape.is_none() {
            format!("ERR exactly one of BYRADIUS and BYBOX can be specified for {name}")
        } else if self.any && self.count.is_none() {
            "ERR the ANY argument requires COUNT argument".to_string()
        } else {
            return Ok(());
        };
        Err(CommandError::line(line))
    }

    /// The search, if there can be a result.
    fn search(&self) -> Option<Search> {
        match (self.centre?, self.shape?) {
            (Centre::Known(centre), shape) => Some(Search { centre, shape }),
            (Centre::Nowhere, _) => None,
        }
    }

    /// Returns the members that are found, in the order and number asked for.
    fn find<'s>(&self, set: &'s SortedSet) -> Vec<Found<'s>> {
        let Some(search) = self.search() else { return Vec::new() };
        let enough = if self.any { self.count.unwrap_or(usize::MAX) } else { usize::MAX };
        let mut found = find_within(set, &search, enough);
        // Redis: a number of results means the nearest ones unless they may be any.
        let nearest = (self.count.is_some() && !self.any).then_some(Direction::Ascending);
        let by_distance = |one: &Found<'_>, two: &Found<'_>| one.meters.total_cmp(&two.meters);
        match self.direction.or(nearest) {
            Some(Direction::Ascending) => found.sort_by(by_distance),
            Some(Direction::Descending) => found.sort_by(|one, two| by_distance(two, one)),
            None => {}
        }
        found.truncate(self.count.unwrap_or(usize::MAX));
        found
    }
}

/// A place that belongs to the result.
#[derive(Clone, Copy, Debug)]
struct Found<'s> {
    member: Member<'s>,
    score: f64,
    place: Place,
    meters: f64,
}

/// Up to `enough` places of a search, in the order of cells and scores.
fn find_within<'s>(set: &'s SortedSet, search: &Search, enough: usize) -> Vec<Found<'s>> {
    let mut found = Vec::new();
    for numbers in search.ranges() {
        let scores =
            ScoreRange { max_excluded: true, ..ScoreRange::closed(numbers.start as f64, numbers.end as f64) };
        for (member, score) in set.walk(set.score_ranks(&scores), Direction::Ascending) {
            let place = Place::of_number(number_of(score));
            if let Some(meters) = search.distance_inside(&place) {
                found.push(Found { member, score, place, meters });
                if found.len() >= enough {
                    return found;
                }
            }
        }
    }
    found
}

fn search(ctx: &mut Ctx<'_>, mut args: Args<'_>, form: Form) -> CommandResult {
    let mut request = Request::default();
    if form.stores == Stores::Always {
        request.store = Some(args.key());
    }
    let set = ctx.db.read_shared::<SortedSet>(args.key())?;
    let set = set.as_deref();
    request.parse_given(&mut args, form.given, set)?;
    request.parse_options(&mut args, form, set)?;
    request.check(form, args.argv().at(0))?;
    let found = set.map(|set| request.find(set)).unwrap_or_default();
    match request.store {
        Some(destination) => store(ctx, destination, form, &request, &found),
        None => answer(ctx, &request, &found),
    }
    Ok(())
}

fn answer(ctx: &mut Ctx<'_>, request: &Request<'_>, found: &[Found<'_>]) {
    let reply = &mut ctx.reply;
    let extras = [request.with_distance, request.with_number, request.with_place];
    let extras = extras.into_iter().filter(|&wanted| wanted).count();
    reply.array(found.len());
    for one in found {
        if extras > 0 {
            reply.array(1 + extras);
        }
        reply_text(reply, one.member);
        if request.with_distance {
            reply_distance(reply, one.meters / request.unit);
        }
        if request.with_number {
            reply.integer(one.score as i64);
        }
        if request.with_place {
            reply_place(reply, one.place);
        }
    }
}

fn store(ctx: &mut Ctx<'_>, destination: &[u8], form: Form, request: &Request<'_>, found: &[Found<'_>]) {
    let mut result = SortedSetBuilder::new(&ctx.db.limits());
    for one in found {
        let score = if request.stores_distance { one.meters / request.unit } else { one.score };
        one.member.with_bytes(|member| result.add(member, score, |_, score| score));
    }
    let event = if form.given == Given::Options { "geosearchstore" } else { "georadiusstore" };
    let changes = found.len() as u64;
    let stored = store_sorted_set(ctx, event, destination, result, changes);
    ctx.reply.count(stored);
}
