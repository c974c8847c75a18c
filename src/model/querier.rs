//! The one question that rules and advice ask.

use std::sync::Arc;

use super::{Histogram, Labels, Sample, Timestamp};

/// One element of an instant vector.
#[derive(Debug, Clone, PartialEq)]
pub struct VectorSample {
    /// Labels of the element; `__name__` only where PromQL keeps it.
    pub labels: Labels,
    /// Value at the evaluation time; 0 where there is a histogram, as in Prometheus.
    pub value: f64,
    /// The native histogram that stands in the value's place.
    pub histogram: Option<Arc<Histogram>>,
}

impl VectorSample {
    /// An element whose value is a float.
    pub fn float(labels: Labels, value: f64) -> Self {
        Self {
            labels,
            value,
            histogram: None,
        }
    }
}

/// One series of a range, each list oldest first and strictly rising in time.
#[derive(Debug, Clone, PartialEq)]
pub struct MatrixSeries {
    /// Labels of the series.
    pub labels: Labels,
    /// Its floats.
    pub samples: Vec<Sample>,
    /// Its native histograms.
    pub histograms: Vec<(Timestamp, Arc<Histogram>)>,
}

/// The result of a query.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A number without labels.
    Scalar(f64),
    /// A string literal.
    String(String),
    /// One value per label set.
    Vector(Vec<VectorSample>),
    /// Samples per label set.
    Matrix(Vec<MatrixSeries>),
}

/// A result with what must be said beside it.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The result.
    pub value: Value,
    /// Annotations of level warning, in PromQL's words.
    pub warnings: Vec<String>,
    /// Annotations of level info.
    pub infos: Vec<String>,
    /// True when part of the data could not be read.
    pub partial: bool,
    /// Series read, for the evaluation log.
    pub series_read: usize,
}

impl Answer {
    /// The result's floats as instant vector elements: a scalar is one element without labels,
    /// and native histograms, which are no number, are left out. `None` for strings and matrices.
    pub fn into_vector(self) -> Option<Vec<VectorSample>> {
        let mut elements = self.into_elements()?;
        elements.retain(|e| e.histogram.is_none());
        Some(elements)
    }

    /// The result as instant vector elements, native histograms included.
    pub fn into_elements(self) -> Option<Vec<VectorSample>> {
        match self.value {
            Value::Scalar(value) => Some(vec![VectorSample::float(Labels::empty(), value)]),
            Value::Vector(v) => Some(v),
            Value::String(_) | Value::Matrix(_) => None,
        }
    }
}

/// Why a query has no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// The text is not a valid expression; the message carries line and column.
    #[error("{0}")]
    Parse(String),
    /// The expression cannot be evaluated on this data.
    #[error("{0}")]
    Execution(String),
    /// Over a limit (samples, time, depth); names the limit.
    #[error("{0}")]
    Limit(String),
}

/// Answers PromQL at one instant. Synchronous: called on evaluation threads, may block.
pub trait Querier: Send + Sync {
    /// Evaluates `expr` at `t`.
    fn instant(&self, expr: &str, t: Timestamp) -> Result<Answer, QueryError>;

    /// A session in which parts that several of `exprs` have in common are evaluated once;
    /// nothing where that saves nothing.
    fn session<'a>(&'a self, exprs: &[&str]) -> Option<Box<dyn Session + 'a>> {
        let _ = exprs;
        None
    }
}

/// Asks several questions of one time, one after the other.
pub trait Session: Querier {
    /// Tells that a series got a sample: what was read of it is read again.
    fn wrote(&self, labels: &Labels);
}
