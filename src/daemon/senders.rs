//! One task per endpoint: send what is due, sleep until the next is.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::broken::Broken;
use crate::clock::Clock;
use crate::model::Timestamp;
use crate::notify::{Heartbeat, Worker};
use crate::state::{State, StateError};
use crate::telemetry::Metrics;

/// The longest sleep of a sender, so that a clock step is noticed.
const LONGEST_SLEEP: Duration = Duration::from_secs(5);

/// A sender that did not go round for so long is stuck: longer than any attempt and sleep.
const WEDGED: Duration = Duration::from_secs(60);
/// How soon to look for a complete cycle again.
const SOON: Duration = Duration::from_secs(1);
/// Wait after a heartbeat that failed.
const AGAIN: Duration = Duration::from_secs(10);

/// The running senders.
pub(crate) struct Senders {
    wakes: Vec<Arc<Notify>>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Senders {
    /// Starts one task per worker under the token they were made with; a failing state database is reported on `failed`.
    pub(crate) fn start(
        workers: Vec<Worker>,
        stop: CancellationToken,
        clock: &Clock,
        failed: &mpsc::Sender<StateError>,
        metrics: &Arc<Metrics>,
        broken: &Broken,
        heartbeat: Option<(Heartbeat, State)>,
    ) -> Self {
        let tasks = TaskTracker::new();
        let mut wakes = Vec::new();
        let mut pulses = Vec::new();
        for worker in workers {
            let wake = Arc::new(Notify::new());
            wakes.push(Arc::clone(&wake));
            let pulse = Arc::new(AtomicI64::new(clock.now().millis()));
            pulses.push(Arc::clone(&pulse));
            let sender = Sender {
                worker,
                wake,
                pulse,
                metrics: Arc::clone(metrics),
                clock: clock.clone(),
                failed: failed.clone(),
            };
            let (stop, broken) = (stop.clone(), broken.clone());
            tasks.spawn(async move {
                let start = || sender.clone().run(stop.clone());
                broken.keep_running("sender", &stop, start).await;
            });
        }
        if let Some((heartbeat, state)) = heartbeat {
            let (stop, broken) = (stop.clone(), broken.clone());
            let (clock, metrics) = (clock.clone(), Arc::clone(metrics));
            tasks.spawn(async move {
                let start = || {
                    let pulses = pulses.clone();
                    let (heartbeat, state) = (heartbeat.clone(), state.clone());
                    let (clock, metrics) = (clock.clone(), Arc::clone(&metrics));
                    beat(heartbeat, state, pulses, clock, metrics, stop.clone())
                };
                broken.keep_running("heartbeat", &stop, start).await;
            });
        }
        tasks.close();
        Self { wakes, stop, tasks }
    }

    /// New messages may be there.
    pub(crate) fn wake(&self) {
        for wake in &self.wakes {
            wake.notify_one();
        }
    }

    /// Stops after the attempts that are under way, but waits no longer than `limit`. What is
    /// then still under way counts as uncertain at the next start.
    pub(crate) async fn stop(&self, limit: Duration) {
        self.stop.cancel();
        if tokio::time::timeout(limit, self.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!(
                "a receiver did not answer in time; its message is sent again at the next start"
            );
        }
    }
}

/// The task of one endpoint.
#[derive(Clone)]
struct Sender {
    worker: Worker,
    wake: Arc<Notify>,
    /// When it last went round.
    pulse: Arc<AtomicI64>,
    metrics: Arc<Metrics>,
    clock: Clock,
    failed: mpsc::Sender<StateError>,
}

impl Sender {
    async fn run(self, stop: CancellationToken) {
        let Self {
            worker,
            wake,
            pulse,
            metrics,
            clock,
            failed,
        } = self;
        while !stop.is_cancelled() {
            pulse.store(clock.now().millis(), Ordering::Relaxed);
            // Not inside the select: an attempt is recorded before and after it, whole.
            let wait = match worker.send_due(clock.now()).await {
                Ok(sent) => {
                    let name = [worker.name()];
                    metrics
                        .notifications_total
                        .with(name)
                        .add(sent.delivered as u64);
                    metrics
                        .notifications_failed_total
                        .with(name)
                        .add(sent.failed as u64);
                    sent.next_due.map_or(LONGEST_SLEEP, |(at, _)| {
                        at.since(clock.now()).min(LONGEST_SLEEP)
                    })
                }
                Err(error) => {
                    tracing::error!(%error, "the outbox cannot be written");
                    if error.is_fatal() {
                        let _ = failed.send(error).await;
                        return;
                    }
                    LONGEST_SLEEP
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = wake.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }
}

/// Tells the dead man's switch of complete cycles, as long as every sender goes round.
async fn beat(
    mut heartbeat: Heartbeat,
    state: State,
    pulses: Vec<Arc<AtomicI64>>,
    clock: Clock,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
) {
    while !stop.is_cancelled() {
        let now = clock.now();
        let is_alive = |pulse: &Arc<AtomicI64>| {
            let at = Timestamp(pulse.load(Ordering::Relaxed));
            now.since(at) < WEDGED
        };
        let mut wait = heartbeat.interval();
        if pulses.iter().all(is_alive) {
            // Nothing is written here, so that it may be dropped.
            let told = async {
                let cycle = state.last_cycle().await.map_err(|e| e.to_string())?;
                heartbeat.beat(cycle, now).await
            };
            match stop.run_until_cancelled(told).await {
                Some(Ok(true)) => metrics.heartbeats_total.with(["ok"]).inc(),
                Some(Ok(false)) => wait = wait.min(SOON),
                Some(Err(error)) => {
                    metrics.heartbeats_total.with(["failed"]).inc();
                    tracing::warn!(error, "the heartbeat could not be told");
                    wait = wait.min(AGAIN);
                }
                None => return,
            }
        } else {
            tracing::error!("a sender does not go round; no heartbeat is told");
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}
