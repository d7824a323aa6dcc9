//! The place in a snapshot that is being read: the words that name the damaged key or section.

use super::error::RdbError;
use super::format::opcode;
use crate::base::text::shown;
use std::fmt::Write;

/// More of a section's name than is shown is not kept.
const MAX_NAME_BYTES: usize = 128;

/// The part that is being read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Part {
    /// An opcode or a type.
    #[default]
    Opcode,
    /// The bytes that follow this opcode.
    Section(u8),
    /// The name of a key with a value of this type.
    KeyName(&'static str),
    /// A value of this type.
    Value(&'static str),
    /// The sum at the end.
    Checksum,
}

/// The words for the byte with which a section or a key begins.
const OPCODE: &str = "an opcode or type";

/// Names the section that follows an opcode, in words.
fn section(code: u8) -> &'static str {
    match code {
        opcode::AUX => "the aux field",
        opcode::SELECT_DB => "a database number",
        opcode::RESIZE_DB => "the size of a database",
        opcode::SLOT_INFO => "the sizes of a slot",
        opcode::EXPIRE_MS | opcode::EXPIRE_SECS => "a deadline",
        opcode::FREQ => "an access frequency",
        opcode::IDLE => "an idle time",
        opcode::MODULE_AUX => "the aux data of the module",
        opcode::FUNCTION => "the function library",
        opcode::FUNCTION_PRE_GA => "a function library of a release candidate of Redis 7.0",
        _ => OPCODE,
    }
}

/// The place that is being read.
#[derive(Debug, Default)]
pub(super) struct Place {
    pub(super) part: Part,
    /// The beginning of the section's name, once it is read.
    section_name: Vec<u8>,
    /// The database of the keys.
    pub(super) db: usize,
    /// The name of the last key, and what its value is read into if that is a short text.
    pub(super) texts: Vec<u8>,
    /// The length of the part that is the name, once that is whole.
    pub(super) key_len: Option<usize>,
}

impl Place {
    /// A section begins, whose name comes later, if it has one.
    pub(super) fn begin_section(&mut self, code: u8) {
        self.part = Part::Section(code);
        self.section_name.clear();
    }

    /// The name of the section is read.
    pub(super) fn name_section(&mut self, name: &[u8]) {
        self.section_name.extend(&name[..name.len().min(MAX_NAME_BYTES)]);
    }

    /// Tells with an error of the format where it was met, `offset` bytes from the start. An error
    /// of the receiver of the keys, or about a file of another kind or version, says enough by
    /// itself.
    pub(super) fn locate(&self, error: RdbError, offset: u64) -> RdbError {
        match error {
            RdbError::Refused(_) | RdbError::Signature | RdbError::Version(_) => error,
            error => RdbError::At { error: Box::new(error), place: self.describe(), offset },
        }
    }

    fn describe(&self) -> String {
        let key = self.key_len.map(|len| format!("key {} in DB {}", shown(&self.texts[..len]), self.db));
        let mut words = match self.part {
            Part::Opcode => OPCODE.to_owned(),
            Part::Section(code) => section(code).to_owned(),
            Part::KeyName(kind) => return format!("the name of a key of type {kind} in DB {}", self.db),
            Part::Value(kind) => return format!("the value of type {kind} of {}", key.unwrap_or_default()),
            Part::Checksum => return "the checksum".to_owned(),
        };
        if matches!(self.part, Part::Section(_)) && !self.section_name.is_empty() {
            let _ = write!(words, " {}", shown(&self.section_name));
        }
        match key {
            Some(key) => words + " behind " + &key,
            None => words,
        }
    }
}
