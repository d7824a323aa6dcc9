//! The owner thread.
