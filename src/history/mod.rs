//! Reductions of capacity signals over time.
