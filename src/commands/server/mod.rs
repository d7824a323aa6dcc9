//! The group *server*: one file for each thing that is administered.

pub mod keyspace;
