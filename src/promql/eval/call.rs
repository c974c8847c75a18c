//! Function calls.

use crate::model::{Labels, QueryError};

use super::super::ast::{Call, Expr, ExprKind, Span};
use super::super::functions::{Func, Over, aggregate_over_time as over, buckets, labels};
use super::super::functions::{rate, regression};
use super::notes::for_metric;
use super::value::{Element, Point, Vector, Window, Windows};
use super::{Eval, Evaluation, not_a, one_metric, unsupported};

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
                vector.sort_by(|a, b| by_value(a, b, descending));
                Ok(vector)
            }
            Func::SortByLabel { descending } => {
                let mut vector = self.vector(arg(call, 0)?, t)?;
                self.note_idle_sort(span);
                let names: Vec<&str> = call.args[1..].iter().map(text).collect::<Eval<_>>()?;
                labels::sort(&mut vector, &names, descending);
                Ok(vector)
            }
            Func::LabelReplace => {
                let texts: Vec<&str> = call.args[1..].iter().map(text).collect::<Eval<_>>()?;
                let vector = self.vector(arg(call, 0)?, t)?;
                self.unique(labels::replace(vector, &texts)?)
            }
            Func::LabelJoin => {
                let texts: Vec<&str> = call.args[1..].iter().map(text).collect::<Eval<_>>()?;
                let vector = self.vector(arg(call, 0)?, t)?;
                self.unique(labels::join(vector, &texts)?)
            }
            Func::HistogramPart => {
                let vector = self.vector(arg(call, 0)?, t)?;
                if vector.iter().any(|e| as_float(&e.point).is_none()) {
                    return Err(unsupported(call.function.name));
                }
                Ok(Vec::new())
            }
            Func::HistogramQuantile => {
                let q = self.number(call, 0, t)?;
                self.check_quantile(q, arg(call, 0)?.span);
                let operand = arg(call, 1)?;
                let out =
                    self.by_buckets(operand, t, |histogram| vec![(None, histogram.quantile(q))])?;
                self.unique(out)
            }
            Func::HistogramQuantiles => {
                let label = text(arg(call, 1)?)?;
                labels::check_name(label)?;
                let mut quantiles = Vec::new();
                for e in &call.args[2..] {
                    let q = self.scalar(e, t)?;
                    self.check_quantile(q, e.span);
                    quantiles.push((labels::quantile_text(q), q));
                }
                let out = self.by_buckets(arg(call, 0)?, t, |histogram| {
                    quantiles
                        .iter()
                        .map(|(name, q)| (Some((label, name.as_str())), histogram.quantile(*q)))
                        .collect()
                })?;
                self.unique(out)
            }
            Func::HistogramFraction => {
                let (low, high) = (self.number(call, 0, t)?, self.number(call, 1, t)?);
                let out = self.by_buckets(arg(call, 2)?, t, |histogram| {
                    vec![(None, (histogram.fraction(low, high), false))]
                })?;
                self.unique(out)
            }
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

    fn number(&self, call: &Call, i: usize, t: i64) -> Eval<f64> {
        self.scalar(arg(call, i)?, t)
    }

    /// Applies `f` to the floats; histograms are left out.
    fn map(&self, call: &Call, t: i64, f: impl Fn(f64) -> f64) -> Eval<Vector> {
        let mut vector = self.vector(arg(call, 0)?, t)?;
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
                    super::super::display::number(q)
                ),
            );
        }
    }

    fn over_time(&self, call: &Call, kind: Over, t: i64) -> Eval<Vector> {
        let at = usize::from(kind == Over::Quantile);
        let mut numbers = Vec::new();
        for (i, e) in call.args.iter().enumerate() {
            if i != at {
                numbers.push(self.scalar(e, t)?);
            }
        }
        if kind == Over::Quantile {
            self.check_quantile(numbers[0], call.args[0].span);
        }
        if kind == Over::DoubleExponentialSmoothing {
            regression::check_factors(numbers[0], numbers[1])?;
        }
        let operand = arg(call, at)?;
        let windows = self.windows(operand, t)?;
        let one = one_metric(windows.series.iter().map(|w| &w.labels));
        let mut out = Vec::with_capacity(windows.series.len());
        for window in &windows.series {
            let value = self.reduce(kind, window, &windows, &numbers, t, operand.span)?;
            let Some(point) = value else { continue };
            let mut element = Element {
                labels: window.labels.clone(),
                point,
                drop_name: window.drop_name,
            };
            if !kind.keeps_name() {
                self.drop_name(&mut element);
            }
            out.push(element);
        }
        if one || kind.keeps_name() {
            return Ok(out);
        }
        self.unique(out)
    }

    fn reduce(
        &self,
        kind: Over,
        window: &Window<'_>,
        windows: &Windows<'_>,
        numbers: &[f64],
        t: i64,
        span: Span,
    ) -> Eval<Option<Point>> {
        let floats = &window.floats[..];
        let values = || floats.iter().map(|s| s.v);
        if kind == Over::Count {
            return Ok(Some(Point::Float(window.len() as f64)));
        }
        if kind == Over::Present {
            return Ok(Some(Point::Float(1.0)));
        }
        if kind.keeps_name() || matches!(kind, Over::TsOfFirst | Over::TsOfLast) {
            return Ok(over::edge(kind, window));
        }
        if !window.histograms.is_empty() {
            let ignores = !matches!(
                kind,
                Over::Avg
                    | Over::Sum
                    | Over::Changes
                    | Over::Resets
                    | Over::Delta
                    | Over::Rate
                    | Over::Increase
                    | Over::Idelta
                    | Over::Irate
            );
            if !ignores {
                return Err(unsupported("functions over ranges"));
            }
            if !floats.is_empty() {
                self.notes.info(
                    span,
                    &format!(
                        "ignored histograms in a range containing both floats and histograms{}",
                        for_metric(window.labels.name())
                    ),
                );
            }
        }
        if floats.is_empty() {
            return Ok(None);
        }
        if matches!(kind, Over::Rate | Over::Increase) {
            self.note_no_counter(&window.labels, span);
        }
        let range = rate::Range {
            from: windows.from,
            to: windows.to,
        };
        let value = match kind {
            Over::Rate => range.rate(floats),
            Over::Increase => range.increase(floats),
            Over::Delta => range.delta(floats),
            Over::Irate => rate::irate(floats),
            Over::Idelta => rate::idelta(floats),
            Over::Deriv => regression::deriv(floats),
            Over::PredictLinear => regression::predict(floats, t, numbers[0]),
            Over::DoubleExponentialSmoothing => regression::smooth(floats, numbers[0], numbers[1]),
            Over::Quantile => Some(over::quantile(numbers[0], floats)),
            Over::Sum => Some(super::sum::sum(values())),
            Over::Avg => Some(over::mean(floats)),
            Over::Min => Some(over::least(floats).v),
            Over::Max => Some(over::greatest(floats).v),
            Over::TsOfMin => Some(over::least(floats).t.as_secs_f64()),
            Over::TsOfMax => Some(over::greatest(floats).t.as_secs_f64()),
            Over::Stddev => Some(super::sum::variance(values()).sqrt()),
            Over::Stdvar => Some(super::sum::variance(values())),
            Over::Mad => Some(over::median_deviation(floats)),
            Over::Changes => Some(over::changes(floats)),
            Over::Resets => Some(over::resets(floats)),
            Over::Count
            | Over::Present
            | Over::First
            | Over::Last
            | Over::TsOfFirst
            | Over::TsOfLast => return Err(not_a("a reduction of floats")),
        };
        Ok(value.map(Point::Float))
    }

    fn note_no_counter(&self, labels: &Labels, span: Span) {
        let name = labels.name();
        let counter = ["_total", "_sum", "_count", "_bucket"]
            .iter()
            .any(|end| name.ends_with(end));
        let declared = matches!(labels.get("__type__"), "counter" | "histogram");
        if !name.is_empty() && !counter && !declared {
            self.notes.info(
                span,
                &format!(
                    "metric might not be a counter, name does not end in \
                     _total/_sum/_count/_bucket: {name:?}"
                ),
            );
        }
    }

    /// Groups classic buckets into histograms and computes from each.
    fn by_buckets<'l>(
        &self,
        operand: &Expr,
        t: i64,
        compute: impl Fn(&buckets::Classic) -> Vec<(Option<(&'l str, &'l str)>, (f64, bool))>,
    ) -> Eval<Vector> {
        let vector = self.vector(operand, t)?;
        if vector.iter().any(|e| as_float(&e.point).is_none()) {
            return Err(unsupported("histogram_quantile and histogram_fraction"));
        }
        let mut out = Vec::new();
        let mut bad = |element: &Element, le: &str| {
            self.notes.warn(
                operand.span,
                &format!(
                    "bucket label \"le\" is missing or has a malformed value of {le:?}{}",
                    for_metric(element.labels.name())
                ),
            );
        };
        for (element, histogram) in buckets::group(vector, &mut bad) {
            let mut forced = false;
            for (label, (v, raised)) in compute(&histogram) {
                forced |= raised;
                let mut result = element.clone();
                result.point = Point::Float(v);
                self.drop_name(&mut result);
                if let Some((name, value)) = label {
                    result.labels = result.labels.with(name, value);
                }
                out.push(result);
            }
            if forced {
                self.notes.info(
                    operand.span,
                    &format!(
                        "input to histogram_quantile needed to be fixed for monotonicity (see \
                         https://prometheus.io/docs/prometheus/latest/querying/functions/\
                         #histogram_quantile){}",
                        for_metric(element.labels.name())
                    ),
                );
            }
        }
        Ok(out)
    }
}

fn arg(call: &Call, i: usize) -> Eval<&Expr> {
    call.args
        .get(i)
        .ok_or_else(|| QueryError::Execution("BUG: an argument is missing".to_owned()))
}

fn text(expr: &Expr) -> Eval<&str> {
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
    let labels = match operand.selector() {
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
