//! The black-box suite: one binary, one sentence per module.

/// Config files are refused or accepted with the words a person reads.
mod config;
