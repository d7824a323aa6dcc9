//! Reading an append-only file: its parts in order, each a snapshot, commands, or both.
//!
//! Reading finds out how far a file is good: up to the last command that is whole, and not in the
//! middle of a transaction. Only the last file may end before its end (behind which there may be
//! empty ones: the next was made already, and never written to). Whoever takes the pieces runs the
//! commands; what is wrong with one of those he finds first, as pieces come in order.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};

use crate::aof::{AofReader, Batch, Found, ReadError, is_snapshot};
use crate::base::text::os_reason;
use crate::engine::loader::{BUFFER_BYTES, PIECE_BYTES, PIECE_COMMANDS, PIECE_DELAY_US, Source, Unwanted};
use crate::persistence::{AofFile, AofFiles, LoadPiece};

/// The error that ends the reading after somebody else found something wrong.
fn unwanted(Unwanted: Unwanted) -> String {
    "nobody takes what is loaded".to_owned()
}

impl<S: FnMut(LoadPiece) -> Result<(), Unwanted>> Source<'_, S> {
    /// Reads all files. Returns where the last one is to be cut, if it ends too early. Errors with
    /// the line that says what is wrong.
    pub(in crate::engine) fn read_aof(&mut self, files: &AofFiles) -> Result<Option<u64>, String> {
        (self.send)(LoadPiece::Size(files.total_bytes)).map_err(unwanted)?;
        let mut before = 0;
        for (index, file) in files.files.iter().enumerate() {
            let opened = File::open(&file.path).map_err(|error| {
                format!(
                    "Fatal error: can't open the append log file {} for reading: {}",
                    file.name,
                    os_reason(&error)
                )
            })?;
            let length = opened.metadata().map_or(0, |metadata| metadata.len());
            let input = BufReader::with_capacity(BUFFER_BYTES, opened);
            (self.send)(LoadPiece::File(file.clone())).map_err(unwanted)?;
            let cut_at = self.read_part(file, input, before, files.may_be_cut)?;
            (self.send)(LoadPiece::FileEnd).map_err(unwanted)?;
            if let Some(offset) = cut_at {
                let is_empty =
                    |file: &AofFile| fs::metadata(&file.path).is_ok_and(|metadata| metadata.len() == 0);
                if files.files[index + 1..].iter().all(is_empty) {
                    return Ok(cut_at);
                }
                log::warn!(
                    "AOF file {} is whole up to byte {offset} of {length}, and later files go on. A machine that stops \
                     while a rewrite begins may leave that. Back up the folder, then cut this file alone with \
                     check-aof --fix: only what is missing there is lost.",
                    file.name
                );
                return Err("Fatal error: the truncated file is not the last file".to_owned());
            }
            before += length;
        }
        Ok(None)
    }

    /// Reads one file, `before` bytes behind the beginning of all.
    pub(super) fn read_part(
        &mut self,
        file: &AofFile,
        mut input: impl BufRead,
        before: u64,
        may_be_cut: bool,
    ) -> Result<Option<u64>, String> {
        let mut offset = 0;
        let start = input.fill_buf().map_err(|error| unreadable(file, &error))?;
        if is_snapshot(start) {
            log::info!(
                "{}",
                match file.is_old_style {
                    true => "Reading RDB preamble from AOF file...",
                    false => "Reading RDB base file on AOF loading...",
                }
            );
            let summary = self.read_snapshot(&mut input, before);
            offset = summary.map_err(|error| file.broken_snapshot(&error))?.bytes;
            (self.send)(LoadPiece::SnapshotEnd).map_err(unwanted)?;
        }
        self.read_commands(file, AofReader::new(input, offset), before, may_be_cut)
    }

    fn read_commands(
        &mut self,
        file: &AofFile,
        mut reader: AofReader<impl BufRead>,
        before: u64,
        may_be_cut: bool,
    ) -> Result<Option<u64>, String> {
        let mut batch = Batch::default();
        let (mut good, mut in_transaction) = (reader.offset(), false);
        let mut slept_us = 0;
        let end = loop {
            match reader.next_into(&mut batch) {
                Ok(Found::End) => break Ok(()),
                Ok(Found::Command) => {
                    in_transaction = goes_on(in_transaction, batch.last_word());
                    slept_us += self.sleep_after_key();
                }
                Ok(Found::Other) => {}
                Err(error) => break Err(error),
            }
            if !in_transaction {
                good = reader.offset();
            }
            if batch.len() >= PIECE_COMMANDS || batch.bytes() >= PIECE_BYTES || slept_us >= PIECE_DELAY_US {
                slept_us = 0;
                self.send_commands(&mut batch, before + reader.offset())?;
            }
        };
        self.send_commands(&mut batch, before + reader.offset())?;
        match end {
            Ok(()) if !in_transaction => Ok(None),
            Ok(()) => {
                log::warn!("Revert incomplete MULTI/EXEC transaction in AOF file {}", file.name);
                cut(file, good, may_be_cut)
            }
            Err(ReadError::Truncated) => cut(file, good, may_be_cut),
            Err(ReadError::Io(error)) => Err(unreadable(file, &error)),
            Err(ReadError::Format(reason)) => {
                log::debug!("{}: at offset {}: {reason}", file.name, reader.offset());
                Err(file.bad_format())
            }
        }
    }

    fn send_commands(&mut self, batch: &mut Batch, loaded_bytes: u64) -> Result<(), String> {
        if batch.is_empty() {
            return Ok(());
        }
        let piece = LoadPiece::Commands { commands: batch.take(), loaded_bytes };
        (self.send)(piece).map_err(unwanted)
    }
}

/// True when a transaction is open behind a command. A misplaced MULTI or EXEC changes nothing.
fn goes_on(in_transaction: bool, word: &[u8]) -> bool {
    match word.len() {
        5 if word.eq_ignore_ascii_case(b"multi") => true,
        4 if word.eq_ignore_ascii_case(b"exec") => false,
        _ => in_transaction,
    }
}

fn cut(file: &AofFile, good: u64, may_be_cut: bool) -> Result<Option<u64>, String> {
    if may_be_cut {
        return Ok(Some(good));
    }
    Err(format!(
        "Unexpected end of file reading the append only file {}. You can: 1) Make a backup of your AOF file, then use \
         ./redis-check-aof --fix <filename.manifest>. 2) Alternatively you can set the 'aof-load-truncated' configuration \
         option to yes and restart the server.",
        file.name
    ))
}

fn unreadable(file: &AofFile, error: &std::io::Error) -> String {
    format!("Unrecoverable error reading the append only file {}: {error}", file.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::testing::TestServer;
    use crate::rdb;

    fn part() -> AofFile {
        AofFile {
            path: "incr".into(),
            name: "incr".into(),
            is_empty: false,
            is_base: false,
            is_old_style: false,
        }
    }

    fn command(words: &str) -> Vec<u8> {
        let words: Vec<_> = words.split(' ').collect();
        let arguments = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len()));
        format!("*{}\r\n{}", words.len(), arguments.collect::<String>()).into_bytes()
    }

    /// Loads one file into an empty server.
    fn load(bytes: &[u8], may_be_cut: bool) -> (TestServer, Result<Option<u64>, String>) {
        let mut server = TestServer::new();
        let job = server.server.expect_load();
        let mut refused = None;
        let take = |piece| {
            server.server.load_piece(piece).map_err(|line| {
                refused = Some(line);
                Unwanted
            })
        };
        let mut source = Source::new(&job, take);
        assert!((source.send)(LoadPiece::File(part())).is_ok());
        let result = source.read_part(&part(), bytes, 0, may_be_cut);
        let result = refused.map_or(result, Err);
        server.server.aof_load_ended();
        (server, result)
    }

    /// A file, and how much of it is good up to where: the end of each step, and what three keys
    /// hold there. After each step the list is one longer, and so are the counter of another
    /// database and the two of the transaction.
    fn steps(mut file: Vec<u8>) -> (Vec<u8>, Vec<(usize, [u64; 3])>) {
        let mut ends = vec![(file.len(), [0; 3])];
        for step in 1..=5_u64 {
            let mut add = |bytes: Vec<u8>, values| {
                file.extend(bytes);
                ends.push((file.len(), values));
            };
            add(command("RPUSH l element"), [step, step - 1, step - 1]);
            if step == 2 {
                add(b"#TS:1628217470\r\n".to_vec(), [step, step - 1, step - 1]);
            }
            add(command("SELECT 3"), [step, step - 1, step - 1]);
            add(command("INCR other"), [step, step, step - 1]);
            add(command("SELECT 0"), [step, step, step - 1]);
            let transaction = ["MULTI", "INCR n", "SELECT 3", "SET last x", "SELECT 0", "INCR m", "EXEC"];
            add(transaction.into_iter().flat_map(command).collect(), [step, step, step]);
        }
        (file, ends)
    }

    #[test]
    fn a_file_cut_at_any_byte_loads_every_whole_step_and_nothing_of_the_next() {
        let mut base = TestServer::new();
        base.run("SET base x");
        let (keyspace, options) = (&base.server.keyspace, base.server.base_options());
        let mut snapshot = Vec::new();
        assert!(rdb::save(&keyspace.snapshot(), &options, &mut snapshot).is_ok());
        for begin in [Vec::new(), snapshot] {
            let first = begin.len();
            let (file, ends) = steps(begin);
            for cut in first..=file.len() {
                let &(good, [pushed, other, counted]) = ends.iter().rfind(|(end, _)| *end <= cut).unwrap();
                let (mut server, result) = load(&file[..cut], true);
                assert_eq!(result, Ok((good != cut).then_some(good as u64)), "cut at {cut}");
                let shown = |number| if number == 0 { "(nil)".to_owned() } else { format!("\"{number}\"") };
                server.check(&[
                    ("EXISTS base", if first > 0 { "(integer) 1" } else { "(integer) 0" }),
                    ("LLEN l", &format!("(integer) {pushed}")),
                    ("GET n", &shown(counted)),
                    ("GET m", &shown(counted)),
                    ("SELECT 3", "OK"),
                    ("GET other", &shown(other)),
                    ("EXISTS last", if counted > 0 { "(integer) 1" } else { "(integer) 0" }),
                ]);
                if good != cut {
                    let refused = load(&file[..cut], false).1.unwrap_err();
                    assert!(
                        refused.starts_with("Unexpected end of file reading the append only file incr. You")
                    );
                }
            }
            for cut in 1..first {
                let refused = load(&file[..cut], true).1.unwrap_err();
                let wrong = [
                    "Bad file format reading the append only file incr",
                    "Error reading the RDB base file incr",
                ];
                assert!(refused.starts_with(wrong[usize::from(cut >= 5)]), "cut at {cut}: {refused}");
            }
        }
    }

    #[test]
    fn a_file_broken_at_any_byte_is_refused_or_loaded_and_never_more() {
        let file = [command("SET a 1"), command("MULTI"), command("SET b 2"), command("EXEC")].concat();
        for at in 0..file.len() {
            for byte in [0, b'\r', b'*', b'$', b'9', b'-', 0xff] {
                let mut broken = file.clone();
                broken[at] = byte;
                let (mut server, result) = load(&broken, true);
                assert!(result.is_err() || server.run("DBSIZE").starts_with("(integer)"), "{at}");
            }
        }
    }

    #[test]
    fn what_a_file_may_not_hold_is_told_in_the_words_of_redis() {
        let bad_format = "Bad file format reading the append only file incr: make a backup of your AOF file, then use \
                          ./redis-check-aof --fix <filename.manifest>";
        for (file, line) in [
            (command("bla x"), "Unknown command 'bla' reading the append only file incr"),
            (command("GET"), bad_format),
            (b"!!!".to_vec(), bad_format),
            (
                b"REDIS0010".to_vec(),
                "Error reading the RDB base file incr, AOF loading aborted: Unexpected EOF reading RDB file; it was met \
                 at byte 9, in an opcode or type",
            ),
        ] {
            assert_eq!(load(&file, true).1, Err(line.to_owned()));
        }
    }

    #[test]
    fn a_misplaced_multi_or_exec_is_passed_over_and_what_it_surrounds_is_loaded() {
        let lines = |lines: &[&str]| lines.iter().flat_map(|line| command(line)).collect::<Vec<_>>();
        let good = ["SET a 1", "EXEC", "MULTI", "SET b 2", "MULTI x", "SET c 3", "EXEC", "SET d 4"];
        let (mut server, result) = load(&lines(&good), true);
        assert_eq!(result, Ok(None));
        server.check(&[("GET a", "\"1\""), ("GET b", "\"2\""), ("GET c", "\"3\""), ("GET d", "\"4\"")]);
        // The outer MULTI goes too: behind one that stays open, the next start would drop all that
        // was appended.
        let open = lines(&["SET a 1", "MULTI", "SET b 2", "MULTI", "SET c 3"]);
        let (mut server, result) = load(&open, true);
        assert_eq!(result, Ok(Some(command("SET a 1").len() as u64)));
        server.check(&[("DBSIZE", "(integer) 1")]);
    }

    #[test]
    fn who_comes_between_two_pieces_is_told_that_it_loads_and_counts_as_usual() {
        let mut server = TestServer::new();
        let job = server.server.expect_load();
        let mut pieces = Vec::new();
        let files = command("SET a 1").repeat(3 * PIECE_COMMANDS);
        let mut source = Source::new(&job, |piece| {
            pieces.push(piece);
            Ok(())
        });
        assert_eq!(source.read_part(&part(), &files[..], 100, true), Ok(None));
        assert!(server.server.load_piece(LoadPiece::File(part())).is_ok());
        assert_eq!(pieces.len(), 3);
        for (index, piece) in pieces.into_iter().enumerate() {
            assert!(server.server.load_piece(piece).is_ok());
            let read = 100 + files.len() / 3 * (index + 1);
            assert!(server.run("INFO persistence").contains(&format!("loading_loaded_bytes:{read}")));
            assert_eq!(server.run("GET a"), "(error) LOADING Redis is loading the dataset in memory");
        }
        server.server.aof_load_ended();
        assert_eq!(server.run("GET a"), "\"1\"");
        let stats = server.run("INFO commandstats");
        assert!(stats.contains("cmdstat_info:calls=3") && !stats.contains("cmdstat_set"), "{stats}");
    }
}
