//! `pyredis check-rdb FILE`: reads a snapshot as a server would, and tells what is in it or where
//! it is damaged.
//!
//! The reading is that of [`crate::rdb`], so what this tool accepts a server loads. A counter
//! between parser and file knows to the byte how far it came: the size of each key is the distance
//! between two items, and the place of a damage is where the parser stopped. Lines and exit codes
//! (0 well, 1 not) are those of redis-check-rdb; the tables behind them are ours.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Read, Write};
use std::path::Path;

use crate::base::text::os_reason;
use crate::engine::SystemClock;
use crate::keyspace::{EncodingLimits, Kind};
use crate::rdb::{self, Item, LoadSummary, Note, RdbError};
use crate::server::Clock;

/// The number of biggest keys that are told.
const BIGGEST: usize = 10;
/// Characters of the progress bar.
const BAR: u64 = 40;
/// Longest part of a key that is shown, characters.
const MAX_SHOWN_KEY: usize = 60;
/// The bytes in front of the first item.
const SIGNATURE_BYTES: u64 = 9;
/// The bytes that are read at once.
const BUFFER_BYTES: usize = 1 << 20;

/// Checks the file and returns the exit code.
pub fn run(path: &Path) -> u8 {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) => {
            println!("Cannot open file {}: {}", path.display(), os_reason(&error));
            return 1;
        }
    };
    let size = file.metadata().map_or(0, |metadata| metadata.len());
    let bar = io::stderr().is_terminal().then_some(size);
    println!("[offset 0] Checking RDB file {}", path.display());
    let (report, result) = check(BufReader::with_capacity(BUFFER_BYTES, file), now_ms(), bar);
    // Whoever closed the pipe has read enough.
    let _ = io::stdout().write_all(report.text(&result).as_bytes());
    u8::from(result.is_err())
}

/// The findings, up to the end or the damage.
#[derive(Debug, Default)]
struct Report {
    /// Lines told on the way.
    lines: String,
    /// The offset that the reading came to, bytes.
    offset: u64,
    keys: u64,
    expires: u64,
    expired: u64,
    /// By the name of the type.
    types: BTreeMap<&'static str, TypeUse>,
    /// The largest first.
    biggest: Vec<BigKey>,
    last_key: Option<String>,
}

#[derive(Debug, Default)]
struct TypeUse {
    keys: u64,
    elements: u64,
    bytes: u64,
}

#[derive(Debug, PartialEq, Eq)]
struct BigKey {
    bytes: u64,
    db: usize,
    name: String,
    kind: &'static str,
    elements: usize,
}

fn check(input: impl BufRead, now_ms: i64, bar: Option<u64>) -> (Report, Result<LoadSummary, RdbError>) {
    let offset = Cell::new(0);
    let mut report = Report::default();
    let (mut db, mut before, mut bar) = (0, SIGNATURE_BYTES, bar.map(Bar::new));
    let result = rdb::load(Counted { input, offset: &offset }, &EncodingLimits::default(), |item, end| {
        if let Some(bar) = &mut bar {
            bar.show(end);
        }
        match item {
            Item::Note(Note::Aux { name, value }) => {
                report.tell(before, &format!("AUX FIELD {} = '{}'", shown(&name), shown(&value)));
            }
            Item::Note(Note::SelectDb(index)) => {
                db = index;
                report.tell(before, &format!("Selecting DB ID {index}"));
            }
            Item::Note(Note::EmptyKey(key)) => {
                report.tell(before, &format!("Empty key '{}', left out", shown(&key)));
            }
            Item::Note(Note::ModuleAux(name)) => {
                report.tell(before, &format!("Data of the module '{name}', left out"));
            }
            Item::Note(Note::ResizeDb { .. } | Note::Library(_)) => {}
            Item::Key { key, content, attributes } => {
                report.expires += u64::from(attributes.deadline.is_some());
                let is_expired = attributes.deadline.is_some_and(|deadline| deadline.0 < now_ms);
                report.expired += u64::from(is_expired);
                let kind = content.kind();
                let elements = if kind == Kind::String { 1 } else { content.len() };
                report.count(BigKey {
                    bytes: end - before,
                    db,
                    name: shown(key),
                    kind: kind.name(),
                    elements,
                });
            }
        }
        before = end;
        Ok(())
    });
    if let Some(bar) = bar {
        bar.clear();
    }
    report.offset = offset.get();
    (report, result)
}

impl Report {
    fn tell(&mut self, offset: u64, line: &str) {
        self.lines.push_str(&format!("[offset {offset}] {line}\n"));
    }

    fn count(&mut self, key: BigKey) {
        self.keys += 1;
        let of_type = self.types.entry(key.kind).or_default();
        of_type.keys += 1;
        of_type.elements += key.elements as u64;
        of_type.bytes += key.bytes;
        self.last_key = Some(key.name.clone());
        if self.biggest.len() < BIGGEST || self.biggest.last().is_some_and(|least| least.bytes < key.bytes) {
            let place = self.biggest.partition_point(|other| other.bytes >= key.bytes);
            self.biggest.insert(place, key);
            self.biggest.truncate(BIGGEST);
        }
    }

    fn text(&self, result: &Result<LoadSummary, RdbError>) -> String {
        let mut text = self.lines.clone();
        let offset = self.offset;
        match result {
            Ok(summary) if summary.has_checksum => text.push_str(&format!("[offset {offset}] Checksum OK\n")),
            Ok(_) => text.push_str(&format!(
                "[offset {offset}] RDB file was saved with checksum disabled: no check performed.\n"
            )),
            Err(error) => {
                let (error, place) = match error {
                    RdbError::At { error, place, .. } => (&**error, Some(place)),
                    error => (error, None),
                };
                text.push_str(&format!("--- RDB ERROR DETECTED ---\n[offset {offset}] {error}\n"));
                if let Some(place) = place {
                    text.push_str(&format!("[additional info] While reading {place}\n"));
                }
                if let Some(key) = &self.last_key {
                    text.push_str(&format!("[additional info] Reading behind key '{key}'\n"));
                }
            }
        }
        if result.is_ok() {
            text.push_str(&format!("[offset {offset}] \\o/ RDB looks OK! \\o/\n"));
        }
        let Report { keys, expires, expired, .. } = self;
        text.push_str(&format!(
            "[info] {keys} keys read\n[info] {expires} expires\n[info] {expired} already expired\n"
        ));
        text + &self.tables()
    }

    fn tables(&self) -> String {
        if self.keys == 0 {
            return String::new();
        }
        let mut text = format!("\n{:<8} {:>12} {:>14} {:>16}\n", "type", "keys", "elements", "bytes in file");
        for (name, TypeUse { keys, elements, bytes }) in &self.types {
            text.push_str(&format!("{name:<8} {keys:>12} {elements:>14} {bytes:>16}\n"));
        }
        text.push_str(&format!(
            "\nbiggest keys\n{:>14} {:>12} {:<8} {:>3} key\n",
            "bytes in file", "elements", "type", "db"
        ));
        for BigKey { bytes, db, name, kind, elements } in &self.biggest {
            text.push_str(&format!("{bytes:>14} {elements:>12} {kind:<8} {db:>3} {name}\n"));
        }
        text
    }
}

/// A key or text of the file, fit for a terminal.
fn shown(bytes: &[u8]) -> String {
    let text = bytes.escape_ascii().to_string();
    if text.len() <= MAX_SHOWN_KEY { text } else { format!("{}…", &text[..MAX_SHOWN_KEY]) }
}

fn now_ms() -> i64 {
    SystemClock::new().wall_us() / 1000
}

/// Counts what passes.
struct Counted<'c, R> {
    input: R,
    offset: &'c Cell<u64>,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(space)?;
        self.offset.set(self.offset.get() + count as u64);
        Ok(count)
    }
}

impl<R: BufRead> BufRead for Counted<'_, R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.input.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.offset.set(self.offset.get() + count as u64);
        self.input.consume(count);
    }
}

/// The progress bar on a terminal.
pub(super) struct Bar {
    size: u64,
    percent: Option<u64>,
}

impl Bar {
    pub(super) fn new(size: u64) -> Self {
        Bar { size, percent: None }
    }

    pub(super) fn show(&mut self, offset: u64) {
        let percent = offset.saturating_mul(100).checked_div(self.size).unwrap_or(100).min(100);
        if self.percent != Some(percent) {
            self.percent = Some(percent);
            let done = (percent * BAR / 100) as usize;
            eprint!("\r[{}{}] {percent:>3} %", "#".repeat(done), ".".repeat(BAR as usize - done));
        }
    }

    pub(super) fn clear(self) {
        eprint!("\r{:width$}\r", "", width = BAR as usize + 8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::UnixMillis;
    use crate::keyspace::{DbIndex, Keyspace, Ttl};
    use crate::rdb::SaveOptions;

    fn file() -> Vec<u8> {
        let mut keyspace = Keyspace::new(4, EncodingLimits::default(), 1);
        let db = keyspace.at(DbIndex(3)).unwrap();
        for key in 0..30 {
            db.set_string(format!("small{key}").as_bytes(), b"x", Ttl::At(UnixMillis(5)));
        }
        db.set_string(b"big", &[b'x'; 500], Ttl::Clear);
        let options =
            SaveOptions { compress: false, aux: vec![("who", "me".into())], ..SaveOptions::default() };
        let mut bytes = Vec::new();
        rdb::save(&keyspace.snapshot(), &options, &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn a_good_file_is_described() {
        let bytes = file();
        let (report, result) = check(&bytes[..], 6, None);
        let text = report.text(&result);
        for line in [
            "[offset 9] AUX FIELD who = 'me'\n",
            "Selecting DB ID 3\n",
            &format!("[offset {}] Checksum OK\n", bytes.len()),
            "RDB looks OK! \\o/\n[info] 31 keys read\n[info] 30 expires\n[info] 30 already expired\n",
            "string             31             31             1097\n",
            "           507            1 string     3 big\n",
        ] {
            assert!(text.contains(line), "{line:?} in {text}");
        }
        assert_eq!(report.biggest.len(), BIGGEST);
    }

    #[test]
    fn the_place_of_a_damage_is_told_to_the_byte() {
        let bytes = file();
        for (end, place) in [
            (bytes.len() - 1, "the checksum\n"),
            (bytes.len() / 2, "the name of a key of type string in DB 3\n"),
            (15, "the aux field 'who'\n"),
        ] {
            let (report, result) = check(&bytes[..end], 6, None);
            let text = report.text(&result);
            let line =
                format!("--- RDB ERROR DETECTED ---\n[offset {end}] Unexpected EOF reading RDB file\n");
            assert!(text.contains(&format!("\n[additional info] While reading {place}")), "{text}");
            assert!(text.contains(&line) && !text.contains("looks OK"), "{text}");
        }
        let (report, result) = check(&b"REDIS0010\xf0"[..], 6, None);
        assert!(
            report.text(&result).contains("[offset 11] ") || report.text(&result).contains("[offset 10] ")
        );
    }

    #[test]
    fn long_and_strange_keys_are_fit_for_a_terminal() {
        assert_eq!(shown(b"a\n\xff'"), "a\\n\\xff\\'");
        assert_eq!(shown(&[b'k'; 100]).chars().count(), MAX_SHOWN_KEY + 1);
    }
}
