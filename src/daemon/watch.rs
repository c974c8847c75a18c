//! What is wrong with ourselves: blind sources, receivers that fail, late rules, a full disk.
//!
//! What must stay true: these are alerts like all others: one state machine, one transaction with
//! their notices, the same over a restart; a source that was not asked yet proves nothing; one
//! alert for each source, however many rules it blinds.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::model::{Labels, Level, Timestamp};
use crate::rules::alert::{Seen, Timing, step};
use crate::rules::{Alert, AlertState, Change, ChangeKind, Flaps};

/// The group under which our own alerts are kept; no rule file is called so.
pub(crate) const OWN: &str = "loadline;own";

/// What can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Trouble {
    /// A source gives no answer.
    SourceBlind,
    /// Alerts fire on without their input, though no source of theirs is down.
    InputMissing,
    /// A receiver does not take messages.
    ReceiverFailing,
    /// Messages were given up.
    DeadLetters,
    /// A rule group is not evaluated in time.
    EvaluationLate,
    /// The disk of the state is full.
    DiskFull,
    /// The state was damaged and begun anew.
    StateBegunAnew,
    /// A task broke and was started again.
    TaskBroke,
}

impl Trouble {
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Trouble::SourceBlind => ("loadline-source-blind", "LoadlineSourceBlind"),
            Trouble::InputMissing => ("loadline-input-missing", "LoadlineInputMissing"),
            Trouble::ReceiverFailing => ("loadline-receiver-failing", "LoadlineReceiverFailing"),
            Trouble::DeadLetters => ("loadline-dead-letters", "LoadlineDeadLetters"),
            Trouble::EvaluationLate => ("loadline-evaluation-late", "LoadlineEvaluationLate"),
            Trouble::DiskFull => ("loadline-disk-full", "LoadlineDiskFull"),
            Trouble::StateBegunAnew => ("loadline-state-begun-anew", "LoadlineStateBegunAnew"),
            Trouble::TaskBroke => ("loadline-task-broke", "LoadlineTaskBroke"),
        }
    }
}

/// One thing that may be wrong, now.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Condition {
    pub(crate) trouble: Trouble,
    /// What it is about.
    pub(crate) about: Labels,
    /// How long it must last before it is told, and be over before that is told.
    pub(crate) hold: Duration,
    /// A figure that goes with it, and its unit.
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
    pub(crate) summary: String,
    /// False: nobody knows; what fires goes on.
    pub(crate) is_known: bool,
}

/// Our own alerts.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    alerts: BTreeMap<Labels, Alert>,
    holds: BTreeMap<Labels, Duration>,
}

impl Watch {
    /// Takes our own alerts out of those that were remembered.
    pub(crate) fn restore(remembered: &mut Vec<Alert>) -> Self {
        let (own, others) = std::mem::take(remembered)
            .into_iter()
            .partition(|a: &Alert| a.group == OWN);
        *remembered = others;
        let own: Vec<Alert> = own;
        Self {
            alerts: own.into_iter().map(|a| (a.labels.clone(), a)).collect(),
            holds: BTreeMap::new(),
        }
    }

    /// Moves how long they have lasted with a wall clock that stepped.
    pub(crate) fn shift(&mut self, step: i64) {
        for alert in self.alerts.values_mut() {
            alert.shift(step);
        }
    }

    /// All of them.
    pub(crate) fn alerts(&self) -> impl Iterator<Item = &Alert> {
        self.alerts.values()
    }

    /// Takes every alert one step further; conditions that are not there are over.
    pub(crate) fn observe(&mut self, conditions: &[Condition], now: Timestamp) -> Vec<Change> {
        let mut changes = Vec::new();
        let mut seen = BTreeSet::new();
        for condition in conditions {
            let labels = labels(condition);
            if !seen.insert(labels.clone()) || !condition.is_known {
                continue;
            }
            self.holds.insert(labels.clone(), condition.hold);
            let known = self.alerts.get(&labels);
            let mut alert = fresh(condition, labels);
            if let Some(old) = known.filter(|a| a.is_firing()) {
                alert.value = old.value;
                alert.annotations = old.annotations.clone();
            }
            let state = known.map(|a| a.state);
            self.step(
                alert,
                state,
                Seen::Present,
                condition.hold,
                now,
                &mut changes,
            );
        }
        let gone: Vec<Alert> = self
            .alerts
            .values()
            .filter(|a| !seen.contains(&a.labels))
            .cloned()
            .collect();
        for alert in gone {
            let hold = self.holds.get(&alert.labels).copied().unwrap_or_default();
            let state = Some(alert.state);
            self.step(alert, state, Seen::Absent, hold, now, &mut changes);
        }
        self.holds
            .retain(|labels, _| self.alerts.contains_key(labels));
        changes
    }

    fn step(
        &mut self,
        mut alert: Alert,
        state: Option<AlertState>,
        seen: Seen,
        hold: Duration,
        now: Timestamp,
        changes: &mut Vec<Change>,
    ) {
        let timing = Timing { hold, keep: hold };
        let (after, kinds) = step(state, seen, timing, now);
        match after {
            Some(state) => {
                alert.state = state;
                self.alerts.insert(alert.labels.clone(), alert.clone());
            }
            None => {
                self.alerts.remove(&alert.labels);
            }
        }
        for kind in kinds {
            let alert = alert.clone();
            changes.push(Change { kind, alert });
        }
    }
}

/// True when somebody is told.
pub(crate) fn is_news(change: &Change) -> bool {
    matches!(change.kind, ChangeKind::Fired | ChangeKind::Resolved)
}

fn labels(condition: &Condition) -> Labels {
    let (sign, name) = condition.trouble.names();
    condition
        .about
        .with("alertname", name)
        .with("sign", sign)
        .with("level", Level::Act.as_str())
        .with("severity", Level::Act.severity())
}

fn fresh(condition: &Condition, labels: Labels) -> Alert {
    let (_, name) = condition.trouble.names();
    Alert {
        group: OWN.to_owned(),
        rule: name.to_owned(),
        labels,
        annotations: BTreeMap::from([("summary".to_owned(), condition.summary.clone())]),
        state: AlertState::Pending {
            active_at: Timestamp(0),
        },
        value: condition.value,
        measured: None,
        limit: None,
        unit: condition.unit.to_owned(),
        threshold: None,
        threshold_from: "default".to_owned(),
        flaps: Flaps::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blind(source: &str, is_known: bool) -> Condition {
        Condition {
            trouble: Trouble::SourceBlind,
            about: Labels::from_pairs([("source", source)]),
            hold: Duration::from_secs(60),
            value: 60.0,
            unit: "seconds",
            summary: format!("{source} gives no answer"),
            is_known,
        }
    }

    /// Kinds of the changes at each second.
    fn run(watch: &mut Watch, steps: &[(i64, &[Condition])]) -> Vec<(i64, ChangeKind)> {
        let mut all = Vec::new();
        for (secs, conditions) in steps {
            for change in watch.observe(conditions, Timestamp::from_secs(*secs)) {
                all.push((*secs, change.kind));
            }
        }
        all
    }

    #[test]
    fn a_blind_source_is_told_once_and_resolved_once() {
        use ChangeKind::{Fired, Kept, Pending, Resolved};
        let mut watch = Watch::default();
        let down = [blind("db", true)];
        let got = run(
            &mut watch,
            &[
                (0, &down),
                (30, &down),
                (60, &down),
                (300, &down),
                (310, &[]),
                (320, &down),
                (400, &[]),
                (459, &[]),
                (460, &[]),
                (470, &[]),
            ],
        );
        let kinds: Vec<_> = got
            .into_iter()
            .filter(|(_, k)| *k != ChangeKind::Renewed)
            .collect();
        assert_eq!(
            kinds,
            [
                (0, Pending),
                (60, Fired),
                (310, Kept),
                (400, Kept),
                (460, Resolved)
            ]
        );
    }

    #[test]
    fn a_short_silence_is_not_told() {
        let mut watch = Watch::default();
        let down = [blind("db", true)];
        let got = run(
            &mut watch,
            &[(0, &down), (50, &[]), (55, &down), (100, &[])],
        );
        assert!(got.iter().all(|(_, k)| *k != ChangeKind::Fired), "{got:?}");
        assert_eq!(watch.alerts().count(), 0);
    }

    #[test]
    fn who_was_not_asked_yet_keeps_what_it_had_over_a_restart() {
        let mut watch = Watch::default();
        let down = [blind("db", true)];
        run(&mut watch, &[(0, &down), (60, &down)]);
        let mut remembered: Vec<Alert> = watch.alerts().cloned().collect();
        let json = serde_json::to_string(&remembered[0]).unwrap();
        remembered[0] = serde_json::from_str(&json).unwrap();
        let mut other = remembered[0].clone();
        other.group = "rules.yml;mine".to_owned();
        remembered.push(other);
        let mut watch = Watch::restore(&mut remembered);
        assert_eq!(remembered.len(), 1, "rules' alerts are left");
        let unknown = [blind("db", false)];
        assert_eq!(run(&mut watch, &[(70, &unknown), (700, &unknown)]), []);
        assert!(watch.alerts().all(Alert::is_firing));
    }
}
