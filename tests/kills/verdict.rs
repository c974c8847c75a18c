//! Compares what receivers wrote down with what was true.

use std::collections::{BTreeMap, BTreeSet};

use super::oracle::{Interval, Oracle};

/// How late an evaluation may see what a scrape saw.
const SLACK_MS: i64 = 5000;

/// What one request said of its alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Status {
    Firing,
    Resolved { at: i64 },
}

/// One request as a receiver wrote it down.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    pub(crate) endpoint: usize,
    pub(crate) id: String,
    pub(crate) body: String,
    /// Which alert.
    pub(crate) n: usize,
    /// Which episode of it.
    pub(crate) since: i64,
    pub(crate) status: Status,
    /// It was answered with success.
    pub(crate) acknowledged: bool,
    /// Kills before it.
    pub(crate) incarnation: u64,
}

/// All requests in order of arrival.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) deliveries: Vec<Delivery>,
    pub(crate) kills: u64,
    pub(crate) endpoints: usize,
}

/// What is wrong, and how much was seen.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) deliveries: usize,
    /// Episodes that had to be told.
    pub(crate) episodes: usize,
    /// Requests after one that was answered with success, under the same id.
    pub(crate) repeats: usize,
    /// Never told, or the end never told.
    pub(crate) lost: Vec<String>,
    /// Told, but not true.
    pub(crate) ghosts: Vec<String>,
    /// The same change under another id.
    pub(crate) new_ids: Vec<String>,
    /// One id, two bodies.
    pub(crate) bodies: Vec<String>,
    /// A later change before an earlier one.
    pub(crate) inversions: Vec<String>,
    /// More repeats than answers can have been lost.
    pub(crate) too_many_repeats: Vec<String>,
}

impl Verdict {
    pub(crate) fn is_clean(&self) -> bool {
        [
            &self.lost,
            &self.ghosts,
            &self.new_ids,
            &self.bodies,
            &self.inversions,
            &self.too_many_repeats,
        ]
        .iter()
        .all(|faults| faults.is_empty())
    }
}

/// Judges a whole run that has drained.
pub(crate) fn verdict(record: &Record, oracle: &Oracle) -> Verdict {
    let truth = oracle.intervals();
    let mut found = Verdict {
        deliveries: record.deliveries.len(),
        ..Verdict::default()
    };
    for endpoint in 0..record.endpoints {
        let mine: Vec<&Delivery> = record
            .deliveries
            .iter()
            .filter(|d| d.endpoint == endpoint)
            .collect();
        identities(&mine, &mut found);
        repeats(&mine, record.kills, &mut found);
        order(&mine, &mut found);
        for (n, intervals) in &truth {
            let of: Vec<&Delivery> = mine.iter().copied().filter(|d| d.n == *n).collect();
            lost(endpoint, *n, intervals, &of, &mut found);
            ghosts(endpoint, intervals, &of, &mut found);
        }
    }
    found
}

/// One id is one body and one change, and one change is one id.
fn identities(mine: &[&Delivery], found: &mut Verdict) {
    let mut bodies: BTreeMap<&str, &str> = BTreeMap::new();
    let mut ids: BTreeMap<(usize, i64, Status), &str> = BTreeMap::new();
    for d in mine {
        if *bodies.entry(&d.id).or_insert(&d.body) != d.body {
            found.bodies.push(d.id.clone());
        }
        let first = *ids.entry((d.n, d.since, d.status)).or_insert(&d.id);
        if first != d.id {
            found
                .new_ids
                .push(format!("{first} came again as {}", d.id));
        }
    }
}

/// After an answer of success a message comes again only if a kill met the answer: one attempt is
/// under way at a time.
fn repeats(mine: &[&Delivery], kills: u64, found: &mut Verdict) {
    let mut answered: BTreeMap<&str, u64> = BTreeMap::new();
    let mut met = BTreeSet::new();
    let mut repeats = 0;
    for d in mine {
        // Once it has come again, further tries are for the answers that it gets now.
        if let Some(by) = answered.remove(d.id.as_str()) {
            repeats += 1;
            if by == d.incarnation {
                let again = format!("{} again without a kill in between", d.id);
                found.too_many_repeats.push(again);
            } else if !met.insert(by) {
                let twice = format!("{}: two answers were lost in one kill", d.id);
                found.too_many_repeats.push(twice);
            }
        }
        if d.acknowledged {
            answered.insert(&d.id, d.incarnation);
        }
    }
    found.repeats += repeats;
    if repeats as u64 > kills {
        found
            .too_many_repeats
            .push(format!("{repeats} repeats for {kills} kills"));
    }
}

/// Of one alert nothing earlier is told after something later.
fn order(mine: &[&Delivery], found: &mut Verdict) {
    let mut last: BTreeMap<usize, (i64, Status)> = BTreeMap::new();
    for d in mine {
        let this = (d.since, d.status);
        let before = last.entry(d.n).or_insert(this);
        if this < *before {
            found
                .inversions
                .push(format!("{}: {before:?} before {this:?}", d.id));
        }
        *before = this;
    }
}

/// Everything that must have been seen was told, and everything that was told has ended.
fn lost(endpoint: usize, n: usize, intervals: &[Interval], of: &[&Delivery], found: &mut Verdict) {
    let ended: BTreeSet<i64> = of
        .iter()
        .filter(|d| d.acknowledged && d.status != Status::Firing)
        .map(|d| d.since)
        .collect();
    for interval in intervals.iter().filter(|i| i.surely_seen) {
        found.episodes += 1;
        let is_told = of.iter().any(|d| d.acknowledged && overlaps(d, interval));
        if !is_told {
            found
                .lost
                .push(format!("endpoint {endpoint}, alert {n}: {interval:?}"));
        }
    }
    for d in of.iter().filter(|d| d.status == Status::Firing) {
        if !ended.contains(&d.since) {
            let what = format!("endpoint {endpoint}, alert {n}: the end of {}", d.since);
            found.lost.push(what);
        }
    }
}

/// True when the episode that is told may be this interval's. A process that was killed sees the
/// end of an interval late, and one that never saw the gap sees two intervals as one.
fn overlaps(d: &Delivery, interval: &Interval) -> bool {
    let until = match d.status {
        Status::Firing => i64::MAX,
        Status::Resolved { at } => at,
    };
    d.since <= interval.to.saturating_add(SLACK_MS) && until >= interval.from
}

/// What is told to have begun had begun, what is told to be over was over.
fn ghosts(endpoint: usize, intervals: &[Interval], of: &[&Delivery], found: &mut Verdict) {
    let was = |level: bool, at: i64| {
        let is_on = |i: &Interval| i.from <= at && at <= i.to.saturating_add(SLACK_MS);
        // Off at some time in the slack before.
        let is_off = |at: i64| {
            !intervals
                .iter()
                .any(|i| i.from <= at - SLACK_MS && at < i.to)
        };
        if level {
            intervals.iter().any(is_on)
        } else {
            is_off(at)
        }
    };
    for d in of {
        let wrong = !was(true, d.since)
            || match d.status {
                Status::Firing => false,
                Status::Resolved { at } => !was(false, at) || at < d.since,
            };
        if wrong {
            found.ghosts.push(format!(
                "endpoint {endpoint}, {}: alert {} from {} is {:?}, in truth {intervals:?}",
                d.id, d.n, d.since, d.status
            ));
        }
    }
}
