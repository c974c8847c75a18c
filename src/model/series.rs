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

/// What series to show, and how they are grouped.
pub struct Grouped<'a> {
    /// What they satisfy.
    pub matchers: &'a [Matcher],
    /// Samples after this time.
    pub from: Timestamp,
    /// Samples up to this time.
    pub to: Timestamp,
    /// True for the label names that tell groups.
    pub counts: &'a dyn Fn(&str) -> bool,
    /// Label names that none of them may have.
    pub lacking: &'a [&'a str],
}

/// One series, as long as it is shown.
pub struct Shown<'a> {
    /// Its group; groups are numbered from 0 in the order of their first series.
    pub group: usize,
    /// The labels that all series of its group have.
    pub labels: &'a dyn Fn() -> Labels,
    /// Its samples, oldest first, stale markers included; at least one.
    pub samples: &'a mut Vec<Sample>,
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

    /// Shows what [`select_while`](Self::select_while) copies, in the same order, one series at a
    /// time and without labels: series that are equal in the labels whose names `counts` takes
    /// have the same group. `go_on` is asked as there; `take` as long as it says yes.
    ///
    /// False, before anything is asked or shown, when the source cannot, when a series has native
    /// histograms, or when a series has a label of `lacking`.
    fn each_grouped(
        &self,
        what: &Grouped<'_>,
        go_on: &mut dyn FnMut(usize) -> bool,
        take: &mut dyn FnMut(Shown<'_>) -> bool,
    ) -> bool {
        let _ = (what, go_on, take);
        false
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
