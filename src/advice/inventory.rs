//! What a system has: the detection state of every step.
//!
//! What must stay true: a query that cannot be answered never makes a step absent.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ask::Ask;
use super::playbook::Playbook;
use super::playbook::guard::Truth;
use super::playbook::rows::{Detect, DetectKind, OrderKind, Step, Text, Tier, TierDetect};
use super::situation::Situation;
use super::words;

/// What is known of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Detection {
    /// In place.
    Present,
    /// Known not to be in place.
    Absent,
    /// It would be seen by its own metrics, and no target shows them.
    NotObserved,
    /// Only people can say.
    Unknown,
}

/// What told the state of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Told {
    /// People.
    Declared,
    /// Metrics or their absence.
    Detected,
    /// Signs that fire or are quiet.
    Signs,
    /// Another step that is in place.
    Implied,
}

/// A step's state with what told it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StepState {
    /// The state.
    pub state: Detection,
    /// What told it.
    pub told: Told,
    /// True when people and metrics say opposite things.
    pub contradicted: bool,
    /// What told it, in words; empty when nothing did.
    pub by: String,
}

/// The state of every step of one system.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Inventory {
    /// By step id.
    pub steps: BTreeMap<String, StepState>,
    /// Of steps that are in place per tier: by step id and tier.
    pub tiers: BTreeMap<String, BTreeMap<Tier, StepState>>,
}

impl Inventory {
    /// Asks for every step of the playbook, then adds what follows from what was found.
    ///
    /// What `given` says of a step counts more than what is asked.
    pub(crate) fn take(
        s: &Situation<'_>,
        ask: &Ask<'_>,
        given: &BTreeMap<String, Detection>,
    ) -> Self {
        let mut inventory = Inventory::default();
        for step in s.playbook.steps() {
            let id = step.id.get_ref();
            let state = match (given.get(id), s.facts.declared(id)) {
                (Some(state), _) => given_state(*state),
                (None, Some(declared)) => declared_state(step, declared, s, ask),
                (None, None) if step.detect.tier.is_empty() => detected(&step.detect, s, ask),
                (None, None) => {
                    let tiers = step
                        .detect
                        .tier
                        .iter()
                        .map(|t| (t.tier, tier_state(t, s, ask)))
                        .collect();
                    let all = over_all_tiers(&tiers);
                    inventory.tiers.insert(id.clone(), tiers);
                    all
                }
            };
            inventory.steps.insert(id.clone(), state);
        }
        inventory.follow(s.playbook);
        inventory
    }

    /// The state of a step.
    pub fn state(&self, step: &str) -> Detection {
        self.steps.get(step).map_or(Detection::Unknown, |s| s.state)
    }

    /// What told the state of a step, in words.
    pub(crate) fn by(&self, step: &str) -> &str {
        self.steps.get(step).map_or("", |s| s.by.as_str())
    }

    /// True when people told the state of a step.
    pub(crate) fn is_declared(&self, step: &str) -> bool {
        self.steps
            .get(step)
            .is_some_and(|s| s.told == Told::Declared)
    }

    /// Steps in place whose required step is known to be absent, each with that step.
    pub(crate) fn violated<'a>(&self, playbook: &'a Playbook) -> Vec<(&'a str, &'a str)> {
        playbook
            .orders()
            .filter(|o| o.kind == OrderKind::Requires && o.guard.is_none())
            .map(|o| (o.then.get_ref().as_str(), o.first.get_ref().as_str()))
            .filter(|(then, first)| {
                self.shown(then)
                    && self.state(first) == Detection::Absent
                    && !self.tiers.contains_key(*first)
            })
            .collect()
    }

    /// True when a step is in place and more than quiet signs say so.
    fn shown(&self, step: &str) -> bool {
        self.steps
            .get(step)
            .is_some_and(|s| s.state == Detection::Present && s.told != Told::Signs)
    }

    /// The state of a step for one tier, where it has such; for a tier it says nothing of, the
    /// state of the step.
    pub fn state_for(&self, step: &str, tier: Tier) -> Detection {
        self.tiers
            .get(step)
            .and_then(|t| t.get(&tier))
            .map_or_else(|| self.state(step), |s| s.state)
    }

    /// Implied and presumed steps: what something that is present cannot be without.
    fn follow(&mut self, playbook: &Playbook) {
        let implied = playbook.implications().map(|i| (&i.step, &i.implies, true));
        let presumed = playbook
            .orders()
            .filter(|o| o.kind == OrderKind::Requires && o.presume && o.guard.is_none())
            .map(|o| (&o.then, &o.first, false));
        let edges: Vec<(&Text, &Text, bool)> = implied.chain(presumed).collect();
        let mut changed = true;
        while changed {
            changed = false;
            for (from, to, implied) in &edges {
                if !self.shown(from.get_ref()) {
                    continue;
                }
                let open = match self.state(to.get_ref()) {
                    Detection::NotObserved | Detection::Unknown => true,
                    Detection::Present | Detection::Absent => false,
                };
                let told_by_signs = playbook.step(to.get_ref()).is_none_or(|s| {
                    s.detect.kind == DetectKind::Symptom || !s.detect.tier.is_empty()
                });
                if open && (*implied || !told_by_signs) {
                    let state = StepState {
                        state: Detection::Present,
                        told: Told::Implied,
                        contradicted: false,
                        by: words::follows_from(&playbook.step_ref(from.get_ref())),
                    };
                    self.steps.insert(to.get_ref().clone(), state);
                    changed = true;
                }
            }
        }
    }
}

fn given_state(state: Detection) -> StepState {
    let told = match state {
        Detection::Present | Detection::Absent => Told::Declared,
        Detection::NotObserved | Detection::Unknown => Told::Detected,
    };
    StepState {
        state,
        told,
        contradicted: false,
        by: words::GIVEN.to_owned(),
    }
}

fn declared_state(step: &Step, declared: bool, s: &Situation<'_>, ask: &Ask<'_>) -> StepState {
    let state = if declared {
        Detection::Present
    } else {
        Detection::Absent
    };
    // Where metrics say the opposite, the declaration counts, and the difference is shown.
    let opposite = match detected(&step.detect, s, ask).state {
        Detection::Present => !declared,
        Detection::Absent => declared,
        Detection::NotObserved | Detection::Unknown => false,
    };
    StepState {
        state,
        told: Told::Declared,
        contradicted: opposite,
        by: words::declared(opposite),
    }
}

fn detected(d: &Detect, s: &Situation<'_>, ask: &Ask<'_>) -> StepState {
    let holds = |q: Option<&Text>| q.is_some_and(|q| ask.holds(q.get_ref()) == Truth::True);
    let told = |state, by: &str| StepState {
        state,
        told: Told::Detected,
        contradicted: false,
        by: by.to_owned(),
    };
    if holds(d.present.as_ref()) {
        return told(Detection::Present, words::SEEN);
    }
    if holds(d.absent.as_ref()) {
        return told(Detection::Absent, words::SEEN_ABSENT);
    }
    if let Some(g) = &d.guard
        && s.guard(g.get_ref(), "", Truth::Unknown) == Truth::True
    {
        return told(Detection::Present, words::DECLARED);
    }
    match d.kind {
        DetectKind::Auto => told(Detection::NotObserved, ""),
        DetectKind::Partial | DetectKind::Declared => told(Detection::Unknown, ""),
        DetectKind::Symptom => {
            let fires: Vec<Truth> = d.signs.iter().map(|x| s.fires(x.get_ref(), None)).collect();
            let by_signs = |state, by| StepState {
                told: Told::Signs,
                ..told(state, by)
            };
            if fires.contains(&Truth::True) {
                by_signs(Detection::Absent, words::SIGNS_FIRE)
            } else if fires.is_empty() || fires.contains(&Truth::Unknown) {
                told(Detection::NotObserved, "")
            } else {
                by_signs(Detection::Present, words::SIGNS_QUIET)
            }
        }
    }
}

fn tier_state(t: &TierDetect, s: &Situation<'_>, ask: &Ask<'_>) -> StepState {
    let holds = |q: Option<&Text>| q.is_some_and(|q| ask.holds(q.get_ref()) == Truth::True);
    let told = |state, by: &str| StepState {
        state,
        told: Told::Detected,
        contradicted: false,
        by: by.to_owned(),
    };
    if holds(t.present.as_ref()) {
        return told(Detection::Present, words::SEEN);
    }
    if holds(t.absent.as_ref()) {
        return told(Detection::Absent, words::SEEN_ABSENT);
    }
    match t
        .guard
        .as_ref()
        .map(|g| s.guard(g.get_ref(), "", Truth::Unknown))
    {
        Some(Truth::True) => told(Detection::Present, words::DECLARED),
        Some(Truth::False) => told(Detection::Absent, words::NOT_DECLARED),
        Some(Truth::Unknown) | None => told(Detection::NotObserved, ""),
    }
}

/// In place when it is for every tier; absent when it is known to be for one.
fn over_all_tiers(tiers: &BTreeMap<Tier, StepState>) -> StepState {
    let all = |want| tiers.values().all(|t: &StepState| t.state == want);
    let state = if all(Detection::Present) {
        Detection::Present
    } else if tiers.values().any(|t| t.state == Detection::Absent) {
        Detection::Absent
    } else {
        Detection::NotObserved
    };
    StepState {
        state,
        told: Told::Detected,
        contradicted: false,
        by: String::new(),
    }
}
