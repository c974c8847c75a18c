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

impl Histogram {
    /// This histogram plus `other` times `sign`, at this one's resolution. `None` when the
    /// schemas do not allow it, the custom bounds or the zero thresholds differ.
    pub fn plus(&self, other: &Histogram, sign: f64) -> Option<Histogram> {
        let custom = self.schema == CUSTOM_SCHEMA;
        if custom != (other.schema == CUSTOM_SCHEMA)
            || self.custom_values != other.custom_values
            || self.zero_threshold != other.zero_threshold
            || other.schema < self.schema
        {
            return None;
        }
        let coarser = if custom {
            0
        } else {
            other.schema - self.schema
        };
        let mut out = self.clone();
        out.count += sign * other.count;
        out.sum += sign * other.sum;
        out.zero_count += sign * other.zero_count;
        out.positive = merged(&self.positive, &other.positive, sign, coarser);
        out.negative = merged(&self.negative, &other.negative, sign, coarser);
        Some(out)
    }
}

/// `coarser` is by how many schemas `b` is finer than `a`.
fn merged(a: &Buckets, b: &Buckets, sign: f64, coarser: i32) -> Buckets {
    let mut out = a.clone();
    for (index, count) in b {
        let index = if coarser == 0 {
            *index
        } else {
            ((index - 1) >> coarser) + 1
        };
        match out.binary_search_by_key(&index, |(i, _)| *i) {
            Ok(i) => out[i].1 += sign * count,
            Err(i) => out.insert(i, (index, sign * count)),
        }
    }
    out
}
