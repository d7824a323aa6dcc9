//! What the server keeps of functions: their libraries and their Lua state ([`Functions`]).
//!
//! A library's code runs once, when it is loaded, to register its functions; they stay in the Lua
//! state, with what they share. A library is there as a whole or not at all: it is loaded beside
//! the others, and joins them when nothing stands against it.

use super::Host;
use super::function_vm::FunctionVm;
use super::libraries::{Existing, Header, Libraries, Library, LibraryId};
use super::settings::Settings;
use super::vm::Vm;
use std::rc::Rc;
use std::sync::Arc;

/// The libraries and their Lua state.
#[derive(Debug)]
pub struct Functions {
    settings: Settings,
    vm: Option<FunctionVm>,
    libraries: Libraries,
    last_id: u64,
}

/// What FUNCTION RESTORE does with the libraries that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// They go, all of them.
    Flush,
    /// They stay, and one of the same name is an error.
    Append,
    /// Those of the same name go.
    Replace,
}

impl Functions {
    /// No libraries.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Functions { settings, vm: None, libraries: Libraries::default(), last_id: 0 }
    }

    /// Sets the parameters.
    pub fn set(&mut self, settings: Settings) {
        self.settings = settings;
        if let Some(vm) = &self.vm {
            vm.vm().set_limit(settings.limit_bytes);
        }
    }

    /// The libraries.
    #[must_use]
    pub fn libraries(&self) -> &Libraries {
        &self.libraries
    }

    /// The Lua state, if a library was ever loaded.
    #[must_use]
    pub fn vm(&self) -> Option<Rc<Vm>> {
        self.vm.as_ref().map(|vm| Rc::clone(vm.vm()))
    }

    /// The memory of the Lua state, bytes.
    #[must_use]
    pub fn vm_bytes(&self) -> usize {
        self.vm.as_ref().map_or(0, |vm| vm.vm().used_bytes())
    }

    /// Loads a library; returns its name. `host` says when that takes too long. Errors in words,
    /// without a code; then nothing has changed. Source: FUNCTION LOAD.
    pub fn load(&mut self, code: &[u8], existing: Existing, host: &mut dyn Host) -> Result<String, String> {
        let header = Header::read(code)?;
        if existing == Existing::Stays && self.libraries.get(&header.name).is_some() {
            return Err(format!("Library '{}' already exists", header.name));
        }
        let library = self.make(header, code, host)?;
        let (name, id) = (library.name.clone(), library.id);
        match self.libraries.add(library) {
            Ok(old) => self.forget(old.map(|old| old.id)),
            Err(error) => {
                self.forget([id]);
                return Err(error);
            }
        }
        Ok(name)
    }

    /// Loads several libraries, and adds all of them or none. Source: FUNCTION RESTORE.
    pub fn restore(&mut self, codes: Codes<'_>, policy: Policy, host: &mut dyn Host) -> Result<(), String> {
        let mut new = Libraries::default();
        let loaded = self.load_beside(&mut new, codes, host);
        let ids: Vec<_> = new.iter().map(|library| library.id).collect();
        let joined = loaded.and_then(|()| match policy {
            Policy::Flush => Ok(std::mem::replace(&mut self.libraries, new).iter().map(Rc::clone).collect()),
            Policy::Append => self.libraries.join(new, Existing::Stays),
            Policy::Replace => self.libraries.join(new, Existing::Goes),
        });
        match joined {
            Ok(replaced) => self.forget(replaced.iter().map(|library| library.id)),
            Err(error) => {
                self.forget(ids);
                return Err(error);
            }
        }
        Ok(())
    }

    fn load_beside(
        &mut self,
        new: &mut Libraries,
        codes: Codes<'_>,
        host: &mut dyn Host,
    ) -> Result<(), String> {
        for code in codes.codes {
            let header = Header::read(code)?;
            if new.get(&header.name).is_some() {
                return Err(format!("Library '{}' already exists", header.name));
            }
            let library = self.make(header, code, host)?;
            let id = library.id;
            if let Err(error) = new.add(library) {
                self.forget([id]);
                return Err(error);
            }
        }
        codes.fault.map_or(Ok(()), |fault| Err(fault.to_owned()))
    }

    /// Runs a library's code, which registers its functions.
    fn make(&mut self, header: Header, code: &[u8], host: &mut dyn Host) -> Result<Library, String> {
        self.last_id += 1;
        let id = LibraryId(self.last_id);
        let functions = self.made_vm()?.load(id, &code[header.bytes..], host)?;
        Ok(Library { name: header.name, id, code: Arc::from(code), functions })
    }

    fn made_vm(&mut self) -> Result<&FunctionVm, String> {
        if self.vm.is_none() {
            let vm = FunctionVm::new(self.settings);
            self.vm = Some(vm.map_err(|error| format!("Lua does not start: {error}"))?);
        }
        self.vm.as_ref().ok_or_else(String::new)
    }

    /// Deletes a library; returns whether there was one.
    pub fn delete(&mut self, name: &str) -> bool {
        let deleted = self.libraries.remove(name);
        let found = deleted.is_some();
        self.forget(deleted.map(|library| library.id));
        found
    }

    /// Deletes all libraries, and their Lua state.
    pub fn flush(&mut self) {
        self.libraries = Libraries::default();
        self.vm = None;
    }

    fn forget(&self, ids: impl IntoIterator<Item = LibraryId>) {
        if let Some(vm) = &self.vm {
            ids.into_iter().for_each(|id| vm.remove(id));
        }
    }
}

/// The code of libraries to restore.
#[derive(Clone, Copy, Debug)]
pub struct Codes<'c> {
    /// The whole code of each.
    pub codes: &'c [Vec<u8>],
    /// What was found behind them that is no library, in words.
    pub fault: Option<&'static str>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::{Argv, Protocol};
    use crate::script::{Readers, Verdict};

    /// A server that has no time after so many looks at it.
    struct Patience(u32);

    impl Host for Patience {
        fn call(&mut self, _: Argv<'_>, _: Protocol, _: &mut Vec<u8>) {}

        fn tick(&mut self) -> Verdict {
            match self.0.checked_sub(1) {
                Some(left) => {
                    self.0 = left;
                    Verdict::GoOn
                }
                None => Verdict::Stop("ERR FUNCTION LOAD timeout".to_owned()),
            }
        }

        fn may_run(&mut self, _: Argv<'_>) -> Option<bool> {
            None
        }

        fn propagate_to(&mut self, _: Readers) {}
    }

    fn load(functions: &mut Functions, body: &str) -> Result<String, String> {
        let code = format!("#!lua name=lib\n{body}");
        functions.load(code.as_bytes(), Existing::Goes, &mut Patience(1000))
    }

    const ONE: &str = "redis.register_function('one', function() return 1 end)";

    #[test]
    fn code_that_does_not_end_is_stopped_and_leaves_nothing() {
        let mut functions = Functions::new(Settings::new("7.0.15"));
        for body in ["while true do end", "local function f() return f() end f()"] {
            let body = format!("{ONE} {body}");
            let stopped = "Error registering functions: ERR FUNCTION LOAD timeout";
            assert_eq!(load(&mut functions, &body), Err(stopped.to_owned()));
            assert!(functions.libraries().is_empty());
        }
        assert_eq!(load(&mut functions, ONE), Ok("lib".to_owned()));
    }

    #[test]
    fn code_that_takes_too_much_memory_is_stopped() {
        let mut functions = Functions::new(Settings::new("7.0.15"));
        functions.set(Settings { limit_bytes: 2 << 20, ..Settings::new("7.0.15") });
        let refused = load(&mut functions, &format!("{ONE} local t = 'x' while true do t = t .. t end"));
        assert_eq!(refused, Err("Error registering functions: ERR not enough memory".to_owned()));
        let refused = load(&mut functions, "local t = {} for i = 1, 1e6 do t[i] = {} end");
        assert_eq!(refused, Err("Error registering functions: ERR not enough memory".to_owned()));
        assert_eq!(load(&mut functions, ONE), Ok("lib".to_owned()));
    }

    #[test]
    fn what_is_deleted_or_refused_is_given_back() {
        let mut functions = Functions::new(Settings::new("7.0.15"));
        let large = format!("local kept = '{}' {ONE}", "x".repeat(100_000));
        let large = large.replace("return 1", "return kept");
        assert!(load(&mut functions, &large).is_ok());
        let once = functions.vm_bytes();
        for _ in 0..100 {
            assert!(load(&mut functions, &large).is_ok());
            assert!(load(&mut functions, &format!("{large} local x = y")).is_err());
        }
        assert!(functions.vm_bytes() < once + 3_000_000, "{} against {once}", functions.vm_bytes());
    }
}
