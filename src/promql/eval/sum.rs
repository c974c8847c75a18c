//! Sums and means that lose as little as possible.

pub(crate) use crate::model::histogram::Kahan;

/// The sum of `values`.
pub(crate) fn sum(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut k = Kahan::default();
    for v in values {
        k.add(v);
    }
    k.total()
}

/// A mean by direct sum, or by steps once the sum overflows.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Mean {
    count: f64,
    state: Kahan,
    by_steps: bool,
}

impl Mean {
    pub(crate) fn add(&mut self, v: f64) {
        self.count += 1.0;
        if self.count == 1.0 {
            self.state.sum = v;
            return;
        }
        if !self.by_steps {
            let mut next = self.state;
            next.add(v);
            if !next.sum.is_infinite() {
                self.state = next;
                return;
            }
            self.by_steps = true;
            let before = self.count - 1.0;
            self.state.sum /= before;
            self.state.rest /= before;
        }
        let mean = self.state.sum;
        if mean.is_infinite() {
            let same_infinity = v.is_infinite() && (mean > 0.0) == (v > 0.0);
            if same_infinity || v.is_finite() {
                return;
            }
        }
        let keep = (self.count - 1.0) / self.count;
        let mut next = Kahan {
            sum: keep * mean,
            rest: keep * self.state.rest,
        };
        next.add(v / self.count);
        self.state = next;
    }

    /// The mean; NaN of nothing.
    pub(crate) fn value(self) -> f64 {
        if self.by_steps {
            self.state.total()
        } else {
            self.state.sum / self.count + self.state.rest / self.count
        }
    }
}

/// Variance by Welford's steps, with compensated sums.
pub(crate) fn variance(values: impl IntoIterator<Item = f64>) -> f64 {
    let (mut count, mut mean, mut squares) = (0.0, Kahan::default(), Kahan::default());
    for v in values {
        count += 1.0;
        let delta = v - mean.total();
        mean.add(delta / count);
        squares.add(delta * (v - mean.total()));
    }
    squares.total() / count
}

/// The `q`-quantile by linear interpolation; NaN counts as the smallest value. Sorts `values`.
pub(crate) fn quantile(q: f64, values: &mut [f64]) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    values.sort_by(|a, b| match (a.is_nan(), b.is_nan()) {
        (true, true) => std::cmp::Ordering::Equal,
        (true, false) => std::cmp::Ordering::Less,
        (false, true) => std::cmp::Ordering::Greater,
        (false, false) => a.total_cmp(b),
    });
    let last = values.len() - 1;
    let rank = q * last as f64;
    let lower = (rank.floor() as usize).min(last);
    let upper = (lower + 1).min(last);
    let weight = rank - rank.floor();
    values[lower] * (1.0 - weight) + values[upper] * weight
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_survive_overflow_and_infinities() {
        let mean = |values: &[f64]| {
            let mut m = Mean::default();
            values.iter().for_each(|v| m.add(*v));
            m.value()
        };
        let big = 1e308;
        assert_eq!(mean(&[big; 4]), big);
        assert_eq!(mean(&[52.0; 11]), 52.0);
        assert_eq!(mean(&[f64::INFINITY, 0.0]), f64::INFINITY);
        assert!(mean(&[f64::INFINITY, 0.0, f64::NEG_INFINITY]).is_nan());
        assert_eq!(sum([1e100, 1.0, -1e100]), 1.0);
    }
}
