//! The few system calls std has no safe door for: fork, setsid, rlimits, local time, pidfd.
//!
//! The only file of the daemon where `unsafe` is allowed. Each function checks what its call
//! demands, turns the result into an `io::Result` and hands out nothing raw; no policy lives here.
#![allow(unsafe_code)]

use std::fs::{self, OpenOptions};
use std::io::{self, PipeWriter, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::thread;
use std::time::Duration;

/// Moves the environment to the heap, so that nobody reads the memory it was handed over in.
/// Returns false, and moves nothing, unless this process has exactly one thread.
pub(crate) fn move_environment() -> bool {
    if !fs::read_dir("/proc/self/task").is_ok_and(|tasks| tasks.count() == 1) {
        return false;
    }
    for (name, value) in std::env::vars_os() {
        // An entry that is no variable stays where it is: nobody can ask for it.
        if !name.is_empty() && !name.as_encoded_bytes().contains(&b'=') {
            // SAFETY: there is no other thread, so nobody reads or changes the environment
            // meanwhile.
            unsafe { std::env::set_var(&name, &value) };
        }
    }
    true
}

/// The side of a fork that the caller finds itself on.
pub(crate) enum Side {
    /// The process that called fork; the number is the child's PID.
    Parent(u32),
    /// The new process.
    Child,
}

/// Splits this process in two. Errors unless it has exactly one thread.
pub(crate) fn fork() -> io::Result<Side> {
    // A thread that was joined may be listed for another moment.
    let mut patience = 200;
    while fs::read_dir("/proc/self/task")?.count() != 1 {
        if patience == 0 {
            return Err(io::Error::other("can't fork a process that has several threads"));
        }
        patience -= 1;
        thread::sleep(Duration::from_millis(5));
    }
    // SAFETY: this process has one thread (checked above, and a single thread cannot start another
    // behind its own back), so the child inherits no lock held by a thread it does not have.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Side::Child),
        child => Ok(Side::Parent(child.cast_unsigned())),
    }
}

/// Makes this process the leader of a new session, without a terminal.
pub(crate) fn new_session() -> io::Result<()> {
    // SAFETY: takes no pointer and touches no memory.
    if unsafe { libc::setsid() } == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Points stdin, stdout and stderr at /dev/null.
pub(crate) fn close_standard_streams() -> io::Result<()> {
    let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    for stream in 0..=2 {
        // SAFETY: both numbers are open descriptors; 0, 1 and 2 are owned by nobody in Rust's eyes,
        // and whoever writes to them later writes to /dev/null.
        if unsafe { libc::dup2(null.as_raw_fd(), stream) } == -1 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Closes every descriptor above the standard streams but one. Descriptors without the
/// close-on-exec flag come from whoever started us (the lock file of a script, say) and must not
/// live on in a daemon.
///
/// To be called right after [`fork`], when nothing in this process owns a descriptor but `kept`.
pub(crate) fn close_inherited(kept: BorrowedFd<'_>) {
    let kept = kept.as_raw_fd().cast_unsigned();
    for (first, last) in [(3, kept - 1), (kept + 1, u32::MAX)] {
        if first <= last {
            // SAFETY: takes integers. By the rule above no owner of a closed descriptor is left.
            // Kernels before 5.9 refuse, and the descriptors stay: untidy, not unsafe.
            unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
        }
    }
}

/// Waits for a child of this process and says how it ended.
pub(crate) fn wait_for_child(pid: u32) -> io::Result<ExitStatus> {
    let mut status = 0;
    loop {
        // SAFETY: `status` is a valid place for the one integer the call writes.
        if unsafe { libc::waitpid(pid.cast_signed(), &raw mut status, 0) } != -1 {
            return Ok(ExitStatus::from_raw(status));
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// Has the number of a fault signal written to `note`, as one byte, after whatever handler was
/// there before.
///
/// Rust's own handler was: it aborts on a stack overflow, and for any other fault restores the
/// default action, so that a real fault still ends the process where it happens.
pub(crate) fn note_fault(signal: u8, note: PipeWriter) -> io::Result<()> {
    let action = move || {
        // A full pipe or an interrupted write: somebody has been told already, or never will be.
        let _ = (&note).write(&[signal]);
    };
    // SAFETY: the action may run in the middle of anything, so it does what is allowed there: one
    // write(2). Returning from it is right, see above.
    unsafe { signal_hook_registry::register_signal_unchecked(signal.into(), action) }.map(drop)
}

/// A process held by a descriptor, so that a signal cannot reach another one that got its number.
pub(crate) struct ProcessHandle {
    pid: libc::pid_t,
    /// None on kernels before 5.3, where only the number is left.
    pidfd: Option<OwnedFd>,
}

impl ProcessHandle {
    /// Takes hold of a living process. Errors with `ESRCH` when there is none of this number.
    pub(crate) fn open(pid: u32) -> io::Result<Self> {
        let pid = libc::pid_t::try_from(pid).map_err(io::Error::other)?;
        if pid <= 0 {
            return Err(io::Error::other("not the number of a process"));
        }
        // SAFETY: takes two integers; a result other than -1 is a new descriptor nobody else owns.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        if fd >= 0 {
            // SAFETY: as above; the number fits, as every descriptor is a C int.
            let pidfd = unsafe { OwnedFd::from_raw_fd(fd as libc::c_int) };
            return Ok(Self { pid, pidfd: Some(pidfd) });
        }
        match io::Error::last_os_error() {
            error if error.raw_os_error() == Some(libc::ESRCH) => Err(error),
            _ => Ok(Self { pid, pidfd: None }),
        }
    }

    /// Sends SIGTERM.
    pub(crate) fn terminate(&self) -> io::Result<()> {
        let result = match &self.pidfd {
            // SAFETY: the descriptor is a pidfd; the null pointer asks for default signal details.
            Some(pidfd) => unsafe {
                libc::syscall(
                    libc::SYS_pidfd_send_signal,
                    pidfd.as_raw_fd(),
                    libc::SIGTERM,
                    std::ptr::null::<libc::siginfo_t>(),
                    0,
                )
            },
            // SAFETY: takes two integers; `pid` is positive, so no process group is meant.
            None => libc::c_long::from(unsafe { libc::kill(self.pid, libc::SIGTERM) }),
        };
        if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

/// A resource whose limit can be read and raised.
#[derive(Clone, Copy)]
pub(crate) enum Resource {
    /// Open file descriptors of this process.
    OpenFiles,
    /// Threads of this user.
    Threads,
}

/// A soft limit, which counts, and the hard limit it may be raised to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limit {
    pub(crate) soft: u64,
    pub(crate) hard: u64,
}

/// Reads a resource limit of this process.
pub(crate) fn limit(resource: Resource) -> io::Result<Limit> {
    let mut limit = MaybeUninit::<libc::rlimit>::uninit();
    // SAFETY: the pointer is valid for one rlimit.
    if unsafe { libc::getrlimit(number(resource), limit.as_mut_ptr()) } == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded, so it has written the whole struct.
    let limit = unsafe { limit.assume_init() };
    Ok(Limit { soft: limit.rlim_cur, hard: limit.rlim_max })
}

/// Sets a resource limit of this process.
pub(crate) fn set_limit(resource: Resource, limit: Limit) -> io::Result<()> {
    let limit = libc::rlimit { rlim_cur: limit.soft, rlim_max: limit.hard };
    // SAFETY: the pointer is valid for one initialised rlimit.
    if unsafe { libc::setrlimit(number(resource), &raw const limit) } == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

fn number(resource: Resource) -> libc::__rlimit_resource_t {
    match resource {
        Resource::OpenFiles => libc::RLIMIT_NOFILE,
        Resource::Threads => libc::RLIMIT_NPROC,
    }
}

/// True when this process runs as root.
pub(crate) fn is_root() -> bool {
    // SAFETY: takes no pointer and cannot fail.
    unsafe { libc::geteuid() == 0 }
}

/// A moment in the local time zone, as log lines print it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LocalTime {
    pub(crate) year: i32,
    /// 0 is January.
    pub(crate) month: usize,
    pub(crate) day: i32,
    pub(crate) hour: i32,
    pub(crate) minute: i32,
    pub(crate) second: i32,
}

/// Translates seconds since 1970 into the local time zone, daylight saving included.
pub(crate) fn local_time(unix_secs: i64) -> LocalTime {
    let mut parts = MaybeUninit::<libc::tm>::zeroed();
    // SAFETY: both pointers are valid. The call reads the environment variable TZ; nothing in this
    // program changes the environment. All-zero is a valid `tm`, so a failed call reads as zeros.
    let parts = unsafe {
        libc::localtime_r(&raw const unix_secs, parts.as_mut_ptr());
        parts.assume_init()
    };
    LocalTime {
        year: parts.tm_year + 1900,
        month: usize::try_from(parts.tm_mon).unwrap_or(0),
        day: parts.tm_mday,
        hour: parts.tm_hour,
        minute: parts.tm_min,
        second: parts.tm_sec,
    }
}

/// CPU time of the process, microseconds: outside the kernel, inside it.
pub(crate) fn cpu_times_us() -> (u64, u64) {
    usage_us(libc::RUSAGE_SELF)
}

/// CPU time of the calling thread, microseconds: outside the kernel, inside it.
pub(crate) fn thread_cpu_times_us() -> (u64, u64) {
    usage_us(libc::RUSAGE_THREAD)
}

fn usage_us(whose: libc::c_int) -> (u64, u64) {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the kernel fills the struct it is given, which all zeroes are valid for too.
    let usage = unsafe {
        libc::getrusage(whose, usage.as_mut_ptr());
        usage.assume_init()
    };
    let us = |time: libc::timeval| (time.tv_sec as u64) * 1_000_000 + time.tv_usec as u64;
    (us(usage.ru_utime), us(usage.ru_stime))
}

/// The system, its release and the machine, as `uname -srm` prints them.
pub(crate) fn name() -> String {
    let mut name = std::mem::MaybeUninit::<libc::utsname>::zeroed();
    // SAFETY: the kernel fills the struct with texts that end in NUL; all zeroes are valid too.
    let name = unsafe {
        libc::uname(name.as_mut_ptr());
        name.assume_init()
    };
    let text = |field: &[libc::c_char]| -> String {
        field.iter().take_while(|&&byte| byte != 0).map(|&byte| char::from(byte.cast_unsigned())).collect()
    };
    format!("{} {} {}", text(&name.sysname), text(&name.release), text(&name.machine))
}

/// Bytes of a page of memory.
pub(crate) fn page_bytes() -> u64 {
    // SAFETY: reads a number.
    u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
}

/// Memory of the machine, bytes.
pub(crate) fn memory_bytes() -> u64 {
    // SAFETY: reads a number.
    u64::try_from(unsafe { libc::sysconf(libc::_SC_PHYS_PAGES) }).unwrap_or(0) * page_bytes()
}
