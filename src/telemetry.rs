//! The daemon's own log and counters.
//!
//! What must stay true: one event is one line, whatever is in it; a value in a line has a bound;
//! other crates log from level warn on only, since their debug lines may hold secrets; counters
//! are declared once, in [`Metrics::new`], and passed around, never global.

mod log;
mod metrics;

pub use log::{Filter, Format, LogOptions, MOST_VALUE_BYTES, init, subscriber};
pub use metrics::{Counter, Counters, Gauge, Gauges, MOST_LABEL_SETS, Metrics};
