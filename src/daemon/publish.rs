//! Takes the snapshot that the API and the command line show.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::advice::Verdict;
use crate::advice::outlook::Outlook;
use crate::api::{
    Blind, DroppedTargets, MessageBooks, RunwayView, Snapshot, SourceHealth, StepView,
};
use crate::model::Timestamp;
use crate::rules::AlertState;
use crate::state::Book;
use crate::telemetry::Metrics;

use super::collect::Views;
use super::pipeline::Pipeline;

/// Knows what a snapshot shows beside the pipeline.
pub(crate) struct Publisher {
    pub(crate) started: Timestamp,
    pub(crate) views: Views,
    /// What discovery did not get to see.
    pub(crate) blind: Vec<Blind>,
    /// What discovery cannot look up just now.
    pub(crate) unsought: Vec<Blind>,
    /// Targets that rules dropped, by job.
    pub(crate) dropped: BTreeMap<String, DroppedTargets>,
    pub(crate) metrics: Arc<Metrics>,
}

impl Publisher {
    /// Everything a person may ask about, as of `now`.
    pub(crate) async fn snapshot(
        &self,
        pipeline: &Pipeline,
        now: Timestamp,
    ) -> anyhow::Result<Snapshot> {
        let shown = self.views.all();
        let mut blind = self.blind.clone();
        blind.extend(self.unsought.iter().cloned());
        blind.extend(shown.iter().flat_map(|s| s.blind.iter().cloned()));
        blind.sort();
        blind.dedup();
        let mut messages = MessageBooks::default();
        let books = pipeline.rooms.state.books().await?;
        for book in &books {
            let count = |n: i64| u64::try_from(n).unwrap_or(0);
            messages.enqueued += count(book.enqueued);
            messages.delivered += count(book.delivered);
            messages.folded += count(book.folded);
            messages.dead += count(book.dead);
            messages.pending += count(book.pending);
        }
        let snapshot = Snapshot {
            at: now,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started: self.started,
            ready: pipeline.ready(),
            brief: false,
            servers: shown.iter().filter_map(|s| s.server.clone()).collect(),
            sources: shown.into_iter().map(|s| s.view).collect(),
            dropped: self.dropped.values().cloned().collect(),
            blind,
            groups: pipeline.groups().iter().map(super::views::group).collect(),
            alerts: pipeline.alerts().cloned().collect(),
            signs: super::views::worst_first(pipeline.signs().values().cloned()),
            decisions: pipeline.decisions(),
            steps: steps(pipeline),
            runways: pipeline.capacity().views().to_vec(),
            messages,
            series: pipeline.rooms.store.series(),
            samples: pipeline.rooms.store.samples(),
        };
        self.count(&snapshot, &books);
        let unwritten = pipeline.unwritten() as f64;
        self.metrics.state_unwritten.set(unwritten);
        let is_short = pipeline.rooms.state.is_short_of_room();
        self.metrics.state_short_of_room.set(f64::from(is_short));
        Ok(snapshot)
    }
}

impl Publisher {
    /// Brings our own metrics up to what the snapshot shows.
    fn count(&self, s: &Snapshot, books: &[Book]) {
        let metrics = &self.metrics;
        let mut states = [("pending", 0.0), ("firing", 0.0)];
        for alert in &s.alerts {
            match alert.state {
                AlertState::Pending { .. } => states[0].1 += 1.0,
                AlertState::Firing { .. } => states[1].1 += 1.0,
                AlertState::Resolved { .. } => {}
            }
        }
        metrics
            .alerts
            .set_all(states.map(|(state, n)| ([state], n)));
        let mut health = BTreeMap::from(["ok", "err", "blind", "warming"].map(|h| (h, 0.0)));
        for rule in s.groups.iter().flat_map(|g| &g.rules) {
            *health.entry(rule.health.as_str()).or_default() += 1.0;
        }
        metrics
            .rules
            .set_all(health.iter().map(|(h, n)| ([*h], *n)));
        let down = s.sources.iter().filter(|v| v.health == SourceHealth::Down);
        metrics
            .blind
            .set_all(down.map(|v| ([v.name.as_str()], 1.0)));
        let mut targets: BTreeMap<(&str, &str), f64> = BTreeMap::new();
        for source in s.sources.iter().filter(|v| v.kind == "scrape") {
            *targets
                .entry((source.labels.get("job"), "active"))
                .or_default() += 1.0;
        }
        for job in &s.dropped {
            targets.insert((&job.job, "dropped"), job.count as f64);
        }
        metrics.scrape_targets.set_all(
            targets
                .into_iter()
                .map(|((job, state), n)| ([job, state], n)),
        );
        let steps = s.decisions.iter().flat_map(|d| {
            d.bottlenecks.iter().filter_map(move |b| match &b.verdict {
                Verdict::Step(r) => Some(([d.system.as_str(), r.step.id.as_str()], 1.0)),
                Verdict::NoStep { .. } => None,
            })
        });
        metrics.next_step_info.set_all(steps);
        for group in &s.groups {
            let seconds = metrics.rule_group_last_duration_seconds.with([&group.key]);
            seconds.set(group.seconds);
        }
        metrics.runway_days.set_all(runway_days(&s.runways));
        metrics.outbox_length.set(s.messages.pending as f64);
        let notices = books.iter().flat_map(|b| {
            let of = |state, n: i64| ([b.endpoint.as_str(), state], n as f64);
            [
                of("enqueued", b.enqueued),
                of("delivered", b.delivered),
                of("folded", b.folded),
                of("dead", b.dead),
                of("pending", b.pending),
            ]
        });
        metrics.outbox_notices.set_all(notices);
        let oldest = books.iter().filter_map(|b| b.oldest_pending).min();
        let age = oldest.map_or(0.0, |t| s.at.since(t).as_secs_f64());
        metrics.outbox_oldest_seconds.set(age);
    }
}

/// Days to each limit: 0 when it is passed, nothing where there is no number.
fn runway_days(runways: &[RunwayView]) -> Vec<([&str; 3], f64)> {
    let mut out = Vec::new();
    for r in runways {
        let mut tell = |quantile, days: Option<f64>| {
            out.extend(days.map(|d| ([r.limit.as_str(), r.place.as_str(), quantile], d)));
        };
        match &r.outlook {
            Outlook::Over { .. } => {
                ["0.1", "0.5", "0.9"]
                    .into_iter()
                    .for_each(|q| tell(q, Some(0.0)));
            }
            Outlook::Ahead(a) => {
                tell("0.1", a.p10);
                tell("0.5", a.p50);
                tell("0.9", a.p90);
            }
            Outlook::NoLimit | Outlook::NotEnough { .. } | Outlook::UnitsChanged { .. } => {}
        }
    }
    out
}

/// What is known of each step.
pub(crate) fn steps(pipeline: &Pipeline) -> Vec<StepView> {
    pipeline
        .advised()
        .iter()
        .flat_map(|a| super::views::steps(pipeline.playbook(), a))
        .collect()
}
