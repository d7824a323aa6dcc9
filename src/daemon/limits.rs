//! May this process have as many clients as it is configured for? Asked before it accepts the
//! first.
//!
//! Every client costs one descriptor and one thread, and every thread four memory maps (its stack,
//! the stack of its signal handlers, and the guard page below each). The system bounds all three:
//! `ulimit -n`; `ulimit -u`, `threads-max`, `pid_max` and the cgroup's `pids.max`; `max_map_count`.
//! Limits that may be raised are raised; where that is not enough the limit of clients comes down,
//! with a line in the log for each reason. Finding out in the middle of a busy day, when a thread
//! cannot be started, would be too late.
//!
//! [`plan`] decides from [`Facts`] and is pure; [`apply`] gathers the facts and acts.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::sys::{self, Limit, Resource};

/// Descriptors and threads the server needs for itself: listeners, files, log, owner, savers.
pub const RESERVED: u64 = 32;
/// The stack of a worker, the one of its signal handlers, and their guard pages.
const MAPS_PER_THREAD: u64 = 4;
/// Memory maps the allocator, the libraries and the data need beside the stacks.
const RESERVED_MAPS: u64 = 4096;

/// The limits of the system, as far as it tells them.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    open_files: Limit,
    /// `ulimit -u`; root is exempt.
    user_threads: Option<Limit>,
    /// The threads of this user's other processes, which count too.
    other_threads: u64,
    /// The least of `threads-max`, `pid_max` and what the cgroup has left.
    system_threads: Option<u64>,
    /// `max_map_count`.
    memory_maps: Option<u64>,
}

/// The things to do.
#[derive(Debug, PartialEq, Eq)]
pub struct Plan {
    /// The number of clients there is room for, at most what was asked for.
    pub max_clients: u32,
    /// Soft limits to set.
    raise: Vec<(ResourceName, u64)>,
    /// Lines for the log, level warning.
    pub warnings: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ResourceName {
    OpenFiles,
    UserThreads,
}

/// Nothing that could be called a server fits into the limits. The text is Redis's.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "Your current 'ulimit -n' of {have} is not enough for the server to start. Please increase your open file \
     limit to at least {need}. Exiting."
)]
pub struct TooFewFiles {
    have: u64,
    need: u64,
}

/// Raises what may be raised and says how many clients there is room for.
pub fn apply(max_clients: u32) -> Result<Plan, TooFewFiles> {
    let mut facts = Facts::gather();
    facts.raise_hard_limits(u64::from(max_clients) + RESERVED);
    let mut plan = plan(max_clients, &facts)?;
    // A hard limit may be a promise the system does not keep; then what is in force counts.
    for (name, soft) in std::mem::take(&mut plan.raise) {
        let (resource, limit) = match name {
            ResourceName::OpenFiles => (Resource::OpenFiles, &mut facts.open_files),
            ResourceName::UserThreads => match &mut facts.user_threads {
                Some(limit) => (Resource::Threads, limit),
                None => continue,
            },
        };
        if sys::set_limit(resource, Limit { soft, hard: limit.hard.max(soft) }).is_err() {
            limit.hard = limit.soft;
        } else {
            limit.soft = soft;
        }
    }
    self::plan(max_clients, &facts)
}

/// Decides from facts alone.
pub fn plan(max_clients: u32, facts: &Facts) -> Result<Plan, TooFewFiles> {
    let mut plan = Plan { max_clients, raise: Vec::new(), warnings: Vec::new() };
    let need = u64::from(max_clients) + RESERVED;

    let files = reachable(facts.open_files, need, ResourceName::OpenFiles, &mut plan);
    if files <= RESERVED {
        return Err(TooFewFiles { have: files, need });
    }
    if files < need {
        plan.warnings.push(format!(
            "You requested maxclients of {max_clients} requiring at least {need} max file descriptors."
        ));
        plan.max_clients = fit(plan.max_clients, files - RESERVED);
        plan.warnings.push(format!(
            "Current maximum open files is {files}. maxclients has been reduced to {} to compensate for low ulimit. \
             If you need higher maxclients increase 'ulimit -n'.",
            plan.max_clients
        ));
    }

    if let Some(limit) = facts.user_threads {
        let threads = reachable(limit, need + facts.other_threads, ResourceName::UserThreads, &mut plan);
        lower(
            &mut plan,
            threads.saturating_sub(RESERVED + facts.other_threads),
            threads,
            "threads of this user",
            "increase 'ulimit -u'",
        );
    }
    if let Some(threads) = facts.system_threads {
        let advice = "increase kernel.threads-max, kernel.pid_max or the cgroup's pids.max";
        lower(&mut plan, threads.saturating_sub(RESERVED), threads, "threads", advice);
    }
    if let Some(maps) = facts.memory_maps {
        let room = (maps.saturating_sub(RESERVED_MAPS) / MAPS_PER_THREAD).saturating_sub(RESERVED);
        lower(&mut plan, room, maps, "memory maps", "increase vm.max_map_count");
    }
    Ok(plan)
}

/// The soft limit that will be in force, after raising it as far as is needed and allowed.
fn reachable(limit: Limit, need: u64, name: ResourceName, plan: &mut Plan) -> u64 {
    let wanted = need.min(limit.hard);
    if limit.soft >= wanted {
        return limit.soft;
    }
    plan.raise.push((name, wanted));
    wanted
}

fn lower(plan: &mut Plan, room: u64, have: u64, what: &str, advice: &str) {
    if u64::from(plan.max_clients) <= room {
        return;
    }
    plan.max_clients = fit(plan.max_clients, room.max(1));
    plan.warnings.push(format!(
        "Current maximum of {what} is {have}. maxclients has been reduced to {} to compensate, as every client has \
         a thread. If you need higher maxclients {advice}.",
        plan.max_clients
    ));
}

fn fit(max_clients: u32, room: u64) -> u32 {
    u32::try_from(room).map_or(max_clients, |room| max_clients.min(room))
}

impl Facts {
    fn gather() -> Self {
        // Without an answer the limit is taken as generous: the system will refuse in its own time.
        let generous = Limit { soft: u64::MAX, hard: u64::MAX };
        let user_threads = sys::limit(Resource::Threads).ok().filter(|_| !sys::is_root());
        Self {
            open_files: sys::limit(Resource::OpenFiles).unwrap_or(generous),
            user_threads,
            other_threads: user_threads.map_or(0, |_| other_threads()),
            system_threads: [
                number_in(Path::new("/proc/sys/kernel/threads-max")),
                number_in(Path::new("/proc/sys/kernel/pid_max")),
                cgroup_room(),
            ]
            .into_iter()
            .flatten()
            .min(),
            memory_maps: number_in(Path::new("/proc/sys/vm/max_map_count")),
        }
    }

    /// Root may go beyond the hard limits; for everybody else this changes nothing.
    fn raise_hard_limits(&mut self, need: u64) {
        let limits = [
            (Resource::OpenFiles, need, Some(&mut self.open_files)),
            (Resource::Threads, need + self.other_threads, self.user_threads.as_mut()),
        ];
        for (resource, need, limit) in limits {
            let wanted = Limit { soft: need, hard: need };
            if let Some(limit) = limit.filter(|limit| limit.hard < need)
                && sys::set_limit(resource, wanted).is_ok()
            {
                *limit = wanted;
            }
        }
    }
}

/// The number a file consists of. None for `max`, and where there is no such file.
fn number_in(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// The number of threads that run for the user of this process outside of it.
fn other_threads() -> u64 {
    let Ok(own) = fs::metadata("/proc/self") else { return 0 };
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten().filter(|process| {
        let number = process.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
        number.is_some_and(|number| number != std::process::id())
            && process.metadata().is_ok_and(|process| process.uid() == own.uid())
    });
    processes.map(|process| tasks_in(&process.path())).sum()
}

/// The threads of the process in this folder of `/proc`; none when it has ended.
fn tasks_in(process: &Path) -> u64 {
    fs::read_dir(process.join("task")).map_or(0, |tasks| tasks.count() as u64)
}

/// The number of tasks that this process may have by its control group and every group around it:
/// those it has and those there is room for.
fn cgroup_room() -> Option<u64> {
    let groups = cgroup_folders(&fs::read_to_string("/proc/self/cgroup").ok()?);
    let own = tasks_in(Path::new("/proc/self"));
    let rooms = groups.iter().filter_map(|folder| {
        let max = number_in(&folder.join("pids.max"))?;
        Some((max + own).saturating_sub(number_in(&folder.join("pids.current")).unwrap_or(own)))
    });
    rooms.min()
}

/// The folders that may bound the number of tasks: of version 2 (`0::/a/b`) and version 1
/// (`8:pids:/a/b`), each with all folders above, since every one of them has its own limit.
fn cgroup_folders(proc_self_cgroup: &str) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for line in proc_self_cgroup.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else {
            continue;
        };
        let root = match controllers {
            "" => "/sys/fs/cgroup",
            _ if controllers.split(',').any(|controller| controller == "pids") => "/sys/fs/cgroup/pids",
            _ => continue,
        };
        let inside = Path::new(path.trim_start_matches('/'));
        folders.extend(inside.ancestors().map(|ancestor| Path::new(root).join(ancestor)));
    }
    folders
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLENTY: u64 = 1_000_000;

    fn facts() -> Facts {
        let files = Limit { soft: 20_000, hard: 20_000 };
        Facts {
            open_files: files,
            user_threads: None,
            other_threads: 0,
            system_threads: Some(PLENTY),
            memory_maps: Some(PLENTY),
        }
    }

    #[test]
    fn enough_of_everything_changes_nothing() {
        let plan = plan(10_000, &facts()).unwrap();
        assert_eq!(plan, Plan { max_clients: 10_000, raise: vec![], warnings: vec![] });
    }

    #[test]
    fn soft_limits_are_raised_no_further_than_needed() {
        let limit = Limit { soft: 1024, hard: 500_000 };
        let plan = plan(10_000, &Facts { open_files: limit, user_threads: Some(limit), ..facts() }).unwrap();
        assert_eq!(plan.max_clients, 10_000);
        assert_eq!(plan.raise, [(ResourceName::OpenFiles, 10_032), (ResourceName::UserThreads, 10_032)]);
        assert!(plan.warnings.is_empty());
    }

    #[test]
    fn few_files_lower_maxclients_in_the_words_of_redis() {
        let plan = plan(10_000, &Facts { open_files: Limit { soft: 400, hard: 500 }, ..facts() }).unwrap();
        assert_eq!(plan.max_clients, 468);
        assert_eq!(plan.raise, [(ResourceName::OpenFiles, 500)]);
        assert_eq!(
            plan.warnings,
            [
                "You requested maxclients of 10000 requiring at least 10032 max file descriptors.",
                "Current maximum open files is 500. maxclients has been reduced to 468 to compensate for low \
                 ulimit. If you need higher maxclients increase 'ulimit -n'."
            ]
        );
    }

    #[test]
    fn no_room_for_a_single_client_is_an_error() {
        let error = plan(10_000, &Facts { open_files: Limit { soft: 20, hard: 20 }, ..facts() }).unwrap_err();
        assert_eq!(
            error.to_string(),
            "Your current 'ulimit -n' of 20 is not enough for the server to start. Please increase your open file \
             limit to at least 10032. Exiting."
        );
    }

    #[test]
    fn threads_and_maps_lower_maxclients_too() {
        let few = Limit { soft: 1032, hard: 1032 };
        for (facts, expected, word) in [
            (Facts { user_threads: Some(few), ..facts() }, 1000, "ulimit -u"),
            (Facts { system_threads: Some(2032), ..facts() }, 2000, "pids.max"),
            (Facts { user_threads: Some(few), other_threads: 400, ..facts() }, 600, "ulimit -u"),
            (Facts { memory_maps: Some(RESERVED_MAPS + 4 * 3032), ..facts() }, 3000, "vm.max_map_count"),
            (Facts { memory_maps: Some(65_530), ..facts() }, 15_326, "vm.max_map_count"),
            (Facts { system_threads: Some(3), ..facts() }, 1, "pids.max"),
        ] {
            let plan = plan(16_000, &facts).unwrap();
            assert_eq!(plan.max_clients, expected);
            assert_eq!(plan.warnings.len(), 1);
            assert!(plan.warnings[0].contains(&format!("reduced to {expected} ")), "{:?}", plan.warnings);
            assert!(plan.warnings[0].contains(word), "{:?}", plan.warnings);
        }
    }

    #[test]
    fn default_kernel_settings_have_room_for_the_default_limit() {
        let facts = Facts { memory_maps: Some(65_530), system_threads: Some(32_768), ..facts() };
        assert_eq!(plan(10_000, &facts).unwrap().max_clients, 10_000);
    }

    #[test]
    fn control_groups_of_both_versions_are_found_up_to_the_root() {
        assert_eq!(
            cgroup_folders("8:pids:/a/b\n7:blkio:/c\n3:cpu,pids:/\n0::/d\nnonsense"),
            [
                "/sys/fs/cgroup/pids/a/b",
                "/sys/fs/cgroup/pids/a",
                "/sys/fs/cgroup/pids/",
                "/sys/fs/cgroup/pids/",
                "/sys/fs/cgroup/d",
                "/sys/fs/cgroup/"
            ]
            .map(PathBuf::from)
        );
    }

    #[test]
    fn threads_of_processes_are_counted() {
        let own: Vec<_> = (0..50).map(|_| std::thread::spawn(std::thread::park)).collect();
        assert!(tasks_in(Path::new("/proc/self")) >= 50);
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        assert!(tasks_in(Path::new(&format!("/proc/{}", child.id()))) == 1);
        assert!(other_threads() >= 1);
        child.kill().unwrap();
        child.wait().unwrap();
        own.into_iter().for_each(|thread| {
            thread.thread().unpark();
            thread.join().unwrap();
        });
    }

    #[test]
    fn this_machine_answers() {
        let plan = apply(10).unwrap();
        assert_eq!(plan.max_clients, 10);
    }
}
