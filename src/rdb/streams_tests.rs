//! Streams travel whole, and no payload harms.

use super::{Checksum, dump, restore};
use crate::base::random::Random;
use crate::base::time::UnixMillis;
use crate::keyspace::stream::{Group, Pending, Precision, Stream, StreamId, TrimTo};
use crate::keyspace::{Collection, EncodingLimits, Value, ValueRef};

fn limits() -> EncodingLimits {
    EncodingLimits { stream_node_max_entries: 6, ..EncodingLimits::default() }
}

fn id(ms: u64, seq: u64) -> StreamId {
    StreamId { ms, seq }
}

/// A stream with several nodes, deleted entries, other fields, and groups.
fn some_stream(random: &mut Random) -> Stream {
    let mut stream = Stream::default();
    let log = &mut stream.log;
    for ms in 1..=30 {
        let number = random.below(1 << 40).to_string();
        let pairs = [b"field".as_slice(), number.as_bytes(), b"other", &[b'x'; 40]];
        let pairs = if random.below(3) == 0 { &pairs[..2] } else { &pairs[..] };
        log.append(id(ms, random.below(3)), pairs, &limits()).expect("it is small");
    }
    log.trim(TrimTo::Length(27), Precision::Exact);
    let ids: Vec<_> = log.iter().map(|entry| entry.id).collect();
    ids.iter().step_by(5).for_each(|id| assert!(log.delete(*id)));
    for name in [b"one".as_slice(), b"two"] {
        let mut group = Group::new(id(random.below(40), 0), (name == b"one").then_some(7));
        for consumer in [b"alice".as_slice(), b"bob", b"idle"] {
            let number = group.consumers_mut().add(consumer, UnixMillis(random.below(1 << 40) as i64));
            let consumer_number = number.expect("it is new");
            if consumer != b"idle" {
                let pending = ids.iter().filter(|_| random.below(3) == 0).copied().collect::<Vec<_>>();
                pending.into_iter().for_each(|id| {
                    let (delivered_ms, deliveries) = (random.below(1 << 40) as i64, random.below(300));
                    group.set_pending(Pending { id, delivered_ms, deliveries, consumer: consumer_number });
                });
            }
        }
        assert!(stream.groups.add(name, group));
    }
    stream
}

fn payload_of(stream: &Stream) -> Vec<u8> {
    let value = stream.clone().into_value();
    dump(ValueRef::Object(&value), false)
}

fn seen_of_group(group: &Group) -> String {
    let consumers = group.consumers();
    let name_of = |number| consumers.get(number).map(|consumer| consumer.name());
    let pending = group.pending().iter();
    let pending: Vec<_> =
        pending.map(|row| (row.id, row.delivered_ms, row.deliveries, name_of(row.consumer))).collect();
    let consumers: Vec<_> =
        consumers.iter().map(|consumer| (consumer.name(), consumer.seen, consumer.pending())).collect();
    format!("{} {:?} {pending:?} {consumers:?}", group.last_id, group.entries_read)
}

/// Everything that can be seen of a stream, in words.
fn seen(stream: &Stream) -> String {
    let log = &stream.log;
    let entries: Vec<_> = log
        .iter()
        .map(|entry| {
            let fields = entry.fields().map(|(field, value)| (field.to_vec(), value.to_vec()));
            (entry.id, fields.collect::<Vec<_>>())
        })
        .collect();
    let back: Vec<_> = log.range_rev(StreamId::MIN, StreamId::MAX).map(|entry| entry.id).collect();
    assert!(back.iter().rev().eq(entries.iter().map(|(id, _)| id)));
    assert_eq!(entries.len() as u64, log.len());
    let ids = [log.first_id(), log.last_id(), log.max_deleted_id(), log.last_node_id()];
    let groups: Vec<_> = stream.groups.iter().map(|(name, group)| (name, seen_of_group(group))).collect();
    let lags: Vec<_> = stream.groups.iter().map(|(_, group)| log.lag(group)).collect();
    format!("{entries:?} {ids:?} {} {} {groups:?} {lags:?}", log.added(), log.node_count())
}

#[test]
fn a_stream_travels_whole() {
    let mut random = Random::new(7);
    for _ in 0..50 {
        let stream = some_stream(&mut random);
        let payload = payload_of(&stream);
        let Ok(Value::Stream(read)) = restore(&payload, Checksum::Verified, &limits()) else {
            panic!("it is restored as a stream")
        };
        assert_eq!(seen(&read), seen(&stream));
        assert_eq!(payload_of(&read), payload);
    }
    let empty = Stream::default();
    assert!(matches!(restore(&payload_of(&empty), Checksum::Verified, &limits()), Ok(Value::Stream(_))));
}

/// Does everything to what came out of a payload that commands do.
fn use_up(mut stream: Stream, random: &mut Random) {
    let before = seen(&stream);
    let payload = payload_of(&stream);
    let Ok(Value::Stream(again)) = restore(&payload, Checksum::Verified, &limits()) else {
        panic!("what was taken once is taken again")
    };
    assert!(seen(&again) == before, "{before}\nis not\n{}", seen(&again));
    if let Some(next) = stream.log.last_id().next() {
        stream.log.append(next, &[b"f", b"v"], &limits()).expect("it is small");
        assert!(stream.log.get(next).is_some());
    }
    let ids: Vec<_> = stream.log.iter().map(|entry| entry.id).collect();
    ids.iter().filter(|_| random.below(2) == 0).for_each(|id| assert!(stream.log.delete(*id)));
    let names: Vec<_> = stream.groups.iter().map(|(name, _)| name.to_vec()).collect();
    for name in names {
        let group = stream.groups.get_mut(&name).expect("it was there");
        let pending: Vec<_> = group.pending().iter().map(|row| row.id).collect();
        assert!(pending.iter().step_by(2).all(|id| group.remove_pending(*id).is_some()));
        let consumers: Vec<_> = group.consumers().iter().map(|consumer| consumer.name().to_vec()).collect();
        consumers.iter().for_each(|name| assert!(group.remove_consumer(name).is_some()));
        assert!(group.pending().is_empty());
        stream.groups.take(&name);
    }
    let middle = ids.get(ids.len() / 2).copied().unwrap_or_default();
    stream.log.trim(TrimTo::Ids(middle), Precision::Exact);
    stream.log.trim(TrimTo::Length(3), Precision::WholeNodes { limit: None });
    stream.log.trim(TrimTo::Length(1), Precision::Exact);
    seen(&stream);
}

#[test]
fn no_payload_harms() {
    let mut random = Random::new(11);
    let (mut taken, mut refused) = (0, 0);
    for _ in 0..60 {
        let payload = payload_of(&some_stream(&mut random));
        for _ in 0..500 {
            let mut broken = payload.clone();
            for _ in 0..=random.below(3) {
                let at = 1 + random.below(broken.len() as u64 - 11) as usize;
                match random.below(4) {
                    0 => broken[at] = random.below(256) as u8,
                    1 => broken[at] = broken[at].wrapping_add(1),
                    2 => drop(broken.remove(at)),
                    _ => broken.insert(at, [0, 1, 0x7f, 0x80, 0xf1, 0xff][random.below(6) as usize]),
                }
            }
            match restore(&broken, Checksum::Skipped, &limits()) {
                Ok(Value::Stream(stream)) => {
                    taken += 1;
                    use_up((*stream).clone(), &mut random);
                }
                Ok(other) => panic!("a {:?} of a stream's type byte", other.kind()),
                Err(_) => refused += 1,
            }
        }
    }
    assert!(taken > 1000 && refused > 1000, "{taken} taken, {refused} refused");
}

/// A stream of one entry 5-0 with a group, as each version of Redis writes it: the type byte, and
/// what is there since 7.0 and since 7.2.
#[test]
fn streams_of_all_versions_are_read() {
    let mut stream = Stream::default();
    stream.log.append(id(5, 0), &[b"f", b"v"], &limits()).expect("it is small");
    let node = stream.log.nodes().next().expect("there is one").listpack().as_bytes().to_vec();
    for (kind, since_7_0, since_7_2) in [(15, false, false), (19, true, false), (21, true, true)] {
        let mut body = vec![kind, 1, 16];
        body.extend(id(5, 0).to_bytes());
        body.push(node.len() as u8);
        body.extend(&node);
        // The length, the last ID.
        body.extend([1, 5, 0]);
        if since_7_0 {
            // The first ID, the largest deleted ID, how many were added.
            body.extend([5, 0, 3, 0, 2]);
        }
        // One group `g` that has read up to 5-0.
        body.extend([1, 1, b'g', 5, 0]);
        if since_7_0 {
            body.push(2);
        }
        // One pending entry, given out once at time 9.
        body.push(1);
        body.extend(id(5, 0).to_bytes());
        body.extend(9i64.to_le_bytes());
        body.push(1);
        // One consumer `c`, seen at time 8, for whom it is pending.
        body.extend([1, 1, b'c']);
        body.extend(8i64.to_le_bytes());
        if since_7_2 {
            body.extend(7i64.to_le_bytes());
        }
        body.push(1);
        body.extend(id(5, 0).to_bytes());
        body.extend([10, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        let Ok(Value::Stream(read)) = restore(&body, Checksum::Skipped, &limits()) else {
            panic!("type {kind} is read")
        };
        let group = read.groups.get(b"g").expect("it has a group");
        let pending: Vec<_> = group.pending().iter().map(|row| (row.id, row.delivered_ms)).collect();
        assert_eq!((read.len(), pending, read.log.lag(group)), (1, vec![(id(5, 0), 9)], Some(0)), "{kind}");
        let added = if since_7_0 { (2, id(3, 0)) } else { (1, StreamId::MIN) };
        assert_eq!((read.log.added(), read.log.max_deleted_id()), added, "{kind}");
        assert_eq!(group.consumers().iter().next().map(|consumer| consumer.seen), Some(UnixMillis(8)));
    }
}
