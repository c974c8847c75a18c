//! Changing which buckets a histogram has.

use super::{Buckets, Cell, Shape};

impl<T: Cell> Shape<T> {
    /// Merges buckets until the resolution is that of `schema`, which is not finer.
    pub(super) fn reduce_to(&mut self, schema: i32) {
        if self.is_custom() || schema >= self.schema {
            return;
        }
        let by = self.schema - schema;
        let place = |index: i32| (index.saturating_sub(1) >> by) + 1;
        self.positive = renumbered(&self.positive, place);
        self.negative = renumbered(&self.negative, place);
        self.schema = schema;
    }

    /// Lowers the resolution to that of `schema` where it is finer.
    pub fn coarsen(&mut self, schema: i32) {
        self.reduce_to(schema);
    }

    /// The zero threshold at or above `least` that cuts through no bucket with observations.
    pub(super) fn threshold_from(&self, least: f64) -> f64 {
        let mut threshold = least;
        loop {
            let cut = self
                .positive
                .iter()
                .chain(&self.negative)
                .filter(|(_, n)| n.total() != 0.0)
                .map(|(i, _)| self.bounds(*i))
                .find(|(lower, upper)| *lower < threshold && threshold < *upper);
            match cut {
                Some((_, upper)) => threshold = upper,
                None => return threshold,
            }
        }
    }

    /// Widens the zero bucket to `threshold`, which cuts through no bucket.
    pub(super) fn widen_zero(&mut self, threshold: f64) {
        if threshold <= self.zero_threshold {
            return;
        }
        let schema = self.schema;
        let mut inside = T::default();
        let mut swallow = |(index, n): &(i32, T)| {
            let stays = super::bounds::exponential(schema, index.saturating_sub(1)) >= threshold;
            if !stays {
                inside.merge(*n);
            }
            stays
        };
        self.positive.retain(&mut swallow);
        self.negative.retain(&mut swallow);
        self.zero_count.merge(inside);
        self.zero_threshold = threshold;
    }

    /// Merges custom buckets until only `bounds` are left, which are some of its own.
    pub(super) fn rebound(&mut self, bounds: &[f64]) {
        let own = std::mem::replace(&mut self.custom_values, bounds.to_vec());
        let place = |index: i32| {
            let upper = usize::try_from(index).ok().and_then(|i| own.get(i));
            let place = match upper {
                Some(upper) => bounds.partition_point(|b| b < upper),
                None => bounds.len(),
            };
            i32::try_from(place).unwrap_or(i32::MAX)
        };
        self.positive = renumbered(&self.positive, place);
    }

    /// Removes buckets without observations.
    #[must_use]
    pub fn compact(mut self) -> Self {
        let full = |b: &(i32, T)| b.1.total() != 0.0;
        self.positive.retain(full);
        self.negative.retain(full);
        self
    }

    /// Multiplies every number.
    pub(super) fn scale(&mut self, factor: f64) {
        for cell in [&mut self.count, &mut self.sum, &mut self.zero_count] {
            cell.scale(factor);
        }
        for (_, cell) in self.positive.iter_mut().chain(&mut self.negative) {
            cell.scale(factor);
        }
    }
}

/// Adds to the bucket of that index, which may be new.
pub(super) fn add_bucket<T: Cell>(buckets: &mut Buckets<T>, index: i32, v: f64) {
    match buckets.binary_search_by_key(&index, |(i, _)| *i) {
        Ok(i) => buckets[i].1.add(v),
        Err(i) => {
            let mut cell = T::default();
            cell.add(v);
            buckets.insert(i, (index, cell));
        }
    }
}

/// `place` never falls.
fn renumbered<T: Cell>(buckets: &Buckets<T>, place: impl Fn(i32) -> i32) -> Buckets<T> {
    let mut out: Buckets<T> = Vec::with_capacity(buckets.len());
    for (index, n) in buckets {
        let index = place(*index);
        match out.last_mut() {
            Some((last, total)) if *last == index => total.merge(*n),
            _ => out.push((index, *n)),
        }
    }
    out
}
