//! The parcels that a snapshot walk hands out: references to pages as they were when it began.

use super::db_index::DbIndex;
use super::entry::KeyView;
use super::value::Value;
use crate::ds::dict::{Page, Rest};

/// Pages of a walk, in no order that matters.
#[derive(Debug)]
pub struct Parcel {
    /// Counted from 0.
    pub number: u64,
    /// True when no other parcel follows.
    pub is_last: bool,
    pub(super) items: Vec<(DbIndex, Handed)>,
}

#[derive(Debug)]
pub(super) enum Handed {
    Page(Page<Value>),
    Rest(Rest<Value>),
}

/// A database as it was when a walk began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalkedDb {
    /// Its number.
    pub index: DbIndex,
    /// The number of keys it had.
    pub keys: usize,
    /// The number of them that had a deadline.
    pub deadlines: usize,
}

impl Parcel {
    /// Shows every key with the number its database had, and lets go of each page when it is
    /// passed.
    pub fn visit<E>(self, mut show: impl FnMut(DbIndex, KeyView<'_>) -> Result<(), E>) -> Result<(), E> {
        for (db, item) in self.items {
            let mut show_page =
                |page: Page<Value>| page.iter().try_for_each(|entry| show(db, KeyView::of(entry)));
            match item {
                Handed::Page(page) => show_page(page)?,
                Handed::Rest(rest) => rest.into_pages().try_for_each(show_page)?,
            }
        }
        Ok(())
    }
}
