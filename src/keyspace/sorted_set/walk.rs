//! Walking over the members of a sorted set, in either direction and either form.

use super::Member;
use super::pairs::score_text;
use crate::ds::{listpack, score_tree};

/// Members of a range of ranks with their scores; see [`SortedSet::walk`](super::SortedSet::walk).
#[derive(Clone)]
pub struct Walk<'a> {
    pub(super) steps: Steps<'a>,
    pub(super) left: usize,
}

#[derive(Clone)]
pub(super) enum Steps<'a> {
    None,
    Flat(listpack::Iter<'a>),
    FlatBack(listpack::IterRev<'a>),
    Tree(score_tree::Iter<'a>),
    TreeBack(score_tree::IterRev<'a>),
}

impl<'a> Iterator for Walk<'a> {
    type Item = (Member<'a>, f64);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        match &mut self.steps {
            Steps::None => None,
            Steps::Flat(texts) => {
                let (_, member) = texts.next()?;
                Some((member, score_text(texts.next()?.1)))
            }
            Steps::FlatBack(texts) => {
                let score = score_text(texts.next()?.1);
                Some((texts.next()?.1, score))
            }
            Steps::Tree(pairs) => pairs.next().map(|(member, score)| (Member::Bytes(member), score)),
            Steps::TreeBack(pairs) => pairs.next().map(|(member, score)| (Member::Bytes(member), score)),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.left))
    }
}
