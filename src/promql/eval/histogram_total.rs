//! Sums and means of histograms.

use crate::model::histogram::{Histogram, Incompatible, Kahan, Met, ResetHint, Shape};

/// A compensated sum of histograms, or their mean: by direct sum, or by steps once that
/// overflows.
#[derive(Debug, Clone)]
pub(crate) struct HistogramTotal {
    total: Shape<Kahan>,
    count: f64,
    mean: bool,
    by_steps: bool,
    reset: bool,
    not_reset: bool,
    bounds_differed: bool,
}

impl HistogramTotal {
    pub(crate) fn new(first: &Histogram, mean: bool) -> Self {
        let mut out = HistogramTotal {
            total: first.compensated(),
            count: 1.0,
            mean,
            by_steps: false,
            reset: false,
            not_reset: false,
            bounds_differed: false,
        };
        out.see(first.reset_hint);
        out
    }

    /// The sum or mean of `all`; nothing of nothing.
    pub(crate) fn of<'h>(
        all: impl IntoIterator<Item = &'h Histogram>,
        mean: bool,
    ) -> Result<Option<Self>, Incompatible> {
        let mut total: Option<Self> = None;
        for histogram in all {
            match &mut total {
                Some(total) => total.add(histogram)?,
                None => total = Some(HistogramTotal::new(histogram, mean)),
            }
        }
        Ok(total)
    }

    pub(crate) fn add(&mut self, histogram: &Histogram) -> Result<(), Incompatible> {
        self.count += 1.0;
        self.see(histogram.reset_hint);
        if !self.mean {
            let met = self.total.add(histogram, 1.0)?;
            self.bounds_differed |= met.bounds_differed;
            return Ok(());
        }
        if !self.by_steps {
            let mut next = self.total.clone();
            let met = next.add(histogram, 1.0)?;
            self.bounds_differed |= met.bounds_differed;
            if !next.overflows() {
                self.total = next;
                return Ok(());
            }
            self.by_steps = true;
            self.total.divide(self.count - 1.0);
        }
        self.total.rescale((self.count - 1.0) / self.count);
        let met = self.total.add(&histogram.divided(self.count), 1.0)?;
        self.bounds_differed |= met.bounds_differed;
        Ok(())
    }

    /// What must be said of it.
    pub(crate) fn met(&self) -> Met {
        Met {
            hints_conflict: self.reset && self.not_reset,
            bounds_differed: self.bounds_differed,
        }
    }

    pub(crate) fn value(self) -> Histogram {
        let divide = self.mean && !self.by_steps;
        self.total.totals(if divide { self.count } else { 1.0 })
    }

    fn see(&mut self, hint: ResetHint) {
        self.reset |= hint == ResetHint::Reset;
        self.not_reset |= hint == ResetHint::NotReset;
    }
}
