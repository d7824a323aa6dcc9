//! One job at a time: what runs over the data set, what is to run next, and who may begin.
//!
//! There is one walk over the data set, so one job: a snapshot is written, or the append-only file
//! is rewritten. Whoever wants one asks ([`Jobs::ask`]) and is told whether it begins at once, is
//! promised, is scheduled, or is refused. Promised jobs begin in the order they were promised in,
//! scheduled ones when nothing is promised any more; [`Jobs::take_next`] decides at the end of each
//! turn.
//!
//! A rewrite goes through these steps, so that nothing has to be taken back when a file cannot be
//! made:
//!
//! ```text
//! Idle ─ begin ─▶ Preparing ─ the file is there ─▶ Writing ─ base written ─▶ Installing ─▶ Idle
//!                     │   (the data set is fixed here) │                               │
//!                     └──────────── failed ────────────┴───────────────────────────────┘
//! ```

use super::job::SaveReason;
use crate::aof::Manifest;
use crate::base::ClientId;
use std::collections::VecDeque;

/// The job that runs.
#[derive(Debug, Default)]
enum Job {
    #[default]
    Idle,
    /// A snapshot of so many keys is written.
    Saving { reason: SaveReason, keys: u64 },
    /// The append-only file is rewritten.
    Rewriting(RewriteStep),
}

/// The progress of a rewrite.
#[derive(Debug)]
enum RewriteStep {
    /// The file for changes is being made; the manifest that lists it.
    Preparing(Manifest),
    /// The base is being written to this file, by a walk over the data set.
    Writing(String),
    /// The files are getting their names; the manifest that lists them.
    Installing(Manifest),
}

/// A job that somebody wants to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobWish {
    /// SAVE: this client waits for the end.
    Save(ClientId),
    /// FLUSHALL: the file on disk must not bring back what was deleted.
    SaveFlushed,
    /// BGSAVE.
    SaveInBackground,
    /// BGSAVE SCHEDULE.
    ScheduleSave,
    /// A save point is due.
    SavePoint,
    /// BGREWRITEAOF.
    Rewrite,
    /// BGREWRITEAOF in a transaction.
    RewriteInTransaction,
    /// CONFIG SET appendonly yes.
    TurnOnAof,
    /// A scheduled rewrite has waited long enough, or the file has grown.
    RewriteByItself,
}

/// The answer to a [`JobWish`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It begins at once: the caller sees to it.
    Begins,
    /// It begins at the end of a turn, before whatever is wished after it.
    Promised,
    /// It begins at the end of a turn when nothing runs and nothing is promised.
    Scheduled,
    /// A save is in the way: it does not begin.
    RefusedBySave,
    /// A rewrite is in the way: it does not begin.
    RefusedByRewrite,
    /// The server is about to stop: it does not begin.
    RefusedByShutdown,
}

/// The job that begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextJob {
    /// A snapshot.
    Save(SaveReason),
    /// A rewrite of the append-only file.
    Rewrite,
}

/// The job that runs, and those to come. See the module.
#[derive(Debug, Default)]
pub struct Jobs {
    running: Job,
    /// The promised jobs, oldest first: at most one save and one rewrite.
    promised: VecDeque<NextJob>,
    is_save_scheduled: bool,
    is_rewrite_scheduled: bool,
    /// A shutdown has come to its save: nothing begins by itself any more.
    is_shutting_down: bool,
}

impl Jobs {
    /// Takes a wish, and says what becomes of it.
    pub fn ask(&mut self, wish: JobWish) -> Verdict {
        match wish {
            JobWish::Save(client) => self.ask_for_save_of(client),
            JobWish::SaveFlushed if self.is_idle() && !self.is_shutting_down => Verdict::Begins,
            JobWish::SaveFlushed => self.schedule_save(),
            JobWish::SaveInBackground | JobWish::ScheduleSave | JobWish::SavePoint => {
                self.ask_for_background(wish)
            }
            JobWish::Rewrite | JobWish::RewriteInTransaction => self.ask_for_rewrite(wish),
            JobWish::TurnOnAof if self.saving().is_some() || self.is_rewriting() => self.schedule_rewrite(),
            JobWish::TurnOnAof => self.promise(NextJob::Rewrite),
            JobWish::RewriteByItself => self.obstacle().unwrap_or_else(|| self.promise(NextJob::Rewrite)),
        }
    }

    fn ask_for_save_of(&mut self, client: ClientId) -> Verdict {
        if self.saving().is_some() || self.has_promised_save() {
            return Verdict::RefusedBySave;
        }
        if self.is_rewriting() {
            return self.promise(NextJob::Save(SaveReason::Command(client)));
        }
        Verdict::Begins
    }

    fn ask_for_background(&mut self, wish: JobWish) -> Verdict {
        if self.saves_nothing() && wish != JobWish::SavePoint {
            // Redis would have finished the one before by now.
            self.is_save_scheduled = true;
            return Verdict::Promised;
        }
        match self.obstacle() {
            Some(Verdict::RefusedByRewrite) if wish == JobWish::ScheduleSave => self.schedule_save(),
            Some(Verdict::RefusedByShutdown) if wish != JobWish::SavePoint => Verdict::Begins,
            Some(refused) => refused,
            None => Verdict::Begins,
        }
    }

    fn ask_for_rewrite(&mut self, wish: JobWish) -> Verdict {
        if self.is_rewriting() {
            return Verdict::RefusedByRewrite;
        }
        // A save of nothing, as after FLUSHALL, is about to end: it is waited for.
        let is_saving = self.saving().is_some() && !self.saves_nothing();
        if is_saving || self.is_save_scheduled || wish == JobWish::RewriteInTransaction {
            return self.schedule_rewrite();
        }
        self.promise(NextJob::Rewrite)
    }

    /// True when something may begin by itself.
    #[must_use]
    pub fn is_free(&self) -> bool {
        self.obstacle().is_none()
    }

    /// Returns the reason that keeps a job from beginning at once, if there is one.
    fn obstacle(&self) -> Option<Verdict> {
        match self.running {
            Job::Saving { .. } => Some(Verdict::RefusedBySave),
            _ if self.is_rewriting() => Some(Verdict::RefusedByRewrite),
            _ => self.is_shutting_down.then_some(Verdict::RefusedByShutdown),
        }
    }

    fn promise(&mut self, job: NextJob) -> Verdict {
        self.promised.push_back(job);
        Verdict::Promised
    }

    /// Has a background save begin as soon as nothing else runs.
    pub fn schedule_save(&mut self) -> Verdict {
        self.is_save_scheduled = true;
        Verdict::Scheduled
    }

    /// Has a rewrite asked for again ([`JobWish::RewriteByItself`]) as soon as nothing else runs.
    pub fn schedule_rewrite(&mut self) -> Verdict {
        self.is_rewrite_scheduled = true;
        Verdict::Scheduled
    }

    /// No rewrite is scheduled any more.
    pub fn forget_scheduled_rewrite(&mut self) {
        self.is_rewrite_scheduled = false;
    }

    /// The job that begins at the end of this turn, if one does. The caller begins it.
    pub fn take_next(&mut self) -> Option<NextJob> {
        if !self.is_idle_now() {
            return None;
        }
        let promised = self.promised.pop_front();
        let scheduled = NextJob::Save(SaveReason::Background);
        promised.or_else(|| {
            (!self.is_shutting_down && std::mem::take(&mut self.is_save_scheduled)).then_some(scheduled)
        })
    }

    /// True when nothing runs and nothing is promised.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.is_idle_now() && self.promised.is_empty()
    }

    fn is_idle_now(&self) -> bool {
        matches!(self.running, Job::Idle)
    }

    /// Returns the reason why a snapshot is written, if one is.
    #[must_use]
    pub fn saving(&self) -> Option<SaveReason> {
        match self.running {
            Job::Saving { reason, .. } => Some(reason),
            _ => None,
        }
    }

    /// True when the running save has no keys to write, as after FLUSHALL: it is about to end.
    fn saves_nothing(&self) -> bool {
        matches!(self.running, Job::Saving { reason: SaveReason::Background, keys: 0 })
    }

    /// True when SAVE of a client was promised.
    #[must_use]
    pub fn has_promised_save(&self) -> bool {
        self.promised.iter().any(|job| matches!(job, NextJob::Save(_)))
    }

    /// True when a rewrite runs or was promised.
    #[must_use]
    pub fn is_rewriting(&self) -> bool {
        matches!(self.running, Job::Rewriting(_)) || self.promised.contains(&NextJob::Rewrite)
    }

    /// True when a walk over the data set writes a base.
    #[must_use]
    pub fn is_writing_base(&self) -> bool {
        matches!(self.running, Job::Rewriting(RewriteStep::Writing(_)))
    }

    /// True when the files of a rewrite are getting their names.
    #[must_use]
    pub fn is_installing(&self) -> bool {
        matches!(self.running, Job::Rewriting(RewriteStep::Installing(_)))
    }

    /// Returns the reason of the walk under way, if there is one.
    #[must_use]
    pub fn walks_for(&self) -> Option<SaveReason> {
        self.saving().or_else(|| self.is_writing_base().then_some(SaveReason::Rewrite))
    }

    /// True when a rewrite is to begin as soon as nothing else runs.
    #[must_use]
    pub fn is_rewrite_scheduled(&self) -> bool {
        self.is_rewrite_scheduled
    }

    /// True when a shutdown has come to its save.
    #[must_use]
    pub fn is_shutting_down(&self) -> bool {
        self.is_shutting_down
    }

    /// A shutdown has come to its save: nothing begins by itself any more.
    pub fn begin_shutdown(&mut self) {
        self.is_shutting_down = true;
    }

    /// The shutdown was given up.
    pub fn abort_shutdown(&mut self) {
        self.is_shutting_down = false;
    }

    /// A snapshot of `keys` keys begins.
    pub fn begin_save(&mut self, reason: SaveReason, keys: u64) {
        debug_assert!(self.is_idle_now(), "one job at a time: {:?}", self.running);
        self.running = Job::Saving { reason, keys };
    }

    /// The running save has ended or is given up. Returns why it was made, if there was one.
    pub fn end_save(&mut self) -> Option<SaveReason> {
        let reason = self.saving()?;
        self.running = Job::Idle;
        Some(reason)
    }

    /// A rewrite begins whose files `manifest` lists.
    pub fn begin_rewrite(&mut self, manifest: Manifest) {
        debug_assert!(self.is_idle_now(), "one job at a time: {:?}", self.running);
        self.is_rewrite_scheduled = false;
        self.running = Job::Rewriting(RewriteStep::Preparing(manifest));
    }

    /// The file for changes is made, or cannot be: the manifest that lists it, if a rewrite waits
    /// for that.
    pub fn end_preparing(&mut self) -> Option<Manifest> {
        let Job::Rewriting(RewriteStep::Preparing(manifest)) = &mut self.running else { return None };
        let manifest = std::mem::take(manifest);
        self.running = Job::Idle;
        Some(manifest)
    }

    /// The base is written to this file from here on.
    pub fn begin_base(&mut self, path: String) {
        self.running = Job::Rewriting(RewriteStep::Writing(path));
    }

    /// The base is written, or cannot be: its file, if there is one.
    pub fn end_base(&mut self) -> Option<String> {
        let Job::Rewriting(RewriteStep::Writing(path)) = &mut self.running else { return None };
        let path = std::mem::take(path);
        self.running = Job::Idle;
        Some(path)
    }

    /// The files get their names from here on.
    pub fn begin_installing(&mut self, manifest: Manifest) {
        self.running = Job::Rewriting(RewriteStep::Installing(manifest));
    }

    /// The files have their names, or cannot: the manifest that lists them, if a rewrite waits for
    /// that.
    pub fn end_installing(&mut self) -> Option<Manifest> {
        let Job::Rewriting(RewriteStep::Installing(manifest)) = &mut self.running else { return None };
        let manifest = std::mem::take(manifest);
        self.running = Job::Idle;
        Some(manifest)
    }

    /// Gives a rewrite up, running or promised. A rewrite that is being installed stays so: the
    /// files have their names already. Returns whether there was one to give up.
    pub fn cancel_rewrite(&mut self) -> bool {
        let was_wanted = self.is_rewriting();
        self.promised.retain(|job| *job != NextJob::Rewrite);
        if self.is_installing() {
            return false;
        }
        if matches!(self.running, Job::Rewriting(_)) {
            self.running = Job::Idle;
        }
        was_wanted
    }
}

#[cfg(test)]
mod tests {
    use super::Verdict::*;
    use super::*;

    const CLIENT: ClientId = ClientId(7);
    const SAVE: JobWish = JobWish::Save(CLIENT);

    /// Jobs in the state of this name.
    fn jobs(state: &str) -> Jobs {
        let mut jobs = Jobs::default();
        match state {
            "idle" => {}
            "saving" => jobs.begin_save(SaveReason::Background, 1),
            "saving nothing" => jobs.begin_save(SaveReason::Background, 0),
            "save of a client" => jobs.begin_save(SaveReason::Command(CLIENT), 0),
            "promised" => _ = jobs.ask(JobWish::Rewrite),
            "preparing" => jobs.begin_rewrite(Manifest::default()),
            "writing" => jobs.begin_base("temp".to_owned()),
            "installing" => jobs.begin_installing(Manifest::default()),
            "save scheduled" => _ = jobs.schedule_save(),
            "shutting down" => jobs.begin_shutdown(),
            _ => panic!("no state is called {state}"),
        }
        jobs
    }

    #[test]
    fn what_becomes_of_each_wish_in_each_state() {
        let rewriting = ["promised", "preparing", "writing", "installing"];
        let table: &[(&[&str], JobWish, Verdict)] = &[
            (&["idle", "save scheduled", "shutting down"], SAVE, Begins),
            (&["saving", "saving nothing", "save of a client"], SAVE, RefusedBySave),
            (&rewriting, SAVE, Promised),
            (&["idle", "save scheduled"], JobWish::SaveFlushed, Begins),
            (&["saving", "save of a client", "shutting down"], JobWish::SaveFlushed, Scheduled),
            (&rewriting, JobWish::SaveFlushed, Scheduled),
            (&["idle", "save scheduled", "shutting down"], JobWish::SaveInBackground, Begins),
            (&["saving", "save of a client"], JobWish::SaveInBackground, RefusedBySave),
            (&["saving nothing"], JobWish::SaveInBackground, Promised),
            (&rewriting, JobWish::SaveInBackground, RefusedByRewrite),
            (&["idle"], JobWish::ScheduleSave, Begins),
            (&["saving"], JobWish::ScheduleSave, RefusedBySave),
            (&["saving nothing"], JobWish::ScheduleSave, Promised),
            (&rewriting, JobWish::ScheduleSave, Scheduled),
            (&["idle", "save scheduled"], JobWish::SavePoint, Begins),
            (&["saving", "saving nothing", "save of a client"], JobWish::SavePoint, RefusedBySave),
            (&rewriting, JobWish::SavePoint, RefusedByRewrite),
            (&["shutting down"], JobWish::SavePoint, RefusedByShutdown),
            (&["idle", "saving nothing", "shutting down"], JobWish::Rewrite, Promised),
            (&["saving", "save of a client", "save scheduled"], JobWish::Rewrite, Scheduled),
            (&rewriting, JobWish::Rewrite, RefusedByRewrite),
            (&["idle", "saving", "saving nothing"], JobWish::RewriteInTransaction, Scheduled),
            (&rewriting, JobWish::RewriteInTransaction, RefusedByRewrite),
            (&["idle", "save scheduled"], JobWish::TurnOnAof, Promised),
            (&["saving", "saving nothing"], JobWish::TurnOnAof, Scheduled),
            (&rewriting, JobWish::TurnOnAof, Scheduled),
            (&["idle", "save scheduled"], JobWish::RewriteByItself, Promised),
            (&["saving", "saving nothing"], JobWish::RewriteByItself, RefusedBySave),
            (&rewriting, JobWish::RewriteByItself, RefusedByRewrite),
            (&["shutting down"], JobWish::RewriteByItself, RefusedByShutdown),
        ];
        for (states, wish, verdict) in table {
            for state in *states {
                assert_eq!(jobs(state).ask(*wish), *verdict, "{wish:?} while {state}");
            }
        }
    }

    #[test]
    fn what_is_promised_begins_in_order_and_before_what_is_scheduled() {
        let mut jobs = jobs("writing");
        jobs.schedule_save();
        assert_eq!(jobs.ask(SAVE), Promised);
        assert_eq!(jobs.ask(JobWish::Save(ClientId(8))), RefusedBySave, "one waits already");
        assert_eq!(jobs.take_next(), None, "a rewrite runs");
        assert_eq!(jobs.end_base().as_deref(), Some("temp"));
        assert_eq!(jobs.take_next(), Some(NextJob::Save(SaveReason::Command(CLIENT))));
        jobs.begin_save(SaveReason::Command(CLIENT), 1);
        assert_eq!(jobs.take_next(), None);
        assert_eq!(jobs.end_save(), Some(SaveReason::Command(CLIENT)));
        assert_eq!(jobs.take_next(), Some(NextJob::Save(SaveReason::Background)));
        assert_eq!(jobs.take_next(), None, "once");
    }

    #[test]
    fn a_rewrite_waits_for_a_save_of_nothing_and_goes_before_a_save_promised_later() {
        let mut jobs = jobs("saving nothing");
        assert_eq!(jobs.ask(JobWish::Rewrite), Promised);
        assert!(jobs.is_rewriting() && jobs.take_next().is_none());
        jobs.end_save();
        assert_eq!(jobs.ask(SAVE), Promised);
        assert_eq!(jobs.take_next(), Some(NextJob::Rewrite));
        jobs.begin_rewrite(Manifest::default());
        assert!(jobs.cancel_rewrite());
        assert_eq!(jobs.take_next(), Some(NextJob::Save(SaveReason::Command(CLIENT))));
    }

    #[test]
    fn a_shutdown_keeps_what_is_scheduled_from_beginning() {
        let mut jobs = jobs("save scheduled");
        jobs.begin_shutdown();
        assert_eq!(jobs.take_next(), None);
        jobs.abort_shutdown();
        assert_eq!(jobs.take_next(), Some(NextJob::Save(SaveReason::Background)));
    }

    #[test]
    fn what_is_being_installed_is_not_given_up() {
        for (state, is_given_up) in [
            ("idle", false),
            ("promised", true),
            ("preparing", true),
            ("writing", true),
            ("installing", false),
        ] {
            let mut jobs = jobs(state);
            assert_eq!(jobs.cancel_rewrite(), is_given_up, "{state}");
            assert_eq!(jobs.is_rewriting(), state == "installing", "{state}");
        }
    }
}
