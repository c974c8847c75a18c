//! Results against expectations.

use crate::model::histogram::{Buckets, Histogram};
use crate::model::{Labels, is_stale_nan};
use crate::promql::{Element, Outcome, Point, SeriesPoints};

use super::command::{Expect, Expected, Text, Times};

/// Refuses a result that is not the expected one.
pub(super) fn outcome(expect: &Expect, times: Times, got: &Outcome) -> Result<(), String> {
    if let Some(want) = &expect.string {
        let same = matches!(got, Outcome::String(s) if s == want);
        return expected(same, &format!("string {want:?}"), got);
    }
    if let Some(want) = expect.scalar {
        let same = matches!(got, Outcome::Scalar(v) if floats_equal(*v, want));
        return expected(same, &want.to_string(), got);
    }
    match (got, times, expect.range_vector) {
        (Outcome::Vector(vector), Times::Instant(_), None) => vector_result(expect, vector),
        (Outcome::Matrix(series), Times::Instant(_), Some((from, _, step))) => {
            matrix_result(expect, series, from, step)
        }
        (Outcome::Matrix(series), Times::Range { from, step, .. }, None) => {
            let step = i64::try_from(step.as_millis()).unwrap_or(i64::MAX);
            matrix_result(expect, series, from.millis(), step)
        }
        (other, _, _) => Err(format!("got {}", describe(other))),
    }
}

fn expected(same: bool, want: &str, got: &Outcome) -> Result<(), String> {
    if same {
        Ok(())
    } else {
        Err(format!("expected {want}, got {}", describe(got)))
    }
}

/// Refuses annotations other than the expected ones.
pub(super) fn annotations(
    expect: &Expect,
    warnings: &[String],
    infos: &[String],
) -> Result<(), String> {
    for (level, want, none, got) in [
        ("warn", &expect.warn, expect.no_warn, warnings),
        ("info", &expect.info, expect.no_info, infos),
    ] {
        if none && !got.is_empty() {
            return Err(format!("expected no {level} annotations, got {got:?}"));
        }
        if want.is_empty() {
            continue;
        }
        if got.is_empty() {
            return Err(format!("expected {level} annotations, got none"));
        }
        if let Some(missing) = want.iter().find(|w| !got.iter().any(|g| w.matches(g))) {
            return Err(format!("expected {level} {}, got {got:?}", show(missing)));
        }
        if let Some(extra) = got.iter().find(|g| !want.iter().any(|w| w.matches(g))) {
            return Err(format!("unexpected {level} {extra:?}"));
        }
    }
    Ok(())
}

fn show(text: &Text) -> String {
    match text {
        Text::Any => "of any text".to_owned(),
        Text::Exactly(t) => format!("{t:?}"),
        Text::Regex(r) => format!("/{r}/"),
    }
}

fn describe(outcome: &Outcome) -> String {
    let text = match outcome {
        Outcome::Scalar(v) => format!("scalar {v}"),
        Outcome::String(s) => format!("string {s:?}"),
        Outcome::Vector(v) => {
            let all: Vec<String> = v.iter().map(|e| element(&e.labels, &e.point)).collect();
            format!("vector [{}]", all.join(", "))
        }
        Outcome::Matrix(m) => {
            let all: Vec<String> = m
                .iter()
                .map(|s| format!("{} {}", s.labels, points(s)))
                .collect();
            format!("matrix [{}]", all.join(", "))
        }
    };
    text.chars().take(2000).collect()
}

fn points(series: &SeriesPoints) -> String {
    let all: Vec<String> = series
        .points
        .iter()
        .map(|(t, p)| format!("{}@{t}", point_text(p)))
        .collect();
    all.join(" ")
}

fn point_text(point: &Point) -> String {
    match point {
        Point::Float(v) => v.to_string(),
        Point::Histogram(h) => format!("{h:?}"),
    }
}

fn element(labels: &Labels, point: &Point) -> String {
    format!("{labels} {}", point_text(point))
}

fn vector_result(expect: &Expect, got: &[Element]) -> Result<(), String> {
    let want: Vec<(&Labels, Want<'_>)> = expect
        .series
        .iter()
        .map(|e| {
            let point = e.points.first().and_then(Option::as_ref);
            let hinted = e.hinted.first() == Some(&true);
            point
                .map(|p| (&e.labels, (p, hinted)))
                .ok_or("an expected value is missing")
        })
        .collect::<Result<_, _>>()?;
    let all = || describe(&Outcome::Vector(got.to_vec()));
    if want.len() != got.len() {
        return Err(format!("expected {} elements, got {}", want.len(), all()));
    }
    for (i, element) in got.iter().enumerate() {
        let place = want.iter().position(|(l, _)| **l == element.labels);
        let Some(place) = place else {
            return Err(format!("unexpected {}", element_text(element)));
        };
        if expect.ordered && place != i {
            return Err(format!(
                "expected {} at place {}, got {}",
                element.labels,
                place + 1,
                all()
            ));
        }
        same_point(want[place].1, &element.point)
            .map_err(|e| format!("{}: {e}", element.labels))?;
    }
    Ok(())
}

fn element_text(e: &Element) -> String {
    element(&e.labels, &e.point)
}

fn matrix_result(
    expect: &Expect,
    got: &[SeriesPoints],
    from: i64,
    step: i64,
) -> Result<(), String> {
    let all = || describe(&Outcome::Matrix(got.to_vec()));
    if got.windows(2).any(|w| w[0].labels > w[1].labels) {
        return Err("series are not sorted by labels".to_owned());
    }
    let mut left: Vec<&SeriesPoints> = got.iter().collect();
    for Expected {
        labels,
        points,
        hinted,
    } in &expect.series
    {
        let want: Vec<(i64, Want<'_>)> = (0..)
            .zip(points.iter().zip(hinted))
            .filter_map(|(i, (p, h))| p.as_ref().map(|p| (from + i * step, (p, *h))))
            .collect();
        let Some(place) = left.iter().position(|s| s.labels == *labels) else {
            if want.is_empty() {
                continue;
            }
            return Err(format!("expected {labels}, got {}", all()));
        };
        let series = left.remove(place);
        if series.points.len() != want.len() {
            return Err(format!(
                "{labels}: expected {} points, got {}",
                want.len(),
                points_text(series)
            ));
        }
        for ((t, want), (at, got)) in want.iter().zip(&series.points) {
            if t != at {
                return Err(format!(
                    "{labels}: expected a point at {t}, got one at {at}"
                ));
            }
            same_point(*want, got).map_err(|e| format!("{labels} at {t}: {e}"))?;
        }
    }
    match left.first() {
        Some(extra) => Err(format!(
            "unexpected {} {}",
            extra.labels,
            points_text(extra)
        )),
        None => Ok(()),
    }
}

fn points_text(series: &SeriesPoints) -> String {
    points(series).chars().take(500).collect()
}

/// An expected point, and whether its counter reset hint counts.
type Want<'e> = (&'e Point, bool);

fn same_point((want, hinted): Want<'_>, got: &Point) -> Result<(), String> {
    let same = match (want, got) {
        (Point::Float(w), Point::Float(g)) => floats_equal(*w, *g),
        (Point::Histogram(w), Point::Histogram(g)) => histograms_equal(w, g, hinted),
        (Point::Float(_), Point::Histogram(_)) | (Point::Histogram(_), Point::Float(_)) => false,
    };
    if same {
        Ok(())
    } else {
        Err(format!(
            "expected {}, got {}",
            point_text(want),
            point_text(got)
        ))
    }
}

/// Equal, both an ordinary NaN, both stale, or nearly equal.
pub(super) fn floats_equal(a: f64, b: f64) -> bool {
    const TOLERANCE: f64 = 1e-6;
    if is_stale_nan(a) || is_stale_nan(b) {
        return is_stale_nan(a) && is_stale_nan(b);
    }
    if a.is_nan() || b.is_nan() {
        return a.is_nan() && b.is_nan();
    }
    if a == b {
        return true;
    }
    let (sum, difference) = (a.abs() + b.abs(), (a - b).abs());
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < TOLERANCE * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < TOLERANCE
}

fn histograms_equal(want: &Histogram, got: &Histogram, hinted: bool) -> bool {
    want.schema == got.schema
        && want.custom_values == got.custom_values
        && want.zero_threshold == got.zero_threshold
        && floats_equal(want.count, got.count)
        && floats_equal(want.sum, got.sum)
        && floats_equal(want.zero_count, got.zero_count)
        && buckets_equal(&want.positive, &got.positive)
        && buckets_equal(&want.negative, &got.negative)
        && (!hinted || want.reset_hint == got.reset_hint)
}

fn buckets_equal(a: &Buckets, b: &Buckets) -> bool {
    let full = |buckets: &Buckets| -> Buckets {
        buckets.iter().copied().filter(|(_, n)| *n != 0.0).collect()
    };
    let (a, b) = (full(a), full(b));
    a.len() == b.len()
        && a.iter()
            .zip(&b)
            .all(|((i, n), (j, m))| i == j && floats_equal(*n, *m))
}
