//! Where buckets begin and end.

use super::{Cell, Histogram, Shape};

/// A bucket with its bounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket {
    /// Lower bound.
    pub lower: f64,
    /// Upper bound.
    pub upper: f64,
    /// Observations.
    pub count: f64,
}

/// The upper bound of bucket `index` under an exponential `schema`. The last bucket before the
/// floats end reaches to the greatest of them, the one after it to infinity.
pub(super) fn exponential(schema: i32, index: i32) -> f64 {
    let index = i64::from(index);
    let (exponent, fraction) = if schema <= 0 {
        (index.saturating_mul(1 << -schema), 0.0)
    } else {
        let per_power = 1_i64 << schema;
        let part = index.rem_euclid(per_power) as f64 / per_power as f64;
        (index.div_euclid(per_power), part)
    };
    if exponent == 1024 && fraction == 0.0 {
        return f64::MAX;
    }
    fraction.exp2() * (exponent as f64).exp2()
}

impl<T: Cell> Shape<T> {
    /// Bounds of the positive bucket `index`; of the custom bucket where bounds are custom.
    pub(super) fn bounds(&self, index: i32) -> (f64, f64) {
        if !self.is_custom() {
            return (
                exponential(self.schema, index.saturating_sub(1)),
                exponential(self.schema, index),
            );
        }
        let bound = |i: i32, outside: f64| {
            let i = usize::try_from(i).ok();
            i.and_then(|i| self.custom_values.get(i))
                .copied()
                .unwrap_or(outside)
        };
        (
            bound(index.saturating_sub(1), f64::NEG_INFINITY),
            bound(index, f64::INFINITY),
        )
    }
}

impl Histogram {
    /// The zero bucket.
    pub fn zero_bucket(&self) -> Bucket {
        Bucket {
            lower: -self.zero_threshold,
            upper: self.zero_threshold,
            count: self.zero_count,
        }
    }

    /// Buckets with observations, from the lowest to the highest.
    pub fn buckets(&self) -> Vec<Bucket> {
        let full = |b: &&(i32, f64)| b.1 != 0.0;
        let negative = self.negative.iter().rev().filter(full).map(|(i, count)| {
            let (low, high) = self.bounds(*i);
            Bucket {
                lower: -high,
                upper: -low,
                count: *count,
            }
        });
        let positive = self.positive.iter().filter(full).map(|(i, count)| {
            let (lower, upper) = self.bounds(*i);
            Bucket {
                lower,
                upper,
                count: *count,
            }
        });
        let zero = (self.zero_count != 0.0).then(|| self.zero_bucket());
        negative.chain(zero).chain(positive).collect()
    }

    /// Whether the lower and the upper bound belong to a bucket of this histogram.
    pub fn inclusive(&self, bucket: &Bucket) -> (bool, bool) {
        if self.is_custom() {
            return (bucket.lower == f64::NEG_INFINITY, true);
        }
        let zero = bucket.lower <= 0.0 && bucket.upper >= 0.0;
        (zero || bucket.lower < 0.0, zero || bucket.upper > 0.0)
    }

    /// A zero bucket reaches to one side only when all other buckets lie on that side.
    pub(super) fn one_sided(&self, bucket: Bucket) -> Bucket {
        let mut bucket = bucket;
        if self.negative.is_empty() && !self.positive.is_empty() {
            bucket.lower = 0.0;
        } else if self.positive.is_empty() && !self.negative.is_empty() {
            bucket.upper = 0.0;
        }
        bucket
    }
}
