//! What a test expects against what came, and how both are shown.

use std::collections::BTreeMap;

use crate::model::Labels;
use crate::model::histogram::{Buckets, CUSTOM_SCHEMA, Histogram, ResetHint};
use crate::promql::{Element, Point, parse_series};

use super::super::series::parse_values;
use super::file::{ExpectedAlert, ExpectedSample};

/// `None` when both lists hold the same alerts; else the difference as text.
pub(super) fn alerts(
    mut want: Vec<ExpectedAlert>,
    mut got: Vec<ExpectedAlert>,
    diff: bool,
) -> Option<String> {
    want.sort();
    got.sort();
    if want == got {
        return None;
    }
    let lines = |alerts: &[ExpectedAlert]| {
        let mut lines = Vec::new();
        for (i, alert) in alerts.iter().enumerate() {
            lines.push(format!("{i}:"));
            lines.push(format!("  Labels:{}", texts(&alert.labels)));
            lines.push(format!("  Annotations:{}", texts(&alert.annotations)));
        }
        lines
    };
    let (want, got) = (lines(&want), lines(&got));
    Some(if diff {
        difference(&want, &got)
    } else {
        format!("exp:{},\ngot:{}", boxed(&want), boxed(&got))
    })
}

/// `None` when the elements are those expected, in any order; else the difference as text. The
/// error says which expected sample cannot be read.
pub(super) fn samples(
    want: &[ExpectedSample],
    got: &[Element],
    fuzzy: bool,
    diff: bool,
) -> Result<Option<String>, String> {
    let mut want: Vec<(Labels, Point)> = want.iter().map(expected).collect::<Result<_, _>>()?;
    let mut got: Vec<(Labels, Point)> = got
        .iter()
        .map(|e| (e.labels.clone(), e.point.clone()))
        .collect();
    want.sort_by(|a, b| a.0.cmp(&b.0));
    got.sort_by(|a, b| a.0.cmp(&b.0));
    let same = want.len() == got.len()
        && want
            .iter()
            .zip(&got)
            .all(|(w, g)| w.0 == g.0 && same_point(&w.1, &g.1, fuzzy));
    if same {
        return Ok(None);
    }
    let lines = |samples: &[(Labels, Point)]| -> Vec<String> {
        let line = |(l, p): &(Labels, Point)| format!("{l} {}", point_text(p));
        samples.iter().map(line).collect()
    };
    let (want, got) = (lines(&want), lines(&got));
    let listed = |lines: Vec<String>| match lines.is_empty() {
        true => "nil".to_owned(),
        false => lines.join(", "),
    };
    Ok(Some(if diff {
        difference(&want, &got)
    } else {
        format!("exp: {}\ngot: {}", listed(want), listed(got))
    }))
}

fn expected(sample: &ExpectedSample) -> Result<(Labels, Point), String> {
    let text = sample.labels.trim();
    let wrong = |e: String| format!("labels {:?}: {e}", sample.labels);
    let labels = if text.is_empty() {
        Labels::empty()
    } else {
        let (labels, end) = parse_series(text).map_err(|e| wrong(e.to_string()))?;
        let rest = text[end..].trim();
        if !rest.is_empty() {
            return Err(wrong(format!("unexpected {rest:?}")));
        }
        labels
    };
    if sample.histogram.is_empty() {
        return Ok((labels, Point::Float(sample.value)));
    }
    let values = parse_values(&sample.histogram).map_err(wrong)?;
    match values.as_slice() {
        [Some(Point::Histogram(h))] => Ok((labels, Point::Histogram(h.clone()))),
        [Some(Point::Float(_)) | None] => {
            Err(wrong(format!("{:?} is no histogram", sample.histogram)))
        }
        other => Err(wrong(format!("expected 1 value, got {}", other.len()))),
    }
}

/// Exact, NaN being equal to nothing; `fuzzy` lets floats be one step apart.
fn same_point(want: &Point, got: &Point, fuzzy: bool) -> bool {
    match (want, got) {
        (Point::Float(w), Point::Float(g)) => {
            w == g || fuzzy && (w.next_up() == *g || w.next_down() == *g)
        }
        (Point::Histogram(w), Point::Histogram(g)) => histogram_text(w) == histogram_text(g),
        (Point::Float(_), Point::Histogram(_)) | (Point::Histogram(_), Point::Float(_)) => false,
    }
}

/// A sample as test files write it.
pub(super) fn point_text(point: &Point) -> String {
    match point {
        Point::Float(v) => v.to_string(),
        Point::Histogram(h) => histogram_text(h),
    }
}

fn histogram_text(h: &Histogram) -> String {
    let mut parts = Vec::new();
    if h.schema != 0 {
        parts.push(format!("schema:{}", h.schema));
    }
    for (name, value) in [
        ("count", h.count),
        ("sum", h.sum),
        ("z_bucket", h.zero_count),
        ("z_bucket_w", h.zero_threshold),
    ] {
        if value != 0.0 {
            parts.push(format!("{name}:{value}"));
        }
    }
    if h.schema == CUSTOM_SCHEMA {
        parts.push(format!("custom_values:{}", list(&h.custom_values)));
    }
    match h.reset_hint {
        ResetHint::Unknown => {}
        ResetHint::Reset => parts.push("counter_reset_hint:reset".to_owned()),
        ResetHint::NotReset => parts.push("counter_reset_hint:not_reset".to_owned()),
        ResetHint::Gauge => parts.push("counter_reset_hint:gauge".to_owned()),
    }
    for (prefix, buckets) in [("", &h.positive), ("n_", &h.negative)] {
        let (first, counts) = filled(buckets);
        if counts.is_empty() {
            continue;
        }
        if first != 0 {
            parts.push(format!("{prefix}offset:{first}"));
        }
        parts.push(format!("{prefix}buckets:{}", list(&counts)));
    }
    format!("{{{{{}}}}}", parts.join(" "))
}

/// Index of the first bucket with a count, and the counts from there to the last, gaps filled
/// in. Far apart buckets are left without their gap, which is for people only.
fn filled(buckets: &Buckets) -> (i32, Vec<f64>) {
    const MOST: i32 = 10_000;
    let full: Vec<(i32, f64)> = buckets.iter().copied().filter(|b| b.1 != 0.0).collect();
    let Some(&(first, _)) = full.first() else {
        return (0, Vec::new());
    };
    let mut counts = Vec::new();
    let mut next = first;
    for (index, count) in full {
        let gap = index.saturating_sub(next).clamp(0, MOST);
        counts.extend((0..gap).map(|_| 0.0));
        counts.push(count);
        next = index.saturating_add(1);
    }
    (first, counts)
}

fn list(values: &[f64]) -> String {
    let all: Vec<String> = values.iter().map(f64::to_string).collect();
    format!("[{}]", all.join(" "))
}

fn texts(texts: &BTreeMap<String, String>) -> String {
    let all: Vec<String> = texts.iter().map(|(n, v)| format!("{n}={v:?}")).collect();
    format!("{{{}}}", all.join(", "))
}

fn boxed(lines: &[String]) -> String {
    if lines.is_empty() {
        return "[]".to_owned();
    }
    let inside: String = lines.iter().map(|l| format!("\n    {l}")).collect();
    format!("[{inside}\n    ]")
}

/// Lines of both, `-` before one that is only expected, `+` before one that only came.
fn difference(want: &[String], got: &[String]) -> String {
    let mut out = vec!["diff: - expected, + got".to_owned()];
    let (mut i, mut j) = (0, 0);
    for (w, g) in common(want, got)
        .into_iter()
        .chain([(want.len(), got.len())])
    {
        out.extend(want[i..w].iter().map(|line| format!("- {line}")));
        out.extend(got[j..g].iter().map(|line| format!("+ {line}")));
        out.extend(want.get(w).map(|line| format!("  {line}")));
        (i, j) = (w + 1, g + 1);
    }
    out.join("\n")
}

/// Places of a longest common subsequence; nothing for lists too long to compare.
fn common(a: &[String], b: &[String]) -> Vec<(usize, usize)> {
    const MOST: usize = 1_000_000;
    let mut found = Vec::new();
    if a.len().saturating_mul(b.len()) > MOST {
        return found;
    }
    let width = b.len() + 1;
    let mut length = vec![0u32; (a.len() + 1) * width];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            length[i * width + j] = if a[i] == b[j] {
                length[(i + 1) * width + j + 1] + 1
            } else {
                length[(i + 1) * width + j].max(length[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    while i < a.len() && j < b.len() {
        if a[i] == b[j] {
            found.push((i, j));
            (i, j) = (i + 1, j + 1);
        } else if length[(i + 1) * width + j] >= length[i * width + j + 1] {
            i += 1;
        } else {
            j += 1;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn check(want: &[(&str, f64)], got: &[(&str, f64)], fuzzy: bool, same: bool) {
        let want: Vec<ExpectedSample> = want
            .iter()
            .map(|(labels, value)| ExpectedSample {
                labels: (*labels).to_owned(),
                value: *value,
                histogram: String::new(),
            })
            .collect();
        let got: Vec<Element> = got
            .iter()
            .map(|(labels, value)| {
                Element::new(parse_series(labels).unwrap().0, Point::Float(*value))
            })
            .collect();
        let difference = samples(&want, &got, fuzzy, false).unwrap();
        assert_eq!(difference.is_none(), same, "{want:?} {difference:?}");
    }

    #[test]
    fn floats_are_equal_or_not() {
        let third = 1.0 / 3.0;
        check(
            &[("a", 1.0), ("b", 2.0)],
            &[("b", 2.0), ("a", 1.0)],
            false,
            true,
        );
        check(&[("a", third)], &[("a", third.next_up())], false, false);
        check(&[("a", third)], &[("a", third.next_up())], true, true);
        check(&[("a", third)], &[("a", third.next_down())], true, true);
        check(
            &[("a", third)],
            &[("a", third.next_up().next_up())],
            true,
            false,
        );
        check(&[("a", f64::NAN)], &[("a", f64::NAN)], false, false);
        check(&[("a", 0.0)], &[("a", -0.0)], false, true);
        check(&[("a", f64::INFINITY)], &[("a", f64::INFINITY)], true, true);
        check(&[("", 1.0)], &[("{}", 1.0)], false, true);
        check(&[("a", 1.0)], &[], false, false);
        check(&[], &[], false, true);
    }

    #[test]
    fn histograms_are_written_as_they_are_read() {
        for text in [
            "{{}}",
            "{{schema:1 count:32.1 sum:-0.3 z_bucket:7.1 z_bucket_w:0.05 offset:-3 \
             buckets:[5.1 10 7] n_offset:-5 n_buckets:[4.1 5]}}",
            "{{count:2 sum:3 counter_reset_hint:not_reset buckets:[2 0 1]}}",
            "{{schema:-53 count:1 custom_values:[1 2] buckets:[1]}}",
        ] {
            let points = parse_values(text).unwrap();
            assert_eq!(point_text(points[0].as_ref().unwrap()), text);
        }
        let hints = [ResetHint::Reset, ResetHint::Gauge].map(|reset_hint| {
            let h = Histogram {
                reset_hint,
                ..Histogram::default()
            };
            point_text(&Point::Histogram(Arc::new(h)))
        });
        assert_eq!(
            hints,
            [
                "{{counter_reset_hint:reset}}",
                "{{counter_reset_hint:gauge}}"
            ]
        );
    }

    #[test]
    fn a_difference_keeps_what_both_have() {
        let list = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let got = difference(&list("a b c d"), &list("a x c e d f"));
        let want = "diff: - expected, + got\n  a\n- b\n+ x\n  c\n+ e\n  d\n+ f";
        assert_eq!(got, want);
    }
}
