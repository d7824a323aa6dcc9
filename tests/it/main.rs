//! Whole-process tests: real processes, real sockets.

mod acl;
mod aof;
mod aof_load;
mod aof_start;
mod check_aof;
mod cli;
mod config;
mod debugger;
mod daemon;
mod differential;
mod flood;
mod functions;
mod info;
mod kill;
mod log_lines;
mod persistence;
mod pid_file;
mod maxmemory;
mod migrate;
mod rdb;
mod scripts;
mod sessions;
mod start;
mod support;
mod wire;
