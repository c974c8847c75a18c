//! Change of histograms over a range.

use crate::model::histogram::{CUSTOM_SCHEMA, Histogram, Incompatible, ResetHint};

use super::super::eval::value::HistogramAt;
use super::rate::Range;

/// What must be said of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Remark {
    /// Custom bounds and none in one range.
    MixedSchemas,
    /// A gauge was taken for a counter.
    NotCounter,
    /// A counter was taken for a gauge.
    NotGauge,
    /// Custom bounds differed in an addition.
    BoundsInAddition,
    /// Custom bounds differed in a subtraction.
    BoundsInSubtraction,
}

/// A change, or nothing where there is none or it cannot be told.
pub(crate) struct Changes {
    pub(crate) value: Option<Histogram>,
    pub(crate) remarks: Vec<Remark>,
}

impl Changes {
    /// Runs `compute`, which leaves early where histograms do not go together.
    pub(super) fn of(
        compute: impl FnOnce(&mut Vec<Remark>) -> Result<Option<Histogram>, Incompatible>,
    ) -> Changes {
        let mut remarks = Vec::new();
        let value = match compute(&mut remarks) {
            Ok(value) => value,
            Err(Incompatible) => {
                remarks.push(Remark::MixedSchemas);
                None
            }
        };
        Changes { value, remarks }
    }
}

/// Adds (`sign` 1) or takes away (-1); conflicting hints are not told, resets are looked at apart.
pub(super) fn merge(
    into: &mut Histogram,
    other: &Histogram,
    sign: f64,
    remarks: &mut Vec<Remark>,
) -> Result<(), Incompatible> {
    if into.add(other, sign)?.bounds_differed {
        remarks.push(if sign < 0.0 {
            Remark::BoundsInSubtraction
        } else {
            Remark::BoundsInAddition
        });
    }
    Ok(())
}

impl Range {
    /// Change over the range, extrapolated to its ends; per second when `per_second`.
    pub(crate) fn of_histograms(
        self,
        points: &[HistogramAt],
        counter: bool,
        per_second: bool,
    ) -> Changes {
        Changes::of(|remarks| {
            let ([first, .., last], true) = (points, points.len() > 1) else {
                return Ok(None);
            };
            let Some(change) = change(points, counter, remarks)? else {
                return Ok(None);
            };
            let mut factor = self.factor(
                first.0,
                last.0,
                points.len(),
                counter.then_some((first.1.count, change.count)),
            );
            if per_second {
                factor /= (self.to - self.from) as f64 / 1000.0;
            }
            let hint = change.reset_hint;
            let mut out = change.times(factor);
            out.reset_hint = hint;
            Ok(Some(out))
        })
    }
}

fn change(
    points: &[HistogramAt],
    counter: bool,
    remarks: &mut Vec<Remark>,
) -> Result<Option<Histogram>, Incompatible> {
    let histogram = |i: usize| &*points[i].1;
    let (first, last) = (histogram(0), histogram(points.len() - 1));
    let gauge = |h: &Histogram| h.reset_hint == ResetHint::Gauge;
    if counter && (gauge(first) || gauge(last)) {
        remarks.push(Remark::NotCounter);
    }
    // What the first one looks like does not matter when the second starts anew.
    let empty;
    let mut before = first;
    if counter && histogram(1).is_reset_after(first) {
        empty = Histogram {
            schema: histogram(1).schema,
            custom_values: histogram(1).custom_values.clone(),
            ..Histogram::default()
        };
        before = &empty;
    }
    let custom = before.schema == CUSTOM_SCHEMA;
    let inner = &points[1..points.len() - 1];
    if last.is_custom() != custom {
        return Err(Incompatible);
    }
    if counter && inner.iter().any(|p| p.1.is_custom() != custom) {
        // As upstream: this alone is said then.
        remarks.clear();
        return Err(Incompatible);
    }
    if counter && inner.iter().any(|p| gauge(&p.1)) {
        remarks.push(Remark::NotCounter);
    }
    let mut change = last.clone();
    if counter {
        for point in inner {
            change.coarsen(point.1.schema);
        }
    }
    merge(&mut change, before, -1.0, remarks)?;
    if counter {
        for point in &points[1..] {
            if point.1.is_reset_after(before) {
                merge(&mut change, before, 1.0, remarks)?;
            }
            before = &point.1;
        }
    } else if !gauge(first) || !gauge(last) {
        remarks.push(Remark::NotGauge);
    }
    change.reset_hint = ResetHint::Gauge;
    Ok(Some(change.compact()))
}

/// Difference of the two last histograms; per second and with resets for a counter.
pub(crate) fn of_last_two(a: &HistogramAt, b: &HistogramAt, counter: bool) -> Changes {
    Changes::of(|remarks| {
        let gauge = |h: &HistogramAt| h.1.reset_hint == ResetHint::Gauge;
        match (gauge(a), gauge(b)) {
            (true, _) | (_, true) if counter => remarks.push(Remark::NotCounter),
            (false, _) | (_, false) if !counter => remarks.push(Remark::NotGauge),
            (true | false, true | false) => {}
        }
        let mut out = (*b.1).clone();
        if !counter || !b.1.is_reset_after(&a.1) {
            merge(&mut out, &a.1, -1.0, remarks)?;
        }
        out.reset_hint = ResetHint::Gauge;
        out = out.compact();
        if counter {
            out = out.divided((b.0 - a.0) as f64 / 1000.0);
        }
        Ok(Some(out))
    })
}

/// How often anything changed, or a counter was reset when `resets_only`; from a float to a
/// histogram or back counts as both.
pub(crate) fn count_changes(
    window: &super::super::eval::value::Window<'_>,
    resets_only: bool,
) -> f64 {
    use super::super::eval::value::Point;
    let floats = window
        .floats
        .iter()
        .map(|s| (s.t.millis(), Point::Float(s.v)));
    let histograms = window
        .histograms
        .iter()
        .map(|(t, h)| (*t, Point::Histogram(h.clone())));
    let mut points: Vec<(i64, Point)> = floats.chain(histograms).collect();
    points.sort_by_key(|p| p.0);
    let changed = |a: &Point, b: &Point| match (a, b) {
        (Point::Float(a), Point::Float(b)) if resets_only => b < a,
        (Point::Float(a), Point::Float(b)) => a != b && !(a.is_nan() && b.is_nan()),
        (Point::Histogram(a), Point::Histogram(b)) if resets_only => b.is_reset_after(a),
        (Point::Histogram(a), Point::Histogram(b)) => !a.equals(b),
        (Point::Float(_), Point::Histogram(_)) | (Point::Histogram(_), Point::Float(_)) => true,
    };
    let count = points
        .windows(2)
        .filter(|w| changed(&w[0].1, &w[1].1))
        .count();
    count as f64
}
