//! What survives a kill.
