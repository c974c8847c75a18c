//! The series of one test: those given, up to the time that has come, and those the rules write.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use crate::model::histogram::Histogram;
use crate::model::labels::NAME;
use crate::model::{
    HistogramSeries, Labels, MatchOp, Matcher, Sample, Series, SeriesSource, Timestamp, stale_nan,
};
use crate::promql::Point;
use crate::rules::{Written, WrittenValue};

/// Samples of a series by time in milliseconds, strictly rising.
type Points = Vec<(i64, Point)>;

/// A storage that takes samples as Prometheus's does: in order, the first of a time stays.
#[derive(Debug, Default)]
pub(super) struct Memory(RwLock<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// By metric name, then labels.
    series: BTreeMap<String, BTreeMap<Labels, Points>>,
    /// What is still to come, latest first.
    ahead: Vec<(Labels, Points)>,
}

impl Memory {
    /// Gives series whose samples come with time, at most one per label set.
    pub(super) fn give(&self, series: Vec<(Labels, Points)>) {
        let mut kept = self.0.write().unwrap_or_else(PoisonError::into_inner);
        kept.ahead = series;
        for (_, points) in &mut kept.ahead {
            points.reverse();
        }
    }

    /// Lets all samples up to `now` come.
    pub(super) fn reveal(&self, now: Timestamp) {
        let mut kept = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let Kept { series, ahead } = &mut *kept;
        for (labels, points) in ahead.iter_mut() {
            if points.last().is_none_or(|(t, _)| *t > now.millis()) {
                continue;
            }
            let into = of(series, labels);
            while let Some((t, point)) = points.pop_if(|(t, _)| *t <= now.millis()) {
                append(into, t, point);
            }
        }
        ahead.retain(|(_, points)| !points.is_empty());
    }

    /// Takes what a rule wrote. A sample that is older than the last one of its series, or another
    /// one of its time, is left out; the first such series is returned with the reason.
    pub(super) fn write(&self, written: &Written) -> Option<(Labels, &'static str)> {
        let mut kept = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let at = written.at.millis();
        let mut refused = None;
        for (labels, value) in &written.samples {
            let why = refusal(of(&mut kept.series, labels), at, value);
            if let (None, Some(why)) = (&refused, why) {
                refused = Some((labels.clone(), why));
            }
        }
        for (labels, value) in &written.samples {
            append(of(&mut kept.series, labels), at, point(value));
        }
        for labels in &written.stale {
            append(of(&mut kept.series, labels), at, Point::Float(stale_nan()));
        }
        refused
    }

    /// Everything kept, one series a block, for people.
    pub(super) fn dump(&self) -> Vec<String> {
        let kept = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut lines = Vec::new();
        for (labels, points) in kept.series.values().flatten() {
            lines.push(format!("{labels} =>"));
            for (t, point) in points {
                lines.push(format!("{} @[{t}]", super::compare::point_text(point)));
            }
        }
        lines
    }

    fn read<T>(
        &self,
        matchers: &[Matcher],
        from: Timestamp,
        to: Timestamp,
        take: impl Fn(i64, &Point) -> Option<T>,
    ) -> Vec<(Labels, Vec<T>)> {
        let kept = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let name = matchers
            .iter()
            .find(|m| m.name == NAME && m.op == MatchOp::Equal && !m.value.is_empty());
        let named: Vec<_> = match name {
            Some(m) => kept.series.get(&m.value).into_iter().collect(),
            None => kept.series.values().collect(),
        };
        let mut found = Vec::new();
        for (labels, points) in named.into_iter().flatten() {
            if !matchers.iter().all(|m| m.matches_labels(labels)) {
                continue;
            }
            let begin = points.partition_point(|(t, _)| *t <= from.millis());
            let end = points.partition_point(|(t, _)| *t <= to.millis());
            let window = points.get(begin..end).unwrap_or_default();
            let taken: Vec<T> = window.iter().filter_map(|(t, p)| take(*t, p)).collect();
            if !taken.is_empty() {
                found.push((labels.clone(), taken));
            }
        }
        if name.is_none() {
            found.sort_by(|a, b| a.0.cmp(&b.0));
        }
        found
    }
}

impl SeriesSource for Memory {
    fn select(&self, matchers: &[Matcher], from: Timestamp, to: Timestamp) -> Vec<Series> {
        let float = |t, point: &Point| match point {
            Point::Float(v) => Some(Sample {
                t: Timestamp(t),
                v: *v,
            }),
            Point::Histogram(_) => None,
        };
        self.read(matchers, from, to, float)
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
        let histogram = |t, point: &Point| match point {
            Point::Float(_) => None,
            Point::Histogram(h) => Some((Timestamp(t), h.clone())),
        };
        self.read(matchers, from, to, histogram)
            .into_iter()
            .map(|(labels, samples)| HistogramSeries { labels, samples })
            .collect()
    }
}

fn of<'a>(
    series: &'a mut BTreeMap<String, BTreeMap<Labels, Points>>,
    labels: &Labels,
) -> &'a mut Points {
    let named = series.entry(labels.name().to_owned()).or_default();
    named.entry(labels.clone()).or_default()
}

fn point(value: &WrittenValue) -> Point {
    match value {
        WrittenValue::Float(v) => Point::Float(*v),
        WrittenValue::Histogram(h) => Point::Histogram(h.clone()),
    }
}

/// Why Prometheus's storage refuses a rule's sample, which fails the rule.
fn refusal(points: &Points, t: i64, value: &WrittenValue) -> Option<&'static str> {
    let (last, point) = points.last()?;
    let same = match (point, value) {
        (Point::Float(v), WrittenValue::Float(value)) => v.to_bits() == value.to_bits(),
        (Point::Histogram(h), WrittenValue::Histogram(value)) => {
            let hinted = Histogram {
                reset_hint: h.reset_hint,
                ..(**value).clone()
            };
            **h == hinted
        }
        (Point::Float(_) | Point::Histogram(_), _) => false,
    };
    match last.cmp(&t) {
        Ordering::Less => None,
        Ordering::Equal => (!same).then_some("duplicate sample for timestamp"),
        Ordering::Greater => Some("out of order sample"),
    }
}

/// Appends a sample that is newer than the last one; another one is dropped.
fn append(points: &mut Points, t: i64, point: Point) {
    if points.last().is_some_and(|(last, _)| *last >= t) {
        return;
    }
    let point = match point {
        Point::Histogram(h) => {
            let before = match points.last() {
                Some((_, Point::Histogram(before))) => Some(&**before),
                Some((_, Point::Float(_))) | None => None,
            };
            let hint = h.stored_hint(before);
            if hint == h.reset_hint {
                Point::Histogram(h)
            } else {
                let mut h = (*h).clone();
                h.reset_hint = hint;
                Point::Histogram(h.into())
            }
        }
        Point::Float(v) => Point::Float(v),
    };
    points.push((t, point));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(t: i64, v: f64) -> (i64, Point) {
        (t, Point::Float(v))
    }

    fn values(memory: &Memory, name: &str) -> Vec<(i64, f64)> {
        let matcher = Matcher::equal(NAME, name);
        let found = memory.select(&[matcher], Timestamp(i64::MIN), Timestamp(i64::MAX));
        let samples = found.into_iter().flat_map(|s| s.samples);
        samples.map(|s| (s.t.millis(), s.v)).collect()
    }

    #[test]
    fn samples_come_with_time_and_the_first_of_a_time_stays() {
        let memory = Memory::default();
        let m = Labels::from_pairs([(NAME, "m")]);
        memory.give(vec![(
            m.clone(),
            vec![at(0, 1.0), at(60, 2.0), at(90, 3.0)],
        )]);
        memory.reveal(Timestamp(60));
        assert_eq!(values(&memory, "m"), [(0, 1.0), (60, 2.0)]);
        let written = |t, v| Written {
            at: Timestamp(t),
            samples: vec![(m.clone(), WrittenValue::Float(v))],
            stale: Vec::new(),
        };
        for (t, v, want) in [
            (60, 2.0, None),
            (60, 9.0, Some("duplicate sample for timestamp")),
            (70, 7.0, None),
            (50, 5.0, Some("out of order sample")),
        ] {
            let refused = memory.write(&written(t, v));
            assert_eq!(refused, want.map(|why| (m.clone(), why)), "{t} {v}");
        }
        memory.reveal(Timestamp(1000));
        assert_eq!(
            values(&memory, "m"),
            [(0, 1.0), (60, 2.0), (70, 7.0), (90, 3.0)]
        );
    }
}
