//! Futures by bootstrap: of the increments of a level, of the walk and noise of a gauge.

use super::draw::Draw;
use super::prepare::{at_phase, fill, median, moments, profile, running_mean, slope};
use super::{Engine, NEVER};

/// Follows one path and notes the first sustained crossing of each limit.
struct Watch<'a> {
    limits: &'a [f64],
    horizon: usize,
    /// Per limit: whether the last and the last but one step were over it, and the answer.
    over: Vec<(bool, bool, u16)>,
    open: usize,
}

impl<'a> Watch<'a> {
    fn new(limits: &'a [f64], horizon: usize) -> Self {
        Self {
            limits,
            horizon,
            over: vec![(false, false, NEVER); limits.len()],
            open: 0,
        }
    }

    fn start(&mut self) {
        self.over.fill((false, false, NEVER));
        self.open = self.limits.len();
    }

    /// Takes the value of step `k` (0 is the first); false once every limit is crossed.
    fn step(&mut self, k: usize, value: f64) -> bool {
        for ((last, before, first), limit) in self.over.iter_mut().zip(self.limits) {
            if *first != NEVER {
                continue;
            }
            let over = value >= *limit;
            // A crossing at 0-based step j is told as j + 1.
            if over && *before {
                *first = step_number(k - 1);
            } else if over && *last {
                *first = step_number(k);
            } else if k + 1 == self.horizon {
                // The last two steps have no future that could confirm them.
                if *last {
                    *first = step_number(k);
                } else if over {
                    *first = step_number(k + 1);
                }
            }
            (*before, *last) = (*last, over);
            if *first != NEVER {
                self.open -= 1;
            }
        }
        self.open > 0
    }

    fn tell(&self, samples: &mut [Vec<u16>]) {
        for ((_, _, first), samples) in self.over.iter().zip(samples) {
            samples.push(*first);
        }
    }
}

fn step_number(n: usize) -> u16 {
    u16::try_from(n).unwrap_or(NEVER)
}

/// A path's blocks of consecutive past steps.
struct Blocks {
    available: usize,
    length: usize,
    at: usize,
    left: usize,
}

impl Blocks {
    fn new(available: usize, length: usize) -> Self {
        Self {
            available,
            length,
            at: 0,
            left: 0,
        }
    }

    /// The next past step, a new block starting where `start` says when one is used up.
    fn next(&mut self, start: impl FnOnce(usize) -> usize) -> usize {
        if self.left == 0 {
            let starts = (self.available + 1).saturating_sub(self.length).max(1);
            self.at = start(starts);
            self.left = self.length;
        }
        let at = self.at.min(self.available - 1);
        self.at += 1;
        self.left -= 1;
        at
    }
}

/// Paths of a level; the median drift of a step and the samples of each limit.
pub(super) fn level(
    engine: &Engine,
    values: &[f64],
    limits: &[f64],
    paths: usize,
    draw: &mut Draw,
) -> (f64, Vec<Vec<u16>>) {
    let values = fill(values);
    let last = values[values.len() - 1];
    let mut increments: Vec<f64> = values.windows(2).map(|w| w[1] - w[0]).collect();
    let m = increments.len();
    let season = if engine.profile_of_increments {
        profile(&increments, engine.period)
    } else {
        vec![0.0; engine.period]
    };
    for (i, d) in increments.iter_mut().enumerate() {
        *d -= at_phase(&season, i, m);
    }

    let length = engine.level_block.min(m);
    let starts = m - length + 1;
    let weight = |i: usize| 0.5_f64.powf((starts - 1 - i) as f64 / engine.half_life);
    let total: f64 = (0..starts).map(weight).sum();
    let mut cumulative = Vec::with_capacity(starts);
    let (mut sum, mut mean, mut squares) = (0.0, 0.0, 0.0);
    let block = |i: usize| increments[i..i + length].iter().sum::<f64>() / length as f64;
    for i in 0..starts {
        let p = weight(i) / total;
        sum += weight(i);
        cumulative.push(sum);
        mean += p * block(i);
        squares += p * p;
    }
    let variance: f64 = (0..starts)
        .map(|i| weight(i) / total * (block(i) - mean).powi(2))
        .sum();
    let effective = (1.0 / squares / length as f64).max(1.0);
    let prior_n = engine.drift_prior_n;
    let spread = (variance / effective).sqrt()
        + engine.drift_prior * (prior_n / (m as f64 + prior_n)).sqrt() * last.abs();

    // Slopes of the series without its daily pattern: a morning is no trend.
    let mut sum = 0.0;
    let plain: Vec<f64> = std::iter::once(0.0)
        .chain(increments.iter().map(|d| {
            sum += d;
            sum
        }))
        .collect();
    let mut room = Vec::new();
    let mut drifts = vec![mean];
    for (i, window) in engine.level_drifts.iter().enumerate() {
        if i == 0 || filled_enough(plain.len(), *window) {
            let tail = &plain[plain.len().saturating_sub(*window)..];
            drifts.push(slope(tail, &mut room));
        }
    }
    let mut samples: Vec<Vec<u16>> = limits.iter().map(|_| Vec::with_capacity(paths)).collect();
    let mut watch = Watch::new(limits, engine.horizon);
    for (i, z) in draw.stratified(paths).into_iter().enumerate() {
        let drift = drifts[i % drifts.len()] - mean + spread * z;
        let mut blocks = Blocks::new(m, length);
        let mut x = last;
        watch.start();
        for k in 0..engine.horizon {
            let at = blocks.next(|starts| {
                let u = draw.unit() * cumulative[cumulative.len() - 1];
                cumulative.partition_point(|c| *c < u).min(starts - 1)
            });
            x += increments[at] + drift + season[k % engine.period];
            if !watch.step(k, x) {
                break;
            }
        }
        watch.tell(&mut samples);
    }
    (median(&mut drifts), samples)
}

/// Whether a history of `n` fills a window by two thirds.
fn filled_enough(n: usize, window: usize) -> bool {
    n as f64 >= window as f64 * 0.66
}

/// A gauge as a slow walk, the noise round it and its season, all in units of its recent mean.
pub(super) struct Walk<'a> {
    engine: &'a Engine,
    scale: f64,
    season: Vec<f64>,
    values: Vec<f64>,
    noise: Vec<f64>,
    steps: Vec<f64>,
    mean_step: f64,
    /// Shrunk drift and its spread, one of each window.
    drifts: Vec<(f64, f64)>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(engine: &'a Engine, values: &[f64]) -> Self {
        let n = values.len();
        let recent = &values[n.saturating_sub(engine.scale_window)..];
        let scale = mean_size(recent);
        let mut z: Vec<f64> = values.iter().map(|v| v / scale).collect();
        let season = profile(
            &z[n.saturating_sub(engine.profile_history)..],
            engine.period,
        );
        for (i, v) in z.iter_mut().enumerate() {
            *v -= at_phase(&season, i, n);
        }
        let z = fill(&z);
        let slow = running_mean(&z, engine.smooth);
        let noise = z.iter().zip(&slow).map(|(z, s)| z - s).collect();
        let steps: Vec<f64> = slow.windows(2).map(|w| w[1] - w[0]).collect();
        let mean_step = steps.iter().sum::<f64>() / steps.len() as f64;

        let far = engine
            .long_change
            .min((steps.len() / 4).max(2))
            .min(slow.len() - 1);
        let changes = slow
            .iter()
            .skip(far)
            .zip(&slow)
            .map(|(late, early)| late - early);
        let per_step = (moments(changes).1 / far as f64).sqrt() + 1e-12;
        let mut room = Vec::new();
        let mut drifts = Vec::with_capacity(engine.gauge_drifts.len());
        for (i, window) in engine.gauge_drifts.iter().enumerate() {
            if i == 0 || filled_enough(n, *window) {
                let width = (*window).min(n);
                let error = per_step / (width as f64).sqrt();
                let trust = engine.tau.powi(2) / (engine.tau.powi(2) + error.powi(2));
                let found = slope(&z[n - width..], &mut room);
                drifts.push((found * trust, trust.sqrt() * error));
            }
        }
        Self {
            engine,
            scale,
            season,
            values: z,
            noise,
            steps,
            mean_step,
            drifts,
        }
    }

    /// The median drift of a step, in the series' unit.
    pub(super) fn drift(&self) -> f64 {
        self.median_drift() * self.scale
    }

    fn median_drift(&self) -> f64 {
        let mut found: Vec<f64> = self.drifts.iter().map(|(d, _)| *d).collect();
        median(&mut found)
    }

    /// Adds the samples of `paths` futures that start at the mean of the last `window` steps.
    pub(super) fn run(
        &self,
        window: usize,
        limits: &[f64],
        paths: usize,
        draw: &mut Draw,
        samples: &mut [Vec<u16>],
    ) {
        let engine = self.engine;
        let tail = &self.values[self.values.len().saturating_sub(window)..];
        let start = tail.iter().sum::<f64>() / tail.len() as f64
            + self.median_drift() * (tail.len() - 1) as f64 / 2.0;
        let mut watch = Watch::new(limits, engine.horizon);
        for (i, z) in draw.stratified(paths).into_iter().enumerate() {
            let (drift, spread) = self.drifts[i % self.drifts.len()];
            let drift = drift + spread * z - self.mean_step;
            let mut steps = Blocks::new(self.steps.len(), engine.gauge_block);
            let mut noise = Blocks::new(self.noise.len(), engine.gauge_block);
            let mut slow = start;
            watch.start();
            for k in 0..engine.horizon {
                slow += self.steps[steps.next(|n| draw.below(n))] + drift;
                let x = slow + self.noise[noise.next(|n| draw.below(n))];
                if !watch.step(k, (x + self.season[k % engine.period]) * self.scale) {
                    break;
                }
            }
            watch.tell(samples);
        }
    }
}

/// The mean size of the valid values; 1 where that is nothing.
pub(super) fn mean_size(values: &[f64]) -> f64 {
    let valid = values.iter().filter(|v| v.is_finite());
    let (sum, n) = valid.fold((0.0, 0.0), |(s, n), v| (s + v.abs(), n + 1.0));
    if n > 0.0 && sum > 0.0 { sum / n } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first sustained crossing of 10 in a path, as told.
    fn crossing(path: &[f64]) -> Option<u16> {
        let mut watch = Watch::new(&[10.0], path.len());
        watch.start();
        for (k, x) in path.iter().enumerate() {
            if !watch.step(k, *x) {
                break;
            }
        }
        let mut samples = [Vec::new()];
        watch.tell(&mut samples);
        Some(samples[0][0]).filter(|s| *s != NEVER)
    }

    #[test]
    fn a_crossing_is_two_of_three() {
        assert_eq!(crossing(&[1.0, 11.0, 1.0, 1.0, 1.0]), None, "one lone step");
        assert_eq!(crossing(&[1.0, 11.0, 11.0, 1.0, 1.0]), Some(2));
        assert_eq!(crossing(&[1.0, 11.0, 1.0, 11.0, 1.0]), Some(2));
        assert_eq!(crossing(&[11.0, 1.0, 1.0, 11.0, 11.0]), Some(4));
        assert_eq!(
            crossing(&[10.0, 10.0, 1.0]),
            Some(1),
            "at the limit is over it"
        );
        assert_eq!(
            crossing(&[1.0, 1.0, 1.0, 11.0, 1.0]),
            Some(4),
            "no future to confirm it"
        );
        assert_eq!(crossing(&[1.0, 1.0, 1.0, 1.0, 11.0]), Some(5));
        assert_eq!(crossing(&[1.0; 5]), None);
    }
}
