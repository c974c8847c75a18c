//! What a source's numbers stand for.

use std::collections::BTreeMap;

use super::index::SeriesId;
use crate::model::{Labels, Ref};

/// Stands for a number whose series waits.
const NONE: SeriesId = SeriesId(u32::MAX);

/// Why a known series is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// Nobody reads it; a new selection may.
    Unselected,
    /// A cap refused it; taken in with its next sample when there is room.
    Capped,
    /// All its samples fell out of the window; taken in with its next sample.
    Idle,
}

/// What a number stands for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Slot {
    Kept(SeriesId),
    Waits(Why, Labels),
}

/// The numbers of one target, rising.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    refs: Vec<Ref>,
    series: Vec<SeriesId>,
    waiting: BTreeMap<Ref, (Why, Labels)>,
    /// Where the last look-up ended: sources send their numbers in rising order.
    cursor: usize,
}

impl Slots {
    /// The series of a number; `None` when it waits or was never told.
    pub(crate) fn kept(&mut self, r: Ref) -> Option<SeriesId> {
        let at = self.place(r).ok()?;
        self.cursor = at + 1;
        Some(self.series[at]).filter(|id| *id != NONE)
    }

    /// The series that waits under a number.
    pub(crate) fn waiting(&self, r: Ref) -> Option<&(Why, Labels)> {
        self.waiting.get(&r)
    }

    /// Sets what a number stands for.
    pub(crate) fn set(&mut self, r: Ref, slot: Slot) {
        let id = match slot {
            Slot::Kept(id) => {
                self.waiting.remove(&r);
                id
            }
            Slot::Waits(why, labels) => {
                self.waiting.insert(r, (why, labels));
                NONE
            }
        };
        match self.place(r) {
            Ok(at) => self.series[at] = id,
            Err(at) => {
                self.refs.insert(at, r);
                self.series.insert(at, id);
            }
        }
    }

    /// Takes numbers away, which must be rising, and gives back the series they stood for.
    pub(crate) fn remove(&mut self, gone: &[Ref]) -> Vec<SeriesId> {
        let mut ended = Vec::new();
        if gone.is_empty() {
            return ended;
        }
        let mut keep = Vec::with_capacity(self.refs.len());
        for (r, id) in self.refs.iter().zip(&self.series) {
            let goes = gone.binary_search(r).is_ok();
            if goes && *id != NONE {
                ended.push(*id);
            }
            keep.push(!goes);
        }
        let mut kept = keep.iter();
        self.refs.retain(|_| *kept.next().unwrap_or(&true));
        let mut kept = keep.iter();
        self.series.retain(|_| *kept.next().unwrap_or(&true));
        for r in gone {
            self.waiting.remove(r);
        }
        self.cursor = 0;
        ended
    }

    /// All series that are kept.
    pub(crate) fn all_kept(&self) -> impl Iterator<Item = SeriesId> + '_ {
        self.series.iter().copied().filter(|id| *id != NONE)
    }

    /// Number of series that a cap refused.
    pub(crate) fn capped(&self) -> usize {
        let why = self.waiting.values().map(|(why, _)| *why);
        why.filter(|why| *why == Why::Capped).count()
    }

    /// Numbers of the series that wait.
    pub(crate) fn all_waiting(&self) -> Vec<(Ref, Labels)> {
        let waiting = self.waiting.iter();
        waiting
            .map(|(r, (_, labels))| (*r, labels.clone()))
            .collect()
    }

    /// Lets series wait that the index let go.
    pub(crate) fn let_wait(&mut self, gone: &BTreeMap<SeriesId, Labels>, why: Why) {
        for (r, id) in self.refs.iter().zip(&mut self.series) {
            if let Some(labels) = gone.get(id) {
                *id = NONE;
                self.waiting.insert(*r, (why, labels.clone()));
            }
        }
    }

    fn place(&self, r: Ref) -> Result<usize, usize> {
        match self.refs.get(self.cursor) {
            Some(next) if *next == r => Ok(self.cursor),
            None if self.refs.last().is_none_or(|last| *last < r) => Err(self.refs.len()),
            Some(_) | None => self.refs.binary_search(&r),
        }
    }
}
