//! Numbers from outside.
//!
//! What must stay true: a source numbers its own series ([`crate::model::Ref`]) and never gives a
//! number to other labels; a pass that fails says so and ends its series, a pass that lost lines
//! ends none; everything read from outside has a bound, and each bound that bites is counted or
//! named; nobody here keeps time, spawns or knows the store.
//!
//! [`schedule`] says when, [`discovery`] where, [`scrape`] reads expositions over HTTP, [`host`] reads this machine,
//! [`postgres`] asks servers as a guest.

pub mod discovery;
pub mod host;
pub mod postgres;
pub mod schedule;
pub mod scrape;
mod series;

pub use host::HostCollector;
pub use schedule::{Schedule, Slot};
pub use scrape::{Client, Job, Target, TargetMeta, TargetStatus};
