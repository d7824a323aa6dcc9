//! What the server keeps of scripts: [`Scripts`].

use super::api;
use super::cache::{Cache, Came, Script, Sha};
use super::functions::Functions;
use super::run::Run;
use super::settings::{DeprecatedFunctions, Settings};
use super::shebang;
use super::vm::Vm;
use crate::resp::Argv;
use crate::spec::Flags;
use std::rc::Rc;

/// The Lua states, the scripts that are known, and the one that runs.
#[derive(Debug)]
pub struct Scripts {
    settings: Settings,
    eval: Option<Rc<Vm>>,
    cache: Cache,
    /// The libraries of functions.
    pub functions: Functions,
    /// The script that runs.
    pub run: Option<Run>,
    /// Scripts may call what is not allowed in scripts: DEBUG SET-DISABLE-DENY-SCRIPTS.
    pub may_call_all: bool,
}

impl Scripts {
    /// No scripts. `version` is Redis's.
    #[must_use]
    pub fn new(version: &'static str) -> Self {
        let settings = Settings::new(version);
        Scripts {
            settings,
            eval: None,
            cache: Cache::default(),
            functions: Functions::new(settings),
            run: None,
            may_call_all: false,
        }
    }

    /// Sets the most that scripts may hold, bytes, and the functions that they have.
    pub fn set(&mut self, limit_bytes: usize, deprecated: DeprecatedFunctions) {
        self.settings = Settings { limit_bytes, deprecated, ..self.settings };
        self.functions.set(self.settings);
        if let Some(vm) = &self.eval {
            vm.set_limit(limit_bytes);
        }
    }

    /// The Lua state of EVAL, made when it is first needed.
    pub fn eval_vm(&mut self) -> Result<Rc<Vm>, String> {
        if let Some(vm) = &self.eval {
            return Ok(Rc::clone(vm));
        }
        let vm = Vm::for_eval(self.settings);
        let vm = Rc::new(vm.map_err(|error| format!("ERR Lua does not start: {error}"))?);
        self.eval = Some(Rc::clone(&vm));
        Ok(vm)
    }

    /// The scripts of EVAL that are known.
    #[must_use]
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// The script of this name, which is used now.
    pub fn touch(&mut self, sha: &Sha) -> Option<&Script> {
        self.cache.touch(sha)
    }

    /// Knows a script from here on; returns its name. Errors with the line to answer.
    pub fn add(&mut self, code: &[u8], came: Came) -> Result<Sha, String> {
        let sha = sha_of(code);
        if self.cache.get(&sha).is_some() {
            if came == Came::ByLoad {
                self.cache.keep(&sha);
            }
            return Ok(sha);
        }
        let (flags, skipped) = shebang::read(code)?;
        let vm = self.eval_vm()?;
        vm.add(text(&sha), &code[skipped..])
            .map_err(|message| format!("ERR Error compiling script (new function): {message}"))?;
        if let Some(forgotten) = self.cache.insert(sha, flags, code.len(), came) {
            vm.remove(text(&forgotten));
        }
        Ok(sha)
    }

    /// The flags by which the gate judges a call of EVAL or a sibling, in the place of `flags`.
    #[must_use]
    pub fn flags_of_call(&self, argv: Argv<'_>, flags: Flags) -> Flags {
        let Some(script) = argv.get(1) else { return flags };
        let known = sha_named(script).and_then(|sha| self.cache.get(&sha)).map(|script| script.flags);
        let said = known.or_else(|| shebang::read(script).ok().map(|(flags, _)| flags));
        said.map_or(flags, |said| said.of_command(flags))
    }

    /// The flags by which the gate judges a call of FCALL or FCALL_RO, in the place of `flags`.
    #[must_use]
    pub fn flags_of_function_call(&self, argv: Argv<'_>, flags: Flags) -> Flags {
        let function = argv.get(1).and_then(|name| self.functions.libraries().function(name));
        function.map_or(flags, |(_, function)| function.flags.of_command(flags))
    }

    /// Forgets all scripts of EVAL, and their Lua state.
    pub fn flush(&mut self) {
        self.cache = Cache::default();
        self.eval = None;
    }

    /// The memory of the Lua state of EVAL, bytes.
    #[must_use]
    pub fn eval_vm_bytes(&self) -> usize {
        self.eval.as_ref().map_or(0, |vm| vm.used_bytes())
    }
}

/// The name of a script.
#[must_use]
pub fn sha_of(code: &[u8]) -> Sha {
    let mut sha = [0; 40];
    sha.copy_from_slice(api::hex_of_sha1(code).as_bytes());
    sha
}

/// The name that `word` is, in small letters as they are kept; `None` if it has another length.
#[must_use]
pub fn sha_named(word: &[u8]) -> Option<Sha> {
    let mut sha = Sha::try_from(word).ok()?;
    sha.make_ascii_lowercase();
    Some(sha)
}

/// A name as text.
#[must_use]
pub fn text(sha: &Sha) -> &str {
    std::str::from_utf8(sha).unwrap_or_default()
}
