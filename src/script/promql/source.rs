//! The series of a script, in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use crate::model::histogram::{CUSTOM_SCHEMA, Histogram, HistogramSeries, ResetHint};
use crate::model::labels::NAME;
use crate::model::{Labels, Matcher, Sample, Series, SeriesSource, Timestamp};
use crate::promql::Point;

/// Everything loaded so far.
#[derive(Debug, Default)]
pub(super) struct Memory {
    series: RwLock<BTreeMap<Labels, BTreeMap<i64, Point>>>,
}

/// Series as one load command gives them.
pub(super) type Loaded = BTreeMap<Labels, Vec<Option<Point>>>;

impl Memory {
    pub(super) fn clear(&self) {
        self.series
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    /// Adds samples, the i-th at `i * step` milliseconds.
    pub(super) fn load(&self, step: i64, loaded: &Loaded) {
        let mut all = self.series.write().unwrap_or_else(PoisonError::into_inner);
        for (labels, points) in loaded {
            let series = all.entry(labels.clone()).or_default();
            for (i, point) in (0..).zip(points) {
                if let Some(point) = point {
                    series.insert(i * step, point.clone());
                }
            }
            set_hints(series);
        }
    }

    fn read<T>(
        &self,
        matchers: &[Matcher],
        from: Timestamp,
        to: Timestamp,
        take: impl Fn(i64, &Point) -> Option<T>,
    ) -> Vec<(Labels, Vec<T>)> {
        if to <= from {
            return Vec::new();
        }
        let range = from.millis().saturating_add(1)..=to.millis();
        let all = self.series.read().unwrap_or_else(PoisonError::into_inner);
        all.iter()
            .filter(|(labels, _)| matchers.iter().all(|m| m.matches_labels(labels)))
            .map(|(labels, points)| {
                let taken = points.range(range.clone()).filter_map(|(t, p)| take(*t, p));
                (labels.clone(), taken.collect::<Vec<T>>())
            })
            .filter(|(_, taken)| !taken.is_empty())
            .collect()
    }
}

impl SeriesSource for Memory {
    fn select(&self, matchers: &[Matcher], from: Timestamp, to: Timestamp) -> Vec<Series> {
        self.read(matchers, from, to, |t, p| match p {
            Point::Float(v) => Some(Sample {
                t: Timestamp(t),
                v: *v,
            }),
            Point::Histogram(_) => None,
        })
        .into_iter()
        .map(|(labels, samples)| Series { labels, samples })
        .collect()
    }

    fn select_histograms(
        &self,
        matchers: &[Matcher],
        from: Timestamp,
        to: Timestamp,
    ) -> Vec<HistogramSeries> {
        self.read(matchers, from, to, |t, p| match p {
            Point::Float(_) => None,
            Point::Histogram(h) => Some((Timestamp(t), h.clone())),
        })
        .into_iter()
        .map(|(labels, samples)| HistogramSeries { labels, samples })
        .collect()
    }
}

/// Gives every histogram the hint with which a Prometheus reads it from disk: a counter that
/// goes on in the layout of the one before was not reset, of any other nothing is known.
fn set_hints(points: &mut BTreeMap<i64, Point>) {
    let mut before: Option<Arc<Histogram>> = None;
    for point in points.values_mut() {
        let Point::Histogram(histogram) = point else {
            before = None;
            continue;
        };
        let written = histogram.reset_hint;
        let hint = match (&before, written) {
            (_, ResetHint::Gauge) => ResetHint::Gauge,
            (Some(before), ResetHint::Unknown | ResetHint::NotReset)
                if goes_on(before, histogram) =>
            {
                ResetHint::NotReset
            }
            (_, ResetHint::Unknown | ResetHint::NotReset | ResetHint::Reset) => ResetHint::Unknown,
        };
        if hint != written {
            Arc::make_mut(histogram).reset_hint = hint;
        }
        before = Some(histogram.clone());
    }
}

fn goes_on(before: &Histogram, now: &Histogram) -> bool {
    let unhinted = Histogram {
        reset_hint: ResetHint::Unknown,
        ..now.clone()
    };
    before.reset_hint != ResetHint::Gauge
        && before.schema == now.schema
        && before.zero_threshold == now.zero_threshold
        && before.custom_values == now.custom_values
        && !unhinted.is_reset_after(before)
}

/// The parts of a classic histogram at one time.
#[derive(Debug, Default)]
struct Parts {
    buckets: Vec<(f64, f64)>,
    sum: f64,
    count: Option<f64>,
}

/// The native histograms with custom bounds that belong to the classic ones in `loaded`.
pub(super) fn with_custom_bounds(loaded: &Loaded) -> Loaded {
    let mut found: BTreeMap<Labels, BTreeMap<usize, Parts>> = BTreeMap::new();
    for (labels, points) in loaded {
        let name = labels.name();
        let suffix = ["_bucket", "_sum", "_count"]
            .into_iter()
            .find(|s| name.ends_with(s));
        let Some(suffix) = suffix else { continue };
        let bound = labels.get("le").parse::<f64>().ok();
        if suffix == "_bucket" && bound.is_none() {
            continue;
        }
        let base = name.strip_suffix(suffix).unwrap_or(name);
        let labels = labels.without(&["le"]).with(NAME, base);
        for (i, point) in points.iter().enumerate() {
            let Some(Point::Float(v)) = point else {
                continue;
            };
            let parts = found
                .entry(labels.clone())
                .or_default()
                .entry(i)
                .or_default();
            match (suffix, bound) {
                ("_bucket", Some(bound)) => parts.buckets.push((bound, *v)),
                ("_sum", _) => parts.sum = *v,
                _ => parts.count = Some(*v),
            }
        }
    }
    // A sum or a count alone is no histogram.
    found.retain(|_, times| times.values().any(|p| !p.buckets.is_empty()));
    found
        .into_iter()
        .map(|(labels, times)| {
            let last = times.keys().next_back().map_or(0, |i| i + 1);
            let mut points = vec![None; last];
            for (i, parts) in times {
                points[i] = Some(Point::Histogram(Arc::new(parts.histogram())));
            }
            (labels, points)
        })
        .collect()
}

impl Parts {
    fn histogram(mut self) -> Histogram {
        self.buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        self.buckets.dedup_by(|b, a| {
            let equal = a.0 == b.0;
            if equal {
                a.1 = b.1;
            }
            equal
        });
        let highest = self.buckets.last().map_or(0.0, |b| b.1);
        let count = self.count.unwrap_or(highest);
        self.buckets.retain(|b| b.0.is_finite());
        let custom_values: Vec<f64> = self.buckets.iter().map(|b| b.0).collect();
        let mut below = 0.0;
        let mut positive = Vec::new();
        let cumulative = self.buckets.iter().map(|b| b.1).chain([count]);
        for (i, upto) in (0..).zip(cumulative) {
            if upto != below {
                positive.push((i, upto - below));
            }
            below = upto;
        }
        Histogram {
            schema: CUSTOM_SCHEMA,
            count,
            sum: self.sum,
            positive,
            custom_values,
            ..Histogram::default()
        }
    }
}
