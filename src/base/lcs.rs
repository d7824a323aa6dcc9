//! The longest common subsequence of two byte strings: [`Lcs`].
//!
//! The table `L[i][j]` (the length for the first `i` bytes of `a` and the first `j` of `b`) is
//! never stored as numbers. Within a row neighbours differ by 0 or 1, so a row is a bit vector of
//! the steps, and one addition computes 64 columns of the next row (Crochemore, Iliopoulos, Pinzon
//! and Reid; Hyyrö). That is 64 times less work and 32 times less memory than the textbook table,
//! and it still answers which way the textbook's walk back goes: where the bytes differ, `L[i][j]`
//! is the larger of its two neighbours, so `L[i-1][j] > L[i][j-1]` exactly if row `i` steps at `j`.
//!
//! ```text
//! row i, bit j:  0 = L[i][j+1] is one more than L[i][j]      1 = they are equal
//! ```

use std::collections::TryReserveError;

/// Bits of a word of a row.
const WORD: usize = 64;

/// The table of two strings. Its size is about `a.len() * b.len() / 8` bytes.
#[derive(Debug)]
pub struct Lcs<'s> {
    a: &'s [u8],
    b: &'s [u8],
    /// One row for each byte of `a`, each `words` long.
    rows: Vec<u64>,
    words: usize,
}

/// Equal stretches `a[a_start..a_start + len]` and `b[b_start..b_start + len]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// The place where it starts in the first string.
    pub a_start: usize,
    /// The place where it starts in the second string.
    pub b_start: usize,
    /// Its length; not 0.
    pub len: usize,
}

impl<'s> Lcs<'s> {
    /// Computes the whole table. Errors when there is no memory for it.
    pub fn new(a: &'s [u8], b: &'s [u8]) -> Result<Self, TryReserveError> {
        let words = b.len().div_ceil(WORD);
        let masks = Masks::new(a, b, words)?;
        let mut rows: Vec<u64> = Vec::new();
        rows.try_reserve_exact(a.len().saturating_mul(words))?;
        for (i, &byte) in a.iter().enumerate() {
            let mask = masks.of(byte);
            let mut carry = false;
            for word in 0..words {
                let above = if i == 0 { u64::MAX } else { rows[(i - 1) * words + word] };
                rows.push(next_word(above, mask[word], &mut carry));
            }
        }
        Ok(Lcs { a, b, rows, words })
    }

    /// The length of the subsequence.
    #[must_use]
    pub fn len(&self) -> usize {
        match self.a.len() {
            0 => 0,
            rows => count_steps(&self.rows[(rows - 1) * self.words..], self.b.len()),
        }
    }

    /// True when the strings have nothing in common.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The stretches the subsequence is made of, the last one first. Of several subsequences of
    /// the same length it is the one Redis finds.
    #[must_use]
    pub fn stretches(&self) -> Stretches<'_, 's> {
        Stretches { table: self, i: self.a.len(), j: self.b.len() }
    }

    fn steps_at(&self, i: usize, j: usize) -> bool {
        let word = self.rows[(i - 1) * self.words + (j - 1) / WORD];
        word >> ((j - 1) % WORD) & 1 == 0
    }
}

/// The length alone, in memory for one row.
pub fn length(a: &[u8], b: &[u8]) -> Result<usize, TryReserveError> {
    let words = b.len().div_ceil(WORD);
    let masks = Masks::new(a, b, words)?;
    let mut row: Vec<u64> = Vec::new();
    row.try_reserve_exact(words)?;
    row.resize(words, u64::MAX);
    for &byte in a {
        let mut carry = false;
        for (word, &mask) in row.iter_mut().zip(masks.of(byte)) {
            *word = next_word(*word, mask, &mut carry);
        }
    }
    Ok(count_steps(&row, b.len()))
}

/// Walks back through the table. See [`Lcs::stretches`].
#[derive(Debug)]
pub struct Stretches<'t, 's> {
    table: &'t Lcs<'s>,
    i: usize,
    j: usize,
}

impl Iterator for Stretches<'_, '_> {
    type Item = Stretch;

    fn next(&mut self) -> Option<Stretch> {
        let Lcs { a, b, .. } = *self.table;
        while self.i > 0 && self.j > 0 && a[self.i - 1] != b[self.j - 1] {
            if self.table.steps_at(self.i, self.j) {
                self.i -= 1;
            } else {
                self.j -= 1;
            }
        }
        let end = self.i;
        while self.i > 0 && self.j > 0 && a[self.i - 1] == b[self.j - 1] {
            self.i -= 1;
            self.j -= 1;
        }
        let len = end - self.i;
        (len > 0).then_some(Stretch { a_start: self.i, b_start: self.j, len })
    }
}

/// For each byte that occurs in `a`, where it is in `b`: a bit per column.
struct Masks {
    /// The place of a byte's mask in `bits`, in masks; the first mask is empty.
    place: [u16; 256],
    bits: Vec<u64>,
    words: usize,
}

impl Masks {
    fn new(a: &[u8], b: &[u8], words: usize) -> Result<Self, TryReserveError> {
        let mut place = [0; 256];
        let mut count: u16 = 1;
        for &byte in a {
            if place[usize::from(byte)] == 0 {
                place[usize::from(byte)] = count;
                count += 1;
            }
        }
        let mut bits: Vec<u64> = Vec::new();
        let len = usize::from(count) * words;
        bits.try_reserve_exact(len)?;
        bits.resize(len, 0);
        for (j, &byte) in b.iter().enumerate() {
            let place = usize::from(place[usize::from(byte)]);
            if place > 0 {
                bits[place * words + j / WORD] |= 1 << (j % WORD);
            }
        }
        Ok(Masks { place, bits, words })
    }

    fn of(&self, byte: u8) -> &[u64] {
        let start = usize::from(self.place[usize::from(byte)]) * self.words;
        &self.bits[start..start + self.words]
    }
}

/// 64 columns of a row from those of the row above and from where the row's byte occurs.
fn next_word(above: u64, mask: u64, carry: &mut bool) -> u64 {
    let (sum, over) = above.overflowing_add(above & mask);
    let (sum, over_again) = sum.overflowing_add(u64::from(*carry));
    *carry = over || over_again;
    sum | above & !mask
}

fn count_steps(row: &[u64], columns: usize) -> usize {
    let mut left = columns;
    let mut steps = 0;
    for &word in row {
        let valid = left.min(WORD);
        // `valid` is 1..=64 for every word of a row.
        steps += (!word & (u64::MAX >> (WORD - valid))).count_ones() as usize;
        left -= valid;
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The textbook: a table of numbers, and the walk back that prefers `j`.
    fn textbook(a: &[u8], b: &[u8]) -> (usize, Vec<(usize, usize)>) {
        let mut table = vec![vec![0_usize; b.len() + 1]; a.len() + 1];
        for i in 1..=a.len() {
            for j in 1..=b.len() {
                table[i][j] = if a[i - 1] == b[j - 1] {
                    table[i - 1][j - 1] + 1
                } else {
                    table[i - 1][j].max(table[i][j - 1])
                };
            }
        }
        let (mut i, mut j, mut pairs) = (a.len(), b.len(), Vec::new());
        while i > 0 && j > 0 {
            if a[i - 1] == b[j - 1] {
                (i, j) = (i - 1, j - 1);
                pairs.push((i, j));
            } else if table[i - 1][j] > table[i][j - 1] {
                i -= 1;
            } else {
                j -= 1;
            }
        }
        (table[a.len()][b.len()], pairs)
    }

    fn check(a: &[u8], b: &[u8]) {
        let (len, pairs) = textbook(a, b);
        let table = Lcs::new(a, b).expect("small strings fit");
        assert_eq!(table.len(), len);
        assert_eq!(length(a, b).expect("small strings fit"), len);
        let stretches: Vec<Stretch> = table.stretches().collect();
        let found = stretches.iter().flat_map(|s| (0..s.len).rev().map(|k| (s.a_start + k, s.b_start + k)));
        assert_eq!(found.collect::<Vec<_>>(), pairs);
        for pair in stretches.windows(2) {
            let (later, earlier) = (pair[0], pair[1]);
            let joined = earlier.a_start + earlier.len == later.a_start
                && earlier.b_start + earlier.len == later.b_start;
            assert!(!joined, "stretches are as long as they can be");
        }
    }

    #[test]
    fn equal_disjoint_and_empty_strings() {
        let long = vec![b'x'; 200];
        for (a, b) in [
            (&b""[..], &b""[..]),
            (b"", b"abc"),
            (b"abc", b""),
            (b"abc", b"abc"),
            (b"abc", b"xyz"),
            (b"ohmytext", b"mynewtext"),
            (&long, &long),
            (&long, b"x"),
            (b"x", &long),
        ] {
            check(a, b);
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_textbook(
            a in proptest::collection::vec(0_u8..4, 0..200),
            b in proptest::collection::vec(0_u8..4, 0..200),
        ) {
            check(&a, &b);
        }
    }
}
