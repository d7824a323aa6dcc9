//! The `pyredis` program: hands the command line to [`pyredis::daemon`].

use pyredis::base::alloc::{Counting, Mimalloc};
use std::ffi::OsString;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: Counting<Mimalloc> = Counting(Mimalloc);

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    ExitCode::from(pyredis::daemon::main(&args))
}
