//! A second reader: the crate prometheus-parse.

use prometheus_parse::{Scrape, Value};

use crate::model::Labels;
use crate::model::labels::NAME;

/// How it reads a valid line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Misreading {
    /// Not at all.
    Lost,
    /// With other labels.
    Labels,
    /// With another value.
    Value,
    /// At another time.
    Timestamp,
}

impl Misreading {
    /// A word for it.
    pub fn word(self) -> &'static str {
        match self {
            Misreading::Lost => "lost",
            Misreading::Labels => "labels",
            Misreading::Value => "value",
            Misreading::Timestamp => "timestamp",
        }
    }
}

/// How the crate misreads a line that we read as `labels`, `value` and `millis`.
pub(super) fn misreads(
    line: &str,
    labels: &Labels,
    value: f64,
    millis: Option<i64>,
) -> Option<Misreading> {
    let scrape = Scrape::parse(std::iter::once(Ok(line.to_owned()))).ok();
    let Some([sample]) = scrape.as_ref().map(|s| s.samples.as_slice()) else {
        return Some(Misreading::Lost);
    };
    let mut theirs = Labels::from_pairs([(NAME, &sample.metric)]).to_builder();
    for (name, value) in &*sample.labels {
        theirs.set(name, value);
    }
    if theirs.build() != *labels {
        return Some(Misreading::Labels);
    }
    let (Value::Untyped(read) | Value::Counter(read) | Value::Gauge(read)) = sample.value else {
        return Some(Misreading::Value);
    };
    if read.to_bits() != value.to_bits() && !(read.is_nan() && value.is_nan()) {
        return Some(Misreading::Value);
    }
    millis
        .is_some_and(|t| sample.timestamp.timestamp_millis() != t)
        .then_some(Misreading::Timestamp)
}
