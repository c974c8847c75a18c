//! Follows every limit: measures it once a minute, keeps its past, forecasts it once an hour.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::pipeline::Rooms;
use super::unwritten::unless_full;
use crate::advice::forecast::Kind;
use crate::advice::limits::{self, Limit, Measured};
use crate::advice::outlook::{self, Ahead, Outlook, Past, Seen, Standing, Urgency, Within, words};
use crate::advice::{Playbook, Runway};
use crate::api::RunwayView;
use crate::config::Config;
use crate::history::reduce::{Completed, DAYS, Day, HOURS, Hour, HourValue, Reduced};
use crate::model::labels::NAME;
use crate::model::{Labels, Sample, Timestamp};
use crate::state::{CapacityRow, DayRow, HourRow, State};

/// How often limits are measured.
const EVERY: Duration = Duration::from_secs(60);
/// A signal that was not seen for so long is not shown.
const SHOWN: Duration = Duration::from_secs(15 * 60);
/// A limit that moves by less than this share is the same limit.
const SAME_LIMIT: f64 = 0.001;
const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// A signal that was not seen for as long as its past is kept is forgotten.
const FORGET: Duration = Duration::from_secs(400 * 86_400);

/// What is remembered of a signal beside its past.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Remembered {
    hourly: Standing,
    daily: Standing,
    ceiling: Option<f64>,
    past: Option<Past>,
}

/// One signal of a limit.
struct Signal {
    kind: Kind,
    name: String,
    reduced: Reduced,
    remembered: Remembered,
    outlook: Outlook,
    value: f64,
    /// The limit before the last change, and when that was.
    limit_was: Option<(f64, Timestamp)>,
    seen: Timestamp,
}

impl Signal {
    fn new(limit: &str, labels: &Labels, kind: Kind) -> Self {
        let value = match kind {
            Kind::Level => HourValue::Last,
            Kind::Gauge => HourValue::Mean,
        };
        Self {
            kind,
            name: format!("{limit}{labels}"),
            reduced: Reduced::new(value),
            remembered: Remembered::default(),
            outlook: Outlook::NoLimit,
            value: f64::NAN,
            limit_was: None,
            seen: Timestamp(i64::MIN),
        }
    }

    /// How urgent it is to say something: a page needs the far end inside the lead time, and a
    /// series whose forecasts were far off is a plan at most.
    fn told(&self, lead_days: f64) -> Urgency {
        let urgency = match &self.outlook {
            Outlook::Ahead(ahead) if ahead.surely_within(lead_days) => self.urgency(),
            Outlook::Over { .. } => return Urgency::Now,
            Outlook::Ahead(_)
            | Outlook::NoLimit
            | Outlook::NotEnough { .. }
            | Outlook::UnitsChanged { .. } => self.urgency().min(Urgency::Act),
        };
        let doubtful = self
            .remembered
            .past
            .is_some_and(|p| p.off > words::DOUBTFUL);
        if doubtful {
            urgency.min(Urgency::Plan)
        } else {
            urgency
        }
    }

    /// How urgent it is.
    fn urgency(&self) -> Urgency {
        self.remembered
            .hourly
            .urgency
            .max(self.remembered.daily.urgency)
    }

    /// The last so many days, or hours where there are no days yet.
    fn recent(&self, most: usize, now: Timestamp) -> Vec<f64> {
        let days = self.reduced.daily(now);
        let line = if days.len() > 1 {
            days
        } else {
            self.reduced.hourly(now)
        };
        line[line.len().saturating_sub(most)..].to_vec()
    }

    fn measured(&mut self, m: &Measured, now: Timestamp) -> (Completed, bool) {
        let completed = self.reduced.observe(now, m.value);
        self.value = m.value;
        self.seen = now;
        let moved = match (self.remembered.ceiling, m.ceiling) {
            (Some(old), Some(new)) => (new - old).abs() > SAME_LIMIT * old.abs(),
            (old, new) => old.is_some() != new.is_some(),
        };
        if moved {
            self.limit_was = self.remembered.ceiling.map(|old| (old, now));
        }
        self.remembered.ceiling = m.ceiling;
        (completed, moved)
    }

    /// Looks ahead anew; urgency steps once for each hour and day that was completed.
    fn look_ahead(&mut self, completed: &Completed, now: Timestamp) {
        let (hourly, daily) = (self.reduced.hourly(now), self.reduced.daily(now));
        self.outlook = outlook::outlook(&Seen {
            name: &self.name,
            kind: self.kind,
            hourly: &hourly,
            daily: &daily,
            limit: self.remembered.ceiling,
        });
        if completed.hour.is_some() {
            self.remembered.hourly.step(&within_a_day(&self.outlook));
        }
        if completed.day.is_some() {
            self.remembered.daily.step(&self.outlook);
            self.remembered.past = outlook::weekly_errors(self.kind, &daily, &self.name);
        }
    }
}

/// The outlook as the hourly forecast alone would give it.
fn within_a_day(outlook: &Outlook) -> Outlook {
    match outlook {
        Outlook::Ahead(ahead) => Outlook::Ahead(Ahead {
            within: Within {
                day: ahead.within.day,
                ..Within::default()
            },
            ..ahead.clone()
        }),
        other @ (Outlook::NoLimit
        | Outlook::NotEnough { .. }
        | Outlook::UnitsChanged { .. }
        | Outlook::Over { .. }) => other.clone(),
    }
}

type Key = (String, Labels);

/// All signals of all limits.
#[derive(Default)]
pub(crate) struct Capacity {
    signals: BTreeMap<Key, Signal>,
    views: Vec<RunwayView>,
    measured: Option<Timestamp>,
    warned: BTreeSet<String>,
}

impl Capacity {
    /// The signals that the state remembers, of limits that the playbook still has.
    pub(crate) async fn restore(state: &State, playbook: &Playbook) -> anyhow::Result<Self> {
        let mut this = Self::default();
        for row in state.load_capacity().await? {
            let Some(limit) = playbook.limit(&row.limit) else {
                continue;
            };
            let Ok(labels) = serde_json::from_str::<Labels>(&row.labels) else {
                continue;
            };
            let mut signal = Signal::new(&row.limit, &labels, limit.kind);
            signal.remembered = serde_json::from_str(&row.json).unwrap_or_default();
            for hour in row.hours {
                signal.reduced.restore_hour(hour_of(&hour));
            }
            for day in row.days {
                signal.reduced.restore_day(day_of(&day));
            }
            this.signals.insert((row.limit, labels), signal);
        }
        Ok(this)
    }

    /// Forgets signals of limits that a new playbook does not have.
    pub(crate) fn adopt(&mut self, playbook: &Playbook) {
        self.signals
            .retain(|(limit, _), _| playbook.limit(limit).is_some());
        self.measured = None;
    }

    /// The signals that were seen lately, the one whose limit is reached next first.
    pub(crate) fn views(&self) -> &[RunwayView] {
        &self.views
    }

    /// The forecasts that the advisor ranks signs by.
    pub(crate) fn runways(&self) -> Vec<Runway> {
        self.views
            .iter()
            .filter_map(|v| {
                let (p10, p50, p90) = days(&v.outlook)?;
                Some(Runway {
                    limit: v.limit.clone(),
                    sign: Some(v.sign.clone()),
                    labels: v.labels.clone(),
                    p10,
                    p50,
                    p90,
                })
            })
            .collect()
    }

    /// Measures what is due, and keeps what that completed.
    pub(crate) async fn tick(
        &mut self,
        rooms: &Rooms,
        playbook: &Arc<Playbook>,
        config: &Arc<Config>,
        now: Timestamp,
    ) -> anyhow::Result<()> {
        if self
            .measured
            .is_some_and(|t| now.since(t) < EVERY && now >= t)
        {
            return Ok(());
        }
        self.measured = Some(now);
        let (querier, book, config) = (
            Arc::clone(&rooms.querier),
            Arc::clone(playbook),
            Arc::clone(config),
        );
        let broken = rooms.broken.clone();
        let mut signals = std::mem::take(&mut self.signals);
        let (signals, rows, warnings) = tokio::task::spawn_blocking(move || {
            let measure = || limits::measure(&book, &config.facts, querier.as_ref(), now);
            // A query that breaks costs one measurement.
            let (measured, warnings) = broken.guard("limits", measure).unwrap_or_default();
            let rows = take(&mut signals, &measured, &book, now);
            (signals, rows, warnings)
        })
        .await
        .context("the forecasts broke")?;
        self.signals = signals;
        self.views = views(&self.signals, playbook, now);
        for (labels, v) in series(&self.views) {
            rooms.store.record(&labels, Sample { t: now, v });
        }
        for warning in warnings {
            if self.warned.len() < 1000 && self.warned.insert(warning.clone()) {
                tracing::warn!(warning, "a limit cannot be followed");
            }
        }
        // An hour that a full disk keeps from being written is missing after a restart, no more.
        unless_full(rooms.state.commit_capacity(&rows).await)?;
        if rows.iter().any(|r| !r.days.is_empty()) {
            let (hour, day) = (
                now.millis().div_euclid(HOUR_MS),
                now.millis().div_euclid(DAY_MS),
            );
            let pruned = rooms
                .state
                .prune_capacity(hour - HOURS, day - DAYS, now - FORGET);
            unless_full(pruned.await)?;
        }
        Ok(())
    }

    /// Keeps the hours that are not over, so that a restart goes on with them.
    pub(crate) async fn keep(&self, state: &State) -> anyhow::Result<()> {
        let mut rows = Vec::new();
        for (key, signal) in &self.signals {
            if let Some(hour) = signal.reduced.unfinished() {
                rows.push(row(
                    key,
                    signal,
                    Completed {
                        hour: Some(hour),
                        day: None,
                    },
                ));
            }
        }
        unless_full(state.commit_capacity(&rows).await)?;
        Ok(())
    }
}

/// The signals that were seen lately as they are shown: those with a forecast in the order in which
/// their limits are reached, then the others by name.
fn views(signals: &BTreeMap<Key, Signal>, playbook: &Playbook, now: Timestamp) -> Vec<RunwayView> {
    let shown: Vec<(&Key, &Signal)> = signals
        .iter()
        .filter(|(_, s)| now.since(s.seen) <= SHOWN)
        .collect();
    let outlooks: Vec<&Outlook> = shown.iter().map(|(_, s)| &s.outlook).collect();
    let order = outlook::queue(&outlooks);
    let queued: BTreeSet<usize> = order.iter().map(|o| o.index).collect();
    let rest = (0..shown.len())
        .filter(|i| !queued.contains(i))
        .map(|i| (i, None));
    let order: Vec<(usize, Option<f64>)> = order
        .iter()
        .map(|o| (o.index, o.before_next))
        .chain(rest)
        .collect();
    order
        .into_iter()
        .filter_map(|(i, before_next)| {
            let ((id, labels), signal) = shown[i];
            Some(view(
                playbook.limit(id)?,
                labels,
                signal,
                playbook,
                before_next,
                now,
            ))
        })
        .collect()
}

/// Days to the near end, the middle and the far end; 0 when the limit is passed, nothing when there
/// is no forecast.
fn days(outlook: &Outlook) -> Option<(Option<f64>, Option<f64>, Option<f64>)> {
    match outlook {
        Outlook::Ahead(a) => Some((a.p10, a.p50, a.p90)),
        Outlook::Over { .. } => Some((Some(0.0), Some(0.0), Some(0.0))),
        Outlook::NoLimit | Outlook::NotEnough { .. } | Outlook::UnitsChanged { .. } => None,
    }
}

/// What rules may ask of the runways: how urgent each is (0 to 3) and the seconds that are left.
/// The label `limit` is the sign that owns the limit, `what` the limit's id. A limit that is passed
/// is told by its own sign and not urgent here.
fn series(views: &[RunwayView]) -> Vec<(Labels, f64)> {
    let mut out = Vec::new();
    for v in views {
        let labels = v.labels.with("limit", &v.sign).with("what", &v.limit);
        let urgency = match (&v.outlook, v.urgency) {
            (Outlook::Over { .. }, _) | (_, Urgency::Ok) => 0.0,
            (_, Urgency::Plan) => 1.0,
            (_, Urgency::Act) => 2.0,
            (_, Urgency::Now) => 3.0,
        };
        out.push((labels.with(NAME, "loadline_runway_urgency"), urgency));
        let (p10, p50, p90) = days(&v.outlook).unwrap_or_default();
        for (quantile, days) in [("0.1", p10), ("0.5", p50), ("0.9", p90)] {
            if let Some(days) = days {
                let named = labels.with(NAME, "loadline_runway_seconds");
                out.push((named.with("quantile", quantile), days * 86_400.0));
            }
        }
    }
    out
}

fn view(
    limit: &Limit,
    labels: &Labels,
    signal: &Signal,
    playbook: &Playbook,
    before_next: Option<f64>,
    now: Timestamp,
) -> RunwayView {
    let past = signal.remembered.past;
    let lead_days = limit.lead_time(playbook).as_secs_f64() / 86_400.0;
    RunwayView {
        limit: limit.id.get_ref().clone(),
        title: limit.title.clone(),
        sign: limit.sign.get_ref().clone(),
        labels: labels.clone(),
        place: words::place(labels),
        unit: limit.unit.clone(),
        value: signal.value,
        ceiling: signal.remembered.ceiling,
        limit_was: signal.limit_was,
        outlook: signal.outlook.clone(),
        sentence: words::sentence(&signal.outlook, &limit.unit),
        urgency: signal.told(lead_days),
        lead_days,
        past,
        record: past.as_ref().map(words::record).unwrap_or_default(),
        before_next,
        recent: signal
            .recent(30, now)
            .into_iter()
            .map(|v| v.is_finite().then_some(v))
            .collect(),
    }
}

/// Takes measured values; the rows are what that completed.
fn take(
    signals: &mut BTreeMap<Key, Signal>,
    measured: &[Measured],
    playbook: &Playbook,
    now: Timestamp,
) -> Vec<CapacityRow> {
    let mut rows = Vec::new();
    let mut seen = BTreeSet::new();
    for m in measured {
        let Some(limit) = playbook.limit(&m.limit) else {
            continue;
        };
        let key = (m.limit.clone(), m.labels.clone());
        let fresh = !signals.contains_key(&key);
        let signal = signals
            .entry(key.clone())
            .or_insert_with(|| Signal::new(&m.limit, &m.labels, limit.kind));
        let first = signal.value.is_nan();
        let (completed, moved) = signal.measured(m, now);
        let closed = completed != Completed::default();
        if first || moved || closed {
            signal.look_ahead(&completed, now);
        }
        if fresh || moved || closed {
            rows.push(row(&key, signal, completed));
        }
        seen.insert(key);
    }
    // What is not seen any more still has an hour to close.
    for (key, signal) in signals.iter_mut().filter(|(key, _)| !seen.contains(*key)) {
        let completed = signal.reduced.close(now);
        if completed != Completed::default() {
            signal.look_ahead(&completed, now);
            rows.push(row(key, signal, completed));
        }
    }
    rows
}

fn row((limit, labels): &Key, signal: &Signal, completed: Completed) -> CapacityRow {
    CapacityRow {
        limit: limit.clone(),
        labels: serde_json::to_string(labels).expect("labels are a map of texts"),
        json: serde_json::to_string(&signal.remembered).expect("plain numbers become JSON"),
        seen: signal.seen,
        hours: completed.hour.iter().map(hour_row).collect(),
        days: completed.day.iter().map(day_row).collect(),
    }
}

/// An hour as the state keeps it.
fn hour_row(h: &Hour) -> HourRow {
    HourRow {
        hour: h.number,
        mean: f64::from(h.mean),
        highest: f64::from(h.highest),
        last: f64::from(h.last),
        samples: i64::from(h.count),
    }
}

/// A day as the state keeps it.
fn day_row(d: &Day) -> DayRow {
    DayRow {
        day: d.number,
        peak: f64::from(d.peak),
        mean: f64::from(d.mean),
        lowest: f64::from(d.lowest),
        hours: i64::from(d.hours),
    }
}

fn hour_of(r: &HourRow) -> Hour {
    Hour {
        number: r.hour,
        mean: r.mean as f32,
        highest: r.highest as f32,
        last: r.last as f32,
        count: u16::try_from(r.samples).unwrap_or(u16::MAX),
    }
}

fn day_of(r: &DayRow) -> Day {
    Day {
        number: r.day,
        peak: r.peak as f32,
        mean: r.mean as f32,
        lowest: r.lowest as f32,
        hours: u8::try_from(r.hours).unwrap_or(u8::MAX),
    }
}

#[cfg(test)]
mod tests;
