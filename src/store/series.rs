//! One series in memory.

use std::collections::VecDeque;
use std::time::Duration;

use crate::model::{Labels, Sample, Timestamp};

/// A series with the samples inside its window.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) labels: Labels,
    /// How far back somebody reads it.
    pub(crate) window: Duration,
    /// Strictly rising in time.
    pub(crate) samples: VecDeque<Sample>,
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
        }
    }

    pub(crate) fn push(&mut self, sample: Sample) -> Append {
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

    /// Drops samples that a read at `now` or later cannot reach.
    pub(crate) fn trim(&mut self, now: Timestamp) {
        let oldest = now - self.window;
        while self.samples.front().is_some_and(|s| s.t < oldest) {
            self.samples.pop_front();
        }
    }

    /// Samples at `from < t <= to`.
    pub(crate) fn between(&self, from: Timestamp, to: Timestamp) -> Vec<Sample> {
        let start = self.samples.partition_point(|s| s.t <= from);
        let end = self.samples.partition_point(|s| s.t <= to);
        self.samples.range(start..end.max(start)).copied().collect()
    }
}
