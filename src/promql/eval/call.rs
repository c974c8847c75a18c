//! Function calls.

use crate::model::histogram::go_float;
use crate::model::{Labels, QueryError};

use super::super::ast::{Call, Expr, ExprKind, Span};
use super::super::functions::{Func, labels};
use super::value::{Element, Point, Vector};
use super::{Eval, Evaluation, not_a};

impl Evaluation<'_> {
    /// A call that gives a number.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the type check leaves only the functions that return scalars"
    )]
    pub(super) fn scalar_call(&self, call: &Call, t: i64) -> Eval<f64> {
        let seconds = |ms: i64| ms as f64 / 1000.0;
        match call.function.id {
            Func::Time => Ok(seconds(t)),
            Func::Pi => Ok(std::f64::consts::PI),
            Func::Start => Ok(seconds(self.times.start)),
            Func::End => Ok(seconds(self.times.end)),
            Func::Step => Ok(seconds(self.times.step)),
            Func::Range => Ok(seconds(self.times.end.saturating_sub(self.times.start))),
            Func::MinOf => Ok(go_min(self.number(call, 0, t)?, self.number(call, 1, t)?)),
            Func::MaxOf => Ok(go_max(self.number(call, 0, t)?, self.number(call, 1, t)?)),
            Func::Scalar => {
                let vector = self.vector(arg(call, 0)?, t)?;
                let mut floats = vector.iter().filter_map(|e| as_float(&e.point));
                Ok(match (floats.next(), floats.next()) {
                    (Some(v), None) => v,
                    _ => f64::NAN,
                })
            }
            _ => Err(not_a("a scalar function")),
        }
    }

    /// A call that gives an instant vector.
    pub(super) fn call(&self, call: &Call, span: Span, t: i64) -> Eval<Vector> {
        match call.function.id {
            Func::Vector => Ok(vec![Element::float(
                Labels::empty(),
                self.number(call, 0, t)?,
            )]),
            Func::Map(f) => self.map(call, t, f),
            Func::Round => {
                let to = match call.args.get(1) {
                    Some(e) => self.scalar(e, t)?,
                    None => 1.0,
                };
                let inverse = 1.0 / to;
                self.map(call, t, |v| (v * inverse + 0.5).floor() / inverse)
            }
            Func::Clamp => {
                let (min, max) = (self.number(call, 1, t)?, self.number(call, 2, t)?);
                if max < min {
                    return Ok(Vec::new());
                }
                self.map(call, t, |v| go_max(min, go_min(max, v)))
            }
            Func::ClampMin => {
                let min = self.number(call, 1, t)?;
                self.map(call, t, |v| go_max(min, v))
            }
            Func::ClampMax => {
                let max = self.number(call, 1, t)?;
                self.map(call, t, |v| go_min(max, v))
            }
            Func::Date(part) => self.date(call, t, |v| part.of(v)),

            Func::Timestamp => self.timestamp(call, t),
            Func::Absent => {
                let operand = arg(call, 0)?;
                let vector = self.vector(operand, t)?;
                Ok(absence(vector.is_empty(), operand))
            }
            Func::AbsentOverTime => {
                let operand = arg(call, 0)?;
                let windows = self.windows(operand, t)?;
                Ok(absence(windows.series.is_empty(), operand))
            }
            Func::OverTime(kind) => self.over_time(call, kind, t),
            Func::Sort { descending } => {
                let mut vector = self.vector(arg(call, 0)?, t)?;
                self.note_idle_sort(span);
                vector.retain(|e| as_float(&e.point).is_some());
                self.work(vector.len())?;
                vector.sort_by(|a, b| by_value(a, b, descending));
                Ok(vector)
            }
            Func::SortByLabel { descending } => {
                let mut vector = self.vector(arg(call, 0)?, t)?;
                self.note_idle_sort(span);
                let names: Vec<&str> = call.args[1..].iter().map(text).collect::<Eval<_>>()?;
                self.work(vector.len())?;
                labels::sort(&mut vector, &names, descending);
                Ok(vector)
            }
            Func::LabelReplace => {
                let texts: Vec<&str> = call.args[1..].iter().map(text).collect::<Eval<_>>()?;
                let vector = self.vector(arg(call, 0)?, t)?;
                self.unique(
                    labels::replace(vector, &texts, &self.budget).map_err(|e| self.here(e))?,
                )
            }
            Func::LabelJoin => {
                let texts: Vec<&str> = call.args[1..].iter().map(text).collect::<Eval<_>>()?;
                let vector = self.vector(arg(call, 0)?, t)?;
                self.unique(labels::join(vector, &texts, &self.budget).map_err(|e| self.here(e))?)
            }
            Func::HistogramPart(part) => self.histogram_part(arg(call, 0)?, part, t),
            Func::HistogramQuantile => self.histogram_quantile(call, t),
            Func::HistogramQuantiles => self.histogram_quantiles(call, t),
            Func::HistogramFraction => self.histogram_fraction(call, t),
            Func::Info => self.info(call, t),
            Func::Start
            | Func::End
            | Func::Step
            | Func::Range
            | Func::Time
            | Func::Pi
            | Func::MinOf
            | Func::MaxOf
            | Func::Scalar => Err(not_a("a vector function")),
        }
    }

    pub(super) fn number(&self, call: &Call, i: usize, t: i64) -> Eval<f64> {
        self.scalar(arg(call, i)?, t)
    }

    /// Applies `f` to the floats; histograms are left out.
    fn map(&self, call: &Call, t: i64, f: impl Fn(f64) -> f64) -> Eval<Vector> {
        let mut vector = self.vector(arg(call, 0)?, t)?;
        self.work(vector.len())?;
        vector.retain_mut(|e| match as_float(&e.point) {
            Some(v) => {
                e.point = Point::Float(f(v));
                true
            }
            None => false,
        });
        self.nameless(vector)
    }

    fn date(&self, call: &Call, t: i64, f: impl Fn(f64) -> f64) -> Eval<Vector> {
        if call.args.is_empty() {
            let now = t as f64 / 1000.0;
            return Ok(vec![Element::float(Labels::empty(), f(now))]);
        }
        self.map(call, t, f)
    }

    fn timestamp(&self, call: &Call, t: i64) -> Eval<Vector> {
        let operand = arg(call, 0)?;
        let mut vector = Vec::new();
        if let ExprKind::Selector(s) = &operand.bare().kind {
            for (mut element, time) in self.instant(s, t)? {
                element.point = Point::Float(time as f64 / 1000.0);
                vector.push(element);
            }
        } else {
            vector = self.vector(operand, t)?;
            for element in &mut vector {
                element.point = Point::Float(t as f64 / 1000.0);
            }
        }
        self.nameless(vector)
    }

    fn note_idle_sort(&self, span: Span) {
        if self.times.step > 0 {
            self.notes.warn(
                span,
                "sort is ineffective for range queries since results are always ordered by labels",
            );
        }
    }

    pub(super) fn check_quantile(&self, q: f64, span: Span) {
        if q.is_nan() || !(0.0..=1.0).contains(&q) {
            self.notes.warn(
                span,
                &format!(
                    "quantile value should be between 0 and 1, got {}",
                    go_float(q)
                ),
            );
        }
    }
}

pub(super) fn arg(call: &Call, i: usize) -> Eval<&Expr> {
    call.args
        .get(i)
        .ok_or_else(|| QueryError::Execution("BUG: an argument is missing".to_owned()))
}

pub(super) fn text(expr: &Expr) -> Eval<&str> {
    expr.as_string().ok_or_else(|| not_a("a string"))
}

pub(super) fn as_float(point: &Point) -> Option<f64> {
    match point {
        Point::Float(v) => Some(*v),
        Point::Histogram(_) => None,
    }
}

/// One element with what the matchers of a selector fix, when nothing is there.
fn absence(empty: bool, operand: &Expr) -> Vector {
    if !empty {
        return Vec::new();
    }
    let labels = match operand.bare().selector() {
        Some(s) => labels::fixed_by(&s.matchers),
        None => Labels::empty(),
    };
    vec![Element::float(labels, 1.0)]
}

/// NaN last whatever the direction.
pub(super) fn by_value(a: &Element, b: &Element, descending: bool) -> std::cmp::Ordering {
    let value = |e: &Element| as_float(&e.point).unwrap_or(f64::NAN);
    let (a, b) = (value(a), value(b));
    match (a.is_nan(), b.is_nan()) {
        (false, false) if descending => b.total_cmp(&a),
        (false, false) => a.total_cmp(&b),
        (a, b) => a.cmp(&b),
    }
}

/// The smaller; NaN when one is NaN.
pub(super) fn go_min(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() {
        f64::NAN
    } else {
        a.min(b)
    }
}

/// The greater; NaN when one is NaN.
pub(super) fn go_max(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() {
        f64::NAN
    } else {
        a.max(b)
    }
}
