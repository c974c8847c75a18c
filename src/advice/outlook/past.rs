//! How well forecasts of a series would have done on its own past.

use serde::{Deserialize, Serialize};

use super::super::forecast::{self, DAILY, Kind};

/// Weeks that are looked back.
const WEEKS: usize = 8;

/// The error of past forecasts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Past {
    /// How many forecasts of a week ahead could be checked.
    pub checked: usize,
    /// Median of how far they were off, as a share of what came.
    pub off: f64,
}

/// Forecasts the sustained peak a week ahead from each of the last eight weeks and compares it with
/// what came; `None` when not one of them had enough history.
pub fn weekly_errors(kind: Kind, daily: &[f64], name: &str) -> Option<Past> {
    let seed = forecast::seed(name);
    let mut off: Vec<f64> = (1..=WEEKS)
        .filter_map(|weeks| {
            let cut = daily.len().checked_sub(weeks * 7)?;
            let (before, after) = (&daily[..cut], &daily[..cut + 7]);
            DAILY.enough(before).ok()?;
            let made = forecast::forecast(&DAILY, kind, before, &[], seed)?;
            let came = forecast::base(&DAILY, after)?;
            let said = made.base + made.drift * 7.0;
            (came.abs() > 0.0).then(|| (said - came).abs() / came.abs())
        })
        .collect();
    off.sort_by(f64::total_cmp);
    let checked = off.len();
    (checked > 0).then(|| Past {
        checked,
        off: off[checked / 2],
    })
}
