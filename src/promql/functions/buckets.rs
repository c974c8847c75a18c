//! Classic histograms: series of buckets that share all labels but `le`.

use super::super::eval::group::{Groups, Key};
use super::super::eval::value::{Element, Point, Vector};
use super::super::lex::parse_number;

/// A cumulative bucket.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Bucket {
    upper: f64,
    count: f64,
}

/// The buckets of one classic histogram, rising by upper bound and by count.
#[derive(Debug, Clone)]
pub(crate) struct Classic {
    buckets: Vec<Bucket>,
}

/// Groups elements by all labels but `le` and the name; the element of each group carries its
/// labels. `bad` is told of elements whose `le` is no number; they are left out.
pub(crate) fn group(
    vector: Vector,
    bad: &mut dyn FnMut(&Element, &str),
) -> Vec<(Element, Classic)> {
    let le = ["le".to_owned()];
    let mut groups = Groups::new(Key::Except(&le));
    let mut found: Vec<(Element, Vec<Bucket>)> = Vec::new();
    for element in vector {
        let bound = element.labels.get("le");
        let Some(upper) = parse_bound(bound) else {
            bad(&element, bound);
            continue;
        };
        let Point::Float(count) = element.point else {
            continue;
        };
        let (i, new) = groups.insert(&element.labels);
        if new {
            let labels = element.labels.without(&["le"]);
            found.push((Element { labels, ..element }, Vec::new()));
        }
        found[i].1.push(Bucket { upper, count });
    }
    found
        .into_iter()
        .map(|(element, buckets)| (element, Classic::new(buckets)))
        .collect()
}

fn parse_bound(text: &str) -> Option<f64> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => (-1.0, &text[1..]),
        b'+' => (1.0, &text[1..]),
        _ => (1.0, text),
    };
    if digits.eq_ignore_ascii_case("infinity") {
        return Some(sign * f64::INFINITY);
    }
    parse_number(digits).map(|v| sign * v)
}

impl Classic {
    fn new(mut buckets: Vec<Bucket>) -> Self {
        buckets.sort_by(|a, b| a.upper.total_cmp(&b.upper));
        buckets.dedup_by(|b, a| {
            let equal = a.upper == b.upper;
            if equal {
                a.count += b.count;
            }
            equal
        });
        Classic { buckets }
    }

    fn has_infinity(&self) -> bool {
        self.buckets
            .last()
            .is_some_and(|b| b.upper == f64::INFINITY)
    }

    /// The `q`-quantile, and true when falling counts had to be raised for it.
    pub(crate) fn quantile(&self, q: f64) -> (f64, bool) {
        if q.is_nan() {
            return (f64::NAN, false);
        }
        if q < 0.0 {
            return (f64::NEG_INFINITY, false);
        }
        if q > 1.0 {
            return (f64::INFINITY, false);
        }
        if !self.has_infinity() {
            return (f64::NAN, false);
        }
        let (buckets, forced) = raised(&self.buckets);
        let last = buckets.len() - 1;
        let total = buckets[last].count;
        if last == 0 || total == 0.0 || total.is_nan() {
            return (f64::NAN, forced);
        }
        let rank = q * total;
        let i = buckets[..last].partition_point(|b| b.count < rank);
        let value = if i == last {
            buckets[last - 1].upper
        } else if i == 0 && buckets[0].upper <= 0.0 {
            buckets[0].upper
        } else {
            let (start, below) = match i.checked_sub(1) {
                Some(j) => (buckets[j].upper, buckets[j].count),
                None => (0.0, 0.0),
            };
            let inside = buckets[i].count - below;
            start + (buckets[i].upper - start) * ((rank - below) / inside)
        };
        (value, forced)
    }

    /// The share of observations between `low` and `high`.
    pub(crate) fn fraction(&self, low: f64, high: f64) -> f64 {
        let total = self.buckets.last().map_or(0.0, |b| b.count);
        if !self.has_infinity() || total == 0.0 || low.is_nan() || high.is_nan() {
            return f64::NAN;
        }
        if low >= high {
            return 0.0;
        }
        (self.rank(high) - self.rank(low)) / total
    }

    /// Observations up to `v`. Buckets without a finite width say nothing about where in them
    /// the observations lie, and are left out.
    fn rank(&self, v: f64) -> f64 {
        let mut below = 0.0;
        for (i, bucket) in self.buckets.iter().enumerate() {
            let lower = match i.checked_sub(1) {
                Some(j) => self.buckets[j].upper,
                None if bucket.upper > 0.0 => 0.0,
                None => f64::NEG_INFINITY,
            };
            if lower >= v {
                return below;
            }
            if v < bucket.upper {
                return if lower.is_infinite() {
                    bucket.count
                } else if bucket.upper.is_infinite() {
                    below
                } else {
                    below + (bucket.count - below) * (v - lower) / (bucket.upper - lower)
                };
            }
            below = bucket.count;
        }
        below
    }
}

/// Buckets with falling counts raised, and whether any was; tiny differences are rounding.
fn raised(buckets: &[Bucket]) -> (Vec<Bucket>, bool) {
    let mut out = buckets.to_vec();
    let mut forced = false;
    for i in 1..out.len() {
        let before = out[i - 1].count;
        let count = &mut out[i].count;
        if nearly_equal(before, *count) {
            *count = before;
        } else if *count < before {
            *count = before;
            forced = true;
        }
    }
    (out, forced)
}

fn nearly_equal(a: f64, b: f64) -> bool {
    const TOLERANCE: f64 = 1e-12;
    if a == b {
        return true;
    }
    let (sum, difference) = (a.abs() + b.abs(), (a - b).abs());
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < TOLERANCE * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < TOLERANCE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classic(buckets: &[(f64, f64)]) -> Classic {
        Classic::new(
            buckets
                .iter()
                .map(|&(upper, count)| Bucket { upper, count })
                .collect(),
        )
    }

    #[test]
    fn quantiles_interpolate_inside_a_bucket() {
        let h = classic(&[
            (0.1, 50.0),
            (0.2, 70.0),
            (1.0, 110.0),
            (f64::INFINITY, 110.0),
        ]);
        for (q, want) in [(0.0, 0.0), (0.25, 0.055), (0.75, 0.45), (1.0, 1.0)] {
            assert!((h.quantile(q).0 - want).abs() < 1e-12, "{q}");
        }
        assert_eq!(h.quantile(1.1).0, f64::INFINITY);
        assert!(classic(&[(0.1, 1.0)]).quantile(0.5).0.is_nan());
        let falling = classic(&[(0.1, 2.0), (1.0, 1.0), (f64::INFINITY, 3.0)]);
        assert!(falling.quantile(0.5).1);
    }

    #[test]
    fn fractions_leave_out_buckets_without_width() {
        let h = classic(&[
            (-3.0, 10.0),
            (-2.0, 12.0),
            (-1.0, 15.0),
            (f64::INFINITY, 100.0),
        ]);
        for (low, high, want) in [
            (-4.0, -2.0, 0.02),
            (f64::NEG_INFINITY, -1.5, 0.135),
            (f64::NEG_INFINITY, f64::INFINITY, 1.0),
            (0.0, 1.0, 0.0),
            (2.0, 1.0, 0.0),
        ] {
            assert!((h.fraction(low, high) - want).abs() < 1e-12, "{low} {high}");
        }
    }
}
