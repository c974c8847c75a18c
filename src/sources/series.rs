//! Which series a source has: from the bytes of a key to its number, split once.
//!
//! What must stay true: a number is given to one label set only; every number that was announced
//! ends in `gone` or lives on; keys and their bytes are bounded, and what is over the bound is
//! read anew in each pass instead of being kept.

mod keys;

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;

use super::scrape::text::BadLine;
use crate::model::{Batch, Labels, Ref, Selection};
use keys::Keys;

/// What became of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Its samples are kept.
    Kept(Slot),
    /// Nobody reads it.
    Unselected,
    /// A relabelling rule dropped it.
    Dropped,
    /// Its labels were refused.
    Refused(BadLine),
    /// It is a metric's name, and nobody reads the metric.
    Unwanted,
    /// It is a metric's name, and only we may write the metric.
    Reserved,
}

/// A series' place in the cache; good until the end of the pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot(u32);

/// A series' samples in one pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// This is the first.
    First(Ref),
    /// There was one already.
    Again(Ref),
}

/// How a pass ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// What was not seen is gone.
    Good,
    /// Some lines were lost: what was not seen may still be there.
    Partial,
    /// Nothing was read: all is gone, but for our own report.
    Failed,
}

/// Stands for a label set: two keyed hashes of it, of which both would have to be met by another
/// set of the same source to be mistaken for it.
type Print = [u64; 2];

#[derive(Debug)]
struct Series {
    print: Print,
    id: Ref,
    born: u32,
    seen: u32,
    /// The last sample brought its own timestamp: such a series ends without a marker.
    own_time: bool,
    /// Ours, not the target's.
    report: bool,
}

/// The series of one source.
#[derive(Debug, Default)]
pub(crate) struct SeriesCache {
    pass: u32,
    /// True between `begin` and `end`: a pass that was dropped half-way is undone by the next.
    open: bool,
    generation: Option<u64>,
    keys: Keys,
    series: Vec<Option<Series>>,
    free: Vec<Slot>,
    by_print: HashTable<Slot>,
    hashers: [RandomState; 2],
    next: u32,
    started_over: bool,
    seen: usize,
}

impl SeriesCache {
    /// Starts a pass. After a change of selection all keys are looked at again, and series that
    /// nobody reads any more end with this pass.
    pub(crate) fn begin(&mut self, selection: &Selection) {
        if self.open {
            self.forget_newborn();
        }
        self.pass = self.pass.wrapping_add(1);
        self.open = true;
        self.seen = 0;
        if self.generation.replace(selection.generation) != Some(selection.generation) {
            self.keys.clear();
        }
        self.keys.begin();
    }

    /// What is known of a key.
    pub(crate) fn get(&mut self, key: &[u8]) -> Option<Fate> {
        self.keys.get(key)
    }

    /// True when a line starts with the unwanted name that the line before had.
    #[inline]
    pub(crate) fn skips(&self, line: &[u8]) -> bool {
        self.keys.skips(line)
    }

    /// What is known of the series or name that a line starts with, and how many bytes that is;
    /// `None` when another was expected after the one before.
    #[inline]
    pub(crate) fn expected(&mut self, line: &[u8]) -> Option<(Fate, usize)> {
        self.keys.expected(line)
    }

    /// Remembers a key that is not kept.
    pub(crate) fn refuse(&mut self, key: &[u8], fate: Fate) {
        self.keys.set(key, fate);
    }

    /// The slot of a label set, announced in `new` when it had none.
    pub(crate) fn keep(
        &mut self,
        key: &[u8],
        labels: Labels,
        report: bool,
        new: &mut Vec<(Ref, Labels)>,
    ) -> Slot {
        let print = self.hashers.each_ref().map(|h| h.hash_one(&labels));
        let of = |series: &[Option<Series>], slot: &Slot| {
            series[slot.0 as usize].as_ref().map(|s| s.print)
        };
        let known = self
            .by_print
            .find(print[0], |slot| of(&self.series, slot) == Some(print));
        let slot = match known {
            Some(slot) => *slot,
            None => {
                let id = self.fresh_id();
                new.push((id, labels));
                let series = Series {
                    print,
                    id,
                    born: self.pass,
                    seen: self.pass.wrapping_sub(1),
                    own_time: false,
                    report,
                };
                let slot = self.free.pop().unwrap_or_else(|| {
                    if self.series.len() == self.series.capacity() {
                        self.series.reserve_exact((self.series.len() / 4).max(8));
                    }
                    self.series.push(None);
                    Slot(u32::try_from(self.series.len() - 1).unwrap_or(u32::MAX))
                });
                self.series[slot.0 as usize] = Some(series);
                let series = &self.series;
                self.by_print
                    .insert_unique(print[0], slot, |s| of(series, s).map_or(0, |p| p[0]));
                slot
            }
        };
        self.keys.set(key, Fate::Kept(slot));
        slot
    }

    /// Notes a sample of a series.
    pub(crate) fn touch(&mut self, slot: Slot, own_time: bool) -> Option<Seen> {
        let series = self.series[slot.0 as usize].as_mut()?;
        series.own_time = own_time;
        if series.seen == self.pass {
            return Some(Seen::Again(series.id));
        }
        series.seen = self.pass;
        self.seen += 1;
        Some(Seen::First(series.id))
    }

    /// Ends the pass and returns the numbers that are gone, in rising order; none of them is used
    /// again. After a failed pass its `new` entries, but for the report's, must not be told on.
    pub(crate) fn end(&mut self, end: End) -> Vec<Ref> {
        self.open = false;
        let live = self.len();
        // Passes that stay partial must not pile up what churns.
        let crowded = live > 2 * self.seen + 1_000;
        let settled = match end {
            End::Partial => !crowded,
            End::Good => live == self.seen && self.keys.len() <= 2 * live + 64,
            End::Failed => false,
        };
        let mut gone = Vec::new();
        if !settled {
            let pass = self.pass;
            let stays = |s: &Series| s.seen == pass && (end != End::Failed || s.report);
            let series = &self.series;
            self.keys.retain(|fate, seen| match fate {
                Fate::Kept(slot) => series[slot.0 as usize].as_ref().is_some_and(stays),
                Fate::Unwanted | Fate::Reserved => seen || end == End::Failed,
                Fate::Unselected | Fate::Dropped | Fate::Refused(_) => seen,
            });
            for s in self.take_out(|s| !stays(s)) {
                if !s.own_time && (s.born != pass || end != End::Failed) {
                    gone.push(s.id);
                }
            }
            gone.sort_unstable();
        }
        self.keys.end();
        gone
    }

    /// Ends all series, our own report's too: the source is being removed.
    pub(crate) fn clear(&mut self) -> Vec<Ref> {
        let mut gone: Vec<Ref> = self
            .series
            .iter()
            .flatten()
            .filter(|s| !s.own_time)
            .map(|s| s.id)
            .collect();
        gone.sort_unstable();
        *self = Self {
            next: self.next,
            started_over: self.started_over,
            ..Self::default()
        };
        gone
    }

    /// Live series.
    pub(crate) fn len(&self) -> usize {
        self.by_print.len()
    }

    /// A number that no live series has. Counting starts over after four billion series.
    fn fresh_id(&mut self) -> Ref {
        loop {
            let id = Ref(self.next);
            self.next = self.next.checked_add(1).unwrap_or_else(|| {
                self.started_over = true;
                0
            });
            if !self.started_over || !self.series.iter().flatten().any(|s| s.id == id) {
                return id;
            }
        }
    }

    /// Undoes a pass whose batch never left.
    fn forget_newborn(&mut self) {
        let pass = self.pass;
        let series = &self.series;
        self.keys.retain(|fate, _| match fate {
            Fate::Kept(slot) => series[slot.0 as usize]
                .as_ref()
                .is_some_and(|s| s.born != pass),
            Fate::Unselected
            | Fate::Dropped
            | Fate::Refused(_)
            | Fate::Unwanted
            | Fate::Reserved => true,
        });
        self.take_out(|s| s.born == pass);
    }

    /// Removes series; their slots may be given again.
    fn take_out(&mut self, goes: impl Fn(&Series) -> bool) -> Vec<Series> {
        let mut out = Vec::new();
        for (i, place) in self.series.iter_mut().enumerate() {
            if !place.as_ref().is_some_and(&goes) {
                continue;
            }
            let Some(s) = place.take() else { continue };
            let slot = Slot(u32::try_from(i).unwrap_or(u32::MAX));
            if let Ok(entry) = self.by_print.find_entry(s.print[0], |other| *other == slot) {
                entry.remove();
            }
            self.free.push(slot);
            out.push(s);
        }
        out
    }
}

/// Writes samples that we make ourselves, in a pass that is open.
pub(crate) struct Writer<'a> {
    /// The source's series.
    pub(crate) cache: &'a mut SeriesCache,
    /// What somebody reads.
    pub(crate) selection: &'a Selection,
    /// The pass's batch.
    pub(crate) batch: &'a mut Batch,
    /// True for series that outlive a failed pass.
    pub(crate) report: bool,
}

impl Writer<'_> {
    /// Adds a sample at the batch's time if somebody reads the series; `labels` is asked only
    /// when `key`, which names the series inside this source, is new.
    pub(crate) fn put(&mut self, key: &[u8], value: f64, labels: impl FnOnce() -> Labels) {
        let slot = match self.cache.get(key) {
            Some(Fate::Kept(slot)) => slot,
            Some(
                Fate::Unselected
                | Fate::Dropped
                | Fate::Refused(_)
                | Fate::Unwanted
                | Fate::Reserved,
            ) => return,
            None => {
                let labels = labels();
                if !self.selection.wants(&labels) {
                    self.cache.refuse(key, Fate::Unselected);
                    return;
                }
                self.cache
                    .keep(key, labels, self.report, &mut self.batch.new)
            }
        };
        if let Some(Seen::First(id)) = self.cache.touch(slot, false) {
            self.batch.samples.push((id, self.batch.at, value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::labels::NAME;

    /// One pass over series named by `names`; the numbers announced and gone.
    fn pass(cache: &mut SeriesCache, names: &[String], end: End) -> (Vec<Ref>, Vec<Ref>) {
        let selection = Selection::all(1);
        cache.begin(&selection);
        let mut new = Vec::new();
        for name in names {
            let slot = match cache.get(name.as_bytes()) {
                Some(Fate::Kept(slot)) => slot,
                Some(_) | None => {
                    let labels = Labels::from_pairs([(NAME, name)]);
                    cache.keep(name.as_bytes(), labels, false, &mut new)
                }
            };
            assert!(matches!(cache.touch(slot, false), Some(Seen::First(_))));
        }
        (new.into_iter().map(|(id, _)| id).collect(), cache.end(end))
    }

    fn names(range: std::ops::Range<usize>) -> Vec<String> {
        range.map(|i| format!("m{i}")).collect()
    }

    #[test]
    fn churn_is_let_go_even_when_every_pass_is_partial() {
        let mut cache = SeriesCache::default();
        let (mut announced, mut gone) = (0, 0);
        for i in 0..100 {
            let (new, ended) = pass(&mut cache, &names(i * 100..(i + 1) * 100), End::Partial);
            announced += new.len();
            gone += ended.len();
            assert!(cache.len() <= 1_300, "{}", cache.len());
            assert!(cache.keys.len() <= 1_300);
        }
        assert_eq!((announced, announced - gone), (10_000, cache.len()));
    }

    #[test]
    fn keys_over_the_bound_are_read_anew_and_stay_the_same_series() {
        let long = |i: usize| format!("{i}{}", "x".repeat(keys::MAX_KEY_BYTES / 4));
        let all: Vec<String> = (0..6).map(long).collect();
        let mut cache = SeriesCache::default();
        assert_eq!(pass(&mut cache, &all, End::Good).0.len(), 6);
        assert_eq!(cache.keys.len(), 3);
        assert_eq!(pass(&mut cache, &all, End::Good), (vec![], vec![]));
        assert_eq!(pass(&mut cache, &all[..1], End::Good).1.len(), 5);
        assert_eq!(cache.keys.len(), 1);
    }

    #[test]
    fn numbers_start_over_without_taking_a_live_one() {
        let mut cache = SeriesCache::default();
        let kept = names(0..2);
        assert_eq!(pass(&mut cache, &kept, End::Good).0, [Ref(0), Ref(1)]);
        cache.next = u32::MAX;
        let (new, _) = pass(&mut cache, &names(0..4), End::Good);
        assert_eq!(new, [Ref(u32::MAX), Ref(2)]);
    }

    #[test]
    fn a_report_outlives_a_failed_pass() {
        let selection = Selection::all(1);
        let mut cache = SeriesCache::default();
        let mut batch = Batch::new(crate::model::TargetKey("t".into()), Default::default());
        pass(&mut cache, &names(0..3), End::Good);
        for gone in [3, 0] {
            cache.begin(&selection);
            let mut writer = Writer {
                cache: &mut cache,
                selection: &selection,
                batch: &mut batch,
                report: true,
            };
            writer.put(b"\0up", 0.0, || Labels::from_pairs([(NAME, "up")]));
            assert_eq!(cache.end(End::Failed).len(), gone);
            assert_eq!(cache.len(), 1);
        }
        assert_eq!((batch.new.len(), batch.samples.len()), (1, 2));
        assert_eq!(cache.clear().len(), 1);
    }
}
