//! The group *server*: settings, descriptions, saving, stopping, debugging. One file per subject.

pub mod acl;
pub mod admin;
#[cfg(test)]
mod aof_tests;
#[cfg(test)]
mod aof_unsynced_tests;
#[cfg(test)]
mod clock_tests;
pub mod command;
pub mod config;
pub mod debug;
mod debug_forms;
mod digest;
pub mod info;
pub mod keyspace;
pub mod latency;
#[cfg(test)]
mod ledger_tests;
#[cfg(test)]
mod maxmemory_tests;
pub mod lolwut;
pub mod memory;
pub mod module;
pub mod monitor;
pub mod slowlog;
