//! The one who knows all rooms: [`Server`] runs commands and keeps the books.
//!
//! It touches nothing: the engine gives it events ([`Server::connect`], [`Server::requests`],
//! [`Server::disconnect`], [`Server::signal`], …) between [`Server::begin_turn`] and
//! [`Server::end_turn`], and takes bytes ([`Server::take_outputs`]) and [`Task`]s from it. Its only
//! clock is the [`Clock`] it was given.
//!
//! Read [`Ctx`] first (what a handler works with), then `call` (the door every command passes) and
//! `changed` (what follows from a change). A sentence that needs two rooms stands in this room.

mod access;
mod apply_config;
pub mod aof;
mod aof_load;
mod aof_loader;
pub mod args;
mod busy;
mod call;
mod changed;
pub mod client_info;
pub mod client_memory;
pub mod command;
pub mod connection_order;
mod cron;
mod ear;
pub mod ctx;
mod debugging;
pub mod error;
pub mod evict;
mod file_job;
mod gate;
mod held;
pub mod held_changes;
mod hold_back;
mod host;
pub mod info;
mod lazyfree;
mod libraries;
mod loading;
mod machine;
mod login_wait;
mod migrate;
mod migrate_job;
mod saving;
mod script_host;
pub mod memory;
pub mod monitor;
pub mod multi;
mod origin;
mod output;
mod outside;
mod publish;
mod process;
mod protocol_error;
mod rewrite_job;
mod rooms;
pub mod shutdown;
mod small_files;
mod stop;
pub mod task;
mod time;
mod timing;
pub mod tracking;
mod turn;
mod users_file;
mod version;
mod wake;

pub use aof::{Aof, AofOpened, AofState};
pub use args::Args;
pub use command::{Command, CommandTable, Handler, Lookup};
pub use ctx::Ctx;
pub use ear::{BusyServer, Ear};
pub use error::{CommandError, CommandResult};
pub use file_job::{FileJob, FileReport, UsersJob, UsersOutcome, UsersReport, UsersWork, read_users};
pub use host::Host;
pub use host::ProcessFacts;
pub use loading::ReloadSteps;
pub use machine::{Server, Setup};
pub use migrate_job::{Credentials, Direction, MigrateError, MigrateJob, MigrateReport, Target};
pub use origin::Origin;
pub use outside::Outside;
pub use process::Process;
pub use rewrite_job::{RewriteJob, RewriteReport};
pub use rooms::{Persistence, Rooms};
pub use small_files::rewrite_answer;
pub use stop::{News, Shutdown, ShutdownSave, Signal, Stop};
pub use task::Task;
pub use time::{Clock, Time};
pub use version::{PYREDIS_VERSION, REDIS_VERSION, STATION};
