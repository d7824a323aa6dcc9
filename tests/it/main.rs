//! Whole-process tests: real processes, real sockets.
