//! Test scripts.
//!
//! What must stay true: a script reads no clock, no file and no network; what it cannot read
//! counts as failed, with its line.

pub mod promql;
pub mod rules;
pub mod series;
