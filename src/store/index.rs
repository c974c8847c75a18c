//! From labels to series.
//!
//! What must stay true: each label pair is held once, together with the series that have it; a
//! pair without series is let go; a number that was let go may be given again.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashTable;

use super::series::Stored;
use crate::model::labels::NAME;
use crate::model::{Labels, MatchOp, Matcher};

/// A series' place, until the series goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SeriesId(pub(crate) u32);

/// A label and its value, and who has it.
#[derive(Debug)]
struct Pair {
    name: Arc<str>,
    value: Arc<str>,
    series: Vec<SeriesId>,
}

/// Series by number, by labels and by label pair.
#[derive(Debug, Default)]
pub(crate) struct Index {
    hasher: RandomState,
    series: Vec<Option<Stored>>,
    /// Series that there have been.
    born: u32,
    free: Vec<SeriesId>,
    by_labels: HashTable<SeriesId>,
    pairs: Vec<Option<Pair>>,
    free_pairs: Vec<u32>,
    by_pair: HashTable<u32>,
    /// Label names, each held once, with the number of pairs that have it.
    names: BTreeMap<Arc<str>, usize>,
    pair_bytes: usize,
}

/// What a pair takes beside its value: its place in two tables, two headers and its list.
const PAIR_BYTES: usize = 120;

impl Index {
    pub(crate) fn len(&self) -> usize {
        self.by_labels.len()
    }

    /// Bytes that the label pairs take, without the lists of their series.
    pub(crate) fn pair_bytes(&self) -> usize {
        self.pair_bytes
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Stored> {
        self.series.iter().flatten()
    }

    /// Places that are or were taken.
    pub(crate) fn places(&self) -> u32 {
        u32::try_from(self.series.len()).unwrap_or(u32::MAX)
    }

    pub(crate) fn get(&self, id: SeriesId) -> Option<&Stored> {
        self.series.get(id.0 as usize)?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, id: SeriesId) -> Option<&mut Stored> {
        self.series.get_mut(id.0 as usize)?.as_mut()
    }

    /// The labels of a series of this index.
    pub(crate) fn labels(&self, stored: &Stored) -> Labels {
        labels(&self.pairs, &stored.pairs)
    }

    /// The series with these labels.
    pub(crate) fn find(&self, labels: &Labels) -> Option<SeriesId> {
        let mut pairs = Vec::with_capacity(labels.len());
        for (name, value) in labels.iter() {
            pairs.push(self.pair(name, value)?);
        }
        self.find_pairs(&pairs)
    }

    /// Adds a series with labels that no other has.
    pub(crate) fn insert(&mut self, labels: &Labels, window: Duration) -> SeriesId {
        let id = self.free.pop().unwrap_or_else(|| {
            self.series.push(None);
            SeriesId(u32::try_from(self.series.len() - 1).unwrap_or(u32::MAX))
        });
        let pairs: Box<[u32]> = labels
            .iter()
            .map(|(name, value)| {
                let number = self.pair_or_insert(name, value);
                if let Some(pair) = &mut self.pairs[number as usize] {
                    pair.series.push(id);
                }
                number
            })
            .collect();
        self.born = self.born.wrapping_add(1);
        let (born, hash) = (self.born, self.hasher.hash_one(&*pairs));
        let (series, hasher) = (&mut self.series, &self.hasher);
        series[id.0 as usize] = Some(Stored::new(pairs, window, born));
        self.by_labels
            .insert_unique(hash, id, |id| hash_of(series, hasher, *id));
        id
    }

    /// Metric names of kept series, sorted.
    pub(crate) fn metric_names(&self) -> Vec<String> {
        let named = self.pairs.iter().flatten().filter(|p| &*p.name == NAME);
        let names: BTreeSet<&str> = named.map(|p| &*p.value).collect();
        names.into_iter().map(str::to_owned).collect()
    }

    /// True when the series has a label of this name.
    pub(crate) fn has(&self, stored: &Stored, name: &str) -> bool {
        !self.value(stored, name).is_empty()
    }

    /// True when a series with a label of this name is kept.
    pub(crate) fn has_label(&self, name: &str) -> bool {
        self.names.contains_key(name)
    }

    /// True when a series of this metric name is kept.
    pub(crate) fn has_metric(&self, name: &str) -> bool {
        self.pair(NAME, name).is_some()
    }

    /// Keeps the series for which `keep` says so, and gives back the labels of the others.
    pub(crate) fn retain(
        &mut self,
        mut keep: impl FnMut(&dyn Fn(&Stored) -> Labels, &mut Stored) -> bool,
    ) -> BTreeMap<SeriesId, Labels> {
        let mut gone = BTreeMap::new();
        let pairs = &self.pairs;
        let labels_of = |stored: &Stored| labels(pairs, &stored.pairs);
        for (i, place) in self.series.iter_mut().enumerate() {
            let Some(stored) = place else { continue };
            if !keep(&labels_of, stored) {
                let id = SeriesId(u32::try_from(i).unwrap_or(u32::MAX));
                gone.insert(id, labels_of(stored));
            }
        }
        let mut touched = BTreeSet::new();
        for id in gone.keys() {
            let hash = hash_of(&self.series, &self.hasher, *id);
            if let Ok(entry) = self.by_labels.find_entry(hash, |other| other == id) {
                entry.remove();
            }
            if let Some(stored) = self.series[id.0 as usize].take() {
                touched.extend(stored.pairs);
            }
            self.free.push(*id);
        }
        // Each list once, however many of its series went.
        for number in touched {
            let Some(pair) = &mut self.pairs[number as usize] else {
                continue;
            };
            pair.series.retain(|id| !gone.contains_key(id));
            if pair.series.is_empty() {
                self.remove_pair(number);
            }
        }
        gone
    }

    /// Gives back room that is not needed.
    pub(crate) fn shrink(&mut self) {
        for pair in self.pairs.iter_mut().flatten() {
            if pair.series.capacity() > 2 * pair.series.len() + 16 {
                pair.series.shrink_to_fit();
            }
        }
    }

    /// Series that satisfy all matchers and `holds`, sorted by labels.
    pub(crate) fn select(
        &self,
        matchers: &[Matcher],
        holds: impl Fn(&Stored) -> bool,
    ) -> Vec<&Stored> {
        // The shortest list among the equalities; an empty value means an absent label.
        let mut shortest: Option<&[SeriesId]> = None;
        let mut must_have = Vec::new();
        let mut others = Vec::new();
        for m in matchers {
            if m.op != MatchOp::Equal || m.value.is_empty() {
                others.push(m);
                continue;
            }
            let Some(number) = self.pair(&m.name, &m.value) else {
                return Vec::new();
            };
            let with = self.pairs[number as usize].as_ref();
            let with = with.map_or(&[][..], |p| p.series.as_slice());
            if shortest.is_none_or(|s| with.len() < s.len()) {
                shortest = Some(with);
            }
            must_have.push(number);
        }
        let satisfies = |stored: &&Stored| {
            holds(stored)
                && must_have.iter().all(|n| stored.pairs.contains(n))
                && others
                    .iter()
                    .all(|m| m.matches(self.value(stored, &m.name)))
        };
        let mut found: Vec<&Stored> = match shortest {
            Some(ids) => {
                let candidates = ids.iter().filter_map(|id| self.get(*id));
                candidates.filter(satisfies).collect()
            }
            None => self.iter().filter(satisfies).collect(),
        };
        found.sort_by(|a, b| self.compare(a, b));
        found
    }

    /// The order of two series' labels. Equal pairs have equal numbers: only the first that
    /// differs is looked at.
    fn compare(&self, a: &Stored, b: &Stored) -> std::cmp::Ordering {
        let mut both = a.pairs.iter().zip(&*b.pairs);
        match both.find(|(x, y)| x != y) {
            Some((x, y)) => {
                let text = |n: &u32| {
                    self.pairs[*n as usize]
                        .as_ref()
                        .map(|p| (&p.name, &p.value))
                };
                text(x).cmp(&text(y))
            }
            None => a.pairs.len().cmp(&b.pairs.len()),
        }
    }

    /// The value of a series' label, empty when absent.
    fn value(&self, stored: &Stored, name: &str) -> &str {
        let pairs = stored
            .pairs
            .iter()
            .map(|n| self.pairs[*n as usize].as_ref());
        let found = pairs.flatten().find(|p| &*p.name == name);
        found.map_or("", |p| &p.value)
    }

    fn find_pairs(&self, pairs: &[u32]) -> Option<SeriesId> {
        let hash = self.hasher.hash_one(pairs);
        let same = |id: &SeriesId| self.get(*id).is_some_and(|s| *s.pairs == *pairs);
        self.by_labels.find(hash, same).copied()
    }

    fn pair(&self, name: &str, value: &str) -> Option<u32> {
        let hash = self.hasher.hash_one((name, value));
        let found = self.by_pair.find(hash, |n| {
            let pair = self.pairs[*n as usize].as_ref();
            pair.is_some_and(|p| &*p.name == name && &*p.value == value)
        });
        found.copied()
    }

    fn pair_or_insert(&mut self, name: &str, value: &str) -> u32 {
        if let Some(number) = self.pair(name, value) {
            return number;
        }
        let shared = match self.names.get_key_value(name) {
            Some((shared, _)) => Arc::clone(shared),
            None => Arc::from(name),
        };
        *self.names.entry(Arc::clone(&shared)).or_default() += 1;
        self.pair_bytes += PAIR_BYTES + value.len();
        let pair = Pair {
            name: shared,
            value: Arc::from(value),
            series: Vec::new(),
        };
        let number = self.free_pairs.pop().unwrap_or_else(|| {
            self.pairs.push(None);
            u32::try_from(self.pairs.len() - 1).unwrap_or(u32::MAX)
        });
        let hash = self.hasher.hash_one((name, value));
        self.pairs[number as usize] = Some(pair);
        let (pairs, hasher) = (&self.pairs, &self.hasher);
        self.by_pair.insert_unique(hash, number, |n| {
            let pair = pairs[*n as usize].as_ref();
            pair.map_or(0, |p| hasher.hash_one((&*p.name, &*p.value)))
        });
        number
    }

    fn remove_pair(&mut self, number: u32) {
        let Some(pair) = self.pairs[number as usize].take() else {
            return;
        };
        self.pair_bytes -= PAIR_BYTES + pair.value.len();
        let hash = self.hasher.hash_one((&*pair.name, &*pair.value));
        if let Ok(entry) = self.by_pair.find_entry(hash, |n| *n == number) {
            entry.remove();
        }
        if let Some(n) = self.names.get_mut(&pair.name) {
            *n -= 1;
            if *n == 0 {
                self.names.remove(&pair.name);
            }
        }
        self.free_pairs.push(number);
    }
}

/// Numbers groups of series from 0 on, by the label pairs whose names count.
pub(crate) struct Groups<'a> {
    counts: &'a dyn Fn(&str) -> bool,
    known: HashMap<Box<[u32]>, usize>,
    /// The pairs that count of the series looked at last.
    counted: Vec<u32>,
}

impl<'a> Groups<'a> {
    pub(crate) fn new(counts: &'a dyn Fn(&str) -> bool) -> Self {
        Groups {
            counts,
            known: HashMap::new(),
            counted: Vec::new(),
        }
    }

    /// The group of a series of `index`.
    pub(crate) fn number(&mut self, index: &Index, stored: &Stored) -> usize {
        let counts = |n: &&u32| {
            let pair = index.pairs[**n as usize].as_ref();
            pair.is_some_and(|p| (self.counts)(&p.name))
        };
        self.counted.clear();
        self.counted
            .extend(stored.pairs.iter().filter(counts).copied());
        if let Some(number) = self.known.get(&*self.counted) {
            return *number;
        }
        let number = self.known.len();
        self.known.insert(Box::from(&*self.counted), number);
        number
    }

    /// The labels that count of the series whose number was asked for last.
    pub(crate) fn labels(&self, index: &Index) -> Labels {
        labels(&index.pairs, &self.counted)
    }
}

fn labels(pairs: &[Option<Pair>], numbers: &[u32]) -> Labels {
    Labels::from_sorted(numbers.iter().map(|n| match &pairs[*n as usize] {
        Some(p) => (Arc::clone(&p.name), Arc::clone(&p.value)),
        None => (Arc::from(""), Arc::from("")),
    }))
}

fn hash_of(series: &[Option<Stored>], hasher: &RandomState, id: SeriesId) -> u64 {
    let stored = series[id.0 as usize].as_ref();
    stored.map_or(0, |s| hasher.hash_one(&*s.pairs))
}
