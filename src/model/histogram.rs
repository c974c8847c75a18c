//! Native histograms.
//!
//! What must stay true: buckets rise by index and have no gaps filled in. Two histograms meet at
//! the lower resolution, the wider zero bucket and the bounds they share; only a histogram with
//! custom bounds and one without cannot meet. A sum kept in [`Kahan`] cells goes through the same
//! code as one in plain floats.

use std::sync::Arc;

use super::{Labels, Timestamp};

mod bounds;
mod combine;
mod kahan;
mod layout;
mod quantile;
mod reset;
mod text;
mod trim;

pub use bounds::Bucket;
pub use combine::{Incompatible, Met};
pub use kahan::{Cell, Kahan};
pub use quantile::NanEffect;
pub use text::go_float;

/// Schema of a histogram with custom bounds.
pub const CUSTOM_SCHEMA: i32 = -53;

/// What is known about a counter reset between the histogram before and this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ResetHint {
    /// Not known.
    #[default]
    Unknown,
    /// Reset.
    Reset,
    /// No reset.
    NotReset,
    /// A gauge: resets mean nothing.
    Gauge,
}

/// Counts per bucket index, rising by index, without gaps filled in.
pub type Buckets<T = f64> = Vec<(i32, T)>;

/// A histogram whose buckets follow from a schema, or from custom bounds, with numbers of `T`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Shape<T> {
    /// -4 to 8, or [`CUSTOM_SCHEMA`].
    pub schema: i32,
    /// Width of the zero bucket.
    pub zero_threshold: f64,
    /// Observations in the zero bucket.
    pub zero_count: T,
    /// All observations.
    pub count: T,
    /// Sum of all observations.
    pub sum: T,
    /// Absolute counts of the positive buckets.
    pub positive: Buckets<T>,
    /// Absolute counts of the negative buckets.
    pub negative: Buckets<T>,
    /// Upper bounds under [`CUSTOM_SCHEMA`], ascending, without +Inf.
    pub custom_values: Vec<f64>,
    /// Counter reset.
    pub reset_hint: ResetHint,
}

/// A histogram as it is stored and shown.
pub type Histogram = Shape<f64>;

/// A series' histograms, oldest first, strictly rising in time.
#[derive(Debug, Clone, PartialEq)]
pub struct HistogramSeries {
    /// Full labels, `__name__` included.
    pub labels: Labels,
    /// Time and histogram.
    pub samples: Vec<(Timestamp, Arc<Histogram>)>,
}

impl<T> Shape<T> {
    /// True when the buckets have custom bounds.
    pub fn is_custom(&self) -> bool {
        self.schema == CUSTOM_SCHEMA
    }
}

#[cfg(test)]
mod tests;
