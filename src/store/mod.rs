//! Series in memory: what was selected, as far back as somebody reads.
//!
//! What must stay true: samples of a series rise strictly in time; a series is kept only while
//! the selection wants it and only as long as its window; at the cap new series are refused
//! first, said and counted, and known ones go on. Sources reach the store only as `Batch`es, and
//! one writer appends.

mod index;
mod series;

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use crate::model::selection::Selection;
use crate::model::{
    Batch, Histogram, HistogramSeries, Labels, Matcher, Ref, Sample, Series, SeriesSource,
    TargetKey, Timestamp, stale_nan,
};
use index::{Index, SeriesId};
use series::{Append, Stored};

/// How long any series is kept at the least: the lookback of instant selectors, 5 minutes, and
/// one more minute so that a late evaluation still sees its window.
const LEAST_WINDOW: Duration = Duration::from_secs(360);

/// What one append did; every refusal is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Appended {
    /// Samples stored.
    pub stored: u64,
    /// Samples that nobody reads.
    pub unselected: u64,
    /// Samples older than the newest of their series.
    pub out_of_order: u64,
    /// Samples at a time that already has another value.
    pub duplicates: u64,
    /// New series refused because the cap is reached.
    pub capped: u64,
}

/// All kept series. Readers and the one writer share it by `Arc`.
#[derive(Debug)]
pub struct Store {
    inner: RwLock<Inner>,
    max_series: usize,
}

#[derive(Debug, Default)]
struct Inner {
    selection: Arc<Selection>,
    index: Index,
    targets: BTreeMap<TargetKey, BTreeMap<Ref, Slot>>,
}

/// What a source's number stands for.
#[derive(Debug, Clone)]
enum Slot {
    Kept(SeriesId),
    /// Wanted, but all its samples fell out of the window; kept again with its next sample.
    Idle(Labels),
    /// Known, but nobody reads it (or the cap refused it); kept so that a new selection can
    /// take it up without asking the source again.
    Passed(Labels),
}

impl Store {
    /// An empty store that holds at most `max_series` series.
    pub fn new(max_series: usize) -> Self {
        Self {
            inner: RwLock::default(),
            max_series,
        }
    }

    /// Takes over a new selection: series nobody reads any more go, the others keep their samples.
    pub fn select_only(&self, selection: Arc<Selection>) {
        let mut guard = self.write();
        let inner = &mut *guard;
        let mut dropped = BTreeMap::new();
        inner.index.retain(|id, stored| {
            let window = window_of(&selection, &stored.labels);
            match window {
                Some(w) => {
                    stored.window = w;
                    true
                }
                None => {
                    dropped.insert(id, stored.labels.clone());
                    false
                }
            }
        });
        for slot in inner.targets.values_mut().flat_map(BTreeMap::values_mut) {
            if let Slot::Kept(id) = slot
                && let Some(labels) = dropped.get(id)
            {
                *slot = Slot::Passed(labels.clone());
            }
        }
        inner.selection = selection;
        for slot in inner.targets.values_mut().flat_map(BTreeMap::values_mut) {
            if let Slot::Passed(labels) | Slot::Idle(labels) = slot
                && let Some(window) = window_of(&inner.selection, labels)
                && let Some(id) = inner.index.get_or_insert(labels, window, self.max_series)
            {
                *slot = Slot::Kept(id);
            }
        }
    }

    /// Appends one pass over one target. Only the writer calls it.
    pub fn append(&self, batch: &Batch) -> Appended {
        let mut guard = self.write();
        let inner = &mut *guard;
        let mut done = Appended::default();
        let slots = inner.targets.entry(batch.target.clone()).or_default();
        for (r, labels) in &batch.new {
            let slot = match window_of(&inner.selection, labels) {
                None => Slot::Passed(labels.clone()),
                Some(window) => match inner.index.get_or_insert(labels, window, self.max_series) {
                    Some(id) => Slot::Kept(id),
                    None => {
                        done.capped += 1;
                        Slot::Passed(labels.clone())
                    }
                },
            };
            slots.insert(*r, slot);
        }
        for (r, t, v) in &batch.samples {
            if let Some(Slot::Idle(labels)) = slots.get(r)
                && let Some(window) = window_of(&inner.selection, labels)
                && let Some(id) = inner.index.get_or_insert(labels, window, self.max_series)
            {
                slots.insert(*r, Slot::Kept(id));
            }
            match slots.get(r) {
                Some(Slot::Kept(id)) => {
                    let outcome = inner
                        .index
                        .get_mut(*id)
                        .map(|s| s.push(Sample { t: *t, v: *v }));
                    done.count(outcome);
                }
                Some(Slot::Idle(_) | Slot::Passed(_)) | None => done.unselected += 1,
            }
        }
        for (r, t, histogram) in &batch.histograms {
            let kept = inner.kept(&batch.target, *r, self.max_series);
            done.count(kept.map(|s| s.push_histogram(*t, histogram)));
        }
        let slots = inner.targets.entry(batch.target.clone()).or_default();
        for r in &batch.gone {
            // A series that comes back gets a new number.
            if let Some(Slot::Kept(id)) = slots.remove(r)
                && let Some(stored) = inner.index.get_mut(id)
            {
                stored.push(Sample {
                    t: batch.at,
                    v: stale_nan(),
                });
            }
        }
        done
    }

    /// Appends one sample that a rule produced. Always kept, as far back as somebody reads it.
    pub fn record(&self, labels: &Labels, sample: Sample) -> Appended {
        let mut guard = self.write();
        let inner = &mut *guard;
        let mut done = Appended::default();
        let window = window_of(&inner.selection, labels).unwrap_or(LEAST_WINDOW);
        match inner.index.get_or_insert(labels, window, self.max_series) {
            Some(id) => {
                let outcome = inner.index.get_mut(id).map(|s| s.push(sample));
                done.count(outcome);
            }
            None => done.capped += 1,
        }
        done
    }

    /// Appends one native histogram that a rule produced.
    pub fn record_histogram(
        &self,
        labels: &Labels,
        t: Timestamp,
        histogram: &Arc<Histogram>,
    ) -> Appended {
        let mut guard = self.write();
        let inner = &mut *guard;
        let mut done = Appended::default();
        let window = window_of(&inner.selection, labels).unwrap_or(LEAST_WINDOW);
        match inner.index.get_or_insert(labels, window, self.max_series) {
            Some(id) => {
                let stored = inner.index.get_mut(id);
                done.count(stored.map(|s| s.push_histogram(t, histogram)));
            }
            None => done.capped += 1,
        }
        done
    }

    /// Ends all series of a target that is watched no more: stale markers at `at`.
    pub fn forget(&self, target: &TargetKey, at: Timestamp) {
        let mut guard = self.write();
        let inner = &mut *guard;
        for slot in inner
            .targets
            .remove(target)
            .unwrap_or_default()
            .into_values()
        {
            if let Slot::Kept(id) = slot
                && let Some(stored) = inner.index.get_mut(id)
            {
                stored.push(Sample {
                    t: at,
                    v: stale_nan(),
                });
            }
        }
    }

    /// Drops samples that no window reaches any more and series without samples.
    pub fn prune(&self, now: Timestamp) {
        let mut guard = self.write();
        let inner = &mut *guard;
        let mut dropped = BTreeMap::new();
        inner.index.retain(|id, stored| {
            stored.trim(now);
            let keep = !stored.is_empty();
            if !keep {
                dropped.insert(id, stored.labels.clone());
            }
            keep
        });
        if dropped.is_empty() {
            return;
        }
        // A source may still hold the number and send to it again.
        for slot in inner.targets.values_mut().flat_map(BTreeMap::values_mut) {
            if let Slot::Kept(id) = slot
                && let Some(labels) = dropped.get(id)
            {
                *slot = Slot::Idle(labels.clone());
            }
        }
    }

    /// Metric names of kept series, sorted.
    pub fn names(&self) -> Vec<String> {
        self.read().index.names().map(str::to_owned).collect()
    }

    /// Number of kept series.
    pub fn series(&self) -> usize {
        self.read().index.len()
    }

    /// Number of kept samples.
    pub fn samples(&self) -> usize {
        let inner = self.read();
        let each = inner.index.iter();
        each.map(|s| s.samples.len() + s.histograms.len()).sum()
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Inner> {
        self.inner
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Inner> {
        self.inner
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Inner {
    /// The series that a source's number stands for, if it is kept or wanted again.
    fn kept(&mut self, target: &TargetKey, r: Ref, max_series: usize) -> Option<&mut Stored> {
        let slot = self.targets.get_mut(target)?.get_mut(&r)?;
        if let Slot::Idle(labels) = slot
            && let Some(window) = window_of(&self.selection, labels)
            && let Some(id) = self.index.get_or_insert(labels, window, max_series)
        {
            *slot = Slot::Kept(id);
        }
        match slot {
            Slot::Kept(id) => self.index.get_mut(*id),
            Slot::Idle(_) | Slot::Passed(_) => None,
        }
    }
}

impl Appended {
    fn count(&mut self, outcome: Option<Append>) {
        match outcome {
            Some(Append::Stored) => self.stored += 1,
            Some(Append::Same) => {}
            Some(Append::Duplicate) => self.duplicates += 1,
            Some(Append::OutOfOrder) => self.out_of_order += 1,
            None => self.unselected += 1,
        }
    }

    /// Adds another append's counts.
    pub fn add(&mut self, other: Appended) {
        self.stored += other.stored;
        self.unselected += other.unselected;
        self.out_of_order += other.out_of_order;
        self.duplicates += other.duplicates;
        self.capped += other.capped;
    }
}

fn window_of(selection: &Selection, labels: &Labels) -> Option<Duration> {
    selection.window(labels).map(|w| w.max(LEAST_WINDOW))
}

impl SeriesSource for Store {
    fn select(&self, matchers: &[Matcher], from: Timestamp, to: Timestamp) -> Vec<Series> {
        let inner = self.read();
        let mut found: Vec<Series> = inner
            .index
            .select(matchers)
            .filter_map(|stored: &Stored| {
                let samples = stored.between(from, to);
                (!samples.is_empty()).then(|| Series {
                    labels: stored.labels.clone(),
                    samples,
                })
            })
            .collect();
        found.sort_by(|a, b| a.labels.cmp(&b.labels));
        found
    }

    fn select_histograms(
        &self,
        matchers: &[Matcher],
        from: Timestamp,
        to: Timestamp,
    ) -> Vec<HistogramSeries> {
        let inner = self.read();
        let mut found: Vec<HistogramSeries> = inner
            .index
            .select(matchers)
            .filter(|stored| !stored.histograms.is_empty())
            .filter_map(|stored| {
                let samples = stored.histograms_between(from, to);
                (!samples.is_empty()).then(|| HistogramSeries {
                    labels: stored.labels.clone(),
                    samples,
                })
            })
            .collect();
        found.sort_by(|a, b| a.labels.cmp(&b.labels));
        found
    }

    fn unkept(&self, matchers: &[Matcher]) -> Option<String> {
        let name = matchers.iter().find(|m| {
            m.name == crate::model::labels::NAME && m.op == crate::model::MatchOp::Equal
        })?;
        let inner = self.read();
        let kept = inner.selection.wants_name(&name.value) || inner.index.has_name(&name.value);
        (!kept).then(|| {
            format!(
                "{} is not kept because no rule reads it; to keep it, set [store] pin = \
                     [{:?}]",
                name.value, name.value
            )
        })
    }
}

#[cfg(test)]
mod tests;
