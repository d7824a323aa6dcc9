//! The first line of a script, `#!lua flags=no-writes,allow-oom`, which says what it will do.

use crate::base::text::{lossless, split_args, until_nul};
use crate::spec::{DENYOOM, Flags, MAY_REPLICATE, STALE, WRITE};

/// What a script says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScriptFlags {
    /// It says nothing: a script of before Redis 7.
    pub says_nothing: bool,
    /// It writes nothing.
    pub no_writes: bool,
    /// It may run while memory is over the limit.
    pub allow_oom: bool,
    /// It may run on a replica with stale data.
    pub allow_stale: bool,
    /// It may not run in a cluster.
    pub no_cluster: bool,
    /// Its keys may be of several slots.
    pub allow_cross_slot_keys: bool,
}

/// Names and places of the flags, in the order in which they are listed.
type Place = fn(&mut ScriptFlags) -> &mut bool;
const NAMES: [(&str, Place); 5] = [
    ("no-writes", |flags| &mut flags.no_writes),
    ("allow-oom", |flags| &mut flags.allow_oom),
    ("allow-stale", |flags| &mut flags.allow_stale),
    ("no-cluster", |flags| &mut flags.no_cluster),
    ("allow-cross-slot-keys", |flags| &mut flags.allow_cross_slot_keys),
];

impl ScriptFlags {
    /// Sets the flag of this name; returns whether there is one.
    pub fn set(&mut self, name: &[u8]) -> bool {
        let found = NAMES.iter().find(|(known, _)| known.as_bytes() == name);
        found.map(|(_, place)| *place(self) = true).is_some()
    }

    /// The names of the flags that are set.
    #[must_use]
    pub fn names(mut self) -> Vec<&'static str> {
        NAMES.iter().filter(|(_, place)| *place(&mut self)).map(|(name, _)| *name).collect()
    }

    /// The flags by which the gate judges a command that runs this script, in the place of `flags`.
    #[must_use]
    pub fn of_command(self, flags: Flags) -> Flags {
        if self.says_nothing {
            return flags;
        }
        let mut flags = flags.without(STALE.with(DENYOOM).with(WRITE).with(MAY_REPLICATE));
        if !self.no_writes {
            flags = flags.with(WRITE);
        }
        if !self.no_writes && !self.allow_oom {
            flags = flags.with(DENYOOM);
        }
        if self.allow_stale { flags.with(STALE) } else { flags }
    }
}

/// Reads the first line of an EVAL script. Returns its flags and the number of bytes before its
/// line end, which stays so that lines keep their numbers. Errors with the line to answer.
pub fn read(code: &[u8]) -> Result<(ScriptFlags, usize), String> {
    if !code.starts_with(b"#!") {
        return Ok((ScriptFlags { says_nothing: true, ..ScriptFlags::default() }, 0));
    }
    let end = until_nul(code).iter().position(|&byte| byte == b'\n');
    let end = end.ok_or("ERR Invalid script shebang")?;
    let parts = split_args(&code[..end]).filter(|parts| !parts.is_empty());
    let parts = parts.ok_or("ERR Invalid engine in script shebang")?;
    if parts[0] != b"#!lua" {
        return Err(format!("ERR Unexpected engine in script shebang: {}", lossless(&parts[0])));
    }
    let mut flags = ScriptFlags::default();
    for part in &parts[1..] {
        let Some(names) = part.strip_prefix(b"flags=") else {
            return Err(format!("ERR Unknown lua shebang option: {}", lossless(part)));
        };
        if names.is_empty() {
            continue;
        }
        for name in names.split(|&byte| byte == b',') {
            if !flags.set(name) {
                return Err(format!("ERR Unexpected flag in script shebang: {}", lossless(name)));
            }
        }
    }
    Ok((flags, end))
}
