//! Scripts: Lua 5.1 as Redis runs it, and nothing of the server but the trait [`Host`].
//!
//! A script runs on the owner thread, in a Lua state whose libraries are Redis's:
//! what Lua's own cannot do without holding the server (patterns, `table.sort`, `string.rep`), and
//! what Redis adds (cjson, cmsgpack, struct, bit), is Rust code in [`libs`] that looks at the
//! interrupt while it works ([`meter`]). What a script asks of the server goes through the
//! [`Host`] that is lent to it while it runs ([`lent`]).
//!
//! An error that Rust code raises is a value of mlua's in Lua's eyes. [`raise`] makes it, and
//! whatever in Lua catches errors (`pcall`, `xpcall`, `coroutine.resume`, the end of the script)
//! turns it into what a script expects there: a string with its line, or a table with `err`.

pub mod answer;
pub mod api;
pub mod arguments;
pub mod cache;
pub mod debugger;
mod function_vm;
pub mod functions;
pub mod host;
pub mod lent;
pub mod libraries;
pub mod libs;
mod locals;
pub mod meter;
pub mod protect;
pub mod raise;
pub mod readonly;
pub mod run;
pub mod sandbox;
pub mod scripts;
pub mod settings;
pub mod shebang;
#[cfg(test)]
pub(crate) mod testing;
pub mod vm;

pub use functions::Functions;
pub use host::{Host, Order, Readers, Verdict};
pub use scripts::Scripts;
