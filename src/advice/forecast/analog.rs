//! How often the series itself rose that much, that soon; shrunk to what series in general do.

use super::prepare::{at_phase, fill, moments, profile, running_mean, second_highest};
use super::simulate::mean_size;
use super::{Engine, NEVER, Step};

/// A past read as many small forecasts with known ends.
pub(super) struct Past<'a> {
    engine: &'a Engine,
    /// Per step the lower of its value and the higher of the next two: what it holds.
    sustained: Vec<f64>,
    /// The base at each origin, from the first one on.
    bases: Vec<f64>,
    first_origin: usize,
    /// Relative noise, at least 0.003.
    noise: f64,
}

impl<'a> Past<'a> {
    pub(super) fn new(engine: &'a Engine, values: &[f64]) -> Self {
        let filled = fill(values);
        let n = filled.len();
        let last = filled[n - 1];
        let ahead = |i: usize| filled.get(i).copied().unwrap_or(last);
        let sustained = (0..n)
            .map(|i| filled[i].min(ahead(i + 1).max(ahead(i + 2))))
            .collect();
        let window = match engine.step {
            Step::Day => engine.base_window.min(n - 1),
            Step::Hour => engine.base_window.min((n / 4).max(3)).min(n - 1),
        };
        let end = (n.saturating_sub(2)).max(window + 1);
        let bases = (window..end)
            .map(|o| {
                let before = filled[o - window..o].iter().copied();
                second_highest(before).unwrap_or(filled[o - 1]).max(1e-12)
            })
            .collect();
        let noise = noise(engine, values).max(0.003);
        Self {
            engine,
            sustained,
            bases,
            first_origin: window,
            noise,
        }
    }

    /// Adds `samples` crossing times of a limit, given the base of today.
    pub(super) fn run(&self, base: f64, limit: f64, samples: usize, out: &mut Vec<u16>) {
        let horizon = self.engine.horizon;
        let rise = (limit / base).min(1e6);
        // Differences of: how many origins look so far, how many of those have crossed by then.
        let mut seen = vec![0_i32; horizon + 1];
        let mut crossed = vec![0_i32; horizon + 1];
        for (i, before) in self.bases.iter().enumerate() {
            let origin = self.first_origin + i;
            let future = &self.sustained[origin..(origin + horizon).min(self.sustained.len())];
            seen[0] += 1;
            seen[future.len()] -= 1;
            if let Some(hit) = future.iter().position(|v| *v >= rise * before) {
                crossed[hit] += 1;
                crossed[future.len()] -= 1;
            }
        }

        let [a0, a1, a2, a3, a4] = self.engine.coefficients;
        let x = ((rise - 1.0).max(1e-3) / self.noise).ln();
        let fixed = a0 + a1 * x + a3 * self.noise.ln();
        let wanted = out.len() + samples;
        let (mut count, mut hits, mut p, mut told) = (0, 0, 0.0_f64, 0_usize);
        for k in 0..horizon {
            count += seen[k];
            hits += crossed[k];
            let ahead = (k + 1) as f64;
            let pooled = 1.0 / (1.0 + (-(fixed + (a2 + a4 * x) * ahead.ln())).exp());
            let count = f64::from(count);
            let share = if count > 0.0 {
                f64::from(hits) / count
            } else {
                0.0
            };
            let effective = count / (ahead / self.engine.pooled_window).max(1.0);
            let n0 = self.engine.pooled_n;
            p = p.max((share * effective + pooled * n0) / (effective + n0));
            while told < samples && (told as f64 + 0.5) / samples as f64 <= p {
                out.push(u16::try_from(k + 1).unwrap_or(NEVER));
                told += 1;
            }
        }
        out.resize(wanted, NEVER);
    }
}

/// The relative noise of the recent past, its weekly season taken out for days.
fn noise(engine: &Engine, values: &[f64]) -> f64 {
    let recent = fill(&values[values.len().saturating_sub(engine.noise_window)..]);
    let n = recent.len();
    match engine.step {
        Step::Day => {
            let season = profile(
                &recent[n.saturating_sub(engine.profile_history)..],
                engine.period,
            );
            let rest: Vec<f64> = recent
                .iter()
                .enumerate()
                .map(|(i, v)| v - at_phase(&season, i, n))
                .collect();
            let slow = running_mean(&rest, engine.smooth);
            let rest = rest.iter().zip(&slow).map(|(r, s)| r - s);
            moments(rest).1.sqrt() / mean_size(&recent[n.saturating_sub(engine.scale_window)..])
        }
        Step::Hour => moments(recent.iter().copied()).1.sqrt() / mean_size(&recent),
    }
}
