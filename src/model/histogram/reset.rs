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

    /// The hint with which a storage hands this histogram out when `before` is the sample before
    /// it in the series: "not reset" only after a histogram that it does not fall behind.
    pub fn stored_hint(&self, before: Option<&Histogram>) -> ResetHint {
        let asks = |h: &Histogram| h.reset_hint != ResetHint::Gauge;
        match before {
            _ if !asks(self) => ResetHint::Gauge,
            Some(last)
                if asks(last)
                    && self.reset_hint != ResetHint::Reset
                    && !self.falls_behind(last) =>
            {
                ResetHint::NotReset
            }
            Some(_) | None => ResetHint::Unknown,
        }
    }

    /// True when any number is lower than in `before`, or the layout is another one.
    fn falls_behind(&self, before: &Histogram) -> bool {
        let lower = |a: &Buckets, b: &Buckets| {
            a.iter().any(|(i, n)| {
                let found = b.binary_search_by_key(i, |(j, _)| *j);
                found.map_or(*n > 0.0, |at| b[at].1 < *n)
            })
        };
        before.schema != self.schema
            || before.zero_threshold != self.zero_threshold
            || before.custom_values != self.custom_values
            || self.count < before.count
            || self.zero_count < before.zero_count
            || lower(&before.positive, &self.positive)
            || lower(&before.negative, &self.negative)
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
