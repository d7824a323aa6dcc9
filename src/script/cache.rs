//! The scripts of EVAL that are compiled: which are known, and which are forgotten first.
//!
//! SCRIPT LOAD's stay until SCRIPT FLUSH. Of those that only EVAL has brought, the most recent
//! ones stay, as in Redis 7.4: clients that build a new script for every call do not fill memory.

use super::shebang::ScriptFlags;
use std::collections::HashMap;

/// Scripts of EVAL that are kept.
pub const MAX_EVALED: usize = 500;

/// A script's name: the SHA-1 of its code in hexadecimal digits.
pub type Sha = [u8; 40];

/// What is known of a script.
#[derive(Clone, Debug)]
pub struct Script {
    /// What it says of itself.
    pub flags: ScriptFlags,
    /// The length of its code, bytes.
    pub code_bytes: usize,
    /// The last use of one that may be forgotten; `None` for SCRIPT LOAD's.
    used: Option<u64>,
}

/// The scripts that are compiled.
#[derive(Debug, Default)]
pub struct Cache {
    scripts: HashMap<Sha, Script>,
    /// Those that may be forgotten, as in `scripts`.
    evaled: usize,
    uses: u64,
    code_bytes: usize,
}

/// How a script came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Came {
    /// By EVAL.
    ByEval,
    /// By SCRIPT LOAD.
    ByLoad,
}

impl Cache {
    /// The script of this name.
    #[must_use]
    pub fn get(&self, sha: &Sha) -> Option<&Script> {
        self.scripts.get(sha)
    }

    /// The script of this name, which is used now.
    pub fn touch(&mut self, sha: &Sha) -> Option<&Script> {
        let script = self.scripts.get_mut(sha)?;
        if let Some(used) = &mut script.used {
            self.uses += 1;
            *used = self.uses;
        }
        Some(script)
    }

    /// Keeps a script that was known already, and that SCRIPT LOAD has named now.
    pub fn keep(&mut self, sha: &Sha) {
        if let Some(script) = self.scripts.get_mut(sha) {
            self.evaled -= usize::from(script.used.take().is_some());
        }
    }

    /// Adds a script. Returns the one that is forgotten for it.
    pub fn insert(&mut self, sha: Sha, flags: ScriptFlags, code_bytes: usize, came: Came) -> Option<Sha> {
        self.uses += 1;
        let used = (came == Came::ByEval).then_some(self.uses);
        self.code_bytes += code_bytes;
        self.evaled += usize::from(used.is_some());
        self.scripts.insert(sha, Script { flags, code_bytes, used });
        (self.evaled > MAX_EVALED).then(|| self.forget_oldest()).flatten()
    }

    fn forget_oldest(&mut self) -> Option<Sha> {
        let evaled = self.scripts.iter().filter_map(|(sha, script)| Some((script.used?, *sha)));
        let (_, oldest) = evaled.min()?;
        let script = self.scripts.remove(&oldest)?;
        self.code_bytes -= script.code_bytes;
        self.evaled -= 1;
        Some(oldest)
    }

    /// The number of scripts.
    #[must_use]
    pub fn len(&self) -> usize {
        self.scripts.len()
    }

    /// True when there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.scripts.is_empty()
    }

    /// Memory of what is kept here of the scripts, bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.code_bytes + self.scripts.capacity() * (size_of::<Sha>() + size_of::<Script>())
    }
}
