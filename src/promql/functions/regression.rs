//! Lines and trends through samples.

use crate::model::{QueryError, Sample};

use super::super::eval::sum::Kahan;

/// Slope per second of the line through the samples.
pub(crate) fn deriv(samples: &[Sample]) -> Option<f64> {
    let first = samples.first()?;
    line(samples, first.t.millis()).map(|(slope, _)| slope)
}

/// Value of the line through the samples, `seconds` after `now` (milliseconds).
pub(crate) fn predict(samples: &[Sample], now: i64, seconds: f64) -> Option<f64> {
    line(samples, now).map(|(slope, at_now)| slope * seconds + at_now)
}

/// Slope per second and value at `origin` (milliseconds); `None` with fewer than two samples.
fn line(samples: &[Sample], origin: i64) -> Option<(f64, f64)> {
    if samples.len() < 2 {
        return None;
    }
    let initial = samples[0].v;
    if samples.iter().all(|s| s.v == initial) {
        return Some(if initial.is_infinite() {
            (f64::NAN, f64::NAN)
        } else {
            (0.0, initial)
        });
    }
    let (mut sx, mut sy, mut sxy, mut sxx) = Default::default();
    let add = |k: &mut Kahan, v: f64| k.add(v);
    for s in samples {
        let x = (s.t.millis() - origin) as f64 / 1000.0;
        add(&mut sx, x);
        add(&mut sy, s.v);
        add(&mut sxy, x * s.v);
        add(&mut sxx, x * x);
    }
    let n = samples.len() as f64;
    let (sx, sy, sxy, sxx) = (sx.total(), sy.total(), sxy.total(), sxx.total());
    let slope = (sxy - sx * sy / n) / (sxx - sx * sx / n);
    Some((slope, sy / n - slope * sx / n))
}

/// Refuses factors outside 0 to 1.
pub(crate) fn check_factors(smoothing: f64, trend: f64) -> Result<(), QueryError> {
    for (what, name, v) in [("smoothing", "sf", smoothing), ("trend", "tf", trend)] {
        if v <= 0.0 || v >= 1.0 {
            return Err(QueryError::Execution(format!(
                "invalid {what} factor. Expected: 0 < {name} < 1, got: {v:.6}"
            )));
        }
    }
    Ok(())
}

/// Double exponential smoothing; `None` with fewer than two samples.
pub(crate) fn smooth(samples: &[Sample], smoothing: f64, trend: f64) -> Option<f64> {
    if samples.len() < 2 {
        return None;
    }
    let mut before = 0.0;
    let mut level = samples[0].v;
    let mut slope = samples[1].v - samples[0].v;
    for (i, s) in samples.iter().enumerate().skip(1) {
        if i > 1 {
            slope = trend * (level - before) + (1.0 - trend) * slope;
        }
        let next = smoothing * s.v + (1.0 - smoothing) * (level + slope);
        before = level;
        level = next;
    }
    Some(level)
}
