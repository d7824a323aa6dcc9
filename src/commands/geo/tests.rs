//! The geo commands as clients see them. Their answers in RESP2 are in
//! `tests/sessions/geo.session`; here are RESP3, what is propagated, and scores that are no places.

use crate::commands::testing::TestServer;

const SICILY: &str = "GEOADD sicily 13.361389 38.115556 Palermo 15.087269 37.502669 Catania";

fn dirty(server: &TestServer) -> u64 {
    server.dirty()
}

#[test]
fn geoadd_is_propagated_as_the_zadd_it_is() {
    let mut server = TestServer::new();
    server.run(SICILY);
    server.run(SICILY);
    server.run("GEOADD sicily nx CH 0 0 Palermo 0 0 Zero");
    assert_eq!(
        server.effects(),
        "SELECT 0 | zadd sicily 3479099956230698 Palermo 3479447370796909 Catania \
        | zadd sicily nx CH 3377699720527872 Palermo 3377699720527872 Zero"
    );
    assert_eq!(dirty(&server), 3);
}

#[test]
fn nothing_is_added_when_one_place_is_not_on_the_map() {
    let mut server = TestServer::new();
    assert_eq!(
        server.run("GEOADD g 0 0 a 0 -90 b"),
        "(error) ERR invalid longitude,latitude pair 0.000000,-90.000000"
    );
    assert_eq!(server.run("EXISTS g"), "(integer) 0");
    assert_eq!(server.run("GEOADD g XX 0 0 a"), "(integer) 0");
    assert_eq!(server.run("EXISTS g"), "(integer) 0");
    assert_eq!(server.effects(), "");
}

#[test]
fn degrees_are_doubles_and_distances_text_in_resp3() {
    let mut server = TestServer::new();
    server.run(SICILY);
    server.run("HELLO 3");
    let place = "*2\r\n,13.36138933897018433\r\n,38.11555639549629859\r\n";
    assert_eq!(server.raw("GEOPOS sicily Palermo none"), format!("*2\r\n{place}_\r\n"));
    assert_eq!(server.raw("GEODIST sicily Palermo Catania km"), "$8\r\n166.2742\r\n");
    assert_eq!(server.raw("GEODIST sicily Palermo none"), "_\r\n");
    assert_eq!(
        server.raw("GEOSEARCH sicily FROMMEMBER Palermo BYRADIUS 1 m WITHCOORD WITHDIST WITHHASH"),
        format!("*1\r\n*4\r\n$7\r\nPalermo\r\n$6\r\n0.0000\r\n:3479099956230698\r\n{place}")
    );
}

#[test]
fn a_stored_search_counts_its_places_and_deletes_a_destination_without_any() {
    let mut server = TestServer::new();
    server.run(SICILY);
    server.run("SET d v EX 100");
    server.effects();
    let before = dirty(&server);
    for (line, answer) in [
        ("GEOSEARCHSTORE d sicily FROMLONLAT 15 37 BYRADIUS 200 km", "(integer) 2"),
        ("TTL d", "(integer) -1"),
        ("GEORADIUS sicily 15 37 1 km STORE d", "(integer) 0"),
        ("GEORADIUS sicily 15 37 1 km STORE d", "(integer) 0"),
        ("GEORADIUS sicily 15 37 200 km", "1) \"Palermo\"\n2) \"Catania\""),
    ] {
        assert_eq!(server.run(line), answer, "{line}");
    }
    assert_eq!(
        server.effects(),
        "GEOSEARCHSTORE d sicily FROMLONLAT 15 37 BYRADIUS 200 km | GEORADIUS sicily 15 37 1 km STORE d"
    );
    assert_eq!(dirty(&server) - before, 3);
}

#[test]
fn a_stored_search_wakes_who_waits_for_the_destination() {
    let mut server = TestServer::new();
    server.connect(2);
    server.run(SICILY);
    for line in [
        "GEOSEARCHSTORE d sicily FROMMEMBER Palermo BYRADIUS 1 m",
        "GEORADIUSBYMEMBER sicily Palermo 1 m STORE d",
        "GEOADD d 13.361389 38.115556 Palermo",
    ] {
        assert_eq!(server.run_as(2, "BZPOPMIN d 0"), "");
        server.run(line);
        assert_eq!(server.output_of(2), "1) \"d\"\n2) \"Palermo\"\n3) \"3479099956230698\"", "{line}");
    }
}

#[test]
fn scores_that_are_no_places_are_some_place() {
    let mut server = TestServer::new();
    server.run("ZADD z -1 a inf b -inf c 1e300 d 9223372036854775808 e 0.5 f -0 g");
    for line in [
        "GEOPOS z a b c d e f g",
        "GEOHASH z a b c d e f g",
        "GEODIST z a b",
        "GEOSEARCH z FROMMEMBER a BYRADIUS 100000 km",
        "GEOSEARCH z FROMLONLAT 180 85.05112878 BYBOX 1e300 inf m WITHCOORD WITHHASH",
        "GEORADIUS z -180 -85.05112878 5e-324 m",
    ] {
        let answer = server.run(line);
        assert!(!answer.is_empty() && !answer.starts_with("(error)"), "{line}: {answer}");
    }
}

#[test]
fn searching_finds_what_measuring_finds() {
    let mut server = TestServer::new();
    let mut random = crate::base::random::Random::new(11);
    for place in 0..400 {
        let (longitude, latitude) = (random.f64() * 40.0 - 20.0, random.f64() * 40.0 + 30.0);
        server.run(&format!("GEOADD g {longitude} {latitude} p{place}"));
    }
    for radius_km in [1, 50, 400, 2000] {
        let found = server.run(&format!("GEOSEARCH g FROMMEMBER p7 BYRADIUS {radius_km} km"));
        let mut found: Vec<_> = found.split('"').filter(|word| word.starts_with('p')).collect();
        found.sort_unstable();
        let near = (0..400).map(|place| format!("p{place}")).filter(|place| {
            let answer = server.run(&format!("GEODIST g p7 {place} km"));
            answer.trim_matches('"').parse::<f64>().expect("a distance") <= f64::from(radius_km)
        });
        let mut near: Vec<_> = near.collect();
        near.sort_unstable();
        assert_eq!(found, near, "{radius_km} km");
    }
}
