//! How a command describes itself.
