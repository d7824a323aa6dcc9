//! The word that a mistyped word was probably meant to be.

/// The number of letters that may be wrong, missing, too many or swapped.
const MAX_MISTAKES: usize = 2;

/// The known word nearest to the one typed; None when none is near.
pub fn nearest<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let typed: Vec<char> = typed.to_lowercase().chars().collect();
    let mistakes = known.into_iter().map(|word| (mistakes(&typed, &word.chars().collect::<Vec<_>>()), word));
    // Most letters must be right.
    let near = mistakes.filter(|(count, _)| *count <= MAX_MISTAKES && count * 2 < typed.len());
    near.min_by_key(|(count, _)| *count).map(|(_, word)| word)
}

/// The smallest number of mistakes that make one word of the other, two swapped neighbours being
/// one.
fn mistakes(from: &[char], to: &[char]) -> usize {
    // `rows[i][j]` is the number between the first `i` letters of the one and the first `j` of the
    // other.
    let mut rows = vec![vec![0; to.len() + 1]; from.len() + 1];
    rows[0] = (0..=to.len()).collect();
    for i in 1..=from.len() {
        rows[i][0] = i;
        for j in 1..=to.len() {
            let wrong = usize::from(from[i - 1] != to[j - 1]);
            let mut best = (rows[i - 1][j - 1] + wrong).min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[from.len()][to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_proposed_and_far_ones_not() {
        let known = ["start", "stop", "restart", "status", "check-aof"];
        for (typed, expected) in [
            ("strat", Some("start")),
            ("sart", Some("start")),
            ("START", Some("start")),
            ("stpo", Some("stop")),
            ("stopp", Some("stop")),
            ("retsart", Some("restart")),
            ("state", Some("start")),
            ("statsu", Some("status")),
            ("check_aof", Some("check-aof")),
            ("redis", None),
            ("s", None),
            ("", None),
            ("run", None),
        ] {
            assert_eq!(nearest(typed, known), expected, "{typed}");
        }
    }
}
