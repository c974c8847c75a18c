//! Cutting observations off.

use super::{Bucket, Histogram};

impl Histogram {
    /// Only the observations below `at` (`upper` is true) or above it. Where a bucket is cut, its
    /// observations are shared out by interpolation; the sum is estimated anew from the middles
    /// of what is left. An infinite bucket says nothing about where its observations lie: what
    /// may lie on the wrong side goes.
    #[must_use]
    pub fn trimmed(&self, at: f64, upper: bool) -> Histogram {
        let custom = self.is_custom();
        let mut out = self.clone();
        let (mut count, mut sum, mut changed) = (0.0, 0.0, false);
        let mut keep = |n: &mut f64, (kept, middle): (f64, f64)| {
            count += kept;
            sum += middle * kept;
            changed |= *n != kept;
            *n = kept;
        };
        for (index, n) in &mut out.positive {
            let (lower, high) = self.bounds(*index);
            let bucket = Bucket {
                lower,
                upper: high,
                count: *n,
            };
            if *n != 0.0 {
                keep(n, bucket.kept(at, upper, custom));
            }
        }
        for (index, n) in &mut out.negative {
            let (low, high) = self.bounds(*index);
            let bucket = Bucket {
                lower: -high,
                upper: -low,
                count: *n,
            };
            if *n != 0.0 {
                keep(n, bucket.kept(at, upper, custom));
            }
        }
        if out.zero_count > 0.0 {
            let full = |b: &super::Buckets| b.iter().any(|(_, n)| *n != 0.0);
            let mut zero = self.zero_bucket();
            if full(&self.negative) && !full(&self.positive) {
                zero.upper = 0.0;
            } else if full(&self.positive) && !full(&self.negative) {
                zero.lower = 0.0;
            }
            keep(&mut out.zero_count, zero.kept(at, upper, true));
        }
        if !changed {
            return out;
        }
        out.count = count;
        out.sum = sum;
        out.compact()
    }
}

impl Bucket {
    /// How many observations are kept, and the middle of where they lie.
    fn kept(self, at: f64, upper: bool, linear: bool) -> (f64, f64) {
        let (whole, nothing) = if upper {
            (self.upper <= at, self.lower >= at)
        } else {
            (self.lower >= at, self.upper <= at)
        };
        if whole {
            return (self.count, self.middle(linear));
        }
        if nothing || at.is_nan() {
            return (0.0, 0.0);
        }
        if self.lower.is_infinite() || self.upper.is_infinite() {
            return self.kept_of_infinite(at, upper);
        }
        let below = self.count * self.share(at, linear);
        if upper {
            let rest = Bucket { upper: at, ..self };
            (below, rest.middle(linear))
        } else {
            let rest = Bucket { lower: at, ..self };
            (self.count - below, rest.middle(linear))
        }
    }

    /// A first bucket that ends above zero is taken to start there.
    fn kept_of_infinite(self, at: f64, upper: bool) -> (f64, f64) {
        if self.lower.is_infinite() {
            let from_zero = self.upper > 0.0 && self.upper.is_finite();
            return match upper {
                true if at > 0.0 && from_zero => (self.count * at / self.upper, at / 2.0),
                true if self.upper <= 0.0 => (self.count, at),
                false if at >= 0.0 && from_zero => (
                    self.count * (1.0 - at / self.upper),
                    f64::midpoint(at, self.upper),
                ),
                true | false => (0.0, 0.0),
            };
        }
        if upper { (0.0, 0.0) } else { (self.count, at) }
    }

    fn middle(self, linear: bool) -> f64 {
        match (self.lower.is_infinite(), self.upper.is_infinite()) {
            (true, true) => 0.0,
            (true, false) if self.upper > 0.0 => self.upper / 2.0,
            (true, false) => self.upper,
            (false, true) => self.lower,
            (false, false) if linear => f64::midpoint(self.lower, self.upper),
            (false, false) => {
                let middle = (self.lower * self.upper).abs().sqrt();
                if self.lower < 0.0 { -middle } else { middle }
            }
        }
    }
}
