//! From labels to series.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::series::Stored;
use crate::model::{Labels, MatchOp, Matcher};

/// A series' place; not reused while the store lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SeriesId(u64);

/// Series by id, by labels and by metric name.
#[derive(Debug, Default)]
pub(crate) struct Index {
    next: u64,
    series: BTreeMap<SeriesId, Stored>,
    by_labels: HashMap<Labels, SeriesId>,
    by_name: BTreeMap<String, usize>,
    /// Series by label and value, rising; the metric name is one of the labels.
    by_pair: HashMap<(Arc<str>, Arc<str>), Vec<SeriesId>>,
}

impl Index {
    pub(crate) fn len(&self) -> usize {
        self.series.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Stored> {
        self.series.values()
    }

    pub(crate) fn get_mut(&mut self, id: SeriesId) -> Option<&mut Stored> {
        self.series.get_mut(&id)
    }

    /// The series with these labels, made if need be; `None` when that would pass `max`.
    pub(crate) fn get_or_insert(
        &mut self,
        labels: &Labels,
        window: Duration,
        max: usize,
    ) -> Option<SeriesId> {
        if let Some(id) = self.by_labels.get(labels) {
            return Some(*id);
        }
        if self.series.len() >= max {
            return None;
        }
        let id = SeriesId(self.next);
        self.next += 1;
        self.by_labels.insert(labels.clone(), id);
        *self.by_name.entry(labels.name().to_owned()).or_default() += 1;
        for pair in labels.shared() {
            self.by_pair.entry(pair.clone()).or_default().push(id);
        }
        self.series.insert(id, Stored::new(labels.clone(), window));
        Some(id)
    }

    /// Metric names of kept series, sorted.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }

    /// True when a series of this metric name is kept.
    pub(crate) fn has_name(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    /// Keeps the series for which `keep` says so.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(SeriesId, &mut Stored) -> bool) {
        let (by_labels, by_name, by_pair) =
            (&mut self.by_labels, &mut self.by_name, &mut self.by_pair);
        let mut touched = HashSet::new();
        self.series.retain(|id, stored| {
            let kept = keep(*id, stored);
            if !kept {
                by_labels.remove(&stored.labels);
                if let Some(n) = by_name.get_mut(stored.labels.name()) {
                    *n -= 1;
                    if *n == 0 {
                        by_name.remove(stored.labels.name());
                    }
                }
                touched.extend(stored.labels.shared().iter().cloned());
            }
            kept
        });
        // Each list once, however many of its series went.
        for pair in touched {
            if let Some(ids) = by_pair.get_mut(&pair) {
                ids.retain(|id| self.series.contains_key(id));
                if ids.is_empty() {
                    by_pair.remove(&pair);
                }
            }
        }
    }

    /// Series that satisfy all matchers, in no promised order.
    pub(crate) fn select<'a>(
        &'a self,
        matchers: &'a [Matcher],
    ) -> Box<dyn Iterator<Item = &'a Stored> + 'a> {
        // The shortest list among the equalities; an empty value means an absent label.
        let mut shortest: Option<&[SeriesId]> = None;
        for m in matchers
            .iter()
            .filter(|m| m.op == MatchOp::Equal && !m.value.is_empty())
        {
            let pair = (Arc::from(m.name.as_str()), Arc::from(m.value.as_str()));
            let ids = self.by_pair.get(&pair).map_or(&[][..], Vec::as_slice);
            if shortest.is_none_or(|s| ids.len() < s.len()) {
                shortest = Some(ids);
            }
        }
        let candidates: Box<dyn Iterator<Item = &Stored>> = match shortest {
            Some(ids) => Box::new(ids.iter().filter_map(|id| self.series.get(id))),
            None => Box::new(self.series.values()),
        };
        Box::new(candidates.filter(|s| matchers.iter().all(|m| m.matches_labels(&s.labels))))
    }
}
