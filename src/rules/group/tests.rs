use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Mutex;

use proptest::prelude::*;

use super::*;
use crate::model::{Answer, QueryError, Value, VectorSample};
use crate::rules::file::{Duplicates, RuleFile};
use crate::rules::reload::{reload, restore};
use crate::rules::set::{RuleSet, tests::checker};

/// Answers each expression with what a test put there; an unknown one finds nothing.
#[derive(Default)]
pub(crate) struct World {
    answers: Mutex<BTreeMap<String, Result<Vec<VectorSample>, String>>>,
    asked: Mutex<Vec<(String, Timestamp)>>,
}

impl World {
    pub(crate) fn set(&self, expr: &str, series: &[(&[(&str, &str)], f64)]) {
        let found = series
            .iter()
            .map(|(labels, value)| {
                VectorSample::float(Labels::from_pairs(labels.iter().copied()), *value)
            })
            .collect();
        self.answers
            .lock()
            .unwrap()
            .insert(expr.to_owned(), Ok(found));
    }

    fn fail(&self, expr: &str, why: &str) {
        self.answers
            .lock()
            .unwrap()
            .insert(expr.to_owned(), Err(why.to_owned()));
    }

    fn answer(&self, expr: &str, t: Timestamp) -> Result<Vec<VectorSample>, String> {
        let poisoned = |e: &dyn std::fmt::Display| e.to_string();
        let mut asked = self.asked.lock().map_err(|e| poisoned(&e))?;
        asked.push((expr.to_owned(), t));
        let answers = self.answers.lock().map_err(|e| poisoned(&e))?;
        answers.get(expr).cloned().unwrap_or_else(|| Ok(Vec::new()))
    }

    fn asked_at(&self, expr: &str) -> Option<Timestamp> {
        let asked = self.asked.lock().unwrap();
        asked.iter().rev().find(|(e, _)| e == expr).map(|(_, t)| *t)
    }
}

impl Querier for World {
    fn instant(&self, expr: &str, t: Timestamp) -> Result<Answer, QueryError> {
        assert!(expr != "breaks > 0", "it broke");
        let found = self.answer(expr, t).map_err(QueryError::Execution)?;
        Ok(Answer {
            series_read: found.len(),
            value: Value::Vector(found),
            warnings: Vec::new(),
            infos: Vec::new(),
            partial: false,
        })
    }
}

pub(crate) fn specs(rules: &str) -> Vec<GroupSpec> {
    let text = format!("groups:\n{rules}");
    let files = [RuleFile {
        name: "r.yml".to_owned(),
        text,
        shipped: false,
    }];
    RuleSet::load(
        &files,
        &crate::config::Signs::default(),
        "loadline.toml",
        Duplicates::Refuse,
        &checker,
    )
    .unwrap()
    .groups
}

/// One group whose rules are given as one flow mapping per line.
pub(crate) fn group(head: &str, rules: &str) -> Group {
    let rules: Vec<String> = rules
        .lines()
        .map(|l| format!("  - {}\n", l.trim()))
        .collect();
    let text = format!("- name: g\n{head}  rules:\n{}", rules.concat());
    let spec = specs(&text).remove(0);
    Group::new(spec, Duration::from_secs(60))
}

pub(crate) struct Run<'a> {
    pub(crate) world: &'a World,
    pub(crate) missing: Missing,
    pub(crate) warm: bool,
    pub(crate) flapping: FlappingPolicy,
}

impl Run<'_> {
    /// Evaluates at a minute; returns the outcome and what was written.
    pub(crate) fn at(&self, group: &mut Group, minute: i64) -> (Outcome, Vec<Written>) {
        let written = RefCell::new(Vec::new());
        let elapsed = Cell::new(0);
        let ctx = EvalContext {
            external_labels: &BTreeMap::new(),
            external_url: "",
            missing: self.missing,
            warm: self.warm,
            flapping: self.flapping,
            write: &|w: &Written| {
                for (labels, value) in &w.samples {
                    let pairs: Vec<_> = labels.iter().collect();
                    if let WrittenValue::Float(v) = value {
                        self.world.set(labels.name(), &[(&pairs, *v)]);
                    }
                }
                written.borrow_mut().push(w.clone());
            },
            elapsed: &|| {
                elapsed.set(elapsed.get() + 1);
                Duration::from_millis(elapsed.get())
            },
            known: None,
        };
        let outcome = group.evaluate(self.world, Timestamp::from_secs(60 * minute), &ctx);
        (outcome, written.into_inner())
    }
}

/// As in Prometheus, warm.
fn plain(world: &World) -> Run<'_> {
    Run {
        world,
        missing: Missing::Resolve,
        warm: true,
        flapping: FlappingPolicy::OFF,
    }
}

/// As loadline does by default, warm.
fn blind(world: &World) -> Run<'_> {
    Run {
        missing: Missing::Blind,
        ..plain(world)
    }
}

fn kinds(outcome: &Outcome) -> Vec<ChangeKind> {
    outcome.changes.iter().map(|c| c.kind).collect()
}

fn show(written: &[Written]) -> Vec<String> {
    let mut lines = Vec::new();
    for w in written {
        lines.extend(w.samples.iter().map(|(l, v)| match v {
            WrittenValue::Float(v) => format!("{l} {v}"),
            WrittenValue::Histogram(h) => format!("{l} {h}"),
        }));
        lines.extend(w.stale.iter().map(|l| format!("{l} stale")));
    }
    lines
}

const A: &[(&str, &str)] = &[("__name__", "m"), ("instance", "a")];
const B: &[(&str, &str)] = &[("__name__", "m"), ("instance", "b")];

#[test]
fn an_alert_lives_and_leaves_its_series() {
    let world = World::default();
    let mut g = group(
        "",
        "{alert: Full, expr: m > 0, for: 1m, labels: {severity: page, who: '{{ $labels.instance }}', empty: ''}, annotations: {v: '{{ $value }}'}}",
    );
    world.set("m > 0", &[(A, 5.0)]);
    let (outcome, written) = plain(&world).at(&mut g, 1);
    assert_eq!(kinds(&outcome), [ChangeKind::Pending]);
    let pending =
        r#"ALERTS{alertname="Full", alertstate="pending", instance="a", severity="page", who="a"}"#;
    let firing = pending.replace("pending", "firing");
    let since = r#"ALERTS_FOR_STATE{alertname="Full", instance="a", severity="page", who="a"}"#;
    assert_eq!(
        show(&written),
        [format!("{pending} 1"), format!("{since} 60")]
    );

    world.set("m > 0", &[(A, 7.0)]);
    let (outcome, written) = plain(&world).at(&mut g, 2);
    assert_eq!(kinds(&outcome), [ChangeKind::Fired]);
    let alert = &outcome.changes[0].alert;
    assert_eq!(alert.annotations["v"], "7");
    assert_eq!(
        (alert.value, alert.measured, alert.threshold),
        (7.0, Some(7.0), Some(0.0))
    );
    assert_eq!(
        (alert.group.as_str(), alert.threshold_from.as_str()),
        ("r.yml;g", "rule")
    );
    assert_eq!(
        show(&written),
        [
            format!("{firing} 1"),
            format!("{since} 60"),
            format!("{pending} stale")
        ]
    );

    // The same again is nothing to tell; another value is worth keeping.
    assert!(plain(&world).at(&mut g, 3).0.changes.is_empty());
    world.set("m > 0", &[(A, 8.0)]);
    assert_eq!(kinds(&plain(&world).at(&mut g, 4).0), [ChangeKind::Renewed]);

    world.set("m > 0", &[]);
    let (outcome, written) = plain(&world).at(&mut g, 5);
    assert_eq!(kinds(&outcome), [ChangeKind::Resolved]);
    assert_eq!(
        show(&written),
        [format!("{firing} stale"), format!("{since} stale")]
    );
    assert_eq!(g.alerts().count(), 1);
    assert_eq!(
        kinds(&plain(&world).at(&mut g, 21).0),
        [ChangeKind::Expired]
    );
    assert_eq!(g.alerts().count(), 0);
}

#[test]
fn rules_see_what_the_ones_before_wrote() {
    let world = World::default();
    let mut g = group(
        "",
        "{record: first, expr: m + 1, labels: {src: rec, instance: ''}}\n{record: second, expr: first}",
    );
    world.set("m + 1", &[(A, 4.0)]);
    let (_, written) = plain(&world).at(&mut g, 1);
    assert_eq!(
        show(&written),
        [r#"first{src="rec"} 4"#, r#"second{src="rec"} 4"#]
    );
    world.set("m + 1", &[]);
    let (_, written) = plain(&world).at(&mut g, 2);
    assert_eq!(show(&written)[0], r#"first{src="rec"} stale"#);
}

#[test]
fn a_failing_rule_changes_nothing_of_its_own() {
    let world = World::default();
    let mut g = group(
        "",
        "{alert: X, expr: m > 0}\n{record: r, expr: n}\n{alert: Y, expr: k > 0}",
    );
    world.set("m > 0", &[(A, 1.0)]);
    world.set("n", &[(A, 1.0)]);
    plain(&world).at(&mut g, 1);
    world.fail("m > 0", "too many samples");
    world.fail("n", "timed out");
    world.set("k > 0", &[(A, 1.0)]);
    let (outcome, written) = plain(&world).at(&mut g, 2);
    assert_eq!(
        outcome.errors,
        [
            ("X".to_owned(), "too many samples".to_owned()),
            ("r".to_owned(), "timed out".to_owned())
        ]
    );
    // No stale markers, and the third rule went on.
    assert!(!show(&written).iter().any(|l| l.contains("stale")));
    assert_eq!(kinds(&outcome), [ChangeKind::Fired]);
    assert_eq!(g.rules()[0].log().status(), RuleStatus::Err);
    assert!(g.rules()[0].alerts().all(Alert::is_firing));
    world.set("m > 0", &[(A, 1.0)]);
    assert!(plain(&world).at(&mut g, 3).0.changes.is_empty());
}

#[test]
fn two_samples_with_one_identity_fail_the_rule() {
    let world = World::default();
    let mut g = group(
        "",
        "{alert: X, expr: m, labels: {instance: fixed}}\n{record: r, expr: m, labels: {instance: ''}}",
    );
    world.set("m", &[(A, 1.0), (B, 1.0)]);
    let (outcome, _) = plain(&world).at(&mut g, 1);
    let words: Vec<_> = outcome.errors.iter().map(|(_, e)| e.as_str()).collect();
    assert_eq!(
        words,
        [
            "vector contains metrics with the same labelset after applying alert labels",
            "vector contains metrics with the same labelset after applying rule labels"
        ]
    );
}

#[test]
fn over_the_limit_a_rule_fails_and_its_alerts_end() {
    let world = World::default();
    let mut g = group("  limit: 1\n", "{alert: X, expr: m}\n{record: r, expr: m}");
    world.set("m", &[(A, 1.0)]);
    assert_eq!(kinds(&plain(&world).at(&mut g, 1).0), [ChangeKind::Fired]);
    world.set("m", &[(A, 1.0), (B, 1.0)]);
    let (outcome, _) = plain(&world).at(&mut g, 2);
    assert_eq!(outcome.errors[0].1, "exceeded limit of 1 with 2 alerts");
    assert_eq!(outcome.errors[1].1, "exceeded limit of 1 with 2 series");
    assert_eq!(kinds(&outcome), [ChangeKind::Resolved]);
    assert_eq!(g.alerts().count(), 0);
}

#[test]
fn the_query_offset_moves_queries_and_samples_only() {
    let world = World::default();
    let mut g = group("  query_offset: 1m\n", "{alert: X, expr: m}");
    world.set("m", &[(A, 1.0)]);
    let (outcome, written) = plain(&world).at(&mut g, 10);
    assert_eq!(world.asked_at("m"), Some(Timestamp::from_secs(540)));
    assert_eq!(written[0].at, Timestamp::from_secs(540));
    assert!(matches!(
        outcome.changes[0].alert.state,
        AlertState::Firing { active_at, .. } if active_at == Timestamp::from_secs(600)
    ));
}

#[test]
fn a_clear_condition_keeps_a_firing_alert() {
    let world = World::default();
    let mut g = group(
        "",
        "{alert: X, expr: m > 8, labels: {team: t}, annotations: {loadline_clear: m > 5}}",
    );
    world.set("m > 8", &[(A, 9.0), (B, 9.0)]);
    plain(&world).at(&mut g, 1);
    world.set("m > 8", &[]);
    world.set("m > 5", &[(A, 6.0)]);
    let (outcome, _) = plain(&world).at(&mut g, 2);
    assert_eq!(kinds(&outcome), [ChangeKind::Kept, ChangeKind::Resolved]);
    world.set("m > 5", &[]);
    assert_eq!(
        kinds(&plain(&world).at(&mut g, 3).0),
        [ChangeKind::Resolved]
    );
}

#[test]
fn figures_come_from_their_own_queries() {
    let world = World::default();
    let mut g = group(
        "",
        "{alert: X, expr: used / max > 0.8, annotations: {loadline_value: used, loadline_limit: max, loadline_unit: count}}",
    );
    world.set(
        "used / max > 0.8",
        &[(&[("instance", "a"), ("db", "x")], 0.95)],
    );
    world.set("used", &[(A, 19.0), (B, 3.0)]);
    world.set("max", &[(&[], 20.0)]);
    let alert = plain(&world).at(&mut g, 1).0.changes.remove(0).alert;
    assert_eq!((alert.measured, alert.limit), (Some(19.0), Some(20.0)));
    assert_eq!((alert.value, alert.unit.as_str()), (0.95, "count"));

    // At its end it says how it stands then.
    world.set("used / max > 0.8", &[]);
    world.set("used", &[(A, 4.0), (B, 3.0)]);
    let alert = plain(&world).at(&mut g, 2).0.changes.remove(0).alert;
    assert_eq!(alert.measured, Some(4.0));

    // A figure that cannot be had does not stop the alert.
    world.set("used / max > 0.8", &[(A, 0.9)]);
    world.fail("used", "no");
    let (outcome, _) = plain(&world).at(&mut g, 3);
    assert_eq!(kinds(&outcome), [ChangeKind::Fired]);
    let warnings = &g.rules()[0].log().last().unwrap().warnings;
    assert_eq!(warnings, &["loadline_value: no"]);
}

#[test]
fn a_rule_without_its_input_is_blind() {
    let world = World::default();
    let mut g = group(
        "",
        "{alert: X, expr: m > 0}\n{alert: Ok, expr: m > 0, annotations: {loadline_no_data: ok}}\n\
         {alert: Fire, expr: m > 0, labels: {team: t}, annotations: {loadline_no_data: fire}}\n\
         {alert: Needs, expr: m > 0, annotations: {loadline_needs: other}}",
    );
    world.set("up", &[(&[("instance", "a")], 1.0)]);
    let statuses = |g: &Group| {
        g.rules()
            .iter()
            .map(|r| r.log().status())
            .collect::<Vec<_>>()
    };
    let (outcome, _) = blind(&world).at(&mut g, 1);
    use RuleStatus::{Blind, Ok};
    assert_eq!(statuses(&g), [Blind, Ok, Blind, Blind]);
    assert_eq!(outcome.blind[0], ("X".to_owned(), vec!["m".to_owned()]));
    assert_eq!(
        outcome.blind[2],
        ("Needs".to_owned(), vec!["other".to_owned()])
    );
    assert_eq!(kinds(&outcome), [ChangeKind::Fired]);
    let labels = outcome.changes[0].alert.labels.to_string();
    assert_eq!(labels, r#"{alertname="Fire", team="t"}"#);

    // The metric is there and nothing exceeds: good, and the alert of missing data ends.
    world.set(r#"count({__name__="m"})"#, &[(&[], 3.0)]);
    world.set("other", &[(&[], 1.0)]);
    let (outcome, _) = blind(&world).at(&mut g, 2);
    assert_eq!(statuses(&g), [Ok, Ok, Ok, Ok]);
    assert_eq!(kinds(&outcome), [ChangeKind::Resolved]);
}

#[test]
fn a_firing_alert_is_blind_while_its_target_cannot_be_read() {
    let present = r#"count({__name__="m"})"#;
    for (up, partial, known, want) in [
        // Its target answers well: over.
        (Some(1.0), false, true, ChangeKind::Resolved),
        // Its target fails, answers in part, or is gone: blind.
        (Some(0.0), false, true, ChangeKind::Blind),
        (Some(1.0), true, true, ChangeKind::Blind),
        (None, false, true, ChangeKind::Blind),
        // The whole metric is gone.
        (Some(1.0), false, false, ChangeKind::Blind),
    ] {
        let world = World::default();
        let mut g = group("", "{alert: X, expr: m > 0}");
        let instance: &[(&str, &str)] = &[("instance", "a"), ("job", "j")];
        world.set("up", &[(instance, 1.0)]);
        world.set("m > 0", &[(A, 1.0)]);
        blind(&world).at(&mut g, 1);
        world.set("m > 0", &[]);
        match up {
            Some(v) => world.set("up", &[(instance, v)]),
            None => world.set("up", &[]),
        }
        if partial {
            world.set("loadline_scrape_partial == 1", &[(instance, 1.0)]);
        }
        if known {
            world.set(present, &[(&[], 1.0)]);
        }
        let (outcome, _) = blind(&world).at(&mut g, 2);
        assert_eq!(kinds(&outcome), [want], "{up:?} {partial} {known}");
        // As in Prometheus, it would have ended in any case.
        let (outcome, _) = plain(&world).at(&mut g, 3);
        let ended = if want == ChangeKind::Blind {
            vec![ChangeKind::Resolved]
        } else {
            vec![]
        };
        assert_eq!(kinds(&outcome), ended);
    }
}

#[test]
fn an_instance_that_never_was_a_target_resolves() {
    let world = World::default();
    let mut g = group(
        "",
        "{alert: Pushed, expr: m > 0}\n{alert: Fixed, expr: m > 0, labels: {instance: f}}",
    );
    world.set("m > 0", &[(A, 1.0)]);
    world.set(r#"count({__name__="m"})"#, &[(&[], 1.0)]);
    blind(&world).at(&mut g, 1);
    world.set("m > 0", &[]);
    let (outcome, _) = blind(&world).at(&mut g, 2);
    assert_eq!(
        kinds(&outcome),
        [ChangeKind::Resolved, ChangeKind::Resolved]
    );
}

#[test]
fn a_blind_alert_is_blind_after_a_restart() {
    let world = World::default();
    let mut g = group("", "{alert: X, expr: m > 0}");
    world.set(r#"count({__name__="m"})"#, &[(&[], 1.0)]);
    world.set("up", &[(&[("instance", "a")], 1.0)]);
    world.set("m > 0", &[(A, 1.0)]);
    blind(&world).at(&mut g, 1);
    world.set("m > 0", &[]);
    world.set("up", &[]);
    blind(&world).at(&mut g, 2);
    let alerts: Vec<Alert> = g.alerts().cloned().collect();
    let mut fresh = vec![Group::new(g.spec().clone(), Duration::from_secs(60))];
    restore(&mut fresh, alerts);
    let (outcome, _) = blind(&world).at(&mut fresh[0], 3);
    assert_eq!(kinds(&outcome), []);
    assert!(fresh[0].alerts().all(Alert::is_firing));
}

#[test]
fn nothing_is_decided_before_data_has_come_in() {
    let world = World::default();
    let mut g = group(
        "",
        "{alert: Rate, expr: m > 0}\n{alert: Gone, expr: absent(n)}\n{alert: Slow, expr: s > 0, for: 5m}",
    );
    let run = plain(&world);
    world.set("m > 0", &[(A, 1.0)]);
    world.set("s > 0", &[(A, 1.0)]);
    run.at(&mut g, 1);
    let alerts: Vec<Alert> = g.alerts().cloned().collect();
    assert_eq!(alerts.len(), 2);

    let cold = Run {
        warm: false,
        ..plain(&world)
    };
    let mut g = Group::new(g.spec().clone(), Duration::from_secs(60));
    assert!(restore(std::slice::from_mut(&mut g), alerts.clone()).is_empty());
    world.set("m > 0", &[]);
    world.set("s > 0", &[]);
    world.set("absent(n)", &[(&[], 1.0)]);
    for minute in 2..10 {
        let (outcome, _) = cold.at(&mut g, minute);
        assert!(
            outcome.changes.is_empty() && outcome.held == 2,
            "{outcome:?}"
        );
        assert!(
            g.rules()
                .iter()
                .all(|r| r.log().status() == RuleStatus::Warming)
        );
    }
    let held: Vec<Alert> = g.alerts().cloned().collect();
    assert_eq!(held, alerts);

    // Data is in: the alerts are found as they were, and `for` went on.
    world.set("m > 0", &[(A, 1.0)]);
    world.set("s > 0", &[(A, 1.0)]);
    world.set("absent(n)", &[]);
    let (outcome, _) = run.at(&mut g, 10);
    assert_eq!(kinds(&outcome), [ChangeKind::Fired]);
    assert_eq!(outcome.changes[0].alert.rule, "Slow");
}

#[test]
fn slots_are_kept_and_missed_ones_counted() {
    let secs = Timestamp::from_secs;
    let mut g = group("", "{record: r, expr: m}");
    let (first, why) = g.next_due(secs(1000));
    assert_eq!(why, "first slot after the start");
    assert!(first > secs(1000) && first <= secs(1060));
    assert_eq!(g.take_due(first - Duration::from_millis(1)), None);
    assert_eq!(g.take_due(first), Some(first));
    let minute = Duration::from_secs(60);
    assert_eq!(g.next_due(first), (first + minute, "next slot"));
    // Late by a little: the slot counts. Late by three slots: two are missed.
    let second = first + minute;
    assert_eq!(g.take_due(second + Duration::from_secs(3)), Some(second));
    assert_eq!(g.missed(), 0);
    let later = second + 3 * minute;
    assert_eq!(g.take_due(later + Duration::from_secs(3)), Some(later));
    assert_eq!(g.missed(), 2);
    // The clock is set back by an hour: it does not wait for an hour.
    let (at, why) = g.next_due(later - 60 * minute);
    assert_eq!(why, "the clock was set back");
    assert_eq!(at, later - 59 * minute);
    // The same after a restart.
    let mut again = group("", "{record: r, expr: m}");
    assert_eq!(again.next_due(secs(1000)).0, first);
}

#[test]
fn the_last_ten_runs_are_remembered() {
    let world = World::default();
    let mut g = group("", "{record: r, expr: m}");
    world.set("m", &[(A, 1.0), (B, 2.0)]);
    for minute in 0..25 {
        plain(&world).at(&mut g, minute);
    }
    let log = g.rules()[0].log();
    assert_eq!((log.iter().len(), log.runs(), log.failures()), (10, 25, 0));
    let last = log.last().unwrap();
    assert_eq!(
        (last.at, last.samples, last.series_read),
        (Timestamp::from_secs(1440), 2, 2)
    );
    assert_eq!(last.duration, Duration::from_millis(1));
}

fn play(letters: &str, restart_at: Option<usize>) -> Vec<String> {
    let world = World::default();
    let rules = "{alert: X, expr: m > 0, for: 2m, keep_firing_for: 2m, annotations: {loadline_clear: m > c}}";
    let mut g = group("", rules);
    world.set(r#"count({__name__="m"})"#, &[(&[], 1.0)]);
    world.set("up", &[(&[("instance", "a")], 1.0)]);
    let mut changes = Vec::new();
    for (i, letter) in letters.chars().enumerate() {
        if restart_at == Some(i) {
            let alerts: Vec<Alert> = g.alerts().cloned().collect();
            let text = serde_json::to_string(&alerts).unwrap();
            let alerts = serde_json::from_str(&text).unwrap();
            g = group("", rules);
            assert!(restore(std::slice::from_mut(&mut g), alerts).is_empty());
        }
        let on: &[(&[(&str, &str)], f64)] = &[(A, 1.0)];
        world.set("m > 0", if letter == 'P' { on } else { &[] });
        world.set("m > c", if letter == 'c' { on } else { &[] });
        let up = if letter == 'u' { 0.0 } else { 1.0 };
        world.set("up", &[(&[("instance", "a")], up)]);
        let (outcome, _) = blind(&world).at(&mut g, i64::try_from(i).unwrap());
        changes.extend(
            outcome
                .changes
                .iter()
                .map(|c| format!("{i} {:?} {:?}", c.kind, c.alert.state)),
        );
    }
    changes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_restart_changes_nothing(letters in "[PPP.cu]{1,40}", at in 0usize..40) {
        prop_assert_eq!(play(&letters, None), play(&letters, Some(at)));
    }
}

#[test]
fn a_reload_moves_state_by_name_and_labels() {
    let world = World::default();
    let run = plain(&world);
    let before = specs(
        "- name: same\n  rules: [{alert: S, expr: m > 0}]\n\
         - name: changed\n  rules: [{alert: C, expr: m > 0}, {alert: Out, expr: m > 0}, {record: r, expr: m > 0}]\n\
         - name: renamed\n  rules: [{alert: N, expr: m > 0}]\n",
    );
    let minute = Duration::from_secs(60);
    let mut groups: Vec<Group> = before
        .iter()
        .map(|s| Group::new(s.clone(), minute))
        .collect();
    world.set("m > 0", &[(A, 1.0)]);
    for g in &mut groups {
        run.at(g, 1);
    }
    let after = specs(
        "- name: new\n  rules: [{alert: N, expr: m > 0}]\n\
         - name: changed\n  rules: [{alert: C, expr: m > 1}]\n\
         - name: same\n  rules: [{alert: S, expr: m > 0}]\n",
    );
    world.set("m > 1", &[(A, 2.0)]);
    let reloaded = reload(groups, &after, minute, Timestamp::from_secs(90));
    let gone: Vec<_> = reloaded
        .changes
        .iter()
        .map(|c| (c.kind, c.alert.rule.as_str()))
        .collect();
    assert_eq!(gone, [(ChangeKind::Resolved, "Out")]);
    let stale: Vec<String> = reloaded.stale.iter().map(ToString::to_string).collect();
    assert_eq!(stale.len(), 3, "{stale:?}");
    let mut groups = reloaded.groups;
    assert_eq!(groups[2].rules()[0].log().runs(), 1);
    for g in &mut groups {
        // Nothing fires anew.
        let (outcome, _) = run.at(g, 2);
        assert!(!kinds(&outcome).contains(&ChangeKind::Fired), "{outcome:?}");
        assert!(
            g.alerts()
                .all(|a| a.is_firing() && a.group == g.spec().key())
        );
        assert_eq!(g.alerts().count(), 1);
    }
}

#[test]
fn restored_alerts_without_a_rule_are_handed_back() {
    let world = World::default();
    let mut g = group(
        "",
        "{alert: X, expr: m > 0, labels: {level: act}}\n{alert: X, expr: m > 9, labels: {level: now}}",
    );
    world.set("m > 9", &[(A, 10.0)]);
    plain(&world).at(&mut g, 1);
    let mut alerts: Vec<Alert> = g.alerts().cloned().collect();
    alerts[0].group = "old.yml;g".to_owned();
    let mut stranger = alerts[0].clone();
    stranger.rule = "Y".to_owned();
    alerts.push(stranger);
    let mut fresh = vec![Group::new(g.spec().clone(), Duration::from_secs(60))];
    let orphans = restore(&mut fresh, alerts);
    assert_eq!(orphans.len(), 1);
    assert_eq!(fresh[0].rules()[1].alerts().count(), 1);
    let ended = end(
        orphans.into_iter().next().unwrap(),
        Timestamp::from_secs(120),
    );
    assert_eq!(ended.kind, ChangeKind::Resolved);
}

#[test]
fn a_rule_that_panics_has_failed_and_the_others_go_on() {
    let world = World::default();
    let mut g = group(
        "",
        "{alert: Breaks, expr: m > 0}\n{record: r, expr: breaks > 0}\n{alert: Good, expr: m > 0}",
    );
    world.set("m > 0", &[(A, 1.0)]);
    let (outcome, _) = plain(&world).at(&mut g, 1);
    let want = (
        "r".to_owned(),
        "the evaluation panicked: it broke".to_owned(),
    );
    assert_eq!(outcome.errors, std::slice::from_ref(&want));
    assert_eq!(kinds(&outcome), [ChangeKind::Fired, ChangeKind::Fired]);
    let log = g.rules()[1].log();
    assert_eq!((log.status(), log.failures()), (RuleStatus::Err, 1));
    assert_eq!(log.last().unwrap().error, Some(want.1));
}

#[test]
fn a_rule_whose_range_is_not_full_is_warming_and_resolves_nothing_of_before() {
    let world = World::default();
    let rules = "{alert: X, expr: 'rate(m[5m]) > 0'}";
    let group = |head, rules| {
        let mut spec = group(head, rules).spec().clone();
        spec.rules[0].window = Duration::from_secs(300);
        Group::new(spec, Duration::from_secs(60))
    };
    let mut g = group("", rules);
    world.set("rate(m[5m]) > 0", &[(A, 1.0)]);
    plain(&world).at(&mut g, 1);
    let old = g.alerts().cloned().collect();
    let mut again = group("", rules);
    assert!(restore(std::slice::from_mut(&mut again), old).is_empty());
    let at = |m: i64| Timestamp::from_secs(60 * m);
    again.set_reach(&|_| Reach::since(at(10)));
    world.set("rate(m[5m]) > 0", &[]);
    for minute in 10..15 {
        let (outcome, _) = plain(&world).at(&mut again, minute);
        assert_eq!((kinds(&outcome), outcome.held), (vec![], 1), "{minute}");
        assert_eq!(again.rules()[0].log().status(), RuleStatus::Warming);
    }
    let (outcome, _) = plain(&world).at(&mut again, 15);
    assert_eq!(kinds(&outcome), [ChangeKind::Resolved]);
    assert_eq!(again.rules()[0].log().status(), RuleStatus::Ok);
    // With the samples of before there is nothing to wait for.
    let mut again = group("", rules);
    again.set_reach(&|_| Reach {
        since: at(10),
        before: Some((at(0), at(9))),
    });
    plain(&world).at(&mut again, 10);
    assert_eq!(again.rules()[0].log().status(), RuleStatus::Ok);
    // What is not there at all is blind, not warming.
    again.set_reach(&|_| Reach::since(at(10)));
    blind(&world).at(&mut again, 11);
    assert_eq!(again.rules()[0].log().status(), RuleStatus::Blind);
}

/// In which minutes of `letters` (`P`: the condition holds) an alert fires.
fn fires(policy: FlappingPolicy, rules: &str, letters: &str) -> String {
    let world = World::default();
    let mut g = group("", rules);
    let run = Run {
        flapping: policy,
        ..plain(&world)
    };
    let minutes = letters.chars().zip(1..);
    let firing = minutes.map(|(letter, minute)| {
        let present = letter == 'P';
        let found: &[(&[(&str, &str)], f64)] = if present { &[(A, 1.0)] } else { &[] };
        world.set("m > 0", found);
        run.at(&mut g, minute);
        let firing = g.alerts().any(Alert::is_firing);
        if firing { 'F' } else { '.' }
    });
    firing.collect()
}

#[test]
fn an_alert_that_flaps_is_held_longer_each_time() {
    let on = FlappingPolicy::default();
    let rules = "{alert: X, expr: m > 0}";
    // Three times it comes back as it likes; then it is held for five minutes, then for ten.
    let letters = "P.P.P.P.....P...........P";
    assert_eq!(fires(on, rules, letters), "F.F.F.FFFFFFFFFFFFFFFFF.F");
    let off = fires(FlappingPolicy::OFF, rules, letters);
    assert_eq!(off, letters.replace('P', "F"));
    // Coming back while it is held for nothing else counts too.
    let letters = "P.P.P.P..P...............";
    assert_eq!(fires(on, rules, letters), "F.F.F.FFFFFFFFFFFFFF.....");
    // What keep_firing_for bridges is no flapping.
    let kept = "{alert: X, expr: m > 0, keep_firing_for: 3m}";
    let letters = "P..P..P..P..P..P....";
    assert_eq!(fires(on, kept, letters), "FFFFFFFFFFFFFFFFFFF.");
    // An hour of quiet takes one time off.
    let letters = format!("P.P.P.P{}P..", ".".repeat(70));
    assert!(fires(on, rules, &letters).ends_with(".F.."));
}

#[test]
fn flapping_outlives_a_restart_and_a_reload() {
    let world = World::default();
    let rules = "{alert: X, expr: m > 0}";
    let mut g = group("", rules);
    let run = Run {
        flapping: FlappingPolicy::default(),
        ..plain(&world)
    };
    for minute in 1..=7 {
        let present = minute % 2 == 1;
        let found: &[(&[(&str, &str)], f64)] = if present { &[(A, 1.0)] } else { &[] };
        world.set("m > 0", found);
        run.at(&mut g, minute);
    }
    world.set("m > 0", &[]);
    let rows = g.alerts().map(|a| serde_json::to_string(a).unwrap());
    let rows = rows
        .map(|json| serde_json::from_str(&json).unwrap())
        .collect();
    let mut again = group("", rules);
    restore(std::slice::from_mut(&mut again), rows);
    let spec =
        specs("- name: g\n  rules:\n  - {alert: X, expr: m > 0}\n  - {record: r, expr: m}\n");
    let reloaded = reload(vec![g], &spec, Duration::from_secs(60), Timestamp(0)).groups;
    for mut g in reloaded.into_iter().chain([again]) {
        let (outcome, _) = run.at(&mut g, 8);
        assert_eq!(kinds(&outcome), [ChangeKind::Kept]);
        assert!(g.alerts().all(Alert::is_firing));
    }
}
