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
//! | `trim` | how trimming is asked for |
//! | `propagated` | what repeats a change of a group elsewhere |
//! | `consumers` | how consumers are found and added |

mod answers;
mod consumers;
pub mod groups;
mod ids;
pub mod info;
pub mod log;
#[cfg(test)]
mod log_tests;
pub mod pending;
#[cfg(test)]
mod pending_tests;
mod propagated;
pub mod read;
#[cfg(test)]
mod read_tests;
mod trim;
