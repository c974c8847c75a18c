//! The true series: who flips when, and which flips the daemon cannot have overlooked.

use std::collections::BTreeMap;
use std::fmt::Write;

use loadline::model::Timestamp;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Alerts that flip.
pub(crate) const ALERTS: usize = 200;
/// A level that was scraped by one process for so long was evaluated and written.
const SURELY_SEEN_MS: i64 = 3000;

/// One time at level 1.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Interval {
    /// First scrape that showed it.
    pub(crate) from: i64,
    /// First scrape that did not any more.
    pub(crate) to: i64,
    /// The daemon cannot have overlooked it.
    pub(crate) surely_seen: bool,
}

/// What one series did so far.
#[derive(Debug)]
struct Series {
    level: bool,
    next_flip: i64,
    intervals: Vec<Interval>,
    /// Since when the running process sees this level.
    seen_since: Option<(u64, i64)>,
}

/// Makes the series as they are scraped.
#[derive(Debug)]
pub(crate) struct Oracle {
    rng: StdRng,
    series: Vec<Series>,
    scrapes: u64,
    ended: bool,
}

impl Oracle {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed ^ 0x0c1e);
        let series = (0..ALERTS)
            .map(|_| Series {
                level: false,
                next_flip: rng.random_range(0..20_000),
                intervals: Vec::new(),
                seen_since: None,
            })
            .collect();
        Self {
            rng,
            series,
            scrapes: 0,
            ended: false,
        }
    }

    /// From now on all is quiet.
    pub(crate) fn end(&mut self, _now: Timestamp) {
        self.ended = true;
    }

    /// Scrapes so far.
    pub(crate) fn scrapes(&self) -> u64 {
        self.scrapes
    }

    /// The series at `now`, as `incarnation` of the daemon sees them.
    pub(crate) fn scrape(&mut self, now: Timestamp, incarnation: u64) -> String {
        let now = now.millis();
        if self.scrapes == 0 {
            for series in &mut self.series {
                series.next_flip += now;
            }
        }
        self.scrapes += 1;
        let mut body = String::from("# TYPE flip gauge\n");
        for (n, series) in self.series.iter_mut().enumerate() {
            let wants = !self.ended && now >= series.next_flip;
            if wants || (self.ended && series.level) {
                series.level = !series.level;
                series.seen_since = None;
                series.next_flip = now + self.rng.random_range(3_000..30_000);
                if series.level {
                    series.intervals.push(Interval {
                        from: now,
                        to: i64::MAX,
                        surely_seen: false,
                    });
                } else if let Some(last) = series.intervals.last_mut() {
                    last.to = now;
                }
            }
            let (by, since) = *series.seen_since.get_or_insert((incarnation, now));
            if by != incarnation {
                series.seen_since = Some((incarnation, now));
            } else if series.level
                && now - since >= SURELY_SEEN_MS
                && let Some(last) = series.intervals.last_mut()
            {
                last.surely_seen = true;
            }
            let _ = writeln!(body, "flip{{n=\"{n}\"}} {}", u8::from(series.level));
        }
        body
    }

    /// All times at level 1, by alert.
    pub(crate) fn intervals(&self) -> BTreeMap<usize, &[Interval]> {
        let all = self.series.iter().enumerate();
        all.map(|(n, s)| (n, s.intervals.as_slice())).collect()
    }
}
