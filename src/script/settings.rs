//! What Lua states are made with: [`Settings`].

/// The parameters of Lua states.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The version of Redis that scripts are told, as `7.0.15`.
    pub version: &'static str,
    /// The most that scripts may hold, bytes: `script-memory-limit`.
    pub limit_bytes: usize,
    /// Says if scripts have `setfenv`, `getfenv` and `newproxy`: `lua-enable-deprecated-api`.
    pub deprecated: DeprecatedFunctions,
}

/// Says if scripts have the functions that Redis has taken from them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeprecatedFunctions {
    /// They have not.
    Hidden,
    /// They have.
    Offered,
}

impl Settings {
    /// Those of a server that has not read its parameters yet.
    #[must_use]
    pub const fn new(version: &'static str) -> Self {
        Settings { version, limit_bytes: usize::MAX, deprecated: DeprecatedFunctions::Hidden }
    }
}
