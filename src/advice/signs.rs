//! What hurts: alerts folded into sign instances, and what changed between two times.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Labels, Level, Timestamp};
use crate::rules::{Alert, AlertState};

use super::decision::{SignInstance, SignKey};

/// Labels that name a rule rather than the thing that hurts.
const RULE_LABELS: [&str; 4] = ["alertname", "sign", "level", "severity"];

/// One of the systems that `advice.system_labels` tells apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct System {
    /// The values joined by `/`; empty when there is one system.
    pub name: String,
    /// Label and value, in the order of `advice.system_labels`; an absent label is empty.
    pub matchers: Vec<(String, String)>,
}

impl System {
    /// The system to which something with these labels belongs.
    pub fn of(labels: &Labels, system_labels: &[String]) -> Self {
        let matchers: Vec<_> = system_labels
            .iter()
            .map(|l| (l.clone(), labels.get(l).to_owned()))
            .collect();
        let values: Vec<_> = matchers.iter().map(|(_, v)| v.as_str()).collect();
        let name = if values.iter().all(|v| v.is_empty()) {
            String::new()
        } else {
            values.join("/")
        };
        System { name, matchers }
    }
}

/// What happened to a sign instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignChangeKind {
    /// It was not there before.
    Fired,
    /// Its level is another.
    LevelChanged {
        /// The level before.
        from: Level,
    },
    /// Its input went missing, or is back.
    BlindChanged {
        /// True when it went missing.
        blind: bool,
    },
    /// It is over.
    Resolved,
}

/// One change with the instance as it is now; a resolved one as it last was.
#[derive(Debug, Clone, PartialEq)]
pub struct SignChange {
    /// What happened.
    pub kind: SignChangeKind,
    /// The instance.
    pub sign: SignInstance,
}

/// Folds firing alerts into sign instances: the highest level leads, the earliest start counts.
pub fn instances<'a>(
    alerts: impl IntoIterator<Item = &'a Alert>,
    system_labels: &[String],
) -> BTreeMap<SignKey, SignInstance> {
    let mut leaders: BTreeMap<SignKey, (&Alert, SignInstance)> = BTreeMap::new();
    for alert in alerts {
        let AlertState::Firing {
            fired_at,
            blind_since,
            ..
        } = alert.state
        else {
            continue;
        };
        let instance = instance(alert, system_labels, fired_at, blind_since.is_some());
        match leaders.get_mut(&instance.key) {
            None => {
                leaders.insert(instance.key.clone(), (alert, instance));
            }
            Some((leader, known)) => {
                let since = known.since.min(instance.since);
                if leads(alert, &instance, leader, known) {
                    (*leader, *known) = (alert, instance);
                }
                known.since = since;
            }
        }
    }
    leaders
        .into_iter()
        .map(|(key, (_, instance))| (key, instance))
        .collect()
}

/// Keeps the start of instances that were there before: when the level that began them is over
/// and a later one goes on, it is still the same episode.
pub fn carry_since(
    before: &BTreeMap<SignKey, SignInstance>,
    after: &mut BTreeMap<SignKey, SignInstance>,
) {
    for (key, instance) in after {
        if let Some(old) = before.get(key) {
            instance.since = instance.since.min(old.since);
        }
    }
}

/// What changed from `before` to `after`, in order of key; a level change goes before blindness.
pub fn diff(
    before: &BTreeMap<SignKey, SignInstance>,
    after: &BTreeMap<SignKey, SignInstance>,
) -> Vec<SignChange> {
    let keys: BTreeSet<&SignKey> = before.keys().chain(after.keys()).collect();
    let mut changes = Vec::new();
    for key in keys {
        let mut push = |kind, sign: &SignInstance| {
            changes.push(SignChange {
                kind,
                sign: sign.clone(),
            });
        };
        match (before.get(key), after.get(key)) {
            (None, Some(new)) => push(SignChangeKind::Fired, new),
            (Some(old), None) => push(SignChangeKind::Resolved, old),
            (Some(old), Some(new)) => {
                if old.level != new.level {
                    push(SignChangeKind::LevelChanged { from: old.level }, new);
                }
                if old.blind != new.blind {
                    push(SignChangeKind::BlindChanged { blind: new.blind }, new);
                }
            }
            (None, None) => {}
        }
    }
    changes
}

/// The host that something is about: label `host`, else `instance` without its port.
pub fn host_of(labels: &Labels) -> &str {
    let host = labels.get("host");
    if !host.is_empty() {
        return host;
    }
    let instance = labels.get("instance");
    match instance.rsplit_once(':') {
        Some((host, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => instance,
    }
}

fn instance(
    alert: &Alert,
    system_labels: &[String],
    since: Timestamp,
    blind: bool,
) -> SignInstance {
    let mut annotations = alert.annotations.clone();
    let summary = annotations
        .remove("summary")
        .or_else(|| annotations.remove("description"))
        .unwrap_or_else(|| alert.rule.clone());
    SignInstance {
        key: SignKey {
            system: System::of(&alert.labels, system_labels).name,
            sign: alert.sign().to_owned(),
            labels: alert.labels.without(&RULE_LABELS),
        },
        level: alert.level(),
        since,
        summary,
        annotations,
        value: alert.measured.or(Some(alert.value)),
        limit: alert.limit,
        threshold: alert.threshold,
        threshold_from: alert.threshold_from.clone(),
        unit: alert.unit.clone(),
        blind,
    }
}

/// Whether `new` tells more of the sign than `old`: higher level, then one that sees, then the
/// one with a limit, then the rule's name, so that the order of the alerts does not matter.
fn leads(new: &Alert, instance: &SignInstance, old: &Alert, known: &SignInstance) -> bool {
    let rank = |alert: &Alert, i: &SignInstance| {
        (
            i.level,
            !i.blind,
            i.limit.is_some(),
            std::cmp::Reverse((alert.rule.clone(), alert.group.clone())),
        )
    };
    rank(new, instance) > rank(old, known)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alert(rule: &str, level: &str, fired: i64, labels: &[(&str, &str)]) -> Alert {
        let all =
            labels
                .iter()
                .copied()
                .chain([("alertname", rule), ("sign", "s"), ("level", level)]);
        Alert {
            group: "g".to_owned(),
            rule: rule.to_owned(),
            labels: Labels::from_pairs(all),
            annotations: BTreeMap::from([("summary".to_owned(), format!("{rule} {level}"))]),
            state: AlertState::Firing {
                active_at: Timestamp::from_secs(fired - 60),
                fired_at: Timestamp::from_secs(fired),
                kept_since: None,
                blind_since: None,
            },
            value: 0.9,
            measured: None,
            limit: None,
            unit: "ratio".to_owned(),
            threshold: Some(0.8),
            threshold_from: "default".to_owned(),
            flaps: crate::rules::Flaps::default(),
        }
    }

    fn blind(mut a: Alert) -> Alert {
        if let AlertState::Firing { blind_since, .. } = &mut a.state {
            *blind_since = Some(Timestamp::from_secs(1));
        }
        a
    }

    #[test]
    fn the_highest_level_leads_and_the_earliest_start_counts() {
        let alerts = [
            alert("A", "plan", 100, &[("instance", "a:1")]),
            alert("A", "now", 300, &[("instance", "a:1")]),
            alert("A", "act", 200, &[("instance", "a:1")]),
            alert("A", "act", 250, &[("instance", "b:1")]),
        ];
        for alerts in [alerts.to_vec(), alerts.iter().rev().cloned().collect()] {
            let signs = instances(&alerts, &[]);
            let got: Vec<_> = signs
                .values()
                .map(|s| (host_of(&s.key.labels), s.level, s.since.millis() / 1000))
                .collect();
            assert_eq!(got, [("a", Level::Now, 100), ("b", Level::Act, 250)]);
            assert_eq!(signs.values().next().unwrap().summary, "A now");
            assert_eq!(
                signs.keys().next().unwrap().labels,
                Labels::from_pairs([("instance", "a:1")])
            );
        }
    }

    #[test]
    fn a_seeing_rule_leads_a_blind_one_of_the_same_level() {
        let alerts = [
            blind(alert("A", "now", 100, &[])),
            alert("B", "now", 200, &[]),
        ];
        let signs = instances(&alerts, &[]);
        let sign = signs.values().next().unwrap();
        assert!(!sign.blind && sign.summary == "B now");
    }

    #[test]
    fn pending_and_resolved_alerts_are_no_signs() {
        let mut pending = alert("A", "now", 100, &[]);
        pending.state = AlertState::Pending {
            active_at: Timestamp::from_secs(1),
        };
        let mut resolved = alert("B", "now", 100, &[("x", "y")]);
        resolved.state = AlertState::Resolved {
            fired_at: Timestamp::from_secs(1),
            resolved_at: Timestamp::from_secs(2),
        };
        assert!(instances(&[pending, resolved], &[]).is_empty());
    }

    #[test]
    fn system_labels_separate_systems() {
        let alerts = [
            alert("A", "now", 1, &[("env", "prod")]),
            alert("A", "now", 1, &[("env", "stage")]),
            alert("A", "now", 1, &[("instance", "x")]),
        ];
        let names: Vec<_> = instances(&alerts, &["env".to_owned()])
            .into_keys()
            .map(|k| k.system)
            .collect();
        assert_eq!(names, ["", "prod", "stage"]);
    }

    #[test]
    fn tells_what_changed() {
        let at = |alerts: &[Alert]| instances(alerts, &[]);
        let plan = at(&[alert("A", "plan", 1, &[])]);
        let now = at(&[alert("A", "plan", 1, &[]), alert("A", "now", 9, &[])]);
        let gone = at(&[]);
        let blind = at(&[blind(alert("A", "plan", 1, &[]))]);
        for (before, after, want) in [
            (&gone, &plan, vec![SignChangeKind::Fired]),
            (
                &plan,
                &now,
                vec![SignChangeKind::LevelChanged { from: Level::Plan }],
            ),
            (
                &plan,
                &blind,
                vec![SignChangeKind::BlindChanged { blind: true }],
            ),
            (
                &now,
                &blind,
                vec![
                    SignChangeKind::LevelChanged { from: Level::Now },
                    SignChangeKind::BlindChanged { blind: true },
                ],
            ),
            (&now, &gone, vec![SignChangeKind::Resolved]),
            (&now, &now, vec![]),
        ] {
            let got: Vec<_> = diff(before, after).into_iter().map(|c| c.kind).collect();
            assert_eq!(got, want);
        }
    }

    #[test]
    fn a_host_is_its_label_or_the_instance_without_the_port() {
        for (labels, want) in [
            (vec![("instance", "db1:9187")], "db1"),
            (vec![("instance", "[::1]:9187")], "[::1]"),
            (vec![("instance", "/run/postgresql")], "/run/postgresql"),
            (vec![("instance", "db1:9187"), ("host", "rack7")], "rack7"),
            (vec![], ""),
        ] {
            assert_eq!(host_of(&Labels::from_pairs(labels)), want);
        }
    }

    #[test]
    fn an_episode_keeps_its_start_when_the_level_that_began_it_is_over() {
        let both = [alert("a", "now", 120, &[]), alert("a", "act", 600, &[])];
        let before = instances(&both, &[]);
        let mut after = instances(&both[1..], &[]);
        let since = |m: &BTreeMap<SignKey, SignInstance>| m.values().next().map(|i| i.since);
        assert_eq!(since(&after), Some(Timestamp::from_secs(600)));
        carry_since(&before, &mut after);
        assert_eq!(since(&after), Some(Timestamp::from_secs(120)));
        let kinds: Vec<_> = diff(&before, &after).into_iter().map(|c| c.kind).collect();
        assert_eq!(kinds, [SignChangeKind::LevelChanged { from: Level::Now }]);
    }
}
