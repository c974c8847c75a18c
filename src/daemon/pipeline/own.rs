//! What the pipeline does about itself: its own alerts, complete cycles, clocks that jump.

use std::time::Duration;

use super::Pipeline;
use crate::clock::Reading;
use crate::daemon::query::parse_options;
use crate::daemon::unwritten::unless_full;
use crate::daemon::watch::{self, Condition};
use crate::model::Timestamp;
use crate::notify::Heartbeat;
use crate::rules::{self, Change, ChangeKind, Group};

/// How late a group may be, beside two intervals, in a complete cycle.
const CYCLE_MARGIN: Duration = Duration::from_secs(10);
/// The wall clock may drift from the other by so much between two looks.
const DRIFT: Duration = Duration::from_secs(2);
/// A process that did not look at the clock for so long stood still.
const PAUSE: Duration = Duration::from_secs(30);
/// After so long without samples a range has too few of them.
const GAP: Duration = Duration::from_secs(120);

impl Pipeline {
    /// Looks at the clocks and makes up for what they did since the last look; the time is that
    /// of the look.
    ///
    /// A wall clock that stepped moves all that is remembered with it: samples, waits, how long
    /// alerts have lasted. After a pause (the machine slept, or the process was stopped) nothing
    /// is judged before every source was asked again.
    pub(crate) async fn mind_the_clock(&mut self) -> anyhow::Result<Timestamp> {
        let (before, now) = (self.clock, self.rooms.clock.read());
        self.clock = now;
        let passed = now.boot.saturating_sub(before.boot);
        let step = now.wall.millis() - (before.wall + passed).millis();
        if step.unsigned_abs() > DRIFT.as_millis() as u64 {
            self.stepped(before, step).await?;
        }
        if passed > PAUSE {
            let metrics = &self.rooms.metrics;
            metrics.clock_jumps_total.with(["pause"]).inc();
            tracing::warn!(
                seconds = passed.as_secs(),
                "nothing was judged for a while: the machine slept or the process stood still; \
                 all sources are asked again first"
            );
            self.sources_seen = None;
            self.resumed = now.wall;
            if passed > GAP {
                // Windows have a hole: as after a start.
                self.started = now.wall;
                let paused = now
                    .wall
                    .shifted(-i64::try_from(passed.as_millis()).unwrap_or(0));
                self.warming.pause(paused, now.wall);
                self.tell_reach();
            }
        }
        Ok(now.wall)
    }

    /// The dead man's switch, if one is configured.
    pub(crate) fn heartbeat(&self) -> Option<Heartbeat> {
        Heartbeat::new(&self.config.heartbeat, &self.rooms.clock)
    }

    /// Since when the sources have to be asked before anything is judged.
    pub(crate) fn resumed(&self) -> Timestamp {
        self.resumed
    }

    /// Moves everything that is remembered by `step` milliseconds.
    async fn stepped(&mut self, before: Reading, step: i64) -> anyhow::Result<()> {
        let metrics = &self.rooms.metrics;
        metrics.clock_jumps_total.with(["step"]).inc();
        tracing::warn!(
            seconds = step as f64 / 1000.0,
            "the wall clock stepped; what is remembered is moved with it"
        );
        self.rooms.store.shift(before.wall, step);
        for time in [&mut self.started, &mut self.kept_house, &mut self.resumed] {
            *time = time.shifted(step);
        }
        for time in self.sources_seen.iter_mut() {
            *time = time.shifted(step);
        }
        if let Some((due, _)) = &mut self.flush_due {
            *due = due.shifted(step);
        }
        for group in &mut self.groups {
            group.shift(step);
        }
        self.warming.shift(step);
        self.tell_reach();
        self.watch.shift(step);
        unless_full(self.rooms.state.shift_waits(step).await)?;
        let moved: Vec<Change> = self
            .alerts()
            .map(|alert| Change {
                kind: ChangeKind::Renewed,
                alert: alert.clone(),
            })
            .collect();
        self.commit_all(moved, self.clock.wall).await
    }

    /// Takes our own alerts further, with what is wrong at `now`.
    pub(crate) async fn watch(
        &mut self,
        conditions: &[Condition],
        now: Timestamp,
    ) -> anyhow::Result<()> {
        let changes = self.watch.observe(conditions, now);
        if changes.is_empty() {
            return Ok(());
        }
        if changes.iter().any(watch::is_news) {
            self.flush_due = Some((now, "one of our own alerts"));
        }
        self.commit(watch::OWN, &changes, now).await
    }

    /// Records that a cycle is complete, when it is: all that was due is evaluated, written and
    /// made into messages. False when it is not.
    pub(crate) async fn complete_cycle(&mut self, now: Timestamp) -> anyhow::Result<bool> {
        let in_time = |g: &Group| {
            let bound = g.interval() * 2 + CYCLE_MARGIN;
            g.last().is_some_and(|(at, _)| now.since(at) <= bound)
        };
        let is_complete =
            self.ready() && self.unwritten.is_empty() && self.groups.iter().all(in_time);
        if !is_complete {
            return Ok(false);
        }
        Ok(unless_full(self.rooms.state.complete_cycle(now).await)?.is_some())
    }

    /// Begins a group anew that broke half-way, with its alerts as they were written last.
    pub(super) async fn renew(&mut self, index: usize) -> anyhow::Result<()> {
        let broke = &self.groups[index];
        let key = broke.spec().key();
        let mut fresh = [Group::new(broke.spec().clone(), broke.interval())];
        let written = self.rooms.state.load_alerts().await?;
        let of = written.iter().filter(|row| row.group == key);
        let alerts = of.filter_map(|row| serde_json::from_str(&row.json).ok());
        rules::restore(&mut fresh, alerts.collect());
        let [fresh] = fresh;
        self.groups[index] = fresh;
        self.tell_reach();
        Ok(())
    }

    /// Tells every group how far back the data of its rules goes.
    pub(super) fn tell_reach(&mut self) {
        let language = parse_options(&self.config.query.enable_features);
        for group in &mut self.groups {
            group.set_reach(&|rule| self.warming.of(rule, language));
        }
    }
}
