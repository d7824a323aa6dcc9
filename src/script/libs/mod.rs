//! The libraries of scripts, each in a file: `open` makes its table.

pub mod bit;
pub mod cjson;
pub mod cmsgpack;
mod nest;
mod output;
pub mod structs;
mod work;
