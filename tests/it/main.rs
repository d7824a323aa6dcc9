//! Whole-process tests: real processes, real sockets.

mod daemon;
mod differential;
mod info;
mod persistence;
mod rdb;
mod sessions;
mod support;
mod wire;
