//! Finding elements with equal labels, some of them left out.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher, Hasher};

use crate::model::Labels;
use crate::model::labels::NAME;

/// Which labels count.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Key<'a> {
    /// Only these.
    Only(&'a [String]),
    /// All but these and the metric name.
    Without(&'a [String]),
    /// All but these.
    Except(&'a [String]),
    /// All.
    All,
}

impl Key<'_> {
    /// True for the label names that count.
    pub(crate) fn counts(self, name: &str) -> bool {
        match self {
            Key::Only(names) => names.iter().any(|n| n == name),
            Key::Without(names) => name != NAME && !names.iter().any(|n| n == name),
            Key::Except(names) => !names.iter().any(|n| n == name),
            Key::All => true,
        }
    }

    fn hash(self, labels: &Labels) -> u64 {
        let mut h = DefaultHasher::new();
        for (n, v) in labels.iter() {
            if self.counts(n) {
                h.write(n.as_bytes());
                h.write_u8(0xff);
                h.write(v.as_bytes());
                h.write_u8(0xff);
            }
        }
        h.finish()
    }

    fn same(self, a: &Labels, b: &Labels) -> bool {
        let counted = |l| Labels::iter(l).filter(|(n, _)| self.counts(n));
        counted(a).eq(counted(b))
    }

    /// The labels that count.
    pub(crate) fn of(self, labels: &Labels) -> Labels {
        match self {
            Key::Only(names) => {
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                labels.only(&names)
            }
            Key::Without(names) => {
                let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
                names.push(NAME);
                labels.without(&names)
            }
            Key::Except(names) => {
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                labels.without(&names)
            }
            Key::All => labels.clone(),
        }
    }
}

/// Numbers groups of labels from 0 on in the order of their first member.
#[derive(Debug)]
pub(crate) struct Groups<'a> {
    key: Key<'a>,
    /// The newest group of each hash.
    by_hash: HashMap<u64, usize, BuildHasherDefault<AsIs>>,
    /// Labels of the first member, and the group before with the same hash.
    first: Vec<(Labels, Option<usize>)>,
}

/// Takes a number that is a hash already.
#[derive(Debug, Default)]
struct AsIs(u64);

impl Hasher for AsIs {
    fn write(&mut self, bytes: &[u8]) {
        for b in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*b);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl<'a> Groups<'a> {
    pub(crate) fn new(key: Key<'a>) -> Self {
        Groups {
            key,
            by_hash: HashMap::default(),
            first: Vec::new(),
        }
    }

    pub(crate) fn find(&self, labels: &Labels) -> Option<usize> {
        self.find_hashed(labels, self.key.hash(labels))
    }

    fn find_hashed(&self, labels: &Labels, hash: u64) -> Option<usize> {
        let mut next = self.by_hash.get(&hash).copied();
        while let Some(i) = next {
            let (first, before) = &self.first[i];
            if self.key.same(first, labels) {
                return Some(i);
            }
            next = *before;
        }
        None
    }

    /// The group's number, and true when `labels` are its first.
    pub(crate) fn insert(&mut self, labels: &Labels) -> (usize, bool) {
        let hash = self.key.hash(labels);
        if let Some(i) = self.find_hashed(labels, hash) {
            return (i, false);
        }
        let i = self.first.len();
        let before = self.by_hash.insert(hash, i);
        self.first.push((labels.clone(), before));
        (i, true)
    }

    /// Labels of the group's first member.
    pub(crate) fn first(&self, group: usize) -> &Labels {
        &self.first[group].0
    }
}

/// True when two elements have equal labels.
pub(crate) fn has_duplicates<'l>(labels: impl ExactSizeIterator<Item = &'l Labels>) -> bool {
    if labels.len() < 2 {
        return false;
    }
    let mut groups = Groups::new(Key::All);
    labels.into_iter().any(|l| !groups.insert(l).1)
}
