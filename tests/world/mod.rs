//! A small outside world with verbs: real servers on loopback, each stopped by whoever started it.

pub(crate) mod postgres;
