//! One message for many clients: [`Broadcast`] writes it at most once in each protocol.

use super::reply::{Protocol, Reply};
use std::fmt;

/// A message that is written when the first client of a protocol needs it.
pub struct Broadcast<'w> {
    write: &'w dyn Fn(&mut Reply<'_>),
    written: [Option<Vec<u8>>; 2],
}

impl<'w> Broadcast<'w> {
    /// The message that `write` writes; in a protocol that cannot express it, nothing.
    #[must_use]
    pub fn new(write: &'w dyn Fn(&mut Reply<'_>)) -> Self {
        Broadcast { write, written: [None, None] }
    }

    /// The message in `protocol`.
    pub fn bytes(&mut self, protocol: Protocol) -> &[u8] {
        let write = self.write;
        self.written[protocol as usize].get_or_insert_with(|| {
            let mut bytes = Vec::new();
            write(&mut Reply::new(&mut bytes, protocol));
            bytes
        })
    }
}

impl fmt::Debug for Broadcast<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Broadcast").field("written", &self.written).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn a_message_is_written_once_per_protocol() {
        let times = Cell::new(0);
        let write = |reply: &mut Reply<'_>| {
            times.set(times.get() + 1);
            reply.push(1);
            reply.bulk(b"x");
        };
        let mut message = Broadcast::new(&write);
        for _ in 0..3 {
            assert_eq!(message.bytes(Protocol::Resp2), b"*1\r\n$1\r\nx\r\n");
            assert_eq!(message.bytes(Protocol::Resp3), b">1\r\n$1\r\nx\r\n");
        }
        assert_eq!(times.get(), 2);
    }
}
