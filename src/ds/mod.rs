//! Containers of shared chunks: paged dict, listpack, intset, counted tree.

pub mod intset;
pub mod listpack;
mod size_class;
