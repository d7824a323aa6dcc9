//! The manifest: which files make up the append-only file, one line each, in the order of loading.
//!
//! ```text
//! file appendonly.aof.2.base.rdb seq 2 type b      the base, one at most
//! file appendonly.aof.1.incr.aof seq 1 type h      history: no longer needed, not yet deleted
//! file appendonly.aof.2.incr.aof seq 2 type i      what came after the base, numbers rising
//! ```
//!
//! A manifest is a value: a change is made on a copy, the copy is written to disk, and only then
//! takes the place of the old one.

use crate::base::text::{quote, split_args};
use std::fmt;

/// Longest line that is read, its end included.
pub const MAX_LINE_BYTES: usize = 1024;

/// The use of a file of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileType {
    /// The data set at one moment.
    Base,
    /// Replaced by a rewrite.
    History,
    /// Changes since.
    Incr,
}

impl FileType {
    fn letter(self) -> char {
        match self {
            FileType::Base => 'b',
            FileType::History => 'h',
            FileType::Incr => 'i',
        }
    }
}

/// One file of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileInfo {
    /// Its name in the folder.
    pub name: Vec<u8>,
    /// Its number.
    pub seq: i64,
}

/// The kind and the number of a part, as its name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// A base.
    Base(i64),
    /// Changes.
    Incr(i64),
}

/// The names of the files of one append-only file, from `appendfilename`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names(pub Vec<u8>);

impl Names {
    /// The manifest.
    #[must_use]
    pub fn manifest(&self) -> Vec<u8> {
        [&self.0, &b".manifest"[..]].concat()
    }

    /// The manifest while it is written.
    #[must_use]
    pub fn temporary_manifest(&self) -> Vec<u8> {
        [b"temp-", &self.0[..], b".manifest"].concat()
    }

    /// Changes made while the first base is written.
    #[must_use]
    pub fn temporary_incr(&self) -> Vec<u8> {
        [b"temp-", &self.0[..], b".incr.aof"].concat()
    }

    /// Returns the part that a file of this name is: `NAME.3.base.rdb`, `NAME.3.incr.aof`. `None`
    /// if it is none.
    #[must_use]
    pub fn part(&self, name: &[u8]) -> Option<Part> {
        let rest = name.strip_prefix(&self.0[..])?.strip_prefix(b".")?;
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (seq, ending) = rest.split_at(digits);
        if seq.starts_with(b"0") {
            return None;
        }
        let seq = std::str::from_utf8(seq).ok()?.parse().ok()?;
        match ending {
            b".base.rdb" | b".base.aof" => Some(Part::Base(seq)),
            b".incr.aof" => Some(Part::Incr(seq)),
            _ => None,
        }
    }

    fn base(&self, seq: i64, is_snapshot: bool) -> Vec<u8> {
        let format = if is_snapshot { "rdb" } else { "aof" };
        [&self.0, format!(".{seq}.base.{format}").as_bytes()].concat()
    }

    fn incr(&self, seq: i64) -> Vec<u8> {
        [&self.0, format!(".{seq}.incr.aof").as_bytes()].concat()
    }
}

/// The list of files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// The base.
    pub base: Option<FileInfo>,
    /// Files to be deleted.
    pub history: Vec<FileInfo>,
    /// Changes since the base, in order.
    pub incr: Vec<FileInfo>,
    base_seq: i64,
    incr_seq: i64,
}

/// The reason why a manifest cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestError {
    /// The line, counted from 1.
    pub line: usize,
    /// The text of the line, if it could be told.
    pub text: Option<String>,
    /// The fault, in words.
    pub reason: &'static str,
}

impl fmt::Display for ManifestError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.reason)
    }
}

const BAD_FORMAT: &str = "Invalid AOF manifest file format";

impl Manifest {
    /// Reads a manifest.
    pub fn parse(text: &[u8]) -> Result<Manifest, ManifestError> {
        let mut manifest = Manifest::default();
        let mut number = 0;
        let mut rest = text;
        while !rest.is_empty() {
            number += 1;
            let fail = |text: Option<&[u8]>, reason| {
                let text = text.map(|text| String::from_utf8_lossy(text).into_owned());
                Err(ManifestError { line: number, text, reason })
            };
            let end = rest.iter().take(MAX_LINE_BYTES).position(|&byte| byte == b'\n');
            let (line, next) = match end {
                Some(end) => (&rest[..end], &rest[end + 1..]),
                None if rest[0] == b'#' => (rest, &rest[rest.len().min(MAX_LINE_BYTES)..]),
                None => return fail(None, "The AOF manifest file contains too long line"),
            };
            rest = next;
            if line.first() == Some(&b'#') {
                continue;
            }
            let line = line.trim_ascii();
            if let Err(reason) = manifest.add_line(line) {
                return fail(Some(line).filter(|line| !line.is_empty()), reason);
            }
        }
        if number == 0 {
            return Err(ManifestError { line: 0, text: None, reason: "Found an empty AOF manifest" });
        }
        Ok(manifest)
    }

    fn add_line(&mut self, line: &[u8]) -> Result<(), &'static str> {
        let words = split_args(line).filter(|words| words.len() >= 6 && words.len() % 2 == 0);
        let words = words.ok_or(BAD_FORMAT)?;
        let (mut name, mut seq, mut letter) = (None, 0, None);
        for pair in words.chunks_exact(2) {
            let value = &pair[1];
            // Words that are not known are left for later versions.
            match &pair[0].to_ascii_lowercase()[..] {
                b"file" if value.contains(&b'/') => return Err("File can't be a path, just a filename"),
                b"file" => name = Some(value.clone()),
                b"seq" => seq = leading_number(value),
                b"type" => letter = value.first().copied(),
                _ => {}
            }
        }
        match (name, letter) {
            // There is always a number behind the last one.
            (Some(name), Some(letter)) if seq != 0 && seq != i64::MAX => {
                self.add(FileInfo { name, seq }, letter)
            }
            _ => Err(BAD_FORMAT),
        }
    }

    fn add(&mut self, file: FileInfo, letter: u8) -> Result<(), &'static str> {
        match letter {
            b'b' if self.base.is_some() => return Err("Found duplicate base file information"),
            b'b' => {
                self.base_seq = file.seq;
                self.base = Some(file);
            }
            b'h' => self.history.push(file),
            b'i' if file.seq <= self.incr_seq => return Err("Found a non-monotonic sequence number"),
            b'i' => {
                self.incr_seq = file.seq;
                self.incr.push(file);
            }
            _ => return Err("Unknown AOF file type"),
        }
        Ok(())
    }

    /// The manifest as it stands on disk.
    #[must_use]
    pub fn to_text(&self) -> Vec<u8> {
        let base = self.base.iter().map(|file| (file, FileType::Base));
        let history = self.history.iter().map(|file| (file, FileType::History));
        let incr = self.incr.iter().map(|file| (file, FileType::Incr));
        let mut text = Vec::new();
        for (file, kind) in base.chain(history).chain(incr) {
            let name = if needs_quotes(&file.name) { quote(&file.name) } else { file.name.clone() };
            text.extend_from_slice(b"file ");
            text.extend_from_slice(&name);
            text.extend_from_slice(format!(" seq {} type {}\n", file.seq, kind.letter()).as_bytes());
        }
        text
    }

    /// True when it lists nothing to load.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.base.is_none() && self.incr.is_empty()
    }

    /// True when it lists a file of this name, to be loaded or to be deleted.
    #[must_use]
    pub fn lists(&self, name: &[u8]) -> bool {
        self.files().chain(&self.history).any(|file| file.name == name)
    }

    /// The files to load, in order.
    pub fn files(&self) -> impl Iterator<Item = &FileInfo> {
        self.base.iter().chain(&self.incr)
    }

    /// An old single file becomes the base.
    pub fn adopt(&mut self, name: &[u8]) {
        self.base = Some(FileInfo { name: name.to_vec(), seq: 1 });
        self.base_seq = 1;
    }

    /// Lists a new base; the one before becomes history. Returns its name.
    pub fn next_base(&mut self, names: &Names, is_snapshot: bool) -> Vec<u8> {
        if let Some(old) = self.base.take() {
            self.history.insert(0, old);
        }
        self.base_seq += 1;
        let name = names.base(self.base_seq, is_snapshot);
        self.base = Some(FileInfo { name: name.clone(), seq: self.base_seq });
        name
    }

    /// Lists a new file for changes. Returns its name.
    pub fn next_incr(&mut self, names: &Names) -> Vec<u8> {
        self.incr_seq += 1;
        let name = names.incr(self.incr_seq);
        self.incr.push(FileInfo { name: name.clone(), seq: self.incr_seq });
        name
    }

    /// Gives no file a number that `other` has given: files of that name may be there.
    pub fn skip_numbers_of(&mut self, other: &Manifest) {
        self.base_seq = self.base_seq.max(other.base_seq);
        self.incr_seq = self.incr_seq.max(other.incr_seq);
    }

    /// The files of changes become history, except the newest `kept`: a new base holds them.
    pub fn retire_incr(&mut self, kept: usize) {
        let kept = self.incr.split_off(self.incr.len().saturating_sub(kept));
        for file in std::mem::replace(&mut self.incr, kept).into_iter().rev() {
            self.history.insert(0, file);
        }
    }

    /// Takes the history from the list, to be deleted.
    pub fn take_history(&mut self) -> Vec<FileInfo> {
        std::mem::take(&mut self.history)
    }
}

/// The number a word begins with, as C reads it: 0 without one.
fn leading_number(word: &[u8]) -> i64 {
    let (sign, digits) = match word.strip_prefix(b"-") {
        Some(digits) => (-1, digits),
        None => (1, word),
    };
    let digits = digits.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0_i64, |number, &digit| {
        number.saturating_mul(10).saturating_add(sign * i64::from(digit - b'0'))
    })
}

fn needs_quotes(name: &[u8]) -> bool {
    name.is_empty()
        || name.iter().any(|&byte| !byte.is_ascii_graphic() || matches!(byte, b'\\' | b'"' | b'\''))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        Names(b"appendonly.aof".to_vec())
    }

    #[test]
    fn what_is_written_is_read_back() {
        let text = b"file appendonly.aof.2.base.rdb seq 2 type b\nfile appendonly.aof.1.incr.aof seq 1 type h\n\
                     file appendonly.aof.2.incr.aof seq 2 type i\nfile appendonly.aof.5.incr.aof seq 5 type i\n";
        let manifest = Manifest::parse(text).unwrap();
        assert_eq!(manifest.to_text(), text);
        assert_eq!(manifest.files().count(), 3);
        let spaced = Names(b" file seq \n\n.aof ".to_vec());
        let mut manifest = Manifest::default();
        manifest.next_base(&spaced, false);
        assert_eq!(manifest.to_text(), b"file \" file seq \\n\\n.aof .1.base.aof\" seq 1 type b\n");
        assert_eq!(Manifest::parse(&manifest.to_text()).unwrap(), manifest);
    }

    #[test]
    fn a_broken_manifest_is_refused_in_the_words_of_redis() {
        let long = format!("file {} seq 1 type b\n", "x".repeat(MAX_LINE_BYTES));
        let base = "file a seq 1 type b\n";
        for (text, line, reason) in [
            ("", 0, "Found an empty AOF manifest"),
            (&format!("{base}\nfile b seq 1 type i\n"), 2, BAD_FORMAT),
            ("filx a seq 1 type b\n", 1, BAD_FORMAT),
            ("file a seq 1\n", 1, BAD_FORMAT),
            ("file a seq 1 type b odd\n", 1, BAD_FORMAT),
            ("file a seq x type b\n", 1, BAD_FORMAT),
            ("file \"a seq 1 type b\n", 1, BAD_FORMAT),
            ("file ../a seq 1 type b\n", 1, "File can't be a path, just a filename"),
            (&format!("{base}{base}"), 2, "Found duplicate base file information"),
            ("file a seq 2 type i\nfile b seq 2 type i\n", 2, "Found a non-monotonic sequence number"),
            ("file a seq 1 type x\n", 1, "Unknown AOF file type"),
            (&long, 1, "The AOF manifest file contains too long line"),
            ("file a seq 1 type b", 1, "The AOF manifest file contains too long line"),
        ] {
            let error = Manifest::parse(text.as_bytes()).unwrap_err();
            assert_eq!((error.line, error.reason), (line, reason), "{text}");
        }
        assert!(Manifest::parse(b"# ours\nFILE a Seq 1 tYPe b new words\n").unwrap().base.is_some());
    }

    #[test]
    fn a_rewrite_makes_history_newest_first() {
        let mut manifest = Manifest::default();
        manifest.next_base(&names(), true);
        manifest.next_incr(&names());
        for _ in 0..2 {
            manifest.next_incr(&names());
            manifest.next_base(&names(), true);
            manifest.retire_incr(1);
        }
        let text = String::from_utf8(manifest.to_text()).unwrap();
        assert_eq!(
            text.lines()
                .map(|line| line.split(' ').nth(1).unwrap().split_once(".aof.").unwrap().1)
                .collect::<Vec<_>>(),
            ["3.base.rdb", "2.incr.aof", "2.base.rdb", "1.incr.aof", "1.base.rdb", "3.incr.aof"]
        );
        manifest.retire_incr(0);
        assert!(manifest.incr.is_empty());
        assert_eq!(manifest.take_history().len(), 5);
        assert_eq!(manifest.next_incr(&names()), b"appendonly.aof.4.incr.aof", "numbers go on");
    }

    #[test]
    fn parts_are_told_from_other_files() {
        for (name, part) in [
            ("appendonly.aof.1.base.rdb", Some(Part::Base(1))),
            ("appendonly.aof.20.base.aof", Some(Part::Base(20))),
            ("appendonly.aof.12.incr.aof", Some(Part::Incr(12))),
            ("appendonly.aof.1.incr.rdb", None),
            ("appendonly.aof.01.incr.aof", None),
            ("appendonly.aof.-1.incr.aof", None),
            ("appendonly.aof.99999999999999999999.incr.aof", None),
            ("appendonly.aof.1.base.rdb.1.incr.aof", None),
            ("appendonly.aof.manifest", None),
            ("appendonly.aof2.1.base.rdb", None),
            ("appendonly.aof", None),
        ] {
            assert_eq!(names().part(name.as_bytes()), part, "{name}");
        }
    }
}
