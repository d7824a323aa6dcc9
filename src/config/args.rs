//! The command line as redis-server reads it: words become lines of configuration.
//!
//! `--port 7000 --save 60 1` means the lines `port "7000"` and `save "60" "1"`, read after the file
//! and after stdin. So there is one parser, one set of error messages, and a mistake on the command
//! line is reported with its line. The daemon has taken away before what this room does not read
//! (`-v`, `--help`, the words `start` and `stop`).

use super::text::Text;
use crate::base::text::{quote, split_args};

/// The wishes of the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommandLine {
    /// The configuration file, if one is named.
    pub config_file: Option<Text>,
    /// True when a lone `-` asks to read more configuration from stdin.
    pub stdin: bool,
    /// The remaining words as configuration lines.
    pub directives: Vec<u8>,
}

/// Reads the words behind the program's name.
///
/// The first is the configuration file unless it starts with a dash. A lone `-` as first or last
/// word means stdin. `--name` opens a line, unless the option before it still waits for its first
/// value; every other word is a value, quoted so that it stays one.
pub fn parse_args<A: AsRef<[u8]>>(args: &[A]) -> CommandLine {
    let words: Vec<&[u8]> = args.iter().map(AsRef::as_ref).collect();
    let mut line = CommandLine::default();
    let mut rest = words.as_slice();
    if let [first, tail @ ..] = rest
        && !first.starts_with(b"-")
    {
        line.config_file = Some(Text::from(*first));
        rest = tail;
    }
    let mut waits_for_value = false;
    while let [word, tail @ ..] = rest {
        let first = rest.len() == words.len();
        if *word == b"-" && (first || tail.is_empty()) {
            line.stdin = true;
        } else if word.starts_with(b"--") && !waits_for_value {
            waits_for_value = open_line(&mut line.directives, word, tail.first().copied());
        } else {
            line.directives.extend(quote(word));
            line.directives.push(b' ');
            waits_for_value = false;
        }
        rest = tail;
    }
    line
}

/// Starts a line with `--name` or `--name value`. Returns whether the option waits for its first
/// value.
fn open_line(directives: &mut Vec<u8>, word: &[u8], next: Option<&[u8]>) -> bool {
    if !directives.is_empty() {
        directives.push(b'\n');
    }
    directives.extend_from_slice(&word[2..]);
    directives.push(b' ');
    if split_args(word).is_none_or(|args| args.len() != 1) {
        return false;
    }
    // Redis: `--save` with nothing behind it means no save points; scripts build it from an empty
    // list.
    let nothing_follows = next.is_none_or(|next| next.starts_with(b"--"));
    if word.eq_ignore_ascii_case(b"--save") && nothing_follows {
        directives.extend_from_slice(b"\"\"");
        return false;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_become_lines() {
        let rows: &[(&[&str], Option<&str>, bool, &str)] = &[
            (&[], None, false, ""),
            (&["my.conf"], Some("my.conf"), false, ""),
            (&["-"], None, true, ""),
            (&["my.conf", "-"], Some("my.conf"), true, ""),
            (&["my.conf", "-", "--port", "1"], Some("my.conf"), false, "\"-\" \nport \"1\" "),
            (&["--port", "7000", "--hz", "5"], None, false, "port \"7000\" \nhz \"5\" "),
            (&["--port 7000", "--hz 5"], None, false, "port 7000 \nhz 5 "),
            (&["--save", "60", "1"], None, false, "save \"60\" \"1\" "),
            (&["--save", ""], None, false, "save \"\" "),
            (&["--save"], None, false, "save \"\""),
            (&["--save", "--hz", "5"], None, false, "save \"\"\nhz \"5\" "),
            (&["--loglevel", "--save"], None, false, "loglevel \"--save\" "),
            (&["--hz ", "5", "--port", "1"], None, false, "hz  \"5\" \nport \"1\" "),
            (&["a.conf", "hz", "10", "--port", "1"], Some("a.conf"), false, "\"hz\" \"10\" \nport \"1\" "),
            (&["--port", "1", "-"], None, true, "port \"1\" "),
            (&["--port", "-", "--hz", "1"], None, false, "port \"-\" \nhz \"1\" "),
            (&["-x"], None, false, "\"-x\" "),
            (&["--"], None, false, " "),
        ];
        for (words, file, stdin, directives) in rows {
            let line = parse_args(words);
            assert_eq!(line.config_file, file.map(Text::from), "{words:?}");
            assert_eq!(line.stdin, *stdin, "{words:?}");
            assert_eq!(String::from_utf8(line.directives).unwrap(), *directives, "{words:?}");
        }
    }
}
