//! Native histograms.

use std::sync::Arc;

use super::{Labels, Timestamp};

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
pub type Buckets = Vec<(i32, f64)>;

/// A histogram whose buckets follow from a schema, or from custom bounds.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Histogram {
    /// -4 to 8, or [`CUSTOM_SCHEMA`].
    pub schema: i32,
    /// Width of the zero bucket.
    pub zero_threshold: f64,
    /// Observations in the zero bucket.
    pub zero_count: f64,
    /// All observations.
    pub count: f64,
    /// Sum of all observations.
    pub sum: f64,
    /// Absolute counts of the positive buckets.
    pub positive: Buckets,
    /// Absolute counts of the negative buckets.
    pub negative: Buckets,
    /// Upper bounds under [`CUSTOM_SCHEMA`], ascending, without +Inf.
    pub custom_values: Vec<f64>,
    /// Counter reset.
    pub reset_hint: ResetHint,
}

/// A series' histograms, oldest first, strictly rising in time.
#[derive(Debug, Clone, PartialEq)]
pub struct HistogramSeries {
    /// Full labels, `__name__` included.
    pub labels: Labels,
    /// Time and histogram.
    pub samples: Vec<(Timestamp, Arc<Histogram>)>,
}
