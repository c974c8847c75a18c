//! The past of capacity signals, reduced. The room is empty until runway needs it.
//!
//! What must stay true: bounded bytes per signal; gaps stay gaps; survives restarts.
