//! The black-box suite: one binary, one sentence per module.

/// Config files are refused or accepted with the words a person reads.
mod config;
/// The Postgres collector reads real servers and names what goes wrong.
mod postgres;
/// Real servers to read from, started and stopped by the tests.
mod world;
