//! Adding, subtracting and scaling histograms.

use std::borrow::Cow;

use super::layout::add_bucket;
use super::{Cell, Histogram, Kahan, ResetHint, Shape};

/// One histogram has custom bounds and the other has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Incompatible;

/// What had to be done to bring two histograms together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Met {
    /// One says reset and the other no reset.
    pub hints_conflict: bool,
    /// Custom bounds were different; the shared ones are left.
    pub bounds_differed: bool,
}

impl<T: Cell> Shape<T> {
    /// Adds `other`, or takes it away when `sign` is -1.
    pub fn add(&mut self, other: &Histogram, sign: f64) -> Result<Met, Incompatible> {
        let (other, bounds_differed) = self.meet(other)?;
        let hints_conflict = self.join_hint(other.reset_hint);
        self.count.add(sign * other.count);
        self.sum.add(sign * other.sum);
        self.zero_count.add(sign * other.zero_count);
        for (index, n) in &other.positive {
            add_bucket(&mut self.positive, *index, sign * n);
        }
        for (index, n) in &other.negative {
            add_bucket(&mut self.negative, *index, sign * n);
        }
        Ok(Met {
            hints_conflict,
            bounds_differed,
        })
    }

    /// Gives both the same layout; true when custom bounds differed.
    pub(super) fn meet<'o>(
        &mut self,
        other: &'o Histogram,
    ) -> Result<(Cow<'o, Histogram>, bool), Incompatible> {
        let mut other = Cow::Borrowed(other);
        if self.is_custom() != other.is_custom() {
            return Err(Incompatible);
        }
        if self.is_custom() {
            let differ = self.custom_values != other.custom_values;
            if differ {
                let shared = shared(&self.custom_values, &other.custom_values);
                self.rebound(&shared);
                other.to_mut().rebound(&shared);
            }
            return Ok((other, differ));
        }
        if self.schema > other.schema {
            self.reduce_to(other.schema);
        } else if other.schema > self.schema {
            other.to_mut().reduce_to(self.schema);
        }
        while self.zero_threshold != other.zero_threshold {
            if self.zero_threshold < other.zero_threshold {
                let threshold = self.threshold_from(other.zero_threshold);
                self.widen_zero(threshold);
            } else if self.zero_threshold > other.zero_threshold {
                let threshold = other.threshold_from(self.zero_threshold);
                other.to_mut().widen_zero(threshold);
            } else {
                // Only NaN is neither smaller nor greater.
                break;
            }
        }
        Ok((other, false))
    }

    /// True when one says reset and the other no reset.
    fn join_hint(&mut self, other: ResetHint) -> bool {
        use ResetHint::{Gauge, NotReset, Reset, Unknown};
        let (hint, conflict) = match (self.reset_hint, other) {
            (Gauge, _) | (_, Gauge) => (Gauge, false),
            (Unknown, _) | (_, Unknown) => (Unknown, false),
            (Reset, Reset) => (Reset, false),
            (NotReset, NotReset) => (NotReset, false),
            (Reset, NotReset) | (NotReset, Reset) => (Unknown, true),
        };
        self.reset_hint = hint;
        conflict
    }
}

impl Histogram {
    /// Multiplied by `factor`. A negative factor makes a gauge.
    #[must_use]
    pub fn times(&self, factor: f64) -> Histogram {
        let mut out = self.clone();
        out.scale(factor);
        if factor < 0.0 {
            out.reset_hint = ResetHint::Gauge;
        }
        out
    }

    /// Divided by `divisor`. Division by zero leaves no buckets but the zero bucket.
    #[must_use]
    pub fn divided(&self, divisor: f64) -> Histogram {
        let mut out = self.clone();
        for n in [&mut out.count, &mut out.sum, &mut out.zero_count] {
            *n /= divisor;
        }
        if divisor == 0.0 {
            out.positive.clear();
            out.negative.clear();
        }
        for (_, n) in out.positive.iter_mut().chain(&mut out.negative) {
            *n /= divisor;
        }
        if divisor < 0.0 {
            out.reset_hint = ResetHint::Gauge;
        }
        out
    }

    /// True when everything but the hint is the same, empty buckets left out.
    pub fn equals(&self, other: &Histogram) -> bool {
        let same = |a: f64, b: f64| a == b || (a.is_nan() && b.is_nan());
        let buckets = |a: &super::Buckets, b: &super::Buckets| {
            let full = |l: &super::Buckets| -> super::Buckets {
                l.iter().copied().filter(|(_, n)| *n != 0.0).collect()
            };
            full(a) == full(b)
        };
        self.schema == other.schema
            && self.custom_values == other.custom_values
            && self.zero_threshold == other.zero_threshold
            && same(self.count, other.count)
            && same(self.sum, other.sum)
            && same(self.zero_count, other.zero_count)
            && buckets(&self.positive, &other.positive)
            && buckets(&self.negative, &other.negative)
    }

    /// With every number as the start of a compensated sum.
    pub fn compensated(&self) -> Shape<Kahan> {
        let cell = |v: f64| Kahan { sum: v, rest: 0.0 };
        let cells = |b: &super::Buckets| b.iter().map(|(i, n)| (*i, cell(*n))).collect();
        Shape {
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            zero_count: cell(self.zero_count),
            count: cell(self.count),
            sum: cell(self.sum),
            positive: cells(&self.positive),
            negative: cells(&self.negative),
            custom_values: self.custom_values.clone(),
            reset_hint: self.reset_hint,
        }
    }
}

impl Shape<Kahan> {
    /// The histogram of the sums, divided by `divisor`.
    pub fn totals(&self, divisor: f64) -> Histogram {
        let total = |k: &Kahan| {
            if k.sum.is_infinite() {
                k.sum / divisor
            } else {
                k.sum / divisor + k.rest / divisor
            }
        };
        let totals = |b: &super::Buckets<Kahan>| b.iter().map(|(i, k)| (*i, total(k))).collect();
        Shape {
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            zero_count: total(&self.zero_count),
            count: total(&self.count),
            sum: total(&self.sum),
            positive: totals(&self.positive),
            negative: totals(&self.negative),
            custom_values: self.custom_values.clone(),
            reset_hint: self.reset_hint,
        }
        .compact()
    }

    /// True when a sum is infinite.
    pub fn overflows(&self) -> bool {
        let cells = self.positive.iter().chain(&self.negative).map(|(_, k)| k);
        [&self.count, &self.sum, &self.zero_count]
            .into_iter()
            .chain(cells)
            .any(|k| k.sum.is_infinite())
    }

    /// Multiplies every sum and what it lost.
    pub fn rescale(&mut self, factor: f64) {
        self.scale(factor);
    }

    /// Divides every sum and what it lost.
    pub fn divide(&mut self, divisor: f64) {
        let cells = self.positive.iter_mut().chain(&mut self.negative);
        for k in [&mut self.count, &mut self.sum, &mut self.zero_count]
            .into_iter()
            .chain(cells.map(|(_, k)| k))
        {
            k.sum /= divisor;
            k.rest /= divisor;
        }
    }
}

/// Bounds that both have; both rise.
pub(super) fn shared(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter()
        .copied()
        .filter(|v| b.binary_search_by(|w| w.total_cmp(v)).is_ok())
        .collect()
}
