//! A decision as `loadline next --state` writes it: flat, with stable keys.

use serde::Serialize;

use crate::model::Level;

use super::Advised;
use super::decision::{
    Bottleneck, Citation, Considered, FactQuestion, Outcome, SignKey, StepRef, Verdict,
};
use super::inventory::Detection;
use super::playbook::Playbook;
use super::words;

/// The answer for one system: that of its worst bottleneck, and all bottlenecks.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Next {
    /// The system; may be empty.
    pub system: String,
    /// The rung advice goes by, where known.
    pub rung: Option<String>,
    /// How it was told.
    pub rung_from: Option<String>,
    /// The answer for the worst bottleneck; without a step where nothing fires.
    #[serde(flatten)]
    pub answer: Answer,
    /// The same for each bottleneck, worst first, at most two.
    pub bottlenecks: Vec<Hurt>,
    /// Steps that people and metrics tell differently.
    pub contradictions: Vec<NamedStep>,
}

/// A bottleneck with its answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Hurt {
    /// The sign that leads it.
    pub sign: String,
    /// Its title.
    pub sign_title: String,
    /// Its level.
    pub level: Level,
    /// Where it is.
    pub labels: crate::model::Labels,
    /// What was seen.
    pub evidence: Vec<String>,
    /// Further signs on the same line and server.
    pub also: Vec<SignKey>,
    /// What to do.
    #[serde(flatten)]
    pub answer: Answer,
}

/// A step by id and title.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NamedStep {
    /// Step id.
    pub step: String,
    /// Its title.
    pub title: String,
}

/// A required step that is not known to be in place.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Prerequisite {
    /// Step id.
    pub step: String,
    /// Its title.
    pub title: String,
    /// What is known of it.
    pub state: Detection,
}

/// A candidate that is not the step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NotStep {
    /// Step id.
    pub step: String,
    /// What came of it.
    pub outcome: Outcome,
    /// Why it is not the step.
    pub why: String,
}

/// Who disagrees with a step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Dissent {
    /// Id of the disagreement, e.g. `K-02`.
    pub id: String,
    /// In words, with what is done here.
    pub text: String,
}

/// What to do about a bottleneck.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answer {
    /// Id of the step to take; none where no scaling step applies.
    pub step: Option<String>,
    /// Its title.
    pub title: Option<String>,
    /// The step that was wanted, where `step` is a prerequisite of it.
    pub on_the_way_to: Option<NamedStep>,
    /// True when nothing was seen of the step: "unless already in place".
    pub unless_in_place: bool,
    /// True when the step is in place and is to be extended.
    pub again: bool,
    /// What relieves it now.
    pub first_aid: Vec<String>,
    /// What the wanted step requires and is not known to be in place, in order.
    pub prerequisites: Vec<Prerequisite>,
    /// The step after it.
    pub then: Option<NamedStep>,
    /// Why this answer, most telling first.
    pub reasons: Vec<String>,
    /// What it brings, with figures.
    pub effect: Option<String>,
    /// What it costs.
    pub cost: Option<String>,
    /// What to watch for.
    pub risks: Vec<String>,
    /// Default time it takes.
    pub lead_time: Option<String>,
    /// PromQL that returns something once it has worked.
    pub verify: Option<String>,
    /// What not to do about it at this stage.
    pub donts: Vec<String>,
    /// Who says so.
    pub citations: Vec<Citation>,
    /// The other candidates, in order.
    pub not: Vec<NotStep>,
    /// Who disagrees.
    pub dissent: Vec<Dissent>,
    /// The one fact whose answer would change this most.
    pub fact_to_confirm: Option<FactQuestion>,
    /// Every candidate in the order it was met.
    pub trace: Vec<Considered>,
}

impl Next {
    /// From a decision and what it was made from.
    pub fn of(playbook: &Playbook, advised: &Advised) -> Self {
        let bottlenecks: Vec<Hurt> = advised
            .decision
            .bottlenecks
            .iter()
            .map(|b| hurt(playbook, advised, b))
            .collect();
        let answer = bottlenecks
            .first()
            .map_or_else(quiet, |hurt| hurt.answer.clone());
        Next {
            system: advised.decision.system.clone(),
            rung: advised.decision.rung.clone(),
            rung_from: advised.decision.rung_from.clone(),
            answer,
            bottlenecks,
            contradictions: advised
                .inventory
                .steps
                .iter()
                .filter(|(_, state)| state.contradicted)
                .map(|(id, _)| named(&playbook.step_ref(id)))
                .collect(),
        }
    }
}

fn hurt(playbook: &Playbook, advised: &Advised, b: &Bottleneck) -> Hurt {
    Hurt {
        sign: b.sign.sign.clone(),
        sign_title: b.title.clone(),
        level: b.level,
        labels: b.sign.labels.clone(),
        evidence: b.evidence.iter().map(|e| e.text.clone()).collect(),
        also: b.also.clone(),
        answer: answer(playbook, advised, b),
    }
}

fn answer(playbook: &Playbook, advised: &Advised, b: &Bottleneck) -> Answer {
    let won = |c: &&Considered| c.outcome != Outcome::Wins && c.outcome != Outcome::Followed;
    let common = Answer {
        not: b
            .considered
            .iter()
            .filter(won)
            .map(|c| NotStep {
                step: c.step.clone(),
                outcome: c.outcome,
                why: match c.outcome {
                    Outcome::Later => words::later(&c.why),
                    Outcome::Wins
                    | Outcome::InPlace
                    | Outcome::Unknown
                    | Outcome::DoesNotApply
                    | Outcome::ConditionUnknown
                    | Outcome::DoneLately
                    | Outcome::Forbidden
                    | Outcome::TooEarly
                    | Outcome::Followed => c.why.clone(),
                },
            })
            .collect(),
        trace: b.considered.clone(),
        ..quiet()
    };
    let reasons = |why: &str| -> Vec<String> {
        std::iter::once(why.to_owned())
            .chain(b.evidence.iter().map(|e| e.text.clone()))
            .collect()
    };
    let some = |text: &String| (!text.is_empty()).then(|| text.clone());
    match &b.verdict {
        Verdict::NoStep {
            why,
            first_aid,
            confirm,
            citations,
        } => Answer {
            first_aid: first_aid.clone(),
            reasons: reasons(why),
            citations: citations.clone(),
            fact_to_confirm: confirm.clone(),
            ..common
        },
        Verdict::Step(r) => Answer {
            step: Some(r.step.id.clone()),
            title: Some(r.step.title.clone()),
            on_the_way_to: r.on_the_way_to.as_ref().map(named),
            unless_in_place: r.unless_in_place,
            again: r.again,
            first_aid: r.first_aid.clone(),
            prerequisites: r
                .missing
                .iter()
                .chain(&r.prerequisites)
                .map(|s| Prerequisite {
                    step: s.id.clone(),
                    title: s.title.clone(),
                    state: advised.inventory.state(&s.id),
                })
                .collect(),
            then: r.then.as_ref().map(named),
            reasons: reasons(&r.why),
            effect: some(&r.effect),
            cost: some(&r.cost),
            risks: r.risks.clone(),
            lead_time: some(&r.lead_time),
            verify: r.verify.clone(),
            donts: r.donts.clone(),
            citations: r.citations.clone(),
            dissent: playbook
                .dissent(&r.step.id, &b.sign.sign)
                .map(|c| Dissent {
                    id: c.id.get_ref().clone(),
                    text: playbook.cited(&words::dissent(c)),
                })
                .collect(),
            fact_to_confirm: r.confirm.first().cloned(),
            ..common
        },
    }
}

/// The answer when nothing hurts.
fn quiet() -> Answer {
    Answer {
        step: None,
        title: None,
        on_the_way_to: None,
        unless_in_place: false,
        again: false,
        first_aid: Vec::new(),
        prerequisites: Vec::new(),
        then: None,
        reasons: Vec::new(),
        effect: None,
        cost: None,
        risks: Vec::new(),
        lead_time: None,
        verify: None,
        donts: Vec::new(),
        citations: Vec::new(),
        not: Vec::new(),
        dissent: Vec::new(),
        fact_to_confirm: None,
        trace: Vec::new(),
    }
}

fn named(step: &StepRef) -> NamedStep {
    NamedStep {
        step: step.id.clone(),
        title: step.title.clone(),
    }
}
