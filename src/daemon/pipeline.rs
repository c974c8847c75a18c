//! The one steppable tick: due groups, then advice, then messages.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;

use super::broken::Broken;
use super::capacity::Capacity;
use super::carried::Carried;
use super::observed::Observed;
use super::plan::Plan;
use super::query::parse_options;
use super::unwritten::{Evaluated, Unwritten, unless_full};
use super::warming::Warming;
use super::watch::{self, Watch};
use crate::advice::{self, Advised, Decision, Playbook, SignInstance, SignKey};
use crate::clock::{Clock, Reading};
use crate::config::Config;
use crate::model::{Querier, Sample, Selection, Timestamp, stale_nan};
use crate::notify::{Event, Outbox, SignEvent};
use crate::rules::{
    self, Alert, Change, ChangeKind, EvalContext, Group, Outcome, Written, WrittenValue,
};
use crate::state::{AdviceRow, AlertRow, State};
use crate::store::{Appended, Store};
use crate::telemetry::Metrics;

mod own;

/// How often samples and series out of every window are dropped, and groups looked through for
/// repeats.
const HOUSEKEEPING: Duration = Duration::from_secs(60);

/// How long messages wait for the first advice after a start.
const FIRST_ADVICE: Duration = Duration::from_secs(60);

/// How long delivered and given-up messages are kept.
const KEEP_MESSAGES: Duration = Duration::from_secs(30 * 86_400);

/// What a tick did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tick {
    /// Groups evaluated.
    pub(crate) evaluated: usize,
    /// Messages written to the outbox.
    pub(crate) messages: usize,
}

/// The rooms that a pipeline joins.
#[derive(Clone)]
pub(crate) struct Rooms {
    pub(crate) store: Arc<Store>,
    pub(crate) querier: Arc<dyn Querier>,
    pub(crate) state: State,
    pub(crate) clock: Clock,
    pub(crate) observed: Observed,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) broken: Broken,
}

/// Everything between the store and the outbox.
pub(crate) struct Pipeline {
    pub(crate) rooms: Rooms,
    pub(crate) outbox: Outbox,
    config: Arc<Config>,
    playbook: Arc<Playbook>,
    groups: Vec<Group>,
    signs: BTreeMap<SignKey, SignInstance>,
    carried: Carried,
    advised: Vec<Advised>,
    capacity: Capacity,
    warming: Warming,
    started: Timestamp,
    sources_seen: Option<Timestamp>,
    /// Since when the sources have to be asked.
    resumed: Timestamp,
    kept_house: Timestamp,
    flush_due: Option<(Timestamp, &'static str)>,
    unwritten: Unwritten,
    watch: Watch,
    clock: Reading,
}

impl Pipeline {
    /// A pipeline for `plan` with the alerts that the state remembers, exactly as they were.
    pub(crate) async fn restore(
        plan: &Plan,
        outbox: Outbox,
        rooms: Rooms,
        warming: Warming,
    ) -> anyhow::Result<Self> {
        let rooms_clock = rooms.clock.read();
        let now = rooms_clock.wall;
        let mut remembered = Vec::new();
        for row in rooms.state.load_alerts().await? {
            match serde_json::from_str::<Alert>(&row.json) {
                Ok(alert) => remembered.push(alert),
                Err(error) => {
                    tracing::warn!(group = row.group, %error, "a remembered alert cannot be read; it starts anew");
                }
            }
        }
        let capacity = Capacity::restore(&rooms.state, &plan.playbook).await?;
        let interval = plan.config.global.evaluation_interval.0;
        let mut groups: Vec<Group> = plan
            .rules
            .groups
            .iter()
            .map(|g| Group::new(g.clone(), interval))
            .collect();
        let language = parse_options(&plan.config.query.enable_features);
        for group in &mut groups {
            group.set_reach(&|rule| warming.of(rule, language));
        }
        let all = remembered.clone();
        let watch = Watch::restore(&mut remembered);
        let orphans = rules::restore(&mut groups, remembered);
        let mut pipeline = Self {
            rooms,
            outbox,
            config: Arc::clone(&plan.config),
            playbook: Arc::clone(&plan.playbook),
            groups,
            signs: BTreeMap::new(),
            carried: Carried::default(),
            advised: Vec::new(),
            capacity,
            warming,
            started: now,
            sources_seen: None,
            resumed: Timestamp(0),
            kept_house: now,
            flush_due: Some((now, "start")),
            unwritten: Unwritten::default(),
            watch,
            clock: rooms_clock,
        };
        // As it was told before the restart, then what the rules of today make of it.
        pipeline.signs = advice::instances(&all, &plan.config.advice.system_labels);
        let (state, signs) = (pipeline.rooms.state.clone(), &mut pipeline.signs);
        pipeline.carried = Carried::restore(&state, signs).await?;
        let gone: Vec<Change> = orphans
            .into_iter()
            .map(|a| rules::group::end(a, now))
            .collect();
        pipeline.commit_all(gone, now).await?;
        pipeline.keep_rows(now).await?;
        Ok(pipeline)
    }

    /// Writes every alert under its group of today and forgets the rows of groups that are gone.
    async fn keep_rows(&mut self, now: Timestamp) -> anyhow::Result<()> {
        let all: Vec<Change> = self
            .alerts()
            .map(|alert| Change {
                kind: ChangeKind::Renewed,
                alert: alert.clone(),
            })
            .collect();
        let names: Vec<String> = self.groups.iter().map(|g| g.spec().key()).collect();
        let names: Vec<&str> = names
            .iter()
            .map(String::as_str)
            .chain([watch::OWN])
            .collect();
        // The new rows first: a kill in between leaves an alert twice, never not at all.
        self.commit_all(all, now).await?;
        unless_full(self.rooms.state.retain_groups(&names).await)?;
        Ok(())
    }

    /// Takes over another plan: unchanged groups run on, alerts of rules that are gone end.
    pub(crate) async fn adopt(
        &mut self,
        plan: &Plan,
        outbox: Outbox,
        selection: &Selection,
    ) -> anyhow::Result<()> {
        let now = self.rooms.clock.now();
        let interval = plan.config.global.evaluation_interval.0;
        let old = std::mem::take(&mut self.groups);
        let reloaded = rules::reload(old, &plan.rules.groups, interval, now);
        self.groups = reloaded.groups;
        self.warming = self.warming.adopt(selection, now);
        self.config = Arc::clone(&plan.config);
        self.tell_reach();
        self.playbook = Arc::clone(&plan.playbook);
        self.capacity.adopt(&plan.playbook);
        self.outbox = outbox;
        for labels in &reloaded.stale {
            self.rooms.store.record(
                labels,
                Sample {
                    t: now,
                    v: stale_nan(),
                },
            );
        }
        self.commit_all(reloaded.changes, now).await?;
        self.keep_rows(now).await?;
        self.flush_due = Some((now, "reload"));
        Ok(())
    }

    /// Says that every source was asked at least once.
    pub(crate) fn sources_seen(&mut self, now: Timestamp) {
        self.sources_seen.get_or_insert(now);
    }

    /// True once every source was asked and, after that, every group evaluated.
    pub(crate) fn ready(&self) -> bool {
        self.sources_seen.is_some()
            && self
                .groups
                .iter()
                .all(|g| g.last().is_some_and(|(t, _)| Some(t) >= self.sources_seen))
    }

    /// Evaluates what is due at `now`, advises, and writes messages. Never waits for a target or
    /// a receiver. An error means that the state could not be written: stop.
    pub(crate) async fn tick(&mut self, now: Timestamp) -> anyhow::Result<Tick> {
        let mut done = Tick::default();
        // Before the first samples there is nothing to judge.
        self.unwritten.write(&self.rooms.state).await?;
        if self.sources_seen.is_some() && !self.unwritten.is_full() {
            for i in 0..self.groups.len() {
                let first = self.groups[i].last().is_none();
                let missed = self.groups[i].missed();
                let due = self.groups[i].take_due(now);
                let missed = self.groups[i].missed() - missed;
                if missed > 0 {
                    let key = self.groups[i].spec().key();
                    self.rooms
                        .metrics
                        .rule_group_iterations_missed_total
                        .with([&key])
                        .add(missed);
                }
                if let Some(slot) = due.or(first.then_some(now)) {
                    self.evaluate(i, slot).await?;
                    done.evaluated += 1;
                }
            }
        }
        if done.evaluated > 0 {
            self.capacity
                .tick(&self.rooms, &self.playbook, &self.config, now)
                .await?;
            self.advise(now).await?;
        }
        // A message that waited over a restart gets its advice first, if that comes soon.
        let advised = !self.advised.is_empty() || now.since(self.started) >= FIRST_ADVICE;
        let due = done.evaluated > 0 || self.flush_due.is_some_and(|(due, _)| due <= now);
        if due && advised && self.unwritten.is_empty() {
            let decisions = self.decisions();
            let state = &self.rooms.state;
            let flushed = self.outbox.flush(state, now, &self.signs, &decisions);
            if let Some(flushed) = unless_full(flushed.await)? {
                for id in &flushed.unreadable {
                    tracing::warn!(
                        notice = id,
                        "a notice cannot be read by this version; it stays"
                    );
                }
                warn_retired(&flushed.retired);
                done.messages = flushed.messages.len();
                self.flush_due = flushed.next_due;
            }
        }
        if now.since(self.kept_house) >= HOUSEKEEPING {
            self.rooms.store.prune(now);
            unless_full(self.rooms.state.prune(now - KEEP_MESSAGES).await)?;
            self.kept_house = now;
        }
        Ok(done)
    }

    /// When to tick next, and why.
    pub(crate) fn next_due(&mut self, now: Timestamp) -> (Timestamp, &'static str) {
        let mut next = (self.kept_house + HOUSEKEEPING, "housekeeping");
        if self.sources_seen.is_some() {
            for group in &mut self.groups {
                next = next.min(group.next_due(now));
            }
        }
        self.flush_due.map_or(next, |flush| next.min(flush))
    }

    /// One decision per system.
    pub(crate) fn decisions(&self) -> Vec<Decision> {
        self.advised.iter().map(|a| a.decision.clone()).collect()
    }

    /// Running groups.
    pub(crate) fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// Transactions that a full disk keeps waiting.
    pub(crate) fn unwritten(&self) -> usize {
        self.unwritten.len()
    }

    /// Firing signs.
    pub(crate) fn signs(&self) -> &BTreeMap<SignKey, SignInstance> {
        &self.signs
    }

    /// Decisions with what they were made from.
    pub(crate) fn advised(&self) -> &[Advised] {
        &self.advised
    }

    /// The limits that are followed.
    pub(crate) fn capacity(&self) -> &Capacity {
        &self.capacity
    }

    /// The advice as data.
    pub(crate) fn playbook(&self) -> &Playbook {
        &self.playbook
    }

    /// All alert instances of all groups.
    pub(crate) fn alerts(&self) -> impl Iterator<Item = &Alert> {
        let own = self.watch.alerts();
        self.groups.iter().flat_map(Group::alerts).chain(own)
    }

    /// Evaluates one group at its slot and commits what changed with its notices.
    async fn evaluate(&mut self, index: usize, slot: Timestamp) -> anyhow::Result<()> {
        let mut group = self.groups.remove(index);
        let rooms = self.rooms.clone();
        let config = Arc::clone(&self.config);
        let (group, outcome) = tokio::task::spawn_blocking(move || {
            let outcome = rooms
                .broken
                .guard("rules", || evaluate(&mut group, &rooms, &config, slot));
            (group, outcome)
        })
        .await
        .context("the evaluation of a rule group was given up")?;
        let key = group.spec().key();
        self.groups.insert(index, group);
        let Some(outcome) = outcome else {
            return self.renew(index).await;
        };
        let metrics = &self.rooms.metrics;
        metrics.rule_group_iterations_total.with([&key]).inc();
        let failures = outcome.errors.len() as u64;
        metrics
            .rule_evaluation_failures_total
            .with([&key])
            .add(failures);
        for (rule, error) in &outcome.errors {
            tracing::warn!(
                group = key,
                rule,
                error,
                "a rule failed; its alerts stay as they were"
            );
        }
        self.commit(&key, &outcome.changes, slot).await
    }

    /// Commits changes of several groups, group by group.
    async fn commit_all(&mut self, changes: Vec<Change>, at: Timestamp) -> anyhow::Result<()> {
        let mut by_group: BTreeMap<String, Vec<Change>> = BTreeMap::new();
        for change in changes {
            by_group
                .entry(change.alert.group.clone())
                .or_default()
                .push(change);
        }
        for (group, changes) in by_group {
            self.commit(&group, &changes, at).await?;
        }
        Ok(())
    }

    /// One transaction: what changed in a group, and the notices it causes.
    async fn commit(
        &mut self,
        group: &str,
        changes: &[Change],
        at: Timestamp,
    ) -> anyhow::Result<()> {
        let mut upserts = Vec::new();
        let mut deletes = Vec::new();
        for change in changes {
            let fingerprint = change.alert.labels.fingerprint();
            match change.kind {
                ChangeKind::Dropped | ChangeKind::Expired => deletes.push(fingerprint),
                ChangeKind::Pending
                | ChangeKind::Fired
                | ChangeKind::Renewed
                | ChangeKind::Kept
                | ChangeKind::Blind
                | ChangeKind::Resolved => upserts.push(AlertRow {
                    group: group.to_owned(),
                    fingerprint,
                    json: serde_json::to_string(&change.alert)
                        .context("an alert cannot be written as JSON")?,
                }),
            }
            log(change);
        }
        let mut after = advice::instances(self.alerts(), &self.config.advice.system_labels);
        let fresh: BTreeMap<SignKey, Timestamp> =
            after.iter().map(|(k, i)| (k.clone(), i.since)).collect();
        advice::carry_since(&self.signs, &mut after);
        let state = &self.rooms.state;
        self.carried.keep(state, &fresh, &after, at).await?;
        let events: Vec<SignEvent> = advice::diff(&self.signs, &after)
            .into_iter()
            .map(|change| SignEvent {
                event: event(change.kind),
                instance: change.sign,
                at,
            })
            .collect();
        let notices = self.outbox.notices(&events);
        self.unwritten.push(Evaluated {
            group: group.to_owned(),
            upserts,
            deletes,
            notices,
            at,
        });
        self.signs = after;
        Ok(self.unwritten.write(&self.rooms.state).await?)
    }

    /// Decides for every system, and remembers decisions that changed.
    async fn advise(&mut self, now: Timestamp) -> anyhow::Result<()> {
        let (playbook, querier) = (Arc::clone(&self.playbook), Arc::clone(&self.rooms.querier));
        let config = Arc::clone(&self.config);
        let runways = self.capacity.runways();
        let alerts: Vec<Alert> = self
            .groups
            .iter()
            .flat_map(Group::alerts)
            .cloned()
            .collect();
        let broken = self.rooms.broken.clone();
        let advised = tokio::task::spawn_blocking(move || {
            let inputs = advice::Inputs {
                playbook: &playbook,
                querier: querier.as_ref(),
                alerts: &alerts,
                facts: &config.facts,
                advice: &config.advice,
                runways: &runways,
            };
            broken.guard("advice", || advice::advise(&inputs, now))
        })
        .await
        .context("the advisor broke")?;
        // What was advised before stays.
        let Some(advised) = advised else {
            return Ok(());
        };
        let mut rows = Vec::new();
        for new in &advised {
            let old = self
                .advised
                .iter()
                .find(|a| a.decision.system == new.decision.system);
            if old.is_some_and(|old| old.decision.bottlenecks == new.decision.bottlenecks) {
                continue;
            }
            rows.push(AdviceRow {
                kind: "decision".to_owned(),
                id: new.decision.system.clone(),
                json: serde_json::to_string(&new.decision)
                    .context("a decision cannot be written as JSON")?,
            });
            for warning in &new.warnings {
                tracing::debug!(system = new.decision.system, warning, "advice");
            }
        }
        let written = self.rooms.state.commit_advice(&rows, &[], &[], now).await;
        if unless_full(written)?.is_some() || self.advised.is_empty() {
            self.advised = advised;
        }
        Ok(())
    }
}

/// One evaluation, on a thread of its own.
fn evaluate(group: &mut Group, rooms: &Rooms, config: &Config, slot: Timestamp) -> Outcome {
    let stopwatch = rooms.clock.stopwatch();
    let context = EvalContext {
        external_labels: &config.global.external_labels,
        external_url: config.server.external_url.as_deref().unwrap_or_default(),
        missing: config.rules.missing,
        flapping: config.rules.flapping,
        warm: true,
        write: &|written| count(&rooms.metrics, write(&rooms.store, written)),
        elapsed: &|| stopwatch.elapsed(),
        known: Some(&|name| known(rooms, name, slot)),
    };
    group.evaluate(rooms.querier.as_ref(), slot, &context)
}

/// True when there is a metric of this name, kept or not.
fn known(rooms: &Rooms, name: &str, slot: Timestamp) -> bool {
    let query = format!("count({{__name__={name:?}}})");
    rooms.observed.exposes(name)
        || rooms
            .querier
            .instant(&query, slot)
            .is_ok_and(|answer| answer.into_vector().is_some_and(|v| !v.is_empty()))
}

/// Puts what a rule wrote where the querier reads.
pub(crate) fn write(store: &Store, written: &Written) -> Appended {
    let mut done = Appended::default();
    for (labels, value) in &written.samples {
        done.add(match value {
            WrittenValue::Float(v) => {
                let sample = Sample {
                    t: written.at,
                    v: *v,
                };
                store.record(labels, sample)
            }
            WrittenValue::Histogram(h) => store.record_histogram(labels, written.at, h),
        });
    }
    for labels in &written.stale {
        let sample = Sample {
            t: written.at,
            v: stale_nan(),
        };
        done.add(store.record(labels, sample));
    }
    done
}

/// Adds what the store took in and what it refused to our own counters.
pub(crate) fn count(metrics: &Metrics, done: Appended) {
    metrics.store_samples_appended_total.add(done.stored);
    for (reason, n) in [
        ("out_of_order", done.out_of_order),
        ("duplicate", done.duplicates),
        ("series_cap", done.capped),
        ("window_cap", done.shortened),
    ] {
        if n > 0 {
            metrics.store_samples_dropped_total.with([reason]).add(n);
        }
    }
}

/// Says which endpoints are gone and how many of their messages were given up.
pub(crate) fn warn_retired(retired: &[(String, u64)]) {
    for (endpoint, messages) in retired {
        tracing::warn!(
            endpoint,
            messages,
            "the endpoint is no longer configured; its messages are given up"
        );
    }
}

/// One line per state change.
fn log(change: &Change) {
    let what = match change.kind {
        ChangeKind::Pending => "pending",
        ChangeKind::Fired => "firing",
        ChangeKind::Kept => "condition over, kept firing",
        ChangeKind::Blind => "input missing, kept firing",
        ChangeKind::Resolved => "resolved",
        ChangeKind::Dropped => "no longer pending",
        ChangeKind::Renewed | ChangeKind::Expired => return,
    };
    tracing::info!(
        alert = change.alert.rule,
        labels = %change.alert.labels.without(&["alertname"]),
        value = change.alert.value,
        "{what}"
    );
}

fn event(kind: advice::SignChangeKind) -> Event {
    match kind {
        advice::SignChangeKind::Fired => Event::Fired,
        advice::SignChangeKind::LevelChanged { from } => Event::LevelChanged { from },
        advice::SignChangeKind::BlindChanged { blind: true } => Event::Blind,
        advice::SignChangeKind::BlindChanged { blind: false } => Event::Seen,
        advice::SignChangeKind::Resolved => Event::Resolved,
    }
}

#[cfg(test)]
mod tests;
