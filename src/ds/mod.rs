//! Containers of shared chunks: paged dict, listpack, intset, counted tree.

pub mod intset;
pub mod listpack;
mod counted_tree;
pub mod chunk_list;
mod size_class;
