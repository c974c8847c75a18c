//! Series in memory: what was selected, as far back as somebody reads.
//!
//! What must stay true: samples of a series rise strictly in time, and are read back bit for bit;
//! a series is kept only while the selection wants it and only as long as its window; at a cap new
//! series are refused first, said and counted, and taken in when there is room again; memory stays
//! under the cap. Sources reach the store only as `Batch`es, and one writer appends.
//!
//! A label pair is held once for all series that have it, a series is a list of pair numbers, and
//! its floats are packed: some 200 bytes for a series with six labels and 70 samples.

mod index;
mod limits;
mod packed;
mod series;
mod slots;
mod tail;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use crate::model::selection::Selection;
use crate::model::{
    Batch, Grouped, Histogram, HistogramSeries, Labels, Matcher, Sample, Series, SeriesSource,
    Shown, TargetKey, Timestamp, stale_nan,
};
use index::{Groups, Index, SeriesId};
pub use limits::Caps;
use series::{Append, Stored};
use slots::{Slot, Slots, Why};
pub use tail::Kept;

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
    /// Samples of series that were refused because a cap is reached.
    pub capped: u64,
    /// Samples stored in the place of older ones because a cap is reached.
    pub shortened: u64,
}

/// All kept series. Readers and the one writer share it by `Arc`.
#[derive(Debug)]
pub struct Store {
    inner: RwLock<Inner>,
}

#[derive(Debug)]
struct Inner {
    caps: Caps,
    selection: Arc<Selection>,
    index: Index,
    targets: BTreeMap<TargetKey, Slots>,
    /// Bytes that the series take.
    bytes: usize,
}

impl Store {
    /// An empty store that holds at most `max_series` series.
    pub fn new(max_series: usize) -> Self {
        Self::bounded(Caps {
            series: max_series,
            bytes: usize::MAX,
        })
    }

    /// An empty store.
    pub fn bounded(caps: Caps) -> Self {
        Self {
            inner: RwLock::new(Inner {
                caps,
                selection: Arc::default(),
                index: Index::default(),
                targets: BTreeMap::new(),
                bytes: 0,
            }),
        }
    }

    /// Takes over a new selection: series nobody reads any more go, the others keep their samples.
    pub fn select_only(&self, selection: Arc<Selection>) {
        let mut guard = self.write();
        let inner = &mut *guard;
        inner.selection = selection;
        let selection = &inner.selection;
        let dropped = inner.index.retain(|labels, stored| {
            let window = window_of(selection, &labels(stored));
            if let Some(window) = window {
                stored.set_window(window);
            }
            window.is_some()
        });
        inner.bytes = inner.index.iter().map(Stored::bytes).sum();
        let mut targets = std::mem::take(&mut inner.targets);
        for slots in targets.values_mut() {
            slots.let_wait(&dropped, Why::Unselected);
            for (r, labels) in slots.all_waiting() {
                slots.set(r, inner.admit(&labels));
            }
        }
        inner.targets = targets;
    }

    /// Appends one pass over one target. Only the writer calls it.
    pub fn append(&self, batch: &Batch) -> Appended {
        let mut guard = self.write();
        let inner = &mut *guard;
        let mut done = Appended::default();
        let mut slots = inner.targets.remove(&batch.target).unwrap_or_default();
        for (r, labels) in &batch.new {
            let slot = inner.admit(labels);
            slots.set(*r, slot);
        }
        for (r, t, v) in &batch.samples {
            let (t, v) = (*t, *v);
            match inner.slot(&mut slots, *r) {
                Ok(id) => done.count(inner.push(id, Sample { t, v })),
                Err(why) => done.refuse(why),
            }
        }
        for (r, t, histogram) in &batch.histograms {
            match inner.slot(&mut slots, *r) {
                Ok(id) => done.count(inner.push_histogram(id, *t, histogram)),
                Err(why) => done.refuse(why),
            }
        }
        // A series that comes back gets a new number.
        let mut gone = batch.gone.clone();
        gone.sort_unstable();
        inner.end(slots.remove(&gone), batch.at);
        inner.targets.insert(batch.target.clone(), slots);
        done
    }

    /// Appends one sample that a rule produced. Always kept, as far back as somebody reads it.
    pub fn record(&self, labels: &Labels, sample: Sample) -> Appended {
        self.record_one(labels, |inner, id| inner.push(id, sample))
    }

    /// Appends one histogram that a rule produced, like [`record`](Self::record).
    pub fn record_histogram(
        &self,
        labels: &Labels,
        t: Timestamp,
        histogram: &Arc<Histogram>,
    ) -> Appended {
        self.record_one(labels, |inner, id| inner.push_histogram(id, t, histogram))
    }

    /// Ends all series of a target that is watched no more: stale markers at `at`.
    pub fn forget(&self, target: &TargetKey, at: Timestamp) {
        let mut guard = self.write();
        if let Some(slots) = guard.targets.remove(target) {
            let ended: Vec<SeriesId> = slots.all_kept().collect();
            guard.end(ended, at);
        }
    }

    /// Moves samples up to `until` by `step` milliseconds, with a wall clock that stepped then.
    pub fn shift(&self, until: Timestamp, step: i64) {
        let mut guard = self.write();
        let inner = &mut *guard;
        inner.index.retain(|_, stored| {
            stored.shift(until, step);
            true
        });
        inner.bytes = inner.index.iter().map(Stored::bytes).sum();
    }

    /// Drops samples that no window reaches any more and series without samples.
    pub fn prune(&self, now: Timestamp) {
        let mut guard = self.write();
        let inner = &mut *guard;
        let dropped = inner.index.retain(|_, stored| {
            stored.trim(now);
            stored.shrink();
            !stored.is_empty()
        });
        inner.index.shrink();
        inner.bytes = inner.index.iter().map(Stored::bytes).sum();
        if dropped.is_empty() {
            return;
        }
        // A source may still hold the number and send to it again.
        for slots in inner.targets.values_mut() {
            slots.let_wait(&dropped, Why::Idle);
        }
    }

    /// Metric names of kept series, sorted.
    pub fn names(&self) -> Vec<String> {
        self.read().index.metric_names()
    }

    /// Number of kept series.
    pub fn series(&self) -> usize {
        self.read().index.len()
    }

    /// Number of kept samples.
    pub fn samples(&self) -> usize {
        self.read().index.iter().map(Stored::len).sum()
    }

    /// Bytes of kept labels and samples, as the caps count them.
    pub fn bytes(&self) -> usize {
        self.read().used()
    }

    /// Series that wait because a cap refused them.
    pub fn refused(&self) -> usize {
        self.read().targets.values().map(Slots::capped).sum()
    }

    fn record_one(
        &self,
        labels: &Labels,
        push: impl FnOnce(&mut Inner, SeriesId) -> Option<Append>,
    ) -> Appended {
        let mut guard = self.write();
        let inner = &mut *guard;
        let mut done = Appended::default();
        let id = match inner.index.find(labels) {
            Some(id) => id,
            None if inner.is_full() => {
                done.capped += 1;
                return done;
            }
            None => {
                let window = window_of(&inner.selection, labels).unwrap_or(LEAST_WINDOW);
                inner.insert(labels, window)
            }
        };
        done.count(push(inner, id));
        done
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
    fn used(&self) -> usize {
        self.bytes + self.index.pair_bytes()
    }

    fn is_full(&self) -> bool {
        self.caps.refuses(self.index.len(), self.used())
    }

    /// Decides about a series that a source tells of.
    fn admit(&mut self, labels: &Labels) -> Slot {
        let Some(window) = window_of(&self.selection, labels) else {
            return Slot::Waits(Why::Unselected, labels.clone());
        };
        match self.index.find(labels) {
            Some(id) => Slot::Kept(id),
            None if self.is_full() => Slot::Waits(Why::Capped, labels.clone()),
            None => Slot::Kept(self.insert(labels, window)),
        }
    }

    fn insert(&mut self, labels: &Labels, window: Duration) -> SeriesId {
        let id = self.index.insert(labels, window);
        self.bytes += self.index.get(id).map_or(0, Stored::bytes);
        id
    }

    /// The series that a sample goes to.
    fn slot(&mut self, slots: &mut Slots, r: crate::model::Ref) -> Result<SeriesId, Why> {
        if let Some(id) = slots.kept(r) {
            return Ok(id);
        }
        let Some((why, labels)) = slots.waiting(r) else {
            return Err(Why::Unselected);
        };
        let why = *why;
        if why == Why::Unselected || (why == Why::Capped && self.is_full()) {
            return Err(why);
        }
        let slot = self.admit(labels);
        slots.set(r, slot.clone());
        match slot {
            Slot::Kept(id) => Ok(id),
            Slot::Waits(why, _) => Err(why),
        }
    }

    fn push(&mut self, id: SeriesId, sample: Sample) -> Option<Append> {
        self.change(id, |stored, full| stored.push(sample, full))
    }

    fn push_histogram(
        &mut self,
        id: SeriesId,
        t: Timestamp,
        histogram: &Arc<Histogram>,
    ) -> Option<Append> {
        self.change(id, |stored, full| stored.push_histogram(t, histogram, full))
    }

    fn change(
        &mut self,
        id: SeriesId,
        push: impl FnOnce(&mut Stored, bool) -> Append,
    ) -> Option<Append> {
        let full = self.used() >= self.caps.bytes;
        let stored = self.index.get_mut(id)?;
        let before = stored.bytes();
        let append = push(stored, full);
        self.bytes = (self.bytes + stored.bytes()).saturating_sub(before);
        Some(append)
    }

    /// Writes stale markers.
    fn end(&mut self, ended: Vec<SeriesId>, at: Timestamp) {
        for id in ended {
            let v = stale_nan();
            self.push(id, Sample { t: at, v });
        }
    }
}

impl Appended {
    fn count(&mut self, outcome: Option<Append>) {
        match outcome {
            Some(Append::Stored) => self.stored += 1,
            Some(Append::Shortened) => {
                self.stored += 1;
                self.shortened += 1;
            }
            Some(Append::Same) => {}
            Some(Append::Duplicate) => self.duplicates += 1,
            Some(Append::OutOfOrder) => self.out_of_order += 1,
            None => self.unselected += 1,
        }
    }

    fn refuse(&mut self, why: Why) {
        match why {
            Why::Capped => self.capped += 1,
            Why::Unselected | Why::Idle => self.unselected += 1,
        }
    }

    /// Adds another append's counts.
    pub fn add(&mut self, other: Appended) {
        self.stored += other.stored;
        self.unselected += other.unselected;
        self.out_of_order += other.out_of_order;
        self.duplicates += other.duplicates;
        self.capped += other.capped;
        self.shortened += other.shortened;
    }
}

fn window_of(selection: &Selection, labels: &Labels) -> Option<Duration> {
    selection.window(labels).map(|w| w.max(LEAST_WINDOW))
}

impl SeriesSource for Store {
    fn select(&self, matchers: &[Matcher], from: Timestamp, to: Timestamp) -> Vec<Series> {
        self.select_while(matchers, from, to, &mut |_| true)
    }

    fn select_while(
        &self,
        matchers: &[Matcher],
        from: Timestamp,
        to: Timestamp,
        go_on: &mut dyn FnMut(usize) -> bool,
    ) -> Vec<Series> {
        let inner = self.read();
        let go_on = RefCell::new(go_on);
        let found = inner.index.select(matchers, |s| {
            (go_on.borrow_mut())(0) && s.has_floats_after(from)
        });
        let mut read = Vec::with_capacity(found.len());
        for stored in found {
            let samples = stored.between(from, to);
            if samples.is_empty() {
                continue;
            }
            if !(go_on.borrow_mut())(samples.len()) {
                break;
            }
            read.push(Series {
                labels: inner.index.labels(stored),
                samples,
            });
        }
        read
    }

    fn each_grouped(
        &self,
        what: &Grouped<'_>,
        go_on: &mut dyn FnMut(usize) -> bool,
        take: &mut dyn FnMut(Shown<'_>) -> bool,
    ) -> bool {
        let inner = self.read();
        let index = &inner.index;
        let histograms = index.select(what.matchers, Stored::has_histograms);
        let lacks = |name: &&str| {
            // Hardly any store has such a label.
            let has = |s: &&Stored| index.has(s, name);
            !index.has_label(name) || !index.select(what.matchers, |_| true).iter().any(has)
        };
        if !histograms.is_empty() || !what.lacking.iter().all(lacks) {
            return false;
        }
        let asked = RefCell::new(go_on);
        let found = index.select(what.matchers, |s| {
            (asked.borrow_mut())(0) && s.has_floats_after(what.from)
        });
        let go_on = asked.into_inner();
        let mut groups = Groups::new(what.counts);
        let mut samples = Vec::new();
        for stored in found {
            stored.copy_between(what.from, what.to, &mut samples);
            if samples.is_empty() {
                continue;
            }
            if !go_on(samples.len()) {
                break;
            }
            let shown = Shown {
                group: groups.number(index, stored),
                labels: &|| groups.labels(index),
                samples: &mut samples,
            };
            if !take(shown) {
                break;
            }
        }
        true
    }

    fn select_histograms(
        &self,
        matchers: &[Matcher],
        from: Timestamp,
        to: Timestamp,
    ) -> Vec<HistogramSeries> {
        let inner = self.read();
        let found = inner.index.select(matchers, Stored::has_histograms);
        let read = found.into_iter().filter_map(|stored| {
            let samples = stored.histograms_between(from, to);
            (!samples.is_empty()).then(|| HistogramSeries {
                labels: inner.index.labels(stored),
                samples,
            })
        });
        read.collect()
    }

    fn unkept(&self, matchers: &[Matcher]) -> Option<String> {
        let name = matchers.iter().find(|m| {
            m.name == crate::model::labels::NAME && m.op == crate::model::MatchOp::Equal
        })?;
        let inner = self.read();
        let kept = inner.selection.wants_name(&name.value) || inner.index.has_metric(&name.value);
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
