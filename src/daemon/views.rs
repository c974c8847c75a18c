//! From running things to what the API shows.

use std::collections::BTreeMap;

use crate::advice::{Advised, Detection, Playbook, SignInstance};
use crate::api::{
    GroupView, RuleKind, RuleView, RunView, ServerView, SignalView, StatementView, StepView,
};
use crate::rules::{self, Group, Rule};
use crate::sources::postgres::{PostgresStatus, ServerRole};

/// A rule group with its rules' health.
pub(crate) fn group(group: &Group) -> GroupView {
    let last = group.last();
    GroupView {
        name: group.spec().name.clone(),
        key: group.spec().key(),
        file: group.spec().file.clone(),
        interval_seconds: group.interval().as_secs_f64(),
        last: last.map(|(at, _)| at),
        seconds: last.map_or(0.0, |(_, took)| took.as_secs_f64()),
        missed: group.missed(),
        rules: group.rules().iter().map(rule).collect(),
    }
}

fn rule(rule: &Rule) -> RuleView {
    let spec = rule.spec();
    let texts = |templates: &BTreeMap<String, rules::template::Template>| {
        templates
            .iter()
            .map(|(n, t)| (n.clone(), t.text().to_owned()))
            .collect()
    };
    let alert = spec.alert();
    let log = rule.log();
    let error = log.last().and_then(|run| run.error.clone());
    let missing = log.missing();
    RuleView {
        name: spec.name.clone(),
        kind: match spec.kind {
            rules::RuleKind::Record => RuleKind::Recording,
            rules::RuleKind::Alert(_) => RuleKind::Alerting,
        },
        expr: spec.expr.clone(),
        for_seconds: alert.map_or(0.0, |a| a.timing.hold.as_secs_f64()),
        keep_firing_for_seconds: alert.map_or(0.0, |a| a.timing.keep.as_secs_f64()),
        labels: texts(&spec.labels),
        annotations: alert.map(|a| texts(&a.annotations)).unwrap_or_default(),
        health: log.status().as_str().to_owned(),
        last_error: error.or_else(|| {
            (!missing.is_empty()).then(|| format!("nothing selected by {}", missing.join(", ")))
        }),
        runs: log.iter().rev().map(run).collect(),
    }
}

fn run(run: &rules::Evaluation) -> RunView {
    RunView {
        at: run.at,
        seconds: run.duration.as_secs_f64(),
        series: run.series_read,
        samples: run.samples,
        error: run.error.clone(),
        warnings: run.warnings.clone(),
    }
}

/// Firing signs, worst first.
pub(crate) fn worst_first(signs: impl IntoIterator<Item = SignInstance>) -> Vec<SignInstance> {
    let mut signs: Vec<_> = signs.into_iter().collect();
    signs.sort_by(|a, b| b.level.cmp(&a.level).then_with(|| a.key.cmp(&b.key)));
    signs
}

/// What is known of each step of one system.
pub(crate) fn steps<'a>(
    playbook: &'a Playbook,
    advised: &'a Advised,
) -> impl Iterator<Item = StepView> + 'a {
    advised
        .inventory
        .steps
        .iter()
        .map(move |(id, state)| StepView {
            system: advised.decision.system.clone(),
            id: id.clone(),
            title: playbook.step_ref(id).title,
            state: match state.state {
                Detection::Present => "present",
                Detection::Absent => "absent",
                Detection::NotObserved => "not-observed",
                Detection::Unknown => "unknown",
            }
            .to_owned(),
            because: state.by.clone(),
        })
}

/// A Postgres server, signal by signal.
pub(crate) fn server(status: &PostgresStatus) -> ServerView {
    let signals = status.signals.iter().map(|s| {
        let verdict = match (s.readable, s.silent) {
            (true, _) => "readable",
            (false, true) => "wrong",
            (false, false) => "missing",
        };
        SignalView {
            signal: s.signal.to_owned(),
            database: s.database.clone(),
            verdict: verdict.to_owned(),
            state: s.state.to_owned(),
            sentence: s.sentence.clone(),
            fix: s.fix.clone(),
        }
    });
    let statements = status.statements.iter().map(|s| StatementView {
        datname: s.datname.clone(),
        user: s.user.clone(),
        queryid: s.queryid.clone(),
        text: s.text.clone(),
        load_share: s.load_share,
        calls_per_second: s.calls_per_second,
        mean_seconds: s.mean_seconds,
        rows_per_call: s.rows_per_call,
        n_plus_one: s.n_plus_one,
    });
    ServerView {
        instance: status.instance.clone(),
        state: status.state.as_str().to_owned(),
        sentence: status.sentence.clone(),
        fix: status.fix.clone(),
        version: status.server_version.clone(),
        role: status.role.map(|r| match r {
            ServerRole::Primary => "primary".to_owned(),
            ServerRole::Replica => "replica".to_owned(),
        }),
        signals: signals.collect(),
        statements: statements.collect(),
    }
}
