//! When a series crosses a limit: many futures drawn from its own past, and what they say.
//!
//! What must stay true: pure (a history in, crossing times out), no clock, no I/O, no dependency;
//! the same history and seed give the same bytes on every machine; nothing is allocated inside the
//! path loop and one forecast holds less than 64 KiB; the last value is the last *complete* step.
//!
//! A line through recent samples answers when the line crosses. A resource crosses when trend,
//! weekly pattern, noise and the next step change cross together, so the future is simulated:
//! a level (disk, rows) by its own increments, a gauge (CPU peak, connections) by a random walk of
//! its level plus its noise, mixed with how often the series rose that much before. All limits of
//! a series share the paths. One lone step over a limit is not a crossing: one of the next two
//! must be over it as well.

mod analog;
mod draw;
mod prepare;
mod simulate;

use draw::Draw;

/// The step of a forecast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// One hour; for what happens within a week.
    Hour,
    /// One day; for everything longer.
    Day,
}

/// How a series is reduced and how it moves; it comes from the metric's definition, never from
/// guessing.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// What is used up: disk, database size, rows. A day is its maximum.
    Level,
    /// What goes up and down: CPU, connections, requests. A day is its busy hour.
    Gauge,
}

/// The constants of one engine; found by a backtest, not meant to be tuned.
#[derive(Debug, Clone, Copy)]
pub struct Engine {
    /// One day or one hour.
    pub step: Step,
    /// How many steps ahead are looked at.
    pub horizon: usize,
    /// How many steps of the past are used.
    pub history: usize,
    /// Steps of the window in which the sustained peak is the second highest.
    pub base_window: usize,
    period: usize,
    profile_history: usize,
    scale_window: usize,
    smooth: usize,
    gauge_block: usize,
    level_block: usize,
    start_windows: [usize; 2],
    tau: f64,
    gauge_drifts: &'static [usize],
    level_drifts: &'static [usize],
    long_change: usize,
    half_life: f64,
    drift_prior: f64,
    drift_prior_n: f64,
    profile_of_increments: bool,
    pooled_window: f64,
    pooled_n: f64,
    noise_window: usize,
    coefficients: [f64; 5],
    reset_window: usize,
    short: usize,
    long: usize,
}

/// 180 days ahead from at most 395 days of daily peaks.
pub const DAILY: Engine = Engine {
    step: Step::Day,
    horizon: 180,
    history: 395,
    base_window: 7,
    period: 7,
    profile_history: 84,
    scale_window: 28,
    smooth: 7,
    gauge_block: 3,
    level_block: 3,
    start_windows: [7, 28],
    tau: 0.001,
    gauge_drifts: &[28, 90, 365],
    level_drifts: &[7, 14, 28, 90, 365],
    long_change: 14,
    half_life: 60.0,
    drift_prior: 0.001,
    drift_prior_n: 14.0,
    profile_of_increments: false,
    pooled_window: 7.0,
    pooled_n: 7.0,
    noise_window: 120,
    coefficients: [-4.656, -0.828, 1.015, -0.385, -0.088],
    reset_window: 90,
    short: 14,
    long: 60,
};

/// 168 hours ahead from at most 336 hourly means.
pub const HOURLY: Engine = Engine {
    step: Step::Hour,
    horizon: 168,
    history: 336,
    base_window: 24,
    period: 24,
    profile_history: 336,
    scale_window: 96,
    smooth: 13,
    gauge_block: 6,
    level_block: 3,
    start_windows: [24, 72],
    tau: 0.0002,
    gauge_drifts: &[72, 168, 336],
    level_drifts: &[3, 6, 24, 72, 168, 336],
    long_change: 24,
    half_life: 36.0,
    drift_prior: 0.0003,
    drift_prior_n: 24.0,
    profile_of_increments: true,
    pooled_window: 6.0,
    pooled_n: 24.0,
    noise_window: 168,
    coefficients: [-5.616, -0.543, 0.891, -0.489, -0.043],
    reset_window: 72,
    short: 16,
    long: 72,
};

/// Samples of the crossing time of a gauge, of all its voices together.
const GAUGE_SAMPLES: usize = 300;
/// Paths of a level.
const LEVEL_PATHS: usize = 200;

/// A sample that does not cross within the horizon.
pub(crate) const NEVER: u16 = u16::MAX;

/// What the futures of one series say.
#[derive(Debug, Clone, PartialEq)]
pub struct Forecast {
    /// The sustained current peak: second highest of the base window, in the series' unit.
    pub base: f64,
    /// The median drift of a step, in the series' unit.
    pub drift: f64,
    /// One for each limit asked for, in that order.
    pub crossings: Vec<Crossings>,
}

/// Sampled times of the first crossing, in steps from the last value (1 is the next step).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crossings {
    sorted: Vec<u16>,
}

impl Crossings {
    fn new(mut samples: Vec<u16>) -> Self {
        samples.sort_unstable();
        Self { sorted: samples }
    }

    /// Steps until a share `p` of the futures has crossed; `None` when not within the horizon.
    pub fn quantile(&self, p: f64) -> Option<u16> {
        let n = self.sorted.len();
        let at = ((p * n as f64).ceil() as usize).clamp(1, n.max(1)) - 1;
        self.sorted.get(at).copied().filter(|s| *s != NEVER)
    }

    /// The share of futures that cross within so many steps.
    pub fn probability(&self, within: usize) -> f64 {
        let within = u16::try_from(within).unwrap_or(NEVER - 1).min(NEVER - 1);
        let crossed = self.sorted.partition_point(|s| *s <= within);
        crossed as f64 / self.sorted.len().max(1) as f64
    }

    /// The samples in order, [`None`] for those beyond the horizon.
    pub fn samples(&self) -> impl Iterator<Item = Option<u16>> + '_ {
        self.sorted.iter().map(|s| (*s != NEVER).then_some(*s))
    }
}

/// The sustained current peak: second highest valid value of the window; `None` with fewer than two.
pub fn base(engine: &Engine, history: &[f64]) -> Option<f64> {
    let tail = &history[history.len().saturating_sub(engine.base_window)..];
    prepare::second_highest(tail.iter().copied().filter(|v| v.is_finite()))
}

/// Draws the futures of a history (oldest first, one value a step, NaN where it is missing).
///
/// `None` when there are fewer than three valid values or no base: nothing can be said then.
/// Whether there is *enough* history is the caller's question ([`Engine::enough`]).
pub fn forecast(
    engine: &Engine,
    kind: Kind,
    history: &[f64],
    limits: &[f64],
    seed: u64,
) -> Option<Forecast> {
    let raw = &history[history.len().saturating_sub(engine.history)..];
    let base = base(engine, raw)?;
    let raw: Vec<f64> = raw
        .iter()
        .map(|v| if v.is_finite() { *v } else { f64::NAN })
        .collect();
    if raw.iter().filter(|v| v.is_finite()).count() < 3 {
        return None;
    }
    let values = prepare::despike(&raw);
    let mut draw = Draw::new(seed);
    let level = kind == Kind::Level && prepare::resets(&values, engine.reset_window) < 2;
    let (drift, samples) = if level {
        simulate::level(engine, &values, limits, LEVEL_PATHS, &mut draw)
    } else {
        gauge(engine, &values, base, limits, &mut draw)
    };
    let crossings = samples.into_iter().map(Crossings::new).collect();
    Some(Forecast {
        base,
        drift,
        crossings,
    })
}

/// How often the recent past fell by more than a quarter of its range.
pub(crate) fn falls(engine: &Engine, history: &[f64]) -> usize {
    prepare::resets(history, engine.reset_window)
}

/// The seed of a series: FNV-1a of its name, so that the same data gives the same answer.
pub fn seed(series: &str) -> u64 {
    series.bytes().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    })
}

impl Engine {
    /// Whether a history is long enough to speak: at least 10 of the last 14 days, or 8 hours.
    ///
    /// `Err` is what is needed and what is there, in steps.
    pub fn enough(&self, history: &[f64]) -> Result<(), (usize, usize)> {
        let valid = |of: &[f64]| of.iter().filter(|v| v.is_finite()).count();
        match self.step {
            Step::Day => {
                let has = valid(&history[history.len().saturating_sub(14)..]);
                if has >= 10 { Ok(()) } else { Err((10, has)) }
            }
            Step::Hour => {
                let has = valid(&history[history.len().saturating_sub(self.history)..]);
                if has >= 8 { Ok(()) } else { Err((8, has)) }
            }
        }
    }
}

/// Two simulations with different memories and the past itself, mixed by how much past there is.
fn gauge(
    engine: &Engine,
    values: &[f64],
    base: f64,
    limits: &[f64],
    draw: &mut Draw,
) -> (f64, Vec<Vec<u16>>) {
    let analogs = if base > 0.0 {
        analogs(engine, values.len())
    } else {
        0
    };
    let paths = (GAUGE_SAMPLES - analogs) / 2;
    let mut samples: Vec<Vec<u16>> = limits
        .iter()
        .map(|_| Vec::with_capacity(GAUGE_SAMPLES))
        .collect();
    let mut drift = 0.0;
    if paths > 0 {
        let walk = simulate::Walk::new(engine, values);
        drift = walk.drift();
        for window in engine.start_windows {
            walk.run(window, limits, paths, draw, &mut samples);
        }
    }
    if analogs > 0 {
        let past = analog::Past::new(engine, values);
        for (limit, samples) in limits.iter().zip(&mut samples) {
            past.run(base, *limit, analogs, samples);
        }
    }
    (drift, samples)
}

/// How many of a gauge's samples come from the past itself: the more, the shorter the history.
fn analogs(engine: &Engine, n: usize) -> usize {
    let third = 1.0 / 3.0;
    let share = if n >= engine.long {
        third
    } else if n >= engine.short {
        match engine.step {
            Step::Day => {
                let missing = (engine.long - n) as f64 / (engine.long - engine.short) as f64;
                third + missing * third
            }
            Step::Hour => 2.0 * third,
        }
    } else {
        match engine.step {
            Step::Day => 2.0 * third,
            Step::Hour => 1.0,
        }
    };
    (GAUGE_SAMPLES as f64 * share).round() as usize
}
