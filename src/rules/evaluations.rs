//! What the last runs of a rule were like, for people.

use std::collections::VecDeque;
use std::time::Duration;

use crate::model::Timestamp;

/// Runs remembered per rule.
pub const REMEMBERED: usize = 10;

/// How a rule is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleStatus {
    /// The last run went well.
    Ok,
    /// The last run failed; alerts stay as they were.
    Err,
    /// What it needs selects nothing.
    Blind,
    /// Not run yet, or not with enough data for a verdict.
    Warming,
}

impl RuleStatus {
    /// The word for the API.
    pub fn as_str(self) -> &'static str {
        match self {
            RuleStatus::Ok => "ok",
            RuleStatus::Err => "err",
            RuleStatus::Blind => "blind",
            RuleStatus::Warming => "warming",
        }
    }
}

/// One run of a rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// The slot.
    pub at: Timestamp,
    /// How long it took.
    pub duration: Duration,
    /// Elements that the expression returned.
    pub samples: usize,
    /// Series that it read.
    pub series_read: usize,
    /// Why it failed.
    pub error: Option<String>,
    /// What the engine or a figure of the rule remarked.
    pub warnings: Vec<String>,
}

/// The last runs of a rule and how it stands.
#[derive(Debug, Clone)]
pub struct Evaluations {
    last: VecDeque<Evaluation>,
    status: RuleStatus,
    missing: Vec<String>,
    runs: u64,
    failures: u64,
}

impl Default for Evaluations {
    fn default() -> Self {
        Self {
            last: VecDeque::new(),
            status: RuleStatus::Warming,
            missing: Vec::new(),
            runs: 0,
            failures: 0,
        }
    }
}

impl Evaluations {
    pub(crate) fn push(&mut self, run: Evaluation, status: RuleStatus, missing: Vec<String>) {
        self.runs += 1;
        self.failures += u64::from(run.error.is_some());
        self.status = status;
        self.missing = missing;
        if self.last.len() == REMEMBERED {
            self.last.pop_front();
        }
        self.last.push_back(run);
    }

    /// How the rule is.
    pub fn status(&self) -> RuleStatus {
        self.status
    }

    /// What it needs and does not find: metric names, or the text of `loadline_needs`.
    pub fn missing(&self) -> &[String] {
        &self.missing
    }

    /// The last runs, oldest first, at most [`REMEMBERED`].
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Evaluation> + ExactSizeIterator {
        self.last.iter()
    }

    /// The last run.
    pub fn last(&self) -> Option<&Evaluation> {
        self.last.back()
    }

    /// Runs since the rule was loaded.
    pub fn runs(&self) -> u64 {
        self.runs
    }

    /// Failed ones of them.
    pub fn failures(&self) -> u64 {
        self.failures
    }
}
