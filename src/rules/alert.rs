//! One alert instance and what can happen to it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::{Labels, Level, Timestamp};

/// Where an alert instance stands. An inactive instance does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum AlertState {
    /// The condition holds, but not yet for `for`.
    Pending {
        /// First slot at which it held.
        active_at: Timestamp,
    },
    /// Fires.
    Firing {
        /// First slot at which it held.
        active_at: Timestamp,
        /// Slot at which it began to fire.
        fired_at: Timestamp,
        /// First slot without the condition, while `keep_firing_for` (or `loadline_clear`) holds
        /// it up.
        kept_since: Option<Timestamp>,
        /// First slot at which its input was missing; it is then neither ok nor newly firing.
        blind_since: Option<Timestamp>,
    },
    /// Was firing and is over; kept 15 minutes so that receivers hear of it.
    Resolved {
        /// Slot at which it had begun to fire.
        fired_at: Timestamp,
        /// Slot at which it was over.
        resolved_at: Timestamp,
    },
}

/// One alert instance: identity, state and what to say about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// Rule group.
    pub group: String,
    /// `alert:` of the rule.
    pub rule: String,
    /// Identity: sample labels, rule labels (expanded) and `alertname`.
    pub labels: Labels,
    /// Expanded annotations without the `loadline_*` ones.
    pub annotations: BTreeMap<String, String>,
    /// Where it stands.
    pub state: AlertState,
    /// Value of the expression at the last slot that returned it.
    pub value: f64,
    /// What it measures, from `loadline_value`, else `value`.
    pub measured: Option<f64>,
    /// The limit it is held against, from `loadline_limit`.
    pub limit: Option<f64>,
    /// Unit of measured, limit and threshold, from `loadline_unit`: ratio, bytes, seconds,
    /// per_second, count; empty when the rule names none.
    pub unit: String,
    /// The number the rule compares with, where it ends in exactly one comparison with a number.
    pub threshold: Option<f64>,
    /// Who gave the threshold: a citation such as `[D]S1`, `default`, or `config`.
    pub threshold_from: String,
}

impl Alert {
    /// The sign it belongs to: label `sign`, else the alert's name.
    pub fn sign(&self) -> &str {
        let sign = self.labels.get("sign");
        if sign.is_empty() { &self.rule } else { sign }
    }

    /// Urgency: label `level`, else from `severity`.
    pub fn level(&self) -> Level {
        let level = self.labels.get("level");
        level
            .parse()
            .unwrap_or_else(|_| Level::from_severity(self.labels.get("severity")))
    }

    /// True while it fires, kept and blind ones included.
    pub fn is_firing(&self) -> bool {
        matches!(self.state, AlertState::Firing { .. })
    }
}

/// What happened to an alert instance in one evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// Began to be pending.
    Pending,
    /// Began to fire.
    Fired,
    /// Fires on, with another value or other annotations; nothing to tell, worth keeping.
    Renewed,
    /// Fires on without its condition (`keep_firing_for`, `loadline_clear`).
    Kept,
    /// Fires on, but its input is missing.
    Blind,
    /// Is over.
    Resolved,
    /// Was pending and is over: forgotten.
    Dropped,
    /// Was resolved long enough: forgotten.
    Expired,
}

/// One change with the instance as it is afterwards.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// What happened.
    pub kind: ChangeKind,
    /// The instance after it (for dropped and expired ones: as it last was).
    pub alert: Alert,
}
