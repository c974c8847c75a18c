//! One series in memory.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::packed::Packed;
use crate::model::{Histogram, Sample, Timestamp};

/// Most floats, and most histograms, of one series; the oldest make room.
pub(crate) const MOST_SAMPLES: usize = 100_000;

/// A series with the samples inside its window. Its labels are in the index.
#[derive(Debug)]
pub(crate) struct Stored {
    /// Numbers of its label pairs, in order of label name.
    pub(crate) pairs: Box<[u32]>,
    /// Tells it from the series that had its place before.
    pub(crate) born: u32,
    /// Seconds that somebody reads it back, rounded up.
    window: u32,
    floats: Packed,
    histograms: Option<Box<Histograms>>,
}

#[derive(Debug, Default)]
struct Histograms {
    all: VecDeque<(Timestamp, Arc<Histogram>)>,
    bytes: usize,
}

/// What became of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Append {
    Stored,
    /// Stored, and the oldest made room.
    Shortened,
    /// Same time and same value as the newest: nothing to do.
    Same,
    /// Same time, another value: the first one stays.
    Duplicate,
    OutOfOrder,
}

impl Stored {
    pub(crate) fn new(pairs: Box<[u32]>, window: Duration, born: u32) -> Self {
        Self {
            pairs,
            born,
            window: seconds(window),
            floats: Packed::default(),
            histograms: None,
        }
    }

    /// Bytes that the series takes.
    pub(crate) fn bytes(&self) -> usize {
        let histograms = self.histograms.as_ref().map_or(0, |h| h.bytes);
        // The second half stands for the index: one place in each label's list.
        size_of::<Self>() + 8 * self.pairs.len() + self.floats.heap() + histograms
    }

    /// How far back somebody reads it.
    pub(crate) fn window(&self) -> Duration {
        Duration::from_secs(u64::from(self.window))
    }

    /// Sets how far back somebody reads it.
    pub(crate) fn set_window(&mut self, window: Duration) {
        self.window = seconds(window);
        if let Some(newest) = self.newest() {
            self.trim(newest);
        }
    }

    /// Appends a float. With `full`, its memory does not grow: the oldest samples make room.
    pub(crate) fn push(&mut self, sample: Sample, full: bool) -> Append {
        if let Some(refused) = self.refused(sample.t) {
            let same = self
                .floats
                .last()
                .is_some_and(|last| last.t == sample.t && last.v.to_bits() == sample.v.to_bits());
            return if same && refused == Append::Duplicate {
                Append::Same
            } else {
                refused
            };
        }
        self.trim(sample.t);
        let mut append = Append::Stored;
        while self.floats.len() >= MOST_SAMPLES || (full && !self.floats.has_room()) {
            self.floats.drop_first();
            append = Append::Shortened;
        }
        self.floats.push(sample);
        append
    }

    /// Appends a histogram, like [`push`](Self::push).
    pub(crate) fn push_histogram(
        &mut self,
        t: Timestamp,
        histogram: &Arc<Histogram>,
        full: bool,
    ) -> Append {
        let before = self.histograms.as_ref().and_then(|h| h.all.back());
        if let Some(refused) = self.refused(t) {
            return match before {
                Some((at, last)) if *at == t && same(last, histogram) => Append::Same,
                Some(_) | None => refused,
            };
        }
        // A float or a stale marker in between says nothing of resets.
        let float = self.floats.last().map(|s| s.t);
        let follows = before.filter(|(at, _)| float.is_none_or(|f| f < *at));
        let hint = histogram.stored_hint(follows.map(|(_, h)| &**h));
        let mut histogram = Arc::clone(histogram);
        if histogram.reset_hint != hint {
            Arc::make_mut(&mut histogram).reset_hint = hint;
        }
        self.trim(t);
        let histograms = self.histograms.get_or_insert_default();
        let mut append = Append::Stored;
        if histograms.all.len() >= MOST_SAMPLES || (full && !histograms.all.is_empty()) {
            histograms.drop_first();
            append = Append::Shortened;
        }
        histograms.bytes += size_of_histogram(&histogram);
        histograms.all.push_back((t, histogram));
        append
    }

    /// Drops samples that a read at `now` or later cannot reach.
    pub(crate) fn trim(&mut self, now: Timestamp) {
        let oldest = now - self.window();
        self.floats.drop_before(oldest);
        if let Some(histograms) = &mut self.histograms {
            while histograms.all.front().is_some_and(|(t, _)| *t < oldest) {
                histograms.drop_first();
            }
            if histograms.all.is_empty() {
                self.histograms = None;
            }
        }
    }

    /// Moves samples up to `until` by `step` milliseconds. Where those that came after meet them,
    /// the moved ones stay.
    pub(crate) fn shift(&mut self, until: Timestamp, step: i64) {
        let moved = |t: Timestamp| if t <= until { t.shifted(step) } else { t };
        let mut floats = Packed::default();
        for sample in self.floats.iter() {
            let sample = Sample {
                t: moved(sample.t),
                ..sample
            };
            if floats.last().is_none_or(|last| last.t < sample.t) {
                floats.push(sample);
            }
        }
        self.floats = floats;
        if let Some(histograms) = &mut self.histograms {
            let mut newest = None;
            for (t, _) in &mut histograms.all {
                *t = moved(*t);
            }
            histograms.all.retain(|(t, _)| {
                let rises = newest.is_none_or(|n| n < *t);
                if rises {
                    newest = Some(*t);
                }
                rises
            });
        }
    }

    /// Gives back room that is not needed.
    pub(crate) fn shrink(&mut self) {
        self.floats.shrink();
    }

    /// Number of samples.
    pub(crate) fn len(&self) -> usize {
        self.floats.len() + self.histograms.as_ref().map_or(0, |h| h.all.len())
    }

    /// True without samples.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// True when there are floats later than `from`.
    pub(crate) fn has_floats_after(&self, from: Timestamp) -> bool {
        self.floats.last().is_some_and(|last| last.t > from)
    }

    /// True when there are histograms.
    pub(crate) fn has_histograms(&self) -> bool {
        self.histograms.is_some()
    }

    /// Floats at `from < t <= to`.
    pub(crate) fn between(&self, from: Timestamp, to: Timestamp) -> Vec<Sample> {
        let mut out = Vec::new();
        self.copy_between(from, to, &mut out);
        out
    }

    /// Puts the floats at `from < t <= to` into `out`, instead of what is there.
    pub(crate) fn copy_between(&self, from: Timestamp, to: Timestamp, out: &mut Vec<Sample>) {
        out.clear();
        if !self.has_floats_after(from) {
            return;
        }
        out.reserve(self.floats.len());
        let after = self.floats.iter().skip_while(|s| s.t <= from);
        out.extend(after.take_while(|s| s.t <= to));
    }

    /// Histograms at `from < t <= to`.
    pub(crate) fn histograms_between(
        &self,
        from: Timestamp,
        to: Timestamp,
    ) -> Vec<(Timestamp, Arc<Histogram>)> {
        let Some(Histograms { all, .. }) = self.histograms.as_deref() else {
            return Vec::new();
        };
        let start = all.partition_point(|(t, _)| *t <= from);
        let end = all.partition_point(|(t, _)| *t <= to);
        all.range(start..end.max(start)).cloned().collect()
    }

    fn newest(&self) -> Option<Timestamp> {
        let float = self.floats.last().map(|s| s.t);
        let histogram = self.histograms.as_ref().and_then(|h| h.all.back());
        float.max(histogram.map(|(t, _)| *t))
    }

    fn refused(&self, t: Timestamp) -> Option<Append> {
        let newest = self.newest()?;
        match t.cmp(&newest) {
            std::cmp::Ordering::Less => Some(Append::OutOfOrder),
            std::cmp::Ordering::Equal => Some(Append::Duplicate),
            std::cmp::Ordering::Greater => None,
        }
    }
}

impl Histograms {
    fn drop_first(&mut self) {
        if let Some((_, h)) = self.all.pop_front() {
            self.bytes -= size_of_histogram(&h);
        }
    }
}

fn seconds(window: Duration) -> u32 {
    let whole = window.as_secs() + u64::from(window.subsec_nanos() > 0);
    u32::try_from(whole).unwrap_or(u32::MAX)
}

fn size_of_histogram(h: &Histogram) -> usize {
    let buckets = h.positive.len() + h.negative.len();
    size_of::<(Timestamp, Arc<Histogram>)>()
        + size_of::<Histogram>()
        + 16 * buckets
        + 8 * h.custom_values.len()
}

/// True when two histograms differ in nothing but what was known of a reset.
fn same(a: &Histogram, b: &Histogram) -> bool {
    let b = Histogram {
        reset_hint: a.reset_hint,
        ..b.clone()
    };
    *a == b
}
