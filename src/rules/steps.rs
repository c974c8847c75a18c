//! The quick half of an evaluation: every alert of a rule one step further.

use std::collections::BTreeMap;
use std::time::Duration;

use super::alert::{self, Alert, AlertState, Change, ChangeKind, Seen, Timing};
use super::flapping::Flaps;
use super::group::{Instance, Rule};
use super::look::{Asker, Counted, Figures, Look, Sighting};
use super::reach::Reach;
use super::spec::AlertSpec;
use crate::model::{Labels, Timestamp};

/// A rule's alerts one evaluation further, beside the old ones.
#[derive(Default)]
pub(super) struct Steps {
    pub(super) alerts: BTreeMap<Labels, Instance>,
    pub(super) changes: Vec<Change>,
    pub(super) active: usize,
    pub(super) held: usize,
    pub(super) counted: Counted,
    pub(super) missing: Vec<String>,
    pub(super) flaps: BTreeMap<Labels, Flaps>,
    /// The rule's longest range.
    window: Duration,
    /// How far back its data goes.
    reach: Option<Reach>,
}

impl Steps {
    pub(super) fn take(
        rule: &Rule,
        spec: &AlertSpec,
        look: Look,
        group: &str,
        asker: &Asker<'_>,
    ) -> Steps {
        let mut steps = Steps {
            counted: look.counted,
            missing: look.missing,
            window: rule.spec.window,
            reach: Some(rule.reach),
            flaps: rule.flaps.clone(),
            ..Steps::default()
        };
        for flaps in steps.flaps.values_mut() {
            flaps.decay(&asker.ctx.flapping, asker.slot);
        }
        steps.flaps.retain(|_, flaps| !flaps.is_none());
        for (labels, sighting) in look.seen {
            let old = rule.alerts.get(&labels);
            let instance = sighted(rule, spec, &labels, &sighting, old, group);
            steps.one(spec, old, instance, Seen::Present, asker);
        }
        for (labels, (seen, figures)) in look.unseen {
            if let Some(old) = rule.alerts.get(&labels) {
                let mut instance = old.clone();
                if old.alert.is_firing() {
                    fill(&mut instance.alert, figures);
                }
                steps.one(spec, Some(old), instance, seen, asker);
            }
        }
        steps
    }

    /// Steps one instance; `instance` is what it will be, with the state it had.
    fn one(
        &mut self,
        spec: &AlertSpec,
        old: Option<&Instance>,
        mut instance: Instance,
        seen: Seen,
        asker: &Asker<'_>,
    ) {
        let before = old.map(|o| o.alert.state);
        let policy = &asker.ctx.flapping;
        let flaps = self.flaps.get(&instance.alert.labels).copied();
        let mut flaps = flaps.unwrap_or_default();
        let timing = Timing {
            hold: spec.timing.hold,
            keep: spec.timing.keep.max(flaps.hold(policy)),
        };
        let (state, kinds) =
            if asker.ctx.warm && !(seen == Seen::Absent && self.refills(before, asker)) {
                alert::step(before, seen, timing, asker.slot)
            } else {
                self.held += usize::from(matches!(
                    before,
                    Some(AlertState::Pending { .. } | AlertState::Firing { .. })
                ));
                (before, Vec::new())
            };
        if !policy.hold.0.is_zero() {
            let only_held = |since: Timestamp| asker.slot.since(since) >= spec.timing.keep;
            let came_back = match before {
                Some(AlertState::Firing {
                    kept_since: Some(since),
                    ..
                }) => {
                    seen == Seen::Present
                        && kinds.contains(&ChangeKind::Renewed)
                        && only_held(since)
                }
                Some(
                    AlertState::Firing { .. }
                    | AlertState::Pending { .. }
                    | AlertState::Resolved { .. },
                )
                | None => kinds.contains(&ChangeKind::Fired) && flaps.ended.is_some(),
            };
            if came_back {
                flaps.come_back(asker.slot);
            }
            if kinds.contains(&ChangeKind::Resolved) {
                flaps.end(asker.slot);
            }
            instance.alert.flaps = flaps;
            if !flaps.is_none() {
                self.flaps.insert(instance.alert.labels.clone(), flaps);
            }
        }
        let only_renewed = kinds.is_empty();
        for kind in kinds {
            let mut alert = instance.alert.clone();
            match (kind, before) {
                // Sent back to pending: the resolve is told with its own state.
                (ChangeKind::Resolved, Some(AlertState::Firing { fired_at, .. })) => {
                    alert.state = AlertState::Resolved {
                        fired_at,
                        resolved_at: asker.slot,
                    };
                }
                _ => alert.state = state.unwrap_or(alert.state),
            }
            self.changes.push(Change { kind, alert });
        }
        let Some(state) = state else { return };
        instance.alert.state = state;
        if only_renewed
            && instance.alert.is_firing()
            && old.is_some_and(|o| differs(&o.alert, &instance.alert))
        {
            self.changes.push(Change {
                kind: ChangeKind::Renewed,
                alert: instance.alert.clone(),
            });
        }
        self.active += usize::from(!matches!(state, AlertState::Resolved { .. }));
        self.alerts.insert(instance.alert.labels.clone(), instance);
    }

    /// True for a restored alert while the rule's longest range is not full again.
    fn refills(&self, before: Option<AlertState>, asker: &Asker<'_>) -> bool {
        let active_at = match before {
            Some(AlertState::Pending { active_at } | AlertState::Firing { active_at, .. }) => {
                active_at
            }
            Some(AlertState::Resolved { .. }) | None => return false,
        };
        let Some(reach) = self.reach else {
            return false;
        };
        active_at < reach.since && !reach.covers(asker.at, self.window)
    }
}

fn sighted(
    rule: &Rule,
    spec: &AlertSpec,
    labels: &Labels,
    sighting: &Sighting,
    old: Option<&Instance>,
    group: &str,
) -> Instance {
    let mut alert = Alert {
        group: group.to_owned(),
        rule: rule.spec.name.clone(),
        labels: labels.clone(),
        annotations: sighting.annotations.clone(),
        // Overwritten by the step; a new instance has no state before it.
        state: old.map_or(
            AlertState::Pending {
                active_at: Timestamp(0),
            },
            |o| o.alert.state,
        ),
        value: sighting.value,
        measured: match spec.value {
            None => Some(sighting.value),
            Some(_) => old.and_then(|o| o.alert.measured),
        },
        limit: old
            .and_then(|o| o.alert.limit)
            .filter(|_| spec.limit.is_some()),
        unit: spec.unit.clone(),
        threshold: spec.threshold,
        threshold_from: spec.threshold_from.clone(),
        flaps: old.map(|o| o.alert.flaps).unwrap_or_default(),
    };
    fill(&mut alert, sighting.figures);
    Instance {
        alert,
        has_target: sighting.has_target,
    }
}

fn fill(alert: &mut Alert, figures: Figures) {
    alert.measured = figures.measured.or(alert.measured);
    alert.limit = figures.limit.or(alert.limit);
}

fn differs(a: &Alert, b: &Alert) -> bool {
    let bits = |v: Option<f64>| v.map(f64::to_bits);
    a.value.to_bits() != b.value.to_bits()
        || bits(a.measured) != bits(b.measured)
        || bits(a.limit) != bits(b.limit)
        || bits(a.threshold) != bits(b.threshold)
        || a.annotations != b.annotations
        || a.unit != b.unit
        || a.threshold_from != b.threshold_from
        || a.group != b.group
}
