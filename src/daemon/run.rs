//! Start, loop, reload, stop.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::collect::{Feed, Views};
use super::discover::{self, Found};
use super::fleet::Fleet;
use super::observed::Observed;
use super::pipeline::{self, Pipeline, Rooms, warn_retired};
use super::plan::Plan;
use super::publish::Publisher;
use super::senders::Senders;
use super::{listener, reload};
use crate::api::{self, Snapshot};
use crate::clock::Clock;
use crate::config;
use crate::model::{Batch, Selection, TargetKey, Timestamp};
use crate::notify::{Frame, Outbox, RetryPolicy, Routing, Worker, desktop};
use crate::promql::{Engine, EngineOptions};
use crate::sources::Client;
use crate::state::{State, StateError};
use crate::store::Store;
use crate::telemetry::Metrics;

/// Batches that may wait for the store's writer.
const BATCHES: usize = 1024;
/// Queries of the API at once.
const QUERIES: usize = 4;
/// The longest sleep of the main loop, so that a clock step is noticed.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);
/// How long the first evaluation waits for every source's first pass.
const FIRST_PASS: Duration = Duration::from_secs(60);
/// How long receivers may finish what they send when the daemon stops.
const DRAIN: Duration = Duration::from_secs(5);
/// How long answers of the API may take when the daemon stops.
const API_DRAIN: Duration = Duration::from_secs(2);
/// How often the state looks for room on a disk that was full, and at its files.
const TIDY: Duration = Duration::from_secs(5);

/// What the command line sets over the config.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Folder of the state database.
    pub state_dir: Option<PathBuf>,
    /// Address of the page and the API.
    pub listen: Option<String>,
}

/// Runs the daemon until SIGTERM or SIGINT.
pub async fn run(plan: Plan, options: Options) -> anyhow::Result<()> {
    // Before anything else, so that no signal is lost.
    let mut signals = Signals::new()?;
    let mut daemon = Daemon::start(plan, &options).await?;
    let outcome = daemon.serve(&mut signals).await;
    if let Err(error) = &outcome
        && let Some(damage) = error.downcast_ref::<StateError>()
        && damage.is_damage()
    {
        daemon.pipeline.rooms.state.condemn(damage);
    }
    // A second signal ends it at once.
    tokio::select! {
        stopped = daemon.stop() => outcome.and(stopped),
        () = signals.stop() => anyhow::bail!("stopped at once by a second signal"),
    }
}

/// Everything that runs.
struct Daemon {
    plan: Plan,
    clock: Clock,
    metrics: Arc<Metrics>,
    client: Client,
    pipeline: Pipeline,
    publisher: Publisher,
    snapshots: watch::Sender<Arc<Snapshot>>,
    selection: watch::Sender<Arc<Selection>>,
    fleet: Fleet,
    writer: TaskTracker,
    senders: Senders,
    failed: mpsc::Receiver<StateError>,
    fail: mpsc::Sender<StateError>,
    stop_api: CancellationToken,
    api: TaskTracker,
    wake: Arc<Notify>,
    tidied: Timestamp,
}

impl Daemon {
    async fn start(plan: Plan, options: &Options) -> anyhow::Result<Daemon> {
        let clock = Clock::system();
        let started = clock.now();
        let metrics = Arc::new(Metrics::new(env!("CARGO_PKG_VERSION")));
        for warning in &plan.warnings {
            tracing::warn!("{warning}");
        }
        let configured = options
            .state_dir
            .as_deref()
            .or(plan.config.state.dir.as_deref());
        let dir = config::env::state_dir(configured, &config::env::process)
            .context("there is no folder for the state: set [state] dir or --state-dir")?;
        let state = State::open(&dir).await?;
        let listen = options
            .listen
            .as_ref()
            .unwrap_or(&plan.config.server.listen);
        let socket = TcpListener::bind(listen).await.with_context(|| {
            format!("cannot listen on {listen}; is another loadline running? --listen takes another address")
        })?;
        let address = socket.local_addr().context("the listener has no address")?;
        tracing::info!(version = env!("CARGO_PKG_VERSION"), state = %dir.display(), "starting");

        let client = Client::new(discover::memory(&plan.config)).map_err(anyhow::Error::msg)?;
        let found = discover::sources(&plan, &client, &clock).await?;
        let store = Arc::new(Store::bounded(discover::caps(&plan.config)));
        let engine = Arc::new(Engine::new(
            Arc::clone(&store) as _,
            EngineOptions::default(),
        ));
        let (batches, received) = mpsc::channel::<Batch>(BATCHES);
        let (selection, selected) = watch::channel(Arc::new(plan.selection(1)));
        store.select_only(Arc::clone(&selection.borrow()));
        let wake = Arc::new(Notify::new());
        let observed = Observed::default();
        let rooms = Rooms {
            store: Arc::clone(&store),
            querier: Arc::clone(&engine) as _,
            state: state.clone(),
            clock: clock.clone(),
            observed: observed.clone(),
            metrics: Arc::clone(&metrics),
        };
        let outbox = outbox(&plan).await?;
        let pipeline = Pipeline::restore(&plan, outbox, rooms).await?;
        let views = Views::default();
        let publisher = Publisher {
            started,
            views: views.clone(),
            blind: found.blind.clone(),
            metrics: Arc::clone(&metrics),
        };
        let (snapshots, shown) =
            watch::channel(Arc::new(publisher.snapshot(&pipeline, started).await?));

        let writer = TaskTracker::new();
        writer.spawn(write(
            received,
            Arc::clone(&store),
            Arc::clone(&metrics),
            Arc::clone(&wake),
        ));
        writer.close();
        let seen = observed.clone();
        let feed = Feed {
            clock: clock.clone(),
            client: client.clone(),
            selection: selected,
            batches,
            views,
            observed,
            metrics: Arc::clone(&metrics),
        };
        describe(&found);
        let mut fleet = Fleet::new(feed);
        fleet.adopt(found.sources).await;

        let (fail, failed) = mpsc::channel(1);
        let senders = start_senders(&pipeline, &clock, &fail, &metrics).await?;
        let api = TaskTracker::new();
        let stop_api = CancellationToken::new();
        let rendered = Arc::clone(&metrics);
        let shared = api::Shared {
            snapshot: shown,
            metrics: Arc::new(move || rendered.render()),
            engine,
            clock: clock.clone(),
            names: {
                let (store, observed) = (Arc::clone(&store), seen.clone());
                Arc::new(move || store.names().into_iter().chain(observed.names()).collect())
            },
            queries: Arc::new(Semaphore::new(QUERIES)),
        };
        let router = api::router(shared);
        api.spawn(listener::serve(
            socket,
            router,
            stop_api.clone(),
            api.clone(),
        ));
        metrics.config_last_reload_successful.set(1.0);
        metrics
            .config_last_reload_success_timestamp_seconds
            .set(started.as_secs_f64());
        tracing::info!("listening on http://{address}");
        tell_systemd(&[sd_notify::NotifyState::Ready]);
        Ok(Daemon {
            plan,
            clock,
            metrics,
            client,
            pipeline,
            publisher,
            snapshots,
            selection,
            fleet,
            writer,
            senders,
            failed,
            fail,
            stop_api,
            api,
            wake,
            tidied: started,
        })
    }

    /// Ticks until a signal says stop or the state cannot be written.
    async fn serve(&mut self, signals: &mut Signals) -> anyhow::Result<()> {
        loop {
            let now = self.clock.now();
            // A first pass that never ends must not keep the rules from running.
            if self.publisher.views.all_asked() || now.since(self.publisher.started) >= FIRST_PASS {
                self.pipeline.sources_seen(now);
            }
            let tick = self.pipeline.tick(now).await?;
            if now.since(self.tidied) >= TIDY || now < self.tidied {
                self.pipeline.rooms.state.tidy_up().await?;
                self.tidied = now;
            }
            if tick.messages > 0 {
                self.senders.wake();
            }
            let now = self.clock.now();
            self.snapshots.send_replace(Arc::new(
                self.publisher.snapshot(&self.pipeline, now).await?,
            ));
            let (due, why) = self.pipeline.next_due(now);
            tracing::trace!(%due, why, "next tick");
            tokio::select! {
                () = tokio::time::sleep(due.since(now).min(LONGEST_SLEEP)) => {}
                // Until the first cycle is over a batch may be the one that is waited for.
                () = self.wake.notified(), if !self.pipeline.ready() => {}
                Some(error) = self.failed.recv() => return Err(error.into()),
                told = signals.next() => match told {
                    Told::Stop => return Ok(()),
                    Told::Reload => self.reload().await?,
                },
            }
        }
    }

    /// Takes over the new configuration as a whole, or keeps the old one and says why.
    async fn reload(&mut self) -> anyhow::Result<()> {
        let now = sd_notify::NotifyState::monotonic_usec_now();
        let reloading = [sd_notify::NotifyState::Reloading]
            .into_iter()
            .chain(now.ok());
        tell_systemd(&reloading.collect::<Vec<_>>());
        let prepared = self.prepare().await;
        match prepared {
            Ok((plan, found, outbox)) => self.adopt(plan, found, outbox).await?,
            Err(error) => {
                self.metrics.config_last_reload_successful.set(0.0);
                tracing::error!("the configuration was not reloaded, the old one stays: {error:#}");
            }
        }
        tell_systemd(&[sd_notify::NotifyState::Ready]);
        Ok(())
    }

    async fn prepare(&self) -> anyhow::Result<(Plan, Found, Outbox)> {
        let plan = reload::load(&self.plan).map_err(anyhow::Error::msg)?;
        let found = discover::sources(&plan, &self.client, &self.clock).await?;
        let outbox = outbox(&plan).await?;
        Ok((plan, found, outbox))
    }

    async fn adopt(&mut self, plan: Plan, found: Found, outbox: Outbox) -> anyhow::Result<()> {
        let generation = self.selection.borrow().generation + 1;
        let selection = Arc::new(plan.selection(generation));
        self.pipeline
            .rooms
            .store
            .select_only(Arc::clone(&selection));
        self.selection.send_replace(selection);
        self.publisher.blind = found.blind.clone();
        let gone: Vec<TargetKey> = self.fleet.adopt(found.sources).await;
        let now = self.clock.now();
        for key in &gone {
            self.pipeline.rooms.store.forget(key, now);
        }
        self.pipeline.adopt(&plan, outbox).await?;
        self.senders.stop(DRAIN).await;
        self.senders =
            start_senders(&self.pipeline, &self.clock, &self.fail, &self.metrics).await?;
        self.plan = plan;
        self.metrics.config_last_reload_successful.set(1.0);
        self.metrics
            .config_last_reload_success_timestamp_seconds
            .set(now.as_secs_f64());
        tracing::info!("the configuration was reloaded");
        Ok(())
    }

    /// Stops in flow order: sources, store writer, receivers, API.
    async fn stop(self) -> anyhow::Result<()> {
        tell_systemd(&[sd_notify::NotifyState::Stopping]);
        tracing::info!("stopping");
        let Daemon {
            mut fleet,
            writer,
            senders,
            stop_api,
            api,
            pipeline,
            ..
        } = self;
        fleet.stop().await;
        // The sources' ends of the channel close with it, so that the writer ends when it is done.
        drop(fleet);
        writer.wait().await;
        senders.stop(DRAIN).await;
        stop_api.cancel();
        api.close();
        if tokio::time::timeout(API_DRAIN, api.wait()).await.is_err() {
            tracing::warn!("a client of the API was cut off");
        }
        let state = pipeline.rooms.state.clone();
        drop(senders);
        drop(pipeline);
        state.close().await?;
        tracing::info!("stopped");
        Ok(())
    }
}

/// The only writer of the store.
async fn write(
    mut batches: mpsc::Receiver<Batch>,
    store: Arc<Store>,
    metrics: Arc<Metrics>,
    wake: Arc<Notify>,
) {
    let mut warned = false;
    while let Some(batch) = batches.recv().await {
        let done = store.append(&batch);
        pipeline::count(&metrics, done);
        let refused = store.refused();
        if refused > 0 && !warned {
            tracing::warn!(
                target = %batch.target.0,
                series = store.series(),
                bytes = store.bytes(),
                "the store is full and new series are refused; raise limits.memory or select less"
            );
        }
        warned = refused > 0;
        metrics.store_series.set(store.series() as f64);
        metrics.store_series_refused.set(refused as f64);
        metrics.store_bytes.set(store.bytes() as f64);
        wake.notify_one();
    }
}

async fn outbox(plan: &Plan) -> anyhow::Result<Outbox> {
    let config = &plan.config;
    let routing = Routing::new(
        config.route.as_ref(),
        &config.receivers,
        desktop::available().await,
    )?;
    let timezone = match &config.global.timezone {
        Some(name) => jiff::tz::TimeZone::get(name)
            .with_context(|| format!("global.timezone: {name:?} is no known time zone"))?,
        None => jiff::tz::TimeZone::system(),
    };
    let frame = Frame {
        external_url: config.server.external_url.clone().unwrap_or_default(),
        external_labels: config.global.external_labels.clone(),
        timezone,
    };
    Ok(Outbox { routing, frame })
}

async fn start_senders(
    pipeline: &Pipeline,
    clock: &Clock,
    fail: &mpsc::Sender<StateError>,
    metrics: &Arc<Metrics>,
) -> anyhow::Result<Senders> {
    let stop = CancellationToken::new();
    let outbox = &pipeline.outbox;
    let state = &pipeline.rooms.state;
    warn_retired(&outbox.retire_unknown(state, clock.now()).await?);
    let policy = RetryPolicy::default();
    let workers = Worker::all(&outbox.routing, state, clock, &outbox.frame, &policy, &stop);
    for worker in &workers {
        worker.enable().await?;
    }
    Ok(Senders::start(workers, stop, clock, fail, metrics))
}

fn describe(found: &Found) {
    for line in found.describe() {
        tracing::info!("{line}");
    }
}

/// Tells systemd, where it is listening.
fn tell_systemd(states: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "systemd cannot be told");
    }
}

/// What a signal says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Stop,
    Reload,
}

/// Signals that the daemon answers to.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.terminate.recv() => Told::Stop,
            _ = self.interrupt.recv() => Told::Stop,
            _ = self.hangup.recv() => Told::Reload,
        }
    }

    /// Waits for a signal that says stop; others are left unheard.
    async fn stop(&mut self) {
        while self.next().await != Told::Stop {}
    }
}
