//! The libraries of functions that a server has, and what they say of themselves: [`Libraries`].
//!
//! A name of a library is one as it is written; a name of a function means the same in capital and
//! small letters, and belongs to one library.

use super::shebang::ScriptFlags;
use crate::base::text::{lossless, split_args, until_nul};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::Arc;

/// The error of a name that a library or a function cannot have.
pub const BAD_NAME: &str = "Library names can only contain letters, numbers, or underscores(_) and must be at least one character long";

/// True when a library or a function may have this name.
#[must_use]
pub fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

/// The first line of a library's code: `#!lua name=mylib`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The name of the library.
    pub name: String,
    /// The number of bytes before the line's end, which stays so that lines keep their numbers.
    pub bytes: usize,
}

impl Header {
    /// Reads it. Errors in words, without a code.
    pub fn read(code: &[u8]) -> Result<Header, String> {
        if !code.starts_with(b"#!") {
            return Err("Missing library metadata".to_owned());
        }
        let invalid = || "Invalid library metadata".to_owned();
        let bytes = until_nul(code).iter().position(|&byte| byte == b'\n').ok_or_else(invalid)?;
        let parts = split_args(&code[..bytes]).filter(|parts| !parts.is_empty()).ok_or_else(invalid)?;
        let name = name_of(&parts[1..])?;
        if !is_name(&name) {
            return Err(BAD_NAME.to_owned());
        }
        let engine = parts[0].get(2..).unwrap_or_default();
        if !engine.eq_ignore_ascii_case(b"lua") {
            return Err(format!("Engine '{}' not found", lossless(engine)));
        }
        Ok(Header { name: lossless(&name).into_owned(), bytes })
    }
}

fn name_of(parts: &[Vec<u8>]) -> Result<Vec<u8>, String> {
    const FIELD: &[u8] = b"name=";
    let mut name = None;
    for part in parts {
        match part.split_at_checked(FIELD.len()) {
            Some((field, value)) if field.eq_ignore_ascii_case(FIELD) => {
                if name.replace(value.to_vec()).is_some() {
                    return Err("Invalid metadata value, name argument was given multiple times".to_owned());
                }
            }
            _ => return Err(format!("Invalid metadata value given: {}", lossless(until_nul(part)))),
        }
    }
    name.ok_or_else(|| "Library name was not given".to_owned())
}

/// A function, as its library has registered it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// Its description.
    pub description: Option<Vec<u8>>,
    /// What it says it will do.
    pub flags: ScriptFlags,
}

/// A number that no other library of this run has: the Lua state keeps its functions by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LibraryId(pub u64);

/// A library.
#[derive(Debug)]
pub struct Library {
    /// Its name.
    pub name: String,
    /// Its number.
    pub id: LibraryId,
    /// Its whole code. Shared with the threads that save it.
    pub code: Arc<[u8]>,
    /// Its functions, as they were registered.
    pub functions: Vec<Function>,
}

/// What happens when there is a library of the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// The new one is refused.
    Stays,
    /// The new one takes its place.
    Goes,
}

/// All libraries.
#[derive(Debug, Default)]
pub struct Libraries {
    by_name: BTreeMap<String, Rc<Library>>,
    /// The library of each function, and its place there, by its name in small letters.
    functions: HashMap<Vec<u8>, (Rc<Library>, usize)>,
}

impl Libraries {
    /// The library of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Rc<Library>> {
        self.by_name.get(name)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Rc<Library>> {
        self.by_name.values()
    }

    /// The function of this name, and its library.
    #[must_use]
    pub fn function(&self, name: &[u8]) -> Option<(&Rc<Library>, &Function)> {
        let (library, index) = self.functions.get(&name.to_ascii_lowercase())?;
        Some((library, library.functions.get(*index)?))
    }

    /// The number of libraries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// True when there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// The number of functions of all libraries.
    #[must_use]
    pub fn functions_len(&self) -> usize {
        self.functions.len()
    }

    /// Adds a library. Returns the one whose place it takes. Errors in words, without a code; then
    /// nothing has changed.
    pub fn add(&mut self, library: Library) -> Result<Option<Rc<Library>>, String> {
        let replaced = self.get(&library.name).map(|old| old.id);
        self.refuse_taken_names(&library, |owner| Some(owner.id) == replaced)?;
        let old = self.remove(&library.name);
        self.link(Rc::new(library));
        Ok(old)
    }

    /// Adds all libraries of `others`, or none. Returns those whose places they take. Errors in
    /// words, without a code.
    pub fn join(&mut self, others: Libraries, existing: Existing) -> Result<Vec<Rc<Library>>, String> {
        if existing == Existing::Stays
            && let Some(taken) = others.by_name.keys().find(|name| self.by_name.contains_key(*name))
        {
            return Err(format!("Library {taken} already exists"));
        }
        for library in others.iter() {
            self.refuse_taken_names(library, |owner| others.by_name.contains_key(&owner.name))?;
        }
        let replaced = others.by_name.keys().filter_map(|name| self.remove(name)).collect();
        others.by_name.into_values().for_each(|library| self.link(library));
        Ok(replaced)
    }

    /// Refuses a library with a function whose name another library has, but for one that `goes`.
    fn refuse_taken_names(&self, library: &Library, goes: impl Fn(&Library) -> bool) -> Result<(), String> {
        for function in &library.functions {
            if let Some((owner, _)) = self.function(function.name.as_bytes())
                && !goes(owner)
            {
                return Err(format!("Function {} already exists", function.name));
            }
        }
        Ok(())
    }

    fn link(&mut self, library: Rc<Library>) {
        for (index, function) in library.functions.iter().enumerate() {
            self.functions.insert(lower(&function.name), (Rc::clone(&library), index));
        }
        self.by_name.insert(library.name.clone(), library);
    }

    /// Removes the library of this name; returns it.
    pub fn remove(&mut self, name: &str) -> Option<Rc<Library>> {
        let library = self.by_name.remove(name)?;
        for function in &library.functions {
            self.functions.remove(&lower(&function.name));
        }
        Some(library)
    }

    /// The code of every library, to be saved.
    #[must_use]
    pub fn codes(&self) -> Vec<Arc<[u8]>> {
        self.iter().map(|library| Arc::clone(&library.code)).collect()
    }

    /// Memory of what is kept here of the libraries, bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let library = |library: &Rc<Library>| {
            let functions = library.functions.iter().map(|function| {
                let described = function.description.as_ref().map_or(0, Vec::capacity);
                size_of::<Function>() + 2 * function.name.len() + described
            });
            size_of::<Library>() + 2 * library.name.len() + library.code.len() + functions.sum::<usize>()
        };
        let entry = size_of::<Vec<u8>>() + size_of::<(Rc<Library>, usize)>();
        self.iter().map(library).sum::<usize>() + self.functions.capacity() * entry
    }
}

fn lower(name: &str) -> Vec<u8> {
    name.to_ascii_lowercase().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_names_the_library() {
        let read = |line: &str| Header::read(line.as_bytes()).map(|header| (header.name, header.bytes));
        assert_eq!(read("#!lua name=lib\nx"), Ok(("lib".to_owned(), 14)));
        assert_eq!(read("#!LUA \"NAME=lib\"\n"), Ok(("lib".to_owned(), 16)));
        for (line, error) in [
            ("", "Missing library metadata"),
            ("x\n", "Missing library metadata"),
            ("#!lua name=a", "Invalid library metadata"),
            ("#!lua name=a\0\n", "Invalid library metadata"),
            ("#!lua \"name=a\n", "Invalid library metadata"),
            ("#!\n", "Library name was not given"),
            ("#!lua\n", "Library name was not given"),
            ("#!lua name=\n", BAD_NAME),
            ("#!lua name=a-b\n", BAD_NAME),
            ("#!js name=a-b\n", BAD_NAME),
            ("#!js name=a\n", "Engine 'js' not found"),
            ("#! lua name=a\n", "Invalid metadata value given: lua"),
            ("#!lua name=a name=b\n", "Invalid metadata value, name argument was given multiple times"),
            ("#!lua foo=bar name=a\n", "Invalid metadata value given: foo=bar"),
        ] {
            assert_eq!(read(line), Err(error.to_owned()), "{line}");
        }
    }

    fn library(name: &str, id: u64, functions: &[&str]) -> Library {
        let function = |name: &&str| Function {
            name: (*name).to_owned(),
            description: None,
            flags: ScriptFlags::default(),
        };
        Library {
            name: name.to_owned(),
            id: LibraryId(id),
            code: Arc::from(name.as_bytes()),
            functions: functions.iter().map(function).collect(),
        }
    }

    fn names(libraries: &Libraries) -> String {
        let names: Vec<_> =
            libraries.iter().map(|library| format!("{}{}", library.name, library.id.0)).collect();
        names.join(" ")
    }

    #[test]
    fn a_function_has_one_library_whatever_its_letters() {
        let mut libraries = Libraries::default();
        assert!(libraries.add(library("a", 1, &["One", "two"])).is_ok());
        assert_eq!(libraries.function(b"ONE").map(|(_, function)| function.name.as_str()), Some("One"));
        let refused = libraries.add(library("b", 2, &["three", "TWO"]));
        assert_eq!(refused.err().as_deref(), Some("Function TWO already exists"));
        assert!(libraries.function(b"three").is_none());
        let old = libraries.add(library("a", 3, &["two"]));
        assert_eq!(old.ok().flatten().map(|old| old.id), Some(LibraryId(1)));
        assert!(libraries.function(b"one").is_none());
        assert_eq!((libraries.len(), libraries.functions_len()), (1, 1));
        assert!(libraries.remove("A").is_none());
        assert!(libraries.remove("a").is_some());
        assert_eq!((libraries.len(), libraries.functions_len()), (0, 0));
    }

    #[test]
    fn many_libraries_are_added_together_or_none_is() {
        let filled = |all: &[(&str, u64, &[&str])]| {
            let mut libraries = Libraries::default();
            for (name, id, functions) in all {
                assert!(libraries.add(library(name, *id, functions)).is_ok());
            }
            libraries
        };
        let mut libraries = filled(&[("a", 1, &["f"]), ("b", 2, &["g"])]);
        let same = || filled(&[("a", 3, &["h"]), ("c", 4, &["i"])]);
        let refused = libraries.join(same(), Existing::Stays);
        assert_eq!(refused.err().as_deref(), Some("Library a already exists"));
        let taken = libraries.join(filled(&[("a", 5, &["h"]), ("c", 6, &["G"])]), Existing::Goes);
        assert_eq!(taken.err().as_deref(), Some("Function G already exists"));
        assert_eq!(names(&libraries), "a1 b2");
        // A name may move from one library to another when both go.
        let moved = libraries.join(filled(&[("a", 7, &["g"]), ("b", 8, &["f"])]), Existing::Goes);
        assert_eq!(moved.map(|replaced| replaced.len()), Ok(2));
        assert!(libraries.join(same(), Existing::Goes).is_ok());
        assert_eq!(names(&libraries), "a3 b8 c4");
        assert!(libraries.function(b"g").is_none());
    }
}
