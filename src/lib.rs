//! pyredis: a Redis-compatible server, one thread per connection, one thread that owns the data.
//!
//! **The one idea**: the server is a state machine that touches nothing. Events go in; bytes and
//! tasks come out. Sockets, files, threads and clocks live on the floors above it. Data walks a
//! one-way street: socket → worker → channel → owner → outbox → socket.
//!
//! The `pub mod` lines below stand in floor order. **A room may import only rooms declared above
//! it**; `tests/tidy.rs` checks every `crate::room` path against this list.
//!
//! | floor | rooms | may know |
//! |---|---|---|
//! | 0 | [`base`], [`ds`] | nothing of Redis |
//! | 1 | [`resp`], [`spec`], [`config`], [`keyspace`] | the vocabulary |
//! | 2 | [`rdb`], [`pubsub`], [`tracking`], [`aof`], [`acl`] | they do not know each other |
//! | 3 | [`server`] | all rooms; runs commands, keeps the books |
//! | 4 | [`commands`] | what users can say, one file per group |
//! | 5 | [`engine`] | the owner thread, its turn, the clocks |
//! | 6 | [`net`], [`link`] | sockets and worker threads; connections to other servers |
//! | roof | [`daemon`] | processes, signals, the PID file, the log |

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
// Floor 2: parts that do not know each other.
pub mod rdb;
pub mod pubsub;
pub mod tracking;
pub mod aof;
pub mod acl;
// Floor 3: the one who knows all rooms.
pub mod server;
// Floor 4: what users can say.
pub mod commands;
// Floor 5: the owner thread.
pub mod engine;
// Floor 6: threads that touch the world.
pub mod net;
pub mod link;
// Roof.
pub mod daemon;
