//! Rules as loaded and checked: what a group evaluates.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

use super::template::Template;
use crate::model::Position;

/// Checks one PromQL text. The error is a message and the byte offset it belongs to.
pub type Checker<'a> = &'a dyn Fn(&str) -> Result<ExprInfo, (String, usize)>;

/// What the loader must know of an expression.
#[derive(Debug, Clone, PartialEq)]
pub struct ExprInfo {
    /// The metrics it cannot do without.
    pub inputs: Inputs,
    /// Its last comparison, when it ends in exactly one comparison with a number.
    pub threshold: Option<Threshold>,
    /// The longest range it reads; zero when it looks at instants only.
    pub window: Duration,
}

/// The metrics that an expression needs to say anything (design: blindness).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inputs {
    /// All of these; empty when it needs nothing, as `absent(m)` and `vector(1)`.
    All(Vec<Inputs>),
    /// One of these is enough: the sides of an `or`.
    Any(Vec<Inputs>),
    /// A metric of this name, whatever its labels.
    Metric(String),
}

impl Inputs {
    /// Names of metrics whose absence makes the expression blind, given what is `present`.
    /// Empty when it can see.
    pub fn missing(&self, present: &mut dyn FnMut(&str) -> bool) -> Vec<String> {
        match self {
            Inputs::Metric(name) => {
                if present(name) {
                    Vec::new()
                } else {
                    vec![name.clone()]
                }
            }
            Inputs::All(parts) => {
                let mut missing: Vec<String> =
                    parts.iter().flat_map(|p| p.missing(present)).collect();
                missing.sort();
                missing.dedup();
                missing
            }
            Inputs::Any(parts) => {
                let mut least: Option<Vec<String>> = None;
                for part in parts {
                    let missing = part.missing(present);
                    if missing.is_empty() {
                        return missing;
                    }
                    if least.as_ref().is_none_or(|l| missing.len() < l.len()) {
                        least = Some(missing);
                    }
                }
                least.unwrap_or_default()
            }
        }
    }

    /// All metric names in it.
    pub fn names(&self, into: &mut BTreeSet<String>) {
        match self {
            Inputs::Metric(name) => {
                into.insert(name.clone());
            }
            Inputs::All(parts) | Inputs::Any(parts) => {
                for part in parts {
                    part.names(into);
                }
            }
        }
    }
}

/// `… OP NUMBER` at the end of an expression.
#[derive(Debug, Clone, PartialEq)]
pub struct Threshold {
    /// The operator, e.g. `>=`.
    pub op: String,
    /// The number.
    pub value: f64,
    /// Bytes of the number in the expression, sign included.
    pub range: Range<usize>,
}

/// A rule group as loaded.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupSpec {
    /// File it comes from, as given.
    pub file: String,
    /// `name:`
    pub name: String,
    /// `interval:`; the global one when absent.
    pub interval: Option<Duration>,
    /// `limit:`; 0 means none.
    pub limit: usize,
    /// `query_offset:`
    pub query_offset: Duration,
    /// Rules in order.
    pub rules: Vec<RuleSpec>,
}

impl GroupSpec {
    /// Names the group among all files: `FILE;NAME`.
    pub fn key(&self) -> String {
        format!("{};{}", self.file, self.name)
    }
}

/// One rule as loaded, with the group's labels.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleSpec {
    /// The record's or alert's name.
    pub name: String,
    /// PromQL, with the config's threshold in it.
    pub expr: String,
    /// The metrics the expression needs.
    pub inputs: Inputs,
    /// The longest range the expression reads.
    pub window: Duration,
    /// `labels:` over the group's.
    pub labels: BTreeMap<String, Template>,
    /// What it makes.
    pub kind: RuleKind,
    /// Where it stands in its file; rules that differ only in this are equal.
    pub position: Place,
}

/// A place that does not count when rules are compared.
#[derive(Debug, Clone, Copy)]
pub struct Place(pub Position);

impl PartialEq for Place {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// What a rule makes.
#[derive(Debug, Clone, PartialEq)]
pub enum RuleKind {
    /// A series.
    Record,
    /// Alerts.
    Alert(Box<AlertSpec>),
}

/// The part of a rule that only alerts have.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertSpec {
    /// `for:` and `keep_firing_for:`.
    pub timing: super::alert::Timing,
    /// `annotations:` without the `loadline_*` ones.
    pub annotations: BTreeMap<String, Template>,
    /// The `loadline_*` annotations as written: to Prometheus they are annotations like others.
    pub written: BTreeMap<String, Template>,
    /// `loadline_value`
    pub value: Option<Figure>,
    /// `loadline_limit`
    pub limit: Option<Figure>,
    /// `loadline_unit`; may be empty.
    pub unit: String,
    /// `loadline_clear`
    pub clear: Option<String>,
    /// `loadline_needs`
    pub needs: Option<String>,
    /// `loadline_no_data`
    pub no_data: NoData,
    /// The number the expression compares with.
    pub threshold: Option<f64>,
    /// Who gave it; see [`super::Alert::threshold_from`].
    pub threshold_from: String,
}

/// A number, or PromQL that yields one per instance.
#[derive(Debug, Clone, PartialEq)]
pub enum Figure {
    /// The same for all instances.
    Number(f64),
    /// PromQL.
    Expr(String),
}

/// What an alert rule is whose input is missing. `rules.missing = "resolve"` overrides it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NoData {
    /// Blind.
    #[default]
    Blind,
    /// Not firing.
    Ok,
    /// Firing: one alert with the rule's own labels.
    Fire,
}

impl AlertSpec {
    /// This alert as Prometheus takes it: `loadline_*` annotations are plain annotations and
    /// mean nothing.
    #[must_use]
    pub fn as_prometheus(&self) -> AlertSpec {
        let mut plain = self.clone();
        plain.annotations.extend(self.written.clone());
        AlertSpec {
            value: None,
            limit: None,
            unit: String::new(),
            clear: None,
            needs: None,
            no_data: NoData::default(),
            ..plain
        }
    }
}

impl RuleSpec {
    /// The alert part, if it is an alert rule.
    pub fn alert(&self) -> Option<&AlertSpec> {
        match &self.kind {
            RuleKind::Record => None,
            RuleKind::Alert(alert) => Some(alert),
        }
    }

    /// The value of one of its own labels, empty when absent.
    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", Template::text)
    }

    /// Every PromQL text that evaluating it may ask; those inside templates only where literal.
    pub fn exprs(&self) -> Vec<String> {
        let mut found = vec![self.expr.clone()];
        if let Some(alert) = self.alert() {
            for figure in [&alert.value, &alert.limit].into_iter().flatten() {
                match figure {
                    Figure::Expr(expr) => found.push(expr.clone()),
                    Figure::Number(_) => {}
                }
            }
            found.extend(alert.clear.iter().chain(&alert.needs).cloned());
            let templates = self.labels.values().chain(alert.annotations.values());
            found.extend(templates.flat_map(Template::queries));
        }
        found
    }

    /// The expressions that an evaluation asks, templates apart.
    pub(crate) fn asked(&self) -> impl Iterator<Item = &str> {
        let alert = self.alert();
        let figures = alert.into_iter().flat_map(|a| [&a.value, &a.limit]);
        let figures = figures.flatten().filter_map(|figure| match figure {
            Figure::Expr(expr) => Some(expr.as_str()),
            Figure::Number(_) => None,
        });
        let texts = alert
            .into_iter()
            .flat_map(|a| a.clear.iter().chain(&a.needs));
        std::iter::once(self.expr.as_str())
            .chain(figures)
            .chain(texts.map(String::as_str))
    }

    /// True when both have the same name, kind and labels: the same rule after a reload.
    pub(crate) fn same_identity(&self, other: &RuleSpec) -> bool {
        self.name == other.name
            && self.labels == other.labels
            && self.alert().is_some() == other.alert().is_some()
    }
}
