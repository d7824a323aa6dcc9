//! The wire: requests, replies, and replies read back.
