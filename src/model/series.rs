//! What the engine reads from.

use std::time::Duration;

use super::{HistogramSeries, Labels, Matcher, Sample, Timestamp};

/// A series and the samples asked for, oldest first, stale markers included.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Full labels, `__name__` included.
    pub labels: Labels,
    /// Strictly rising in time.
    pub samples: Vec<Sample>,
}

/// Anything that can hand out series: the store, a test script's data, a replay.
pub trait SeriesSource: Send + Sync {
    /// Series that satisfy all matchers, with their samples at `from < t <= to`, sorted by
    /// labels. A series without samples in that window may be left out.
    fn select(&self, matchers: &[Matcher], from: Timestamp, to: Timestamp) -> Vec<Series>;

    /// Like [`select`](Self::select), but asks `go_on` before each series that it looks at or
    /// copies, with the number of samples to be copied, 0 for one that is passed over; stops where
    /// the answer is no. What is returned then is of no use.
    fn select_while(
        &self,
        matchers: &[Matcher],
        from: Timestamp,
        to: Timestamp,
        go_on: &mut dyn FnMut(usize) -> bool,
    ) -> Vec<Series> {
        let mut found = self.select(matchers, from, to);
        let end = found.iter().position(|s| !go_on(s.samples.len()));
        found.truncate(end.unwrap_or(found.len()));
        found
    }

    /// Native histograms under the same rules as [`select`](Self::select); a series may have
    /// floats and histograms. Empty for a source that keeps none.
    fn select_histograms(
        &self,
        matchers: &[Matcher],
        from: Timestamp,
        to: Timestamp,
    ) -> Vec<HistogramSeries> {
        let _ = (matchers, from, to);
        Vec::new()
    }

    /// How far back samples are kept, if bounded; the engine warns when a query reaches further.
    fn retention(&self) -> Option<Duration> {
        None
    }

    /// A warning when the source does not keep what the matchers ask for, with the way to pin it.
    fn unkept(&self, matchers: &[Matcher]) -> Option<String> {
        let _ = matchers;
        None
    }
}
