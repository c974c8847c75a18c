//! Decisions on the shipped playbook, expected ids written by hand.

use std::collections::BTreeMap;
use std::path::Path;

use super::*;
use crate::model::{Answer, Labels, QueryError, Value, VectorSample};
use crate::promql;
use crate::rules::{self, AlertState, Duplicates, RuleFile, RuleSet};

/// Elements of an answer, or why there is none.
type Scripted = Result<Vec<(Labels, f64)>, QueryError>;

/// Answers by scripted pieces of the expression; everything else selects nothing.
#[derive(Default)]
struct Script {
    answers: Vec<(&'static str, Scripted)>,
}

impl Script {
    fn says(mut self, expr: &'static str, labels: &[(&str, &str)], value: f64) -> Self {
        let labels = Labels::from_pairs(labels.iter().copied());
        self.answers.push((expr, Ok(vec![(labels, value)])));
        self
    }

    fn fails(mut self, expr: &'static str) -> Self {
        let e = QueryError::Limit("too many samples".to_owned());
        self.answers.push((expr, Err(e)));
        self
    }
}

impl Querier for Script {
    fn instant(&self, expr: &str, _: Timestamp) -> Result<Answer, QueryError> {
        let scripted = self.answers.iter().find(|(e, _)| *e == expr);
        let elements = match scripted {
            Some((_, answer)) => answer.clone()?,
            None => Vec::new(),
        };
        Ok(Answer {
            value: Value::Vector(
                elements
                    .into_iter()
                    .map(|(labels, value)| VectorSample::float(labels, value))
                    .collect(),
            ),
            warnings: Vec::new(),
            infos: Vec::new(),
            partial: false,
            series_read: 0,
        })
    }
}

pub(super) fn shipped() -> Vec<(String, String)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules/playbook");
    let mut files: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|f| f.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "toml"))
        .map(|p| {
            let name = p.file_name().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read_to_string(&p).unwrap())
        })
        .collect();
    files.sort();
    files
}

pub(super) fn playbook() -> Playbook {
    let check = |q: &str| promql::parse(q).map(|_| ()).map_err(|e| e.to_string());
    Playbook::load(&shipped(), &check).unwrap_or_else(|e| panic!("{e}"))
}

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

fn alert(sign: &str, level: &str, instance: &str) -> Alert {
    Alert {
        group: "g".to_owned(),
        rule: "R".to_owned(),
        labels: Labels::from_pairs([
            ("alertname", "R"),
            ("sign", sign),
            ("level", level),
            ("instance", instance),
        ]),
        annotations: BTreeMap::from([("summary".to_owned(), format!("{sign} on {instance}"))]),
        state: AlertState::Firing {
            active_at: NOW,
            fired_at: Timestamp::from_secs(1_800_000_000 - 130),
            kept_since: None,
            blind_since: None,
        },
        value: 0.95,
        measured: Some(19.0),
        limit: Some(20.0),
        unit: "count".to_owned(),
        threshold: Some(0.9),
        threshold_from: "default".to_owned(),
        flaps: crate::rules::Flaps::default(),
    }
}

fn lag(level: &str, instance: &str, seconds: f64) -> Alert {
    Alert {
        value: seconds,
        measured: Some(seconds),
        limit: None,
        unit: "seconds".to_owned(),
        threshold: Some(10.0),
        ..alert("replication-lag-high", level, instance)
    }
}

fn facts(text: &str) -> BTreeMap<String, FactValue> {
    toml::from_str(text).unwrap()
}

fn decide(querier: &Script, alerts: &[Alert], declared: &str) -> Advised {
    let book = playbook();
    let mut all = advise(
        &Inputs {
            playbook: &book,
            querier,
            alerts,
            facts: &facts(declared),
            advice: &Advice::default(),
            runways: &[],
        },
        NOW,
    );
    assert_eq!(all.len(), 1);
    all.remove(0)
}

/// The verdict in one line: `STEP`, `STEP?` (unless in place), `STEP -> WANTED`, or
/// `none, confirm FACT`.
fn line(b: &Bottleneck) -> String {
    match &b.verdict {
        Verdict::Step(r) => {
            let mut out = r.step.id.clone();
            if r.unless_in_place {
                out.push('?');
            }
            if r.again {
                out.push_str(" again");
            }
            if let Some(wanted) = &r.on_the_way_to {
                out.push_str(&format!(" -> {}", wanted.id));
            }
            out
        }
        Verdict::NoStep { confirm, .. } => match confirm {
            Some(q) => format!("none, confirm {}", q.id),
            None => "none".to_owned(),
        },
    }
}

fn lines(a: &Advised) -> Vec<String> {
    a.decision.bottlenecks.iter().map(line).collect()
}

fn step(a: &Advised) -> &Recommendation {
    match &a.decision.bottlenecks[0].verdict {
        Verdict::Step(r) => r,
        Verdict::NoStep { why, .. } => panic!("no step: {why}"),
    }
}

const POOLING: &str = "max(pgbouncer_up) == 1 or count(pgbouncer_pools_client_active_connections) > 0 or max(loadline_pg_pooler_sessions) > 0 or count(hikaricp_connections_max or db_client_connection_max or db_client_connections_max) > 0";
const PAUSED: &str = "max without (server) (loadline_pg_replay_paused)";
const LAG_SEEN: &str = "sum(pg_replication_is_replica) > 0 and count(pg_replication_lag_seconds) > 0 or count(loadline_pg_replication_replay_lag_seconds) > 0";
const STATEMENTS: &str = "max(loadline_pg_pg_stat_statements_readable) == 1 or count(pg_stat_statements_calls_total) > 0 or count(pg_stat_statements_seconds_total) > 0";
const NO_STATEMENTS: &str = "max(loadline_pg_pg_stat_statements_readable) == 0";
const LONG: &str = "max by (instance) (pg_stat_activity_max_tx_duration{state=\"active\"}) > 60";

#[test]
fn every_scripted_query_is_one_of_the_playbook() {
    let queries = playbook().queries();
    for q in [POOLING, PAUSED, LAG_SEEN, STATEMENTS, NO_STATEMENTS, LONG] {
        assert!(queries.iter().any(|known| known == q), "{q}");
    }
}

#[test]
fn connections_near_the_limit_and_nothing_known_names_pooling() {
    let alerts = [alert("db-connections-near-limit", "now", "db1:5432")];
    let a = decide(&Script::default(), &alerts, "");
    assert_eq!(lines(&a), ["connection-pooling?"]);
    let r = step(&a);
    assert!(
        r.citations
            .iter()
            .any(|c| c.tag == "[B]1K-10K" && c.text == "The Scaling Milestones, 1K-10K")
    );
    assert_eq!(r.confirm[0].id, "connection-pooling");
    assert_eq!(r.confirm[0].config, "[facts]\nconnection-pooling = true");
    assert!(r.prerequisites.is_empty());
    assert_eq!(
        a.decision.bottlenecks[0].evidence[0].text,
        "connections in use: 19 of 20 (95 %), over 90 % (default), for 2m 10s"
    );
}

#[test]
fn with_a_pooler_there_is_no_step_but_first_aid_and_one_fact() {
    let alerts = [alert("db-connections-near-limit", "now", "db1:5432")];
    for seen in [
        decide(&Script::default().says(POOLING, &[], 1.0), &alerts, ""),
        decide(&Script::default(), &alerts, "connection-pooling = true"),
    ] {
        assert_eq!(lines(&seen), ["none, confirm long-active-sessions"]);
        let Verdict::NoStep {
            first_aid,
            citations,
            ..
        } = &seen.decision.bottlenecks[0].verdict
        else {
            unreachable!("checked above")
        };
        assert!(first_aid.iter().any(|t| t.contains("lower the pool size")));
        assert!(!citations.is_empty());
    }
}

#[test]
fn with_a_pooler_the_rest_of_the_row_follows_what_is_known() {
    let alerts = [alert("db-connections-near-limit", "now", "db1:5432")];
    let pooled = || Script::default().says(POOLING, &[], 1.0);
    for (script, declared, want) in [
        (
            pooled().says(LONG, &[("instance", "db1:5432")], 90.0),
            "",
            "query-optimization?",
        ),
        (
            pooled(),
            "long-active-sessions = false",
            "none, confirm db-read-bound",
        ),
        (
            pooled(),
            "long-active-sessions = false\ndb-read-bound = true",
            "read-replica?",
        ),
        (
            pooled(),
            "long-active-sessions = false\ndb-read-bound = true\nseparate-database-host = false",
            "separate-database-host -> read-replica",
        ),
        (
            pooled(),
            "long-active-sessions = false\ndb-read-bound = false\ndistinct-scaling-needs = false",
            "none",
        ),
        (
            Script::default(),
            "connection-pooling = false",
            "connection-pooling",
        ),
    ] {
        assert_eq!(
            lines(&decide(&script, &alerts, declared)),
            [want],
            "{declared}"
        );
    }
}

#[test]
fn a_replica_does_not_prove_a_pooler() {
    let replica = playbook()
        .step("read-replica")
        .unwrap()
        .detect
        .present
        .clone()
        .unwrap();
    let script = Script::default().says(String::leak(replica.into_inner()), &[], 1.0);
    let alerts = [alert("db-connections-near-limit", "now", "db1:5432")];
    let a = decide(&script, &alerts, "");
    assert_eq!(lines(&a), ["connection-pooling?"]);
    assert_eq!(a.inventory.state("read-replica"), Detection::Present);
}

#[test]
fn paused_replay_is_a_cause_and_no_step_is_named() {
    let alerts = [lag("now", "db2:5433", 75.0)];
    let paused = || Script::default().says(PAUSED, &[("instance", "db2:5433")], 1.0);
    for script in [
        paused(),
        paused().says(LAG_SEEN, &[], 1.0),
        paused()
            .says(LAG_SEEN, &[], 1.0)
            .says(NO_STATEMENTS, &[], 0.0),
        paused().says(LAG_SEEN, &[], 1.0).says(STATEMENTS, &[], 1.0),
    ] {
        let a = decide(&script, &alerts, "");
        assert_eq!(lines(&a), ["none, confirm replay-pause-intended"]);
        let Verdict::NoStep { first_aid, .. } = &a.decision.bottlenecks[0].verdict else {
            unreachable!("checked above")
        };
        assert!(first_aid[0].contains("SELECT pg_wal_replay_resume()"));
    }
    let a = decide(&paused(), &alerts, "replay-pause-intended = true");
    assert_eq!(lines(&a), ["none"]);
    let Verdict::NoStep { first_aid, why, .. } = &a.decision.bottlenecks[0].verdict else {
        unreachable!("checked above")
    };
    assert!(first_aid.is_empty() && why.contains("on purpose"), "{why}");
}

#[test]
fn a_cause_on_the_same_server_counts_else_one_on_the_same_host() {
    let alerts = [lag("act", "db1:5434", 12.0)];
    for (elements, want) in [
        (
            vec![("db1:5433", 1.0), ("db1:5434", 0.0)],
            "replication-lag-monitoring?",
        ),
        (
            vec![("db1:5433", 0.0), ("db1:5434", 1.0)],
            "none, confirm replay-pause-intended",
        ),
        // The lag comes from an exporter on another port of this host.
        (
            vec![("db1:5432", 1.0)],
            "none, confirm replay-pause-intended",
        ),
        (vec![("db2:5434", 1.0)], "replication-lag-monitoring?"),
    ] {
        let answer = elements
            .iter()
            .map(|(i, v)| (Labels::from_pairs([("instance", *i)]), *v))
            .collect();
        let script = Script {
            answers: vec![(PAUSED, Ok(answer))],
        };
        assert_eq!(lines(&decide(&script, &alerts, "")), [want], "{elements:?}");
    }
}

#[test]
fn a_rule_that_only_says_yes_is_evidence_in_its_own_words() {
    let refused = Alert {
        value: 1.0,
        measured: None,
        limit: None,
        threshold: Some(1.0),
        ..alert("db-connections-near-limit", "now", "db1:5432")
    };
    let a = decide(&Script::default(), std::slice::from_ref(&refused), "");
    assert_eq!(lines(&a), ["connection-pooling?"]);
    let text = |a: &Advised| a.decision.bottlenecks[0].evidence[0].text.clone();
    assert_eq!(
        text(&a),
        "db-connections-near-limit on db1:5432, for 2m 10s"
    );
    let known = Alert {
        measured: Some(17.0),
        limit: Some(17.0),
        ..refused
    };
    let a = decide(&Script::default(), &[known], "");
    assert_eq!(text(&a), "connections in use: 17 of 17 (100 %), for 2m 10s");
}

#[test]
fn lag_without_a_known_cause_follows_its_row() {
    let alerts = [lag("act", "db2:5433", 12.0)];
    let seen = || Script::default().says(LAG_SEEN, &[], 1.0);
    let measured = || seen().says(STATEMENTS, &[], 1.0);
    for (script, declared, want) in [
        (Script::default(), "", "replication-lag-monitoring?"),
        (seen(), "", "measure-first?"),
        (seen().says(NO_STATEMENTS, &[], 0.0), "", "measure-first"),
        (measured(), "", "none, confirm long-replica-queries"),
        (
            measured(),
            "long-replica-queries = true",
            "query-optimization?",
        ),
        // Another replica's pause is no cause here.
        (
            measured().says(PAUSED, &[("instance", "db3:5433")], 1.0),
            "",
            "none, confirm long-replica-queries",
        ),
        (
            measured(),
            "stale-replica-reads = true\nread-write-routing = true",
            "read-write-routing again",
        ),
        (
            measured(),
            "stale-replica-reads = true",
            "read-write-routing?",
        ),
        (
            measured(),
            "replica-saturated = true\nusers = 50000",
            "application-cache?",
        ),
        (
            measured(),
            "replica-saturated = true\nusers = 50000\nslow-queries = true\nquery-optimization = false",
            "query-optimization -> application-cache",
        ),
        (
            measured(),
            "replica-saturated = true\nusers = 5000",
            "vertical-scale-database?",
        ),
    ] {
        assert_eq!(
            lines(&decide(&script, &alerts, declared)),
            [want],
            "{declared}"
        );
    }
}

#[test]
fn a_busy_host_is_measured_first_then_follows_its_role() {
    let cpu = Alert {
        measured: Some(0.82),
        limit: None,
        unit: "ratio".to_owned(),
        threshold: Some(0.7),
        threshold_from: "[D]S1".to_owned(),
        ..alert("host-cpu-sustained", "act", "web1:9100")
    };
    let alerts = [cpu];
    for (declared, want) in [
        ("", "measure-first"),
        ("database-shares-host = true", "separate-database-host?"),
        (
            "database-shares-host = true\nslow-queries = true",
            "add-indexes?",
        ),
        (
            "database-shares-host = false\nusers = 5000\nbigger-app-host = true",
            "vertical-scale-app-server?",
        ),
        (
            "database-shares-host = false\nbigger-app-host = true\nusers = 50000\nno-proxy = true",
            "reverse-proxy?",
        ),
        (
            "dedicated-database-host = true\nmeasure-first = true",
            "query-optimization?",
        ),
        (
            "dedicated-database-host = true\nmeasure-first = true\nquery-optimization = true\nconnection-pooling = true\nusers = 5000",
            "read-replica?",
        ),
        (
            "dedicated-database-host = true\nmeasure-first = true\nquery-optimization = true\nconnection-pooling = true\nusers = 50000",
            "application-cache?",
        ),
        (
            "dedicated-database-host = true\nmeasure-first = true\nquery-optimization = true\nconnection-pooling = true\nusers = 50000\nreplica-first = true",
            "read-replica?",
        ),
        (
            "dedicated-database-host = true\nmeasure-first = true\nwrites-dominate = true\nquery-optimization = true\nconnection-pooling = true",
            "vertical-scale-database?",
        ),
        (
            "database-shares-host = false\nstateless-app = false\nexternalize-sessions = false",
            "stateless-app",
        ),
    ] {
        assert_eq!(
            lines(&decide(&Script::default(), &alerts, declared)),
            [want],
            "{declared}"
        );
    }
}

#[test]
fn a_full_disk_asks_what_grows() {
    let alerts = [Alert {
        measured: Some(97e9),
        limit: Some(100e9),
        unit: "bytes".to_owned(),
        ..alert("disk-space-runway", "now", "db1:9100")
    }];
    for (declared, want) in [
        ("", "none, confirm files-dominate-growth"),
        ("files-dominate-growth = true", "shared-file-storage?"),
        (
            "database-dominates-growth = true",
            "vertical-scale-database?",
        ),
        // Sharding never without everything before it.
        (
            "files-dominate-growth = false\ndatabase-dominates-growth = false\nanalytics-dominate-growth = false\ntime-series-dominate-growth = false\none-domain-dominates = false",
            "none",
        ),
    ] {
        assert_eq!(
            lines(&decide(&Script::default(), &alerts, declared)),
            [want],
            "{declared}"
        );
    }
}

#[test]
fn a_symptom_step_done_lately_is_passed_over_for_thirty_days() {
    let alerts = [alert("db-connections-near-limit", "now", "db1:5432")];
    let declared = |day: &str| {
        format!(
            "connection-pooling = true\nlong-active-sessions = true\ndb-read-bound = true\ndone = {{ query-optimization = {day} }}"
        )
    };
    // NOW is 2027-01-15.
    let a = decide(&Script::default(), &alerts, &declared("2027-01-02"));
    assert_eq!(lines(&a), ["read-replica?"]);
    assert!(step(&a).why.contains("passed over for 30 days"));
    let a = decide(&Script::default(), &alerts, &declared("2026-12-01"));
    assert_eq!(lines(&a), ["query-optimization?"]);
}

#[test]
fn a_step_far_above_the_stage_is_lowered_while_the_sign_does_not_press() {
    let declared = "connection-pooling = true\nlong-active-sessions = false\ndb-read-bound = false\ndistinct-scaling-needs = true\ncomponent-holds-sessions = true\nusers = 500";
    let at = |level| {
        let alerts = [alert("db-connections-near-limit", level, "db1:5432")];
        lines(&decide(&Script::default(), &alerts, declared))
    };
    assert_eq!(at("plan"), ["none"]);
    assert_eq!(at("act"), ["service-extraction?"]);
}

#[test]
fn at_most_two_bottlenecks_on_different_lines_or_hosts() {
    let alerts = [
        alert("host-cpu-sustained", "act", "db1:9100"),
        alert("db-connections-near-limit", "act", "db1:5432"),
        lag("now", "db2:5433", 75.0),
        alert("disk-space-runway", "plan", "db1:9100"),
        alert("disk-space-runway", "now", "db1:9100"),
    ];
    let a = decide(&Script::default(), &alerts, "");
    let leads: Vec<_> = a
        .decision
        .bottlenecks
        .iter()
        .map(|b| b.sign.sign.as_str())
        .collect();
    // Both are at now; the database goes before the rest.
    assert_eq!(leads, ["replication-lag-high", "disk-space-runway"]);
}

#[test]
fn signs_of_one_line_on_one_host_are_one_bottleneck() {
    let mut second = alert("db-connections-near-limit", "act", "db1:5432");
    second.labels = second.labels.with("datname", "shop");
    let alerts = [
        second,
        alert("db-connections-near-limit", "now", "db1:5432"),
    ];
    let a = decide(&Script::default(), &alerts, "");
    assert_eq!(lines(&a), ["connection-pooling?"]);
    let b = &a.decision.bottlenecks[0];
    assert_eq!((b.also.len(), b.evidence.len()), (1, 2));
    assert!(!b.sign.labels.has("datname"), "the worst leads");
    assert_eq!(a.decision.bottleneck_of(&b.also[0]).unwrap().sign, b.sign);
}

#[test]
fn a_failed_query_never_makes_a_step_absent() {
    let script = Script::default()
        .fails(POOLING)
        .fails(STATEMENTS)
        .fails(NO_STATEMENTS);
    let alerts = [alert("db-connections-near-limit", "now", "db1:5432")];
    let a = decide(&script, &alerts, "");
    assert_eq!(
        a.inventory.state("connection-pooling"),
        Detection::NotObserved
    );
    assert_eq!(
        a.inventory
            .state_for("measure-first", playbook::rows::Tier::Database),
        Detection::NotObserved
    );
    assert_eq!(lines(&a), ["connection-pooling?"]);
    assert!(
        a.warnings.iter().any(|w| w.contains("too many samples")),
        "{:?}",
        a.warnings
    );
}

#[test]
fn quiet_systems_get_an_empty_decision_and_an_inventory() {
    let a = decide(
        &Script::default().says(POOLING, &[], 1.0),
        &[],
        "users = 12000",
    );
    assert!(a.decision.bottlenecks.is_empty());
    assert_eq!(a.decision.rung.as_deref(), Some("L2"));
    assert_eq!(a.decision.rung_from.as_deref(), Some("12,000 users"));
    assert_eq!(a.inventory.state("connection-pooling"), Detection::Present);
    assert_eq!(a.inventory.state("stateless-app"), Detection::Unknown);
}

#[test]
fn the_stage_goes_by_users_else_by_the_lower_reading() {
    for (declared, want) in [
        ("", None),
        ("users = 1000", Some(("L0", 0, 0))),
        ("users = 1001", Some(("L1", 1, 1))),
        ("users = 1e9", Some(("L6", 6, 6))),
        ("database-bytes = 5e10", Some(("L2", 2, 2))),
        ("requests-per-second = 300", Some(("L1", 1, 2))),
        (
            "requests-per-second = 300\ndatabase-bytes = 5e8",
            Some(("L0", 0, 2)),
        ),
        ("users = 50\nrequests-per-second = 300", Some(("L0", 0, 0))),
    ] {
        let stage = decide(&Script::default(), &[], declared).stage;
        let got = stage.as_ref().map(|s| (s.rung.as_str(), s.low, s.high));
        assert_eq!(got, want, "{declared}");
    }
}

#[test]
fn advice_is_given_per_system_with_its_matchers() {
    let book = playbook();
    let stage = System {
        name: "stage".to_owned(),
        matchers: vec![("env".to_owned(), "stage".to_owned())],
    };
    // Only staging has a pooler; production must not seem pooled for that.
    let pooled_stage: &str = String::leak(scope(POOLING, &stage).unwrap());
    let script = Script::default().says(pooled_stage, &[], 1.0);
    let on = |env, instance| {
        let mut a = alert("db-connections-near-limit", "now", instance);
        a.labels = a.labels.with("env", env);
        a
    };
    let all = advise(
        &Inputs {
            playbook: &book,
            querier: &script,
            alerts: &[on("stage", "db9:5432"), on("prod", "db1:5432")],
            facts: &BTreeMap::new(),
            runways: &[],
            advice: &Advice {
                system_labels: vec!["env".to_owned()],
                ..Advice::default()
            },
        },
        NOW,
    );
    let got: Vec<_> = all
        .iter()
        .map(|a| (a.decision.system.as_str(), lines(a).join(",")))
        .collect();
    assert_eq!(
        got,
        [
            ("prod", "connection-pooling?".to_owned()),
            ("stage", "none, confirm long-active-sessions".to_owned()),
        ]
    );
}

#[test]
fn facts_that_nobody_asks_are_named() {
    let book = playbook();
    let found = check_facts(
        &book,
        &facts("users = 5\nusres = 5\nconnection-pooling = 3\ndone = { nothing = 2026-11-01 }"),
    );
    assert_eq!(found.len(), 3, "{found:?}");
    for (path, want) in [
        ("facts.usres", "unknown;"),
        ("facts.connection-pooling", "true or false"),
        ("facts.done.nothing", "unknown step"),
    ] {
        assert!(
            found.iter().any(|(p, m)| p == path && m.starts_with(want)),
            "{path} {want}: {found:?}"
        );
    }
}

#[test]
fn the_order_of_alerts_does_not_matter() {
    let mut alerts = vec![
        alert("host-cpu-sustained", "now", "db1:9100"),
        alert("db-connections-near-limit", "now", "db1:5432"),
        lag("now", "db2:5433", 75.0),
    ];
    let before = decide(&Script::default(), &alerts, "").decision;
    alerts.reverse();
    assert_eq!(decide(&Script::default(), &alerts, "").decision, before);
}

/// Signs that rules give and for which the playbook has no row yet: people see them as alerts.
const WITHOUT_ROW: &[&str] = &[
    "abuse-traffic",
    "analytics-on-primary",
    "app-db-contention",
    "app-server-spof",
    "app-tier-saturated",
    "autoscale-ceiling",
    "backup-stale",
    "cache-evictions",
    "cache-hit-rate-low",
    "cache-spof",
    "cache-stampede",
    "capacity-idle",
    "cascading-failures",
    "cdn-hit-rate-low",
    "connection-per-request",
    "cross-region-inconsistency",
    "cross-shard-queries",
    "db-connection-pileup",
    "db-latency-at-peak",
    "db-simple-query-slow",
    "db-size-near-limit",
    "db-working-set-exceeds-ram",
    "deploy-downtime",
    "deploys-slow-risky",
    "distant-users-slow",
    "distributed-monolith",
    "error-rate-raised",
    "failover-slow",
    "host-disk-io-saturated",
    "host-memory-pressure",
    "host-memory-swapping",
    "job-latency-high",
    "media-storage-growth",
    "no-apm",
    "no-metrics",
    "no-uptime-check",
    "page-load-slow",
    "pool-wait",
    "query-slow-after-tuning",
    "queue-depth-growing",
    "read-write-contention",
    "request-latency-degraded",
    "rollout-orchestration",
    "security-baseline-missing",
    "session-affinity-imbalance",
    "shard-imbalance",
    "sync-service-coupling",
    "time-series-in-oltp",
    "trace-gap",
    "uncached-hot-reads",
    "unhealthy-backend",
    "workers-share-web-host",
];

#[test]
fn every_sign_of_the_shipped_rules_is_in_the_playbook() {
    let book = playbook();
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules");
    let files: Vec<_> = std::fs::read_dir(rules)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "yml"))
        .map(|path| RuleFile {
            name: path.display().to_string(),
            text: std::fs::read_to_string(path).unwrap(),
            shipped: true,
        })
        .collect();
    let set = RuleSet::load(
        &files,
        &crate::config::Signs::default(),
        "",
        Duplicates::Refuse,
        &|text| rules::check_promql(text, Default::default()),
    )
    .unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(set.warnings, []);
    let mut seen = 0;
    for rule in set.groups.iter().flat_map(|g| &g.rules) {
        let id = rule.label("sign");
        if rule.alert().is_none() || id.is_empty() {
            continue;
        }
        let threshold = rule.alert().and_then(|a| a.threshold);
        assert!(threshold.is_some(), "{}: {}", rule.name, rule.expr);
        let Some(sign) = book.sign(id) else {
            assert!(WITHOUT_ROW.contains(&id), "{id}");
            continue;
        };
        // With what and needs it is measured, else it is also asked of people.
        let measured = !sign.what.is_empty() && sign.needs.is_some();
        assert!(measured || sign.question.is_some(), "{id}");
        assert!(book.row(id).is_some() || sign.question.is_some(), "{id}");
        seen += 1;
    }
    assert!(seen > 40, "{seen}");
}

#[test]
fn a_step_in_words() {
    let alerts = [alert("db-connections-near-limit", "now", "db1:5432")];
    let mut a = decide(&Script::default(), &alerts, "users = 8000");
    a.decision.bottlenecks[0].considered.clear();
    insta::assert_snapshot!(serde_json::to_string_pretty(&a.decision).unwrap(), @r##"
    {
      "system": "",
      "at": 1800000000000,
      "rung": "L1",
      "rung_from": "8,000 users",
      "bottlenecks": [
        {
          "sign": {
            "system": "",
            "sign": "db-connections-near-limit",
            "labels": {
              "instance": "db1:5432"
            }
          },
          "title": "Postgres is running out of connections",
          "level": "now",
          "evidence": [
            {
              "text": "connections in use: 19 of 20 (95 %), over 90 % (default), for 2m 10s",
              "value": 19.0,
              "limit": 20.0,
              "unit": "count"
            }
          ],
          "also": [],
          "verdict": {
            "kind": "step",
            "step": {
              "id": "connection-pooling",
              "title": "Put a connection pooler in front of Postgres"
            },
            "on_the_way_to": null,
            "prerequisites": [],
            "unless_in_place": true,
            "again": false,
            "why": "The limit is being hit. Each client holds a server connection of its own, and Postgres has a fixed number of them.",
            "effect": "From at most 100 concurrent requests at Postgres's default limit to thousands over 20-50 server connections (The Scaling Milestones, 1K-10K).",
            "cost": "",
            "risks": [
              "Clients may wait for the pool.",
              "Session features (prepared statements, advisory locks, SET) need care in transaction mode."
            ],
            "lead_time": "3d (default)",
            "verify": "sum(pg_stat_activity_count) / sum(pg_settings_max_connections) < 0.5",
            "first_aid": [
              "See who holds them: SELECT application_name, client_addr, state, count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' GROUP BY 1, 2, 3 ORDER BY 4 DESC; lower the pool size of the largest client or restart it.",
              "Do not raise max_connections in its place: each connection costs memory, and the next peak takes the new ones too."
            ],
            "confirm": [
              {
                "id": "connection-pooling",
                "question": "Is a connection pooler (PgBouncer, or a pool in the application) in place?",
                "config": "[facts]\nconnection-pooling = true"
              }
            ],
            "then": null,
            "citations": [
              {
                "tag": "[B]1K-10K",
                "text": "The Scaling Milestones, 1K-10K"
              },
              {
                "tag": "[B]pit",
                "text": "The Scaling Milestones, common pitfalls"
              },
              {
                "tag": "[E]P2",
                "text": "The Complete Guide to System Scaling, phase 2"
              },
              {
                "tag": "[A]100K",
                "text": "The scaling journey, 100,000 users"
              },
              {
                "tag": "[D]S4",
                "text": "I've scaled systems from zero to one, stage 4"
              }
            ],
            "donts": [
              "Do not raise max_connections instead of pooling; instead: connection pooling."
            ],
            "dissent": [
              "Some documents pool at 1,000 to 10,000 users (The Scaling Milestones, 1K-10K; The Complete Guide to System Scaling, phase 2), others at 100,000 or after replicas (The scaling journey, 100,000 users; I've scaled systems from zero to one, stage 4). Here: before replicas; a pool in the application will do for one server, an external pooler from two on."
            ]
          }
        }
      ]
    }
    "##);
}

#[test]
fn no_step_in_words() {
    let alerts = [lag("now", "db2:5433", 75.0)];
    let script = Script::default().says(PAUSED, &[("instance", "db2:5433")], 1.0);
    let a = decide(&script, &alerts, "");
    insta::assert_snapshot!(serde_json::to_string_pretty(&a.decision).unwrap(), @r##"
    {
      "system": "",
      "at": 1800000000000,
      "rung": null,
      "rung_from": null,
      "bottlenecks": [
        {
          "sign": {
            "system": "",
            "sign": "replication-lag-high",
            "labels": {
              "instance": "db2:5433"
            }
          },
          "title": "A replica is behind its primary",
          "level": "now",
          "evidence": [
            {
              "text": "time behind: 1m 15s, over 10 s (default), for 2m 10s",
              "value": 75.0,
              "limit": null,
              "unit": "seconds"
            }
          ],
          "also": [],
          "verdict": {
            "kind": "no_step",
            "why": "Replay is paused on this replica, so it falls behind whatever its size; no scaling step helps.",
            "first_aid": [
              "Resume replay, on the replica: SELECT pg_wal_replay_resume().",
              "Until it has caught up, send reads that must be fresh to the primary."
            ],
            "confirm": {
              "id": "replay-pause-intended",
              "question": "Was replay paused on purpose?",
              "config": "[facts]\nreplay-pause-intended = true"
            },
            "citations": [
              {
                "tag": "[B]1K-10K",
                "text": "The Scaling Milestones, 1K-10K"
              },
              {
                "tag": "[E]P4",
                "text": "The Complete Guide to System Scaling, phase 4"
              },
              {
                "tag": "[E]mon",
                "text": "The Complete Guide to System Scaling, monitoring and automation"
              }
            ]
          }
        }
      ]
    }
    "##);
}

#[test]
fn a_prerequisite_in_words() {
    let alerts = [alert("db-connections-near-limit", "act", "db1:5432")];
    let declared = "connection-pooling = true\nlong-active-sessions = false\ndb-read-bound = true\nseparate-database-host = false";
    let a = decide(&Script::default(), &alerts, declared);
    let r = step(&a);
    let words = format!(
        "{}\n{}\n{}\n{}",
        r.why,
        words::on_the_way_to(r.on_the_way_to.as_ref().unwrap()),
        words::first(&r.step),
        words::confirm_first(r.confirm.first().map_or("nothing", |q| q.question.as_str())),
    );
    insta::assert_snapshot!(words, @r##"
    The threshold to act is passed. Application and database take CPU, memory and disk from each other on one host. It comes first on the way to: Add a read replica.
    on the way to: Add a read replica
    first: Give the database its own host
    confirm first: nothing
    "##);
}

#[test]
fn measuring_first_in_words() {
    let alerts = [lag("act", "db2:5433", 12.0)];
    let script = Script::default()
        .says(LAG_SEEN, &[], 1.0)
        .says(NO_STATEMENTS, &[], 0.0);
    let a = decide(&script, &alerts, "long-replica-queries = true");
    let r = step(&a);
    insta::assert_snapshot!(format!("{}\nthen: {}", r.why, r.then.as_ref().unwrap().title), @r##"
    The threshold to act is passed. A step taken before the cause is known may miss it. Statement statistics cannot be read: add pg_stat_statements to shared_preload_libraries, restart, then CREATE EXTENSION pg_stat_statements; and GRANT pg_monitor to the monitoring role.
    then: Rewrite the statements that use most of the time
    "##);
}

#[test]
fn too_early_in_words() {
    let declared = "connection-pooling = true\nlong-active-sessions = false\ndb-read-bound = false\ndistinct-scaling-needs = true\ncomponent-holds-sessions = true\nusers = 500";
    let alerts = [alert("db-connections-near-limit", "plan", "db1:5432")];
    let a = decide(&Script::default(), &alerts, declared);
    let Verdict::NoStep { why, .. } = &a.decision.bottlenecks[0].verdict else {
        panic!("a step is named")
    };
    insta::assert_snapshot!(why, @"Too early at stage L0, and the sign does not press: Extract the one service that scales differently. Do not extract services for the sake of a cleaner design; instead: keep modules in one process.");
}
