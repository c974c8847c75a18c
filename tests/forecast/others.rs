//! What people use today, on the same tasks: lines through recent samples.

use std::collections::BTreeMap;
use std::path::Path;

use super::tasks::{self, Answer, Task, Track};

/// A rule of thumb that gives one crossing time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Other {
    /// `predict_linear` over so many seconds of raw samples.
    PredictLinear(i64),
    /// The Theil-Sen slope of the last so many days, from their median.
    TheilSen(usize),
    /// Netdata's fill rate: now against the ten minutes an hour ago.
    FillRate,
}

impl Other {
    pub(crate) const ALL: [Self; 6] = [
        Self::PredictLinear(3600),
        Self::PredictLinear(6 * 3600),
        Self::PredictLinear(24 * 3600),
        Self::PredictLinear(7 * 86_400),
        Self::TheilSen(28),
        Self::FillRate,
    ];

    pub(crate) fn name(self) -> String {
        match self {
            Self::PredictLinear(w) if w >= 7 * 86_400 => "predict_linear, 7 d".to_owned(),
            Self::PredictLinear(w) => format!("predict_linear, {} h", w / 3600),
            Self::TheilSen(days) => format!("Theil-Sen, {days} d"),
            Self::FillRate => "Netdata's fill rate, 1 h".to_owned(),
        }
    }

    /// Days until a line reaches `limit`; none without samples to draw it through.
    fn crossing(self, raw: &Raw, daily: &[f64], cut: usize, limit: f64) -> Option<f64> {
        let (level, slope) = match self {
            Self::PredictLinear(window) => regression(raw.before(cut, window))?,
            Self::FillRate => {
                let hour = raw.before(cut, 3600);
                let (end, now) = *hour.last()?;
                let then = hour
                    .iter()
                    .filter(|(t, _)| end - t >= 50 * 60)
                    .map(|(_, v)| *v);
                let then = then.reduce(f64::max)?;
                (now, (now - then) / 3600.0)
            }
            Self::TheilSen(days) => {
                let recent = &daily[cut.saturating_sub(days)..cut];
                let (level, slope) = theil_sen(recent)?;
                (level, slope / 86_400.0)
            }
        };
        if level >= limit {
            return Some(1.0);
        }
        Some(if slope > 0.0 {
            (limit - level) / slope / 86_400.0
        } else {
            f64::INFINITY
        })
    }
}

/// A series at its native step.
struct Raw {
    start: i64,
    step: i64,
    values: Vec<f64>,
}

impl Raw {
    /// The valid samples of a window that ends with day `cut` of the daily series.
    fn before(&self, cut: usize, window: i64) -> Vec<(i64, f64)> {
        let first_day = self.start.div_euclid(86_400);
        let end = (first_day + i64::try_from(cut).unwrap_or(i64::MAX)) * 86_400;
        let index = |t: i64| usize::try_from((t - self.start).max(0) / self.step).unwrap_or(0);
        let (from, to) = (index(end - window), index(end).min(self.values.len()));
        (from.min(to)..to)
            .map(|i| (self.start + i as i64 * self.step, self.values[i]))
            .filter(|(_, v)| v.is_finite())
            .collect()
    }
}

/// The tasks that a rule of thumb can answer, with what it says.
pub(crate) fn answered(dir: &Path, other: Other) -> Result<Vec<(Task, Answer)>, String> {
    let track = Track::Daily;
    let index = std::fs::read_to_string(dir.join("index.csv")).map_err(|e| e.to_string())?;
    let mut starts: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
    for line in index.lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        if let (Ok(step), Ok(start)) = (cells[3].parse(), cells[4].parse()) {
            starts.insert(cells[0], (step, start));
        }
    }
    let mut known: BTreeMap<String, (Raw, Vec<f64>)> = BTreeMap::new();
    let mut out = Vec::new();
    for group in tasks::tasks(dir, track)? {
        let id = &group[0].id;
        if !known.contains_key(id) {
            let (step, start) = *starts
                .get(id.as_str())
                .ok_or("a series that is not in the index")?;
            let values = tasks::column(&dir.join("raw").join(format!("{id}.csv")))?;
            let raw = Raw {
                start,
                step,
                values,
            };
            known.insert(id.clone(), (raw, tasks::series(dir, track, id)?));
        }
        let (raw, daily) = &known[id];
        for task in group {
            if let Some(days) = other.crossing(raw, daily, task.cut, task.limit) {
                let within = track
                    .horizons()
                    .iter()
                    .map(|h| f64::from(u8::from(days <= *h as f64)));
                let answer = Answer {
                    quantiles: [days; 3],
                    within: within.collect(),
                };
                out.push((task, answer));
            }
        }
    }
    Ok(out)
}

/// The value at the last sample and the slope in a second of a least-squares line.
fn regression(samples: Vec<(i64, f64)>) -> Option<(f64, f64)> {
    let (end, _) = *samples.last()?;
    if samples.len() < 2 {
        return None;
    }
    let n = samples.len() as f64;
    let x = |t: i64| (t - end) as f64;
    let (sum_x, sum_y) = samples
        .iter()
        .fold((0.0, 0.0), |(a, b), (t, v)| (a + x(*t), b + v));
    let (mean_x, mean_y) = (sum_x / n, sum_y / n);
    let (xy, xx) = samples.iter().fold((0.0, 0.0), |(xy, xx), (t, v)| {
        (
            xy + (x(*t) - mean_x) * (v - mean_y),
            xx + (x(*t) - mean_x).powi(2),
        )
    });
    let slope = if xx > 0.0 { xy / xx } else { 0.0 };
    Some((mean_y - slope * mean_x, slope))
}

/// The level at the last day and the slope in a day.
fn theil_sen(days: &[f64]) -> Option<(f64, f64)> {
    let known: Vec<(f64, f64)> = days
        .iter()
        .enumerate()
        .filter(|(_, v)| v.is_finite())
        .map(|(i, v)| (i as f64, *v))
        .collect();
    let mut slopes: Vec<f64> = Vec::new();
    for (i, (x, y)) in known.iter().enumerate() {
        slopes.extend(known[i + 1..].iter().map(|(x2, y2)| (y2 - y) / (x2 - x)));
    }
    let slope = median(&mut slopes)?;
    let mut levels: Vec<f64> = known.iter().map(|(x, y)| y - slope * x).collect();
    Some((
        median(&mut levels)? + slope * (days.len() as f64 - 1.0),
        slope,
    ))
}

fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
