//! A small outside world with verbs: real servers on loopback, fake receivers, the real binary;
//! each stopped by whoever started it.

pub(crate) mod daemon;
pub(crate) mod postgres;
pub(crate) mod sinks;
pub(crate) mod watch;
