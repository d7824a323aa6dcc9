//! What leaves the server as a change: the effects of each unit, in order.
//!
//! A unit is what one client command did, with everything nested in it. Its effects are collected
//! while it runs and encoded once, as RESP, at its end; more than one effect is wrapped in
//! MULTI/EXEC, so that a reader never sees half a unit. The same bytes serve the append-only file
//! and the replication backlog.

use crate::keyspace::DbIndex;
use crate::resp::{Argv, OwnedArgv, reply};

/// What a command propagates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Effect {
    /// The command as it came, if it changed something.
    #[default]
    Verbatim,
    /// These instead: SPOP as SREM, EXPIRE as PEXPIREAT.
    Instead(Vec<OwnedArgv>),
    /// Nothing.
    Nothing,
}

impl Effect {
    /// Adds `argv` to what is propagated instead.
    pub fn replace(&mut self, argv: OwnedArgv) {
        match self {
            Effect::Instead(list) => list.push(argv),
            Effect::Verbatim | Effect::Nothing => *self = Effect::Instead(vec![argv]),
        }
    }
}

/// Collects the effects of a unit and encodes them. See the module.
#[derive(Debug, Default)]
pub struct Propagation {
    /// How many want the bytes: the append-only file, the backlog, a test.
    readers: u32,
    unit: Vec<(DbIndex, OwnedArgv)>,
    /// Whether its effects are units of their own.
    is_apart: bool,
    /// The database of the last propagated command; a SELECT goes before a command of another.
    selected: Option<DbIndex>,
    bytes: Vec<u8>,
}

impl Propagation {
    /// Whether anybody wants effects. When nobody does, nothing is copied.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.readers > 0
    }

    /// Adds a reader of [`Propagation::take_bytes`].
    pub fn subscribe(&mut self) {
        self.readers += 1;
    }

    /// A reader has left; what nobody wants any more is dropped.
    pub fn unsubscribe(&mut self) {
        self.readers = self.readers.saturating_sub(1);
        if self.readers == 0 {
            self.unit.clear();
            self.bytes.clear();
        }
    }

    /// The next command is preceded by a SELECT: a new file begins.
    pub fn forget_selected(&mut self) {
        self.selected = None;
    }

    /// Nobody is told of what follows, until [`Propagation::tell_again`] gets the answer back.
    pub fn fall_silent(&mut self) -> u32 {
        std::mem::take(&mut self.readers)
    }

    /// Ends what [`Propagation::fall_silent`] began.
    pub fn tell_again(&mut self, readers: u32) {
        self.readers = readers;
    }

    /// Adds one effect to the running unit.
    pub fn push(&mut self, db: DbIndex, argv: OwnedArgv) {
        if self.is_wanted() {
            self.unit.push((db, argv));
        }
    }

    /// Adds what a finished command propagates.
    pub fn push_effect(&mut self, db: DbIndex, argv: Argv<'_>, effect: Effect) {
        if !self.is_wanted() {
            return;
        }
        match effect {
            Effect::Verbatim => self.push(db, argv.to_owned()),
            Effect::Instead(list) => list.into_iter().for_each(|argv| self.push(db, argv)),
            Effect::Nothing => {}
        }
    }

    /// Says that the effects of the running unit do not belong together: keys that expired, met on
    /// a walk or by themselves. They are not wrapped.
    pub fn keep_apart(&mut self) {
        self.is_apart = self.is_wanted();
    }

    /// Ends the unit: encodes its effects.
    pub fn end_unit(&mut self) {
        let unit = std::mem::take(&mut self.unit);
        let is_apart = std::mem::take(&mut self.is_apart);
        let whole = unit.len() > 1 && !is_apart;
        for (position, (db, argv)) in unit.iter().enumerate() {
            self.select(*db);
            if whole && position == 0 {
                self.encode(&OwnedArgv::from_parts([&b"MULTI"[..]]));
            }
            self.encode(argv);
        }
        if whole {
            self.encode(&OwnedArgv::from_parts([&b"EXEC"[..]]));
        }
    }

    /// What was propagated since the last call, as RESP.
    pub fn take_bytes(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    fn select(&mut self, db: DbIndex) {
        if self.selected != Some(db) {
            self.selected = Some(db);
            self.encode(&OwnedArgv::from_parts([&b"SELECT"[..], db.0.to_string().as_bytes()]));
        }
    }

    fn encode(&mut self, argv: &OwnedArgv) {
        reply::write_command(argv.as_argv(), &mut self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn argv(line: &str) -> OwnedArgv {
        OwnedArgv::from_parts(line.split(' ').map(str::as_bytes))
    }

    fn words(bytes: &[u8]) -> String {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let words: Vec<_> = text.split("\r\n").filter(|line| !line.starts_with(['*', '$'])).collect();
        words.join(" ").trim().to_string()
    }

    #[test]
    fn several_effects_of_a_unit_stay_together() {
        let mut propagation = Propagation::default();
        propagation.push(DbIndex(0), argv("SET a 1"));
        propagation.end_unit();
        assert!(propagation.take_bytes().is_empty(), "nobody wants it");
        propagation.subscribe();
        propagation.push_effect(DbIndex(0), argv("SET a 1").as_argv(), Effect::Verbatim);
        propagation.end_unit();
        assert_eq!(words(&propagation.take_bytes()), "SELECT 0 SET a 1");
        propagation.push(DbIndex(0), argv("DEL b"));
        let mut effect = Effect::default();
        effect.replace(argv("SREM s x"));
        propagation.push_effect(DbIndex(3), argv("SPOP s").as_argv(), effect);
        propagation.push_effect(DbIndex(3), argv("SPOP s").as_argv(), Effect::Nothing);
        propagation.end_unit();
        assert_eq!(words(&propagation.take_bytes()), "MULTI DEL b SELECT 3 SREM s x EXEC");
        for apart in [true, false] {
            propagation.push(DbIndex(3), argv("DEL a"));
            propagation.push(DbIndex(3), argv("DEL b"));
            if apart {
                propagation.keep_apart();
            }
            propagation.end_unit();
            let wanted = if apart { "DEL a DEL b" } else { "MULTI DEL a DEL b EXEC" };
            assert_eq!(words(&propagation.take_bytes()), wanted);
        }
    }
}
