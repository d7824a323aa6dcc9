//! `pyredis check-aof [--fix | --truncate-to-timestamp N] FILE`: is this append-only file whole,
//! and may it be cut?
//!
//! FILE is a manifest, whose parts are then checked in order, or a single file. Only the last part
//! may be cut: what follows a cut would belong to other data. Lines and exit codes (0 well, 1 not)
//! are those of redis-check-aof; the table of commands is ours.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, IsTerminal, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::check_rdb::Bar;
use crate::aof::check::{Scan, scan};
use crate::aof::{Manifest, is_snapshot};
use crate::base::text::os_reason;
use crate::keyspace::EncodingLimits;
use crate::rdb;

/// The bytes that are read at once.
const BUFFER_BYTES: usize = 1 << 20;

/// The remedy for a fault that is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Tell it.
    Tell,
    /// Cut off what is no good, after asking.
    Fix,
    /// Cut off what was written after this time, seconds.
    TruncateTo(i64),
}

/// The file is no good, and it was said why.
struct Bad;

type Checked<T = ()> = Result<T, Bad>;

/// Checks the file and returns the exit code.
pub fn run(path: &Path, remedy: Remedy) -> u8 {
    let mut check = Check { remedy, commands: BTreeMap::new() };
    let result = check.file_or_manifest(path);
    check.tell_commands();
    u8::from(result.is_err())
}

struct Check {
    remedy: Remedy,
    commands: BTreeMap<String, (u64, u64)>,
}

impl Check {
    fn file_or_manifest(&mut self, path: &Path) -> Checked {
        let start = open(path)?.fill_buf().map(<[u8]>::to_vec).map_err(|error| unreadable(path, &error))?;
        let first = start.split(|&byte| byte == b'\n').find(|line| !line.starts_with(b"#"));
        if first.is_some_and(|line| line.starts_with(b"file ")) {
            println!("Start checking Multi Part AOF");
            return self.parts(path);
        }
        println!("Start checking Old-Style AOF");
        let name = path.file_name().unwrap_or_default().display().to_string();
        match self.single(path, &name, true)? {
            Content::Empty => println!("AOF {name} is empty"),
            Content::Good => println!("AOF {name} is valid"),
            Content::Cut => {}
        }
        Ok(())
    }

    fn parts(&mut self, path: &Path) -> Checked {
        let text = fs::read(path).map_err(|error| unreadable(path, &error))?;
        let manifest = Manifest::parse(&text).map_err(|error| {
            println!("*** FATAL AOF MANIFEST FILE ERROR ***");
            if let Some(text) = &error.text {
                println!("Reading the manifest file, at line {}\n>>> '{text}'", error.line);
            }
            println!("{error}");
            Bad
        })?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let count = manifest.files().count();
        for (index, file) in manifest.files().enumerate() {
            let (name, path) = (OsStr::from_bytes(&file.name), folder.join(OsStr::from_bytes(&file.name)));
            let name = name.display().to_string();
            let kind = if manifest.base.as_ref() == Some(file) { "BASE" } else { "INCR" };
            if kind == "BASE" {
                let format = if starts_as_snapshot(&path)? { "RDB" } else { "RESP" };
                println!("Start to check BASE AOF ({format} format).");
            } else if manifest.incr.first() == Some(file) {
                println!("Start to check INCR files.");
            }
            match self.single(&path, &name, index + 1 == count)? {
                Content::Empty => println!("{kind} AOF {name} is empty"),
                Content::Good => println!("{kind} AOF {name} is valid"),
                Content::Cut => {}
            }
        }
        println!("All AOF files and manifest are valid");
        Ok(())
    }

    fn single(&mut self, path: &Path, name: &str, is_last: bool) -> Checked<Content> {
        let mut input = open(path)?;
        let size = input.get_ref().metadata().map_or(0, |metadata| metadata.len());
        if size == 0 {
            return Ok(Content::Empty);
        }
        let mut offset = 0;
        if input.fill_buf().is_ok_and(is_snapshot) {
            match rdb::load(&mut input, &EncodingLimits::default(), |_, _| Ok(())) {
                Ok(summary) => offset = summary.bytes,
                Err(error) => {
                    println!("{error}\nRDB preamble of AOF file is not sane, aborting.");
                    return Err(Bad);
                }
            }
            println!("RDB preamble is OK, proceeding with AOF tail...");
        }
        let until = if let Remedy::TruncateTo(secs) = self.remedy { Some(secs) } else { None };
        let mut bar = io::stderr().is_terminal().then(|| Bar::new(size));
        let found = scan(input, offset, until, |offset| bar.iter_mut().for_each(|bar| bar.show(offset)));
        if let Some(bar) = bar {
            bar.clear();
        }
        for (name, (count, bytes)) in &found.commands {
            let all = self.commands.entry(name.clone()).or_default();
            *all = (all.0 + count, all.1 + bytes);
        }
        match until {
            Some(secs) => truncate_to(path, name, is_last, secs, (size, &found)),
            None => self.judge(path, name, is_last, size, &found),
        }
    }

    fn judge(&self, path: &Path, name: &str, is_last: bool, size: u64, found: &Scan) -> Checked<Content> {
        if let Some((offset, what)) = &found.trouble {
            println!("0x{offset:>16x}: {what}");
        }
        let diff = size - found.valid;
        tell_analysis(name, size, found);
        if diff == 0 {
            return Ok(Content::Good);
        }
        if self.remedy != Remedy::Fix {
            println!("AOF {name} is not valid. Use the --fix option to try fixing it.");
            return Err(Bad);
        }
        if !is_last {
            println!("Failed to truncate AOF {name} because it is not the last file");
            return Err(Bad);
        }
        println!(
            "This will shrink the AOF {name} from {size} bytes, with {diff} bytes, to {} bytes",
            found.valid
        );
        print!("Continue? [y/N]: ");
        // A question that cannot be shown cannot be answered, and no answer means no.
        let _ = io::stdout().flush();
        let mut answer = String::new();
        if io::stdin().lock().read_line(&mut answer).is_err() || !answer.trim_start().starts_with(['y', 'Y'])
        {
            println!("Aborting...");
            return Err(Bad);
        }
        cut(path, name, found.valid)?;
        println!("Successfully truncated AOF {name}");
        Ok(Content::Cut)
    }

    fn tell_commands(&self) {
        if self.commands.is_empty() {
            return;
        }
        let mut text = format!("\n{:<20} {:>12} {:>16}\n", "command", "times", "bytes in file");
        for (name, (count, bytes)) in &self.commands {
            text.push_str(&format!("{name:<20} {count:>12} {bytes:>16}\n"));
        }
        // Whoever closed the pipe has read enough.
        let _ = io::stdout().write_all(text.as_bytes());
    }
}

/// The kind of a file, as it turned out.
enum Content {
    Empty,
    Good,
    Cut,
}

fn tell_analysis(name: &str, size: u64, found: &Scan) {
    let Scan { valid, lines, .. } = found;
    let diff = size - valid;
    println!(
        "AOF analyzed: filename={name}, size={size}, ok_up_to={valid}, ok_up_to_line={lines}, diff={diff}"
    );
}

fn truncate_to(
    path: &Path,
    name: &str,
    is_last: bool,
    secs: i64,
    (size, found): (u64, &Scan),
) -> Checked<Content> {
    if let Some((offset, what)) = &found.trouble {
        println!("0x{offset:>16x}: {what}");
        tell_analysis(name, size, found);
        println!("AOF {name} is not valid. Use the --fix option to try fixing it.");
        return Err(Bad);
    }
    match found.later {
        None => {
            println!("Truncate nothing in AOF {name} to timestamp {secs}");
            Ok(Content::Good)
        }
        Some(0) => {
            println!("AOF {name} has nothing before timestamp {secs}, aborting...");
            Err(Bad)
        }
        Some(offset) if !is_last => {
            println!(
                "Failed to truncate AOF {name} to timestamp {secs} to offset {offset} because it is not the last file.\n\
                 If you insist, please delete all files after this file according to the manifest file and delete the \
                 corresponding records in manifest file manually. Then re-run check-aof."
            );
            Err(Bad)
        }
        Some(offset) => {
            cut(path, name, offset)?;
            println!("Successfully truncated AOF {name} to timestamp {secs}");
            Ok(Content::Cut)
        }
    }
}

fn cut(path: &Path, name: &str, length: u64) -> Checked {
    let done = OpenOptions::new().write(true).open(path).and_then(|file| {
        file.set_len(length)?;
        file.sync_all()
    });
    done.map_err(|error| {
        println!("Failed to truncate AOF {name}: {}", os_reason(&error));
        Bad
    })
}

fn starts_as_snapshot(path: &Path) -> Checked<bool> {
    open(path)?.fill_buf().map(is_snapshot).map_err(|error| unreadable(path, &error))
}

fn open(path: &Path) -> Checked<BufReader<File>> {
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    Ok(BufReader::with_capacity(BUFFER_BYTES, file))
}

fn unreadable(path: &Path, error: &io::Error) -> Bad {
    println!("Cannot open file {}: {}", path.display(), os_reason(error));
    Bad
}

#[cfg(test)]
mod tests {
    use super::*;

    const SET: &str = "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n";

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    #[test]
    fn only_the_last_part_is_cut_and_only_to_a_time_it_holds() {
        let manifest = "file a seq 1 type b\nfile b seq 1 type i\n";
        let timed = format!("#TS:100\r\n{SET}#TS:200\r\n{SET}");
        let folder = folder(&[("m", manifest), ("a", SET), ("b", &timed)]);
        let path = folder.path().join("m");
        assert_eq!(run(&path, Remedy::Tell), 0);
        assert_eq!(run(&path, Remedy::TruncateTo(50)), 1);
        assert_eq!(run(&path, Remedy::TruncateTo(300)), 0);
        assert_eq!(run(&path, Remedy::TruncateTo(150)), 0);
        assert_eq!(fs::read_to_string(folder.path().join("b")).unwrap(), format!("#TS:100\r\n{SET}"));
        fs::write(folder.path().join("a"), &timed).unwrap();
        assert_eq!(run(&path, Remedy::TruncateTo(150)), 1, "it is not the last");
        fs::write(folder.path().join("a"), &SET[..9]).unwrap();
        assert_eq!(run(&path, Remedy::Tell), 1);
        assert_eq!(run(&path, Remedy::Fix), 1, "it is not the last");
        fs::remove_file(folder.path().join("a")).unwrap();
        assert_eq!(run(&path, Remedy::Tell), 1);
    }

    #[test]
    fn a_single_file_may_begin_with_a_snapshot() {
        let mut bytes = Vec::new();
        rdb::save(&[], &rdb::SaveOptions::default(), &mut bytes).unwrap();
        let folder = folder(&[("empty", ""), ("broken", "!!!")]);
        let path = folder.path().join("both");
        fs::write(&path, [&bytes[..], SET.as_bytes()].concat()).unwrap();
        assert_eq!(run(&path, Remedy::Tell), 0);
        fs::write(&path, [&bytes[..bytes.len() - 3], SET.as_bytes()].concat()).unwrap();
        assert_eq!(run(&path, Remedy::Tell), 1);
        assert_eq!(run(&folder.path().join("empty"), Remedy::Tell), 0);
        assert_eq!(run(&folder.path().join("broken"), Remedy::Tell), 1);
    }
}
