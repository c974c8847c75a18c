//! The running source loops.

use std::collections::BTreeMap;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::broken::Broken;
use super::collect::{self, Arrival, Feed, Source};
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
    group: Group,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// A source that is not running yet.
pub(crate) struct Ready {
    pub(crate) source: Source,
    pub(crate) schedule: Schedule,
    /// A hash of what it was built from, secrets included.
    pub(crate) settings: u64,
    pub(crate) group: Group,
}

/// Why a source is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Group {
    /// The config says so.
    Named,
    /// It was found on this machine.
    Found,
    /// It is a target of this job.
    Job(String),
}

/// Which running sources end when they are not wanted any more.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Scope<'a> {
    /// All.
    All,
    /// All but those found on this machine: one that does not answer just now may come back.
    AllButFound,
    /// Those of one job.
    Job(&'a str),
    /// None.
    Nothing,
}

impl Scope<'_> {
    fn covers(self, group: &Group) -> bool {
        match (self, group) {
            (Scope::All, _) => true,
            (Scope::AllButFound, Group::Found) => false,
            (Scope::AllButFound, Group::Named | Group::Job(_)) => true,
            (Scope::Job(job), Group::Job(of)) => job == of,
            (Scope::Job(_), Group::Named | Group::Found) | (Scope::Nothing, _) => false,
        }
    }
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

    /// Makes `wanted` the running set as far as `scope` goes: unchanged sources go on untouched,
    /// others are stopped and waited for, and the store is told, before new ones start.
    pub(crate) async fn adopt(&mut self, wanted: Vec<Ready>, scope: Scope<'_>) {
        let mut fresh = Vec::new();
        let mut keep = BTreeMap::new();
        let mut ending = Vec::new();
        for ready in wanted {
            let key = ready.source.key().clone();
            match self.running.remove(&key) {
                Some(same) if same.settings == ready.settings && !same.task.is_finished() => {
                    keep.insert(key, same);
                }
                Some(changed) => {
                    changed.stop.cancel();
                    ending.push((key, changed));
                    fresh.push(ready);
                }
                None if keep.contains_key(&key) => {}
                None => fresh.push(ready),
            }
        }
        for (key, source) in std::mem::take(&mut self.running) {
            // One that broke and is not found again would look broken for ever.
            let lost = matches!(scope, Scope::AllButFound) && source.task.is_finished();
            if lost || scope.covers(&source.group) {
                source.stop.cancel();
                ending.push((key, source));
            } else {
                keep.insert(key, source);
            }
        }
        self.running = keep;
        for (key, source) in ending {
            self.end(key, source).await;
        }
        for ready in fresh {
            let stop = CancellationToken::new();
            let key = ready.source.key().clone();
            if self.running.contains_key(&key) {
                continue;
            }
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
                    group: ready.group,
                    stop,
                    task,
                },
            );
        }
    }

    /// Stops a source, waits for it and has all its series end.
    async fn end(&mut self, key: TargetKey, source: Running) {
        source.stop.cancel();
        wait(source, &self.broken).await;
        self.feed.views.remove(&key);
        self.feed.observed.forget(&key);
        let gone = Arrival::Gone(key, self.feed.clock.now());
        // The writer outlives the fleet.
        let _ = self.feed.batches.send(gone).await;
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
            wait(source, &self.broken).await;
        }
    }
}

async fn wait(source: Running, broken: &Broken) {
    if let Err(error) = source.task.await
        && let Ok(panic) = error.try_into_panic()
    {
        broken.note("source", &super::broken::words(&*panic));
    }
}
