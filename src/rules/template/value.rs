//! What flows through a template, with Go's types.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::Histogram;

/// One element of a query's result.
#[derive(Debug, PartialEq)]
pub(super) struct Element {
    pub(super) labels: Arc<BTreeMap<String, String>>,
    pub(super) value: f64,
}

/// What a template starts with.
#[derive(Debug, PartialEq)]
pub(super) struct Root {
    pub(super) labels: Arc<BTreeMap<String, String>>,
    pub(super) external_labels: Arc<BTreeMap<String, String>>,
    pub(super) external_url: Arc<str>,
    pub(super) value: Value,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// Go's nil, and what a missing entry of `args` is.
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(Arc<str>),
    /// Go's map[string]string.
    Labels(Arc<BTreeMap<String, String>>),
    /// Go's map[string]interface{}, made by `args`.
    Args(Arc<BTreeMap<String, Value>>),
    /// A query's result.
    List(Arc<Vec<Arc<Element>>>),
    Element(Arc<Element>),
    /// A native histogram: what `.Value` is where the sample holds one.
    Histogram(Arc<Histogram>),
    /// Milliseconds since the epoch.
    Time(i64),
    /// Nanoseconds.
    Duration(i64),
    Root(Arc<Root>),
}

impl Value {
    pub(super) fn text(s: impl AsRef<str>) -> Value {
        Value::Str(Arc::from(s.as_ref()))
    }

    /// Go's name of the type.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Value::Nil => "<nil>",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Float(_) => "float64",
            Value::Str(_) => "string",
            Value::Labels(_) => "map[string]string",
            Value::Args(_) => "map[string]interface {}",
            Value::List(_) => "template.queryResult",
            Value::Element(_) => "*template.sample",
            Value::Histogram(_) => "*histogram.FloatHistogram",
            Value::Time(_) => "*time.Time",
            Value::Duration(_) => "*time.Duration",
            Value::Root(_) => "template.data",
        }
    }

    /// What `if`, `with`, `and`, `or` and `not` ask.
    pub(super) fn is_true(&self) -> bool {
        match self {
            Value::Nil => false,
            Value::Bool(b) => *b,
            Value::Int(i) => *i != 0,
            Value::Float(f) => *f != 0.0,
            Value::Str(s) => !s.is_empty(),
            Value::Labels(m) => !m.is_empty(),
            Value::Args(m) => !m.is_empty(),
            Value::List(l) => !l.is_empty(),
            Value::Element(_)
            | Value::Histogram(_)
            | Value::Time(_)
            | Value::Duration(_)
            | Value::Root(_) => true,
        }
    }

    /// The field `name` of this value: a struct's field or a map's entry.
    pub(super) fn field(&self, name: &str) -> Result<Value, String> {
        let missing = || {
            Err(format!(
                "can't evaluate field {name} in type {}",
                self.type_name()
            ))
        };
        match self {
            Value::Labels(m) => Ok(m.get(name).map_or_else(|| Value::text(""), Value::text)),
            Value::Args(m) => Ok(m.get(name).cloned().unwrap_or(Value::Nil)),
            Value::Element(e) => match name {
                "Labels" => Ok(Value::Labels(Arc::clone(&e.labels))),
                "Value" => Ok(Value::Float(e.value)),
                _ => missing(),
            },
            Value::Root(r) => match name {
                "Labels" => Ok(Value::Labels(Arc::clone(&r.labels))),
                "ExternalLabels" => Ok(Value::Labels(Arc::clone(&r.external_labels))),
                "ExternalURL" => Ok(Value::Str(Arc::clone(&r.external_url))),
                "Value" => Ok(r.value.clone()),
                _ => missing(),
            },
            Value::Histogram(h) => match name {
                "Count" => Ok(Value::Float(h.count)),
                "Sum" => Ok(Value::Float(h.sum)),
                "ZeroCount" => Ok(Value::Float(h.zero_count)),
                "ZeroThreshold" => Ok(Value::Float(h.zero_threshold)),
                "Schema" => Ok(Value::Int(i64::from(h.schema))),
                _ => missing(),
            },
            Value::Nil => Err(format!("nil data; no entry for key \"{name}\"")),
            Value::Bool(_)
            | Value::Int(_)
            | Value::Float(_)
            | Value::Str(_)
            | Value::List(_)
            | Value::Time(_)
            | Value::Duration(_) => missing(),
        }
    }
}
