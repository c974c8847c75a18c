//! Providers of targets: one loop each, and what each of them said last.
//!
//! What must stay true: loops only look and tell; what they told changes the fleet in the main
//! loop; a provider whose settings did not change keeps over a reload what it found.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::discover::{self, Found};
use crate::api::Blind;
use crate::clock::Clock;
use crate::config::Config;
use crate::sources::Client;
use crate::sources::discovery::{Provider, Refresh};
use crate::sources::scrape::Place;
use crate::telemetry::Metrics;

/// News that may wait for the main loop.
const NEWS: usize = 64;

/// How long start and reload wait for a provider's first answer; a slow one tells later.
const FIRST_LOOK: Duration = Duration::from_secs(2);

/// Addresses of each job that looks its targets up.
pub(crate) type Places = BTreeMap<String, Vec<Place>>;

/// What a loop tells the main loop.
pub(crate) enum News {
    /// A provider looked.
    Looked(u64, Refresh),
    /// This machine was looked over again.
    Around(Found),
}

/// The running loops.
pub(crate) struct Seekers {
    client: Client,
    clock: Clock,
    metrics: Arc<Metrics>,
    tracker: TaskTracker,
    stop: CancellationToken,
    running: BTreeMap<u64, Running>,
    lookout: Option<CancellationToken>,
    news: mpsc::Sender<News>,
    heard: mpsc::Receiver<News>,
}

struct Running {
    job: String,
    kind: &'static str,
    found: Vec<Place>,
    problems: Vec<String>,
    stop: CancellationToken,
}

/// Providers that a config asks for, the new ones with their first look.
pub(crate) struct Sought {
    kept: BTreeSet<u64>,
    fresh: Vec<(Provider, Refresh)>,
}

/// Looks once with each provider that is not in `known`.
pub(crate) async fn seek(config: &Config, client: &Client, known: &BTreeSet<u64>) -> Sought {
    let providers = config.scrape_configs.iter().flat_map(Provider::of_job);
    let (kept, fresh): (Vec<Provider>, Vec<Provider>) =
        providers.partition(|p| known.contains(&p.id()));
    let looks = fresh.into_iter().map(|mut provider| async move {
        let look = tokio::time::timeout(FIRST_LOOK, provider.refresh(client)).await;
        let refresh = look.unwrap_or_else(|_| Refresh {
            changed: None,
            problems: vec![format!("no answer within {FIRST_LOOK:?}, still asking")],
        });
        (provider, refresh)
    });
    Sought {
        kept: kept.iter().map(Provider::id).collect(),
        fresh: join_all(looks).await,
    }
}

impl Sought {
    /// What is found so far, with what running providers said.
    pub(crate) fn places(&self, running: Option<&Seekers>) -> Places {
        let mut out = Places::new();
        let running = running.into_iter().flat_map(|s| &s.running);
        for (_, provider) in running.filter(|(id, _)| self.kept.contains(id)) {
            let of_job = out.entry(provider.job.clone()).or_default();
            of_job.extend(provider.found.iter().cloned());
        }
        for (provider, refresh) in &self.fresh {
            let of_job = out.entry(provider.job().to_owned()).or_default();
            of_job.extend(refresh.changed.iter().flatten().cloned());
        }
        out
    }
}

impl Seekers {
    pub(crate) fn new(client: Client, clock: Clock, metrics: Arc<Metrics>) -> Self {
        let (news, heard) = mpsc::channel(NEWS);
        Self {
            client,
            clock,
            metrics,
            tracker: TaskTracker::new(),
            stop: CancellationToken::new(),
            running: BTreeMap::new(),
            lookout: None,
            news,
            heard,
        }
    }

    /// Ids of the running providers.
    pub(crate) fn known(&self) -> BTreeSet<u64> {
        self.running.keys().copied().collect()
    }

    /// Makes `sought` the running set, and looks around again and again if `config` names nothing.
    pub(crate) fn adopt(&mut self, sought: Sought, config: &Arc<Config>) {
        self.running.retain(|id, running| {
            let keep = sought.kept.contains(id);
            if !keep {
                running.stop.cancel();
            }
            keep
        });
        for (provider, refresh) in sought.fresh {
            let stop = self.stop.child_token();
            let id = provider.id();
            self.running.insert(
                id,
                Running {
                    job: provider.job().to_owned(),
                    kind: provider.kind(),
                    found: Vec::new(),
                    problems: Vec::new(),
                    stop: stop.clone(),
                },
            );
            let unanswered = refresh.changed.is_none();
            self.take(id, refresh);
            self.tracker.spawn(look_again(
                provider,
                self.client.clone(),
                self.news.clone(),
                unanswered,
                stop,
            ));
        }
        if let Some(lookout) = self.lookout.take() {
            lookout.cancel();
        }
        if !discover::is_named(config) {
            let stop = self.stop.child_token();
            self.tracker.spawn(look_around_again(
                Arc::clone(config),
                self.client.clone(),
                self.clock.clone(),
                self.news.clone(),
                stop.clone(),
            ));
            self.lookout = Some(stop);
        }
    }

    /// The next news; waits for ever when there is none.
    pub(crate) async fn next(&mut self) -> News {
        match self.heard.recv().await {
            Some(news) => news,
            // Cannot happen: this struct holds a sender.
            None => std::future::pending().await,
        }
    }

    /// Notes what a provider said; the job whose places changed.
    pub(crate) fn take(&mut self, id: u64, refresh: Refresh) -> Option<String> {
        let running = self.running.get_mut(&id)?;
        let outcome = if refresh.problems.is_empty() {
            "ok"
        } else {
            "failed"
        };
        self.metrics
            .discovery_refreshes_total
            .with([running.kind, outcome])
            .inc();
        if running.problems != refresh.problems {
            for problem in &refresh.problems {
                tracing::warn!(job = running.job, problem, "targets could not be looked up");
            }
            running.problems = refresh.problems;
        }
        running.found = refresh.changed?;
        Some(running.job.clone())
    }

    /// Everything that providers said last, by job.
    pub(crate) fn places(&self) -> Places {
        let jobs: BTreeSet<&String> = self.running.values().map(|r| &r.job).collect();
        jobs.into_iter()
            .map(|job| (job.clone(), self.of_job(job)))
            .collect()
    }

    /// Everything that a job's providers said last.
    pub(crate) fn of_job(&self, job: &str) -> Vec<Place> {
        let mine = self.running.values().filter(|r| r.job == job);
        mine.flat_map(|r| r.found.iter().cloned()).collect()
    }

    /// What could not be looked up.
    pub(crate) fn blind(&self) -> Vec<Blind> {
        let problems = self
            .running
            .values()
            .flat_map(|r| r.problems.iter().map(move |p| (&r.job, p)));
        problems
            .map(|(job, why)| Blind {
                what: format!("new targets of job {job}"),
                why: why.clone(),
                fix: String::new(),
            })
            .collect()
    }

    /// Stops all loops and waits for them.
    pub(crate) async fn stop(&mut self) {
        self.stop.cancel();
        // A loop may be about to tell something.
        self.heard.close();
        self.tracker.close();
        self.tracker.wait().await;
    }
}

/// Looks at each interval, at once when the first look got no answer.
async fn look_again(
    mut provider: Provider,
    client: Client,
    news: mpsc::Sender<News>,
    mut at_once: bool,
    stop: CancellationToken,
) {
    loop {
        let wait = if std::mem::take(&mut at_once) {
            Duration::ZERO
        } else {
            provider.interval()
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
        let refresh = tokio::select! {
            () = stop.cancelled() => return,
            refresh = provider.refresh(&client) => refresh,
        };
        if news
            .send(News::Looked(provider.id(), refresh))
            .await
            .is_err()
        {
            return;
        }
    }
}

/// Looks this machine over every `global.discovery_interval`.
async fn look_around_again(
    config: Arc<Config>,
    client: Client,
    clock: Clock,
    news: mpsc::Sender<News>,
    stop: CancellationToken,
) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(config.global.discovery_interval.0) => {}
        }
        let found = tokio::select! {
            () = stop.cancelled() => return,
            found = discover::around(&config, &client, &clock) => found,
        };
        if news.send(News::Around(found)).await.is_err() {
            return;
        }
    }
}
