//! The libraries of scripts, each in a file: `open` makes its table.

pub mod base;
pub mod bit;
pub mod cjson;
pub mod cmsgpack;
pub mod coroutine;
pub mod math;
mod nest;
mod output;
pub mod structs;
mod work;
