//! A rule group: when it is due, and one evaluation of it.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::alert::{Alert, AlertState, Change, ChangeKind};
use super::evaluations::{Evaluation, Evaluations, RuleStatus};
use super::flapping::Flaps;
use super::look::{Asker, Counted, Known};
use super::reach::Reach;
use super::spec::{GroupSpec, RuleKind, RuleSpec};
use super::steps::Steps;
use crate::config::{FlappingPolicy, Missing};
use crate::model::labels::NAME;
use crate::model::{Histogram, Labels, Querier, Session, Timestamp};

/// What an evaluation is given besides the data.
#[derive(Clone, Copy)]
pub struct EvalContext<'a> {
    /// For templates.
    pub external_labels: &'a BTreeMap<String, String>,
    /// For templates and links; may be empty.
    pub external_url: &'a str,
    /// `rules.missing`
    pub missing: Missing,
    /// `[rules.flapping]`
    pub flapping: FlappingPolicy,
    /// False until data has come in after a start: then nothing new fires, nothing is resolved,
    /// and what was restored is held as it is.
    pub warm: bool,
    /// Takes what a rule wrote, before the next rule runs, to where the querier reads.
    pub write: &'a dyn Fn(&Written),
    /// Time since some fixed moment, for the durations in the log.
    pub elapsed: &'a dyn Fn() -> Duration,
    /// Says whether any target exposes a metric of this name, kept or not. When absent, the
    /// querier is asked, which knows only what is kept.
    pub known: Option<&'a dyn Fn(&str) -> bool>,
}

/// What one rule wrote in one evaluation.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Written {
    /// Time of all samples and markers: the slot less the group's query offset.
    pub at: Timestamp,
    /// Recorded series, `ALERTS`, `ALERTS_FOR_STATE`.
    pub samples: Vec<(Labels, WrittenValue)>,
    /// Series written last time and not this time: they get a stale marker.
    pub stale: Vec<Labels>,
}

/// A sample that a rule wrote.
#[derive(Debug, Clone, PartialEq)]
pub enum WrittenValue {
    /// A float.
    Float(f64),
    /// A native histogram, of a recording rule.
    Histogram(Arc<Histogram>),
}

/// What came of one evaluation of a group.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Outcome {
    /// Alert changes, in order of rules and labels.
    pub changes: Vec<Change>,
    /// Rules that failed, with the reason; their alerts are as they were.
    pub errors: Vec<(String, String)>,
    /// Rules that are blind, with what they miss.
    pub blind: Vec<(String, Vec<String>)>,
    /// Alerts held because data has not come in yet.
    pub held: usize,
}

/// A running group.
#[derive(Debug, Clone)]
pub struct Group {
    pub(super) spec: GroupSpec,
    pub(super) interval: Duration,
    pub(super) next: Option<(Timestamp, &'static str)>,
    pub(super) missed: u64,
    pub(super) last: Option<(Timestamp, Duration)>,
    pub(super) rules: Vec<Rule>,
}

/// A running rule.
#[derive(Debug, Clone)]
pub struct Rule {
    pub(super) spec: RuleSpec,
    pub(super) alerts: BTreeMap<Labels, Instance>,
    pub(super) written: BTreeSet<Labels>,
    pub(super) log: Evaluations,
    /// How far back the data goes that it reads. An alert from before is not resolved while the
    /// longest range begins where there is none: the range is not full again.
    pub(super) reach: Reach,
    /// Instances that came back, those that are over for now included.
    pub(super) flaps: BTreeMap<Labels, Flaps>,
}

#[derive(Debug, Clone)]
pub(super) struct Instance {
    pub(super) alert: Alert,
    pub(super) has_target: bool,
}

impl Group {
    /// A group that has not run yet; `default_interval` where the file gives none.
    pub fn new(spec: GroupSpec, default_interval: Duration) -> Self {
        let interval = spec.interval.unwrap_or(default_interval);
        let rules = spec
            .rules
            .iter()
            .map(|r| Rule {
                spec: r.clone(),
                alerts: BTreeMap::new(),
                written: BTreeSet::new(),
                log: Evaluations::default(),
                reach: Reach::always(),
                flaps: BTreeMap::new(),
            })
            .collect();
        Self {
            spec,
            interval: interval.max(Duration::from_millis(1)),
            next: None,
            missed: 0,
            last: None,
            rules,
        }
    }

    /// The group as loaded.
    pub fn spec(&self) -> &GroupSpec {
        &self.spec
    }

    /// Time between evaluations.
    pub fn interval(&self) -> Duration {
        self.interval
    }

    /// Its rules in order.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Slots that passed without an evaluation.
    pub fn missed(&self) -> u64 {
        self.missed
    }

    /// The last slot that was evaluated and how long that took.
    pub fn last(&self) -> Option<(Timestamp, Duration)> {
        self.last
    }

    /// Says how far back the data of each rule goes.
    pub fn set_reach(&mut self, reach: &dyn Fn(&RuleSpec) -> Reach) {
        for rule in &mut self.rules {
            rule.reach = reach(&rule.spec);
        }
    }

    /// All its alert instances.
    pub fn alerts(&self) -> impl Iterator<Item = &Alert> {
        self.rules.iter().flat_map(Rule::alerts)
    }

    /// Moves what it remembers by milliseconds, with a wall clock that stepped.
    pub fn shift(&mut self, step: i64) {
        self.next = None;
        if let Some((at, _)) = &mut self.last {
            *at = at.shifted(step);
        }
        for rule in &mut self.rules {
            for instance in std::mem::take(&mut rule.alerts).into_values() {
                let mut instance = instance;
                instance.alert.shift(step);
                rule.alerts.insert(instance.alert.labels.clone(), instance);
            }
        }
    }

    /// The slot at which it runs next, and why then. The first one is the first slot after the
    /// first call; slots lie at a fixed offset that file and name determine.
    pub fn next_due(&mut self, now: Timestamp) -> (Timestamp, &'static str) {
        let following = self.slot_at(now) + self.interval;
        let (at, why) = match self.next {
            None => (following, "first slot after the start"),
            Some((at, _)) if at > following => (following, "the clock was set back"),
            Some(next) => next,
        };
        self.next = Some((at, why));
        (at, why)
    }

    /// The slot to evaluate now, if one is due: the latest that has begun. Earlier ones that
    /// were not evaluated count as missed.
    pub fn take_due(&mut self, now: Timestamp) -> Option<Timestamp> {
        let (due, _) = self.next_due(now);
        if due > now {
            return None;
        }
        let slot = self.slot_at(now);
        let skipped = slot.since(due).as_millis() / self.interval.as_millis();
        self.missed += u64::try_from(skipped).unwrap_or(u64::MAX);
        self.next = Some((slot + self.interval, "next slot"));
        Some(slot)
    }

    /// The slot that has begun at `now`.
    fn slot_at(&self, now: Timestamp) -> Timestamp {
        let interval = i64::try_from(self.interval.as_millis()).unwrap_or(i64::MAX);
        let key = Labels::from_pairs([("file", &self.spec.file), ("name", &self.spec.name)]);
        // The top bits of the hash are mixed best.
        let hash = i64::try_from(mix(key.fingerprint()) >> 1).unwrap_or(0);
        let offset = hash % interval;
        let since = now.millis().saturating_sub(offset);
        Timestamp(since - since.rem_euclid(interval) + offset)
    }

    /// Evaluates all rules in order at `slot`. A rule that fails changes nothing of its own.
    pub fn evaluate(
        &mut self,
        querier: &dyn Querier,
        slot: Timestamp,
        ctx: &EvalContext<'_>,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        let begun = (ctx.elapsed)();
        let at = slot - self.spec.query_offset;
        let group = self.spec.key();
        let exprs: Vec<&str> = self.rules.iter().flat_map(|r| r.spec.asked()).collect();
        let session = querier.session(&exprs);
        let querier: &dyn Querier = match &session {
            Some(session) => &**session,
            None => querier,
        };
        let mut asker = Asker::new(querier, ctx, slot, at);
        for rule in &mut self.rules {
            let begun = (ctx.elapsed)();
            // A rule changes itself only when all else is done, so that one that panics is as it was.
            let evaluated = catch_unwind(AssertUnwindSafe(|| match &rule.spec.kind {
                RuleKind::Record => rule.record(&asker, self.spec.limit),
                RuleKind::Alert(_) => rule.alert(&mut asker, &group, self.spec.limit, &mut outcome),
            }));
            let result = evaluated.unwrap_or_else(|panic| Err(broke(&*panic)));
            let mut run = Evaluation {
                at: slot,
                duration: (ctx.elapsed)().saturating_sub(begun),
                samples: 0,
                series_read: 0,
                error: None,
                warnings: Vec::new(),
            };
            match result {
                Ok(done) => {
                    run.samples = done.counted.samples;
                    run.series_read = done.counted.series_read;
                    run.warnings = done.counted.warnings;
                    let full = rule.reach.covers(at, rule.spec.window);
                    let status = match (ctx.warm, done.missing.is_empty()) {
                        (false, _) => RuleStatus::Warming,
                        (true, true) if !full => RuleStatus::Warming,
                        (true, true) => RuleStatus::Ok,
                        (true, false) => RuleStatus::Blind,
                    };
                    if status == RuleStatus::Blind {
                        let name = rule.spec.name.clone();
                        outcome.blind.push((name, done.missing.clone()));
                    }
                    rule.log.push(run, status, done.missing);
                    rule.write(at, done.samples, ctx, session.as_deref());
                }
                Err(e) => {
                    outcome.errors.push((rule.spec.name.clone(), e.clone()));
                    run.error = Some(e);
                    rule.log.push(run, RuleStatus::Err, Vec::new());
                }
            }
        }
        self.last = Some((slot, (ctx.elapsed)().saturating_sub(begun)));
        outcome
    }
}

/// A panic as an error.
fn broke(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let why = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!(
        "the evaluation panicked: {}",
        why.unwrap_or("no reason given")
    )
}

/// What a rule that did not fail has to say.
struct Done {
    samples: Vec<(Labels, WrittenValue)>,
    counted: Counted,
    missing: Vec<String>,
}

impl Rule {
    /// The rule as loaded.
    pub fn spec(&self) -> &RuleSpec {
        &self.spec
    }

    /// Its last runs and how it stands.
    pub fn log(&self) -> &Evaluations {
        &self.log
    }

    /// Its alert instances, resolved ones included while they are kept.
    pub fn alerts(&self) -> impl Iterator<Item = &Alert> {
        self.alerts.values().map(|i| &i.alert)
    }

    fn write(
        &mut self,
        at: Timestamp,
        samples: Vec<(Labels, WrittenValue)>,
        ctx: &EvalContext<'_>,
        session: Option<&dyn Session>,
    ) {
        let now: BTreeSet<Labels> = samples.iter().map(|(l, _)| l.clone()).collect();
        let stale = self.written.difference(&now).cloned().collect();
        self.written = now;
        let written = Written { at, samples, stale };
        (ctx.write)(&written);
        // The rules to come read what was written.
        if let Some(session) = session {
            let samples = written.samples.iter().map(|(labels, _)| labels);
            samples.chain(&written.stale).for_each(|l| session.wrote(l));
        }
    }

    fn record(&self, asker: &Asker<'_>, limit: usize) -> Result<Done, String> {
        let mut counted = Counted::default();
        let found = asker.elements(&self.spec.expr, &mut counted)?;
        counted.samples = found.len();
        let mut series = BTreeMap::new();
        for sample in found {
            let mut labels = sample.labels.to_builder();
            for (name, value) in &self.spec.labels {
                labels.set(name, value.text());
            }
            labels.set(NAME, &self.spec.name);
            let value = match sample.histogram {
                Some(h) => WrittenValue::Histogram(h),
                None => WrittenValue::Float(sample.value),
            };
            if series.insert(labels.build(), value).is_some() {
                return Err(
                    "vector contains metrics with the same labelset after applying rule labels"
                        .to_owned(),
                );
            }
        }
        if limit > 0 && series.len() > limit {
            let n = series.len();
            return Err(format!("exceeded limit of {limit} with {n} series"));
        }
        Ok(Done {
            samples: series.into_iter().collect(),
            counted,
            missing: Vec::new(),
        })
    }

    fn alert(
        &mut self,
        asker: &mut Asker<'_>,
        group: &str,
        limit: usize,
        outcome: &mut Outcome,
    ) -> Result<Done, String> {
        let RuleKind::Alert(spec) = &self.spec.kind else {
            return Err("not an alert rule".to_owned());
        };
        let known: Vec<Known<'_>> = self
            .alerts
            .iter()
            .map(|(labels, i)| Known {
                labels,
                firing: i.alert.is_firing(),
                has_target: i.has_target,
            })
            .collect();
        let look = asker.look(&self.spec, spec, &known)?;
        let steps = Steps::take(self, spec, look, group, asker);
        if limit > 0 && steps.active > limit {
            let n = steps.active;
            // Prometheus forgets all of the rule's alerts here; nobody shall wait for their end.
            let alerts = std::mem::take(&mut self.alerts);
            outcome
                .changes
                .extend(alerts.into_values().map(|i| end(i.alert, asker.slot)));
            return Err(format!("exceeded limit of {limit} with {n} alerts"));
        }
        outcome.held += steps.held;
        outcome.changes.extend(steps.changes);
        self.alerts = steps.alerts;
        self.flaps = steps.flaps;
        Ok(Done {
            samples: self.alert_series(),
            counted: steps.counted,
            missing: steps.missing,
        })
    }

    /// `ALERTS` and `ALERTS_FOR_STATE` of pending and firing alerts.
    fn alert_series(&self) -> Vec<(Labels, WrittenValue)> {
        let mut samples = Vec::new();
        for (labels, instance) in &self.alerts {
            let (state, active_at) = match instance.alert.state {
                AlertState::Pending { active_at } => ("pending", active_at),
                AlertState::Firing { active_at, .. } => ("firing", active_at),
                AlertState::Resolved { .. } => continue,
            };
            // As in Prometheus: a label whose template came out empty stands as it was written.
            let mut base = labels.to_builder();
            for (name, template) in &self.spec.labels {
                if !labels.has(name) {
                    base.set(name, template.text());
                }
            }
            let labels = base.build();
            let alerts = labels.with(NAME, "ALERTS").with("alertstate", state);
            samples.push((alerts, WrittenValue::Float(1.0)));
            let since = labels.with(NAME, "ALERTS_FOR_STATE");
            let seconds = active_at.millis().div_euclid(1000) as f64;
            samples.push((since, WrittenValue::Float(seconds)));
        }
        samples
    }
}

/// The end of an alert whose rule is gone.
pub fn end(alert: Alert, now: Timestamp) -> Change {
    let mut alert = alert;
    let kind = match alert.state {
        AlertState::Pending { .. } => ChangeKind::Dropped,
        AlertState::Firing { fired_at, .. } => {
            alert.state = AlertState::Resolved {
                fired_at,
                resolved_at: now,
            };
            ChangeKind::Resolved
        }
        AlertState::Resolved { .. } => ChangeKind::Expired,
    };
    Change { kind, alert }
}

/// Spreads a hash over all bits.
fn mix(mut h: u64) -> u64 {
    h = (h ^ (h >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    h = (h ^ (h >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    h ^ (h >> 31)
}

#[cfg(test)]
mod tests;
