//! Strings of all kinds, dumped by pyredis and by a real redis-server 7.0.15: every payload must be
//! the same to the byte, so the same strings are packed, and in the same way.
//!
//! `PYREDIS_SEED` gives the strings, `PYREDIS_STRINGS` how many there are.

use pyredis::base::random::Random;

use super::{environment, pick, shown};
use crate::support::{Client, RealServer, Server};

/// Strings when the environment does not say.
const STRINGS: u64 = 2000;
/// Strings sent before their payloads are read.
const PIPELINE: usize = 20;
/// One string of so many is a long one.
const LONG_ONE_OF: u64 = 40;

/// A length: mostly near the shortest that is packed, or near a limit of the format.
fn length(random: &mut Random) -> usize {
    let longest = match random.below(LONG_ONE_OF) {
        0 => 100_000,
        1..=4 => 9000,
        5..=15 => 600,
        16..=25 => 80,
        _ => 20,
    };
    17 + usize::try_from(random.below(longest)).expect("small")
}

/// A string that repeats itself in one of several ways, or not at all.
fn string(random: &mut Random) -> Vec<u8> {
    let length = length(random);
    let letters = *pick(&[1, 2, 3, 4, 10, 64, 256], random);
    let mut string: Vec<u8> = Vec::with_capacity(length);
    let noise = |random: &mut Random| u8::try_from(random.below(letters)).expect("a byte").wrapping_add(b'a');
    while string.len() < length {
        let longest = *pick(&[2, 12, 40, 300, 9000], random);
        let run = usize::try_from(1 + random.below(longest)).expect("small");
        match random.below(4) {
            0 => string.extend(std::iter::repeat_n(noise(random), run)),
            1 => string.extend((0..run).map(|_| noise(random))),
            2 => {
                let words =
                    ["the ", "value:", "user:1000:", "{\"name\":\"", "\",\"id\":", "\0\0\0\0", "00000"];
                (0..run.min(40)).for_each(|_| string.extend_from_slice(pick(&words, random).as_bytes()));
            }
            _ => {
                let from = usize::try_from(random.below(string.len() as u64 + 1)).expect("an index");
                string.extend_from_within(from..(from + run).min(string.len()));
            }
        }
    }
    string.truncate(length);
    string
}

/// The payload, behind the answer to SET.
fn dump(client: &mut Client) -> Vec<u8> {
    assert_eq!(client.reply(), "OK");
    client.value_and_bytes().1
}

#[test]
fn strings_are_packed_as_a_real_server_packs_them() {
    let Some(real) = RealServer::start(&["--save", ""]) else {
        return eprintln!("no redis-server here: nothing compared");
    };
    let server = Server::start(&["--save", ""]);
    let (mut ours, mut theirs) = (server.client(), Client::connect(real.port));
    let mut random = Random::new(environment("PYREDIS_SEED", 1));
    // Every length around the shortest, with what repeats as much as it can.
    let mut strings: Vec<Vec<u8>> = (1..700).map(|length| vec![b'a'; length]).collect();
    strings.extend((0..environment("PYREDIS_STRINGS", STRINGS)).map(|_| string(&mut random)));
    for chunk in strings.chunks(PIPELINE) {
        for client in [&mut ours, &mut theirs] {
            for string in chunk {
                client.send_words(&[b"SET", b"key", string]);
                client.send_words(&[b"DUMP", b"key"]);
            }
        }
        for string in chunk {
            let (ours, theirs) = (dump(&mut ours), dump(&mut theirs));
            let same = ours == theirs;
            assert!(same, "{} bytes {}\n{}\n{}", string.len(), shown(string), shown(&ours), shown(&theirs));
        }
    }
}
