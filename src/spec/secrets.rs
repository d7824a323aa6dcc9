//! The arguments of a command that are secrets: [`Secrets`], declared with the command.

/// The arguments that are passwords or tell of them. Places are counted from the command's name, 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Secrets {
    /// There are none.
    #[default]
    None,
    /// All from a place on, in calls of at most so many words; longer ones are syntax errors.
    From {
        /// The first secret.
        place: usize,
        /// Longer calls are shown as they are.
        most_words: usize,
    },
    /// So many arguments behind each of these words, wherever it stands from `start` on. The
    /// arguments that follow KEYS are keys.
    Behind {
        /// The place where the options begin.
        start: usize,
        /// The word, in capitals, and how many secrets follow it.
        options: &'static [(&'static str, usize)],
    },
    /// Pairs of a parameter's name and its value: the values of parameters that are secrets.
    OfParameters,
}
