//! The engine: texts in, answers out.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::model::{
    Answer, Labels, MatrixSeries, Querier, QueryError, Sample, SeriesSource, Session, Timestamp,
    Value, VectorSample,
};

use super::ast::{Expr, ValueType};
use super::eval::budget::weight_of;
use super::eval::value::{Element, Point, SeriesPoints, without_metadata};
use super::eval::{Eval, Evaluation, Times};
use super::needs::LOOKBACK;
use super::parse::{ParseOptions, parse_with};
use super::share::{Plan, Shared, Sharing, hash_of};

/// Most groups of expressions whose common parts are remembered.
const MAX_PLANS: usize = 1000;

/// Called when a query starts; what it returns is true once the query has run for too long.
pub type StartDeadline = Arc<dyn Fn() -> Box<dyn Fn() -> bool> + Send + Sync>;

/// What an engine is told once.
#[derive(Clone)]
pub struct EngineOptions {
    /// How far an instant selector looks back.
    pub lookback: Duration,
    /// Step of a subquery that names none.
    pub default_step: Duration,
    /// Most samples that a query may hold in memory at once; histograms and texts count by their
    /// size.
    pub max_samples: usize,
    /// Most samples that a query may look at, whether held or looked at before. Unlike
    /// `deadline`, it bites at the same place on every machine.
    pub max_work: usize,
    /// Most steps of a range query.
    pub max_points: usize,
    /// Most expressions kept parsed.
    pub max_parsed: usize,
    /// Bounds the time of a query.
    pub deadline: Option<StartDeadline>,
    /// Say so when the source does not keep what is asked. Rules, whose selectors are kept by
    /// construction, may save the look.
    pub warn_unkept: bool,
    /// Language switches.
    pub parse: ParseOptions,
    /// Metric names are removed at the end of the query instead of by each function. Off in a
    /// released Prometheus.
    pub delayed_name_removal: bool,
}

impl Default for EngineOptions {
    fn default() -> Self {
        EngineOptions {
            lookback: LOOKBACK,
            default_step: Duration::from_secs(60),
            max_samples: 5_000_000,
            max_work: usize::MAX,
            max_points: 11_000,
            max_parsed: 20_000,
            deadline: None,
            warn_unkept: true,
            parse: ParseOptions::default(),
            delayed_name_removal: false,
        }
    }
}

impl fmt::Debug for EngineOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineOptions")
            .field("lookback", &self.lookback)
            .field("default_step", &self.default_step)
            .field("max_samples", &self.max_samples)
            .field("max_work", &self.max_work)
            .field("max_points", &self.max_points)
            .field("max_parsed", &self.max_parsed)
            .field("deadline", &self.deadline.is_some())
            .field("warn_unkept", &self.warn_unkept)
            .field("parse", &self.parse)
            .field("delayed_name_removal", &self.delayed_name_removal)
            .finish()
    }
}

impl EngineOptions {
    pub(crate) fn lookback_millis(&self) -> i64 {
        i64::try_from(self.lookback.as_millis()).unwrap_or(i64::MAX)
    }

    /// At least 1.
    pub(crate) fn default_step_millis(&self) -> i64 {
        i64::try_from(self.default_step.as_millis())
            .unwrap_or(i64::MAX)
            .max(1)
    }
}

/// A result that may hold native histograms.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// A number.
    Scalar(f64),
    /// A string.
    String(String),
    /// An instant vector, in the order of the query.
    Vector(Vec<Element>),
    /// Series sorted by labels.
    Matrix(Vec<SeriesPoints>),
}

/// An outcome with what must be said beside it.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluated {
    /// The result.
    pub outcome: Outcome,
    /// Annotations of level warning.
    pub warnings: Vec<String>,
    /// Annotations of level info.
    pub infos: Vec<String>,
    /// Series read.
    pub series_read: usize,
}

/// Answers queries from one source.
pub struct Engine {
    source: Arc<dyn SeriesSource>,
    options: EngineOptions,
    parsed: Mutex<HashMap<String, Arc<Expr>>>,
    plans: Mutex<HashMap<u64, Arc<Plan>>>,
}

impl Engine {
    /// An engine over `source`.
    pub fn new(source: Arc<dyn SeriesSource>, options: EngineOptions) -> Engine {
        Engine {
            source,
            options,
            parsed: Mutex::default(),
            plans: Mutex::default(),
        }
    }

    /// The options it was made with.
    pub fn options(&self) -> &EngineOptions {
        &self.options
    }

    /// Evaluates `expr` at every `step` from `start` to `end` inclusive; the value is a matrix,
    /// its series sorted by labels.
    pub fn range(
        &self,
        expr: &str,
        start: Timestamp,
        end: Timestamp,
        step: Duration,
    ) -> Result<Answer, QueryError> {
        Ok(answer(self.evaluate_range(expr, start, end, step)?))
    }

    /// Evaluates `expr` at `t`, and keeps nothing of it: for questions that are not asked again.
    pub fn instant_once(&self, expr: &str, t: Timestamp) -> Result<Answer, QueryError> {
        let tree = self.parse(expr)?;
        Ok(answer(self.evaluate_tree(expr, &tree, t, None)?))
    }

    /// Evaluates `expr` at `t`, native histograms included.
    pub fn evaluate(&self, expr: &str, t: Timestamp) -> Result<Evaluated, QueryError> {
        let tree = self.tree(expr)?;
        self.evaluate_tree(expr, &tree, t, None)
    }

    /// Evaluates `tree`, which `expr` was parsed to, at `t`; what it has in common with others is
    /// evaluated once.
    pub(crate) fn instant_shared(
        &self,
        expr: &str,
        tree: &Expr,
        t: Timestamp,
        shared: &Shared,
    ) -> Result<Answer, QueryError> {
        Ok(answer(self.evaluate_tree(expr, tree, t, Some(shared))?))
    }

    fn evaluate_tree(
        &self,
        expr: &str,
        tree: &Expr,
        t: Timestamp,
        shared: Option<&Shared>,
    ) -> Eval<Evaluated> {
        let t = t.millis();
        let times = Times {
            start: t,
            end: t,
            step: 0,
        };
        let evaluation =
            Evaluation::prepare(&*self.source, &self.options, expr, tree, times, shared)?;
        let outcome = match tree.value_type() {
            ValueType::Scalar => Outcome::Scalar(evaluation.scalar(tree, t)?),
            ValueType::String => Outcome::String(tree.as_string().unwrap_or_default().to_owned()),
            ValueType::Vector => Outcome::Vector(finish(evaluation.vector(tree, t)?)?),
            ValueType::Matrix => {
                let mut series: Vec<SeriesPoints> = Vec::new();
                for window in evaluation.windows(tree, t)?.series {
                    let floats = window
                        .floats
                        .iter()
                        .map(|s| (s.t.millis(), Point::Float(s.v)));
                    let histograms = window
                        .histograms
                        .iter()
                        .map(|(t, h)| (*t, Point::Histogram(h.clone())));
                    let mut points: Vec<_> = floats.chain(histograms).collect();
                    points.sort_by_key(|p| p.0);
                    let labels = if window.drop_name {
                        without_metadata(&window.labels)
                    } else {
                        window.labels
                    };
                    series.push(SeriesPoints { labels, points });
                }
                series.sort_by(|a, b| a.labels.cmp(&b.labels));
                Outcome::Matrix(series)
            }
        };
        Ok(evaluated(evaluation, outcome))
    }

    /// Evaluates a range query, native histograms included.
    pub fn evaluate_range(
        &self,
        expr: &str,
        start: Timestamp,
        end: Timestamp,
        step: Duration,
    ) -> Result<Evaluated, QueryError> {
        let tree = self.parse(expr)?;
        let (start, end) = (start.millis(), end.millis());
        let step = i64::try_from(step.as_millis()).unwrap_or(i64::MAX);
        if step == 0 {
            return Err(QueryError::Execution(
                "the step of a range query must be at least 1ms".to_owned(),
            ));
        }
        if end < start {
            return Err(QueryError::Execution(
                "the end of a range query must not be before its start".to_owned(),
            ));
        }
        let points = end.saturating_sub(start) / step + 1;
        if usize::try_from(points).map_or(true, |p| p > self.options.max_points) {
            return Err(QueryError::Limit(format!(
                "a range query of {points} steps is over the limit of {}: use a longer step",
                self.options.max_points
            )));
        }
        if !matches!(tree.value_type(), ValueType::Scalar | ValueType::Vector) {
            return Err(QueryError::Execution(format!(
                "invalid expression type {:?} for range query, must be scalar or instant vector",
                tree.value_type().to_string()
            )));
        }
        let times = Times { start, end, step };
        let evaluation =
            Evaluation::prepare(&*self.source, &self.options, expr, &tree, times, None)?;
        let mut rows = Rows::default();
        let mut t = start;
        while t <= end {
            evaluation.work(1)?;
            let held = evaluation.budget.held();
            if tree.value_type() == ValueType::Scalar {
                let v = evaluation.scalar(&tree, t)?;
                evaluation.budget.release(held);
                evaluation.hold(2)?;
                rows.add(t, Element::float(Labels::empty(), v));
            } else {
                let vector = evaluation.vector(&tree, t)?;
                // Of all that the step made, its result stays.
                evaluation.budget.release(held);
                evaluation.hold(2 * weight_of(&vector))?;
                for element in vector {
                    rows.add(t, element);
                }
            }
            t = t.saturating_add(step);
        }
        let outcome = Outcome::Matrix(rows.finish()?);
        Ok(evaluated(evaluation, outcome))
    }

    /// What `exprs` have in common, found out at most once while it stays in the cache.
    fn plan(&self, exprs: &[&str]) -> Arc<Plan> {
        let lock = || self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        let key = hash_of(exprs);
        let known = lock().get(&key).filter(|p| p.is_of(exprs)).cloned();
        if let Some(plan) = known {
            return plan;
        }
        let plan = Arc::new(Plan::new(exprs, self.options.parse));
        let mut plans = lock();
        if plans.len() >= MAX_PLANS {
            plans.clear();
        }
        plans.insert(key, Arc::clone(&plan));
        plan
    }

    fn parse(&self, expr: &str) -> Eval<Expr> {
        parse_with(expr, self.options.parse).map_err(|e| QueryError::Parse(e.to_string()))
    }

    /// The tree of `expr`, parsed at most once while it stays in the cache.
    fn tree(&self, expr: &str) -> Eval<Arc<Expr>> {
        let lock = || self.parsed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tree) = lock().get(expr) {
            return Ok(tree.clone());
        }
        let tree = Arc::new(self.parse(expr)?);
        let mut parsed = lock();
        if parsed.len() >= self.options.max_parsed {
            parsed.clear();
        }
        parsed.insert(expr.to_owned(), tree.clone());
        Ok(tree)
    }
}

impl Querier for Engine {
    fn instant(&self, expr: &str, t: Timestamp) -> Result<Answer, QueryError> {
        Ok(answer(self.evaluate(expr, t)?))
    }

    fn session<'a>(&'a self, exprs: &[&str]) -> Option<Box<dyn Session + 'a>> {
        let plan = self.plan(exprs);
        if plan.is_empty() {
            return None;
        }
        Some(Box::new(Sharing::new(self, plan)))
    }
}

/// The rows of a range result while it is built.
#[derive(Default)]
struct Rows {
    by_labels: BTreeMap<Labels, (bool, Vec<(i64, Point)>)>,
}

impl Rows {
    fn add(&mut self, t: i64, element: Element) {
        let row = self.by_labels.entry(element.labels).or_default();
        row.0 |= element.drop_name;
        row.1.push((t, element.point));
    }

    /// Removes the names that are to go, and joins the rows that become one.
    fn finish(self) -> Eval<Vec<SeriesPoints>> {
        let mut joined: BTreeMap<Labels, Vec<(i64, Point)>> = BTreeMap::new();
        for (labels, (drop_name, points)) in self.by_labels {
            let labels = if drop_name {
                without_metadata(&labels)
            } else {
                labels
            };
            joined.entry(labels).or_default().extend(points);
        }
        let mut out = Vec::with_capacity(joined.len());
        for (labels, mut points) in joined {
            points.sort_by_key(|p| p.0);
            if points.windows(2).any(|w| w[0].0 == w[1].0) {
                return Err(super::eval::duplicates());
            }
            out.push(SeriesPoints { labels, points });
        }
        Ok(out)
    }
}

/// Removes the names that are to go.
fn finish(mut vector: Vec<Element>) -> Eval<Vec<Element>> {
    let mut any = false;
    for element in &mut vector {
        if std::mem::take(&mut element.drop_name) {
            any = true;
            element.labels = without_metadata(&element.labels);
        }
    }
    if any && super::eval::group::has_duplicates(vector.iter().map(|e| &e.labels)) {
        return Err(super::eval::duplicates());
    }
    Ok(vector)
}

fn evaluated(evaluation: Evaluation<'_>, outcome: Outcome) -> Evaluated {
    let series_read = evaluation.series_read;
    let (warnings, infos) = evaluation.notes.into_parts();
    Evaluated {
        outcome,
        warnings,
        infos,
        series_read,
    }
}

/// As the other rooms take it.
fn answer(evaluated: Evaluated) -> Answer {
    let value = match evaluated.outcome {
        Outcome::Scalar(v) => Value::Scalar(v),
        Outcome::String(s) => Value::String(s),
        Outcome::Vector(vector) => Value::Vector(vector.into_iter().map(element).collect()),
        Outcome::Matrix(series) => Value::Matrix(series.into_iter().map(row).collect()),
    };
    Answer {
        value,
        warnings: evaluated.warnings,
        infos: evaluated.infos,
        partial: false,
        series_read: evaluated.series_read,
    }
}

fn element(element: Element) -> VectorSample {
    let (value, histogram) = match element.point {
        Point::Float(v) => (v, None),
        Point::Histogram(h) => (0.0, Some(h)),
    };
    VectorSample {
        labels: element.labels,
        value,
        histogram,
    }
}

fn row(series: SeriesPoints) -> MatrixSeries {
    let mut row = MatrixSeries {
        labels: series.labels,
        samples: Vec::new(),
        histograms: Vec::new(),
    };
    for (t, point) in series.points {
        let t = Timestamp(t);
        match point {
            Point::Float(v) => row.samples.push(Sample { t, v }),
            Point::Histogram(h) => row.histograms.push((t, h)),
        }
    }
    row
}
