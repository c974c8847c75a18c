//! When a source is due: spread by hash, steady over restarts, never piled up.
//!
//! What must stay true: slots of one source are whole intervals apart and its phase depends on
//! its hash only; a slot that was missed is counted, not made up for.

use std::time::Duration;

use crate::model::Timestamp;

/// A source's slots, `offset + n * interval` since the epoch.
#[derive(Debug, Clone)]
pub struct Schedule {
    interval_ms: i64,
    offset_ms: i64,
    last: Option<Timestamp>,
    missed: u64,
}

/// One due time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// When the source is due; at most a tenth of the interval in the past.
    pub at: Timestamp,
    /// Slots left out since the previous one.
    pub missed: u64,
    tolerance_ms: i64,
}

impl Schedule {
    /// Slots every `interval` (at least 1 ms), at a phase taken from `key_hash`: a hash of the
    /// source's labels and address, xor the process's seed.
    pub fn new(key_hash: u64, interval: Duration) -> Self {
        let interval_ms = i64::try_from(interval.as_millis())
            .unwrap_or(i64::MAX)
            .max(1);
        let offset = mixed(key_hash) % interval_ms.unsigned_abs();
        Self {
            interval_ms,
            offset_ms: i64::try_from(offset).unwrap_or(0),
            last: None,
            missed: 0,
        }
    }

    /// Takes the next slot. Ask once the previous pass is done: slots that passed meanwhile are
    /// left out, except one that is late by less than a tenth of the interval.
    pub fn next(&mut self, now: Timestamp) -> Slot {
        let grace = self.interval_ms / 10;
        let (at, missed) = match self.last {
            // The wall clock was set back by more than a slot: start over from here.
            Some(last) if now.millis() < last.millis().saturating_sub(self.interval_ms) => {
                (self.first_from(now.millis()), 0)
            }
            Some(last) => {
                let following = last.millis().saturating_add(self.interval_ms);
                let at = self
                    .first_from(now.millis().saturating_sub(grace))
                    .max(following);
                (at, (at - following) / self.interval_ms)
            }
            None => (self.first_from(now.millis()), 0),
        };
        let missed = u64::try_from(missed).unwrap_or(0);
        self.last = Some(Timestamp(at));
        self.missed = self.missed.saturating_add(missed);
        Slot {
            at: Timestamp(at),
            missed,
            tolerance_ms: (self.interval_ms / 100).min(2),
        }
    }

    /// Time between slots.
    pub fn interval(&self) -> Duration {
        Duration::from_millis(self.interval_ms.unsigned_abs())
    }

    /// Slots left out since the start.
    pub fn missed_total(&self) -> u64 {
        self.missed
    }

    /// The first slot at or after `t`.
    fn first_from(&self, t: i64) -> i64 {
        let behind = t
            .saturating_sub(self.offset_ms)
            .rem_euclid(self.interval_ms);
        if behind == 0 {
            t
        } else {
            t.saturating_add(self.interval_ms - behind)
        }
    }
}

impl Slot {
    /// The timestamp of a pass that really began at `started`: the slot's own when they differ by
    /// at most 2 ms and 1 % of the interval, so that samples compress and windows fill evenly.
    pub fn stamp(&self, started: Timestamp) -> Timestamp {
        if started.millis().abs_diff(self.at.millis()) <= self.tolerance_ms.unsigned_abs() {
            self.at
        } else {
            started
        }
    }
}

/// Spreads every bit of the hash, since short intervals look at the low ones only.
fn mixed(mut h: u64) -> u64 {
    h = (h ^ (h >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    h = (h ^ (h >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    h ^ (h >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: i64 = 1_800_000_000_000;

    fn slots(interval_ms: u64, asked_at: &[i64]) -> Vec<(i64, u64)> {
        let mut s = Schedule::new(7, Duration::from_millis(interval_ms));
        let first = s.next(Timestamp(START)).at.millis();
        asked_at
            .iter()
            .map(|after| {
                let slot = s.next(Timestamp(first + after));
                (slot.at.millis() - first, slot.missed)
            })
            .collect()
    }

    #[test]
    fn late_slots_are_left_out_and_counted() {
        for (asked_at, want) in [
            (vec![200, 1_200], vec![(1_000, 0), (2_000, 0)]),
            // The previous pass took the whole interval and a little more.
            (vec![1_050], vec![(1_000, 0)]),
            (vec![1_100], vec![(1_000, 0)]),
            (vec![1_101], vec![(2_000, 1)]),
            (vec![4_500, 4_600], vec![(5_000, 4), (6_000, 0)]),
            // Asked twice at once: never two passes in one slot.
            (vec![0, 0], vec![(1_000, 0), (2_000, 0)]),
            // Three hours of sleep.
            (vec![10_800_500], vec![(10_801_000, 10_800)]),
            // The clock was set back by a minute, then goes on.
            (vec![-60_000, -59_500], vec![(-60_000, 0), (-59_000, 0)]),
        ] {
            assert_eq!(slots(1_000, &asked_at), want, "{asked_at:?}");
        }
    }

    #[test]
    fn the_phase_is_stable_and_spread() {
        let phase = |hash: u64, ms: u64| {
            let mut s = Schedule::new(hash, Duration::from_millis(ms));
            s.next(Timestamp(START)).at.millis() - START
        };
        assert_eq!(phase(42, 15_000), phase(42, 15_000));
        let mut tenths = [0u32; 10];
        for hash in 0..1_000 {
            let p = phase(hash, 15_000);
            assert!((0..15_000).contains(&p));
            tenths[usize::try_from(p / 1_500).unwrap()] += 1;
        }
        assert!(tenths.iter().all(|n| (60..=140).contains(n)), "{tenths:?}");
    }

    #[test]
    fn a_start_near_the_slot_is_stamped_with_the_slot() {
        let slot = Schedule::new(1, Duration::from_secs(15)).next(Timestamp(START));
        for (late_ms, want_ms) in [(0, 0), (2, 0), (-2, 0), (3, 3), (-3, -3)] {
            assert_eq!(
                slot.stamp(Timestamp(slot.at.millis() + late_ms)),
                Timestamp(slot.at.millis() + want_ms)
            );
        }
        let fast = Schedule::new(1, Duration::from_millis(100)).next(Timestamp(START));
        assert_eq!(
            fast.stamp(Timestamp(fast.at.millis() + 2)).millis() - fast.at.millis(),
            2
        );
    }
}
