//! The answer of a server that starts to its configuration: a refusal, or a notice.

use super::kind::Effect;
use super::parameters::{Config, PARAMETERS};
use crate::base::text::lossless;

impl Config {
    /// Returns the reason why a server of this configuration must not start, if it must not: it
    /// would be something else than it is told to be, such as a second primary that takes writes,
    /// or one that shows to all what should be hidden.
    pub fn refusal(&self) -> Option<String> {
        let defaults = Config::default();
        PARAMETERS.iter().find_map(|parameter| {
            let Effect::Refused(what) = parameter.effect else { return None };
            let (name, value) = (parameter.name, parameter.get(self));
            let is_asked = value != parameter.get(&defaults);
            is_asked
                .then(|| format!("can't start with '{name} {}': {what} is not there yet", lossless(&value)))
        })
    }

    /// Returns the log line for a server that is to defragment, which builds with another allocator
    /// than the official ones refuse: a configuration that asks for it is no reason not to start.
    pub fn defrag_notice(&self) -> Option<&'static str> {
        self.activedefrag.then_some(
            "activedefrag is accepted and does nothing: the allocator never moves what it has handed out",
        )
    }
}
