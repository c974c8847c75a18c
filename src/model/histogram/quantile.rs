//! What a histogram says about its observations.

use super::{Bucket, Histogram, Kahan};

/// What observations of NaN do to a quantile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NanEffect {
    /// Nothing: there are none.
    None,
    /// The quantile is among them.
    IsNan,
    /// They count as the greatest, so the quantile is too high.
    Skewed,
}

impl Histogram {
    /// The `q`-quantile: exponential interpolation inside a bucket, linear in the zero bucket and
    /// between custom bounds.
    pub fn quantile(&self, q: f64) -> (f64, NanEffect) {
        if q < 0.0 {
            return (f64::NEG_INFINITY, NanEffect::None);
        }
        if q > 1.0 {
            return (f64::INFINITY, NanEffect::None);
        }
        if q.is_nan() || self.count == 0.0 {
            return (f64::NAN, NanEffect::None);
        }
        let has_nan = self.sum.is_nan();
        // From the nearer end, as rounding adds up; NaN is always at the upper one.
        let forward = has_nan || q < 0.5;
        let rank = if forward { q } else { 1.0 - q } * self.count;
        let mut buckets = self.buckets();
        if !forward {
            buckets.reverse();
        }
        let (mut count, mut found) = (0.0, None);
        for bucket in buckets {
            count += bucket.count;
            found = Some(bucket);
            if count >= rank {
                break;
            }
        }
        let Some(mut bucket) = found else {
            let effect = if has_nan {
                NanEffect::IsNan
            } else {
                NanEffect::None
            };
            return (f64::NAN, effect);
        };
        let mut linear = self.is_custom();
        if self.is_custom() {
            if bucket.lower == f64::NEG_INFINITY {
                if bucket.upper <= 0.0 {
                    return (bucket.upper, NanEffect::None);
                }
                bucket.lower = 0.0;
            } else if bucket.upper == f64::INFINITY {
                return (bucket.lower, NanEffect::None);
            }
        } else if bucket.lower <= 0.0 && bucket.upper >= 0.0 {
            linear = true;
            bucket = self.one_sided(bucket);
        }
        let count = if count > self.count {
            self.count
        } else {
            count
        };
        if count < rank {
            return if has_nan {
                (f64::NAN, NanEffect::IsNan)
            } else {
                (bucket.upper, NanEffect::None)
            };
        }
        let effect = if has_nan {
            NanEffect::Skewed
        } else {
            NanEffect::None
        };
        let inside = if forward {
            rank - (count - bucket.count)
        } else {
            count - rank
        };
        (bucket.at(inside / bucket.count, linear), effect)
    }

    /// The share of observations between `low` and `high`, and true when NaN was observed,
    /// which is in no share.
    pub fn fraction(&self, low: f64, high: f64) -> (f64, bool) {
        if self.count == 0.0 || low.is_nan() || high.is_nan() {
            return (f64::NAN, false);
        }
        let has_nan = self.sum.is_nan();
        if low >= high {
            return (0.0, has_nan);
        }
        let buckets = self.buckets();
        let share = (self.rank(&buckets, high) - self.rank(&buckets, low)) / self.count;
        (share, has_nan)
    }

    /// Observations up to `v`. Buckets without a finite width say nothing about where in them
    /// the observations lie, and are left out.
    fn rank(&self, buckets: &[Bucket], v: f64) -> f64 {
        let mut below = 0.0;
        for bucket in buckets {
            let mut bucket = *bucket;
            let mut linear = self.is_custom();
            if self.is_custom() {
                if bucket.lower == f64::NEG_INFINITY && bucket.upper > 0.0 {
                    bucket.lower = 0.0;
                }
            } else if bucket.lower <= 0.0 && bucket.upper >= 0.0 {
                linear = true;
                bucket = self.one_sided(bucket);
            }
            if bucket.lower >= v {
                return below;
            }
            if v < bucket.upper {
                return if bucket.lower.is_infinite() {
                    below + bucket.count
                } else if bucket.upper.is_infinite() {
                    below
                } else {
                    below + bucket.count * bucket.share(v, linear)
                };
            }
            below += bucket.count;
        }
        below.min(self.count)
    }

    /// Mean of the squared distances from the mean, each bucket taken at its middle.
    pub fn variance(&self) -> f64 {
        let mean = self.sum / self.count;
        let mut squares = Kahan::default();
        for bucket in self.buckets() {
            let middle = if self.is_custom() {
                f64::midpoint(bucket.lower, bucket.upper)
            } else if bucket.lower <= 0.0 && bucket.upper >= 0.0 {
                0.0
            } else {
                let middle = (bucket.lower * bucket.upper).sqrt();
                if bucket.upper < 0.0 { -middle } else { middle }
            };
            let distance = middle - mean;
            squares.add(bucket.count * distance * distance);
        }
        squares.total() / self.count
    }
}

impl Bucket {
    /// The value below which `fraction` of the bucket lies.
    fn at(self, fraction: f64, linear: bool) -> f64 {
        if linear {
            return self.lower + (self.upper - self.lower) * fraction;
        }
        let (low, high) = (self.lower.abs().log2(), self.upper.abs().log2());
        if self.lower > 0.0 {
            (low + (high - low) * fraction).exp2()
        } else {
            -(high + (low - high) * (1.0 - fraction)).exp2()
        }
    }

    /// The share of the bucket that lies below `v`, which is inside it.
    pub(super) fn share(self, v: f64, linear: bool) -> f64 {
        if linear {
            return (v - self.lower) / (self.upper - self.lower);
        }
        let (low, high, v) = (
            self.lower.abs().log2(),
            self.upper.abs().log2(),
            v.abs().log2(),
        );
        if self.lower > 0.0 {
            (v - low) / (high - low)
        } else {
            1.0 - (v - high) / (low - high)
        }
    }
}
