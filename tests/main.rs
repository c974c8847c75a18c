//! The black-box suite: one binary, one sentence per module.

/// Every schema step over the rows of the steps before it.
mod migrations;
