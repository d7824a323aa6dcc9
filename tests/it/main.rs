//! Whole-process tests: real processes, real sockets.

mod daemon;
mod sessions;
mod support;
mod wire;
