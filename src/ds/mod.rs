//! Containers of shared chunks: paged dict, listpack, intset, counted tree.

pub mod chunk_list;
pub(crate) mod counted_tree;
pub mod dict;
pub mod intset;
pub mod listpack;
pub(crate) mod score;
pub mod score_tree;
pub mod shared;
mod size_class;
pub mod sorted_rows;
