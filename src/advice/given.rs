//! A system as a JSON file tells it, so that advice can be tried without one.
//!
//! What must stay true: signs that the file does not list are quiet; steps that it does not list
//! are as their detection would leave them with nothing to see; a key or id that nobody knows is
//! an error with its line.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::config::FactValue;
use crate::model::{
    Answer, Labels, Level, Position, Problem, Problems, Querier, QueryError, Timestamp, Value,
};

use super::ask::Ask;
use super::decision::{SignInstance, SignKey};
use super::facts::{Facts, check_facts};
use super::inventory::{Detection, Inventory};
use super::playbook::Playbook;
use super::runway::Runway;
use super::signs::System;
use super::situation::{Measured, Situation};
use super::{Advised, Known, decide, ladder};

/// Largest state file in bytes.
const MAX_BYTES: usize = 1 << 20;
/// Most signs in one.
const MAX_SIGNS: usize = 10_000;

/// The state of one system.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Given {
    /// Name of the system; may be empty.
    pub system: String,
    /// When, in RFC 3339; matters for `facts.done` only.
    pub at: Option<String>,
    /// Number of users; the same as `facts.users`.
    pub users: Option<f64>,
    /// The rung, e.g. `L1`; counts more than users.
    pub rung: Option<String>,
    /// Signs that fire.
    pub signs: Vec<GivenSign>,
    /// As in `[facts]` of the config.
    pub facts: BTreeMap<String, FactValue>,
    /// States of steps.
    pub inventory: BTreeMap<String, Detection>,
    /// When limits will be reached.
    pub runways: Vec<Runway>,
}

/// A sign that fires.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GivenSign {
    /// Sign id.
    pub id: String,
    /// Level; act when not said.
    #[serde(default = "act")]
    pub level: Level,
    /// What was measured.
    pub value: Option<f64>,
    /// The limit.
    pub limit: Option<f64>,
    /// The number that was passed.
    pub threshold: Option<f64>,
    /// Who gave it: a citation, `default` or `config`.
    #[serde(default)]
    pub threshold_from: String,
    /// Unit of the three.
    #[serde(default)]
    pub unit: String,
    /// Where it is.
    #[serde(default = "Labels::empty")]
    pub labels: Labels,
}

fn act() -> Level {
    Level::Act
}

/// Decides for the state that `text` holds; `file` names it in problems.
pub fn decide_given(
    playbook: &Playbook,
    file: &str,
    text: &str,
    now: Timestamp,
) -> Result<Advised, Problems> {
    let given = parse(playbook, file, text)?;
    let at = given.at.as_deref().and_then(|t| t.parse().ok());
    let now = at.map_or(now, |t: jiff::Timestamp| Timestamp(t.as_millisecond()));
    Ok(given.decide(playbook, now))
}

impl Given {
    /// Decides at `now`. The ids in it must be known.
    pub fn decide(&self, playbook: &Playbook, now: Timestamp) -> Advised {
        let system = System {
            name: self.system.clone(),
            matchers: Vec::new(),
        };
        let ask = Ask::new(&Nothing, &system, now);
        let mut declared = self.facts.clone();
        if let Some(users) = self.users {
            declared.insert("users".to_owned(), FactValue::Number(users));
        }
        let facts = Facts::gather(playbook, &declared, &ask);
        let stage = match &self.rung {
            Some(rung) => ladder::pinned(playbook, rung),
            None => ladder::stage(playbook, &facts),
        };
        let signs: BTreeMap<SignKey, SignInstance> = self
            .signs
            .iter()
            .rev()
            .map(|s| self.instance(playbook, s, now))
            .map(|i| (i.key.clone(), i))
            .fold(BTreeMap::new(), |mut all, (key, i)| {
                let higher = all
                    .get(&key)
                    .is_none_or(|known: &SignInstance| known.level <= i.level);
                if higher {
                    all.insert(key, i);
                }
                all
            });
        let known = Known {
            situation: Situation {
                playbook,
                signs: signs.iter().collect(),
                measured: &Measured::All,
                facts: &facts,
                stage: stage.as_ref(),
                runways: &self.runways,
                inventory: &Inventory::default(),
            },
            given: &self.inventory,
        };
        decide(known, &self.system, ask, now)
    }

    fn instance(&self, playbook: &Playbook, s: &GivenSign, now: Timestamp) -> SignInstance {
        SignInstance {
            key: SignKey {
                system: self.system.clone(),
                sign: s.id.clone(),
                labels: s.labels.clone(),
            },
            level: s.level,
            since: now,
            summary: playbook
                .sign(&s.id)
                .map_or_else(|| s.id.clone(), |sign| sign.title.clone()),
            annotations: BTreeMap::new(),
            value: s.value,
            limit: s.limit,
            threshold: s.threshold,
            threshold_from: s.threshold_from.clone(),
            unit: s.unit.clone(),
            blind: false,
        }
    }
}

/// Reads and checks a state; all problems together, with lines.
fn parse(playbook: &Playbook, file: &str, text: &str) -> Result<Given, Problems> {
    let problem = |position, message: String| Problem {
        file: file.to_owned(),
        position,
        context: String::new(),
        message,
    };
    if text.len() > MAX_BYTES {
        let message = format!(
            "the state has {} bytes; it may have {MAX_BYTES} at most",
            text.len()
        );
        return Err(Problems(vec![problem(None, message)]));
    }
    // Serde would also read the fields in order from an array.
    if text.trim_start().starts_with('[') {
        let message = "a JSON object is expected".to_owned();
        return Err(Problems(vec![problem(None, message)]));
    }
    let given: Given = serde_json::from_str(text).map_err(|e| {
        let line_start = text.split_inclusive('\n').take(e.line().saturating_sub(1));
        let offset: usize = line_start.map(str::len).sum::<usize>() + e.column().saturating_sub(1);
        let message = e.to_string();
        let message = message.split(" at line ").next().unwrap_or(&message);
        Problems(vec![problem(
            Some(Position::of_offset(text, offset.min(text.len()))),
            message.to_owned(),
        )])
    })?;
    let mut problems = Vec::new();
    let mut unknown = |id: &str, message: String| {
        let position = text
            .find(&format!("\"{id}\""))
            .map(|offset| Position::of_offset(text, offset));
        problems.push(problem(position, message));
    };
    if given.signs.len() > MAX_SIGNS {
        unknown("signs", format!("at most {MAX_SIGNS} signs are accepted"));
    }
    let names = |sign: &str| playbook.sign(sign).is_some();
    for s in given.signs.iter().filter(|s| !names(&s.id)) {
        unknown(&s.id, format!("unknown sign {:?}", s.id));
    }
    for r in given.runways.iter().filter(|r| !names(r.owner())) {
        let message = format!(
            "unknown sign {:?}; `sign` names the owner of the limit",
            r.owner()
        );
        unknown(r.owner(), message);
    }
    for id in given.inventory.keys() {
        if playbook.step(id).is_none() {
            unknown(id, format!("unknown step {id:?} in the inventory"));
        }
    }
    for (path, message) in check_facts(playbook, &given.facts) {
        let id = path.rsplit('.').next().unwrap_or(&path);
        unknown(id, format!("{path}: {message}"));
    }
    if let Some(rung) = &given.rung
        && playbook.rung_index(rung).is_none()
    {
        let known: Vec<_> = playbook
            .rungs()
            .iter()
            .map(|r| r.id.get_ref().as_str())
            .collect();
        let message = format!("unknown rung {rung:?}; accepted: {}", known.join(", "));
        unknown(rung, message);
    }
    if let Some(at) = &given.at
        && at.parse::<jiff::Timestamp>().is_err()
    {
        unknown(
            at,
            format!("{at:?} is not a time such as 2026-11-01T00:00:00Z"),
        );
    }
    if problems.is_empty() {
        Ok(given)
    } else {
        Err(Problems(problems))
    }
}

/// Answers nothing to every question.
struct Nothing;

impl Querier for Nothing {
    fn instant(&self, _: &str, _: Timestamp) -> Result<Answer, QueryError> {
        Ok(Answer {
            value: Value::Vector(Vec::new()),
            warnings: Vec::new(),
            infos: Vec::new(),
            partial: false,
            series_read: 0,
        })
    }
}

#[cfg(test)]
mod random;
#[cfg(test)]
mod tests;
