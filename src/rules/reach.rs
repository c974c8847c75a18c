//! How far back the data goes.

use std::time::Duration;

use crate::model::Timestamp;

/// Since when samples are there: those of this run, and those that an earlier run left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// Start of this run's samples.
    pub since: Timestamp,
    /// First and last time of what an earlier run left.
    pub before: Option<(Timestamp, Timestamp)>,
}

impl Reach {
    /// Samples since `since`, and nothing older.
    pub fn since(since: Timestamp) -> Self {
        Self {
            since,
            before: None,
        }
    }

    /// Samples of any time.
    pub fn always() -> Self {
        Self::since(Timestamp(i64::MIN))
    }

    /// True when a range of `window` that ends at `slot` begins where there are samples: in this
    /// run, or in an earlier one. A gap inside the range is no matter: a counter's difference
    /// spans it.
    pub fn covers(&self, slot: Timestamp, window: Duration) -> bool {
        let begin = slot - window;
        begin >= self.since
            || self
                .before
                .is_some_and(|(first, last)| first <= begin && begin < last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_must_begin_where_samples_are() {
        let at = Timestamp::from_secs;
        let five = Duration::from_secs(300);
        let reach = Reach::since(at(1000));
        assert!(!reach.covers(at(1200), five));
        assert!(reach.covers(at(1300), five));
        let reach = Reach {
            since: at(1000),
            before: Some((at(500), at(940))),
        };
        for (slot, full) in [
            // Begins before anything was kept.
            (790, false),
            (800, true),
            (1010, true),
            (1239, true),
            // Begins in the gap, until it lies behind.
            (1240, false),
            (1299, false),
            (1300, true),
        ] {
            assert_eq!(reach.covers(at(slot), five), full, "{slot}");
        }
        assert!(Reach::always().covers(at(-5), Duration::MAX));
    }
}
