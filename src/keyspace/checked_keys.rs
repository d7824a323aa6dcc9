//! The keys that the running command's rights were checked for: debug builds hold it to them.
//!
//! Whoever may touch only some keys is judged by the keys that [`Spec::find_keys`] finds in a call,
//! before the command runs; then its handler reads the same words again. Where the two readings
//! differ, a user reaches keys of others. So in debug builds each accessor of a [`super::Db`] that
//! takes a key asserts that the key was found, and found as one that is changed if it changes it. A
//! release build does nothing here. What a command changes is noted too ([`MutatedKeys`]).
//!
//! Not held to anything is what runs outside a command (loading, expiry, eviction, the settling of
//! what a command left behind), and the few commands that are flagged [`LOOKS_AT_ANY_KEY`].
//! Commands that go through all keys without naming one (KEYS, RANDOMKEY, FLUSHALL) have accessors
//! without a key.

use super::mutated_keys::MutatedKeys;
use crate::resp::Argv;
use crate::spec::{DELETE, INSERT, KeyFlags, LOOKS_AT_ANY_KEY, OW, RM, RW, Spec, UPDATE};
use std::collections::HashMap;
use std::sync::Arc;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct CheckedKeys(Option<Arc<Checked>>);

#[derive(Debug)]
struct Checked {
    command: &'static str,
    /// Each key, and whether it may be changed; `None` if it may touch any.
    keys: Option<HashMap<Vec<u8>, bool>>,
    /// The key whose string the command is declared to change a part of.
    edited_string: Option<Vec<u8>>,
    reads_any_key: bool,
    mutated: MutatedKeys,
}

impl CheckedKeys {
    /// The rules for a call of the command that `spec` declares, which changes a part of the string
    /// at `edited_string`.
    pub(super) fn of(spec: &Spec, argv: Argv<'_>, edited_string: Option<&[u8]>) -> CheckedKeys {
        let looks_at_any = spec.flags.contains(LOOKS_AT_ANY_KEY);
        CheckedKeys(Some(Arc::new(Checked {
            command: spec.name,
            keys: (!looks_at_any).then(|| keys_of(spec, argv)),
            edited_string: edited_string.map(<[u8]>::to_vec),
            reads_any_key: false,
            mutated: MutatedKeys::default(),
        })))
    }

    /// The same for a command that was found to have the right to read any key.
    pub(super) fn with_any_read(&self) -> CheckedKeys {
        let widened = |checked: &Arc<Checked>| {
            Arc::new(Checked {
                command: checked.command,
                keys: checked.keys.clone(),
                edited_string: checked.edited_string.clone(),
                reads_any_key: true,
                mutated: checked.mutated.clone(),
            })
        };
        CheckedKeys(self.0.as_ref().map(widened))
    }

    /// Returns the keys that the running command has changed, if one runs.
    pub(super) fn mutated_keys(&self) -> Option<&MutatedKeys> {
        self.0.as_ref().map(|checked| &checked.mutated)
    }

    /// Returns the rules for a command that may not touch any key.
    fn limits(&self) -> Option<(&Checked, &HashMap<Vec<u8>, bool>)> {
        let checked = self.0.as_ref()?;
        Some((checked, checked.keys.as_ref()?))
    }

    /// Asserts that the running command may look at `key`.
    pub(super) fn assert_may_look(&self, key: &[u8]) {
        let Some((checked, keys)) = self.limits() else { return };
        assert!(
            checked.reads_any_key || keys.contains_key(key),
            "{} looks at a key that its rights were not checked for",
            checked.command
        );
    }

    /// Asserts that the running command may change `key`.
    pub(super) fn assert_may_change(&self, key: &[u8]) {
        let Some((checked, keys)) = self.limits() else { return };
        assert!(
            keys.get(key) == Some(&true),
            "{} changes a key that its rights were not checked for",
            checked.command
        );
    }

    /// Asserts that the running command is declared to change a part of the string at `key`: only
    /// then does it wait while a walk holds a long one.
    pub(super) fn assert_edits_string(&self, key: &[u8]) {
        let Some((checked, _)) = self.limits() else { return };
        assert!(
            checked.edited_string.as_deref() == Some(key),
            "{} changes a part of a string without being declared to",
            checked.command
        );
    }
}

/// The keys that are found in a call, and whether each may be changed.
fn keys_of(spec: &Spec, argv: Argv<'_>) -> HashMap<Vec<u8>, bool> {
    let mut keys = HashMap::new();
    for key in spec.find_keys(argv) {
        *keys.entry(argv.at(key.index).to_vec()).or_insert(false) |= may_change(key.flags);
    }
    keys
}

/// True when a key is found as one that is changed. The searches that tell nothing may mean
/// anything.
fn may_change(flags: KeyFlags) -> bool {
    flags == KeyFlags::NONE || flags.intersects(RW.with(OW).with(RM).with(INSERT).with(DELETE).with(UPDATE))
}
