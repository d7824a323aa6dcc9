//! The `pyredis` program: hands the command line to [`pyredis::daemon`].

use pyredis::base::alloc::Counting;
use std::ffi::OsString;
use std::process::ExitCode;

/// Small allocations from many threads, freed by others: what mimalloc is made for.
#[global_allocator]
static ALLOCATOR: Counting<mimalloc::MiMalloc> = Counting(mimalloc::MiMalloc);

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    ExitCode::from(pyredis::daemon::main(&args))
}
