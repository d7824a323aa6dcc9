//! The CPUs that threads run on, as `server_cpulist`, `bio_cpulist`, `aof_rewrite_cpulist` and
//! `bgsave_cpulist` say.
//!
//! A thread inherits the CPUs of the one that started it, so the first thread is pinned for the
//! server as a whole, and a thread with a list of its own pins itself when it begins. Redis ignores
//! a list that it cannot read; here the log says so.

use super::os;
use crate::config::Text;

/// Makes a thread's work begin with pinning it to `list`; an empty one leaves it where it is.
pub fn pinned<T, F: FnOnce() -> T>(list: &Text, work: F) -> impl FnOnce() -> T + use<T, F> {
    let list = list.clone();
    move || {
        pin(&list);
        work()
    }
}

/// Pins the calling thread, and those it starts from now on, to the CPUs of `list`.
pub fn pin(list: &Text) {
    if list.is_empty() {
        return;
    }
    match parse(&list.to_str()).map(|cpus| os::pin_thread(&cpus)) {
        Some(Ok(())) => {}
        Some(Err(error)) => log::warn!("Can't run on the CPUs {list}: {error}"),
        None => log::warn!("Can't run on the CPUs {list}: that is no list such as 0,2 or 0-3 or 0-7:2"),
    }
}

/// Reads numbers, ranges and ranges with a step, separated by commas or spaces. Source: taskset(1).
fn parse(list: &str) -> Option<Vec<usize>> {
    let mut cpus = Vec::new();
    for item in list.split([',', ' ']).filter(|item| !item.is_empty()) {
        let (range, step) = item.split_once(':').unwrap_or((item, "1"));
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        let step: usize = step.parse().ok()?;
        if first > last || last >= os::MAX_CPUS || step == 0 {
            return None;
        }
        cpus.extend((first..=last).step_by(step));
    }
    (!cpus.is_empty()).then_some(cpus)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn lists_are_numbers_ranges_and_steps() {
        for (list, cpus) in [
            ("0", Some(&[0][..])),
            ("0,2,3", Some(&[0, 2, 3])),
            ("0 2", Some(&[0, 2])),
            ("0-2,5", Some(&[0, 1, 2, 5])),
            ("1-7:3", Some(&[1, 4, 7])),
            ("3-3", Some(&[3])),
            ("1023", Some(&[1023])),
            ("1024", None),
            ("0-18446744073709551615", None),
            ("2-1", None),
            ("0-7:0", None),
            ("a", None),
            ("-1", None),
            (", ,", None),
        ] {
            assert_eq!(parse(list).as_deref(), cpus, "{list}");
        }
    }

    #[test]
    fn a_thread_runs_where_its_list_says_and_its_starter_stays_where_it_was() {
        let all = os::cpus_of_thread();
        for cpu in &all {
            let work = pinned(&Text::from(cpu.to_string().as_str()), os::cpus_of_thread);
            assert_eq!(thread::spawn(work).join().unwrap(), [*cpu]);
        }
        for list in ["", "nonsense"] {
            assert_eq!(thread::spawn(pinned(&Text::from(list), os::cpus_of_thread)).join().unwrap(), all);
        }
        assert_eq!(os::cpus_of_thread(), all);
    }
}
