//! The turn: what the owner does before and after it handles events.
//!
//! [`STEPS`] is all of it, in order. A step that can be due without an event says when, and so the
//! table also tells how long the owner may sleep. A new periodic duty is a line of the table.

use super::lazyfree;
use super::machine::Server;
use crate::base::time::{MonotonicMillis, UnixMillis};
use crate::memory::Room;
use crate::persistence::NextJob;
use crate::waiting::Reason;

/// The point in a turn at which a step is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Before the events.
    Begin,
    /// After them.
    End,
}

/// One step of a turn.
struct Step {
    phase: Phase,
    run: fn(&mut Server),
    /// Returns the time until it has something to do without an event, milliseconds from the frozen
    /// time.
    due_ms: fn(&mut Server) -> Option<i64>,
}

/// A step before the events.
const fn begin(run: fn(&mut Server), due_ms: fn(&mut Server) -> Option<i64>) -> Step {
    Step { phase: Phase::Begin, run, due_ms }
}

/// A step after the events; what it does follows from them.
const fn end(run: fn(&mut Server)) -> Step {
    Step { phase: Phase::End, run, due_ms: never }
}

fn never(_: &mut Server) -> Option<i64> {
    None
}

/// Every step, in the order in which they are made.
const STEPS: [Step; 15] = [
    // The time comes first: everything else goes by it.
    begin(Server::begin_time, never),
    begin(Server::end_pauses_and_waits, Server::waits_due_ms),
    begin(Server::expire_due, Server::expiry_due_ms),
    begin(Server::continue_eviction, |server| {
        (server.rooms.memory.eviction.room == Room::Running).then_some(0)
    }),
    begin(Server::time_out_parked, |server| {
        let deadline = server.rooms.waiting.queue.next_deadline();
        server.ms_until(deadline)
    }),
    begin(Server::continue_shutdown, never),
    begin(Server::cron_if_due, |server| server.ms_until(Some(server.rooms.time.next_cron))),
    // Clients are told of the events before they are closed for it.
    end(Server::broadcast_invalidations),
    end(Server::close_clients),
    // A request that a client sent behind its wait may save, or stop the server.
    end(Server::end_due_waits),
    end(Server::continue_shutdown),
    Step { run: Server::end_aof_turn, due_ms: Server::aof_due_ms, phase: Phase::End },
    // Commands propagated so far belong to the file before; those behind the start of a job belong
    // to the new one.
    end(Server::begin_next_job),
    Step { run: Server::hand_over, due_ms: Server::walk_due_ms, phase: Phase::End },
    end(Server::hand_garbage_over),
];

impl Server {
    /// Begins a turn, before its events.
    pub fn begin_turn(&mut self) {
        self.make_steps(Phase::Begin);
    }

    /// Ends a turn, after its events.
    pub fn end_turn(&mut self) {
        self.make_steps(Phase::End);
    }

    fn make_steps(&mut self, phase: Phase) {
        for step in STEPS.iter().filter(|step| step.phase == phase) {
            (step.run)(self);
        }
    }

    /// The time until a step has something to do without an event, milliseconds.
    #[must_use]
    pub fn next_wake_ms(&mut self) -> u64 {
        let due_ms = STEPS.iter().filter_map(|step| (step.due_ms)(self)).min().unwrap_or(i64::MAX);
        u64::try_from(due_ms).unwrap_or(0)
    }

    /// Milliseconds until then. The time of the turn that ends is near enough, and costs no reading
    /// of the clock.
    fn ms_until(&self, then: Option<MonotonicMillis>) -> Option<i64> {
        then.map(|then| then.ms_since(self.rooms.time.monotonic))
    }

    fn begin_time(&mut self) {
        self.rooms.end_run();
        self.rooms.lap_ns();
        self.freeze_time();
        let now = self.rooms.time.monotonic;
        self.rooms.memory.eviction.begin_turn(now);
    }

    fn end_pauses_and_waits(&mut self) {
        self.rooms.waiting.pauses.end_due(self.rooms.time.monotonic);
        self.end_due_waits();
    }

    fn waits_due_ms(&mut self) -> Option<i64> {
        let waiting = &self.rooms.waiting;
        if waiting.queue.has_any(Reason::Readers) || waiting.queue.has_any(Reason::Earlier) {
            return Some(1);
        }
        let end = waiting.pauses.next_end().map(|end| end.saturating_add_ms(1));
        self.ms_until(end.into_iter().chain(waiting.login_due()).min())
    }

    fn close_clients(&mut self) {
        self.close_slow_clients(false);
        self.close_undecided_clients();
    }

    /// Begins what was wished for, if nothing runs.
    fn begin_next_job(&mut self) {
        match self.rooms.persistence.jobs.take_next() {
            Some(NextJob::Save(reason)) => self.save(reason),
            Some(NextJob::Rewrite) => self.prepare_rewrite(),
            None => {}
        }
    }

    fn hand_garbage_over(&mut self) {
        lazyfree::hand_over(&mut self.keyspace, &mut self.rooms);
    }

    fn walk_due_ms(&mut self) -> Option<i64> {
        self.keyspace.walk_has_room().then_some(0)
    }

    fn aof_due_ms(&mut self) -> Option<i64> {
        self.ms_until(self.rooms.persistence.aof.patience_ends())
    }

    /// Freezes the time at the last reading of the monotonic clock.
    fn freeze_time(&mut self) {
        let rooms = &mut self.rooms;
        let (now, monotonic) = (UnixMillis(rooms.time.clock.wall_us() / 1000), rooms.stats.last_lap());
        if (now, monotonic) != (rooms.time.now, rooms.time.monotonic) {
            (rooms.time.now, rooms.time.monotonic) = (now, monotonic);
            self.keyspace.freeze(now, monotonic);
        }
    }

    /// Ends work that no client asked for: what follows does not take this time.
    pub fn lap(&mut self) {
        self.rooms.lap_ns();
    }

    /// Lets the frozen time go on, if the clock has since it was frozen. Called in front of each
    /// command of a client, so that what others have run in the same turn is not taken off the
    /// deadlines it sets. The reading is the one that ended the last command: none is made for the
    /// purpose.
    #[inline]
    pub(super) fn follow_clock(&mut self) {
        if self.rooms.stats.last_lap() != self.rooms.time.monotonic {
            self.freeze_time();
        }
    }
}
