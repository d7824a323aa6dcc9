//! Db and its values.
