//! Samples of a range as one value.

use crate::model::Sample;

use super::super::eval::sum::{self, Mean};
use super::super::eval::value::{Point, Window};
use super::Over;

/// The first or last point, or its time in seconds.
pub(crate) fn edge(kind: Over, window: &Window<'_>) -> Option<Point> {
    let first = matches!(kind, Over::First | Over::TsOfFirst);
    let (float, histogram) = if first {
        (window.floats.first(), window.histograms.first())
    } else {
        (window.floats.last(), window.histograms.last())
    };
    let float = float.map(|s| (s.t.millis(), Point::Float(s.v)));
    let histogram = histogram.map(|(t, h)| (*t, Point::Histogram(h.clone())));
    let (t, point) = match (float, histogram) {
        (Some(f), Some(h)) if (h.0 < f.0) == first => h,
        (Some(f), _) => f,
        (None, h) => h?,
    };
    Some(if kind.keeps_name() {
        point
    } else {
        Point::Float(t as f64 / 1000.0)
    })
}

/// The mean.
pub(crate) fn mean(samples: &[Sample]) -> f64 {
    let mut mean = Mean::default();
    samples.iter().for_each(|s| mean.add(s.v));
    mean.value()
}

/// The sample with the smallest value, the last of equal ones; NaN only when all are.
pub(crate) fn least(samples: &[Sample]) -> Sample {
    extreme(samples, |a, b| a <= b)
}

/// The sample with the greatest value, the last of equal ones; NaN only when all are.
pub(crate) fn greatest(samples: &[Sample]) -> Sample {
    extreme(samples, |a, b| a >= b)
}

fn extreme(samples: &[Sample], better: impl Fn(f64, f64) -> bool) -> Sample {
    let mut best = samples[0];
    for s in &samples[1..] {
        if better(s.v, best.v) || best.v.is_nan() {
            best = *s;
        }
    }
    best
}

/// The `q`-quantile.
pub(crate) fn quantile(q: f64, samples: &[Sample]) -> f64 {
    let mut values: Vec<f64> = samples.iter().map(|s| s.v).collect();
    sum::quantile(q, &mut values)
}

/// Median distance from the median; NaN when a sample is.
pub(crate) fn median_deviation(samples: &[Sample]) -> f64 {
    if samples.iter().any(|s| s.v.is_nan()) {
        return f64::NAN;
    }
    let median = quantile(0.5, samples);
    let mut distances: Vec<f64> = samples.iter().map(|s| (s.v - median).abs()).collect();
    sum::quantile(0.5, &mut distances)
}

/// How often the value changed; NaN after NaN is no change.
pub(crate) fn changes(samples: &[Sample]) -> f64 {
    let changed = |a: f64, b: f64| a != b && !(a.is_nan() && b.is_nan());
    samples
        .windows(2)
        .filter(|w| changed(w[0].v, w[1].v))
        .count() as f64
}

/// How often the value fell.
pub(crate) fn resets(samples: &[Sample]) -> f64 {
    samples.windows(2).filter(|w| w[1].v < w[0].v).count() as f64
}
