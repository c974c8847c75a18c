//! The running source loops.

use std::collections::BTreeMap;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::broken::Broken;
use super::collect::{self, Feed, Source};
use crate::model::TargetKey;
use crate::sources::Schedule;

/// Sources by key, each in a loop of its own.
pub(crate) struct Fleet {
    feed: Feed,
    broken: Broken,
    tracker: TaskTracker,
    running: BTreeMap<TargetKey, Running>,
}

struct Running {
    /// A hash of what the source was built from: equal settings are kept over a reload.
    settings: u64,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// A source that is not running yet.
pub(crate) struct Ready {
    pub(crate) source: Source,
    pub(crate) schedule: Schedule,
    /// A hash of what it was built from, secrets included.
    pub(crate) settings: u64,
}

impl Fleet {
    pub(crate) fn new(feed: Feed, broken: Broken) -> Self {
        Self {
            feed,
            broken,
            tracker: TaskTracker::new(),
            running: BTreeMap::new(),
        }
    }

    /// Makes `wanted` the running set: unchanged sources go on untouched, others are stopped and
    /// waited for before new ones start. Gives back the keys that are gone.
    pub(crate) async fn adopt(&mut self, wanted: Vec<Ready>) -> Vec<TargetKey> {
        let mut fresh = Vec::new();
        let mut keep = BTreeMap::new();
        for ready in wanted {
            let key = ready.source.key().clone();
            match self.running.remove(&key) {
                Some(same) if same.settings == ready.settings && !same.task.is_finished() => {
                    keep.insert(key, same);
                }
                Some(changed) => {
                    self.running.insert(key, changed);
                    fresh.push(ready);
                }
                None => fresh.push(ready),
            }
        }
        let gone: Vec<TargetKey> = self.running.keys().cloned().collect();
        self.stop().await;
        self.running = keep;
        for key in &gone {
            self.feed.views.remove(key);
            self.feed.observed.forget(key);
        }
        for ready in fresh {
            let stop = CancellationToken::new();
            let key = ready.source.key().clone();
            let task = self.tracker.spawn(collect::run(
                ready.source,
                ready.schedule,
                self.feed.clone(),
                stop.clone(),
            ));
            self.running.insert(
                key,
                Running {
                    settings: ready.settings,
                    stop,
                    task,
                },
            );
        }
        gone
    }

    /// True when a loop ended that nobody stopped: [`Fleet::adopt`] starts it again.
    pub(crate) fn has_broken(&self) -> bool {
        self.running.values().any(|r| r.task.is_finished())
    }

    /// Stops all loops and waits for them.
    pub(crate) async fn stop(&mut self) {
        let running = std::mem::take(&mut self.running);
        for source in running.values() {
            source.stop.cancel();
        }
        for source in running.into_values() {
            if let Err(error) = source.task.await
                && let Ok(panic) = error.try_into_panic()
            {
                self.broken.note("source", &super::broken::words(&*panic));
            }
        }
    }
}
