//! Numbers from outside.

pub mod postgres;
