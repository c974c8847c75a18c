//! The daemon's own log and counters.
