//! The one who knows all parts: runs commands and keeps the books.
