//! One look at a system without a daemon: two samples, no history, no verdict on durations.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use futures_util::future::join_all;

use super::collect::{Feed, Last, Views};
use super::fleet::Ready;
use super::observed::Observed;
use super::plan::Plan;
use super::query::{engine_options, parse_options};
use super::seek;
use super::{discover, views};
use crate::advice::{self, Advised};
use crate::api::{Blind, MessageBooks, Snapshot};
use crate::clock::Clock;
use crate::config::Missing;
use crate::model::{Selection, Timestamp};
use crate::promql::{self, Engine};
use crate::rules::{Alert, EvalContext, FlappingPolicy, Group, GroupSpec, RuleKind};
use crate::sources::Client;
use crate::store::Store;
use crate::telemetry::Metrics;

/// Time between the two samples.
const APART: Duration = Duration::from_secs(2);
/// Ranges are cut to the time between the samples and this, so that both lie inside.
const MARGIN: Duration = Duration::from_secs(1);
/// Rules that read further back than this cannot be judged from two samples.
const NEEDS_HISTORY: Duration = Duration::from_secs(3600);

/// Looks twice, 2 s apart, evaluates every rule once without its durations, and advises.
pub async fn look_once(plan: Plan) -> anyhow::Result<Snapshot> {
    let clock = Clock::system();
    let started = clock.now();
    let client = Client::new(discover::memory(&plan.config)).map_err(anyhow::Error::msg)?;
    let sought = seek::seek(&plan.config, &client, &BTreeSet::new()).await;
    let found = discover::sources(&plan, &client, &clock, &sought.places(None)).await?;
    let (batches, _) = tokio::sync::mpsc::channel(1);
    let selection = Arc::new(plan.selection(1));
    let (_keep, selected) = tokio::sync::watch::channel(Arc::clone(&selection));
    let feed = Feed {
        clock: clock.clone(),
        client,
        selection: selected,
        batches,
        views: Views::default(),
        observed: Observed::default(),
        metrics: Arc::new(Metrics::new(env!("CARGO_PKG_VERSION"))),
    };
    let store = Arc::new(Store::bounded(discover::caps(&plan.config)));
    store.select_only(Arc::clone(&selection));

    let first = clock.now();
    let seen = pass(
        found
            .sources
            .into_iter()
            .map(|s| (s, Last::default()))
            .collect(),
        first,
        &selection,
        &feed,
        &store,
    )
    .await;
    tokio::time::sleep((first + APART).since(clock.now())).await;
    let second = clock.now();
    let seen = pass(seen, second, &selection, &feed, &store).await;
    // Slow targets make it more than 2 s.
    let (specs, mut blind) = brief(&plan, second.since(first) + MARGIN);
    blind.extend(found.blind.iter().cloned());
    let shown: Vec<_> = seen
        .iter()
        .map(|(r, last)| r.source.shown(&r.schedule, last))
        .collect();

    let (judged, keep, same) = (clock.clone(), Arc::clone(&store), plan.clone());
    let (groups, advised) =
        tokio::task::spawn_blocking(move || judge(&same, specs, &keep, &judged, second))
            .await
            .context("the evaluation broke")?;
    let alerts: Vec<Alert> = groups.iter().flat_map(Group::alerts).cloned().collect();
    let signs = advice::instances(&alerts, &plan.config.advice.system_labels);
    blind.extend(shown.iter().flat_map(|s| s.blind.iter().cloned()));
    blind.sort();
    blind.dedup();
    Ok(Snapshot {
        at: clock.now(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started,
        ready: true,
        brief: true,
        servers: shown.iter().filter_map(|s| s.server.clone()).collect(),
        sources: shown.into_iter().map(|s| s.view).collect(),
        dropped: found.dropped.into_values().collect(),
        blind,
        groups: groups.iter().map(views::group).collect(),
        alerts,
        signs: views::worst_first(signs.into_values()),
        decisions: advised.iter().map(|a| a.decision.clone()).collect(),
        runways: Vec::new(),
        steps: advised
            .iter()
            .flat_map(|a| views::steps(&plan.playbook, a))
            .collect(),
        messages: MessageBooks::default(),
        series: store.series(),
        samples: store.samples(),
    })
}

/// Asks every source once, all at the same time.
async fn pass(
    sources: Vec<(Ready, Last)>,
    at: Timestamp,
    selection: &Arc<Selection>,
    feed: &Feed,
    store: &Store,
) -> Vec<(Ready, Last)> {
    let passes = sources.into_iter().map(|(ready, _)| async move {
        let Ready {
            source,
            schedule,
            settings,
            group,
        } = ready;
        let stopwatch = feed.clock.stopwatch();
        let (source, batch) = source.collect(at, selection, feed).await;
        let samples = batch.as_ref().map_or(0, |b| b.samples.len() as u64);
        let last = Last {
            at: Some(at),
            seconds: stopwatch.elapsed().as_secs_f64(),
            samples,
        };
        (
            Ready {
                source,
                schedule,
                settings,
                group,
            },
            last,
            batch,
        )
    });
    let mut seen = Vec::new();
    for (ready, last, batch) in join_all(passes).await {
        if let Some(batch) = batch {
            store.append(&batch);
        }
        seen.push((ready, last));
    }
    seen
}

/// The rules without their durations and with short ranges, and what cannot be judged so.
fn brief(plan: &Plan, range: Duration) -> (Vec<GroupSpec>, Vec<Blind>) {
    let language = parse_options(&plan.config.query.enable_features);
    let mut long = 0;
    let mut specs = Vec::new();
    for group in &plan.rules.groups {
        let mut group = group.clone();
        group.rules.retain(|rule| {
            let judged = rule.window <= NEEDS_HISTORY;
            long += usize::from(!judged && rule.alert().is_some());
            judged
        });
        for rule in &mut group.rules {
            if let Ok(expr) = promql::parse_with(&rule.expr, language) {
                rule.expr = promql::shorten_ranges(&expr, range).to_string();
            }
            if let RuleKind::Alert(alert) = &mut rule.kind {
                alert.timing.hold = Duration::ZERO;
            }
        }
        specs.push(group);
    }
    let blind = (long > 0).then(|| Blind {
        what: format!("{long} rules"),
        why: "they need history: they read more than an hour back".to_owned(),
        fix: "loadline run".to_owned(),
    });
    (specs, blind.into_iter().collect())
}

/// Evaluates the groups once and advises.
fn judge(
    plan: &Plan,
    specs: Vec<GroupSpec>,
    store: &Arc<Store>,
    clock: &Clock,
    at: Timestamp,
) -> (Vec<Group>, Vec<Advised>) {
    let querier = Engine::new(
        Arc::clone(store) as _,
        engine_options(&plan.config.query, clock),
    );
    let stopwatch = clock.stopwatch();
    let config = &plan.config;
    let mut groups: Vec<Group> = specs
        .into_iter()
        .map(|s| Group::new(s, config.global.evaluation_interval.0))
        .collect();
    let context = EvalContext {
        external_labels: &config.global.external_labels,
        external_url: config.server.external_url.as_deref().unwrap_or_default(),
        missing: Missing::Blind,
        warm: true,
        flapping: FlappingPolicy::OFF,
        write: &|written| {
            super::pipeline::write(store, written);
        },
        elapsed: &|| stopwatch.elapsed(),
        known: None,
    };
    for group in &mut groups {
        group.evaluate(&querier, at, &context);
    }
    let alerts: Vec<Alert> = groups.iter().flat_map(Group::alerts).cloned().collect();
    let inputs = advice::Inputs {
        playbook: &plan.playbook,
        querier: &querier,
        alerts: &alerts,
        facts: &config.facts,
        advice: &config.advice,
        runways: &[],
    };
    let advised = advice::advise(&inputs, at);
    (groups, advised)
}
