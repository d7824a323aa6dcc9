//! pyredis: a Redis-compatible server, one thread per connection, one thread that owns the data.
//!
//! **The one idea**: the server is a state machine that touches nothing. Events go in; bytes and
//! tasks come out. Sockets, files, threads and clocks live on the floors above it. Data walks a
//! one-way street: socket → worker → channel → owner → outbox → socket.
//!
//! The `pub mod` lines below stand in floor order. **A room may import only rooms declared above
//! it**; `tests/tidy/main.rs` checks every `crate::room` path against this list.
//!
//! | floor | rooms | may know |
//! |---|---|---|
//! | 0 | [`base`], [`ds`] | nothing of Redis |
//! | 1 | [`resp`], [`spec`], [`config`], [`keyspace`] | the vocabulary |
//! | 2 | [`rdb`], [`aof`] | the formats of files |
//! | 3 | [`pubsub`], [`tracking`], [`acl`] | one state each; no two of this floor know each other |
//! | 3 | [`stats`], [`memory`], [`waiting`] | the same: counters, the ledger of memory, who waits |
//! | 3 | [`propagation`] | the same: effects, in one stream that several read |
//! | 3 | [`persistence`] | the same: what is kept on disk, and the one job that writes it |
//! | 3 | [`script`] | the same: Lua, which knows a trait for what it may ask of the server |
//! | 3 | [`clients`] | who is connected, with what the rooms before it keep for each |
//! | 4 | [`server`] | all rooms; runs commands, keeps the books |
//! | 5 | [`commands`] | what users can say, one file per group |
//! | 6 | [`engine`] | the owner thread, its turn, the clocks |
//! | 7 | [`net`], [`link`] | sockets and worker threads; connections to other servers |
//! | roof | [`daemon`] | processes, signals, the PID file, the log |
//!
//! **The owner thread touches no disk.** What can block is a [`server::Task`]: saving, loading, the
//! append-only file, CONFIG REWRITE, ACL SAVE and ACL LOAD, MIGRATE and freeing have threads of
//! their own, and only the client that asked waits. What is left is listed with its reason at
//! [`server::Host`]: the start, DEBUG RELOAD and LOADAOF, the commands about files in a
//! transaction, a change of `dir`, SIGHUP, and the lines of the log.

// The documentation is for those who read the code: it is built with private items, and may point
// to them.
#![allow(rustdoc::private_intra_doc_links)]

// Floor 0: pure; has never heard of Redis.
pub mod base;
pub mod ds;
// Floor 1: vocabulary.
pub mod resp;
pub mod spec;
pub mod config;
pub mod keyspace;
// Floor 2: the formats of files.
pub mod rdb;
pub mod aof;
// Floor 3: rooms with a state; they do not know each other, but for the last.
pub mod pubsub;
pub mod tracking;
pub mod acl;
pub mod stats;
pub mod memory;
pub mod waiting;
pub mod propagation;
pub mod persistence;
pub mod script;
pub mod clients;
// Floor 4: the one who knows all rooms.
pub mod server;
// Floor 5: what users can say.
pub mod commands;
// Floor 6: the owner thread.
pub mod engine;
// Floor 7: threads that touch the world.
pub mod net;
pub mod link;
// Roof.
pub mod daemon;
