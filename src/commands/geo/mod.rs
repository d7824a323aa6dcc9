//! Places: sorted sets whose scores are geohashes. The table, and what needs no search.
//!
//! | file | commands |
//! |---|---|
//! | here | GEOADD GEODIST GEOHASH GEOPOS |
//! | `search` | GEOSEARCH, GEOSEARCHSTORE, GEORADIUS and its three other forms |

mod search;

use crate::base::geohash::Place;
use crate::base::long_double::LongDouble;
use crate::base::number::I64Text;
use crate::config::NotifyClasses;
use crate::keyspace::SortedSet;
use crate::keyspace::sorted_set::Edit;
use crate::resp::{OwnedArgv, Reply};
use crate::server::{Args, Command, CommandError, CommandResult, Ctx};
use crate::spec::*;

/// The commands of the group.
pub const COMMANDS: &[Command] = &[
    Command::new(
        Spec::new(
            "geoadd",
            Group::Geo,
            -5,
            "key [NX | XX]@condition^6.2.0 [CH@change^6.2.0] longitude latitude member \
            [longitude latitude member ...]",
        )
        .flags(&[WRITE, DENYOOM])
        .keys(&[KeySpec::one(1, &[RW, UPDATE])])
        .since("3.2.0")
        .complexity("O(log(N)) for each place, N: members of the set.")
        .summary("Adds places, or moves them.")
        .history(&[("6.2.0", "`CH`, `NX`, `XX`.")]),
        geoadd,
    ),
    Command::new(
        Spec::new("geodist", Group::Geo, -4, "key member1 member2 [M | KM | FT | MI]@unit")
            .flags(&[READONLY])
            .keys(&[KeySpec::one(1, &[RO, ACCESS])])
            .since("3.2.0")
            .summary("Tells how far two members are apart."),
        geodist,
    ),
    Command::new(
        Spec::new("geohash", Group::Geo, -2, "key member [member ...]")
            .flags(&[READONLY])
            .keys(&[KeySpec::one(1, &[RO, ACCESS])])
            .since("3.2.0")
            .complexity("O(1) for each member.")
            .summary("Tells the geohash strings of members."),
        geohash,
    ),
    Command::new(
        Spec::new("geopos", Group::Geo, -2, "key member [member ...]")
            .flags(&[READONLY])
            .keys(&[KeySpec::one(1, &[RO, ACCESS])])
            .since("3.2.0")
            .complexity("O(1) for each member.")
            .summary("Tells longitude and latitude of members."),
        geopos,
    ),
    Command::new(
        Spec::new(
            "georadius",
            Group::Geo,
            -6,
            "key longitude latitude radius <M | KM | FT | MI>@unit [WITHCOORD] [WITHDIST] \
            [WITHHASH] [COUNT count [ANY^6.2.0]]@count [ASC | DESC]@order [STORE key] \
            [STOREDIST key]",
        )
        .flags(&[WRITE, DENYOOM])
        .keys(&[
            KeySpec::one(1, &[RO, ACCESS]),
            KeySpec::after("STORE", 6, &[OW, UPDATE]),
            KeySpec::after("STOREDIST", 6, &[OW, UPDATE]),
        ])
        .keys_by(KeysBy::GeoRadius(6))
        .since("3.2.0")
        .complexity("O(N+log(M)), N: members in the box around the circle, M: members found.")
        .summary("Finds the members around a point; can store them.")
        .deprecated("6.2.0", "`GEOSEARCH` and `GEOSEARCHSTORE` with `BYRADIUS`")
        .history(&[("6.2.0", "`ANY`."), ("7.0.0", "Units in upper case.")]),
        search::georadius,
    ),
    Command::new(
        Spec::new(
            "georadius_ro",
            Group::Geo,
            -6,
            "key longitude latitude radius <M | KM | FT | MI>@unit [WITHCOORD] [WITHDIST] \
            [WITHHASH] [COUNT count [ANY^6.2.0]]@count [ASC | DESC]@order",
        )
        .flags(&[READONLY])
        .keys(&[KeySpec::one(1, &[RO, ACCESS])])
        .since("3.2.10")
        .complexity("O(N+log(M)), N: members in the box around the circle, M: members found.")
        .summary("Finds the members around a point.")
        .deprecated("6.2.0", "`GEOSEARCH` with `BYRADIUS`")
        .history(&[("6.2.0", "`ANY`.")]),
        search::georadius_ro,
    ),
    Command::new(
        Spec::new(
            "georadiusbymember",
            Group::Geo,
            -5,
            "key member radius <M | KM | FT | MI>@unit [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT \
            count [ANY]]@count [ASC | DESC]@order [STORE key] [STOREDIST key]",
        )
        .flags(&[WRITE, DENYOOM])
        .keys(&[
            KeySpec::one(1, &[RO, ACCESS]),
            KeySpec::after("STORE", 5, &[OW, UPDATE]),
            KeySpec::after("STOREDIST", 5, &[OW, UPDATE]),
        ])
        .keys_by(KeysBy::GeoRadius(5))
        .since("3.2.0")
        .complexity("O(N+log(M)), N: members in the box around the circle, M: members found.")
        .summary("Finds the members around another member; can store them.")
        .deprecated("6.2.0", "`GEOSEARCH` and `GEOSEARCHSTORE` with `BYRADIUS` and `FROMMEMBER`")
        .history(&[("7.0.0", "Units in upper case.")]),
        search::georadiusbymember,
    ),
    Command::new(
        Spec::new(
            "georadiusbymember_ro",
            Group::Geo,
            -5,
            "key member radius <M | KM | FT | MI>@unit [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT \
            count [ANY]]@count [ASC | DESC]@order",
        )
        .flags(&[READONLY])
        .keys(&[KeySpec::one(1, &[RO, ACCESS])])
        .since("3.2.10")
        .complexity("O(N+log(M)), N: members in the box around the circle, M: members found.")
        .summary("Finds the members around another member.")
        .deprecated("6.2.0", "`GEOSEARCH` with `BYRADIUS` and `FROMMEMBER`"),
        search::georadiusbymember_ro,
    ),
    Command::new(
        Spec::new(
            "geosearch",
            Group::Geo,
            -7,
            "key <FROMMEMBER member | FROMLONLAT (longitude latitude)>@from <(BYRADIUS radius \
            <M | KM | FT | MI>@unit)@circle | (BYBOX width height <M | KM | FT | \
            MI>@unit)@box>@by [ASC | DESC]@order [COUNT count [ANY]]@count [WITHCOORD] \
            [WITHDIST] [WITHHASH]",
        )
        .flags(&[READONLY])
        .keys(&[KeySpec::one(1, &[RO, ACCESS])])
        .since("6.2.0")
        .complexity("O(N+log(M)), N: members in the grid around the shape, M: members found.")
        .summary("Finds the members in a circle or box.")
        .history(&[("7.0.0", "Units in upper case.")]),
        search::geosearch,
    ),
    Command::new(
        Spec::new(
            "geosearchstore",
            Group::Geo,
            -8,
            "destination source <FROMMEMBER member | FROMLONLAT (longitude latitude)>@from \
            <(BYRADIUS radius <M | KM | FT | MI>@unit)@circle | (BYBOX width height <M | KM | \
            FT | MI>@unit)@box>@by [ASC | DESC]@order [COUNT count [ANY]]@count [STOREDIST]",
        )
        .flags(&[WRITE, DENYOOM])
        .keys(&[KeySpec::one(1, &[OW, UPDATE]), KeySpec::one(2, &[RO, ACCESS])])
        .since("6.2.0")
        .complexity("O(N+log(M)), N: members in the grid around the shape, M: members found.")
        .summary("Finds the members in a circle or box and stores them.")
        .history(&[("7.0.0", "Units in upper case.")]),
        search::geosearchstore,
    ),
];

fn geoadd(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let key = args.key();
    let (mut new, mut existing, mut count_changed) = (false, false, false);
    loop {
        if args.keyword("NX") {
            new = true;
        } else if args.keyword("XX") {
            existing = true;
        } else if args.keyword("CH") {
            count_changed = true;
        } else {
            break;
        }
    }
    if !args.remaining().is_multiple_of(3) || args.is_done() || (new && existing) {
        return Err(CommandError::Syntax);
    }
    let options = args.position();
    let places = places(args)?;
    if existing && ctx.db.write::<SortedSet>(key)?.is_none() {
        ctx.reply.integer(0);
        return Ok(());
    }
    let limits = ctx.db.limits();
    let set = ctx.db.write_or_create(key, |_| SortedSet::new())?;
    let (mut added, mut updated) = (0u64, 0);
    for &(number, member) in &places {
        let decide = |old: Option<f64>| {
            let refused = if old.is_some() { new } else { existing };
            (!refused).then_some(number as f64)
        };
        match set.edit(member, &limits, decide) {
            Edit::Added => added += 1,
            Edit::Updated => updated += 1,
            Edit::Nothing => {}
        }
    }
    let answer = if count_changed { added + updated } else { added };
    ctx.reply.integer(answer.cast_signed());
    if ctx.rooms.propagation.is_wanted() && added + updated > 0 {
        ctx.effect.replace(as_zadd(args, options, &places));
    }
    ctx.changed_by(added + updated, NotifyClasses::ZSET, "zadd", key);
    Ok(())
}

/// The places of GEOADD as numbers, with their members. Redis reads all before it adds the first.
fn places<'a>(mut args: Args<'a>) -> Result<Vec<(u64, &'a [u8])>, CommandError> {
    let mut places = Vec::with_capacity(args.remaining() / 3);
    while !args.is_done() {
        places.push((place(&mut args)?.number(), args.key()));
    }
    Ok(places)
}

/// GEOADD is propagated as the ZADD it is.
fn as_zadd(args: Args<'_>, options: usize, places: &[(u64, &[u8])]) -> OwnedArgv {
    let numbers: Vec<_> = places.iter().map(|&(number, _)| I64Text::new(number.cast_signed())).collect();
    let pairs = numbers.iter().zip(places).flat_map(|(number, &(_, member))| [number.as_bytes(), member]);
    let before = args.argv().iter().take(options).skip(1);
    OwnedArgv::from_parts(std::iter::once(&b"zadd"[..]).chain(before).chain(pairs))
}

fn geodist(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let (key, from, to) = (args.key(), args.key(), args.key());
    let meters = match args.remaining() {
        0 => 1.0,
        1 => unit(&mut args)?,
        _ => return Err(CommandError::Syntax),
    };
    let set = ctx.db.read::<SortedSet>(key)?;
    let both = set.and_then(|set| Some((place_of(set, from)?, place_of(set, to)?)));
    match both {
        Some((from, to)) => reply_distance(&mut ctx.reply, from.distance(&to) / meters),
        None => ctx.reply.null(),
    }
    Ok(())
}

fn geohash(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let set = ctx.db.read::<SortedSet>(args.key())?;
    ctx.reply.array(args.remaining());
    for member in args.rest() {
        match set.and_then(|set| place_of(set, member)) {
            Some(place) => ctx.reply.bulk(&place.text()),
            None => ctx.reply.null(),
        }
    }
    Ok(())
}

fn geopos(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let set = ctx.db.read::<SortedSet>(args.key())?;
    ctx.reply.array(args.remaining());
    for member in args.rest() {
        match set.and_then(|set| place_of(set, member)) {
            Some(place) => reply_place(&mut ctx.reply, place),
            None => ctx.reply.null_array(),
        }
    }
    Ok(())
}

/// Reads longitude and latitude, which must be on the map.
fn place(args: &mut Args<'_>) -> Result<Place, CommandError> {
    let place = Place { longitude: args.double()?, latitude: args.double()? };
    if place.is_valid() {
        return Ok(place);
    }
    let Place { longitude, latitude } = place;
    Err(CommandError::line(format!("ERR invalid longitude,latitude pair {longitude:.6},{latitude:.6}")))
}

/// Reads a unit of length: how many meters it is.
fn unit(args: &mut Args<'_>) -> Result<f64, CommandError> {
    const UNITS: [(&str, f64); 4] = [("m", 1.0), ("km", 1000.0), ("ft", 0.3048), ("mi", 1609.34)];
    let word = args.next()?;
    let found = UNITS.iter().find(|(name, _)| word.eq_ignore_ascii_case(name.as_bytes()));
    found
        .map(|&(_, meters)| meters)
        .ok_or(CommandError::fixed("ERR unsupported unit provided. please use M, KM, FT, MI"))
}

fn place_of(set: &SortedSet, member: &[u8]) -> Option<Place> {
    set.score(member).map(|score| Place::of_number(number_of(score)))
}

/// The number in a score. Any score is taken, as x86 converts it: one below 0 by its 64 bits, one
/// too large as 0.
fn number_of(score: f64) -> u64 {
    const HIGHEST: f64 = (1u64 << 63) as f64;
    if score < HIGHEST {
        return (score as i64).cast_unsigned();
    }
    if score < 2.0 * HIGHEST { score as u64 } else { 0 }
}

/// Redis: four decimals, and text in RESP3, too.
fn reply_distance(reply: &mut Reply<'_>, distance: f64) {
    reply.bulk(format!("{distance:.4}").as_bytes());
}

fn reply_place(reply: &mut Reply<'_>, place: Place) {
    reply.array(2);
    for degrees in [place.longitude, place.latitude] {
        let mut text = Vec::with_capacity(24);
        LongDouble::from_f64(degrees).format(&mut text);
        reply.number_text(&text);
    }
}

#[cfg(test)]
mod tests;
