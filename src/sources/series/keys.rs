//! What is known of the keys of a source, in the order in which they came last time.
//!
//! What must stay true: a key is found whether or not it comes in order, and never taken for
//! another one: bytes are compared, not hashes. Bytes are bounded; what is over the bound is not
//! remembered.
//!
//! A body names its series in the same order almost always. So the line that comes is first
//! compared with the key that came next last time; only when that is another one, a hash is made.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;

use super::Fate;
use crate::sources::scrape::text::{is_blank, is_name_byte};

/// Most bytes of keys remembered for one source.
pub(super) const MAX_KEY_BYTES: usize = 16 << 20;

/// Rewrites after which a source that has no order is left alone for ever longer.
const MOST_PATIENCE: u32 = 64;

#[derive(Debug, Clone, Copy)]
struct Entry {
    start: u32,
    len: u32,
    /// When it came last; rises over all passes.
    seen: u32,
    /// `None` when its series is gone: the bytes wait for their return or a rewrite.
    fate: Option<Fate>,
}

/// Keys and names with their fates.
#[derive(Debug, Default)]
pub(super) struct Keys {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    table: HashTable<u32>,
    hasher: RandomState,
    /// The entry that is expected next, or the name that is being skipped.
    cursor: usize,
    /// The name that is being skipped; empty when none is.
    skipped: Vec<u8>,
    /// Rises with each key that comes.
    now: u32,
    /// `now` at the start of the pass.
    begun: u32,
    /// Keys of this pass that came out of order.
    strays: usize,
    alive: usize,
    /// Passes to wait before the next rewrite for order's sake, and how many that were last time.
    wait: u32,
    patience: u32,
}

impl Keys {
    /// Starts a pass.
    pub(super) fn begin(&mut self) {
        if self.now > u32::MAX / 2 {
            *self = Self::default();
        }
        self.now += 1;
        self.begun = self.now;
        self.rewind();
        self.strays = 0;
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        *self = Self {
            now: self.now,
            begun: self.begun,
            ..Self::default()
        };
    }

    /// Keys that are known.
    pub(super) fn len(&self) -> usize {
        self.alive
    }

    /// True when a line starts with the unwanted name that the line before had.
    #[inline]
    pub(super) fn skips(&self, line: &[u8]) -> bool {
        let name = self.skipped.as_slice();
        // Names of one program start alike: the last byte tells most of them apart.
        match (name.last(), name.len().checked_sub(1)) {
            (Some(last), Some(at)) => {
                line.get(at) == Some(last) && ends_name(line, name.len()) && line.starts_with(name)
            }
            _ => false,
        }
    }

    /// The fate of the series or name that a line starts with, and its length, if it comes in
    /// order.
    #[inline]
    pub(super) fn expected(&mut self, line: &[u8]) -> Option<(Fate, usize)> {
        let mut at = self.cursor;
        loop {
            let entry = *self.entries.get(at)?;
            let (start, len) = (entry.start as usize, entry.len as usize);
            let is_name = matches!(entry.fate, Some(Fate::Unwanted | Fate::Reserved));
            if line.starts_with(&self.bytes[start..start + len]) {
                let whole = if is_name {
                    ends_name(line, len)
                } else {
                    ends_series(line, len)
                };
                if whole && let Some(fate) = entry.fate {
                    self.found(at);
                    return Some((fate, len));
                }
            }
            // A name stands for any number of lines, none included; and what is gone is passed.
            if !is_name && entry.fate.is_some() {
                return None;
            }
            at += 1;
            if at > self.cursor + 4 {
                return None;
            }
        }
    }

    /// What is known of a key.
    pub(super) fn get(&mut self, key: &[u8]) -> Option<Fate> {
        let at = match self.place_ahead(key) {
            Some(at) => at,
            None => {
                let at = self.find(key)?;
                if self.entries[at].fate.is_some() {
                    self.strays += 1;
                }
                at
            }
        };
        let fate = self.entries[at].fate?;
        self.found(at);
        Some(fate)
    }

    /// Remembers what became of a key.
    pub(super) fn set(&mut self, key: &[u8], fate: Fate) {
        if let Some(at) = self.find(key) {
            self.alive += usize::from(self.entries[at].fate.is_none());
            self.entries[at].fate = Some(fate);
            self.found(at);
            return;
        }
        let start = self.bytes.len();
        let (Ok(from), Ok(len)) = (u32::try_from(start), u32::try_from(key.len())) else {
            return;
        };
        if start + key.len() > MAX_KEY_BYTES {
            return;
        }
        if self.bytes.capacity() - start < key.len() {
            // Doubling would leave half of it empty.
            let more = key.len().max(start / 4).max(64);
            self.bytes.reserve_exact(more);
        }
        self.bytes.extend_from_slice(key);
        let at = self.entries.len();
        if self.entries.capacity() == at {
            self.entries.reserve_exact((at / 4).max(8));
        }
        self.entries.push(Entry {
            start: from,
            len,
            seen: 0,
            fate: Some(fate),
        });
        self.alive += 1;
        let hash = self.hasher.hash_one(key);
        let (bytes, entries, hasher) = (&self.bytes, &self.entries, &self.hasher);
        let number = u32::try_from(at).unwrap_or(u32::MAX);
        self.table.insert_unique(hash, number, |i| {
            hasher.hash_one(text(bytes, &entries[*i as usize]))
        });
        if self.cursor == at {
            self.found(at);
        } else {
            self.seen(at);
        }
    }

    /// Lets go what `stays` refuses; it is told whether the key came in this pass.
    pub(super) fn retain(&mut self, mut stays: impl FnMut(Fate, bool) -> bool) {
        for entry in &mut self.entries {
            if let Some(fate) = entry.fate
                && !stays(fate, entry.seen > self.begun)
            {
                entry.fate = None;
                self.alive -= 1;
            }
        }
        self.rewind();
    }

    /// Ends a pass: rewrites the keys in the order of this pass when that is worth it.
    pub(super) fn end(&mut self) {
        self.wait = self.wait.saturating_sub(1);
        let dead = self.entries.len() - self.alive;
        let astray = self.strays > 8 + self.alive / 16;
        if astray && self.wait == 0 {
            self.patience = (self.patience * 2).clamp(1, MOST_PATIENCE);
            self.wait = self.patience;
            self.rewrite();
        } else if dead > 64 + self.alive / 2 {
            self.rewrite();
        }
        if !astray && self.wait == 0 {
            self.patience = 0;
        }
        self.rewind();
    }

    fn rewrite(&mut self) {
        let mut order = std::mem::take(&mut self.entries);
        order.retain(|e| e.fate.is_some());
        order.sort_by_key(|e| e.seen);
        let old = std::mem::take(&mut self.bytes);
        self.bytes = Vec::with_capacity(order.iter().map(|e| e.len as usize).sum());
        for entry in &mut order {
            let start = self.bytes.len();
            self.bytes.extend_from_slice(text(&old, entry));
            // Not over what it was before.
            entry.start = u32::try_from(start).unwrap_or(u32::MAX);
        }
        self.table = HashTable::with_capacity(order.len());
        for (i, entry) in order.iter().enumerate() {
            let (bytes, hasher) = (&self.bytes, &self.hasher);
            let number = u32::try_from(i).unwrap_or(u32::MAX);
            let hash = hasher.hash_one(text(bytes, entry));
            let again = |i: &u32| hasher.hash_one(text(bytes, &order[*i as usize]));
            self.table.insert_unique(hash, number, again);
        }
        self.entries = order;
    }

    /// The place of a key that comes in order.
    fn place_ahead(&self, key: &[u8]) -> Option<usize> {
        let mut at = self.cursor;
        loop {
            let entry = self.entries.get(at)?;
            if text(&self.bytes, entry) == key {
                return Some(at);
            }
            let passed = matches!(entry.fate, None | Some(Fate::Unwanted | Fate::Reserved));
            if !passed || at > self.cursor + 4 {
                return None;
            }
            at += 1;
        }
    }

    fn find(&self, key: &[u8]) -> Option<usize> {
        let hash = self.hasher.hash_one(key);
        let same = |i: &u32| text(&self.bytes, &self.entries[*i as usize]) == key;
        self.table.find(hash, same).map(|i| *i as usize)
    }

    fn found(&mut self, at: usize) {
        self.seen(at);
        let entry = &self.entries[at];
        self.skipped.clear();
        self.cursor = match entry.fate {
            Some(Fate::Unwanted) => {
                self.skipped.extend_from_slice(text(&self.bytes, entry));
                at
            }
            Some(Fate::Reserved) => at,
            Some(Fate::Kept(_) | Fate::Unselected | Fate::Dropped | Fate::Refused(_)) | None => {
                at + 1
            }
        };
    }

    fn seen(&mut self, at: usize) {
        self.now += 1;
        self.entries[at].seen = self.now;
    }

    fn rewind(&mut self) {
        self.cursor = 0;
        self.skipped.clear();
    }
}

fn text<'a>(bytes: &'a [u8], entry: &Entry) -> &'a [u8] {
    &bytes[entry.start as usize..][..entry.len as usize]
}

/// True when a name of `len` bytes at the start of a line is all of the name.
#[inline]
fn ends_name(line: &[u8], len: usize) -> bool {
    line.get(len).is_none_or(|b| !is_name_byte(*b))
}

/// True when a series of `len` bytes at the start of a line is all of the series.
#[inline]
fn ends_series(line: &[u8], len: usize) -> bool {
    if len > 0 && line[len - 1] == b'}' {
        return true;
    }
    // A bare name, unless labels follow it.
    let after = &line[len..];
    let blanks = after.iter().take_while(|b| is_blank(**b)).count();
    blanks > 0 && after.get(blanks) != Some(&b'{')
}
