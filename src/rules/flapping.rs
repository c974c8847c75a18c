//! Alerts that come and go: each time they come back they are held a little longer.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::FlappingPolicy;
use crate::model::Timestamp;

/// How often an alert came back soon after its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Flaps {
    /// Times it came back; one is forgotten in each quiet period.
    pub count: u32,
    /// When it came back last, or when the last one was forgotten.
    pub since: Timestamp,
    /// When it was over last.
    pub ended: Option<Timestamp>,
}

impl Flaps {
    /// True when there is nothing to remember.
    pub fn is_none(&self) -> bool {
        self.count == 0 && self.ended.is_none()
    }

    /// Forgets what is long past.
    pub(super) fn decay(&mut self, policy: &FlappingPolicy, now: Timestamp) {
        let quiet = policy.forget.0.max(Duration::from_millis(1));
        while self.count > 0 && now.since(self.since) >= quiet {
            self.count -= 1;
            self.since = self.since + quiet;
        }
        if self.ended.is_some_and(|ended| now.since(ended) >= quiet) {
            self.ended = None;
        }
    }

    /// Notes that it is over.
    pub(super) fn end(&mut self, now: Timestamp) {
        self.ended = Some(now);
    }

    /// Notes that it fires again after its end, or that its condition holds again while it is
    /// held for nothing but its coming and going.
    pub(super) fn come_back(&mut self, now: Timestamp) {
        self.count = self.count.saturating_add(1);
        self.since = now;
        self.ended = None;
    }

    /// How long it fires on without its condition: nothing for the first times, then twice as
    /// long each time.
    pub(super) fn hold(&self, policy: &FlappingPolicy) -> Duration {
        let Some(more) = self.count.checked_sub(policy.after.max(1)) else {
            return Duration::ZERO;
        };
        let times = 1_u32.checked_shl(more).unwrap_or(u32::MAX);
        policy.hold.0.saturating_mul(times).min(policy.most.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Span;

    const POLICY: FlappingPolicy = FlappingPolicy {
        after: 3,
        hold: Span(Duration::from_secs(300)),
        most: Span(Duration::from_secs(4000)),
        forget: Span(Duration::from_secs(3600)),
    };

    #[test]
    fn the_hold_doubles_to_its_bound_and_decays() {
        let at = Timestamp::from_secs;
        let mut flaps = Flaps::default();
        let mut holds = Vec::new();
        for n in 0..40 {
            flaps.come_back(at(n));
            holds.push(flaps.hold(&POLICY).as_secs());
        }
        assert_eq!(holds[..8], [0, 0, 300, 600, 1200, 2400, 4000, 4000]);
        assert_eq!(holds[39], 4000);
        flaps.count = 4;
        flaps.decay(&POLICY, at(39 + 3599));
        assert_eq!(flaps.count, 4);
        flaps.decay(&POLICY, at(39 + 3600));
        assert_eq!((flaps.count, flaps.hold(&POLICY).as_secs()), (3, 300));
        flaps.decay(&POLICY, at(39 + 2 * 3600));
        assert_eq!((flaps.count, flaps.hold(&POLICY).as_secs()), (2, 0));
        flaps.decay(&POLICY, at(39 + 4 * 3600));
        assert!(flaps.is_none());
    }
}
