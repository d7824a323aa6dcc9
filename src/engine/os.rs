//! The few system calls that std and socket2 do not offer safely. The only unsafe code outside
//! containers; each call is a handful of lines over `libc`.
//!
//! Scheduling: under `SCHED_BATCH` a woken thread does not preempt the one that woke it, so a burst
//! of requests gathers into one turn of the owner by itself: 49k → 73–79k requests/s at 50 clients
//! without pipelining (the prototype of docs/performance.md). A short slice, where the kernel takes
//! one (6.12 and later), keeps the tail of the latencies short. Neither needs a privilege. It has a
//! price: of two requests that a busy process writes on two connections, the second may overtake
//! the first even 0.2 ms later (seen: 25-85 % on two cores; 0-50 % with the usual policy, for
//! requests written at once, and next to none later). Workers of subscribers therefore have the
//! usual policy: they seldom send, but UNSUBSCRIBE should come before a PUBLISH that was written
//! after it. So have those of the first few connections: of two BRPOPs that a program writes on two
//! of them the second was first in 25-50 % of cases, and is in 1-5 % (more often on fresh
//! connections). That costs 10 % of the throughput of up to eight clients, and nothing with fifty.
//! Only workers are scheduled in batches. The owner has the usual policy, but the short slice too:
//! a worker on its CPU then waits for 0.3 ms of it instead of 3. With 50 clients on two cores that
//! took the 99th percentile of GET from 3.4 to 2.0 ms without pipelining, in eleven interleaved
//! rounds, and cost no throughput.
#![allow(unsafe_code)]

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use crate::base::time::Arrival;
use crate::clients::Waking;

/// Room for what the kernel tells of a read: a head and a timespec, in words of 8 bytes.
const NOTES_WORDS: usize = 8;
/// Time slice of workers and of the owner.
pub const SLICE: Duration = Duration::from_micros(300);

/// `struct sched_attr` as `sched_setattr(2)` takes it, first version.
#[repr(C)]
struct SchedulingAttributes {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    /// For `SCHED_BATCH` the time slice, nanoseconds; 0 is the kernel's own choice.
    runtime: u64,
    deadline: u64,
    period: u64,
}

/// Makes the calling thread one that does not preempt others when woken, with time slices of
/// `slice`. A setting that the kernel refuses is left as it was: this is about speed only.
pub fn schedule_as_batch(slice: Duration) {
    schedule(0, libc::SCHED_BATCH, slice);
}

/// Gives the calling thread, the owner, short slices.
pub fn schedule_owner() {
    schedule(0, libc::SCHED_OTHER, SLICE);
}

/// Gives a worker thread of this process the policy it begins with, or the usual one. Does nothing
/// when it is gone.
pub fn schedule_worker(thread: i32, waking: Waking) {
    match waking {
        Waking::Gathered => schedule(thread, libc::SCHED_BATCH, SLICE),
        Waking::AtOnce => schedule(thread, libc::SCHED_OTHER, SLICE),
    }
}

/// The calling thread's number, for [`schedule_worker`].
#[must_use]
pub fn thread_number() -> i32 {
    // SAFETY: gettid reads a number and cannot fail.
    unsafe { libc::gettid() }
}

/// 0 is the calling thread.
fn schedule(thread: i32, policy: i32, slice: Duration) {
    // SAFETY: getpriority reads a number; 0 is the calling thread.
    let nice = unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
    let attributes = SchedulingAttributes {
        size: size_of::<SchedulingAttributes>() as u32,
        policy: policy as u32,
        flags: 0,
        nice,
        priority: 0,
        runtime: slice.as_nanos() as u64,
        deadline: 0,
        period: 0,
    };
    // SAFETY: the kernel reads `size` bytes of a live struct laid out as it expects.
    unsafe { libc::syscall(libc::SYS_sched_setattr, thread, &raw const attributes, 0) };
}

/// CPUs are numbered below this.
pub const MAX_CPUS: usize = libc::CPU_SETSIZE as usize;

/// Lets the calling thread, and those it starts from now on, run on these CPUs only. Numbers from
/// [`MAX_CPUS`] on are left out; it is an error if the machine has none of the others.
pub fn pin_thread(cpus: &[usize]) -> io::Result<()> {
    // SAFETY: a set is an array of bits, for which zeros are the empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    for &cpu in cpus.iter().filter(|&&cpu| cpu < MAX_CPUS) {
        // SAFETY: the number is within the set, which nobody else sees.
        unsafe { libc::CPU_SET(cpu, &mut set) };
    }
    // SAFETY: the kernel reads as many bytes as the set has; 0 is the calling thread.
    match unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The CPUs that the calling thread may run on.
#[cfg(test)]
pub fn cpus_of_thread() -> Vec<usize> {
    // SAFETY: as above.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes at most as many bytes as the set has.
    assert_eq!(unsafe { libc::sched_getaffinity(0, size_of_val(&set), &raw mut set) }, 0);
    // SAFETY: the numbers are within the set.
    (0..MAX_CPUS).filter(|&cpu| unsafe { libc::CPU_ISSET(cpu, &set) }).collect()
}

/// Names the calling thread for `top` and `perf`; 15 bytes at most.
pub fn name_thread(name: &CStr) {
    // SAFETY: the name is a C string that lives through the call; longer ones are refused.
    unsafe { libc::pthread_setname_np(libc::pthread_self(), name.as_ptr()) };
}

/// Reads what has arrived at `socket`, without waiting: `WouldBlock` when nothing has.
pub fn receive_now(socket: BorrowedFd<'_>, space: &mut [u8]) -> io::Result<usize> {
    // SAFETY: the kernel writes at most `space.len()` bytes to `space`, which is borrowed for the
    // call.
    let count =
        unsafe { libc::recv(socket.as_raw_fd(), space.as_mut_ptr().cast(), space.len(), libc::MSG_DONTWAIT) };
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}

/// Has the kernel note when bytes arrive at `socket`, for [`receive_with_arrival`].
pub fn note_arrivals(socket: BorrowedFd<'_>) -> io::Result<()> {
    let on: libc::c_int = 1;
    let size = size_of_val(&on) as libc::socklen_t;
    let (level, option) = (libc::SOL_SOCKET, libc::SO_TIMESTAMPNS);
    // SAFETY: the kernel reads `size` bytes of a live number.
    match unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const on).cast(), size) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Reads from `socket`, and tells when the last byte arrived if the kernel has noted it.
pub fn receive_with_arrival(
    socket: BorrowedFd<'_>,
    space: &mut [u8],
) -> io::Result<(usize, Option<Arrival>)> {
    let mut part = libc::iovec { iov_base: space.as_mut_ptr().cast(), iov_len: space.len() };
    let mut notes = [0_u64; NOTES_WORDS];
    // SAFETY: it is made of numbers and pointers, for which zeros are valid.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = (&raw mut notes).cast();
    message.msg_controllen = size_of_val(&notes);
    // SAFETY: the kernel writes to `space` and `notes`, which outlive the call, at most as many
    // bytes as they have.
    let count = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, 0) };
    let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
    Ok((count, noted_arrival(&message)))
}

/// Returns the time that the kernel has noted for a read, if it is a time.
fn noted_arrival(message: &libc::msghdr) -> Option<Arrival> {
    // SAFETY: the kernel has said in `message` how much it has noted, which is still there; what
    // follows the head of a time is a timespec, not always aligned as one.
    let time = unsafe {
        let note = libc::CMSG_FIRSTHDR(message);
        let is_time = !note.is_null()
            && ((*note).cmsg_level, (*note).cmsg_type) == (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS);
        is_time.then(|| libc::CMSG_DATA(note).cast::<libc::timespec>().read_unaligned())
    }?;
    Arrival::from_ns(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}

/// Tells for each of `sockets` if it has bytes to be read, or an end; those that are no sockets
/// have none.
#[must_use]
pub fn unread(sockets: &[i32]) -> Vec<bool> {
    let mut asked: Vec<_> =
        sockets.iter().map(|&fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 }).collect();
    // SAFETY: the kernel reads and writes the live structs of `asked`, as many as it is told. It
    // does not wait.
    unsafe { libc::poll(asked.as_mut_ptr(), asked.len() as libc::nfds_t, 0) };
    asked.iter().map(|socket| socket.revents & (libc::POLLIN | libc::POLLHUP) != 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::testing::wait_until;
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn receive_now_takes_what_is_there_and_never_waits() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut space = [0; 8];
        assert_eq!(receive_now(ours.as_fd(), &mut space).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        theirs.write_all(b"abc").unwrap();
        assert_eq!(receive_now(ours.as_fd(), &mut space).unwrap(), 3);
        assert_eq!(&space[..3], b"abc");
        drop(theirs);
        assert_eq!(receive_now(ours.as_fd(), &mut space).unwrap(), 0);
    }

    #[test]
    fn two_reads_tell_which_bytes_arrived_first() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let pairs = [(); 2].map(|()| {
            let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (ours, _) = listener.accept().unwrap();
            note_arrivals(ours.as_fd()).unwrap();
            (client, ours)
        });
        // The kernel begins a moment after the first socket of the machine wants it.
        wait_until("arrivals are noted", || {
            (&pairs[0].0).write_all(b"x").unwrap();
            receive_with_arrival(pairs[0].1.as_fd(), &mut [0]).unwrap().1.is_some()
        });
        for order in [[0, 1], [1, 0]] {
            order.iter().for_each(|&index| (&pairs[index].0).write_all(b"abc").unwrap());
            let mut space = [0; 8];
            let [early, late] = order.map(|index| {
                let (count, arrival) = receive_with_arrival(pairs[index].1.as_fd(), &mut space).unwrap();
                assert_eq!(&space[..count], b"abc");
                arrival.expect("Linux notes it")
            });
            assert!(early < late, "{early:?} {late:?}");
        }
    }

    #[test]
    fn a_socket_that_does_not_tell_is_read_all_the_same() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(b"abc").unwrap();
        assert_eq!(receive_with_arrival(ours.as_fd(), &mut [0; 8]).unwrap(), (3, None));
        drop(theirs);
        assert_eq!(receive_with_arrival(ours.as_fd(), &mut [0; 8]).unwrap(), (0, None));
    }

    #[test]
    fn unread_bytes_and_ends_are_seen() {
        let pairs = [(); 3].map(|()| UnixStream::pair().unwrap());
        let [(quiet, _peer), (sent, mut sender), (ended, gone)] = pairs;
        sender.write_all(b"abc").unwrap();
        drop(gone);
        let sockets = [quiet.as_raw_fd(), sent.as_raw_fd(), -1, ended.as_raw_fd()];
        assert_eq!(unread(&sockets), [false, true, false, true]);
        assert_eq!(unread(&[]), [false; 0]);
    }

    #[test]
    fn a_thread_can_be_scheduled_as_batch() {
        schedule_as_batch(Duration::from_millis(1));
        // SAFETY: reads the calling thread's policy.
        let policy = || unsafe { libc::sched_getscheduler(0) };
        assert_eq!(policy(), libc::SCHED_BATCH);
        schedule_worker(thread_number(), Waking::AtOnce);
        assert_eq!(policy(), libc::SCHED_OTHER);
        schedule_worker(thread_number(), Waking::Gathered);
        assert_eq!(policy(), libc::SCHED_BATCH);
    }
}
