//! Walks a tree at one time.
//!
//! What must stay true: samples are read from the source once per selector and query, before
//! anything is computed of them but what is computed while reading (`grouped`); what is looked at and what is kept is paid for from the budget; a
//! subquery evaluates its inner expression at most once per step.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::{Labels, QueryError, Sample, SeriesSource, Timestamp, is_stale_nan};

use super::ast::{At, BinaryOp, Edges, Expr, ExprKind, Length, Selector, Shift, Span, Subquery};
use super::engine::EngineOptions;
use super::share::{Cost, Part, Shared};

mod aggregate;
mod binary;
pub(crate) mod budget;
mod call;
pub(crate) mod group;
mod grouped;
mod hints;
mod histogram_call;
pub(crate) mod histogram_total;
mod info;
mod load;
pub(crate) mod notes;
mod over_time;
mod part;
mod smoothed;
pub(crate) mod sum;
pub(crate) mod value;

use budget::Budget;
pub(crate) use hints::told as tells_resets;
pub(crate) use info::matchers as info_matchers;
use notes::Notes;
use value::{Element, HistogramAt, METADATA, Point, Vector, Window, Windows, without_metadata};

pub(crate) type Eval<T> = Result<T, QueryError>;

/// The times of a query in milliseconds; `step` is 0 for an instant query.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) step: i64,
}

/// One query under way.
pub(crate) struct Evaluation<'q> {
    options: &'q EngineOptions,
    times: Times,
    loaded: Vec<Arc<Vec<Loaded>>>,
    /// Aggregations that were computed while reading, by the number of their selector.
    grouped: BTreeMap<usize, Vector>,
    results: Vec<RefCell<Steps>>,
    pub(crate) notes: Notes<'q>,
    pub(crate) budget: Budget,
    /// Where the node under evaluation stands, for errors that are of no node.
    at: Cell<Span>,
    pub(crate) series_read: usize,
    /// The metric last said to be no counter, and where; every series of it would say the same.
    no_counter: RefCell<Option<(Span, String)>>,
    shared: Option<&'q Shared>,
    /// Shared parts that are known, by number, and what it cost to load the others.
    parts: RefCell<BTreeMap<usize, Part>>,
    loading: BTreeMap<usize, Cost>,
}

/// A series with what a selector reads of it.
pub(crate) struct Loaded {
    labels: Labels,
    floats: Vec<Sample>,
    histograms: Vec<HistogramAt>,
}

/// A subquery's inner results by time.
type Steps = BTreeMap<i64, Arc<Vector>>;

impl<'q> Evaluation<'q> {
    /// Reads what `expr` selects.
    pub(crate) fn prepare(
        source: &dyn SeriesSource,
        options: &'q EngineOptions,
        text: &'q str,
        expr: &Expr,
        times: Times,
        shared: Option<&'q Shared>,
    ) -> Eval<Self> {
        let mut evaluation = Evaluation {
            options,
            times,
            loaded: Vec::new(),
            grouped: BTreeMap::new(),
            results: Vec::new(),
            notes: Notes::new(text),
            budget: Budget::new(options),
            at: Cell::default(),
            series_read: 0,
            no_counter: RefCell::default(),
            shared,
            parts: RefCell::default(),
            loading: BTreeMap::new(),
        };
        evaluation.load(source, expr, times.start, times.end, false)?;
        Ok(evaluation)
    }

    /// The instant vector of `expr` at `t`.
    pub(crate) fn vector(&self, expr: &Expr, t: i64) -> Eval<Vector> {
        match self.shared.and_then(|s| Some((s, s.part_number(expr)?))) {
            Some((shared, number)) => self.shared_vector(shared, number, expr, t),
            None => self.own_vector(expr, t),
        }
    }

    fn own_vector(&self, expr: &Expr, t: i64) -> Eval<Vector> {
        self.at.set(expr.span);
        match &expr.kind {
            ExprKind::Paren(e) => self.vector(e, t),
            ExprKind::Unary { negative, expr: e } => self.unary(*negative, e, t),
            ExprKind::Binary(b) => self.binary(b, expr.span, t),
            ExprKind::Aggregate(a) => self.aggregate(a, expr.span, t),
            ExprKind::Call(c) => self.call(c, expr.span, t),
            ExprKind::Selector(s) => Ok(self
                .instant(s, t)?
                .into_iter()
                .map(|(element, _)| element)
                .collect()),
            ExprKind::Number(_)
            | ExprKind::String(_)
            | ExprKind::Range { .. }
            | ExprKind::Subquery(_) => Err(not_a("an instant vector")),
        }
    }

    /// The number of `expr` at `t`.
    pub(crate) fn scalar(&self, expr: &Expr, t: i64) -> Eval<f64> {
        match &expr.kind {
            ExprKind::Number(v) => Ok(*v),
            ExprKind::Paren(e) => self.scalar(e, t),
            ExprKind::Unary { negative, expr: e } => {
                let v = self.scalar(e, t)?;
                Ok(if *negative { -v } else { v })
            }
            ExprKind::Binary(b) => {
                let (left, right) = (self.scalar(&b.left, t)?, self.scalar(&b.right, t)?);
                Ok(binary::of_floats(b.op, left, right))
            }
            ExprKind::Call(c) => self.scalar_call(c, t),
            ExprKind::String(_)
            | ExprKind::Aggregate(_)
            | ExprKind::Selector(_)
            | ExprKind::Range { .. }
            | ExprKind::Subquery(_) => Err(not_a("a scalar")),
        }
    }

    /// The samples of a range selector or subquery for the evaluation at `t`.
    pub(crate) fn windows(&self, expr: &Expr, t: i64) -> Eval<Windows<'_>> {
        self.at.set(expr.span);
        let windows = match &expr.bare().kind {
            ExprKind::Range { selector, range } => self.selected(selector, range, t)?,
            ExprKind::Subquery(s) => self.subquery(s, t)?,
            ExprKind::Number(_)
            | ExprKind::String(_)
            | ExprKind::Paren(_)
            | ExprKind::Unary { .. }
            | ExprKind::Binary(_)
            | ExprKind::Aggregate(_)
            | ExprKind::Call(_)
            | ExprKind::Selector(_) => return Err(not_a("a range vector")),
        };
        for window in &windows.series {
            self.work(window.floats.len() + 16 * window.histograms.len())?;
        }
        Ok(windows)
    }

    /// Elements of a selector at `t`, each with the time of its sample.
    fn instant(&self, selector: &Selector, t: i64) -> Eval<Vec<(Element, i64)>> {
        let at = self.shifted(&selector.shift, t)?;
        match selector.edges {
            Edges::Plain | Edges::Anchored => self.instant_at(selector, at),
            Edges::Smoothed => self.smoothed_at(selector, at),
        }
    }

    fn instant_at(&self, selector: &Selector, at: i64) -> Eval<Vec<(Element, i64)>> {
        let oldest = at.saturating_sub(self.options.lookback_millis());
        let mut out = Vec::new();
        for series in &*self.loaded[selector.id] {
            let floats = upto(&series.floats, at, |s| s.t.millis());
            let histograms = upto(&series.histograms, at, |h| h.0);
            let float = floats.last().map(|s| (s.t.millis(), s.v));
            let (time, point) = match (float, histograms.last()) {
                (Some((t, _)), Some((ht, h))) if *ht > t => (*ht, Point::Histogram(h.clone())),
                (None, Some((ht, h))) => (*ht, Point::Histogram(h.clone())),
                (Some((t, v)), _) => (t, Point::Float(v)),
                (None, None) => continue,
            };
            let stale = matches!(point, Point::Float(v) if is_stale_nan(v));
            if time <= oldest || stale {
                continue;
            }
            let element = Element {
                labels: series.labels.clone(),
                point,
                drop_name: false,
            };
            out.push((element, time));
        }
        self.work(self.loaded[selector.id].len())?;
        self.hold(2 * out.len())?;
        Ok(out)
    }

    fn selected(&self, selector: &Selector, range: &Length, t: i64) -> Eval<Windows<'_>> {
        let to = self.shifted(&selector.shift, t)?;
        let from = to.saturating_sub(self.positive(range)?);
        let (first, last) = self.reach(selector.edges, from, to);
        let series = self.loaded[selector.id]
            .iter()
            .map(|s| Window {
                labels: s.labels.clone(),
                drop_name: false,
                floats: Cow::Borrowed(within(&s.floats, first, last, |s| s.t.millis())),
                histograms: Cow::Borrowed(within(&s.histograms, first, last, |h| h.0)),
            })
            .filter(|w| !w.is_empty())
            .collect();
        Ok(Windows { from, to, series })
    }

    /// What is read for a window from `from` to `to`.
    fn reach(&self, edges: Edges, from: i64, to: i64) -> (i64, i64) {
        let lookback = self.options.lookback_millis();
        match edges {
            Edges::Plain => (from, to),
            Edges::Anchored => (from.saturating_sub(lookback), to),
            Edges::Smoothed => (from.saturating_sub(lookback), to.saturating_add(lookback)),
        }
    }

    fn subquery(&self, subquery: &Subquery, t: i64) -> Eval<Windows<'_>> {
        let to = self.shifted(&subquery.shift, t)?;
        let range = self.positive(&subquery.range)?;
        let from = to.saturating_sub(range);
        let step = match &subquery.step {
            Some(step) => self.positive(step)?,
            None => self.options.default_step_millis(),
        };
        let steps = usize::try_from(range / step).unwrap_or(usize::MAX);
        if steps > self.options.max_samples {
            let limit = self.options.max_samples;
            let text = format!("subquery of {steps} steps is over the limit of {limit} samples");
            return Err(self.here(QueryError::Limit(text)));
        }
        let mut at = from.div_euclid(step).saturating_add(1).saturating_mul(step);
        let mut series: Vec<Window<'_>> = Vec::new();
        let mut groups = group::Groups::new(group::Key::All);
        while at <= to {
            let vector = self.step_of(subquery, at)?;
            self.work(vector.len())?;
            self.hold(budget::weight_of(&vector) / 2)?;
            for element in vector.iter() {
                let (i, new) = groups.insert(&element.labels);
                if new {
                    series.push(Window {
                        labels: element.labels.clone(),
                        drop_name: false,
                        floats: Cow::Owned(Vec::new()),
                        histograms: Cow::Owned(Vec::new()),
                    });
                }
                series[i].drop_name |= element.drop_name;
                match &element.point {
                    Point::Float(v) => series[i].floats.to_mut().push(Sample {
                        t: Timestamp(at),
                        v: *v,
                    }),
                    Point::Histogram(h) => {
                        series[i].histograms.to_mut().push((at, hints::without(h)));
                    }
                }
            }
            at = at.saturating_add(step);
        }
        // What lies before this window is not asked for again by a later step.
        if subquery.shift.at.is_none() {
            let mut known = self.results[subquery.id].borrow_mut();
            if known.len() > 2 * steps + 2 {
                *known = known.split_off(&from);
            }
        }
        Ok(Windows { from, to, series })
    }

    fn step_of(&self, subquery: &Subquery, at: i64) -> Eval<Arc<Vector>> {
        let known = self.results[subquery.id].borrow().get(&at).cloned();
        if let Some(vector) = known {
            return Ok(vector);
        }
        self.work(1)?;
        let held = self.budget.held();
        let vector = Arc::new(self.vector(&subquery.expr, at)?);
        // Of all that the step made, its result stays.
        self.budget.release(held);
        self.hold(4 + budget::weight_of(&vector))?;
        self.results[subquery.id]
            .borrow_mut()
            .insert(at, vector.clone());
        Ok(vector)
    }

    fn unary(&self, negative: bool, expr: &Expr, t: i64) -> Eval<Vector> {
        let mut vector = self.vector(expr, t)?;
        if !negative {
            return Ok(vector);
        }
        for element in &mut vector {
            element.point = match &element.point {
                Point::Float(v) => Point::Float(-v),
                Point::Histogram(h) => Point::Histogram(Arc::new(h.times(-1.0))),
            };
        }
        self.nameless(vector)
    }

    /// Removes the metric names, or marks them to be removed at the end; an error when that makes
    /// label sets equal.
    fn nameless(&self, mut vector: Vector) -> Eval<Vector> {
        let one = one_metric(vector.iter().map(|e| &e.labels));
        for element in &mut vector {
            self.drop_name(element);
        }
        if one { Ok(vector) } else { self.unique(vector) }
    }

    fn drop_name(&self, element: &mut Element) {
        if self.options.delayed_name_removal {
            element.drop_name = true;
        } else {
            element.labels = without_metadata(&element.labels);
        }
    }

    fn unique(&self, vector: Vector) -> Eval<Vector> {
        self.work(vector.len())?;
        if group::has_duplicates(vector.iter().map(|e| &e.labels)) {
            return Err(duplicates());
        }
        Ok(vector)
    }

    /// Where a selector or subquery evaluated at `t` ends.
    fn shifted(&self, shift: &Shift, t: i64) -> Eval<i64> {
        let at = match shift.at {
            None => t,
            Some(At::Start) => self.times.start,
            Some(At::End) => self.times.end,
            Some(At::Time(at)) => at,
        };
        match &shift.offset {
            None => Ok(at),
            Some(offset) => Ok(at.saturating_sub(self.length(offset)?)),
        }
    }

    /// A length in milliseconds.
    fn length(&self, length: &Length) -> Eval<i64> {
        length
            .millis(
                self.times.step,
                self.times.end.saturating_sub(self.times.start),
            )
            .ok_or_else(|| QueryError::Execution(format!("duration {length} is out of range here")))
    }

    fn positive(&self, length: &Length) -> Eval<i64> {
        match self.length(length)? {
            ms if ms > 0 => Ok(ms),
            _ => Err(QueryError::Execution(format!(
                "duration must be greater than 0, but {length} is not"
            ))),
        }
    }

    /// Looks at `samples` more; an error when the time is used up.
    pub(crate) fn work(&self, samples: usize) -> Eval<()> {
        self.budget.work(samples).map_err(|e| self.here(e))
    }

    /// Keeps `samples` more in memory; an error when that is too many.
    pub(crate) fn hold(&self, samples: usize) -> Eval<()> {
        self.budget.hold(samples).map_err(|e| self.here(e))
    }

    /// Adds the place under evaluation to an error about a limit.
    pub(crate) fn here(&self, error: QueryError) -> QueryError {
        match error {
            QueryError::Limit(text) => QueryError::Limit(self.notes.placed(self.at.get(), &text)),
            other @ (QueryError::Parse(_) | QueryError::Execution(_)) => other,
        }
    }
}

/// True when metric name, type and unit are the same throughout, so that label sets stay different
/// without them.
fn one_metric<'l>(mut all: impl Iterator<Item = &'l Labels>) -> bool {
    // Few labels start like this; the others are not compared with three names each.
    fn metadata(labels: &Labels) -> impl Iterator<Item = (&str, &str)> {
        labels
            .iter()
            .filter(|(n, _)| n.starts_with("__") && METADATA.contains(n))
    }
    let Some(first) = all.next() else { return true };
    all.all(|l| metadata(l).eq(metadata(first)))
}

/// Elements up to `to`.
fn upto<T>(items: &[T], to: i64, time: impl Fn(&T) -> i64) -> &[T] {
    // Mostly all of them are.
    match items.last() {
        Some(last) if time(last) > to => &items[..items.partition_point(|i| time(i) <= to)],
        _ => items,
    }
}

/// Elements at `from < t <= to`.
fn within<T>(items: &[T], from: i64, to: i64, time: impl Fn(&T) -> i64) -> &[T] {
    let items = upto(items, to, &time);
    match items.first() {
        Some(first) if time(first) <= from => &items[items.partition_point(|i| time(i) <= from)..],
        _ => items,
    }
}

pub(crate) fn duplicates() -> QueryError {
    QueryError::Execution("vector cannot contain metrics with the same labelset".to_owned())
}

/// For what the type check at parse time rules out.
fn not_a(what: &str) -> QueryError {
    QueryError::Execution(format!("BUG: an expression was taken for {what}"))
}

/// 1 or 0.
fn truth(v: bool) -> f64 {
    if v { 1.0 } else { 0.0 }
}

/// True when the operator's result is no longer the metric.
fn changes_meaning(op: BinaryOp) -> bool {
    !op.is_comparison() && !op.is_set() && !op.is_trim()
}

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod tests;
