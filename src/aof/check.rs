//! The offset up to which a file of commands is good, and the commands in it: for `check-aof`.

use super::{AofEntry, AofReader, ReadError};
use std::collections::BTreeMap;
use std::io::BufRead;

/// The findings about a file.
#[derive(Debug, Default)]
pub struct Scan {
    /// The offset behind the last whole command that is not part of an unfinished transaction.
    pub valid: u64,
    /// Lines up to where reading ended, counted from 1.
    pub lines: u64,
    /// The place and the description of a fault; `None` for a good file.
    pub trouble: Option<(u64, String)>,
    /// The place where the first annotation with a later time than asked for begins.
    pub later: Option<u64>,
    /// The number of times that each command stands there, and the bytes they take.
    pub commands: BTreeMap<String, (u64, u64)>,
}

/// Reads commands to the end, to what is wrong, or to the first one written after `until`.
/// `offset` is where `input` begins in its file, and `seen` is told how far it has come.
pub fn scan(input: impl BufRead, offset: u64, until: Option<i64>, mut seen: impl FnMut(u64)) -> Scan {
    let mut reader = AofReader::new(input, offset);
    let mut scan = Scan { valid: offset, ..Scan::default() };
    let mut in_transaction = false;
    scan.trouble = loop {
        let before = reader.offset();
        seen(before);
        match reader.next_entry() {
            Ok(Some(AofEntry::Command(argv))) => {
                let name = argv.as_argv().at(0).escape_ascii().to_string().to_ascii_uppercase();
                let begins = name == "MULTI";
                if begins == in_transaction && (begins || name == "EXEC") {
                    break Some((before, format!("Unexpected {name}")));
                }
                in_transaction = begins || in_transaction && name != "EXEC";
                let count = scan.commands.entry(name).or_default();
                *count = (count.0 + 1, count.1 + reader.offset() - before);
            }
            Ok(Some(AofEntry::Timestamp(secs))) if until.is_some_and(|until| secs > until) => {
                scan.later = Some(before);
                break None;
            }
            Ok(Some(_)) => {}
            Ok(None) if in_transaction => {
                break Some((before, "Reached EOF before reading EXEC for MULTI".to_owned()));
            }
            Ok(None) => break None,
            Err(ReadError::Truncated) => {
                break Some((reader.offset(), "Reached EOF before the end of a command".to_owned()));
            }
            Err(error) => break Some((reader.offset(), error.to_string())),
        }
        if !in_transaction {
            scan.valid = reader.offset();
        }
    };
    scan.lines = reader.lines() + 1;
    scan
}

#[cfg(test)]
mod tests {
    use super::*;

    const SET: &str = "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n";
    const MULTI: &str = "*1\r\n$5\r\nMULTI\r\n";
    const EXEC: &str = "*1\r\n$4\r\nexec\r\n";

    fn scanned(text: &str, until: Option<i64>) -> Scan {
        scan(text.as_bytes(), 0, until, |_| {})
    }

    #[test]
    fn a_file_is_good_up_to_its_last_whole_unit() {
        let set = SET.len() as u64;
        for (text, valid, trouble) in [
            (String::new(), 0, None),
            (SET.repeat(2), 2 * set, None),
            (format!("{SET}{SET}!!!"), 2 * set, Some("Expected a command, got: !!!")),
            (format!("{SET}{}", &SET[..20]), set, Some("Reached EOF before the end of a command")),
            (format!("{SET}{MULTI}{SET}{EXEC}"), 2 * set + 29, None),
            (format!("{SET}{MULTI}{SET}"), set, Some("Reached EOF before reading EXEC for MULTI")),
            (format!("{SET}{MULTI}{SET}{MULTI}"), set, Some("Unexpected MULTI")),
            (format!("{SET}{EXEC}"), set, Some("Unexpected EXEC")),
        ] {
            let scan = scanned(&text, None);
            assert_eq!(scan.trouble.as_ref().map(|(_, what)| what.as_str()), trouble, "{text}");
            assert_eq!(scan.valid, valid, "{text}");
        }
    }

    #[test]
    fn what_was_written_later_begins_at_its_annotation() {
        let text = format!("#TS:100\r\n{SET}#TS:200\r\n{SET}#TS:300\r\n");
        let first = 9 + SET.len() as u64;
        for (until, later) in [(99, Some(0)), (100, Some(first)), (250, Some(2 * first)), (300, None)] {
            assert_eq!(scanned(&text, Some(until)).later, later, "{until}");
        }
        assert_eq!(scanned(&text, None).commands["SET"], (2, 2 * SET.len() as u64));
    }
}
