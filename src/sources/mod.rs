//! Numbers from outside.
