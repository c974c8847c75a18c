//! What the team declares and what metrics answer in its stead.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::config::FactValue;
use crate::model::{Labels, Timestamp};

use super::ask::Ask;
use super::playbook::Playbook;
use super::playbook::guard::Truth;
use super::playbook::rows::{Fact, FactKind};
use super::signs::host_of;

/// The table of `[facts]` that holds the days on which steps were done.
const DONE: &str = "done";

/// Facts with their answers, declared ones first.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Facts {
    flags: BTreeMap<String, bool>,
    numbers: BTreeMap<String, f64>,
    /// Of facts about a host: where the answer is yes and where it is no.
    here: BTreeMap<String, (Vec<Labels>, Vec<Labels>)>,
    done: BTreeMap<String, Timestamp>,
    /// Which of them somebody declared.
    declared: BTreeMap<String, bool>,
}

impl Facts {
    /// Answers every fact of the playbook: declared, else asked, else the default.
    pub(crate) fn gather(
        playbook: &Playbook,
        declared: &BTreeMap<String, FactValue>,
        ask: &Ask<'_>,
    ) -> Self {
        let mut facts = Facts::default();
        for (id, value) in declared {
            match value {
                FactValue::Bool(b) => {
                    facts.declared.insert(id.clone(), *b);
                    facts.flags.insert(id.clone(), *b);
                }
                FactValue::Number(n) => {
                    facts.numbers.insert(id.clone(), *n);
                }
                FactValue::Table(days) if id == DONE => facts.done = done(days),
                FactValue::Text(_) | FactValue::Date(_) | FactValue::Table(_) => {}
            }
        }
        for fact in playbook.facts() {
            facts.answer(fact, ask);
        }
        facts
    }

    /// Whether a fact holds; facts about a host are asked for `host` (any, when empty).
    pub(crate) fn truth(&self, id: &str, host: &str) -> Truth {
        if let Some(b) = self.declared.get(id) {
            return Truth::from_bool(*b);
        }
        if let Some((yes, no)) = self.here.get(id) {
            let on_host = |l: &Labels| host.is_empty() || host_of(l) == host;
            if yes.iter().any(on_host) {
                return Truth::True;
            }
            if no.iter().any(on_host) {
                return Truth::False;
            }
        }
        self.flags
            .get(id)
            .map_or(Truth::Unknown, |b| Truth::from_bool(*b))
    }

    /// A figure.
    pub(crate) fn number(&self, id: &str) -> Option<f64> {
        self.numbers.get(id).copied()
    }

    /// What somebody declared, where it is yes or no.
    pub(crate) fn declared(&self, id: &str) -> Option<bool> {
        self.declared.get(id).copied()
    }

    /// The day on which a step was declared done.
    pub(crate) fn done(&self, step: &str) -> Option<Timestamp> {
        self.done.get(step).copied()
    }

    fn answer(&mut self, fact: &Fact, ask: &Ask<'_>) {
        let id = fact.id.get_ref();
        let asked = |q: Option<&serde_spanned::Spanned<String>>| {
            q.and_then(|q| ask.vector(q.get_ref())).unwrap_or_default()
        };
        match fact.kind {
            FactKind::Number => {
                if !self.numbers.contains_key(id) {
                    let largest = asked(fact.query.as_ref())
                        .into_iter()
                        .map(|e| e.value)
                        .filter(|v| v.is_finite())
                        .reduce(f64::max);
                    if let Some(n) = largest {
                        self.numbers.insert(id.clone(), n);
                    }
                }
            }
            FactKind::Bool => {
                if self.flags.contains_key(id) {
                    return;
                }
                let (yes, no) = (asked(fact.query.as_ref()), asked(fact.unless.as_ref()));
                if fact.here {
                    let labels = |v: Vec<crate::model::VectorSample>| {
                        v.into_iter().map(|e| e.labels).collect()
                    };
                    self.here.insert(id.clone(), (labels(yes), labels(no)));
                } else if !yes.is_empty() {
                    self.flags.insert(id.clone(), true);
                    return;
                } else if !no.is_empty() {
                    self.flags.insert(id.clone(), false);
                    return;
                }
                if let Some(default) = fact.default {
                    self.flags.insert(id.clone(), default);
                }
            }
        }
    }
}

/// What is wrong with `[facts]`: the key's path in the config, and what is accepted there.
pub fn check_facts(
    playbook: &Playbook,
    declared: &BTreeMap<String, FactValue>,
) -> Vec<(String, String)> {
    let known = |id: &str| {
        id == DONE
            || playbook.fact(id).is_some()
            || playbook.step(id).is_some()
            || playbook.sign(id).is_some()
    };
    let mut out = Vec::new();
    for (id, value) in declared {
        let path = format!("facts.{id}");
        if !known(id) {
            let accepted = "unknown; accepted are the ids of facts, steps and signs, and `done`";
            out.push((path, accepted.to_owned()));
            continue;
        }
        match value {
            FactValue::Table(days) if id == DONE => {
                for (step, day) in days {
                    let path = format!("facts.{DONE}.{step}");
                    if playbook.step(step).is_none() {
                        out.push((path, "unknown step".to_owned()));
                    } else if day_of(day).is_none() {
                        out.push((path, "a day such as 2026-11-01 is accepted".to_owned()));
                    }
                }
            }
            FactValue::Bool(_) | FactValue::Number(_) => {
                let number = playbook
                    .fact(id)
                    .is_some_and(|f| f.kind == FactKind::Number);
                if number != matches!(value, FactValue::Number(_)) {
                    let want = if number { "a number" } else { "true or false" };
                    out.push((path, format!("{want} is accepted")));
                }
            }
            FactValue::Text(_) | FactValue::Date(_) | FactValue::Table(_) => {
                out.push((path, "true, false or a number is accepted".to_owned()));
            }
        }
    }
    out
}

fn done(days: &BTreeMap<String, FactValue>) -> BTreeMap<String, Timestamp> {
    days.iter()
        .filter_map(|(step, day)| Some((step.clone(), day_of(day)?)))
        .collect()
}

fn day_of(value: &FactValue) -> Option<Timestamp> {
    let (FactValue::Date(text) | FactValue::Text(text)) = value else {
        return None;
    };
    let day: jiff::civil::Date = text.parse().ok()?;
    let midnight = day.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(Timestamp(midnight.timestamp().as_millisecond()))
}
