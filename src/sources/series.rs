//! Which series a source has: from the bytes of a key to its number, split once.
//!
//! What must stay true: a number is given to one label set only; every number that was announced
//! ends in `gone` or lives on; keys and their bytes are bounded, and what is over the bound is
//! read anew in each pass instead of being kept.

use std::collections::HashMap;

use super::scrape::text::BadLine;
use crate::model::{Batch, Labels, Ref, Selection};

/// Most bytes of keys remembered for one source.
const MAX_KEY_BYTES: usize = 16 << 20;

/// What became of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Its samples are kept.
    Kept(Slot),
    /// Nobody reads it.
    Unselected,
    /// Its labels were refused.
    Refused(BadLine),
}

/// A series' place in the cache; good until the end of the pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot(usize);

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

#[derive(Debug, Clone, Copy)]
struct Key {
    fate: Fate,
    seen: u32,
}

#[derive(Debug)]
struct Series {
    id: Ref,
    labels: Labels,
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
    keys: HashMap<Box<[u8]>, Key>,
    key_bytes: usize,
    series: Vec<Option<Series>>,
    free: Vec<Slot>,
    by_labels: HashMap<Labels, Slot>,
    next: u32,
    started_over: bool,
    seen: usize,
}

impl SeriesCache {
    /// Starts a pass. After a change of selection, keys that were unselected are looked at again
    /// and series that nobody reads any more are let go.
    pub(crate) fn begin(&mut self, selection: &Selection) {
        if self.open {
            self.forget_newborn();
        }
        self.pass = self.pass.wrapping_add(1);
        self.open = true;
        self.seen = 0;
        if self.generation.replace(selection.generation) == Some(selection.generation) {
            return;
        }
        let series = &self.series;
        self.keys.retain(|key, entry| {
            let keep = match entry.fate {
                Fate::Kept(slot) => series[slot.0]
                    .as_ref()
                    .is_some_and(|s| selection.wants(&s.labels)),
                Fate::Unselected => false,
                Fate::Refused(_) => true,
            };
            if !keep {
                self.key_bytes -= key.len();
            }
            keep
        });
    }

    /// What is known of a key.
    pub(crate) fn get(&mut self, key: &[u8]) -> Option<Fate> {
        let entry = self.keys.get_mut(key)?;
        entry.seen = self.pass;
        Some(entry.fate)
    }

    /// Remembers a key that is not kept.
    pub(crate) fn refuse(&mut self, key: &[u8], fate: Fate) {
        self.remember(key, fate);
    }

    /// The slot of a label set, announced in `new` when it had none.
    pub(crate) fn keep(
        &mut self,
        key: &[u8],
        labels: Labels,
        report: bool,
        new: &mut Vec<(Ref, Labels)>,
    ) -> Slot {
        let slot = match self.by_labels.get(&labels) {
            Some(slot) => *slot,
            None => {
                let id = self.fresh_id();
                new.push((id, labels.clone()));
                let series = Series {
                    id,
                    labels: labels.clone(),
                    born: self.pass,
                    seen: self.pass.wrapping_sub(1),
                    own_time: false,
                    report,
                };
                let slot = match self.free.pop() {
                    Some(slot) => {
                        self.series[slot.0] = Some(series);
                        slot
                    }
                    None => {
                        self.series.push(Some(series));
                        Slot(self.series.len() - 1)
                    }
                };
                self.by_labels.insert(labels, slot);
                slot
            }
        };
        self.remember(key, Fate::Kept(slot));
        slot
    }

    /// Notes a sample of a series.
    pub(crate) fn touch(&mut self, slot: Slot, own_time: bool) -> Option<Seen> {
        let series = self.series[slot.0].as_mut()?;
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
        let live = self.by_labels.len();
        // Passes that stay partial must not pile up what churns.
        let crowded = live > 2 * self.seen + 1_000;
        match end {
            End::Partial if !crowded => return Vec::new(),
            End::Good if live == self.seen && self.keys.len() <= 2 * live + 64 => {
                return Vec::new();
            }
            End::Good | End::Partial | End::Failed => {}
        }
        let pass = self.pass;
        let stays = |s: &Series| s.seen == pass && (end != End::Failed || s.report);
        let series = &self.series;
        let key_bytes = &mut self.key_bytes;
        self.keys.retain(|key, entry| {
            let keep = match entry.fate {
                Fate::Kept(slot) => series[slot.0].as_ref().is_some_and(stays),
                Fate::Unselected | Fate::Refused(_) => entry.seen == pass,
            };
            if !keep {
                *key_bytes -= key.len();
            }
            keep
        });
        let mut gone = Vec::new();
        for (i, place) in self.series.iter_mut().enumerate() {
            if place.as_ref().is_none_or(stays) {
                continue;
            }
            if let Some(s) = place.take() {
                self.by_labels.remove(&s.labels);
                self.free.push(Slot(i));
                if !s.own_time && (s.born != pass || end != End::Failed) {
                    gone.push(s.id);
                }
            }
        }
        gone.sort_unstable();
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
        self.by_labels.len()
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

    fn remember(&mut self, key: &[u8], fate: Fate) {
        if self.key_bytes + key.len() <= MAX_KEY_BYTES {
            let seen = self.pass;
            if self.keys.insert(key.into(), Key { fate, seen }).is_none() {
                self.key_bytes += key.len();
            }
        }
    }

    /// Undoes a pass whose batch never left.
    fn forget_newborn(&mut self) {
        let pass = self.pass;
        let series = &self.series;
        let key_bytes = &mut self.key_bytes;
        self.keys.retain(|key, entry| {
            let keep = match entry.fate {
                Fate::Kept(slot) => series[slot.0].as_ref().is_some_and(|s| s.born != pass),
                Fate::Unselected | Fate::Refused(_) => true,
            };
            if !keep {
                *key_bytes -= key.len();
            }
            keep
        });
        for (i, place) in self.series.iter_mut().enumerate() {
            if place.as_ref().is_some_and(|s| s.born == pass)
                && let Some(s) = place.take()
            {
                self.by_labels.remove(&s.labels);
                self.free.push(Slot(i));
            }
        }
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
            Some(Fate::Unselected | Fate::Refused(_)) => return,
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
