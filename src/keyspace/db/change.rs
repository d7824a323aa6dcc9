//! The changes of the values of a database: set, edited in place, put, taken out.
//!
//! These accessors count neither hit nor miss, and what they replace is left as garbage if it is
//! big. Looking is the business of [`Db`]'s own file.

use super::findings::Garbage;
use super::{Db, Ttl, WrongType};
use crate::base::number;
use crate::base::time::UnixMillis;
use crate::ds::dict::{EntryRef, NewEntry};
use crate::ds::shared::make_mut;
use crate::keyspace::encoding_limits::EncodingLimits;
use crate::keyspace::entry::{
    COPIED_INTEGER, HEADER, MAX_EMBSTR, MAX_INLINE_STRING, Stored, StringCoding, access_of, coding_for,
    header_byte,
};
use crate::keyspace::value::{Collection, Kind, Value};
use triomphe::Arc;

/// Copying more of a string than this at once would be felt by everybody.
const LONG_STRING_BYTES: usize = 1 << 20;

impl Db {
    /// Sets `key` to a string, whatever it held. Integers are stored as such for OBJECT ENCODING.
    pub fn set_string(&mut self, key: &[u8], bytes: &[u8], ttl: Ttl) {
        self.put_string(key, bytes, coding_for(bytes), ttl);
    }

    /// Sets `key` to a string that keeps the form an edit in place leaves: `raw`.
    pub fn set_edited_string(&mut self, key: &[u8], bytes: &[u8], ttl: Ttl) {
        self.put_string(key, bytes, StringCoding::Raw, ttl);
    }

    /// Sets `key` to a string of a short text that is not looked at for being an integer.
    pub fn set_text_string(&mut self, key: &[u8], bytes: &[u8], ttl: Ttl) {
        let coding = if bytes.len() <= MAX_EMBSTR { StringCoding::Embstr } else { StringCoding::Raw };
        self.put_string(key, bytes, coding, ttl);
    }

    /// Replaces the text of an integer by what `change` makes of it, `None` being a missing key;
    /// the deadline stays. One search, and no more when the text keeps its length. Source: INCR.
    pub fn change_integer<E: From<WrongType>>(
        &mut self,
        key: &[u8],
        change: impl FnOnce(Option<&[u8]>) -> Result<i64, E>,
    ) -> Result<i64, E> {
        self.assert_may_change(key);
        let hash = self.dict.hash(key);
        let Some(found) = self.find_touched(hash, key) else {
            let value = change(None)?;
            let text = number::I64Text::new(value);
            self.put_string_hashed(hash, key, text.as_bytes(), StringCoding::Int, None);
            return Ok(value);
        };
        let EntryRef { payload, object, deadline, .. } = self.dict.at(found);
        let old = match object {
            None => &payload[HEADER..],
            Some(Value::String(bytes)) => bytes,
            Some(_) => return Err(WrongType.into()),
        };
        let (value, fits) = (change(Some(old))?, old.len());
        let text = number::I64Text::new(value);
        if object.is_none() && fits == text.as_bytes().len() {
            self.keep_before(hash, key);
            let entry = self.dict.at_mut(found);
            entry.payload[0] = header_byte(Kind::String, StringCoding::Int);
            entry.payload[HEADER..].copy_from_slice(text.as_bytes());
        } else {
            self.put_string_hashed(hash, key, text.as_bytes(), StringCoding::Int, deadline);
        }
        Ok(value)
    }

    /// Changes a string in place, a missing one from empty; the deadline stays. The edited string
    /// must not be empty. Errors with `WrongType`. Source: APPEND, SETRANGE, SETBIT.
    pub fn edit_string<R>(
        &mut self,
        key: &[u8],
        edit: impl FnOnce(&mut Vec<u8>) -> R,
    ) -> Result<R, WrongType> {
        self.assert_may_change(key);
        self.assert_edits_string(key);
        let hash = self.dict.hash(key);
        let is_alive = self.alive(hash, key);
        self.keep_before(hash, key);
        if is_alive && let Some(entry) = self.dict.get_mut_hashed(hash, key) {
            match entry.object {
                Some(Value::String(bytes)) => {
                    entry.payload[0] = header_byte(Kind::String, StringCoding::Raw);
                    return Ok(edit(make_mut(bytes, |bytes| bytes.len())));
                }
                Some(_) => return Err(WrongType),
                None => {
                    let mut bytes = entry.payload[HEADER..].to_vec();
                    let result = edit(&mut bytes);
                    self.put_edited(hash, key, bytes);
                    return Ok(result);
                }
            }
        }
        let mut bytes = Vec::new();
        let result = edit(&mut bytes);
        self.put_edited(hash, key, bytes);
        Ok(result)
    }

    /// True when [`Db::edit_string`] would copy a long string because somebody else holds it too. A
    /// walk under way that has not been handed its page is handed it now.
    pub fn edit_would_copy(&mut self, key: &[u8]) -> bool {
        let hash = self.dict.hash(key);
        match self.dict.get_hashed(hash, key).and_then(|entry| entry.object) {
            Some(Value::String(bytes)) if bytes.len() >= LONG_STRING_BYTES => {
                !bytes.is_unique() || self.dict.hand_page_over(hash)
            }
            _ => false,
        }
    }

    /// Stores an edited string whose deadline stays. A long one is moved, not copied: it may be
    /// half a GB.
    fn put_edited(&mut self, hash: u64, key: &[u8], bytes: Vec<u8>) {
        if bytes.len() <= MAX_INLINE_STRING {
            return self.set_edited_string(key, &bytes, Ttl::Keep);
        }
        let old = self.dict.get_hashed(hash, key).map(|entry| (entry.deadline, access_of(entry.payload)));
        self.insert(key, Value::String(Arc::new(bytes)), old.and_then(|old| old.0).map(UnixMillis));
        if let Some((_, access)) = old.filter(|_| self.access.lfu) {
            self.set_access_of(key, access);
        }
    }

    /// A collection to change, `None` when the key is missing. Errors with `WrongType`. A handler
    /// that may have emptied it calls `ctx.shrunk`.
    pub fn write<T: Collection>(&mut self, key: &[u8]) -> Result<Option<&mut T>, WrongType> {
        self.assert_may_change(key);
        self.in_place(key)
    }

    /// As [`Db::write`], for a command that only reads `key` but leaves what it holds in another
    /// form, or notes in it who has read what: Redis says of XREADGROUP that it reads its keys.
    pub fn reshape<T: Collection>(&mut self, key: &[u8]) -> Result<Option<&mut T>, WrongType> {
        self.assert_may_look(key);
        self.in_place(key)
    }

    fn in_place<T: Collection>(&mut self, key: &[u8]) -> Result<Option<&mut T>, WrongType> {
        let hash = self.dict.hash(key);
        let Some(found) = self.find_touched(hash, key) else { return Ok(None) };
        self.keep_before(hash, key);
        let inner = self.dict.at_mut(found).object.and_then(T::of_mut).ok_or(WrongType)?;
        Ok(Some(inner))
    }

    /// A collection to change; a missing key gets the one `create` makes. The caller fills it.
    pub fn write_or_create<T: Collection>(
        &mut self,
        key: &[u8],
        create: impl FnOnce(&EncodingLimits) -> T,
    ) -> Result<&mut T, WrongType> {
        self.assert_may_change(key);
        let hash = self.dict.hash(key);
        let found = match self.find_touched(hash, key) {
            Some(found) => found,
            None => {
                let value = create(&self.limits).into_value();
                self.insert(key, value, None);
                self.dict.find_hashed(hash, key).expect("the key was just made")
            }
        };
        self.keep_before(hash, key);
        let inner = self.dict.at_mut(found).object.and_then(T::of_mut).ok_or(WrongType)?;
        Ok(inner)
    }

    /// Sets `key` to a value, whatever it held; its deadline becomes `deadline`.
    pub fn insert(&mut self, key: &[u8], value: Value, deadline: Option<UnixMillis>) {
        self.assert_may_change(key);
        if let Value::String(bytes) = &value
            && bytes.len() <= MAX_INLINE_STRING
        {
            return self.set_string(key, bytes, deadline.map_or(Ttl::Clear, Ttl::At));
        }
        let coding = if let Value::String(bytes) = &value { coding_for(bytes) } else { StringCoding::Raw };
        let header = self.header(value.kind(), coding);
        let stored = Stored { payload: header.to_vec(), object: Some(value), deadline };
        if self.replace(key, stored) {
            self.note_added(key);
        }
    }

    /// Removes `key`. Returns whether it existed. A big value is left to be freed elsewhere.
    pub fn remove(&mut self, key: &[u8]) -> bool {
        self.assert_may_change(key);
        let hash = self.dict.hash(key);
        self.alive(hash, key) && self.remove_hashed(hash, key)
    }

    /// Takes `key` out with all that belongs to it. Source: RENAME, MOVE.
    pub fn take(&mut self, key: &[u8]) -> Option<Stored> {
        self.assert_may_change(key);
        let hash = self.dict.hash(key);
        if !self.alive(hash, key) {
            return None;
        }
        self.keep_before(hash, key);
        let payload = self.dict.get_hashed(hash, key)?.payload.to_vec();
        let removed = self.dict.remove_hashed(hash, key)?;
        Some(Stored { payload, object: removed.object, deadline: removed.deadline.map(UnixMillis) })
    }

    /// A copy of what `key` holds; collections are shared until one side changes. Source: COPY.
    pub fn copy_of(&mut self, key: &[u8]) -> Option<Stored> {
        self.assert_may_look(key);
        let hash = self.dict.hash(key);
        if !self.alive(hash, key) {
            return None;
        }
        let entry = self.dict.get_hashed(hash, key)?;
        let deadline = entry.deadline.map(UnixMillis);
        Some(Stored { payload: entry.payload.to_vec(), object: entry.object.cloned(), deadline })
    }

    /// Makes `stored` a value of its own: a copy has no history of accesses and shares no integer.
    pub fn refresh_access(&self, stored: &mut Stored) {
        if stored.payload[0] == header_byte(Kind::String, StringCoding::Int) {
            stored.payload[0] = COPIED_INTEGER;
        }
        stored.payload[1..HEADER].copy_from_slice(&self.access.fresh().to_le_bytes()[..3]);
    }

    /// Puts what [`Db::take`] or [`Db::copy_of`] gave under `key`, whatever it held. Redis deletes
    /// that first, so the key counts as new in any case.
    pub fn put(&mut self, key: &[u8], stored: Stored) {
        self.assert_may_change(key);
        self.replace(key, stored);
        self.note_added(key);
    }

    /// Puts a value under `key`. Returns whether that held none.
    fn replace(&mut self, key: &[u8], stored: Stored) -> bool {
        let hash = self.dict.hash(key);
        self.keep_before(hash, key);
        let deadline = stored.deadline.map(|deadline| deadline.0);
        let new = NewEntry { deadline, payload: &[&stored.payload], object: stored.object };
        let replaced = self.dict.insert_hashed(hash, key, new);
        let is_new = replaced.is_none();
        self.discard(replaced.and_then(|replaced| replaced.object));
        is_new
    }

    /// True when `key` holds a collection without elements: what a handler that took some out may
    /// leave behind for a moment.
    pub fn is_empty_collection(&self, key: &[u8]) -> bool {
        let object = self.dict.get(key).and_then(|entry| entry.object);
        object.is_some_and(|object| object.kind() != Kind::String && object.is_empty())
    }

    /// Sets or removes a deadline. Returns whether the key exists.
    pub fn set_deadline(&mut self, key: &[u8], deadline: Option<UnixMillis>) -> bool {
        self.assert_may_change(key);
        let hash = self.dict.hash(key);
        if !self.alive(hash, key) {
            return false;
        }
        self.keep_before(hash, key);
        self.dict.set_deadline_hashed(hash, key, deadline.map(|deadline| deadline.0))
    }

    /// Sets the access history of `key`: 24 bits as Redis keeps them. Source: RESTORE, RDB.
    pub fn set_access_of(&mut self, key: &[u8], access: u32) {
        self.assert_may_change(key);
        let hash = self.dict.hash(key);
        self.keep_before(hash, key);
        if let Some(entry) = self.dict.get_mut_hashed(hash, key) {
            entry.payload[1..HEADER].copy_from_slice(&access.to_le_bytes()[..3]);
        }
    }

    /// Leaves what was taken out of a value to be freed where nobody waits for it.
    pub fn free_elsewhere(&mut self, part: impl Collection) {
        self.findings.garbage.push(Garbage::Part(part.into_value()));
    }

    /// Removes every key; what was there is left to be freed elsewhere. Returns how many.
    pub fn flush(&mut self) -> usize {
        let keys = self.dict.len();
        if self.undo.is_on() {
            self.keep_all_before();
            return keys;
        }
        let old = self.clear_dict().filter(|_| keys > 0);
        self.findings.garbage.extend(old.map(|old| Garbage::Dict(Box::new(old))));
        keys
    }

    /// Exchanges the keys of two databases. Source: SWAPDB.
    pub fn swap_contents(&mut self, other: &mut Db) {
        std::mem::swap(&mut self.dict, &mut other.dict);
        std::mem::swap(&mut self.walked_as, &mut other.walked_as);
        std::mem::swap(&mut self.undo, &mut other.undo);
    }

    fn put_string(&mut self, key: &[u8], bytes: &[u8], coding: StringCoding, ttl: Ttl) {
        self.assert_may_change(key);
        let hash = self.dict.hash(key);
        if self.access.lfu {
            // Redis: replacing a value is using its key.
            self.find_touched(hash, key);
        }
        let deadline = match ttl {
            Ttl::Clear => None,
            Ttl::Keep => {
                let old = self.dict.get_hashed(hash, key).and_then(|entry| entry.deadline);
                old.filter(|_| !self.is_past(old))
            }
            Ttl::At(deadline) => Some(deadline.0),
        };
        self.put_string_hashed(hash, key, bytes, coding, deadline);
    }

    fn put_string_hashed(
        &mut self,
        hash: u64,
        key: &[u8],
        bytes: &[u8],
        coding: StringCoding,
        deadline: Option<i64>,
    ) {
        self.keep_before(hash, key);
        let mut header = self.header(Kind::String, coding);
        if self.access.lfu
            && let Some(entry) = self.dict.get_hashed(hash, key)
        {
            // Redis: a new value inherits how often the old one was used.
            header[1..].copy_from_slice(&entry.payload[1..HEADER]);
        }
        let long = bytes.len() > MAX_INLINE_STRING;
        let object = long.then(|| Value::String(Arc::new(bytes.to_vec())));
        let inline = if long { &[][..] } else { bytes };
        let new = NewEntry { deadline, payload: &[&header, inline], object };
        let Some(replaced) = self.dict.insert_hashed(hash, key, new) else { return self.note_added(key) };
        if self.is_past(replaced.deadline) && !self.keeps_expired {
            // The replaced value had ended before, and whoever follows the changes must know.
            self.findings.expired.push(key.to_vec());
            self.note_added(key);
        }
        self.discard(replaced.object);
    }
}
