//! The changes that leave the server: the effects of each unit, in order, for every reader.
//!
//! A unit is what one client command did, with everything nested in it. Its effects are collected
//! while it runs ([`Propagation`]) and encoded once, as RESP, at its end; the bytes lie in one
//! stream ([`Backlog`]) that the append-only file and replicas read, each at its own place. While
//! nobody reads, nothing is collected.

mod backlog;
mod effects;

pub use backlog::{Backlog, Block, ReaderId};
pub use effects::{Effect, Propagation, UnitMark};
