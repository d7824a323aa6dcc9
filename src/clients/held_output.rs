//! Answers of one client that wait until what they tell of is in the file: [`HeldOutput`].

use std::collections::VecDeque;

/// Answers of one client that wait for the disk, each with the offset it waits for.
#[derive(Debug, Default)]
pub struct HeldOutput {
    waiting: VecDeque<(u64, Vec<u8>)>,
    /// Answers that need not wait any longer, and go before everything else.
    released: Vec<u8>,
    bytes: usize,
}

impl HeldOutput {
    /// True when there is nothing, held or just released.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.bytes == 0 && self.waiting.is_empty()
    }

    /// True when nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Returns the bytes of all answers, held or just released.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the number of pieces they are in.
    #[must_use]
    pub fn pieces(&self) -> usize {
        self.waiting.len() + usize::from(!self.released.is_empty())
    }

    /// Holds `output` back until the file has come to `end`, which is no smaller than any before.
    pub fn push(&mut self, end: u64, output: &mut Vec<u8>) {
        self.bytes += output.len();
        self.waiting.push_back((end, std::mem::take(output)));
    }

    /// Answers to commands that changed nothing wait behind those that wait.
    pub fn append(&mut self, output: &mut Vec<u8>) {
        self.bytes += output.len();
        if let Some((_, last)) = self.waiting.back_mut() {
            last.append(output);
        }
    }

    /// The file has come to `offset`.
    pub fn release(&mut self, offset: u64) {
        while let Some((_, mut bytes)) = self.waiting.pop_front_if(|(end, _)| *end <= offset) {
            self.released.append(&mut bytes);
        }
    }

    /// Forgets what waits.
    pub fn drop_waiting(&mut self) {
        self.waiting.clear();
        self.bytes = self.released.len();
    }

    /// Hands what need not wait any longer to `take`.
    pub fn release_into(&mut self, take: impl FnOnce(&mut Vec<u8>)) {
        if !self.released.is_empty() {
            self.bytes -= self.released.len();
            take(&mut self.released);
        }
    }
}
