//! The past of capacity signals, reduced.
//!
//! What must stay true: bounded bytes per signal; gaps stay gaps; survives restarts.

pub mod reduce;
