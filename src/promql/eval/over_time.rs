//! Functions over the samples of a range.

use std::sync::Arc;

use crate::model::Labels;

use super::super::ast::{Call, Edges, Span};
use super::super::functions::histogram_rate::{self, Changes, Remark};
use super::super::functions::{Over, aggregate_over_time as over, rate, regression};
use super::call::arg;
use super::histogram_total::HistogramTotal;
use super::value::{Point, Vector, Window, Windows};
use super::{Element, Eval, Evaluation, not_a, one_metric};

impl Evaluation<'_> {
    pub(super) fn over_time(&self, call: &Call, kind: Over, t: i64) -> Eval<Vector> {
        let at = usize::from(kind == Over::Quantile);
        let mut numbers = Vec::new();
        for (i, e) in call.args.iter().enumerate() {
            if i != at {
                numbers.push(self.scalar(e, t)?);
            }
        }
        let operand = arg(call, at)?;
        let windows = self.windows(operand, t)?;
        if kind == Over::Quantile && windows.series.iter().any(|w| !w.floats.is_empty()) {
            self.check_quantile(numbers[0], call.args[0].span);
        }
        if kind == Over::DoubleExponentialSmoothing && !windows.series.is_empty() {
            regression::check_factors(numbers[0], numbers[1])?;
        }
        let edges = operand.bare().selector().map_or(Edges::Plain, |s| s.edges);
        let one = one_metric(windows.series.iter().map(|w| &w.labels));
        let mut out = Vec::with_capacity(windows.series.len());
        for window in &windows.series {
            let value = if edges == Edges::Plain {
                self.reduce(kind, window, &windows, &numbers, t, operand.span)?
            } else {
                self.extended(kind, edges, window, &windows, operand.span)
            };
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

    /// The value of one window; nothing when it has none.
    pub(super) fn reduce(
        &self,
        kind: Over,
        window: &Window<'_>,
        windows: &Windows<'_>,
        numbers: &[f64],
        t: i64,
        span: Span,
    ) -> Eval<Option<Point>> {
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
            if kind.takes_histograms() {
                return Ok(self.reduce_histograms(kind, window, windows, span));
            }
            // A single float gives no trend, but is told of all the same.
            if !window.floats.is_empty() {
                self.notes.info(
                    span,
                    &format!(
                        "ignored histograms in a range containing both floats and histograms \
                         for metric name {:?}",
                        window.labels.name()
                    ),
                );
            }
        }
        if window.floats.is_empty() {
            return Ok(None);
        }
        self.reduce_floats(kind, window, windows, numbers, t, span)
    }

    /// A window with histograms, with or without floats.
    fn reduce_histograms(
        &self,
        kind: Over,
        window: &Window<'_>,
        windows: &Windows<'_>,
        span: Span,
    ) -> Option<Point> {
        let histograms = &window.histograms[..];
        if matches!(kind, Over::Changes | Over::Resets) {
            let resets = kind == Over::Resets;
            return Some(Point::Float(histogram_rate::count_changes(window, resets)));
        }
        let name = window.labels.name();
        if matches!(kind, Over::Irate | Over::Idelta) {
            return self.last_two(kind == Over::Irate, window, span);
        }
        if !window.floats.is_empty() {
            self.note_mixed_types(name, span);
            return None;
        }
        if matches!(kind, Over::Sum | Over::Avg) {
            let all = histograms.iter().map(|(_, h)| &**h);
            let Ok(total) = HistogramTotal::of(all, kind == Over::Avg) else {
                self.note_mixed_schemas(name, span);
                return None;
            };
            let total = total?;
            self.note_met(total.met(), span, "aggregation");
            return Some(Point::Histogram(Arc::new(total.value())));
        }
        let range = rate::Range {
            from: windows.from,
            to: windows.to,
        };
        let (counter, per_second) = (kind != Over::Delta, kind == Over::Rate);
        self.changed(
            range.of_histograms(histograms, counter, per_second),
            name,
            span,
        )
    }

    /// irate (`counter`) or idelta where one of the samples is a histogram.
    fn last_two(&self, counter: bool, window: &Window<'_>, span: Span) -> Option<Point> {
        let name = window.labels.name();
        let floats = &window.floats[..];
        let histograms = &window.histograms[..];
        let last_float = floats.last().map(|s| s.t.millis());
        match histograms {
            [.., a, b] if last_float.is_none_or(|t| t < a.0) => {
                self.changed(histogram_rate::of_last_two(a, b, counter), name, span)
            }
            _ if matches!(floats, [.., a, _] if histograms.last().is_none_or(|h| h.0 < a.t.millis())) =>
            {
                let value = if counter {
                    rate::irate(floats)
                } else {
                    rate::idelta(floats)
                };
                value.map(Point::Float)
            }
            _ if window.len() < 2 => None,
            _ => {
                self.note_mixed_types(name, span);
                None
            }
        }
    }

    pub(super) fn changed(&self, changes: Changes, name: &str, span: Span) -> Option<Point> {
        for remark in changes.remarks {
            self.remark(remark, name, span);
        }
        changes.value.map(|h| Point::Histogram(Arc::new(h)))
    }

    fn reduce_floats(
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
        if value.is_some() && matches!(kind, Over::Rate | Over::Increase) {
            self.note_no_counter(&window.labels, span);
        }
        Ok(value.map(Point::Float))
    }

    pub(super) fn note_no_counter(&self, labels: &Labels, span: Span) {
        let name = labels.name();
        let counter = ["_total", "_sum", "_count", "_bucket"]
            .iter()
            .any(|end| name.ends_with(end));
        if name.is_empty() || counter {
            return;
        }
        let said = |n: &(Span, String)| n.0 == span && n.1 == name;
        if self.no_counter.borrow().as_ref().is_some_and(said) {
            return;
        }
        *self.no_counter.borrow_mut() = Some((span, name.to_owned()));
        self.notes.info(
            span,
            &format!(
                "metric might not be a counter, name does not end in \
                 _total/_sum/_count/_bucket: {name:?}"
            ),
        );
    }

    pub(super) fn note_mixed_types(&self, name: &str, span: Span) {
        self.notes.warn(
            span,
            &format!("encountered a mix of histograms and floats for metric name {name:?}"),
        );
    }

    pub(super) fn note_mixed_schemas(&self, name: &str, span: Span) {
        self.remark(Remark::MixedSchemas, name, span);
    }

    pub(super) fn remark(&self, remark: Remark, name: &str, span: Span) {
        let warn = |text: String| self.notes.warn(span, &text);
        match remark {
            Remark::MixedSchemas => warn(format!(
                "vector contains a mix of histograms with exponential and custom buckets schemas \
                 for metric name {name:?}"
            )),
            Remark::NotCounter => warn(format!(
                "this native histogram metric is not a counter: {name:?}"
            )),
            Remark::NotGauge => {
                warn(format!(
                    "this native histogram metric is not a gauge: {name:?}"
                ));
            }
            Remark::BoundsInAddition | Remark::BoundsInSubtraction => {
                let doing = if remark == Remark::BoundsInAddition {
                    "addition"
                } else {
                    "subtraction"
                };
                self.notes.info(
                    span,
                    &format!("mismatched custom buckets were reconciled during {doing}"),
                );
            }
        }
    }
}
