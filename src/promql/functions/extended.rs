//! Change over a range whose ends are anchored or smoothed.
//!
//! What must stay true: samples come with those just outside of the range, oldest first. With
//! anchored ends the last sample before the range counts as its start; with smoothed ends the
//! values at both ends lie on the lines to the samples beyond. Nothing is extrapolated.

use std::sync::Arc;

use crate::model::Sample;
use crate::model::histogram::{Histogram, Incompatible, ResetHint};

use super::super::eval::value::HistogramAt;
use super::histogram_rate::{Changes, Remark, merge};
use super::rate::Range;

/// The samples that a range's change is computed from, by their places.
struct Ends {
    first: usize,
    last: usize,
}

impl Range {
    fn ends(self, times: &[i64], smoothed: bool) -> Option<Ends> {
        let newest = times.len().checked_sub(1)?;
        let first = times[..newest]
            .partition_point(|t| *t <= self.from)
            .saturating_sub(1);
        let last = if smoothed {
            times[..newest].partition_point(|t| *t < self.to)
        } else {
            newest
        };
        let outside = times[last] <= self.from || (smoothed && times[first] > self.to);
        (!outside).then_some(Ends { first, last })
    }

    /// Change of a counter or gauge.
    pub(crate) fn extended(self, samples: &[Sample], counter: bool, smoothed: bool) -> Option<f64> {
        let times: Vec<i64> = samples.iter().map(|s| s.t.millis()).collect();
        let Ends { first, last } = self.ends(&times, smoothed)?;
        let left = if smoothed && times[first] < self.from {
            between(samples[first], samples[first + 1], self.from, counter)
        } else {
            samples[first].v
        };
        let right = if smoothed && last > 0 && times[last] > self.to {
            between(samples[last - 1], samples[last], self.to, counter)
        } else {
            samples[last].v
        };
        let mut change = right - left;
        if counter {
            let mut before = left;
            let inside = samples[first..=last]
                .iter()
                .filter(|s| s.t.millis() > self.from && s.t.millis() < self.to)
                .map(|s| s.v);
            for v in inside.chain([right]) {
                if v < before {
                    change += before;
                }
                before = v;
            }
        }
        Some(change)
    }

    /// Change of histograms; per second when `per_second`.
    pub(crate) fn extended_histograms(
        self,
        points: &[HistogramAt],
        (counter, per_second): (bool, bool),
        smoothed: bool,
    ) -> Changes {
        Changes::of(|remarks| {
            let times: Vec<i64> = points.iter().map(|p| p.0).collect();
            let Some(ends) = self.ends(&times, smoothed) else {
                return Ok(None);
            };
            let mut change = self.histogram_change(points, &ends, counter, smoothed, remarks)?;
            if per_second {
                change = change.divided((self.to - self.from) as f64 / 1000.0);
            }
            change.reset_hint = ResetHint::Gauge;
            Ok(Some(change.compact()))
        })
    }

    fn histogram_change(
        self,
        points: &[HistogramAt],
        &Ends { first, last }: &Ends,
        counter: bool,
        smoothed: bool,
        remarks: &mut Vec<Remark>,
    ) -> Result<Histogram, Incompatible> {
        let used = &points[first..=last];
        if used
            .iter()
            .any(|p| p.1.is_custom() != used[0].1.is_custom())
        {
            return Err(Incompatible);
        }
        let gauge = |h: &Histogram| h.reset_hint == ResetHint::Gauge;
        if counter && used.iter().any(|p| gauge(&p.1)) {
            remarks.push(Remark::NotCounter);
        }
        let cut_left = smoothed && points[first].0 < self.from;
        let left = if cut_left {
            histogram_between(
                &points[first],
                &points[first + 1],
                self.from,
                counter,
                remarks,
            )?
        } else {
            (*points[first].1).clone()
        };
        let right = if smoothed && last > 0 && points[last].0 > self.to {
            histogram_between(&points[last - 1], &points[last], self.to, counter, remarks)?
        } else {
            (*points[last].1).clone()
        };
        let gauges = gauge(&left) && gauge(&right);
        if !counter && !gauges {
            remarks.push(Remark::NotGauge);
        }
        let mut change = right.clone();
        merge(&mut change, &left, -1.0, remarks)?;
        if !counter {
            return Ok(change);
        }
        // A reset that the left end was interpolated across is counted already.
        let (mut before, mut next) = (&left, first + 1);
        if cut_left && points[first + 1].1.is_reset_after(&points[first].1) {
            before = &points[first + 1].1;
            next += 1;
        }
        if next > last {
            return Ok(change);
        }
        for histogram in points[next..last].iter().map(|p| &*p.1).chain([&right]) {
            if histogram.is_reset_after(before) {
                merge(&mut change, before, 1.0, remarks)?;
            }
            before = histogram;
        }
        Ok(change)
    }
}

/// The value at `t` on the line between two samples. A counter that was reset between them rises
/// from zero.
pub(crate) fn between(a: Sample, b: Sample, t: i64, counter: bool) -> f64 {
    let (start, from) = if counter && b.v < a.v {
        (0.0, a.t.millis())
    } else {
        (a.v, a.t.millis())
    };
    start + (b.v - start) * (t - from) as f64 / (b.t.millis() - from) as f64
}

/// The same for histograms.
pub(crate) fn histogram_between(
    a: &HistogramAt,
    b: &HistogramAt,
    t: i64,
    counter: bool,
    remarks: &mut Vec<Remark>,
) -> Result<Histogram, Incompatible> {
    if t == a.0 {
        return Ok((*a.1).clone());
    }
    if t == b.0 {
        return Ok((*b.1).clone());
    }
    let share = (t - a.0) as f64 / (b.0 - a.0) as f64;
    if counter && b.1.is_reset_after(&a.1) {
        return Ok(b.1.times(share));
    }
    let mut out = (*b.1).clone();
    merge(&mut out, &a.1, -1.0, remarks)?;
    out = out.times(share);
    merge(&mut out, &a.1, 1.0, remarks)?;
    Ok(out)
}

/// The floats and histograms in the range, with the last of either before it, if any.
pub(crate) fn anchored(
    range: Range,
    floats: &[Sample],
    histograms: &[HistogramAt],
) -> (Vec<Sample>, Vec<(i64, Arc<Histogram>)>) {
    let first_float = floats.partition_point(|s| s.t.millis() <= range.from);
    let first_histogram = histograms.partition_point(|h| h.0 <= range.from);
    let before_float = first_float.checked_sub(1).map(|i| floats[i].t.millis());
    let before_histogram = first_histogram.checked_sub(1).map(|i| histograms[i].0);
    let take_float = before_float.is_some() && before_float >= before_histogram;
    let take_histogram = before_histogram > before_float;
    (
        floats[first_float - usize::from(take_float)..].to_vec(),
        histograms[first_histogram - usize::from(take_histogram)..].to_vec(),
    )
}
