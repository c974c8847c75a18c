//! Days to each limit: what a history and a limit of today say, and how urgent it is.
//!
//! What must stay true: a number is never said where it would mislead (too little history, a unit
//! that changed, a limit that is missing or passed are verdicts of their own); the limit of today
//! counts, whatever it was before; urgency has hysteresis, so that noise changes nothing.

mod past;
mod queue;
mod standing;
pub mod words;

use serde::{Deserialize, Serialize};

use super::forecast::{self, Crossings, DAILY, HOURLY, Kind};

pub use past::{Past, weekly_errors};
pub use queue::{Order, queue};
pub use standing::{Standing, Urgency};

/// Below so many days a daily forecast is called early.
const EARLY_DAYS: usize = 60;
/// Below so many days one step or one fall can look like a trend: only near certainty is urgent.
const SHORT_DAYS: usize = 28;
/// Hours in a day.
const DAY: f64 = 24.0;
/// Within so many days the hourly answer is shown when there are both.
const HOURLY_SHOWN: f64 = 3.0;
/// A drift of so little of the base in 90 days is flat.
const FLAT: f64 = 0.02;

/// What is known of one limit.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// Name of the series; it seeds the draw, so that the same data gives the same answer.
    pub name: &'a str,
    /// How it moves.
    pub kind: Kind,
    /// One value an hour up to the last complete one, NaN where it is missing.
    pub hourly: &'a [f64],
    /// One value a day up to the last complete one, NaN where it is missing.
    pub daily: &'a [f64],
    /// The limit of today, in the series' unit.
    pub limit: Option<f64>,
}

/// What can be said about one limit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum Outlook {
    /// There is no limit to reach.
    NoLimit,
    /// There is too little history for any forecast.
    NotEnough {
        /// Valid hours that are there.
        hours: usize,
        /// Hours that a first estimate needs.
        needs: usize,
    },
    /// The values changed by a power of 1000 or 1024: another unit, not growth.
    UnitsChanged {
        /// By how much.
        factor: f64,
    },
    /// The sustained peak is at the limit or over it now: 0 days.
    Over {
        /// The sustained peak.
        base: f64,
        /// The limit.
        limit: f64,
    },
    /// A forecast.
    Ahead(Ahead),
}

/// A forecast of one limit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ahead {
    /// Sustained current peak.
    pub base: f64,
    /// The limit.
    pub limit: f64,
    /// Days until 1, 5 and 9 of 10 futures have crossed; null beyond the horizon.
    pub p10: Option<f64>,
    /// The middle.
    pub p50: Option<f64>,
    /// The far end.
    pub p90: Option<f64>,
    /// How far ahead was looked, in days.
    pub horizon: f64,
    /// Probability of a crossing.
    pub within: Within,
    /// Where the median drift leads.
    pub trend: Trend,
    /// Days until a line of the median drift would reach the limit; null when it never does.
    pub line: Option<f64>,
    /// Days of history behind it.
    pub days: usize,
    /// Crossing times of the futures in days, sorted; those beyond the horizon are left out.
    #[serde(skip)]
    pub(crate) samples: Vec<f32>,
    /// How many futures were drawn.
    #[serde(skip)]
    pub(crate) drawn: usize,
}

/// Probability of a crossing within a time; null where the history is too short to say.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Within {
    /// 24 hours.
    pub day: Option<f64>,
    /// 14 days.
    pub two_weeks: Option<f64>,
    /// 90 days.
    pub quarter: Option<f64>,
    /// 180 days.
    pub half_year: Option<f64>,
}

/// Where the median drift leads within 90 days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Trend {
    /// Up by more than 2 % of the base.
    Growing,
    /// Within 2 %.
    Flat,
    /// Down by more than 2 %.
    Shrinking,
}

impl Ahead {
    /// True when the history is long enough for days but shorter than two months.
    pub fn early(&self) -> bool {
        self.days < EARLY_DAYS
    }

    /// True when the history is so short that one step in it looks like a trend.
    pub fn short(&self) -> bool {
        self.days < SHORT_DAYS
    }

    /// Whether even the far end lies within so many days.
    pub fn surely_within(&self, days: f64) -> bool {
        self.p90.is_some_and(|p| p <= days)
    }
}

/// Says what a history and a limit mean.
pub fn outlook(seen: &Seen<'_>) -> Outlook {
    let Some(limit) = seen.limit.filter(|l| l.is_finite()) else {
        return Outlook::NoLimit;
    };
    let (hourly, changed) = same_unit(seen.hourly);
    let (daily, changed_daily) = same_unit(seen.daily);
    let changed = changed.or(changed_daily);
    let days = valid(daily);
    let by_day = DAILY.enough(daily).is_ok();
    if let Err((needs, hours)) = HOURLY.enough(hourly)
        && !by_day
    {
        return match changed {
            Some(factor) => Outlook::UnitsChanged { factor },
            None => Outlook::NotEnough { hours, needs },
        };
    }
    let recent = forecast::base(&HOURLY, hourly);
    let longer = by_day.then(|| forecast::base(&DAILY, daily)).flatten();
    // The hours of today count before the day is over: a limit that was lowered is passed at once.
    let base = match seen.kind {
        Kind::Level => longer.into_iter().chain(recent).reduce(f64::max),
        Kind::Gauge => longer.or(recent),
    };
    let now_over = recent.is_some_and(|b| b >= limit);
    if let Some(base) = base.filter(|b| *b >= limit || now_over) {
        return Outlook::Over {
            base: base.max(limit),
            limit,
        };
    }
    let seed = forecast::seed(seen.name);
    // In a short past one fall is enough to be taken for a saw-tooth (log rotation, retention).
    let falls_back = days < SHORT_DAYS && forecast::falls(&DAILY, daily) > 0;
    let kind = if falls_back { Kind::Gauge } else { seen.kind };
    let draw = |engine, history| forecast::forecast(engine, kind, history, &[limit], seed);
    let near = HOURLY
        .enough(hourly)
        .ok()
        .and_then(|()| draw(&HOURLY, hourly));
    let far = if by_day { draw(&DAILY, daily) } else { None };
    let day = near.as_ref().map(|f| f.crossings[0].probability(24));
    let hourly_median = near.as_ref().and_then(|f| f.crossings[0].quantile(0.5));
    let soon = hourly_median.is_some_and(|h| f64::from(h) / DAY <= HOURLY_SHOWN);
    match (near, far) {
        (near, Some(far)) => {
            let crossings = &far.crossings[0];
            let within = Within {
                day,
                two_weeks: Some(crossings.probability(14)),
                quarter: Some(crossings.probability(90)),
                half_year: Some(crossings.probability(180)),
            };
            let shown = near.filter(|_| soon);
            let (crossings, unit, horizon) = match &shown {
                Some(near) => (&near.crossings[0], DAY, HOURLY.horizon),
                None => (crossings, 1.0, DAILY.horizon),
            };
            let spread = Spread {
                crossings,
                unit,
                horizon,
            };
            Outlook::Ahead(ahead(far.base, limit, far.drift, within, days, &spread))
        }
        (Some(near), None) => {
            let within = Within {
                day,
                ..Within::default()
            };
            let crossings = &near.crossings[0];
            let spread = Spread {
                crossings,
                unit: DAY,
                horizon: HOURLY.horizon,
            };
            Outlook::Ahead(ahead(
                near.base,
                limit,
                near.drift * DAY,
                within,
                days,
                &spread,
            ))
        }
        (None, None) => {
            let hours = valid(hourly);
            Outlook::NotEnough {
                hours,
                needs: hours + 1,
            }
        }
    }
}

/// Crossing times with their unit (steps a day) and how far they reach in steps.
struct Spread<'a> {
    crossings: &'a Crossings,
    unit: f64,
    horizon: usize,
}

/// `drift` is that of a day.
fn ahead(
    base: f64,
    limit: f64,
    drift: f64,
    within: Within,
    days: usize,
    spread: &Spread<'_>,
) -> Ahead {
    let quantile = |p| {
        spread
            .crossings
            .quantile(p)
            .map(|s| f64::from(s) / spread.unit)
    };
    let change = drift * 90.0;
    let trend = if change.abs() <= FLAT * base.abs() {
        Trend::Flat
    } else if change < 0.0 {
        Trend::Shrinking
    } else {
        Trend::Growing
    };
    let samples: Vec<f32> = spread
        .crossings
        .samples()
        .flatten()
        .map(|s| (f64::from(s) / spread.unit) as f32)
        .collect();
    Ahead {
        base,
        limit,
        p10: quantile(0.1),
        p50: quantile(0.5),
        p90: quantile(0.9),
        horizon: spread.horizon as f64 / spread.unit,
        within,
        trend,
        line: (drift > 0.0).then(|| (limit - base) / drift),
        days,
        drawn: spread.crossings.samples().count(),
        samples,
    }
}

fn valid(values: &[f64]) -> usize {
    values.iter().filter(|v| v.is_finite()).count()
}

/// The part of a history after the last change of unit, and the factor of that change.
///
/// A change of unit is a step by a power of 1000 or 1024, to within a tenth, between the medians of
/// up to five values on either side.
fn same_unit(values: &[f64]) -> (&[f64], Option<f64>) {
    let side = |part: &mut dyn Iterator<Item = f64>| {
        let mut near: Vec<f64> = part.filter(|v| v.is_finite()).take(5).collect();
        near.sort_by(f64::total_cmp);
        near.get(near.len() / 2).copied()
    };
    for i in (1..values.len()).rev() {
        if !values[i].is_finite() {
            continue;
        }
        let Some(last) = values[..i].iter().rev().copied().find(|v| v.is_finite()) else {
            break;
        };
        let step = values[i] / last;
        if !(step >= 500.0 || (step > 0.0 && step <= 1.0 / 500.0)) {
            continue;
        }
        let before = side(&mut values[..i].iter().rev().copied());
        let after = side(&mut values[i..].iter().copied());
        if let (Some(before), Some(after)) = (before, after)
            && before > 0.0
            && let Some(factor) = unit_factor(after / before)
        {
            return (&values[i..], Some(factor));
        }
    }
    (values, None)
}

/// The power of 1000 or 1024 that a ratio is, to within a tenth.
fn unit_factor(ratio: f64) -> Option<f64> {
    let size = if ratio < 1.0 { 1.0 / ratio } else { ratio };
    [1000.0_f64, 1024.0]
        .into_iter()
        .flat_map(|base| [1, 2, 3].map(|power| base.powi(power)))
        .min_by(|a, b| (size / a - 1.0).abs().total_cmp(&(size / b - 1.0).abs()))
        .filter(|factor| (size / factor - 1.0).abs() <= 0.1)
        .map(|factor| if ratio < 1.0 { 1.0 / factor } else { factor })
}

#[cfg(test)]
mod tests;
