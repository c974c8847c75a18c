//! A folder of backtest data: its series and tasks, forecasts of them, and their scores.
//!
//! Format: `index.csv` (id, class, ...), `daily/ID.csv` and `hourly/ID.csv` (one value a line, empty
//! where it is missing), `tasks_daily.csv` and `tasks_short.csv` (track, id, class, cut, g, base,
//! limit, T, C). A forecast sees the last 395 values of `daily` before `cut` (336 of `hourly`), never
//! more; T is the true crossing time in steps, `inf` when not within the C steps that were seen.

use std::collections::BTreeMap;
use std::path::Path;

use loadline::advice::forecast::{self, DAILY, Engine, Forecast, HOURLY, Kind};

/// Days or hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Track {
    Daily,
    Short,
}

impl Track {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Daily => "daily",
            Self::Short => "short",
        }
    }

    pub(crate) fn engine(self) -> &'static Engine {
        match self {
            Self::Daily => &DAILY,
            Self::Short => &HOURLY,
        }
    }

    pub(crate) fn folder(self) -> &'static str {
        match self {
            Self::Daily => "daily",
            Self::Short => "hourly",
        }
    }

    /// The horizons at which probabilities are scored, in steps.
    pub(crate) fn horizons(self) -> &'static [usize] {
        match self {
            Self::Daily => &[7, 14, 30, 60, 90],
            Self::Short => &[6, 24, 72, 168],
        }
    }
}

/// One question: when does this series, seen up to `cut`, cross `limit`?
#[derive(Debug, Clone)]
pub(crate) struct Task {
    pub(crate) id: String,
    pub(crate) kind: Kind,
    pub(crate) cut: usize,
    /// The rise over the base, as written.
    pub(crate) rise: String,
    pub(crate) limit: f64,
    /// The true crossing time in steps, infinite when not seen.
    pub(crate) truth: f64,
    /// How many steps of the future were seen.
    pub(crate) seen: f64,
}

/// An answer to a task: three quantiles (infinite beyond the horizon) and the probabilities.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    pub(crate) quantiles: [f64; 3],
    pub(crate) within: Vec<f64>,
}

/// The tasks of a track, grouped as they stand: all limits of one series and cut are one forecast.
pub(crate) fn tasks(dir: &Path, track: Track) -> Result<Vec<Vec<Task>>, String> {
    let path = dir.join(format!("tasks_{}.csv", track.name()));
    let text = read(&path)?;
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap_or("").split(',').collect();
    let column = |name: &str| {
        let found = header.iter().position(|h| *h == name);
        found.ok_or_else(|| format!("{}: no column {name}", path.display()))
    };
    let (id, class, cut) = (column("id")?, column("class")?, column("cut")?);
    let (g, limit, t, c) = (column("g")?, column("limit")?, column("T")?, column("C")?);
    let mut groups: Vec<Vec<Task>> = Vec::new();
    for (n, line) in lines.enumerate().filter(|(_, l)| !l.trim().is_empty()) {
        let cells: Vec<&str> = line.split(',').map(str::trim).collect();
        let cell = |i: usize| cells.get(i).copied().unwrap_or("");
        let number = |i: usize| {
            cell(i)
                .parse::<f64>()
                .map_err(|e| format!("{}:{}: {e}", path.display(), n + 2))
        };
        let task = Task {
            id: cell(id).to_owned(),
            kind: if cell(class) == "level" {
                Kind::Level
            } else {
                Kind::Gauge
            },
            cut: number(cut)? as usize,
            rise: cell(g).to_owned(),
            limit: number(limit)?,
            truth: number(t)?,
            seen: number(c)?,
        };
        match groups.last_mut() {
            Some(group) if group[0].id == task.id && group[0].cut == task.cut => group.push(task),
            _ => groups.push(vec![task]),
        }
    }
    Ok(groups)
}

/// A series, NaN where it is missing.
pub(crate) fn series(dir: &Path, track: Track, id: &str) -> Result<Vec<f64>, String> {
    column(&dir.join(track.folder()).join(format!("{id}.csv")))
}

/// A file with one value a line.
pub(crate) fn column(path: &Path) -> Result<Vec<f64>, String> {
    let parse = |line: &str| match line.trim() {
        "" => Ok(f64::NAN),
        value => value
            .parse()
            .map_err(|e| format!("{}: {value:?}: {e}", path.display())),
    };
    read(path)?.lines().map(parse).collect()
}

/// What a task's series shows at its cut.
pub(crate) fn history(track: Track, values: &[f64], cut: usize) -> &[f64] {
    let cut = cut.min(values.len());
    &values[cut.saturating_sub(track.engine().history)..cut]
}

/// The product's answers to a group of tasks.
pub(crate) fn answer(track: Track, group: &[Task], history: &[f64]) -> Vec<Answer> {
    let limits: Vec<f64> = group.iter().map(|t| t.limit).collect();
    let seed = forecast::seed(&group[0].id);
    let made = forecast::forecast(track.engine(), group[0].kind, history, &limits, seed);
    answers(track, group, made)
}

fn answers(track: Track, group: &[Task], made: Option<Forecast>) -> Vec<Answer> {
    let Some(made) = made else {
        let nothing = Answer {
            quantiles: [f64::INFINITY; 3],
            within: vec![0.0; track.horizons().len()],
        };
        return vec![nothing; group.len()];
    };
    let read = |c: &forecast::Crossings| Answer {
        quantiles: [0.1, 0.5, 0.9].map(|p| c.quantile(p).map_or(f64::INFINITY, f64::from)),
        within: track.horizons().iter().map(|h| c.probability(*h)).collect(),
    };
    made.crossings.iter().map(read).collect()
}

/// How good a set of answers is; every series has the same total weight.
#[derive(Clone, Copy)]
pub(crate) struct Score {
    pub(crate) tasks: usize,
    pub(crate) series: usize,
    pub(crate) brier: f64,
    pub(crate) f1: f64,
    pub(crate) miss: f64,
    pub(crate) false_alarm: f64,
    pub(crate) log_error: f64,
    pub(crate) pinball: f64,
    pub(crate) coverage: f64,
    pub(crate) early: f64,
}

impl std::fmt::Display for Score {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} tasks of {} series: Brier {:.4}, F1 {:.3}, miss {:.3}, false alarm {:.3}, \
             log error {:.3}, pinball {:.4}, coverage {:.3}, early {:.3}",
            self.tasks,
            self.series,
            self.brier,
            self.f1,
            self.miss,
            self.false_alarm,
            self.log_error,
            self.pinball,
            self.coverage,
            self.early
        )
    }
}

/// Scores answers; only those of one kind where one is given.
pub(crate) fn score(track: Track, answered: &[(Task, Answer)], kind: Option<Kind>) -> Score {
    let rows: Vec<&(Task, Answer)> = answered
        .iter()
        .filter(|(t, _)| kind.is_none_or(|k| k == t.kind))
        .collect();
    let weights = weights(rows.iter().map(|(t, _)| t.id.as_str()));
    let (mut tp, mut fp, mut fal, mut tn) = (0.0, 0.0, 0.0, 0.0);
    let (mut squares, mut squares_weight) = (0.0, 0.0);
    let (mut pinball, mut covered, mut early, mut all) = (0.0, 0.0, 0.0, 0.0);
    for ((task, answer), w) in rows.iter().zip(&weights) {
        for (i, h) in track.horizons().iter().enumerate() {
            let h = *h as f64;
            if task.seen < h {
                continue;
            }
            let (happened, said) = (task.truth <= h, answer.quantiles[1] <= h);
            match (happened, said) {
                (true, true) => tp += w,
                (false, true) => fp += w,
                (true, false) => fal += w,
                (false, false) => tn += w,
            }
            squares += w * (answer.within[i] - f64::from(u8::from(happened))).powi(2);
            squares_weight += w;
        }
        let cut = |v: f64| v.min(task.seen);
        let truth = cut(task.truth);
        for (p, q) in [0.1, 0.5, 0.9].into_iter().zip(answer.quantiles) {
            let e = truth.ln_1p() - cut(q).ln_1p();
            pinball += w * (p * e).max((p - 1.0) * e) / 3.0;
        }
        let [low, _, high] = answer.quantiles.map(cut);
        covered += w * f64::from(u8::from(truth >= low && truth <= high));
        early += w * f64::from(u8::from(truth < low));
        all += w;
    }
    let crossed: Vec<&&(Task, Answer)> = rows.iter().filter(|(t, _)| t.truth.is_finite()).collect();
    let crossed_weights = self::weights(crossed.iter().map(|(t, _)| t.id.as_str()));
    let (mut error, mut error_weight) = (0.0, 0.0);
    for ((task, answer), w) in crossed.iter().zip(&crossed_weights) {
        let median = answer.quantiles[1].min(2.0 * task.seen).max(0.5);
        let off = ((median + 0.5) / (task.truth + 0.5))
            .ln()
            .abs()
            .min(10.0_f64.ln());
        error += w * off;
        error_weight += w;
    }
    let mut ids: Vec<&str> = rows.iter().map(|(t, _)| t.id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    Score {
        tasks: rows.len(),
        series: ids.len(),
        brier: squares / squares_weight,
        f1: 2.0 * tp / (2.0 * tp + fp + fal),
        miss: fal / (tp + fal),
        false_alarm: fp / (fp + tn),
        log_error: error / error_weight,
        pinball: pinball / all,
        coverage: covered / all,
        early: early / all,
    }
}

fn weights<'a>(ids: impl Iterator<Item = &'a str> + Clone) -> Vec<f64> {
    let mut counts: BTreeMap<&str, f64> = BTreeMap::new();
    for id in ids.clone() {
        *counts.entry(id).or_default() += 1.0;
    }
    ids.map(|id| 1.0 / counts[id]).collect()
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))
}
