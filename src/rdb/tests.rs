//! Values that are written are read back, older formats are read, and damage is told, not trusted.

use super::ziplist::tests::{text, ziplist_of};
use super::*;
use crate::base::crc64::crc64;
use crate::base::time::{MonotonicMillis, UnixMillis};
use crate::ds::intset::Intset;
use crate::ds::listpack::Listpack;
use crate::keyspace::{
    AccessClock, Collection, Content, DbIndex, EncodingLimits, Hash, Keyspace, List, Set, SortedSet, Ttl,
    Value, ValueRef,
};
use proptest::prelude::*;

fn saved(keyspace: &Keyspace, options: &SaveOptions) -> Vec<u8> {
    let mut bytes = Vec::new();
    save(&keyspace.snapshot(), options, &mut bytes).expect("a vector takes everything");
    bytes
}

fn sample() -> Keyspace {
    let mut keyspace = Keyspace::new(16, EncodingLimits::default(), 1);
    keyspace.set_string(b"plain", b"value", Ttl::Clear);
    keyspace.set_string(b"number", b"-12345", Ttl::At(UnixMillis(1_900_000_000_123)));
    keyspace.set_string(b"long", &b"abc".repeat(500), Ttl::Clear);
    keyspace.select(DbIndex(3));
    keyspace.set_string(b"", b"", Ttl::Clear);
    keyspace
}

type Rows = Vec<(usize, Vec<u8>, String, Option<i64>)>;

fn read(bytes: &[u8]) -> Result<Rows, RdbError> {
    let mut db = 0;
    let mut rows = Vec::new();
    load(bytes, &EncodingLimits::default(), |item, _| {
        match item {
            Item::Note(Note::SelectDb(index)) => db = index,
            Item::Key { key, content, attributes } => {
                let value = match content {
                    Content::Text(text) => Value::String(triomphe::Arc::new(text.to_vec())),
                    Content::Value(value) => value,
                };
                let deadline = attributes.deadline.map(|deadline| deadline.0);
                rows.push((db, key.to_vec(), format!("{value:?}"), deadline));
            }
            Item::Note(_) => {}
        }
        Ok(())
    })?;
    rows.sort();
    Ok(rows)
}

#[test]
fn what_is_saved_is_loaded() {
    for options in
        [SaveOptions::default(), SaveOptions { compress: false, checksum: false, ..SaveOptions::default() }]
    {
        let rows = read(&saved(&sample(), &options)).expect("our own file");
        assert_eq!(rows.len(), 4);
        assert_eq!((rows[3].0, rows[3].1.as_slice()), (3, &b""[..]));
        assert_eq!(rows[1].3, Some(1_900_000_000_123), "{rows:?}");
    }
    let small = saved(&sample(), &SaveOptions::default()).len();
    let plain = saved(&sample(), &SaveOptions { compress: false, ..SaveOptions::default() }).len();
    assert!(small + 1000 < plain, "{small} {plain}");
}

#[test]
fn a_wrong_sum_is_no_matter_where_sums_are_not_verified() {
    let mut bytes = saved(&sample(), &SaveOptions::default());
    *bytes.last_mut().expect("the sum") ^= 1;
    let keys = |checksum| {
        let summary = load_as(&bytes[..], &EncodingLimits::default(), checksum, |_, _| Ok(()));
        summary.map(|summary| summary.keys)
    };
    assert_eq!(keys(Checksum::Skipped).ok(), Some(4));
    let Err(RdbError::At { error, .. }) = keys(Checksum::Verified) else { panic!("it must be refused") };
    assert!(matches!(*error, RdbError::Checksum { .. }), "{error}");
}

#[test]
fn an_error_names_the_key_or_the_section_and_the_byte() {
    let key = b"\xfe\x03\x00\x05first\x01v";
    let long = [&b"\x00\x40\x65"[..], &[b'k'; 101]].concat();
    let long_name = format!("the value of type string of key '{}'... in DB 0", "k".repeat(100));
    for (rest, offset, place) in [
        (&b""[..], 9, "an opcode or type"),
        (b"\xfa\x02", 11, "the aux field"),
        (b"\xfa\x01a\x05", 13, "the aux field 'a'"),
        (b"\xfe\xc0", 11, "a database number"),
        (b"\xfb\x01", 11, "the size of a database"),
        (b"\xfc1234", 14, "a deadline"),
        (b"\xfd12", 12, "a deadline"),
        (b"\xf9", 10, "an access frequency"),
        (b"\xf8", 10, "an idle time"),
        (b"\xf4\x01", 11, "the sizes of a slot"),
        (b"\xf5\x0c#!lua", 16, "the function library"),
        (b"\xf6\x01x", 12, "a function library of a release candidate of Redis 7.0"),
        (b"\xf7\x01", 11, "the aux data of the module 'AAAAAAAAA'"),
        (&[&key[..], b"\xc8"].concat(), 21, "an opcode or type behind key 'first' in DB 3"),
        (&[&key[..], b"\xfc"].concat(), 21, "a deadline behind key 'first' in DB 3"),
        (&[&key[..], b"\x04\x02a"].concat(), 23, "the name of a key of type hash in DB 3"),
        (&[&key[..], b"\x04\x01\n\x01\x01f"].concat(), 26, "the value of type hash of key '\\n' in DB 3"),
        (&[&key[..], b"\x0f\x01s"].concat(), 23, "the value of type stream of key 's' in DB 3"),
        (&[&key[..], b"\xff12345678"].concat(), 29, "the checksum"),
        (&long, 113, &long_name),
    ] {
        let error = read(&[b"REDIS0010", rest].concat()).expect_err(place);
        let end = format!("; it was met at byte {offset}, in {place}");
        assert!(error.to_string().ends_with(&end), "{error} does not end with {end}");
    }
}

#[test]
fn a_file_cut_or_changed_anywhere_is_refused() {
    let bytes = saved(&sample(), &SaveOptions::default());
    for end in 0..bytes.len() {
        assert!(read(&bytes[..end]).is_err(), "cut at {end}");
    }
    for at in 9..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x41;
        assert!(read(&damaged).is_err(), "changed at {at}");
    }
}

// ── one value ────────────────────────────────────────────────────────────────────────────────

/// A body behind its type, signed as DUMP does.
fn signed(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut payload = [&[kind][..], body, &(VERSION as u16).to_le_bytes()].concat();
    payload.extend(crc64(&payload).to_le_bytes());
    payload
}

/// A string as the format writes it without trying to be short.
fn string(bytes: &[u8]) -> Vec<u8> {
    [&[0x80][..], &(bytes.len() as u32).to_be_bytes(), bytes].concat()
}

fn strings(texts: &[&str]) -> Vec<u8> {
    texts.iter().flat_map(|text| string(text.as_bytes())).collect()
}

fn listpack(texts: &[&str]) -> Vec<u8> {
    let mut listpack = Listpack::new();
    texts.iter().for_each(|text| listpack.push_back(text.as_bytes()).expect("it is small"));
    listpack.as_bytes().to_vec()
}

fn ziplist(texts: &[&str]) -> Vec<u8> {
    let entries: Vec<Vec<u8>> = texts.iter().map(|element| text(element.as_bytes())).collect();
    ziplist_of(&entries.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

fn intset(ints: &[i64]) -> Vec<u8> {
    let mut set = Intset::new();
    ints.iter().for_each(|&int| assert_eq!(set.insert(int), Ok(true)));
    set.as_bytes().to_vec()
}

/// Describes the content of a value in words; without an order of its own it is sorted.
fn words(value: &Value) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut words: Vec<String> = match value {
        Value::String(bytes) => vec![text(bytes)],
        Value::List(list) => list.elements.iter().map(|element| element.with_bytes(text)).collect(),
        Value::Set(set) => set.iter().map(|member| member.with_bytes(text)).collect(),
        Value::SortedSet(set) => {
            set.iter().map(|(member, score)| member.with_bytes(text) + "=" + &score.to_string()).collect()
        }
        Value::Hash(hash) => {
            hash.iter().map(|(field, value)| field.with_bytes(text) + "=" + &value.with_bytes(text)).collect()
        }
        Value::Stream(stream) => {
            let mut words = Vec::new();
            for entry in stream.log.iter() {
                words.push(entry.id.to_string());
                words.extend(
                    entry
                        .fields()
                        .map(|(field, value)| field.with_bytes(text) + "=" + &value.with_bytes(text)),
                );
            }
            words
        }
    };
    if matches!(value, Value::Set(_) | Value::Hash(_)) {
        words.sort();
    }
    words.join(" ")
}

fn restore(payload: &[u8], limits: &EncodingLimits) -> Result<Value, RestoreError> {
    super::restore(payload, Checksum::Verified, limits)
}

fn restored(payload: &[u8]) -> Result<String, RestoreError> {
    restore(payload, &EncodingLimits::default())
        .map(|value| format!("{}: {}", value.encoding(), words(&value)))
}

#[test]
fn every_form_ever_written_is_read() {
    let scores = |texts: &[(&str, f64)]| -> Vec<u8> {
        texts
            .iter()
            .flat_map(|(member, score)| [string(member.as_bytes()), score.to_le_bytes().to_vec()].concat())
            .collect()
    };
    let zipmap = b"\x02\x01f\x01\x00v\x03key\x02\x0110?\xff";
    let rows: &[(u8, Vec<u8>, &str)] = &[
        (0, string(b"text"), "raw: text"),
        (0, vec![0xc0, 0x85], "raw: -123"),
        (0, b"\xc3\x05\x0a\x01aa\xe0\x00".to_vec(), "Bad data format"),
        (1, [vec![2], strings(&["b", "a"])].concat(), "quicklist: b a"),
        (2, [vec![3], strings(&["b", "7", "a"])].concat(), "hashtable: 7 a b"),
        (2, [vec![2], strings(&["7", "-3"])].concat(), "intset: -3 7"),
        (
            3,
            [
                vec![4],
                string(b"a"),
                b"\x031.5".to_vec(),
                string(b"b"),
                vec![254],
                string(b"c"),
                vec![255],
                string(b"d"),
                b"\x0217".to_vec(),
            ]
            .concat(),
            "listpack: c=-inf a=1.5 d=17 b=inf",
        ),
        (4, [vec![2], strings(&["f", "v", "g", "1"])].concat(), "listpack: f=v g=1"),
        (5, [vec![2], scores(&[("b", 2.5), ("a", f64::NEG_INFINITY)])].concat(), "listpack: a=-inf b=2.5"),
        (9, string(zipmap), "listpack: f=v key=10"),
        (10, string(&ziplist(&["b", "12", "a"])), "quicklist: b 12 a"),
        (11, string(&intset(&[5, -70000, 3])), "intset: -70000 3 5"),
        (12, string(&ziplist(&["a", "-1", "b", "2.5"])), "listpack: a=-1 b=2.5"),
        (13, string(&ziplist(&["f", "v", "g", "1"])), "listpack: f=v g=1"),
        (
            14,
            [vec![3], string(&ziplist(&["a", "b"])), string(&ziplist(&[])), string(&ziplist(&["c"]))]
                .concat(),
            "quicklist: a b c",
        ),
        (16, string(&listpack(&["f", "v", "g", "1"])), "listpack: f=v g=1"),
        (17, string(&listpack(&["a", "-1", "b", "2.5"])), "listpack: a=-1 b=2.5"),
        (
            18,
            [
                vec![3, 2],
                string(&listpack(&["a", "1"])),
                vec![1],
                string(b"plain"),
                vec![2],
                string(&listpack(&["z"])),
            ]
            .concat(),
            "quicklist: a 1 plain z",
        ),
        (20, string(&listpack(&["b", "1", "a"])), "hashtable: 1 a b"),
    ];
    for (kind, body, expected) in rows {
        let found = restored(&signed(*kind, body)).unwrap_or_else(|error| error.to_string());
        assert_eq!(found, *expected, "type {kind}");
    }
}

#[test]
fn forms_outgrow_the_limits_as_they_are_read() {
    let fields: Vec<String> = (0..300).map(|index| format!("member:{index:03}")).collect();
    let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
    let scored: Vec<&str> = fields.iter().flat_map(|field| [*field, "1"]).collect();
    let ints: Vec<i64> = (0..513).collect();
    let long = "x".repeat(65);
    for (kind, body, encoding) in [
        (16, string(&listpack(&scored)), "hashtable"),
        (16, string(&listpack(&["f", &long])), "hashtable"),
        (13, string(&ziplist(&scored)), "hashtable"),
        (17, string(&listpack(&scored)), "skiplist"),
        (17, string(&listpack(&[&long, "1"])), "skiplist"),
        (12, string(&ziplist(&scored)), "skiplist"),
        (11, string(&intset(&ints)), "hashtable"),
        (20, string(&listpack(&fields)), "hashtable"),
    ] {
        let value = restore(&signed(kind, &body), &EncodingLimits::default()).expect("it is valid");
        assert_eq!(value.encoding(), encoding, "type {kind}");
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let nan = [string(b"a"), f64::NAN.to_le_bytes().to_vec()].concat();
    let one = [string(b"a"), 1f64.to_le_bytes().to_vec()].concat();
    let endless = [vec![0x81], u64::MAX.to_be_bytes().to_vec()].concat();
    let rows: Vec<(u8, Vec<u8>)> = vec![
        // The same twice, however it is spelt.
        (2, [vec![2], strings(&["a", "a"])].concat()),
        (2, [vec![2], strings(&["1", "1"])].concat()),
        (20, string(&listpack(&["a", "a"]))),
        (4, [vec![2], strings(&["f", "v", "f", "w"])].concat()),
        (16, string(&listpack(&["f", "v", "f", "w"]))),
        (16, string(b"\x10\0\0\0\x04\0\x07\x01\x01\x01\x817\x02\x01\x01\xff")),
        (13, string(&ziplist(&["f", "v", "f", "w"]))),
        (9, string(b"\x02\x01f\x01\x00v\x01f\x01\x00v\xff")),
        (5, [vec![2], one.clone(), one].concat()),
        (17, string(&listpack(&["a", "1", "a", "2"]))),
        (12, string(&ziplist(&["a", "1", "a", "2"]))),
        // No pairs, no numbers, no order.
        (16, string(&listpack(&["f", "v", "g"]))),
        (17, string(&listpack(&["a", "1", "b"]))),
        (17, string(&listpack(&["a", "text"]))),
        (17, string(&listpack(&["a", "nan"]))),
        (17, string(&listpack(&["a", "2", "b", "1"]))),
        (5, [vec![1], nan].concat()),
        (3, [vec![1], string(b"a"), vec![253]].concat()),
        (3, [vec![1], string(b"a"), vec![0]].concat()),
        (3, [vec![1], string(b"a"), b"\x04text".to_vec()].concat()),
        // Nodes that are none.
        (18, [vec![1, 3], string(b"x")].concat()),
        (18, [vec![1, 1], string(b"")].concat()),
        (18, [vec![1, 2], string(b"x")].concat()),
        (14, [vec![1], string(b"x")].concat()),
        (11, string(b"\x02\0\0\0\x02\0\0\0\x01\0\x01\0")),
        // Nothing in them.
        (1, vec![0]),
        (2, vec![0]),
        (4, vec![0]),
        (5, vec![0]),
        (10, string(&ziplist(&[]))),
        (14, [vec![1], string(&ziplist(&[]))].concat()),
        (16, string(&listpack(&[]))),
        (17, string(&listpack(&[]))),
        (18, [vec![1, 2], string(&listpack(&[]))].concat()),
        // More than there is.
        (0, [vec![0x81], u64::MAX.to_be_bytes().to_vec()].concat()),
        (0, [vec![0xc3], endless.clone(), endless.clone()].concat()),
        (1, endless.clone()),
        (2, endless.clone()),
        (4, endless.clone()),
        (5, endless.clone()),
        (14, endless.clone()),
        (18, endless),
        // Types that this server does not have.
        (6, vec![0]),
        (7, vec![0; 10]),
        (8, vec![0]),
        (15, vec![0]),
        (19, vec![0]),
        (21, vec![0]),
        (22, vec![0]),
        (255, vec![]),
    ];
    for (kind, body) in rows {
        assert_eq!(restored(&signed(kind, &body)), Err(RestoreError::Data), "type {kind}: {body:?}");
    }
    for payload in [&b""[..], b"123456789", b"\x00\x01x\x0a\x00\x00\x00\x00\x00\x00\x00\x00"] {
        assert_eq!(restored(payload), Err(RestoreError::Footer));
    }
}

/// Values of every type and form.
fn samples() -> Vec<Value> {
    let limits = EncodingLimits::default();
    let mut values = vec![Value::String(triomphe::Arc::new(b"some text".to_vec()))];
    for count in [3, 140] {
        let texts: Vec<String> = (0..count).map(|index| format!("element:{index}")).collect();
        let mut list = List::new(&EncodingLimits { list_max_listpack_size: 16, ..limits });
        let (mut set, mut ints, mut hash, mut sorted) =
            (Set::new(), Set::new(), Hash::new(), SortedSet::new());
        for (index, text) in texts.iter().enumerate() {
            let number = (index as i64 * 100_000).to_string();
            list.elements.push_back(text.as_bytes());
            set.insert(text.as_bytes(), &limits);
            ints.insert(number.as_bytes(), &limits);
            hash.set(text.as_bytes(), number.as_bytes(), &limits);
            sorted.add(text.as_bytes(), index as f64 / 8.0, &limits);
        }
        if count > 100 {
            list.elements.push_back(&[b'x'; 10_000][..]);
        }
        values.extend([list.into_value(), set.into_value(), ints.into_value()]);
        values.extend([hash.into_value(), sorted.into_value()]);
    }
    values
}

#[test]
fn damaged_payloads_never_do_harm() {
    for value in samples() {
        let whole = dump(ValueRef::Object(&value), false);
        assert_eq!(
            words(&restore(&whole, &EncodingLimits::default()).expect("our own payload")),
            words(&value)
        );
        assert_eq!(
            serialized_len(ValueRef::Object(&value)),
            dump(ValueRef::Object(&value), true).len() as u64 - 11
        );
        let intact = restored(&whole);
        let (kind, body) = (whole[0], &whole[1..whole.len() - 10]);
        for at in 0..body.len().min(100) {
            for change in [0x01, 0x40, 0x80, 0xff, !body[at]] {
                let mut damaged = body.to_vec();
                damaged[at] ^= change;
                if let Ok(value) = restore(&signed(kind, &damaged), &EncodingLimits::default()) {
                    let again = dump(ValueRef::Object(&value), true);
                    assert!(
                        restore(&again, &EncodingLimits::default()).is_ok(),
                        "type {kind}, {change:#x} at {at}"
                    );
                }
            }
            // A cut value may borrow a byte of what follows, but is never taken for the whole one.
            let cut = restored(&signed(kind, &body[..at]));
            assert_ne!(cut, intact, "type {kind}, cut at {at}");
        }
    }
}

#[test]
fn a_damaged_file_without_checksum_never_does_harm() {
    let mut file = include_bytes!("../../tests/data/types-7.0.15-plain.rdb").to_vec();
    let end = file.len() - 8;
    file[end..].fill(0);
    assert_eq!(read(&file).expect("Redis wrote it").len(), 34);
    for at in (9..end).step_by(2003).chain(9..60) {
        for change in [0x01, 0x80, 0xff] {
            file[at] ^= change;
            // Either outcome is fine; it must come without a panic and without much memory.
            let _ = read(&file);
            file[at] ^= change;
        }
    }
}

// ── the whole ────────────────────────────────────────────────────────────────────────────────

#[test]
fn access_histories_are_kept_when_the_policy_uses_them() {
    let access = |lfu| {
        let mut clock = AccessClock::default();
        clock.lfu = lfu;
        clock.freeze(MonotonicMillis(10_000_000_000));
        clock
    };
    for (options, expected) in [
        (Access::Nothing, (None, None)),
        (Access::Idle(access(false)), (Some(70_000), None)),
        (Access::Frequency(access(true)), (None, Some(200))),
    ] {
        let mut keyspace = Keyspace::new(1, EncodingLimits::default(), 1);
        keyspace.set_string(b"key", b"value", Ttl::Clear);
        let clock = access(matches!(options, Access::Frequency(_)));
        let bits = clock.restored(Some(70_000), Some(200)).expect("both are given");
        keyspace.set_access_of(b"key", bits);
        let bytes = saved(&keyspace, &SaveOptions { access: options, ..SaveOptions::default() });
        let mut found = None;
        load(&bytes[..], &EncodingLimits::default(), |item, _| {
            if let Item::Key { attributes, .. } = item {
                found = Some((attributes.idle_secs, attributes.frequency));
            }
            Ok(())
        })
        .expect("our own file");
        assert_eq!(found, Some(expected));
    }
}

#[test]
fn empty_collections_are_left_out_and_strange_things_named() {
    let mut empty = Vec::new();
    let file = b"REDIS0010\xfa\x01a\x01b\xfe\x00\x01\x03key\x00\x00\x01k\x01v\xff\0\0\0\0\0\0\0\0";
    let summary = load(&file[..], &EncodingLimits::default(), |item, _| {
        if let Item::Note(Note::EmptyKey(key)) = item {
            empty.push(key);
        }
        Ok(())
    });
    assert_eq!(summary.expect("it is valid").keys, 1);
    assert_eq!(empty, [b"key"]);
    for (rest, reason) in [
        (
            &b"\xf7\x01\x02\x01\x06"[..],
            "Internal error in RDB reading at offset 14: module data of unknown form",
        ),
        (
            b"\x07\x01k\x00",
            "The RDB file contains module data I can't load: no matching module type 'AAAAAAAAA'",
        ),
        (
            b"\x16\x01k",
            "The RDB file contains a hash of a release candidate of Redis 7.4, which this server can't load yet",
        ),
        (
            b"\x19\x01k",
            "The RDB file contains a hash with fields that expire (Redis 7.4), which this server can't load yet",
        ),
        (b"\x1a\x01k", "Unknown RDB encoding type 26"),
    ] {
        let error = read(&[b"REDIS0010", rest].concat()).expect_err(reason);
        let RdbError::At { error, .. } = error else { panic!("{error} is met nowhere") };
        assert_eq!(error.to_string(), reason);
    }
    for (file, reason) in [
        (&b"REDIS0000"[..], "Can't handle RDB format version 0"),
        (b"REDIS0013", "Can't handle RDB format version 13"),
        (b"RODIS0010", "Wrong signature trying to load DB from file"),
        (b"REDIS", "Wrong signature trying to load DB from file"),
    ] {
        assert_eq!(read(file).expect_err(reason).to_string(), reason);
    }
    assert_eq!(read(b"REDIS0004\xfe\x00\x00\x01k\x01v\xff").expect("no checksum before 5").len(), 1);
}

#[test]
fn a_file_of_redis_7_4_in_cluster_mode_tells_of_its_slots_and_loads() {
    let rest = b"\xfe\x00\xfb\x01\x00\xf4\x70\x2b\x01\x00\x14\x01k\x0d\x0d\x00\x00\x00\x02\x00\x81a\x02\x81b\x02\xff\xff";
    let file = [b"REDIS0012", &rest[..], &[0; 8]].concat();
    let keys = read(&file).expect("slots are hints");
    assert_eq!(keys.iter().map(|row| row.1.as_slice()).collect::<Vec<_>>(), [b"k"]);
}

#[test]
fn data_of_modules_beside_the_keys_is_left_out() {
    let data = b"\xf7\x81\x04\x20\xc4\x00\x00\x00\x00\x01\x02\x01\x05\x03abc\x04________\x01\x05\x03____\x00";
    let file = [b"REDIS0010", &data[..], b"\x00\x01k\x01v\xff", &[0; 8]].concat();
    let mut names = Vec::new();
    let summary = load(&file[..], &EncodingLimits::default(), |item, _| {
        if let Item::Note(Note::ModuleAux(name)) = item {
            names.push(name);
        }
        Ok(())
    });
    assert_eq!(summary.map(|summary| summary.keys).expect("it is valid"), 1);
    assert_eq!(names, ["BCDEAAAAA"]);
}

fn element() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        3 => proptest::collection::vec(any::<u8>(), 0..12),
        3 => any::<i16>().prop_map(|int| int.to_string().into_bytes()),
        1 => any::<i64>().prop_map(|int| int.to_string().into_bytes()),
        1 => proptest::collection::vec(b'a'..b'c', 0..300),
    ]
}

proptest! {
    #[test]
    fn any_collection_survives(elements in proptest::collection::vec((element(), element(), -1e9f64..1e9), 1..150)) {
        let limits = EncodingLimits { set_max_intset_entries: 20, ..EncodingLimits::default() };
        let mut list = List::new(&limits);
        let (mut set, mut hash, mut sorted) = (Set::new(), Hash::new(), SortedSet::new());
        for (one, two, score) in &elements {
            list.elements.push_back(one);
            set.insert(one, &limits);
            // A long value that a short one replaced leaves a form that no file tells of.
            if !hash.contains(one) {
                hash.set(one, two, &limits);
            }
            sorted.add(one, *score, &limits);
        }
        for value in [list.into_value(), set.into_value(), hash.into_value(), sorted.into_value()] {
            for compress in [false, true] {
                let payload = dump(ValueRef::Object(&value), compress);
                let again = restore(&payload, &limits).expect("our own payload");
                prop_assert_eq!(words(&again), words(&value));
                prop_assert_eq!(again.encoding(), value.encoding());
            }
        }
    }
}
