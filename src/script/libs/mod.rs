//! The libraries of scripts, each in a file: `open` makes its table.

pub mod bit;
