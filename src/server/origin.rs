//! The source of a command: [`Origin`].

/// The source of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A client's connection.
    Client,
    /// A parked command that is tried again.
    Unparked,
    /// EXEC, which must not block.
    Transaction,
    /// A script or function, which must not block.
    Script,
    /// The append-only file at start.
    AofLoad,
    /// The primary this server replicates.
    Primary,
}

impl Origin {
    /// True when nobody is there who could wait, or listen to what comes later: a script, or a
    /// file.
    #[must_use]
    pub const fn denies_blocking(self) -> bool {
        matches!(self, Origin::Script | Origin::AofLoad)
    }
}
