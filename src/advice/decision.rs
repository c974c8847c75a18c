//! What the advisor says: signs, bottlenecks, steps.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::{Labels, Level, Timestamp};

/// Names a sign instance: one bad thing in one place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SignKey {
    /// The system (design.md D14); empty when the installation has one.
    pub system: String,
    /// Sign id, e.g. `db-connections-near-limit`; the alert's name for rules without a sign.
    pub sign: String,
    /// The alert's labels without alertname, sign, level and severity.
    pub labels: Labels,
}

/// A firing sign instance at its highest level.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SignInstance {
    /// Identity.
    pub key: SignKey,
    /// The highest level that fires.
    pub level: Level,
    /// Since when any of its levels fires.
    pub since: Timestamp,
    /// Summary of the alert at that level, expanded.
    pub summary: String,
    /// Further annotations of that alert.
    pub annotations: BTreeMap<String, String>,
    /// What was measured.
    pub value: Option<f64>,
    /// The limit, where the rule gives one.
    pub limit: Option<f64>,
    /// The number that was passed.
    pub threshold: Option<f64>,
    /// Who gave it: a citation, `default` or `config`.
    pub threshold_from: String,
    /// Unit of value, limit and threshold; may be empty.
    pub unit: String,
    /// True while its input is missing.
    pub blind: bool,
}

/// What the advisor says about one system.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// The system; empty when there is one.
    pub system: String,
    /// When it was decided.
    pub at: Timestamp,
    /// Scale stage, e.g. `L1`, where known.
    pub rung: Option<String>,
    /// How the stage was told: a figure or a declared fact, in words.
    pub rung_from: Option<String>,
    /// At most two, worst first.
    pub bottlenecks: Vec<Bottleneck>,
}

impl Decision {
    /// The bottleneck that a sign instance leads or is evidence of.
    pub fn bottleneck_of(&self, key: &SignKey) -> Option<&Bottleneck> {
        self.bottlenecks
            .iter()
            .find(|b| b.sign == *key)
            .or_else(|| self.bottlenecks.iter().find(|b| b.also.contains(key)))
    }
}

/// One bottleneck: what hurts and what to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bottleneck {
    /// The sign that leads it.
    pub sign: SignKey,
    /// Title of the sign in plain words.
    pub title: String,
    /// Its level.
    pub level: Level,
    /// What was seen.
    pub evidence: Vec<Evidence>,
    /// Further sign instances on the same escalation line and server.
    pub also: Vec<SignKey>,
    /// The next step, or why there is none.
    pub verdict: Verdict,
    /// Every candidate that was looked at, in order, with what came of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub considered: Vec<Considered>,
}

/// What came of a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It is the step, or the step it is on the way to.
    Wins,
    /// It may be taken, but another one goes before it.
    Later,
    /// It is in place.
    InPlace,
    /// Only people can say whether it is in place.
    Unknown,
    /// Its condition does not hold.
    DoesNotApply,
    /// It is not known whether its condition holds.
    ConditionUnknown,
    /// It is declared done, and passed over for a while.
    DoneLately,
    /// A principle forbids it here.
    Forbidden,
    /// It belongs far above the current stage, and the sign does not press.
    TooEarly,
    /// The row of another sign is followed from here.
    Followed,
}

/// A candidate that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Considered {
    /// The sign whose row it stands in.
    pub row: String,
    /// Step id; the sign's id where a row is followed.
    pub step: String,
    /// What came of it.
    pub outcome: Outcome,
    /// Why, in words.
    pub why: String,
}

/// One thing that was seen, in words and as a figure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// In words, e.g. `connections in use: 19 of 20`.
    pub text: String,
    /// The figure.
    pub value: Option<f64>,
    /// What it is held against.
    pub limit: Option<f64>,
    /// Unit of both; may be empty.
    pub unit: String,
}

/// The next step, or why there is none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Verdict {
    /// A scaling step.
    Step(Box<Recommendation>),
    /// No scaling step yet.
    NoStep {
        /// Why not, in a sentence.
        why: String,
        /// What relieves it now.
        first_aid: Vec<String>,
        /// The one fact that would change the answer.
        confirm: Option<FactQuestion>,
        /// Where the sign comes from.
        citations: Vec<Citation>,
    },
}

/// A step by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepRef {
    /// Step id.
    pub id: String,
    /// Title in plain words.
    pub title: String,
}

/// The step to take next, with everything a person needs to agree or not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recommendation {
    /// The step.
    pub step: StepRef,
    /// Set when this step is a prerequisite of the one that was wanted.
    pub on_the_way_to: Option<StepRef>,
    /// What the wanted step requires and is known to be absent, in order; the first is `step`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<StepRef>,
    /// What must be there first and is not known to be.
    pub prerequisites: Vec<StepRef>,
    /// True when nothing was seen of it: "unless already in place".
    pub unless_in_place: bool,
    /// Already in place; to be extended.
    pub again: bool,
    /// Why now, in a sentence.
    pub why: String,
    /// What it brings, with figures.
    pub effect: String,
    /// What it costs.
    pub cost: String,
    /// What to watch for.
    pub risks: Vec<String>,
    /// How long it takes, e.g. `3d`, and that this is a default.
    pub lead_time: String,
    /// How to see that it worked (PromQL).
    pub verify: Option<String>,
    /// What relieves it until then.
    pub first_aid: Vec<String>,
    /// What would change the answer, most telling first.
    pub confirm: Vec<FactQuestion>,
    /// The step after it.
    pub then: Option<StepRef>,
    /// Who says so.
    pub citations: Vec<Citation>,
    /// What not to do about it at this stage, in a sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub donts: Vec<String>,
    /// Who disagrees, in a sentence each.
    pub dissent: Vec<String>,
}

/// A fact that only people know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FactQuestion {
    /// Fact id.
    pub id: String,
    /// The question.
    pub question: String,
    /// The line for the config, e.g. `[facts]` newline `connection-pooling = true`.
    pub config: String,
}

/// Where advice comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Citation {
    /// Tag with locator, e.g. `[B]1K-10K`.
    pub tag: String,
    /// In words, e.g. `The Scaling Milestones, 1K-10K`.
    pub text: String,
}
