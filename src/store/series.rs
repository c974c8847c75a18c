//! One series in memory.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::model::{Histogram, Labels, Sample, Timestamp};

/// A series with the samples inside its window.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) labels: Labels,
    /// How far back somebody reads it.
    pub(crate) window: Duration,
    /// Strictly rising in time.
    pub(crate) samples: VecDeque<Sample>,
    /// Native histograms; with the samples strictly rising in time.
    pub(crate) histograms: VecDeque<(Timestamp, Arc<Histogram>)>,
}

/// What became of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Append {
    Stored,
    /// Same time and same value as the newest: nothing to do.
    Same,
    /// Same time, another value: the first one stays.
    Duplicate,
    OutOfOrder,
}

impl Stored {
    pub(crate) fn new(labels: Labels, window: Duration) -> Self {
        Self {
            labels,
            window,
            samples: VecDeque::new(),
            histograms: VecDeque::new(),
        }
    }

    pub(crate) fn push(&mut self, sample: Sample) -> Append {
        if let Some((newest, _)) = self.histograms.back() {
            match sample.t.cmp(newest) {
                Ordering::Less => return Append::OutOfOrder,
                Ordering::Equal => return Append::Duplicate,
                Ordering::Greater => {}
            }
        }
        if let Some(newest) = self.samples.back() {
            if sample.t < newest.t {
                return Append::OutOfOrder;
            }
            if sample.t == newest.t {
                return if sample.v.to_bits() == newest.v.to_bits() {
                    Append::Same
                } else {
                    Append::Duplicate
                };
            }
        }
        self.samples.push_back(sample);
        self.trim(sample.t);
        Append::Stored
    }

    pub(crate) fn push_histogram(&mut self, t: Timestamp, histogram: &Arc<Histogram>) -> Append {
        if let Some(newest) = self.samples.back() {
            match t.cmp(&newest.t) {
                Ordering::Less => return Append::OutOfOrder,
                Ordering::Equal => return Append::Duplicate,
                Ordering::Greater => {}
            }
        }
        let before = self.histograms.back();
        if let Some((newest, last)) = before {
            match t.cmp(newest) {
                Ordering::Less => return Append::OutOfOrder,
                Ordering::Equal if same(last, histogram) => return Append::Same,
                Ordering::Equal => return Append::Duplicate,
                Ordering::Greater => {}
            }
        }
        // A float or a stale marker in between says nothing of resets.
        let follows = self
            .samples
            .back()
            .is_none_or(|s| before.is_some_and(|b| s.t < b.0));
        let hint = histogram.stored_hint(before.filter(|_| follows).map(|(_, h)| &**h));
        let mut histogram = Arc::clone(histogram);
        if histogram.reset_hint != hint {
            Arc::make_mut(&mut histogram).reset_hint = hint;
        }
        self.histograms.push_back((t, histogram));
        self.trim(t);
        Append::Stored
    }

    /// True when nothing is kept.
    pub(crate) fn is_empty(&self) -> bool {
        self.samples.is_empty() && self.histograms.is_empty()
    }

    /// Drops samples that a read at `now` or later cannot reach.
    pub(crate) fn trim(&mut self, now: Timestamp) {
        let oldest = now - self.window;
        while self.samples.front().is_some_and(|s| s.t < oldest) {
            self.samples.pop_front();
        }
        while self.histograms.front().is_some_and(|(t, _)| *t < oldest) {
            self.histograms.pop_front();
        }
    }

    /// Samples at `from < t <= to`.
    pub(crate) fn between(&self, from: Timestamp, to: Timestamp) -> Vec<Sample> {
        let start = self.samples.partition_point(|s| s.t <= from);
        let end = self.samples.partition_point(|s| s.t <= to);
        self.samples.range(start..end.max(start)).copied().collect()
    }

    /// Native histograms at `from < t <= to`.
    pub(crate) fn histograms_between(
        &self,
        from: Timestamp,
        to: Timestamp,
    ) -> Vec<(Timestamp, Arc<Histogram>)> {
        let start = self.histograms.partition_point(|(t, _)| *t <= from);
        let end = self.histograms.partition_point(|(t, _)| *t <= to);
        let window = self.histograms.range(start..end.max(start));
        window.cloned().collect()
    }
}

/// True when two histograms differ in nothing but what was known of a reset.
fn same(a: &Histogram, b: &Histogram) -> bool {
    let b = Histogram {
        reset_hint: a.reset_hint,
        ..b.clone()
    };
    *a == b
}
