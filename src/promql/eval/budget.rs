//! What a query may cost.
//!
//! What must stay true: what a query keeps in memory is held before it is kept, and let go when it
//! is dropped; every loop whose length the data decides tells how far it got, so that a query ends
//! soon after its time is up.

use std::cell::Cell;

use crate::model::{Histogram, QueryError};

use super::super::engine::EngineOptions;
use super::Eval;
use super::value::{Element, Point};

/// What is looked at between two looks at the clock.
const CHECK_EVERY: usize = 4096;

/// Text bytes that weigh as much as a sample.
const BYTES_A_SAMPLE: usize = 16;

/// Counts what one query holds and does.
pub(crate) struct Budget {
    most_held: usize,
    most_work: usize,
    held: Cell<usize>,
    worked: Cell<usize>,
    checked_at: Cell<usize>,
    late: Option<Box<dyn Fn() -> bool>>,
}

impl Budget {
    pub(crate) fn new(options: &EngineOptions) -> Self {
        Budget {
            most_held: options.max_samples,
            most_work: options.max_work,
            held: Cell::new(0),
            worked: Cell::new(0),
            checked_at: Cell::new(0),
            late: options.deadline.as_ref().map(|start| start()),
        }
    }

    /// Samples held now; to be given back to [`release`](Self::release).
    pub(crate) fn held(&self) -> usize {
        self.held.get()
    }

    /// Samples looked at so far.
    pub(crate) fn worked(&self) -> usize {
        self.worked.get()
    }

    /// Lets go what was held since `held` was told.
    pub(crate) fn release(&self, held: usize) {
        self.held.set(held);
    }

    /// Keeps `samples` more in memory.
    pub(crate) fn hold(&self, samples: usize) -> Eval<()> {
        let held = self.held.get().saturating_add(samples);
        self.held.set(held);
        if held > self.most_held {
            return Err(QueryError::Limit(format!(
                "query holds more than the limit of {} samples in memory: narrow its selectors or \
                 its time, or raise query.max_samples",
                self.most_held
            )));
        }
        Ok(())
    }

    /// Looks at `samples` more.
    pub(crate) fn work(&self, samples: usize) -> Eval<()> {
        let worked = self.worked.get().saturating_add(samples.max(1));
        self.worked.set(worked);
        if worked > self.most_work {
            return Err(QueryError::Limit(format!(
                "query looks at more than the limit of {} samples",
                self.most_work
            )));
        }
        if worked - self.checked_at.get() >= CHECK_EVERY {
            self.checked_at.set(worked);
            return self.check();
        }
        Ok(())
    }

    /// Keeps `bytes` of text.
    pub(crate) fn hold_text(&self, bytes: usize) -> Eval<()> {
        self.hold(bytes / BYTES_A_SAMPLE)
    }

    /// Looks at the clock.
    fn check(&self) -> Eval<()> {
        if self.late.as_ref().is_some_and(|late| late()) {
            return Err(QueryError::Limit(
                "query took longer than its deadline: narrow its selectors or its time, or raise \
                 query.timeout"
                    .to_owned(),
            ));
        }
        Ok(())
    }
}

/// How many float samples weigh as much as a histogram.
pub(crate) fn weight(histogram: &Histogram) -> usize {
    let buckets = histogram.positive.len() + histogram.negative.len();
    8 + buckets + histogram.custom_values.len() / 2
}

/// How many samples weigh as much as the elements, labels apart.
pub(crate) fn weight_of(vector: &[Element]) -> usize {
    vector
        .iter()
        .map(|e| match &e.point {
            Point::Float(_) => 2,
            Point::Histogram(h) => weight(h),
        })
        .sum()
}
