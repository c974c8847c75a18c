//! What the daemon knows at one moment, as the API and the command line show it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::servers::ServerView;
use crate::advice::outlook::{Outlook, Past, Urgency};
use crate::advice::{Decision, SignInstance};
use crate::model::{Labels, Timestamp};
use crate::rules::Alert;

/// Everything a person may ask the daemon about, as of `at`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// When it was taken.
    pub at: Timestamp,
    /// Version of the program.
    pub version: String,
    /// When the daemon started.
    pub started: Timestamp,
    /// True after the first full cycle: every source asked once, every group evaluated once.
    pub ready: bool,
    /// True when two samples a few seconds apart are all there is: no verdict on durations.
    pub brief: bool,
    /// What is watched.
    pub sources: Vec<SourceView>,
    /// Targets that a relabelling rule dropped.
    #[serde(default)]
    pub dropped: Vec<DroppedTargets>,
    /// What is not seen, and the line that would fix it.
    pub blind: Vec<Blind>,
    /// Watched Postgres servers, signal by signal.
    #[serde(default)]
    pub servers: Vec<ServerView>,
    /// Rule groups with their rules' health.
    pub groups: Vec<GroupView>,
    /// Pending, firing and recently resolved alerts.
    pub alerts: Vec<Alert>,
    /// Firing signs.
    pub signs: Vec<SignInstance>,
    /// One decision per system.
    pub decisions: Vec<Decision>,
    /// What is known to be in place or not, per system.
    pub steps: Vec<StepView>,
    /// Limits and when they are reached, the next one first.
    #[serde(default)]
    pub runways: Vec<RunwayView>,
    /// Messages, counted.
    pub messages: MessageBooks,
    /// Series and samples in memory.
    pub series: usize,
    /// Samples in memory.
    pub samples: usize,
}

/// One limit and when it is reached.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunwayView {
    /// Limit id.
    pub limit: String,
    /// What is used and against what.
    pub title: String,
    /// The sign that owns it: its row names the step.
    pub sign: String,
    /// Which one; empty for a figure of the team.
    pub labels: Labels,
    /// The same for people.
    pub place: String,
    /// Unit of value and limit.
    pub unit: String,
    /// What is used now.
    pub value: f64,
    /// How much there is.
    pub ceiling: Option<f64>,
    /// The limit before it changed, and when that was.
    pub limit_was: Option<(f64, Timestamp)>,
    /// What is said of it.
    pub outlook: Outlook,
    /// The same in a sentence.
    pub sentence: String,
    /// How urgent it is.
    pub urgency: Urgency,
    /// Days that the step takes that would be next.
    pub lead_days: f64,
    /// How well the forecasts of the last weeks did.
    pub past: Option<Past>,
    /// The same in a sentence; empty when none could be checked.
    pub record: String,
    /// Probability that it is reached before the next one in the list, where both have one.
    pub before_next: Option<f64>,
    /// The last 30 days, or hours where there are no days yet; null where it is missing.
    pub recent: Vec<Option<f64>>,
}

/// Whether a source answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceHealth {
    /// Not asked yet.
    Unknown,
    /// Answers.
    Up,
    /// Answers, but a part could not be read.
    Partial,
    /// Does not answer.
    Down,
}

/// One watched source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceView {
    /// `host`, `postgres` or `scrape`.
    pub kind: String,
    /// Name for people: address without credentials.
    pub name: String,
    /// Labels job and instance.
    pub labels: Labels,
    /// A target's labels before relabelling.
    #[serde(default = "Labels::empty")]
    pub discovered: Labels,
    /// Whether it answers.
    pub health: SourceHealth,
    /// State in a sentence: version and role, or why it does not answer.
    pub detail: String,
    /// What would mend it, where known.
    pub fix: Option<String>,
    /// Last time it was asked.
    pub last: Option<Timestamp>,
    /// How long that took, in seconds.
    pub seconds: f64,
    /// Samples it brought.
    pub samples: u64,
    /// Slots that were skipped because the one before was still running.
    pub missed: u64,
    /// How often it is asked, in seconds.
    pub interval_seconds: f64,
}

/// The targets of one job that a relabelling rule dropped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DroppedTargets {
    /// The job.
    pub job: String,
    /// How many there are.
    pub count: usize,
    /// Labels before relabelling of the first of them.
    pub labels: Vec<Labels>,
}

/// Something that is not seen.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Blind {
    /// What is not seen.
    pub what: String,
    /// Why not.
    pub why: String,
    /// The one line that would fix it.
    pub fix: String,
}

/// One rule group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupView {
    /// Name.
    pub name: String,
    /// Unique among all files; alerts name it.
    pub key: String,
    /// File it comes from; `shipped:` in front for those in the binary.
    pub file: String,
    /// Evaluation interval in seconds.
    pub interval_seconds: f64,
    /// Last evaluation.
    pub last: Option<Timestamp>,
    /// How long that took, in seconds.
    pub seconds: f64,
    /// Iterations that were skipped.
    pub missed: u64,
    /// Its rules, in order.
    pub rules: Vec<RuleView>,
}

/// Alerting or recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RuleKind {
    /// `alert:`
    Alerting,
    /// `record:`
    Recording,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RuleView {
    /// `alert:` or `record:`.
    pub name: String,
    /// Which of the two.
    pub kind: RuleKind,
    /// Expression.
    pub expr: String,
    /// `for`, in seconds.
    pub for_seconds: f64,
    /// `keep_firing_for`, in seconds.
    pub keep_firing_for_seconds: f64,
    /// Labels as written.
    pub labels: BTreeMap<String, String>,
    /// Annotations as written.
    pub annotations: BTreeMap<String, String>,
    /// `ok`, `err`, `blind`, `warming` or `unknown`.
    pub health: String,
    /// Why it is not ok.
    pub last_error: Option<String>,
    /// Its last runs, newest first.
    pub runs: Vec<RunView>,
}

/// One run of a rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunView {
    /// The slot.
    pub at: Timestamp,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// Series that were read.
    pub series: usize,
    /// Elements that the expression returned.
    pub samples: usize,
    /// Why it failed.
    pub error: Option<String>,
    /// What the engine remarked.
    pub warnings: Vec<String>,
}

/// What the selectors of one rule find.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// Key of the group.
    pub group: String,
    /// The rule as it stands.
    pub rule: RuleView,
    /// Each selector of its expression, in order.
    pub selectors: Vec<SelectorView>,
}

/// What one selector finds now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SelectorView {
    /// The selector.
    pub selector: String,
    /// Series it selects now.
    pub series: usize,
    /// Series of the same metric name, whatever their labels.
    pub of_that_name: usize,
    /// Existing metric names that look like the one asked for, nearest first; empty when the
    /// name exists.
    pub nearest: Vec<String>,
}

/// What is known of one step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepView {
    /// System; empty when there is one.
    pub system: String,
    /// Step id.
    pub id: String,
    /// Title.
    pub title: String,
    /// `present`, `absent`, `not-observed` or `unknown`.
    pub state: String,
    /// How that is known.
    pub because: String,
}

/// The outbox's books: `enqueued = delivered + folded + dead + pending` always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MessageBooks {
    /// Put into the outbox.
    pub enqueued: u64,
    /// Accepted by a receiver.
    pub delivered: u64,
    /// Folded into another message.
    pub folded: u64,
    /// Given up, kept for a person.
    pub dead: u64,
    /// Waiting.
    pub pending: u64,
}
