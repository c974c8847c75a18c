//! What can run out: how much is used and how much there is, of every limit of the playbook.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use crate::config::FactValue;
use crate::model::labels::NAME;
use crate::model::{Labels, Querier, Timestamp, duration};

use super::forecast::Kind;
use super::playbook::Playbook;
use super::playbook::rows::Text;

/// Most signals of one limit; the first ones by labels.
const MAX_SIGNALS: usize = 200;

/// Lead time of a limit whose sign names no step with one.
const LEAD_TIME: Duration = Duration::from_secs(30 * 86_400);

/// The end of a rung as a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RungEnd {
    /// Most users of the rung.
    Users,
    /// Most bytes of all databases.
    DatabaseBytes,
}

/// Something that can run out.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// Limit id.
    pub id: Text,
    /// What is used and against what, a clause.
    pub title: String,
    /// The sign that owns it: its row names the step.
    pub sign: Text,
    /// How it moves.
    pub kind: Kind,
    /// Unit of value and limit: ratio, bytes, seconds, per_second, bytes_per_second, count.
    pub unit: String,
    /// PromQL: what is used.
    pub value: Option<Text>,
    /// A figure of the team that says what is used.
    pub value_fact: Option<Text>,
    /// PromQL with the same labels, or a number: how much there is.
    pub limit: Option<Text>,
    /// A figure of the team that says how much there is.
    pub limit_fact: Option<Text>,
    /// The end of the rung that the value is on.
    pub limit_rung: Option<RungEnd>,
    /// How long the step takes that would be next, e.g. `30d`; without it, that of the first step
    /// of the sign's row.
    pub lead_time: Option<String>,
    /// Who says so; empty means default.
    #[serde(default)]
    pub cite: Vec<Text>,
}

impl Limit {
    /// What is wrong with it beside its references.
    pub(crate) fn problem(&self) -> Option<String> {
        let given = |options: &[bool]| options.iter().filter(|o| **o).count();
        if given(&[self.value.is_some(), self.value_fact.is_some()]) != 1 {
            return Some("a limit has either `value` or `value_fact`".to_owned());
        }
        let limits = [
            self.limit.is_some(),
            self.limit_fact.is_some(),
            self.limit_rung.is_some(),
        ];
        if given(&limits) != 1 {
            return Some("a limit has one of `limit`, `limit_fact` and `limit_rung`".to_owned());
        }
        let lead = self.lead_time.as_deref().map(duration::parse)?;
        lead.err().map(|e| format!("lead_time: {e}"))
    }

    /// How long the step takes that would be next.
    pub fn lead_time(&self, playbook: &Playbook) -> Duration {
        let own = self
            .lead_time
            .as_deref()
            .and_then(|t| duration::parse(t).ok());
        let of_step = || {
            let row = playbook.row(self.sign.get_ref())?;
            let steps = row.candidate.iter().filter_map(|c| c.step.as_ref());
            let first = steps
                .map(Text::get_ref)
                .find(|s| s.as_str() != "measure-first")?;
            duration::parse(&playbook.step(first)?.lead_time).ok()
        };
        own.or_else(of_step).unwrap_or(LEAD_TIME)
    }
}

/// One signal of a limit at one time.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// Limit id.
    pub limit: String,
    /// Which one; empty for a figure of the team.
    pub labels: Labels,
    /// What is used.
    pub value: f64,
    /// How much there is, where that is known.
    pub ceiling: Option<f64>,
}

/// Measures every limit; what could not be answered is told in words.
pub fn measure(
    playbook: &Playbook,
    facts: &BTreeMap<String, FactValue>,
    querier: &dyn Querier,
    now: Timestamp,
) -> (Vec<Measured>, Vec<String>) {
    let mut out = Vec::new();
    let mut warnings = Vec::new();
    for limit in playbook.limits() {
        let id = limit.id.get_ref();
        match measure_one(limit, playbook, facts, querier, now) {
            Ok(mut found) => {
                if found.len() > MAX_SIGNALS {
                    warnings.push(format!(
                        "limit {id:?} has {} signals; the first {MAX_SIGNALS} are followed",
                        found.len()
                    ));
                    found.truncate(MAX_SIGNALS);
                }
                out.extend(found);
            }
            Err(e) => warnings.push(format!("limit {id:?}: {e}")),
        }
    }
    (out, warnings)
}

fn measure_one(
    limit: &Limit,
    playbook: &Playbook,
    facts: &BTreeMap<String, FactValue>,
    querier: &dyn Querier,
    now: Timestamp,
) -> Result<Vec<Measured>, String> {
    let fact = |id: &Text| -> Result<Vec<(Labels, f64)>, String> {
        if let Some(FactValue::Number(n)) = facts.get(id.get_ref()) {
            return Ok(vec![bare(*n)]);
        }
        let Some(query) = playbook.fact(id.get_ref()).and_then(|f| f.query.as_ref()) else {
            return Ok(Vec::new());
        };
        let found = vector(querier, query.get_ref(), now)?;
        let most = found.into_iter().map(|(_, v)| v).reduce(f64::max);
        Ok(most.map(bare).into_iter().collect())
    };
    let values = match (&limit.value, &limit.value_fact) {
        (Some(query), _) => vector(querier, query.get_ref(), now)?,
        (None, Some(id)) => fact(id)?,
        (None, None) => Vec::new(),
    };
    if values.is_empty() {
        return Ok(Vec::new());
    }
    let ceilings = match (&limit.limit, &limit.limit_fact) {
        (Some(query), _) => vector(querier, query.get_ref(), now)?,
        (None, Some(id)) => fact(id)?,
        (None, None) => Vec::new(),
    };
    let all = match ceilings.as_slice() {
        [(labels, ceiling)] if *labels == Labels::empty() => Some(*ceiling),
        _ => None,
    };
    let by_labels: BTreeMap<&Labels, f64> = ceilings.iter().map(|(l, v)| (l, *v)).collect();
    let mut measured: Vec<Measured> = values
        .iter()
        .map(|(labels, value)| Measured {
            limit: limit.id.get_ref().clone(),
            labels: labels.clone(),
            value: *value,
            ceiling: match limit.limit_rung {
                Some(end) => rung_end(playbook, end, *value),
                None => all.or_else(|| by_labels.get(labels).copied()),
            },
        })
        .collect();
    measured.sort_by(|a, b| a.labels.cmp(&b.labels));
    Ok(measured)
}

fn bare(value: f64) -> (Labels, f64) {
    (Labels::empty(), value)
}

/// The end of the lowest rung that a value still fits; none on the open top.
fn rung_end(playbook: &Playbook, end: RungEnd, value: f64) -> Option<f64> {
    let ends = playbook.rungs().iter().filter_map(|r| match end {
        RungEnd::Users => r.users,
        RungEnd::DatabaseBytes => r.database_bytes,
    });
    ends.into_iter().find(|end| value < *end)
}

fn vector(querier: &dyn Querier, expr: &str, now: Timestamp) -> Result<Vec<(Labels, f64)>, String> {
    let answer = querier.instant(expr, now).map_err(|e| e.to_string())?;
    let elements = answer
        .into_vector()
        .ok_or("the result is neither a vector nor a number")?;
    Ok(elements
        .into_iter()
        .map(|e| (e.labels.without(&[NAME]), e.value))
        .filter(|(_, v)| v.is_finite())
        .collect())
}
