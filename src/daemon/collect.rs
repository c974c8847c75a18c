//! One loop per source: wait for the slot, collect, hand the batch to the store's writer.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::observed::Observed;
use crate::api::{Blind, ServerView, SourceHealth, SourceView};
use crate::clock::Clock;
use crate::config;
use crate::model::{Batch, Labels, Selection, TargetKey, Timestamp};
use crate::sources::postgres::{PostgresCollector, ServerRole, ServerState};
use crate::sources::scrape::{Health, Losses};
use crate::sources::{Client, HostCollector, Schedule, Target};
use crate::telemetry::Metrics;

/// Sources with longer intervals get a first pass within this time.
const SOON: Duration = Duration::from_secs(15);

/// Anything that brings batches.
pub(crate) enum Source {
    /// With its settings, to start it anew should it break.
    Host(Box<HostCollector>, Arc<config::Host>),
    Postgres(Box<PostgresCollector>),
    Scrape(Box<Target>),
}

/// What the API shows of a source.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    pub(crate) view: SourceView,
    pub(crate) blind: Vec<Blind>,
    pub(crate) server: Option<ServerView>,
}

/// The newest view of each source; shared between the loops and the publisher.
#[derive(Debug, Clone, Default)]
pub(crate) struct Views(Arc<Mutex<BTreeMap<TargetKey, Seen>>>);

#[derive(Debug)]
struct Seen {
    shown: Shown,
    /// The last pass whose samples are in the store.
    stored: Option<Timestamp>,
}

impl Views {
    fn set(&self, key: TargetKey, shown: Shown) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match all.get_mut(&key) {
            Some(seen) => seen.shown = shown,
            None => {
                let stored = None;
                all.insert(key, Seen { shown, stored });
            }
        }
    }

    /// Says that the samples of a pass over `key` are in the store.
    pub(crate) fn stored(&self, key: &TargetKey, at: Timestamp) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(seen) = all.get_mut(key) {
            seen.stored = Some(at);
        }
    }

    /// Forgets a source that is watched no more.
    pub(crate) fn remove(&self, key: &TargetKey) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(key);
    }

    /// All sources, by key.
    pub(crate) fn all(&self) -> Vec<Shown> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .map(|seen| seen.shown.clone())
            .collect()
    }

    /// True when every source was asked after `since` and what it said is in the store: before,
    /// a rule would take what is not there yet for gone.
    pub(crate) fn all_asked(&self, since: Timestamp) -> bool {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.values().all(|seen| {
            seen.shown.view.health != SourceHealth::Unknown
                && seen.stored.is_some_and(|at| at >= since)
        })
    }
}

/// What reaches the store's writer, in this order.
pub(crate) enum Arrival {
    /// A source's pass.
    Batch(Batch),
    /// A source is watched no more; all its batches came before.
    Gone(TargetKey, Timestamp),
}

/// What every source loop needs.
#[derive(Clone)]
pub(crate) struct Feed {
    pub(crate) clock: Clock,
    pub(crate) client: Client,
    pub(crate) selection: watch::Receiver<Arc<Selection>>,
    pub(crate) batches: mpsc::Sender<Arrival>,
    pub(crate) views: Views,
    pub(crate) observed: Observed,
    pub(crate) metrics: Arc<Metrics>,
}

/// Runs one source until `stop`; a pass that is under way is given up then.
pub(crate) async fn run(
    mut source: Source,
    mut schedule: Schedule,
    feed: Feed,
    stop: CancellationToken,
) {
    let key = source.key().clone();
    let mut last = Last::default();
    feed.views.set(key.clone(), source.shown(&schedule, &last));
    let mut early = early_start(&schedule, &key);
    while !stop.is_cancelled() {
        let (mut wait, mut missed) = (early.take().unwrap_or_default(), 0);
        let mut slot = None;
        if wait.is_zero() {
            let next = schedule.next(feed.clock.now());
            wait = next.at.since(feed.clock.now());
            missed = next.missed;
            slot = Some(next);
        }
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(wait) => {}
        }
        let started = feed.clock.now();
        let at = slot.map_or(started, |s| s.stamp(started));
        let selection = Arc::clone(&feed.selection.borrow());
        let stopwatch = feed.clock.stopwatch();
        // Safe to drop: nothing is written before the batch is handed over.
        let (same, batch) = tokio::select! {
            () = stop.cancelled() => return,
            collected = source.collect(at, &selection, &feed) => collected,
        };
        source = same;
        let Some(batch) = batch else { continue };
        let outcome = match (batch.ok, batch.partial) {
            (true, false) => "ok",
            (true, true) => "partial",
            (false, _) => "failed",
        };
        feed.metrics
            .source_passes_total
            .with([source.kind(), outcome])
            .inc();
        if let Source::Scrape(target) = &source {
            count(target.losses(), &feed.metrics);
        }
        feed.metrics
            .source_slots_missed_total
            .with([source.kind()])
            .add(missed);
        last = Last {
            at: Some(at),
            seconds: stopwatch.elapsed().as_secs_f64(),
            samples: batch.samples.len() as u64,
        };
        feed.views.set(key.clone(), source.shown(&schedule, &last));
        if feed.batches.send(Arrival::Batch(batch)).await.is_err() {
            break;
        }
    }
    if let Source::Postgres(collector) = &mut source {
        let _ = tokio::time::timeout(Duration::from_secs(1), collector.close()).await;
    }
}

fn count(losses: &Losses, metrics: &Metrics) {
    if let Some(reason) = losses.failure {
        metrics.scrape_failures_total.with([reason]).inc();
    }
    for (reason, n) in &losses.bad_lines {
        metrics.scrape_bad_lines_total.with([reason]).add(*n);
    }
    for (reason, n) in &losses.dropped {
        metrics.scrape_samples_dropped_total.with([reason]).add(*n);
    }
}

/// A source that is asked rarely is asked once soon after the start, so that no rule waits for
/// its first slot; spread by its name.
fn early_start(schedule: &Schedule, key: &TargetKey) -> Option<Duration> {
    let hash = Labels::from_pairs([("target", &*key.0)]).fingerprint();
    let soon = SOON.as_millis() as u64;
    (schedule.interval() > SOON).then(|| Duration::from_millis(hash % soon + 1))
}

/// How the last pass went.
#[derive(Debug, Clone, Default)]
pub(crate) struct Last {
    pub(crate) at: Option<Timestamp>,
    pub(crate) seconds: f64,
    pub(crate) samples: u64,
}

impl Source {
    pub(crate) fn key(&self) -> &TargetKey {
        match self {
            Source::Host(host, _) => host.key(),
            Source::Postgres(postgres) => postgres.target(),
            Source::Scrape(target) => target.key(),
        }
    }

    /// The word for its kind.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Source::Host(_, _) => "host",
            Source::Postgres(_) => "postgres",
            Source::Scrape(_) => "scrape",
        }
    }

    /// One pass. `None` when the pass was lost with its thread.
    pub(crate) async fn collect(
        self,
        at: Timestamp,
        selection: &Arc<Selection>,
        feed: &Feed,
    ) -> (Source, Option<Batch>) {
        match self {
            Source::Host(mut host, settings) => {
                host.suppress(feed.observed.host_names(&host.identity()));
                let selection = Arc::clone(selection);
                // Reading a file system that hangs must not hold an async thread.
                let read = tokio::task::spawn_blocking(move || {
                    let batch = host.collect(at, &selection);
                    (host, batch)
                });
                match read.await {
                    Ok((host, batch)) => (Source::Host(host, settings), Some(batch)),
                    Err(error) => {
                        tracing::error!(%error, "the host collector broke");
                        let fresh = HostCollector::new(&settings);
                        (Source::Host(Box::new(fresh), settings), None)
                    }
                }
            }
            Source::Postgres(mut postgres) => {
                let (names, labels) = feed.observed.postgres(postgres.status());
                postgres.cede(names, labels.as_ref());
                let batch = postgres.collect(at, selection).await;
                (Source::Postgres(postgres), Some(batch))
            }
            Source::Scrape(mut target) => {
                let batch = target
                    .scrape(&feed.client, selection, at, &feed.clock)
                    .await;
                feed.observed.saw(&target, batch.ok);
                (Source::Scrape(target), Some(batch))
            }
        }
    }

    pub(crate) fn shown(&self, schedule: &Schedule, last: &Last) -> Shown {
        let view = |name: String, labels: Labels| SourceView {
            kind: self.kind().to_owned(),
            name,
            labels,
            discovered: Labels::empty(),
            health: SourceHealth::Unknown,
            detail: String::new(),
            fix: None,
            last: last.at,
            seconds: last.seconds,
            samples: last.samples,
            missed: schedule.missed_total(),
            interval_seconds: schedule.interval().as_secs_f64(),
        };
        match self {
            Source::Host(host, _) => Shown {
                view: SourceView {
                    health: match (last.at, host.status().error) {
                        (None, _) => SourceHealth::Unknown,
                        (Some(_), None) => SourceHealth::Up,
                        (Some(_), Some(_)) => SourceHealth::Down,
                    },
                    detail: host_detail(host),
                    ..view(host.meta().host.clone(), host.meta().labels.clone())
                },
                blind: Vec::new(),
                server: None,
            },
            Source::Postgres(postgres) => shown_postgres(postgres, view),
            Source::Scrape(target) => {
                let status = target.status();
                let health = match (status.health, status.partial) {
                    (Health::Unknown, _) => SourceHealth::Unknown,
                    (Health::Down, _) => SourceHealth::Down,
                    (Health::Up, true) => SourceHealth::Partial,
                    (Health::Up, false) => SourceHealth::Up,
                };
                let detail = match (&status.error, health) {
                    (Some(error), _) => error.clone(),
                    (None, SourceHealth::Unknown) => String::new(),
                    (None, SourceHealth::Partial) => {
                        format!(
                            "{} samples, and bad lines that were left out",
                            status.samples
                        )
                    }
                    (None, SourceHealth::Up | SourceHealth::Down) => {
                        format!(
                            "{} samples, {} of them read by rules",
                            status.samples, status.kept
                        )
                    }
                };
                Shown {
                    view: SourceView {
                        health,
                        detail,
                        discovered: target.discovered().clone(),
                        ..view(status.url.clone(), status.meta.labels.clone())
                    },
                    blind: Vec::new(),
                    server: None,
                }
            }
        }
    }
}

fn host_detail(host: &HostCollector) -> String {
    let status = host.status();
    match (status.error, status.suppressed) {
        (Some(error), _) => error,
        (None, 0) => "this machine, built-in collector".to_owned(),
        (None, _) => "this machine; a scraped node_exporter reports most of it".to_owned(),
    }
}

fn shown_postgres(
    postgres: &PostgresCollector,
    view: impl Fn(String, Labels) -> SourceView,
) -> Shown {
    let status = postgres.status();
    let health = match status.state {
        ServerState::NotAsked => SourceHealth::Unknown,
        ServerState::Up => SourceHealth::Up,
        ServerState::Refused
        | ServerState::Unreachable
        | ServerState::Timeout
        | ServerState::Lost
        | ServerState::StartingUp
        | ServerState::SlotsExhausted
        | ServerState::ConnectionLimit
        | ServerState::AuthFailed
        | ServerState::NoSuchDatabase
        | ServerState::NeedsPrivilege
        | ServerState::PasswordFile
        | ServerState::Tls
        | ServerState::PoolerRefused
        | ServerState::TooOld
        | ServerState::Failed => SourceHealth::Down,
    };
    let detail = match (&status.server_version, health) {
        (Some(version), SourceHealth::Up) => {
            let role = match status.role {
                Some(ServerRole::Primary) => ", primary",
                Some(ServerRole::Replica) => ", replica",
                None => "",
            };
            format!("PostgreSQL {version}{role}")
        }
        (_, _) => status.sentence.clone(),
    };
    let labels = Labels::from_pairs([
        ("job", crate::sources::postgres::JOB),
        ("instance", status.instance.as_str()),
    ]);
    let blind = status
        .blind()
        .map(|b| Blind {
            what: format!("postgres {}: {}", status.instance, b.signal),
            why: b.sentence.clone(),
            fix: b.fix.clone().unwrap_or_default(),
        })
        .collect();
    Shown {
        view: SourceView {
            health,
            detail,
            fix: status.fix.clone(),
            ..view(status.instance.clone(), labels)
        },
        blind,
        server: Some(super::views::server(status)),
    }
}
