//! Numbers of the format: its versions, and the opcodes that stand where no key begins.

/// The version written.
pub const VERSION: u32 = 10;
/// The newest version read.
pub const MAX_VERSION: u32 = 12;

pub(super) mod opcode {
    /// Since version 12: how full a slot of the cluster is, told ahead of its keys.
    pub(crate) const SLOT_INFO: u8 = 0xf4;
    pub(crate) const FUNCTION: u8 = 0xf5;
    pub(crate) const FUNCTION_PRE_GA: u8 = 0xf6;
    pub(crate) const MODULE_AUX: u8 = 0xf7;
    pub(crate) const IDLE: u8 = 0xf8;
    pub(crate) const FREQ: u8 = 0xf9;
    pub(crate) const AUX: u8 = 0xfa;
    pub(crate) const RESIZE_DB: u8 = 0xfb;
    pub(crate) const EXPIRE_MS: u8 = 0xfc;
    pub(crate) const EXPIRE_SECS: u8 = 0xfd;
    pub(crate) const SELECT_DB: u8 = 0xfe;
    pub(crate) const EOF: u8 = 0xff;
}
