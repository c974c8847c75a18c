//! Selectors with `anchored` or `smoothed` ends.

use std::borrow::Cow;
use std::sync::Arc;

use crate::model::QueryError;
use crate::model::histogram::ResetHint;

use super::super::ast::{Edges, Expr, ExprKind, Selector, Span};
use super::super::functions::histogram_rate::count_changes;
use super::super::functions::{Func, Over, extended, rate};
use super::value::{HistogramAt, Point, Window, Windows};
use super::{Element, Eval, Evaluation, Loaded, within};

/// Refuses functions that extended ranges mean nothing to.
pub(super) fn check(expr: &Expr) -> Eval<()> {
    let ExprKind::Call(call) = &expr.kind else {
        return Ok(());
    };
    let over = if let Func::OverTime(over) = call.function.id {
        Some(over)
    } else {
        None
    };
    for arg in &call.args {
        let ExprKind::Range { selector, .. } = &arg.bare().kind else {
            continue;
        };
        let rates = matches!(over, Some(Over::Delta | Over::Increase | Over::Rate));
        let counts = matches!(over, Some(Over::Changes | Over::Resets));
        let (word, allowed, ok) = match selector.edges {
            Edges::Plain => continue,
            Edges::Anchored => (
                "anchored",
                "changes, delta, increase, rate, resets",
                rates || counts,
            ),
            Edges::Smoothed => ("smoothed", "delta, increase, rate", rates),
        };
        if !ok {
            return Err(QueryError::Execution(format!(
                "{word} modifier can only be used with: {allowed} - not with {}",
                call.function.name
            )));
        }
    }
    Ok(())
}

impl Evaluation<'_> {
    /// Elements of a smoothed selector at `at`: on the line between the samples around it, or
    /// the last one when none follows.
    pub(super) fn smoothed_at(&self, selector: &Selector, at: i64) -> Eval<Vec<(Element, i64)>> {
        let (from, to) = self.reach(Edges::Smoothed, at, at);
        let mut out = Vec::new();
        for series in &*self.loaded[selector.id] {
            let floats = within(&series.floats, from, to, |s| s.t.millis());
            let histograms = within(&series.histograms, from, to, |h| h.0);
            self.work(floats.len() + histograms.len())?;
            let point = if histograms.is_empty() {
                let next = floats.partition_point(|s| s.t.millis() < at);
                match (next.checked_sub(1), floats.get(next)) {
                    (_, Some(s)) if s.t.millis() == at => Some(Point::Float(s.v)),
                    (Some(i), Some(s)) => {
                        Some(Point::Float(extended::between(floats[i], *s, at, false)))
                    }
                    (Some(i), None) => Some(Point::Float(floats[i].v)),
                    (None, _) => None,
                }
            } else if floats.is_empty() {
                self.smoothed_histogram(series, histograms, at, selector.span)
            } else {
                self.note_mixed_types(series.labels.name(), selector.span);
                None
            };
            if let Some(point) = point {
                out.push((Element::new(series.labels.clone(), point), at));
            }
        }
        Ok(out)
    }

    fn smoothed_histogram(
        &self,
        series: &Loaded,
        histograms: &[HistogramAt],
        at: i64,
        span: Span,
    ) -> Option<Point> {
        let next = histograms.partition_point(|h| h.0 < at);
        let exact = histograms.get(next).filter(|h| h.0 == at);
        if let Some((_, h)) = exact {
            return Some(Point::Histogram(h.clone()));
        }
        let before = &histograms[next.checked_sub(1)?];
        let Some(after) = histograms.get(next) else {
            return Some(Point::Histogram(before.1.clone()));
        };
        let counter = after.1.reset_hint != ResetHint::Gauge;
        let name = series.labels.name();
        if before.1.is_custom() != after.1.is_custom() {
            self.note_mixed_schemas(name, span);
            return None;
        }
        let mut remarks = Vec::new();
        let between = extended::histogram_between(before, after, at, counter, &mut remarks);
        for remark in remarks {
            self.remark(remark, name, span);
        }
        between.ok().map(|h| Point::Histogram(Arc::new(h)))
    }

    /// Functions over a range with extended ends.
    pub(super) fn extended(
        &self,
        kind: Over,
        edges: Edges,
        window: &Window<'_>,
        windows: &Windows<'_>,
        span: Span,
    ) -> Option<Point> {
        let range = rate::Range {
            from: windows.from,
            to: windows.to,
        };
        let smoothed = edges == Edges::Smoothed;
        let name = window.labels.name();
        if matches!(kind, Over::Changes | Over::Resets) {
            let (floats, histograms) =
                extended::anchored(range, &window.floats, &window.histograms);
            let inside = floats.iter().any(|s| s.t.millis() > range.from)
                || histograms.iter().any(|h| h.0 > range.from);
            let window = Window {
                labels: window.labels.clone(),
                drop_name: window.drop_name,
                floats: Cow::Owned(floats),
                histograms: Cow::Owned(histograms),
            };
            return inside.then(|| Point::Float(count_changes(&window, kind == Over::Resets)));
        }
        let counter = kind != Over::Delta;
        match (window.floats.is_empty(), window.histograms.is_empty()) {
            (false, false) => {
                self.note_mixed_types(name, span);
                None
            }
            (true, _) => {
                let as_rate = (counter, kind == Over::Rate);
                let changes = range.extended_histograms(&window.histograms, as_rate, smoothed);
                self.changed(changes, name, span)
            }
            (false, true) => {
                if counter {
                    self.note_no_counter(&window.labels, span);
                }
                let change = range.extended(&window.floats, counter, smoothed)?;
                let seconds = (range.to - range.from) as f64 / 1000.0;
                Some(Point::Float(if kind == Over::Rate {
                    change / seconds
                } else {
                    change
                }))
            }
        }
    }
}
