//! Redis's snapshot format.
