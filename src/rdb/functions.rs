//! Libraries of functions, in a snapshot and by themselves, as FUNCTION DUMP gives them and
//! FUNCTION RESTORE takes them.
//!
//! ```text
//! | { 0xF5 code } | version u16 | crc64 of everything before it, u64 |
//! ```

use super::error::RdbError;
use super::format::opcode;
use super::payload::{RestoreError, add_footer, check_footer};
use super::reader::{Checksum, RdbReader};
use super::writer::{SaveOptions, Writer};
use std::io::BufRead;
use std::sync::Arc;

/// Libraries as a payload, by the code of each. `compress` is `rdbcompression`.
#[must_use]
pub fn dump_libraries(codes: &[Arc<[u8]>], compress: bool) -> Vec<u8> {
    let options = SaveOptions { compress, checksum: false, ..SaveOptions::default() };
    let mut payload = Vec::new();
    let mut writer = Writer::new(&mut payload, &options);
    let written = codes.iter().try_for_each(|code| writer.library(code));
    assert!(written.is_ok(), "a vector takes everything");
    add_footer(&mut payload);
    payload
}

/// What a payload of libraries holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ReadLibraries {
    /// The code of each library.
    pub codes: Vec<Vec<u8>>,
    /// What was found behind them that is no library, in words.
    pub fault: Option<&'static str>,
}

/// Reads a payload of libraries. Source: FUNCTION RESTORE.
pub fn read_libraries(payload: &[u8], checksum: Checksum) -> Result<ReadLibraries, RestoreError> {
    let content_bytes = check_footer(payload, checksum)?.len() as u64;
    // Redis: a string may run into the footer.
    let mut reader = RdbReader::new(payload);
    let mut read = ReadLibraries::default();
    while reader.offset() < content_bytes {
        match next_library(&mut reader) {
            Ok(code) => read.codes.push(code),
            Err(fault) => {
                read.fault = Some(fault);
                break;
            }
        }
    }
    Ok(read)
}

fn next_library(reader: &mut RdbReader<&[u8]>) -> Result<Vec<u8>, &'static str> {
    match reader.byte() {
        Ok(code @ (opcode::FUNCTION | opcode::FUNCTION_PRE_GA)) => {
            reader.library(code).map_err(|fault| fault.words)
        }
        Ok(_) => Err("given type is not a function"),
        Err(_) => Err("can not read data type"),
    }
}

/// The reason why a library cannot be read.
pub(super) struct LibraryFault {
    /// In the words of FUNCTION RESTORE.
    words: &'static str,
    pub(super) error: RdbError,
}

impl<R: BufRead> RdbReader<R> {
    /// Reads what stands behind one of the two opcodes of libraries: returns the library's code.
    pub(super) fn library(&mut self, opcode: u8) -> Result<Vec<u8>, LibraryFault> {
        let fault = |words| move |error| LibraryFault { words, error };
        if opcode == opcode::FUNCTION {
            return self.string().map_err(fault("Failed loading library payload"));
        }
        // Release candidates of 7.0 kept apart what is the first line of the code in 7.0.
        let name = self.string().map_err(fault("Failed loading library name"))?;
        let engine = self.string().map_err(fault("Failed loading engine name"))?;
        let described = self.length().map_err(fault("Failed loading library description indicator"))?;
        if described != 0 {
            self.string().map_err(fault("Failed loading library description"))?;
        }
        let code = self.string().map_err(fault("Failed loading library blob"))?;
        Ok([b"#!", &engine[..], b" name=", &name, b"\n", &code].concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_come_back_from_their_payload() {
        let codes: Vec<Arc<[u8]>> = vec![Arc::from(&b"#!lua name=a\nx"[..]), Arc::from(&[b'y'; 300][..])];
        for compress in [true, false] {
            let payload = dump_libraries(&codes, compress);
            let read = read_libraries(&payload, Checksum::Verified);
            let expected = codes.iter().map(|code| code.to_vec()).collect();
            assert_eq!(read, Ok(ReadLibraries { codes: expected, fault: None }));
        }
    }

    /// Expectations are a real server's answers.
    #[test]
    fn what_is_no_library_is_named() {
        for (content, codes, fault) in [
            (&b""[..], &[][..], None),
            (b"\x00abc", &[], Some("given type is not a function")),
            (b"\xf6abc", &[], Some("Failed loading library name")),
            (b"\xf5", &[], Some("Failed loading library payload")),
            (b"\xf5\x01a\x00", &[&b"a"[..]], Some("given type is not a function")),
            (b"\xf5\x05abc", &[b"abc\x0a\x00"], None),
            (b"\xf6\x01n\x03LUA\x00\x01x", &[b"#!LUA name=n\nx"], None),
            (b"\xf6\x01n\x03LUA\x01\x02de\x01x", &[b"#!LUA name=n\nx"], None),
        ] {
            let mut payload = content.to_vec();
            add_footer(&mut payload);
            let codes = codes.iter().map(|code| code.to_vec()).collect();
            assert_eq!(
                read_libraries(&payload, Checksum::Verified),
                Ok(ReadLibraries { codes, fault }),
                "{content:?}"
            );
            payload[0] ^= 1;
            assert_eq!(read_libraries(&payload, Checksum::Verified), Err(RestoreError::Footer));
        }
        assert_eq!(read_libraries(b"short", Checksum::Skipped), Err(RestoreError::Footer));
    }
}
