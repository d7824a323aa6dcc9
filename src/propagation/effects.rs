//! Effects: what a command propagates ([`Effect`]), and a unit of them ([`Propagation`]).
//!
//! More than one effect of a unit is wrapped in MULTI/EXEC, so that a reader never sees half a
//! unit.

use super::backlog::{Backlog, Block, ReaderId};
use crate::keyspace::DbIndex;
use crate::resp::{Argv, OwnedArgv, reply};

/// The commands that a command propagates.
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

/// A place in the running unit.
#[derive(Debug)]
pub struct UnitMark {
    effects: usize,
    is_apart: bool,
}

/// Collects the effects of a unit and encodes them. See the module.
#[derive(Debug, Default)]
pub struct Propagation {
    backlog: Backlog,
    /// Nobody is told of what happens now.
    is_silent: bool,
    unit: Vec<(DbIndex, OwnedArgv)>,
    /// True when its effects are units of their own.
    is_apart: bool,
    /// The database of the last propagated command; a SELECT goes before a command of another.
    selected: Option<DbIndex>,
}

impl Propagation {
    /// True when anybody wants effects. When nobody does, nothing is copied.
    #[inline]
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.backlog.has_readers() && !self.is_silent
    }

    /// Adds a reader of what is propagated from now on, which begins with a SELECT.
    pub fn join(&mut self) -> ReaderId {
        self.selected = None;
        self.backlog.join()
    }

    /// A reader has left; what nobody wants any more is dropped.
    pub fn leave(&mut self, reader: ReaderId) {
        self.backlog.leave(reader);
        if !self.backlog.has_readers() {
            self.unit.clear();
        }
    }

    /// Returns all that was propagated since `reader` read last, as RESP.
    pub fn read(&mut self, reader: ReaderId) -> Vec<Block> {
        self.backlog.read(reader)
    }

    /// The next command is preceded by a SELECT: a new file begins.
    pub fn forget_selected(&mut self) {
        self.selected = None;
    }

    /// Sets if nobody is told of what follows.
    pub fn set_silent(&mut self, is_silent: bool) {
        self.is_silent = is_silent;
    }

    /// The same; returns what it was.
    pub fn replace_silent(&mut self, is_silent: bool) -> bool {
        std::mem::replace(&mut self.is_silent, is_silent)
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

    /// The place that the running unit has reached.
    #[must_use]
    pub fn mark_unit(&self) -> UnitMark {
        UnitMark { effects: self.unit.len(), is_apart: self.is_apart }
    }

    /// Forgets what was added to the running unit since `mark`.
    pub fn cut_unit(&mut self, mark: &UnitMark) {
        self.unit.truncate(mark.effects);
        self.is_apart = mark.is_apart;
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

    fn select(&mut self, db: DbIndex) {
        if self.selected != Some(db) {
            self.selected = Some(db);
            self.encode(&OwnedArgv::from_parts([&b"SELECT"[..], db.0.to_string().as_bytes()]));
        }
    }

    fn encode(&mut self, argv: &OwnedArgv) {
        reply::write_command(argv.as_argv(), self.backlog.tail());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn argv(line: &str) -> OwnedArgv {
        OwnedArgv::from_parts(line.split(' ').map(str::as_bytes))
    }

    fn words(blocks: &[Block]) -> String {
        let text: String = blocks.iter().map(|block| String::from_utf8_lossy(block).into_owned()).collect();
        let words: Vec<_> = text.split("\r\n").filter(|line| !line.starts_with(['*', '$'])).collect();
        words.join(" ").trim().to_string()
    }

    #[test]
    fn several_effects_of_a_unit_stay_together() {
        let mut propagation = Propagation::default();
        propagation.push(DbIndex(0), argv("SET a 1"));
        propagation.end_unit();
        let reader = propagation.join();
        assert!(propagation.read(reader).is_empty(), "nobody wanted it");
        propagation.push_effect(DbIndex(0), argv("SET a 1").as_argv(), Effect::Verbatim);
        propagation.end_unit();
        assert_eq!(words(&propagation.read(reader)), "SELECT 0 SET a 1");
        propagation.push(DbIndex(0), argv("DEL b"));
        let mut effect = Effect::default();
        effect.replace(argv("SREM s x"));
        propagation.push_effect(DbIndex(3), argv("SPOP s").as_argv(), effect);
        propagation.push_effect(DbIndex(3), argv("SPOP s").as_argv(), Effect::Nothing);
        propagation.end_unit();
        assert_eq!(words(&propagation.read(reader)), "MULTI DEL b SELECT 3 SREM s x EXEC");
        for apart in [true, false] {
            propagation.push(DbIndex(3), argv("DEL a"));
            propagation.push(DbIndex(3), argv("DEL b"));
            if apart {
                propagation.keep_apart();
            }
            propagation.end_unit();
            let wanted = if apart { "DEL a DEL b" } else { "MULTI DEL a DEL b EXEC" };
            assert_eq!(words(&propagation.read(reader)), wanted);
        }
    }
}
