//! Aggregations of a function over a range, computed series by series while reading.
//!
//! What must stay true: value, order, annotations and limits are those of reading everything
//! first; only one series' samples are in memory at a time.

use std::borrow::Cow;
use std::cell::RefCell;

use crate::model::labels::NAME;
use crate::model::{
    Grouped, Labels, MatchOp, Matcher, QueryError, SeriesSource, Shown, Timestamp, is_stale_nan,
};

use super::super::ast::{Aggregate, AggregateOp, Edges, Expr, ExprKind, Length, Selector, Span};
use super::super::functions::{Func, Over};
use super::aggregate::{Count, Extreme, Group, Spread, State, Total, key};
use super::call::as_float;
use super::load::cost;
use super::sum::{Kahan, Mean};
use super::value::{Element, METADATA, Vector, Window, Windows};
use super::{Eval, Evaluation};

/// An aggregation that can be computed while reading.
struct Plain<'a> {
    a: &'a Aggregate,
    call: &'a Expr,
    kind: Over,
    span: Span,
    selector: &'a Selector,
    range: &'a Length,
    /// The one metric that is read.
    name: &'a str,
}

impl Evaluation<'_> {
    /// Computes `a` at `t` while reading what it selects; false when that is to be read first.
    pub(super) fn load_grouped(
        &mut self,
        source: &dyn SeriesSource,
        a: &Aggregate,
        t: i64,
    ) -> Eval<bool> {
        // With delayed removal the metric name is a label like others.
        let Some(plain) = plain(a).filter(|_| !self.options.delayed_name_removal) else {
            return Ok(false);
        };
        // What others read too is read once.
        let shared = self.shared.is_some_and(|s| {
            s.part_number(plain.call).is_some() || s.read_number(plain.selector).is_some()
        });
        if shared {
            return Ok(false);
        }
        match a.op {
            AggregateOp::Sum => {
                self.grouped_by::<Kahan>(source, &plain, t, Total::add, Total::value)
            }
            AggregateOp::Avg => {
                self.grouped_by::<Mean>(source, &plain, t, Total::add, Total::value)
            }
            AggregateOp::Count => self.grouped_state::<Count>(source, &plain, t),
            AggregateOp::Group => self.grouped_state::<Group>(source, &plain, t),
            AggregateOp::Min => self.grouped_state::<Extreme<false>>(source, &plain, t),
            AggregateOp::Max => self.grouped_state::<Extreme<true>>(source, &plain, t),
            AggregateOp::Stddev => self.grouped_state::<Spread<true>>(source, &plain, t),
            AggregateOp::Stdvar => self.grouped_state::<Spread<false>>(source, &plain, t),
            AggregateOp::Bottomk
            | AggregateOp::CountValues
            | AggregateOp::LimitRatio
            | AggregateOp::Limitk
            | AggregateOp::Quantile
            | AggregateOp::Topk => Ok(false),
        }
    }

    /// What `a` gave while reading.
    pub(super) fn grouped(&self, a: &Aggregate) -> Option<Vector> {
        if self.grouped.is_empty() {
            return None;
        }
        self.grouped.get(&plain(a)?.selector.id).cloned()
    }

    fn grouped_state<S: State + Default>(
        &mut self,
        source: &dyn SeriesSource,
        plain: &Plain<'_>,
        t: i64,
    ) -> Eval<bool> {
        self.grouped_by::<S>(source, plain, t, S::add, S::value)
    }

    fn grouped_by<S: Default>(
        &mut self,
        source: &dyn SeriesSource,
        plain: &Plain<'_>,
        t: i64,
        add: impl Fn(&mut S, f64),
        value: impl Fn(S) -> f64,
    ) -> Eval<bool> {
        let to = self.shifted(&plain.selector.shift, t)?;
        let from = to.saturating_sub(self.positive(plain.range)?);
        let windows = Windows {
            from,
            to,
            series: Vec::new(),
        };
        let name = Labels::from_pairs([(NAME, plain.name)]);
        let matchers = &plain.selector.matchers;
        let (key, matching) = (key(plain.a), cost(matchers));
        let what = Grouped {
            matchers,
            from: Timestamp(from),
            to: Timestamp(to),
            counts: &|label| key.counts(label) && !METADATA.contains(&label),
            lacking: &["__type__", "__unit__"],
        };
        let failed: RefCell<Option<QueryError>> = RefCell::default();
        let ok = |done: Eval<()>| match done {
            Ok(()) => true,
            Err(e) => {
                *failed.borrow_mut() = Some(e);
                false
            }
        };
        let mut series_read = 0;
        // Of each group of the source, its place among those that have a value.
        let mut places: Vec<Option<usize>> = Vec::new();
        let mut states: Vec<(Labels, S)> = Vec::new();
        self.at.set(plain.selector.span);
        let done = source.each_grouped(
            &what,
            &mut |samples| {
                if failed.borrow().is_some() {
                    return false;
                }
                // As if all were kept: a query has the same limits however it is read.
                let kept = if samples > 0 { samples + 2 } else { 0 };
                ok(self.work(matching + samples).and_then(|()| self.hold(kept)))
            },
            &mut |shown: Shown<'_>| {
                series_read += 1;
                shown.samples.retain(|s| !is_stale_nan(s.v));
                if shown.samples.is_empty() {
                    return true;
                }
                let window = Window {
                    labels: name.clone(),
                    drop_name: false,
                    floats: Cow::Borrowed(&shown.samples[..]),
                    histograms: Cow::Borrowed(&[]),
                };
                let reduced = self
                    .work(window.len() + 1)
                    .and_then(|()| self.reduce(plain.kind, &window, &windows, &[], t, plain.span));
                let point = match reduced {
                    Ok(point) => point,
                    Err(e) => return ok(Err(e)),
                };
                let Some(v) = point.as_ref().and_then(as_float) else {
                    return true;
                };
                if places.len() <= shown.group {
                    places.resize(shown.group + 1, None);
                }
                let place = *places[shown.group].get_or_insert_with(|| {
                    states.push(((shown.labels)(), S::default()));
                    states.len() - 1
                });
                add(&mut states[place].1, v);
                true
            },
        );
        if let Some(e) = failed.into_inner() {
            return Err(e);
        }
        if !done {
            return Ok(false);
        }
        self.note_read(source, matchers, from);
        self.series_read += series_read;
        let vector = states
            .into_iter()
            .map(|(labels, state)| Element::float(labels, value(state)))
            .collect();
        self.grouped.insert(plain.selector.id, vector);
        Ok(true)
    }
}

/// `a` when it is of a function over an ordinary range of one metric.
fn plain(a: &Aggregate) -> Option<Plain<'_>> {
    let call = a.expr.bare();
    let ExprKind::Call(c) = &call.kind else {
        return None;
    };
    let (Func::OverTime(kind), [operand]) = (c.function.id, &c.args[..]) else {
        return None;
    };
    let ExprKind::Range { selector, range } = &operand.bare().kind else {
        return None;
    };
    let named = |m: &&Matcher| m.name == NAME && m.op == MatchOp::Equal && !m.value.is_empty();
    let name = &selector.matchers.iter().find(named)?.value;
    let plain = Plain {
        a,
        call,
        kind,
        span: operand.span,
        selector,
        range,
        name,
    };
    (selector.edges == Edges::Plain && !kind.keeps_name()).then_some(plain)
}

#[cfg(test)]
mod tests;
