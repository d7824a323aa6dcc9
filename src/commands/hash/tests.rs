//! What clients see of the hash commands.
