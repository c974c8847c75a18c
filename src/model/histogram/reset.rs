//! Counter resets.

use super::{Buckets, Histogram, ResetHint};

impl Histogram {
    /// True when the counter was reset between `before` and this histogram, as its hint says or,
    /// without one, as any number that fell says.
    pub fn is_reset_after(&self, before: &Histogram) -> bool {
        match self.reset_hint {
            ResetHint::Reset => return true,
            ResetHint::NotReset => return false,
            ResetHint::Unknown | ResetHint::Gauge => {}
        }
        if self.count < before.count || self.is_custom() != before.is_custom() {
            return true;
        }
        if self.is_custom() {
            if self.custom_values == before.custom_values {
                return fell(&before.positive, &self.positive);
            }
            let shared = super::combine::shared(&self.custom_values, &before.custom_values);
            let (mut now, mut before) = (self.clone(), before.clone());
            now.rebound(&shared);
            before.rebound(&shared);
            return fell(&before.positive, &now.positive);
        }
        if self.schema > before.schema || self.zero_threshold < before.zero_threshold {
            return true;
        }
        if self.schema == before.schema && self.zero_threshold == before.zero_threshold {
            return self.any_fell(before);
        }
        let mut before = before.clone();
        before.reduce_to(self.schema);
        if before.threshold_from(self.zero_threshold) != self.zero_threshold {
            return true;
        }
        before.widen_zero(self.zero_threshold);
        self.any_fell(&before)
    }

    fn any_fell(&self, before: &Histogram) -> bool {
        self.zero_count < before.zero_count
            || fell(&before.positive, &self.positive)
            || fell(&before.negative, &self.negative)
    }
}

/// True when a bucket has less than before.
fn fell(before: &Buckets, now: &Buckets) -> bool {
    before.iter().any(|(index, n)| {
        let count = now
            .binary_search_by_key(index, |(i, _)| *i)
            .map_or(0.0, |i| now[i].1);
        count < *n
    })
}
