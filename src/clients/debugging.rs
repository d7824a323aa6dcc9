//! SCRIPT DEBUG: what the server keeps of a client whose scripts are debugged.

use crate::resp::Requests;
use std::collections::VecDeque;

/// A client whose next script is debugged, or whose script is debugged now.
#[derive(Debug)]
pub struct Debugging {
    /// What becomes of the changes.
    pub changes: DebuggedChanges,
    /// Its script runs: what it sends are commands of the debugger.
    pub is_under_way: bool,
    /// Lines that it has yet to be told, at the end.
    pub untold: Vec<Vec<u8>>,
    /// Its connection has ended.
    pub is_gone: bool,
    commands: VecDeque<Vec<Vec<u8>>>,
    /// It has sent what is no command, behind those.
    is_broken: bool,
    /// The memory of its commands, bytes.
    bytes: usize,
}

/// What becomes of the changes of a script that is debugged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DebuggedChanges {
    /// They are undone at the end: SCRIPT DEBUG YES.
    Undone,
    /// They stay: SCRIPT DEBUG SYNC.
    Kept,
}

/// What a client has sent to the debugger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    /// A command, word by word.
    Command(Vec<Vec<u8>>),
    /// What is no command.
    Garbage,
}

impl Debugging {
    /// The next script is debugged.
    #[must_use]
    pub fn new(changes: DebuggedChanges) -> Self {
        Debugging {
            changes,
            is_under_way: false,
            untold: Vec::new(),
            is_gone: false,
            commands: VecDeque::new(),
            is_broken: false,
            bytes: 0,
        }
    }

    /// Keeps what the client has sent. Returns the bytes of what waits now.
    pub fn receive(&mut self, batch: &Requests) -> usize {
        for index in 0..batch.len() {
            let words: Vec<Vec<u8>> = batch.get(index).iter().map(<[u8]>::to_vec).collect();
            self.bytes += weight(&words);
            self.commands.push_back(words);
        }
        self.is_broken |= batch.failure.is_some();
        self.bytes
    }

    /// True when its connection has ended, and all that it has sent is taken.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.is_gone && self.commands.is_empty() && !self.is_broken
    }

    /// Takes the oldest of what the client has sent.
    pub fn take(&mut self) -> Option<Sent> {
        if let Some(words) = self.commands.pop_front() {
            self.bytes -= weight(&words);
            return Some(Sent::Command(words));
        }
        std::mem::take(&mut self.is_broken).then_some(Sent::Garbage)
    }
}

/// The memory of a command, bytes.
fn weight(words: &[Vec<u8>]) -> usize {
    words.iter().map(|word| size_of::<Vec<u8>>() + word.capacity()).sum::<usize>() + size_of::<Vec<Vec<u8>>>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::OwnedArgv;

    #[test]
    fn what_was_sent_comes_in_order_and_garbage_last() {
        let mut debugging = Debugging::new(DebuggedChanges::Kept);
        let mut batch = Requests::single(OwnedArgv::from_parts([&b"b"[..], b"3"]));
        assert!(debugging.receive(&batch) > 2);
        batch.failure = Some(Box::new(crate::resp::Failure::new("ERR Protocol error".to_owned(), b"?")));
        debugging.receive(&batch);
        let command = Some(Sent::Command(vec![b"b".to_vec(), b"3".to_vec()]));
        assert_eq!((debugging.take(), debugging.take()), (command.clone(), command));
        assert_eq!((debugging.take(), debugging.take()), (Some(Sent::Garbage), None));
        assert_eq!(debugging.bytes, 0);
    }
}
