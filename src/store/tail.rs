//! For a file that outlives the process: what is kept, series by series, and taking it in again.

use std::sync::Arc;
use std::time::Duration;

use super::index::SeriesId;
use super::{Store, window_of};
use crate::model::{Histogram, Labels, Sample, Timestamp};

/// Series looked at under one lock, so that the writer never waits long.
const AT_ONCE: u32 = 2_000;

/// A kept series as it is now.
pub struct Kept<'a> {
    /// Its place, which another series may take after it.
    pub place: u32,
    /// Tells it from the series that had its place before.
    pub born: u32,
    /// How far back somebody reads it.
    pub window: Duration,
    /// Its labels.
    pub labels: &'a dyn Fn() -> Labels,
    /// Its floats after a time.
    pub floats: &'a dyn Fn(Timestamp) -> Vec<Sample>,
    /// Its native histograms after a time.
    pub histograms: &'a dyn Fn(Timestamp) -> Vec<(Timestamp, Arc<Histogram>)>,
}

impl Store {
    /// Shows every kept series, by place.
    pub fn visit(&self, take: &mut dyn FnMut(&Kept<'_>)) {
        let mut from: u32 = 0;
        let end = Timestamp(i64::MAX);
        loop {
            let inner = self.read();
            let places = inner.index.places();
            for place in from..places.min(from.saturating_add(AT_ONCE)) {
                let Some(stored) = inner.index.get(SeriesId(place)) else {
                    continue;
                };
                take(&Kept {
                    place,
                    born: stored.born,
                    window: stored.window(),
                    labels: &|| inner.index.labels(stored),
                    floats: &|after| stored.between(after, end),
                    histograms: &|after| stored.histograms_between(after, end),
                });
            }
            from = from.saturating_add(AT_ONCE);
            if from >= places {
                return;
            }
        }
    }

    /// Makes a place for a series from before; its place and what tells it apart, or nothing when
    /// nobody reads it any more or a cap is reached.
    pub fn take_back(&self, labels: &Labels) -> Option<(u32, u32)> {
        let mut guard = self.write();
        let inner = &mut *guard;
        let id = match inner.index.find(labels) {
            Some(id) => id,
            None if inner.is_full() => return None,
            None => {
                let window = window_of(&inner.selection, labels)?;
                inner.insert(labels, window)
            }
        };
        let born = inner.index.get(id)?.born;
        Some((id.0, born))
    }

    /// Appends samples from before to a series that was [taken back](Self::take_back).
    pub fn give_back(
        &self,
        place: u32,
        floats: &[Sample],
        histograms: &[(Timestamp, Arc<Histogram>)],
    ) {
        let mut guard = self.write();
        let mut histograms = histograms.iter().peekable();
        for sample in floats {
            while let Some((t, h)) = histograms.next_if(|(t, _)| *t < sample.t) {
                guard.push_histogram(SeriesId(place), *t, h);
            }
            guard.push(SeriesId(place), *sample);
        }
        for (t, h) in histograms {
            guard.push_histogram(SeriesId(place), *t, h);
        }
    }
}
