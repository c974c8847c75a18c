//! One task per endpoint: send what is due, sleep until the next is.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::notify::Worker;
use crate::state::StateError;
use crate::telemetry::Metrics;

/// The longest sleep of a sender, so that a clock step is noticed.
const LONGEST_SLEEP: Duration = Duration::from_secs(5);

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
    ) -> Self {
        let tasks = TaskTracker::new();
        let mut wakes = Vec::new();
        for worker in workers {
            let wake = Arc::new(Notify::new());
            wakes.push(Arc::clone(&wake));
            tasks.spawn(run(
                Arc::clone(metrics),
                worker,
                wake,
                clock.clone(),
                stop.clone(),
                failed.clone(),
            ));
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

async fn run(
    metrics: Arc<Metrics>,
    worker: Worker,
    wake: Arc<Notify>,
    clock: Clock,
    stop: CancellationToken,
    failed: mpsc::Sender<StateError>,
) {
    while !stop.is_cancelled() {
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
