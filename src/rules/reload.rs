//! Carries alert state over a restart and over a change of rule files.

use std::collections::BTreeMap;
use std::time::Duration;

use super::alert::{Alert, AlertState, Change};
use super::group::{Group, Instance, Rule, end};
use super::spec::{GroupSpec, RuleSpec};
use crate::model::{Labels, Timestamp};

/// What a reload leads to.
#[derive(Debug, Default)]
pub struct Reloaded {
    /// The groups to run from now on.
    pub groups: Vec<Group>,
    /// Ends of alerts whose rule is gone.
    pub changes: Vec<Change>,
    /// Series of rules that are gone: they get a stale marker.
    pub stale: Vec<Labels>,
}

/// Turns the running groups into those of `specs`. A group that did not change runs on untouched;
/// otherwise state moves rule by rule, matched by name and labels, first within the group of the
/// same file and name, then anywhere (a group or file that was renamed).
pub fn reload(
    old: Vec<Group>,
    specs: &[GroupSpec],
    default_interval: Duration,
    now: Timestamp,
) -> Reloaded {
    let mut old: BTreeMap<String, Group> = old.into_iter().map(|g| (g.spec.key(), g)).collect();
    let mut reloaded = Reloaded::default();
    let mut left: Vec<Rule> = Vec::new();
    for spec in specs {
        let mut group = Group::new(spec.clone(), default_interval);
        match old.remove(&spec.key()) {
            Some(mut same) if same.spec == *spec && same.interval == group.interval => {
                // Equal but for the places in the file.
                for (rule, spec) in same.rules.iter_mut().zip(&spec.rules) {
                    rule.spec = spec.clone();
                }
                same.spec = spec.clone();
                group = same;
            }
            Some(before) => {
                if before.interval == group.interval {
                    group.next = before.next;
                }
                group.missed = before.missed;
                group.last = before.last;
                left.extend(move_rules(before.rules, std::slice::from_mut(&mut group)));
            }
            None => {}
        }
        reloaded.groups.push(group);
    }
    left.extend(old.into_values().flat_map(|g| g.rules));
    for rule in move_rules(left, &mut reloaded.groups) {
        let alerts = rule.alerts.into_values();
        reloaded.changes.extend(alerts.map(|i| end(i.alert, now)));
        reloaded.stale.extend(rule.written);
    }
    reloaded
}

/// Gives restored alerts to their rules, exactly as they were. Returns those whose rule is gone;
/// [`end`] turns them into changes.
pub fn restore(groups: &mut [Group], alerts: Vec<Alert>) -> Vec<Alert> {
    let mut orphans = Vec::new();
    for alert in alerts {
        let own = groups.iter().position(|g| g.spec.key() == alert.group);
        let place = own.into_iter().chain(0..groups.len()).find_map(|g| {
            Some((
                g,
                groups[g]
                    .rules
                    .iter()
                    .position(|r| makes(&r.spec, &alert))?,
            ))
        });
        match place {
            Some((g, r)) => {
                let group = &mut groups[g];
                let mut alert = alert;
                alert.group = group.spec.key();
                // Only a blind alert is known to have had a target.
                let has_target = matches!(
                    alert.state,
                    AlertState::Firing {
                        blind_since: Some(_),
                        ..
                    }
                );
                if !alert.flaps.is_none() {
                    let flaps = &mut group.rules[r].flaps;
                    flaps.insert(alert.labels.clone(), alert.flaps);
                }
                group.rules[r]
                    .alerts
                    .insert(alert.labels.clone(), Instance { alert, has_target });
            }
            None => orphans.push(alert),
        }
    }
    orphans
}

/// Moves state from `from` to equal rules in `into` that have none yet; returns the rest.
fn move_rules(from: Vec<Rule>, into: &mut [Group]) -> Vec<Rule> {
    let mut left = Vec::new();
    for rule in from {
        let place = into.iter_mut().find_map(|g| {
            let key = g.spec.key();
            let place = g.rules.iter_mut().find(|r| {
                r.spec.same_identity(&rule.spec)
                    && r.alerts.is_empty()
                    && r.written.is_empty()
                    && r.log.runs() == 0
            })?;
            Some((key, place))
        });
        match place {
            Some((key, place)) => {
                place.alerts = rule.alerts;
                for instance in place.alerts.values_mut() {
                    instance.alert.group.clone_from(&key);
                }
                place.written = rule.written;
                place.flaps = rule.flaps;
                place.log = rule.log;
            }
            None => left.push(rule),
        }
    }
    left
}

/// True when the rule can have made the alert: the same name and the same plain labels.
fn makes(rule: &RuleSpec, alert: &Alert) -> bool {
    rule.alert().is_some()
        && rule.name == alert.rule
        && rule
            .labels
            .iter()
            .all(|(name, value)| !value.is_plain() || alert.labels.get(name) == value.text())
}
