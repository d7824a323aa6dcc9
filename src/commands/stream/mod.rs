//! Streams.
//!
//! | file | commands |
//! |---|---|
//! | `log` | XADD XTRIM XDEL XLEN XRANGE XREVRANGE XSETID |
//! | `read` | XREAD XREADGROUP |
//! | `groups` | XGROUP |
//! | `pending` | XACK XPENDING XCLAIM XAUTOCLAIM |
//! | `info` | XINFO |
//! | `ids`, `answers` | how IDs are written, and entries answered |

mod answers;
mod ids;
pub mod log;
mod trimming;
