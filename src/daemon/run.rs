//! Start, loop, reload, stop.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::broken::Broken;
use super::collect::{Arrival, Feed, Views};
use super::discover::{self, Found};
use super::fleet::{Fleet, Scope};
use super::keeper::Keeper;
use super::observed::Observed;
use super::pipeline::{Pipeline, Rooms, warn_retired};
use super::plan::Plan;
use super::publish::Publisher;
use super::query::engine_options;
use super::seek::{News, Seekers, Sought, seek};
use super::senders::Senders;
use super::{listener, reload, troubles, writer};
use crate::api::{self, Snapshot};
use crate::clock::Clock;
use crate::config;
use crate::model::{Selection, Timestamp};
use crate::notify::{Frame, Outbox, RetryPolicy, Routing, Worker, desktop};
use crate::promql::Engine;
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
/// How long each may take when the daemon stops, in this order; less than 10 s in all.
const TICK_END: Duration = Duration::from_secs(1);
const SOURCES_END: Duration = Duration::from_secs(2);
const WRITER_END: Duration = Duration::from_millis(500);
const DRAIN: Duration = Duration::from_secs(4);
const API_DRAIN: Duration = Duration::from_secs(1);
const STATE_END: Duration = Duration::from_secs(1);
/// A cycle that is complete is recorded so often.
const CYCLE: Duration = Duration::from_secs(10);
/// How long the last samples may take to be written when the daemon stops.
const KEEP_END: Duration = Duration::from_secs(1);
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
    let signals = Signals::new()?;
    let orders = Orders::default();
    let tasks = TaskTracker::new();
    let hearing = tasks.spawn(signals.hear(orders.clone()));
    let ended = tokio::select! {
        ended = live(plan, &options, &orders) => ended,
        () = orders.at_once.cancelled() => Err(anyhow::anyhow!("stopped at once by a second signal")),
    };
    hearing.abort();
    ended
}

async fn live(plan: Plan, options: &Options, orders: &Orders) -> anyhow::Result<()> {
    let mut daemon = tokio::select! {
        started = Daemon::start(plan, options) => started?,
        () = orders.stop.cancelled() => {
            tracing::info!("stopped before it was started");
            return Ok(());
        }
    };
    let outcome = daemon.serve(orders).await;
    if let Err(error) = &outcome
        && let Some(damage) = error.downcast_ref::<StateError>()
        && damage.is_damage()
    {
        daemon.pipeline.rooms.state.condemn(damage);
    }
    let stopped = daemon.stop().await;
    outcome.and(stopped)
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
    seekers: Seekers,
    writer: TaskTracker,
    keeping: TaskTracker,
    stop_keeping: CancellationToken,
    senders: Senders,
    failed: mpsc::Receiver<StateError>,
    fail: mpsc::Sender<StateError>,
    stop_api: CancellationToken,
    api: TaskTracker,
    wake: Arc<Notify>,
    tidied: Timestamp,
    cycle: Timestamp,
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
        let sought = seek(&plan.config, &client, &BTreeSet::new()).await;
        let found = discover::sources(&plan, &client, &clock, &sought.places(None)).await?;
        let store = Arc::new(Store::bounded(discover::caps(&plan.config)));
        let engine = Arc::new(Engine::new(
            Arc::clone(&store) as _,
            engine_options(&plan.config.query, &clock),
        ));
        let (batches, received) = mpsc::channel::<Arrival>(BATCHES);
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
            broken: Broken::new(clock.clone(), Arc::clone(&metrics)),
        };
        let broken = rooms.broken.clone();
        let outbox = outbox(&plan).await?;
        let (keeper, warming) = Keeper::open(
            &dir,
            &store,
            &clock,
            &metrics,
            &plan.config.state,
            selection.subscribe(),
        )
        .await;
        let pipeline = Pipeline::restore(&plan, outbox, rooms, warming).await?;
        let views = Views::default();
        let publisher = Publisher {
            started,
            views: views.clone(),
            blind: found.blind.clone(),
            unsought: Vec::new(),
            dropped: found.dropped.clone(),
            metrics: Arc::clone(&metrics),
        };
        let (snapshots, shown) =
            watch::channel(Arc::new(publisher.snapshot(&pipeline, started).await?));

        let writer = TaskTracker::new();
        writer.spawn(writer::write(
            received,
            Arc::clone(&store),
            views.clone(),
            broken.clone(),
            Arc::clone(&metrics),
            Arc::clone(&wake),
        ));
        writer.close();
        let keeping = TaskTracker::new();
        let stop_keeping = CancellationToken::new();
        if let Some(keeper) = keeper {
            keeping.spawn(keeper.run(stop_keeping.clone()));
        }
        keeping.close();
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
        let mut fleet = Fleet::new(feed, broken);
        fleet.adopt(found.sources, Scope::All).await;
        let mut seekers = Seekers::new(client.clone(), clock.clone(), Arc::clone(&metrics));
        seekers.adopt(sought, &plan.config);

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
            seekers,
            writer,
            keeping,
            stop_keeping,
            senders,
            failed,
            fail,
            stop_api,
            api,
            wake,
            tidied: started,
            cycle: Timestamp(0),
        })
    }

    /// Ticks until a signal says stop or the state cannot be written.
    async fn serve(&mut self, orders: &Orders) -> anyhow::Result<()> {
        loop {
            // What a tick writes is whole at any time, so that one may be left half-way.
            let ticked = tokio::select! {
                ticked = self.tick() => ticked,
                () = orders.stop_after(TICK_END) => return Ok(()),
            };
            ticked?;
            let now = self.clock.now();
            let (due, why) = self.pipeline.next_due(now);
            tracing::trace!(%due, why, "next tick");
            tokio::select! {
                () = orders.stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(due.since(now).min(LONGEST_SLEEP)) => {}
                // Until the first cycle is over a batch may be the one that is waited for.
                () = self.wake.notified(), if !self.pipeline.ready() => {}
                Some(error) = self.failed.recv() => return Err(error.into()),
                news = self.seekers.next() => self.hear(news).await,
                () = orders.reload.notified() => {
                    let reloaded = tokio::select! {
                        reloaded = self.reload() => reloaded,
                        () = orders.stop_after(TICK_END) => return Ok(()),
                    };
                    reloaded?;
                }
            }
        }
    }

    /// One step of everything between the sources and the outbox.
    async fn tick(&mut self) -> anyhow::Result<()> {
        let now = self.pipeline.mind_the_clock().await?;
        if self.fleet.has_broken() {
            self.restart_sources().await?;
        }
        let resumed = self.pipeline.resumed();
        // A first pass that never ends must not keep the rules from running.
        if self.publisher.views.all_asked(resumed)
            || now.since(self.publisher.started.max(resumed)) >= FIRST_PASS
        {
            self.pipeline.sources_seen(now);
        }
        let broke = self.pipeline.rooms.broken.all();
        let (views, started) = (&self.publisher.views, self.publisher.started);
        let conditions = troubles::conditions(&self.pipeline, views, started, &broke, now).await?;
        self.pipeline.watch(&conditions, now).await?;
        let tick = self.pipeline.tick(now).await?;
        let is_due = |last: Timestamp, every| now.since(last) >= every || now < last;
        if is_due(self.cycle, CYCLE) && self.pipeline.complete_cycle(now).await? {
            self.cycle = now;
        }
        if is_due(self.tidied, TIDY) {
            self.pipeline.rooms.state.tidy_up().await?;
            self.tidied = now;
        }
        if tick.messages > 0 {
            self.senders.wake();
        }
        let now = self.clock.now();
        let snapshot = self.publisher.snapshot(&self.pipeline, now).await?;
        self.snapshots.send_replace(Arc::new(snapshot));
        Ok(())
    }

    /// Starts sources anew whose loop broke.
    async fn restart_sources(&mut self) -> anyhow::Result<()> {
        let places = self.seekers.places();
        let found = discover::sources(&self.plan, &self.client, &self.clock, &places).await?;
        let scope = discover::scope(&self.plan.config);
        self.fleet.adopt(found.sources, scope).await;
        Ok(())
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
            Ok((plan, found, sought, outbox)) => self.adopt(plan, found, sought, outbox).await?,
            Err(error) => {
                self.metrics.config_last_reload_successful.set(0.0);
                tracing::error!("the configuration was not reloaded, the old one stays: {error:#}");
            }
        }
        tell_systemd(&[sd_notify::NotifyState::Ready]);
        Ok(())
    }

    async fn prepare(&self) -> anyhow::Result<(Plan, Found, Sought, Outbox)> {
        let plan = reload::load(&self.plan).map_err(anyhow::Error::msg)?;
        let sought = seek(&plan.config, &self.client, &self.seekers.known()).await;
        let places = sought.places(Some(&self.seekers));
        let found = discover::sources(&plan, &self.client, &self.clock, &places).await?;
        let outbox = outbox(&plan).await?;
        Ok((plan, found, sought, outbox))
    }

    /// Takes over what discovery found: the targets of one job, or something new on this machine.
    async fn hear(&mut self, news: News) {
        match news {
            News::Looked(id, refresh) => {
                if let Some(job) = self.seekers.take(id, refresh) {
                    let found = discover::job(&self.plan.config, &job, self.seekers.of_job(&job));
                    self.publisher.dropped.remove(&job);
                    self.publisher.dropped.extend(found.dropped);
                    self.fleet.adopt(found.sources, Scope::Job(&job)).await;
                }
                self.publisher.unsought = self.seekers.blind();
            }
            News::Around(found) => {
                if discover::is_named(&self.plan.config) {
                    return;
                }
                self.publisher.blind = found.blind;
                self.fleet.adopt(found.sources, Scope::Nothing).await;
            }
        }
    }

    async fn adopt(
        &mut self,
        plan: Plan,
        found: Found,
        sought: Sought,
        outbox: Outbox,
    ) -> anyhow::Result<()> {
        let generation = self.selection.borrow().generation + 1;
        let selection = Arc::new(plan.selection(generation));
        self.pipeline
            .rooms
            .store
            .select_only(Arc::clone(&selection));
        self.selection.send_replace(Arc::clone(&selection));
        self.publisher.blind = found.blind.clone();
        self.publisher.dropped = found.dropped;
        let scope = discover::scope(&plan.config);
        self.fleet.adopt(found.sources, scope).await;
        self.seekers.adopt(sought, &plan.config);
        self.publisher.unsought = self.seekers.blind();
        let now = self.clock.now();
        self.pipeline.adopt(&plan, outbox, &selection).await?;
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
            mut seekers,
            writer,
            keeping,
            stop_keeping,
            senders,
            stop_api,
            api,
            pipeline,
            ..
        } = self;
        seekers.stop().await;
        within(SOURCES_END, "sources", fleet.stop()).await;
        // The sources' ends of the channel close with it, so that the writer ends when it is done.
        drop(fleet);
        within(WRITER_END, "store", writer.wait()).await;
        stop_keeping.cancel();
        within(KEEP_END, "samples file", keeping.wait()).await;
        senders.stop(DRAIN).await;
        stop_api.cancel();
        api.close();
        within(API_DRAIN, "API", api.wait()).await;
        let state = pipeline.rooms.state.clone();
        pipeline.capacity().keep(&state).await?;
        drop(senders);
        drop(pipeline);
        match tokio::time::timeout(STATE_END, state.close()).await {
            Ok(closed) => closed?,
            Err(_) => tracing::warn!("the state was not closed in time; it is whole all the same"),
        }
        tracing::info!("stopped");
        Ok(())
    }
}

/// Waits for a part that stops, but no longer than `limit`.
async fn within(limit: Duration, part: &str, end: impl Future<Output = ()>) {
    if tokio::time::timeout(limit, end).await.is_err() {
        tracing::warn!(part, "did not stop in time and is cut off");
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
    let broken = &pipeline.rooms.broken;
    let heartbeat = pipeline.heartbeat().map(|h| (h, state.clone()));
    Ok(Senders::start(
        workers, stop, clock, fail, metrics, broken, heartbeat,
    ))
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

/// What signals ask for.
#[derive(Clone, Default)]
struct Orders {
    stop: CancellationToken,
    /// A second signal: no more waiting.
    at_once: CancellationToken,
    reload: Arc<Notify>,
}

impl Orders {
    /// Waits for the order to stop, and then for `grace`.
    async fn stop_after(&self, grace: Duration) {
        self.stop.cancelled().await;
        tokio::time::sleep(grace).await;
    }
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

    /// Hears every signal at once, whatever the daemon does at the time.
    async fn hear(mut self, orders: Orders) {
        loop {
            tokio::select! {
                _ = self.hangup.recv() => {
                    orders.reload.notify_one();
                    continue;
                }
                _ = self.terminate.recv() => {}
                _ = self.interrupt.recv() => {}
            }
            if orders.stop.is_cancelled() {
                orders.at_once.cancel();
                return;
            }
            orders.stop.cancel();
        }
    }
}
