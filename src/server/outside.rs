//! What the state machine has of the world around it: [`Outside`].

use super::ear::Ear;
use super::host::Host;
use super::task::Task;

/// The services of the process, orders for the engine, and what it lends.
pub struct Outside {
    /// The services of the process.
    pub host: Box<dyn Host>,
    /// Work for the engine.
    pub tasks: Vec<Task>,
    /// Hears others while a script runs; nobody does in tests.
    pub ear: Option<Box<dyn Ear>>,
}
