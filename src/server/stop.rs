//! The requests that a server should stop, and its messages to a program that supervises the
//! process.

use crate::base::ClientId;

/// The signals that the process is sent from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM.
    Terminate,
    /// SIGINT.
    Interrupt,
    /// SIGHUP: reopen the log file.
    Hangup,
}

/// The state of the server, for a program that supervises the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// The data on disk is loaded; commands are carried out.
    Ready,
    /// It is about to stop.
    Stopping,
    /// It saves before it stops.
    SavingAtExit,
    /// It could not save.
    CannotSave,
    /// The stop that was asked for is given up.
    GoesOn,
}

/// The ways in which SHUTDOWN treats the data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ShutdownSave {
    /// Save if save points are set.
    #[default]
    Default,
    /// Save in any case.
    Save,
    /// Do not save.
    NoSave,
}

/// A request to stop.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shutdown {
    /// Says if the data is saved.
    pub save: ShutdownSave,
    /// Stop even if saving fails.
    pub force: bool,
    /// The client that asked; it gets an answer only when the server does not stop.
    pub client: Option<ClientId>,
}

/// A requested stop.
#[derive(Debug, Default)]
pub struct Stop {
    /// The shutdown that was asked for.
    pub request: Option<Shutdown>,
    /// The log says that the server is about to stop.
    pub(super) announced: bool,
    /// The moment at which the process ends whatever the disk does, by the monotonic clock.
    pub(super) ends_ns: Option<u64>,
    /// The last stop that was given up was asked for by a signal.
    pub(super) signal_was_given_up: bool,
    /// SHUTDOWN ABORT was called; acted on at the end of the unit.
    pub aborted: bool,
}
