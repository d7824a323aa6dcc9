//! A whole server and its append-only file on a disk that fails. No thread and no real disk.

mod disk;
mod faults;
mod order;
mod world;
