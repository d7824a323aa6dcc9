//! The transcripts of `tests/sessions`, replayed against pyredis and, where one is installed,
//! against a real redis-server: what stands there is true of both.
//!
//! A line `> COMMAND …` is sent, quoted as in redis-cli; the lines behind it, up to the next `> `,
//! are the answer as redis-cli shows it. Lines that begin with `#`, and blank ones, are for people.

use std::path::Path;

use crate::support::{Client, RealServer, Server};
use pyredis::base::text::split_args;

/// One exchange of a transcript.
struct Exchange {
    line: usize,
    command: String,
    answer: String,
}

fn exchanges(text: &str) -> Vec<Exchange> {
    let mut found: Vec<Exchange> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if let Some(command) = line.strip_prefix("> ") {
            found.push(Exchange { line: index + 1, command: command.to_string(), answer: String::new() });
        } else if let Some(last) = found.last_mut()
            && !line.starts_with('#')
            && !line.is_empty()
        {
            last.answer += if last.answer.is_empty() { "" } else { "\n" };
            last.answer += line;
        }
    }
    found
}

fn transcripts() -> Vec<(String, Vec<Exchange>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sessions");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("there are transcripts").flatten() {
        let text = std::fs::read_to_string(entry.path()).expect("transcripts are text");
        found.push((entry.file_name().to_string_lossy().into_owned(), exchanges(&text)));
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    assert!(!found.is_empty());
    found
}

/// Replays every transcript on a server of its own data; what differs is the result.
fn replay(port: u16) -> Vec<String> {
    let mut differences = Vec::new();
    for (name, exchanges) in transcripts() {
        let mut client = Client::connect(port);
        client.show(&[b"FLUSHALL"]);
        for exchange in exchanges {
            let words = split_args(exchange.command.as_bytes()).expect("quotes are balanced");
            let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
            let shown = client.show(&words);
            if shown != exchange.answer {
                differences.push(format!(
                    "{name}:{}: > {}\n  expected {}\n  answered {shown}",
                    exchange.line, exchange.command, exchange.answer
                ));
            }
        }
    }
    differences
}

#[test]
fn pyredis_answers_as_the_transcripts_say() {
    let server = Server::start(&["--save", "", "--enable-debug-command", "yes"]);
    assert_eq!(replay(server.port()), Vec::<String>::new());
}

#[test]
fn a_real_server_answers_as_the_transcripts_say() {
    let Some(real) = RealServer::start(&["--save", ""]) else { return };
    assert_eq!(replay(real.port), Vec::<String>::new());
}
