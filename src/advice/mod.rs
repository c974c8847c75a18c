//! Which scaling step comes next, and why.
//!
//! What must stay true: pure over its inputs (alerts, answers of the querier, facts, `now`); the
//! playbook is data; one step is named per bottleneck, at most two bottlenecks per system; every
//! decision carries its reasons and citations.

mod ask;
mod bottlenecks;
pub mod coverage;
pub mod decision;
pub mod explain;
pub mod facts;
pub mod forecast;
pub mod given;
pub mod inventory;
pub mod ladder;
pub mod limits;
pub mod next;
pub mod outlook;
pub mod playbook;
pub mod report;
pub mod runway;
mod scope;
pub mod signs;
mod situation;
pub mod stage;
mod steps;
mod trail;
mod walk;
pub mod words;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::config::{Advice, FactValue};
use crate::model::{Querier, Timestamp};
use crate::rules::Alert;

pub use decision::{
    Bottleneck, Citation, Considered, Decision, Evidence, FactQuestion, Outcome, Recommendation,
    SignInstance, SignKey, StepRef, Verdict,
};
pub use facts::{Facts, check_facts};
pub use inventory::{Detection, Inventory, StepState};
pub use ladder::Stage;
pub use playbook::Playbook;
pub use runway::Runway;
pub use scope::scope;
pub use signs::{SignChange, SignChangeKind, System, carry_since, diff, instances};

use ask::Ask;
use playbook::guard::Truth;
use situation::{Measured, Situation};

/// At most this many systems get advice; the first ones by name.
const MAX_SYSTEMS: usize = 200;

/// Everything that advice is made from.
pub struct Inputs<'a> {
    /// The advice as data.
    pub playbook: &'a Playbook,
    /// Answers queries.
    pub querier: &'a dyn Querier,
    /// All alert instances; those that fire are signs.
    pub alerts: &'a [Alert],
    /// `[facts]`.
    pub facts: &'a BTreeMap<String, FactValue>,
    /// `[advice]`.
    pub advice: &'a Advice,
    /// When limits are reached, where that is forecast.
    pub runways: &'a [Runway],
}

/// The advice for one system with what it was made from.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Advised {
    /// Bottlenecks and steps.
    pub decision: Decision,
    /// What the system has.
    pub inventory: Inventory,
    /// Where it stands.
    pub stage: Option<Stage>,
    /// Questions that could not be answered, a bounded number.
    pub warnings: Vec<String>,
}

/// Decides for every system what to do next; systems in order of name, at least one.
pub fn advise(inputs: &Inputs<'_>, now: Timestamp) -> Vec<Advised> {
    let labels = &inputs.advice.system_labels;
    let signs = instances(inputs.alerts, labels);
    systems(inputs, now)
        .iter()
        .map(|system| advise_system(inputs, system, &signs, now))
        .collect()
}

fn advise_system(
    inputs: &Inputs<'_>,
    system: &System,
    signs: &BTreeMap<SignKey, SignInstance>,
    now: Timestamp,
) -> Advised {
    let playbook = inputs.playbook;
    let ask = Ask::new(inputs.querier, system, now);
    let facts = Facts::gather(playbook, inputs.facts, &ask);
    let stage = ladder::stage(playbook, &facts);
    let measured: BTreeSet<String> = playbook
        .signs()
        .filter(|s| {
            s.needs
                .as_ref()
                .is_some_and(|q| ask.holds(q.get_ref()) == Truth::True)
        })
        .map(|s| s.id.get_ref().clone())
        .collect();
    let nothing = Inventory::default();
    let known = Known {
        situation: Situation {
            playbook,
            signs: signs
                .iter()
                .filter(|(key, _)| key.system == system.name)
                .collect(),
            measured: &Measured::Only(measured),
            facts: &facts,
            stage: stage.as_ref(),
            runways: inputs.runways,
            inventory: &nothing,
        },
        given: &BTreeMap::new(),
    };
    decide(known, &system.name, ask, now)
}

/// What is known of a system before its inventory is taken.
struct Known<'a> {
    situation: Situation<'a>,
    /// States of steps that need not be asked for.
    given: &'a BTreeMap<String, Detection>,
}

/// Takes the inventory and decides.
fn decide(known: Known<'_>, system: &str, ask: Ask<'_>, now: Timestamp) -> Advised {
    let situation = known.situation;
    let inventory = Inventory::take(&situation, &ask, known.given);
    let situation = Situation {
        inventory: &inventory,
        ..situation
    };
    let bottlenecks = bottlenecks::bottlenecks(&situation, &ask, now);
    let stage = situation.stage.cloned();
    let decision = Decision {
        system: system.to_owned(),
        at: now,
        rung: stage.as_ref().map(|s| s.rung.clone()),
        rung_from: stage.as_ref().map(|s| s.from.clone()),
        bottlenecks,
    };
    Advised {
        decision,
        inventory,
        stage,
        warnings: ask.into_warnings(),
    }
}

/// The systems that alerts and targets belong to.
fn systems(inputs: &Inputs<'_>, now: Timestamp) -> BTreeSet<System> {
    let labels = &inputs.advice.system_labels;
    let mut out: BTreeSet<System> = inputs
        .alerts
        .iter()
        .filter(|a| a.is_firing())
        .map(|a| System::of(&a.labels, labels))
        .collect();
    if labels.is_empty() {
        out.insert(System::of(&crate::model::Labels::empty(), labels));
        return out;
    }
    let targets = format!("count by ({}) (up)", labels.join(", "));
    let targets = inputs
        .querier
        .instant(&targets, now)
        .ok()
        .and_then(crate::model::Answer::into_vector)
        .unwrap_or_default();
    out.extend(targets.iter().map(|e| System::of(&e.labels, labels)));
    out.into_iter().take(MAX_SYSTEMS).collect()
}

#[cfg(test)]
mod tests;
