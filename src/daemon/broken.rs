//! Tasks that broke: each is started again, counted and told.
//!
//! What must stay true: a panic in one task stops no other; it is started again within a second;
//! only a broken writer of the state ends the process (see `state`).

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::model::Timestamp;
use crate::telemetry::Metrics;

/// Wait before a task is started again.
const AGAIN: Duration = Duration::from_millis(500);

/// When which task broke last.
#[derive(Debug, Clone)]
pub(crate) struct Broken {
    clock: Clock,
    metrics: Arc<Metrics>,
    last: Arc<Mutex<BTreeMap<&'static str, Timestamp>>>,
}

impl Broken {
    pub(crate) fn new(clock: Clock, metrics: Arc<Metrics>) -> Self {
        Self {
            clock,
            metrics,
            last: Arc::default(),
        }
    }

    /// Records that `task` broke.
    pub(crate) fn note(&self, task: &'static str, what: &str) {
        self.metrics.task_panics_total.with([task]).inc();
        tracing::error!(task, what, "a task broke and is started again");
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.insert(task, self.clock.now());
    }

    /// Tasks and when they broke last.
    pub(crate) fn all(&self) -> Vec<(&'static str, Timestamp)> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.iter().map(|(task, at)| (*task, *at)).collect()
    }

    /// Calls `work` and records a panic; `None` when there was one. What `work` was changing must
    /// be thrown away then.
    pub(crate) fn guard<T>(&self, task: &'static str, work: impl FnOnce() -> T) -> Option<T> {
        match std::panic::catch_unwind(AssertUnwindSafe(work)) {
            Ok(done) => Some(done),
            Err(panic) => {
                self.note(task, &words(&*panic));
                None
            }
        }
    }

    /// Runs what `start` makes, again and again after a panic, until it ends or `stop` says so.
    pub(crate) async fn keep_running<F: Future<Output = ()>>(
        &self,
        task: &'static str,
        stop: &CancellationToken,
        mut start: impl FnMut() -> F,
    ) {
        while let Err(panic) = AssertUnwindSafe(start()).catch_unwind().await {
            self.note(task, &words(&*panic));
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(AGAIN) => {}
            }
        }
    }
}

/// What a panic said.
pub(crate) fn words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .map(|s| (*s).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "a panic without words".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken() -> Broken {
        let metrics = Arc::new(Metrics::new("1"));
        Broken::new(Clock::fixed(Timestamp(7)), metrics)
    }

    #[tokio::test]
    async fn a_task_that_breaks_is_back_within_a_second_and_counted() {
        let broken = broken();
        let stop = CancellationToken::new();
        let mut runs = 0;
        let before = Clock::system().stopwatch();
        broken
            .keep_running("sender", &stop, || {
                runs += 1;
                let run = runs;
                async move {
                    assert!(run == 2, "planted in run {run}");
                }
            })
            .await;
        assert_eq!(runs, 2);
        assert!(before.elapsed() < Duration::from_secs(1));
        assert_eq!(broken.all(), [("sender", Timestamp(7))]);
        let text = broken.metrics.render();
        assert!(
            text.contains("loadline_task_panics_total{task=\"sender\"} 1"),
            "{text}"
        );
    }

    #[tokio::test]
    async fn a_task_that_always_breaks_ends_with_the_stop() {
        let broken = broken();
        let stop = CancellationToken::new();
        let stopping = stop.clone();
        let mut runs = 0;
        broken
            .keep_running("sender", &stop, || {
                runs += 1;
                if runs == 2 {
                    stopping.cancel();
                }
                async { panic!("planted") }
            })
            .await;
        assert_eq!(runs, 2);
    }

    #[test]
    fn a_guarded_panic_is_recorded() {
        let broken = broken();
        assert_eq!(broken.guard("rules", || 3), Some(3));
        assert!(broken.all().is_empty());
        let lost: Option<i32> = broken.guard("rules", || panic!("planted {}", 1));
        assert_eq!((lost, broken.all().len()), (None, 1));
    }
}
