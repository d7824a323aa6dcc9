//! The patterns of BY and GET: the name of a key with a star for the element, and perhaps `->` and
//! the field of a hash.

use crate::ds::listpack::ListpackValue;
use crate::keyspace::{Collection, Db, Hash, ValueRef};

/// A pattern of BY or GET.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pattern<'a> {
    /// `#`: the element itself.
    Element,
    /// Without a star: leads nowhere.
    Nowhere,
    /// `prefix*suffix` or `prefix*suffix->field`.
    Key {
        /// The part in front of the star.
        prefix: &'a [u8],
        /// The part behind it.
        suffix: &'a [u8],
        /// The field to take from a hash.
        field: Option<&'a [u8]>,
    },
}

impl<'a> Pattern<'a> {
    /// Reads a pattern. Redis searches it as C text, so that nothing is found behind a NUL.
    pub(super) fn parse(text: &'a [u8]) -> Self {
        let searched = c_text(text);
        if searched == b"#" {
            return Pattern::Element;
        }
        let Some(star) = searched.iter().position(|&byte| byte == b'*') else { return Pattern::Nowhere };
        let arrow = searched[star + 1..].windows(2).position(|pair| pair == b"->");
        // An arrow with nothing behind it belongs to the name.
        let arrow = arrow.map(|at| star + 1 + at).filter(|at| at + 2 < searched.len());
        Pattern::Key {
            prefix: &text[..star],
            suffix: &text[star + 1..arrow.unwrap_or(text.len())],
            field: arrow.map(|at| &text[at + 2..]),
        }
    }

    /// True when the pattern names other keys for other elements.
    pub(super) fn has_star(&self) -> bool {
        matches!(self, Pattern::Key { .. })
    }

    /// Returns the text that the pattern leads to for `element`: a string, or a field of a hash. A
    /// read of that key.
    pub(super) fn look_up<'d>(
        &self,
        db: &'d mut Db,
        element: ListpackValue<'d>,
    ) -> Option<ListpackValue<'d>> {
        let (prefix, suffix, field) = match *self {
            Pattern::Element => return Some(element),
            Pattern::Nowhere => return None,
            Pattern::Key { prefix, suffix, field } => (prefix, suffix, field),
        };
        let mut key = Vec::with_capacity(prefix.len() + element.len_as_text() + suffix.len());
        key.extend_from_slice(prefix);
        element.append_to(&mut key);
        key.extend_from_slice(suffix);
        match (db.view_for_read(&key)?.value, field) {
            (ValueRef::String(text), None) => Some(ListpackValue::Bytes(text)),
            (ValueRef::Object(value), Some(field)) => Hash::of(value)?.get(field),
            _ => None,
        }
    }
}

/// The text up to the first NUL, which is all that C sees.
pub(super) fn c_text(text: &[u8]) -> &[u8] {
    text.split(|&byte| byte == 0).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_split_at_its_first_star_and_the_arrow_behind_it() {
        let key = |prefix, suffix, field| Pattern::Key { prefix, suffix, field };
        let rows: &[(&[u8], Pattern<'_>)] = &[
            (b"#", Pattern::Element),
            (b"", Pattern::Nowhere),
            (b"fixed", Pattern::Nowhere),
            (b"a->b", Pattern::Nowhere),
            (b"a\0*", Pattern::Nowhere),
            (b"*", key(b"", b"", None)),
            (b"w_*", key(b"w_", b"", None)),
            (b"w_*_x*", key(b"w_", b"_x*", None)),
            (b"a->b*c", key(b"a->b", b"c", None)),
            (b"h*->f", key(b"h", b"", Some(b"f"))),
            (b"h*:x->f->g", key(b"h", b":x", Some(b"f->g"))),
            (b"h*->", key(b"h", b"->", None)),
            (b"h*x\0->f", key(b"h", b"x\0->f", None)),
            (b"h*->f\0g", key(b"h", b"", Some(b"f\0g"))),
        ];
        for (text, pattern) in rows {
            assert_eq!(Pattern::parse(text), *pattern, "{}", String::from_utf8_lossy(text));
        }
    }
}
