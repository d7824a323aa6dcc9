//! Waits: the clients that wait, the reasons, and the actions at the end.
//!
//! A command that cannot be answered yet leaves its client *parked*, with one [`Wait`]. Every
//! reason to wait is a value of [`Until`], and what follows from its end a value of [`Then`]:
//!
//! | a client waits | until | then |
//! |---|---|---|
//! | in BLPOP and the like | one of its keys holds what it needs | the command runs again |
//! | in XREAD, XREADGROUP | one of its keys changes | the same, with `$` as it was |
//! | in WAIT | its time is over | it is answered |
//! | behind CLIENT PAUSE, a save or a file that is behind, a load | the pause ends | it begins |
//! | with an edit of a long string during a save | the walk has passed the string | it begins |
//! | in CLIENT LIST, PUBLISH | workers have handed over what they read | the command runs again |
//! | in SAVE, MIGRATE, CONFIG SET appendonly | somebody completes it | it is answered |
//! | in AUTH after a wrong password | the delay of its address is over | it begins |
//!
//! [`WaitQueue`] keeps all of them in order of arrival, by what they wait for, and the keys that
//! have become ready; [`Pauses`] says why commands are held back. The room knows no command and no
//! session: whoever ends a wait takes it from the session and tells the queue.
//!
//! Answers that wait for the disk are none of these: their client goes on, only what it is sent
//! waits ([`HeldOutput`](crate::clients::HeldOutput)).

mod pause;
mod queue;
mod wait;

pub use pause::{Pause, PauseReason, Pauses};
pub use queue::{Ticket, WaitQueue};
pub use wait::{LoginWait, Reason, Then, TimeoutReply, Until, Wait, WakeOn};

use crate::base::time::MonotonicMillis;

/// The clients that wait, and the reasons why some are held back.
#[derive(Debug, Default)]
pub struct Waiting {
    /// Everybody who waits.
    pub queue: WaitQueue,
    /// The pauses that hold commands back.
    pub pauses: Pauses,
    /// The moment at which the next password that waits may be looked at.
    login_due: Option<MonotonicMillis>,
}

impl Waiting {
    /// Passwords that wait are looked at again then, or earlier.
    pub fn look_at_logins(&mut self, then: MonotonicMillis) {
        self.login_due = Some(self.login_due.map_or(then, |due| due.min(then)));
    }

    /// True when it is time to look at passwords that wait.
    pub fn takes_login_due(&mut self, now: MonotonicMillis) -> bool {
        self.login_due.take_if(|due| *due <= now).is_some()
    }

    /// Returns the moment at which the next password that waits may be looked at.
    #[must_use]
    pub fn login_due(&self) -> Option<MonotonicMillis> {
        self.login_due
    }
}
