//! Whole-process tests: real processes, real sockets.

mod daemon;
mod rdb;
mod sessions;
mod support;
mod wire;
