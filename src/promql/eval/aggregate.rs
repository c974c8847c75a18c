//! Aggregations.

use std::sync::Arc;

use crate::model::QueryError;
use crate::model::histogram::{Met, go_float};

use super::super::ast::{Aggregate, AggregateOp, Span};
use super::super::functions::labels::{check_name, count_text};
use super::super::functions::sample;
use super::call::{as_float, by_value};
use super::group::{Groups, Key};
use super::histogram_total::HistogramTotal;
use super::sum::{Kahan, Mean, quantile};
use super::value::{Element, Point, Vector};
use super::{Eval, Evaluation, not_a};

impl Evaluation<'_> {
    pub(super) fn aggregate(&self, a: &Aggregate, span: Span, t: i64) -> Eval<Vector> {
        if let Some(vector) = self.grouped(a) {
            return Ok(vector);
        }
        match a.op {
            AggregateOp::CountValues => self.count_values(a, t),
            AggregateOp::Topk | AggregateOp::Bottomk | AggregateOp::Limitk => {
                let Some(k) = self.how_many(a, t)? else {
                    return Ok(Vec::new());
                };
                let vector = self.vector(&a.expr, t)?;
                self.work(vector.len())?;
                Ok(self.pick(a, span, k, vector))
            }
            AggregateOp::LimitRatio => {
                let Some(ratio) = self.ratio(a, t)? else {
                    return Ok(Vec::new());
                };
                let mut vector = self.vector(&a.expr, t)?;
                self.work(vector.len())?;
                vector.retain(|e| in_ratio(ratio, sample::hash(&e.labels)));
                Ok(vector)
            }
            AggregateOp::Quantile => {
                let (q, span) = self.param(a, t)?;
                self.check_quantile(q, span);
                let vector = self.vector(&a.expr, t)?;
                self.reduce_groups(a, vector, |_| Values { q, all: Vec::new() })
            }
            AggregateOp::Sum => self.totals::<Kahan>(a, t, false),
            AggregateOp::Avg => self.totals::<Mean>(a, t, true),
            AggregateOp::Count => self.reduced::<Count>(a, t),
            AggregateOp::Group => self.reduced::<Group>(a, t),
            AggregateOp::Min => self.reduced::<Extreme<false>>(a, t),
            AggregateOp::Max => self.reduced::<Extreme<true>>(a, t),
            AggregateOp::Stddev => self.reduced::<Spread<true>>(a, t),
            AggregateOp::Stdvar => self.reduced::<Spread<false>>(a, t),
        }
    }

    fn reduced<S: State + Default>(&self, a: &Aggregate, t: i64) -> Eval<Vector> {
        let vector = self.vector(&a.expr, t)?;
        self.reduce_groups(a, vector, |_| S::default())
    }

    fn reduce_groups<S: State>(
        &self,
        a: &Aggregate,
        vector: Vector,
        start: impl Fn(&Element) -> S,
    ) -> Eval<Vector> {
        self.work(vector.len())?;
        let key = key(a);
        let mut groups = Groups::new(key);
        let mut states: Vec<(S, bool)> = Vec::new();
        for element in &vector {
            let value = match &element.point {
                Point::Float(v) => *v,
                Point::Histogram(_) => match S::HISTOGRAMS {
                    // What it holds does not matter.
                    Histograms::Counted => 0.0,
                    Histograms::Ignored => {
                        self.note_ignored(a, a.expr.span);
                        continue;
                    }
                },
            };
            let (group, new) = groups.insert(&element.labels);
            if new {
                states.push((start(element), false));
            }
            states[group].1 |= element.drop_name;
            states[group].0.add(value);
        }
        Ok(states
            .into_iter()
            .enumerate()
            .map(|(i, (state, drop_name))| Element {
                labels: key.of(groups.first(i)),
                point: Point::Float(state.value()),
                drop_name,
            })
            .collect())
    }

    /// Sums or means; floats and histograms do not mix.
    fn totals<T: Total>(&self, a: &Aggregate, t: i64, mean: bool) -> Eval<Vector> {
        let vector = self.vector(&a.expr, t)?;
        self.work(vector.len())?;
        let key = key(a);
        let mut groups = Groups::new(key);
        let mut states: Vec<GroupTotal<T>> = Vec::new();
        for element in &vector {
            let (group, new) = groups.insert(&element.labels);
            if new {
                states.push(GroupTotal {
                    drop_name: element.drop_name,
                    floats: None,
                    histograms: None,
                    mixed: false,
                    incompatible: false,
                });
            }
            let state = &mut states[group];
            if state.incompatible {
                continue;
            }
            state.drop_name |= element.drop_name;
            match (&element.point, &mut state.histograms) {
                (Point::Float(v), histograms) => {
                    state.mixed |= histograms.is_some();
                    state.floats.get_or_insert_default().add(*v);
                }
                // After a float there will be no result, whatever the histogram.
                (Point::Histogram(_), None) if state.floats.is_some() => state.mixed = true,
                (Point::Histogram(h), None) => {
                    state.histograms = Some(HistogramTotal::new(h, mean));
                }
                (Point::Histogram(h), Some(total)) => {
                    if total.add(h).is_err() {
                        state.incompatible = true;
                        self.note_mixed_schemas(element.labels.name(), a.expr.span);
                    }
                }
            }
        }
        let mut out = Vec::with_capacity(states.len());
        for (i, state) in states.into_iter().enumerate() {
            if state.mixed {
                self.notes.warn(
                    a.expr.span,
                    "encountered a mix of histograms and floats for aggregation",
                );
            }
            let met = state.histograms.as_ref().map(HistogramTotal::met);
            let valid = !state.mixed && !state.incompatible;
            if let Some(met) = met {
                let met = Met {
                    hints_conflict: met.hints_conflict && valid,
                    ..met
                };
                self.note_met(met, a.expr.span, "aggregation");
            }
            let point = match (state.floats, state.histograms) {
                (Some(floats), None) if valid => Point::Float(floats.value()),
                (None, Some(total)) if valid => Point::Histogram(Arc::new(total.value())),
                (_, _) => continue,
            };
            out.push(Element {
                labels: key.of(groups.first(i)),
                point,
                drop_name: state.drop_name,
            });
        }
        Ok(out)
    }

    fn note_ignored(&self, a: &Aggregate, span: Span) {
        self.notes.info(
            span,
            &format!("ignored histogram in {} aggregation", a.op.as_str()),
        );
    }

    fn param(&self, a: &Aggregate, t: i64) -> Eval<(f64, Span)> {
        match &a.param {
            Some(e) => Ok((self.scalar(e, t)?, e.span)),
            None => Err(not_a("an aggregation with a parameter")),
        }
    }

    /// The `k` of topk and its like; `None` when it selects nothing.
    fn how_many(&self, a: &Aggregate, t: i64) -> Eval<Option<usize>> {
        let (k, _) = self.param(a, t)?;
        if k.is_nan() {
            return Err(QueryError::Execution("Parameter value is NaN".to_owned()));
        }
        if k.abs() >= 9_223_372_036_854_775_807.0 {
            return Err(QueryError::Execution(format!(
                "Scalar value {} {} int64",
                go_float(k),
                if k > 0.0 { "overflows" } else { "underflows" }
            )));
        }
        Ok((k >= 1.0).then_some(k as usize))
    }

    fn ratio(&self, a: &Aggregate, t: i64) -> Eval<Option<f64>> {
        let (ratio, span) = self.param(a, t)?;
        if ratio.is_nan() {
            return Err(QueryError::Execution("Ratio value is NaN".to_owned()));
        }
        let capped = ratio.clamp(-1.0, 1.0);
        if capped != ratio {
            self.notes.warn(
                span,
                &format!(
                    "ratio value should be between -1 and 1, got {}, capping to {}",
                    go_float(ratio),
                    go_float(capped)
                ),
            );
        }
        Ok((ratio != 0.0).then_some(capped))
    }

    /// The first `k` of each group in the order of the operator.
    fn pick(&self, a: &Aggregate, span: Span, k: usize, vector: Vector) -> Vector {
        let mut groups = Groups::new(key(a));
        let mut picked: Vec<Vector> = Vec::new();
        for element in vector {
            if a.op != AggregateOp::Limitk && as_float(&element.point).is_none() {
                self.note_ignored(a, span);
                continue;
            }
            let (group, new) = groups.insert(&element.labels);
            if new {
                picked.push(Vec::new());
            }
            let members = &mut picked[group];
            if a.op == AggregateOp::Limitk {
                if members.len() < k {
                    members.push(element);
                }
                continue;
            }
            // Kept sorted; an equal value does not push out an earlier one.
            let descending = a.op == AggregateOp::Topk;
            let at = members.partition_point(|m| by_value(m, &element, descending).is_le());
            if at < k {
                members.insert(at, element);
                members.truncate(k);
            }
        }
        picked.into_iter().flatten().collect()
    }

    fn count_values(&self, a: &Aggregate, t: i64) -> Eval<Vector> {
        let label = a
            .param
            .as_ref()
            .and_then(|p| p.as_string())
            .ok_or_else(|| not_a("count_values with a label"))?;
        check_name(label)?;
        let vector = self.vector(&a.expr, t)?;
        self.work(vector.len())?;
        // As upstream: the label is set first, and grouping may take it away again.
        let mut names = a.labels.clone();
        let key = if a.without {
            Key::Without(&a.labels)
        } else {
            names.push(label.to_owned());
            Key::Only(&names)
        };
        let mut groups = Groups::new(Key::All);
        let mut out: Vector = Vec::new();
        for element in &vector {
            let value = match &element.point {
                Point::Float(v) => count_text(*v),
                Point::Histogram(h) => h.to_string(),
            };
            self.budget.hold_text(value.len())?;
            let labels = key.of(&element.labels.with(label, &value));
            let (group, new) = groups.insert(&labels);
            if new {
                out.push(Element {
                    labels,
                    point: Point::Float(0.0),
                    drop_name: false,
                });
            }
            if let Point::Float(n) = &mut out[group].point {
                *n += 1.0;
            }
        }
        Ok(out)
    }
}

pub(super) fn key(a: &Aggregate) -> Key<'_> {
    if a.without {
        Key::Without(&a.labels)
    } else {
        Key::Only(&a.labels)
    }
}

/// True when a series is in the chosen share: `ratio` > 0 takes the first share, < 0 the last, so
/// that r and r-1 complement each other. As upstream, down to the hash.
fn in_ratio(ratio: f64, hash: u64) -> bool {
    let place = hash as f64 / u64::MAX as f64;
    if ratio >= 0.0 {
        place < ratio
    } else {
        place >= 1.0 + ratio
    }
}

/// How an aggregation takes native histograms.
pub(super) enum Histograms {
    Counted,
    Ignored,
}

/// What an aggregation remembers of one group.
pub(super) trait State {
    const HISTOGRAMS: Histograms;
    fn add(&mut self, v: f64);
    fn value(self) -> f64;
}

/// A sum or a mean of floats.
pub(super) trait Total: Default {
    fn add(&mut self, v: f64);
    fn value(self) -> f64;
}

impl Total for Kahan {
    fn add(&mut self, v: f64) {
        Kahan::add(self, v);
    }

    fn value(self) -> f64 {
        Kahan::total(self)
    }
}

impl Total for Mean {
    fn add(&mut self, v: f64) {
        Mean::add(self, v);
    }

    fn value(self) -> f64 {
        Mean::value(self)
    }
}

/// What a sum or mean remembers of one group.
struct GroupTotal<T> {
    drop_name: bool,
    floats: Option<T>,
    histograms: Option<HistogramTotal>,
    /// Floats and histograms came together.
    mixed: bool,
    incompatible: bool,
}

#[derive(Default)]
pub(super) struct Count(f64);

impl State for Count {
    const HISTOGRAMS: Histograms = Histograms::Counted;

    fn add(&mut self, _: f64) {
        self.0 += 1.0;
    }

    fn value(self) -> f64 {
        self.0
    }
}

#[derive(Default)]
pub(super) struct Group;

impl State for Group {
    const HISTOGRAMS: Histograms = Histograms::Counted;

    fn add(&mut self, _: f64) {}

    fn value(self) -> f64 {
        1.0
    }
}

pub(super) struct Extreme<const MAX: bool>(f64);

impl<const MAX: bool> Default for Extreme<MAX> {
    fn default() -> Self {
        Extreme(f64::NAN)
    }
}

impl<const MAX: bool> State for Extreme<MAX> {
    const HISTOGRAMS: Histograms = Histograms::Ignored;

    fn add(&mut self, v: f64) {
        let better = if MAX { v > self.0 } else { v < self.0 };
        if better || self.0.is_nan() {
            self.0 = v;
        }
    }

    fn value(self) -> f64 {
        self.0
    }
}

#[derive(Default)]
pub(super) struct Spread<const ROOT: bool> {
    count: f64,
    mean: f64,
    squares: f64,
}

impl<const ROOT: bool> State for Spread<ROOT> {
    const HISTOGRAMS: Histograms = Histograms::Ignored;

    fn add(&mut self, v: f64) {
        self.count += 1.0;
        let delta = v - self.mean;
        self.mean += delta / self.count;
        self.squares += delta * (v - self.mean);
    }

    fn value(self) -> f64 {
        let variance = self.squares / self.count;
        if ROOT { variance.sqrt() } else { variance }
    }
}

struct Values {
    q: f64,
    all: Vec<f64>,
}

impl State for Values {
    const HISTOGRAMS: Histograms = Histograms::Ignored;

    fn add(&mut self, v: f64) {
        self.all.push(v);
    }

    fn value(mut self) -> f64 {
        quantile(self.q, &mut self.all)
    }
}
