//! The scale stage of a system.

use serde::Serialize;

use super::facts::Facts;
use super::playbook::Playbook;
use super::playbook::rows::Rung;
use super::words;

/// Where a system stands, as an interval of rungs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stage {
    /// The lower rung, counted from 0; advice goes by it, so that nothing is pushed early.
    pub low: usize,
    /// The higher one, where readings differ.
    pub high: usize,
    /// Id of the lower rung, e.g. `L1`.
    pub rung: String,
    /// What told it, in words.
    pub from: String,
}

/// The rung that somebody named; `None` when there is no such rung.
pub(crate) fn pinned(playbook: &Playbook, rung: &str) -> Option<Stage> {
    let at = playbook.rung_index(rung)?;
    Some(Stage {
        low: at,
        high: at,
        rung: rung.to_owned(),
        from: words::PINNED.to_owned(),
    })
}

/// The rung of a system: by users where they are known, else by database size and requests.
///
/// `None` when no figure is known. Measured saturation outranks it: it sets order and tone only.
pub(crate) fn stage(playbook: &Playbook, facts: &Facts) -> Option<Stage> {
    let rungs = playbook.rungs();
    let last = rungs.len().checked_sub(1)?;
    let at = |holds: &dyn Fn(&Rung) -> bool| rungs.iter().position(holds).unwrap_or(last);
    let of = |low: usize, high: usize, from: String| Stage {
        low,
        high,
        rung: rungs[low].id.get_ref().clone(),
        from,
    };
    let launch = facts.number("expected-launch-users");
    let users = match (facts.number("users"), launch) {
        (Some(now), Some(launch)) => Some(now.max(launch)),
        (now, launch) => now.or(launch),
    };
    if let Some(users) = users {
        let i = at(&|r| r.users.is_none_or(|most| users <= most));
        return Some(of(i, i, words::users(users)));
    }
    let mut readings = Vec::new();
    if let Some(bytes) = facts.number("database-bytes") {
        let i = at(&|r| r.database_bytes.is_none_or(|end| bytes < end));
        readings.push((i, i, words::database_size(bytes)));
    }
    if let Some(rps) = facts.number("requests-per-second") {
        let early = at(&|r| r.rps_early.is_none_or(|end| rps < end));
        let late = at(&|r| r.rps_late.is_none_or(|end| rps < end));
        readings.push((early.min(late), early.max(late), words::requests(rps)));
    }
    let high = readings.iter().map(|(_, high, _)| *high).max()?;
    let (low, _, from) = readings.into_iter().min_by_key(|(low, ..)| *low)?;
    Some(of(low, high, from))
}
