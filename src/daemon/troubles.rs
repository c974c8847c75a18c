//! Looks for what is wrong with ourselves, for [`super::watch`].

use std::collections::BTreeSet;
use std::time::Duration;

use super::collect::Views;
use super::pipeline::Pipeline;
use super::watch::{Condition, Trouble};
use crate::api::SourceHealth;
use crate::model::{Labels, Timestamp};
use crate::rules::AlertState;
use crate::state::StateError;

/// A source is blind when it gave no answer for so many intervals.
const BLIND_AFTER: u32 = 4;
/// A receiver fails when it took nothing for so long.
const FAILING_AFTER: Duration = Duration::from_secs(120);
/// How long what happened once is shown.
const RECENT: Duration = Duration::from_secs(15 * 60);
/// A group is late after so many intervals, and this.
const LATE_AFTER: u32 = 3;
const LATE_MARGIN: Duration = Duration::from_secs(10);

/// Everything that is wrong at `now`.
pub(crate) async fn conditions(
    pipeline: &Pipeline,
    views: &Views,
    started: Timestamp,
    broke: &[(&'static str, Timestamp)],
    now: Timestamp,
) -> Result<Vec<Condition>, StateError> {
    let mut all = sources(views);
    all.extend(inputs(pipeline, views));
    all.extend(late(pipeline, now));
    all.extend(receivers(pipeline, now).await?);
    let state = &pipeline.rooms.state;
    if state.is_short_of_room() {
        all.push(condition(
            Trouble::DiskFull,
            &[("path", &state.dir().display().to_string())],
            pipeline.unwritten() as f64,
            "count",
            "the disk of the state folder is full; changes wait in memory: make room".to_owned(),
        ));
    }
    if let Some(aside) = state.set_aside().filter(|_| now.since(started) < RECENT) {
        all.push(condition(
            Trouble::StateBegunAnew,
            &[("path", &aside.display().to_string())],
            1.0,
            "count",
            "the state database was damaged and is put aside: alerts, silences and messages that \
             waited begin anew"
                .to_owned(),
        ));
    }
    for (task, at) in broke {
        if now.since(*at) < RECENT {
            all.push(condition(
                Trouble::TaskBroke,
                &[("task", task)],
                1.0,
                "count",
                format!("the task {task:?} broke and was started again: please report its log"),
            ));
        }
    }
    Ok(all)
}

fn condition(
    trouble: Trouble,
    about: &[(&str, &str)],
    value: f64,
    unit: &'static str,
    summary: String,
) -> Condition {
    Condition {
        trouble,
        about: Labels::from_pairs(about.iter().copied()),
        hold: Duration::ZERO,
        value,
        unit,
        summary,
        is_known: true,
    }
}

/// Sources without an answer, and those of which nothing is known yet.
fn sources(views: &Views) -> Vec<Condition> {
    let mut all = Vec::new();
    for shown in views.all() {
        let view = shown.view;
        let is_known = match view.health {
            SourceHealth::Up | SourceHealth::Partial => continue,
            SourceHealth::Down => true,
            SourceHealth::Unknown => false,
        };
        let hold = Duration::from_secs_f64(view.interval_seconds) * BLIND_AFTER;
        let about = [("kind", view.kind.as_str()), ("source", &view.name)];
        all.push(Condition {
            hold,
            is_known,
            ..condition(
                Trouble::SourceBlind,
                &about,
                hold.as_secs_f64(),
                "seconds",
                format!(
                    "{} {} gives no answer: {}",
                    view.kind, view.name, view.detail
                ),
            )
        });
    }
    all
}

/// Alerts that fire on without their input while no source of theirs is down: its target is gone,
/// or its metric.
fn inputs(pipeline: &Pipeline, views: &Views) -> Vec<Condition> {
    let down: BTreeSet<String> = views
        .all()
        .into_iter()
        .filter(|s| s.view.health == SourceHealth::Down)
        .map(|s| s.view.labels.get("instance").to_owned())
        .collect();
    let blind: BTreeSet<&str> = pipeline
        .alerts()
        .filter(|a| match a.state {
            AlertState::Firing { blind_since, .. } => blind_since.is_some(),
            AlertState::Pending { .. } | AlertState::Resolved { .. } => false,
        })
        .map(|a| a.labels.get("instance"))
        .filter(|instance| !down.contains(*instance))
        .collect();
    blind
        .into_iter()
        .map(|instance| Condition {
            hold: Duration::from_secs(60),
            ..condition(
                Trouble::InputMissing,
                &[("instance", instance)],
                60.0,
                "seconds",
                format!("alerts about {instance:?} fire on, but what they read is gone"),
            )
        })
        .collect()
}

/// Groups that should have been evaluated long ago.
fn late(pipeline: &Pipeline, now: Timestamp) -> Vec<Condition> {
    if !pipeline.ready() {
        return Vec::new();
    }
    let lag = |group: &crate::rules::Group| group.last().map(|(at, _)| now.since(at));
    pipeline
        .groups()
        .iter()
        .filter(|g| lag(g).is_some_and(|lag| lag > g.interval() * LATE_AFTER + LATE_MARGIN))
        .map(|group| {
            let key = group.spec().key();
            condition(
                Trouble::EvaluationLate,
                &[("rule_group", &key)],
                lag(group).unwrap_or_default().as_secs_f64(),
                "seconds",
                format!("the rule group {key} is not evaluated in time"),
            )
        })
        .collect()
}

/// Endpoints that take no messages, and messages that were given up of late.
async fn receivers(pipeline: &Pipeline, now: Timestamp) -> Result<Vec<Condition>, StateError> {
    let state = &pipeline.rooms.state;
    let mut all = Vec::new();
    for row in state.endpoints().await? {
        if pipeline.outbox.routing.endpoint(&row.name).is_none() {
            continue;
        }
        let lasts = row.failing_since.map(|t| now.since(t));
        let is_failing = lasts.is_some_and(|d| d >= FAILING_AFTER) && row.failures > 1;
        if row.disabled_reason.is_none() && !is_failing {
            continue;
        }
        let why = row
            .disabled_reason
            .as_deref()
            .unwrap_or("it takes no messages");
        all.push(condition(
            Trouble::ReceiverFailing,
            &[("endpoint", &row.name)],
            row.failures as f64,
            "count",
            format!("messages to {} wait: {why}", row.name),
        ));
    }
    for dead in state.recently_dead(now - RECENT).await? {
        all.push(condition(
            Trouble::DeadLetters,
            &[("endpoint", &dead.endpoint)],
            dead.messages as f64,
            "count",
            format!(
                "{} messages to {} were given up ({}); they are kept for 30 days",
                dead.messages, dead.endpoint, dead.last_error
            ),
        ));
    }
    Ok(all)
}
