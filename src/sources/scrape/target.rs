//! One scraped target: its settings, its series and how it is doing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use serde::Serialize;

use super::failure::Failure;
use super::http::{Client, Request};
use super::pass::{Counts, ExporterIdentity, Pass, Reading, Terms};
use super::text::BadLine;
use crate::clock::Clock;
use crate::model::labels::NAME;
use crate::model::{Batch, Labels, Selection, TargetKey, Timestamp};
use crate::sources::schedule::Schedule;
use crate::sources::series::{End, SeriesCache, Writer};

/// Every so many passes, all lines are read in full.
const VALIDATE_EVERY: u64 = 20;

/// What is known of a target beside its series.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TargetMeta {
    /// Label `job`.
    pub job: String,
    /// Label `instance`.
    pub instance: String,
    /// The machine it runs on: from the config, else the host part of its address.
    pub host: String,
    /// What it is for, in the config's words.
    pub role: Option<String>,
    /// All labels that its series get.
    pub labels: Labels,
}

/// How the last scrape went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// Not scraped yet.
    Unknown,
    /// Well, perhaps with bad lines left out.
    Up,
    /// Nothing was read.
    Down,
}

/// A target as the API shows it; holds no credential.
#[derive(Debug, Clone, Serialize)]
pub struct TargetStatus {
    /// Address, without values of parameters that look like secrets.
    pub url: String,
    /// Job, instance, host, role and labels.
    pub meta: TargetMeta,
    /// How the last scrape went.
    pub health: Health,
    /// True when the last scrape lost lines with samples.
    pub partial: bool,
    /// Why the last scrape failed: a word for it.
    pub error_reason: Option<&'static str>,
    /// Why the last scrape failed, in a sentence.
    pub error: Option<String>,
    /// When the last scrape was due.
    pub last_scrape: Option<Timestamp>,
    /// How long it took.
    pub last_duration: Option<Duration>,
    /// When the next one is due.
    pub next_due: Option<Timestamp>,
    /// Lines with samples in the last body.
    pub samples: u64,
    /// Samples of it that were kept.
    pub kept: usize,
    /// Series known.
    pub series: usize,
    /// Bad lines since the start, by reason.
    pub bad_lines: BTreeMap<&'static str, u64>,
    /// Samples left out since the start, by reason: `reserved`, `duplicate`, `future`,
    /// `relabelled`.
    pub dropped: BTreeMap<&'static str, u64>,
    /// Failed scrapes since the start, by reason.
    pub failures: BTreeMap<&'static str, u64>,
    /// Scrapes since the start.
    pub scrapes: u64,
}

/// What one scrape lost, by reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Losses {
    /// Why it failed as a whole.
    pub failure: Option<&'static str>,
    /// Bad lines.
    pub bad_lines: BTreeMap<&'static str, u64>,
    /// Samples left out.
    pub dropped: BTreeMap<&'static str, u64>,
}

/// A target that the config describes wrongly.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("scrape_configs: job {job:?}: {problem}")]
pub struct TargetError {
    /// Its job.
    pub job: String,
    /// What is wrong and what is accepted.
    pub problem: String,
}

/// One scraped target.
#[derive(Debug)]
pub struct Target {
    key: TargetKey,
    meta: TargetMeta,
    discovered: Labels,
    request: Request,
    interval: Duration,
    terms: Terms,
    settings: u64,
    /// Targets of its job and how many there may be, when that is fewer.
    over: Option<(usize, usize)>,
    shown_url: String,
    cache: SeriesCache,
    validate_next: bool,
    status: Last,
    names: BTreeSet<Box<str>>,
    identity: ExporterIdentity,
}

/// What the status tells of the past.
#[derive(Debug, Default)]
struct Last {
    scrapes: u64,
    at: Option<Timestamp>,
    duration: Option<Duration>,
    failure: Option<Failure>,
    partial: bool,
    samples: u64,
    kept: usize,
    bad: [u64; BadLine::ALL.len()],
    reserved: u64,
    duplicates: u64,
    future: u64,
    relabelled: u64,
    losses: Losses,
    failures: BTreeMap<&'static str, u64>,
}

/// What a target is made of.
pub(crate) struct TargetSettings {
    pub(crate) job: String,
    pub(crate) meta: TargetMeta,
    pub(crate) discovered: Labels,
    pub(crate) request: Request,
    pub(crate) interval: Duration,
    pub(crate) terms: Terms,
    /// A hash of what its job says, secrets included.
    pub(crate) settings: u64,
}

impl Target {
    pub(crate) fn new(made: TargetSettings) -> Target {
        let shown_url = shown(&made.request.url);
        // Two addresses that look the same when shown may differ in a hidden parameter.
        let url = made.request.url.as_str();
        let identity = made.meta.labels.with("__url__", url).fingerprint();
        Target {
            key: TargetKey(Arc::from(format!(
                "scrape/{}/{shown_url}#{identity:016x}",
                made.job
            ))),
            meta: made.meta,
            discovered: made.discovered,
            request: made.request,
            interval: made.interval,
            terms: made.terms,
            settings: made.settings,
            over: None,
            shown_url,
            cache: SeriesCache::default(),
            validate_next: true,
            status: Last::default(),
            names: BTreeSet::new(),
            identity: ExporterIdentity::default(),
        }
    }

    /// Has every scrape fail: its job has `targets` targets, more than `limit`.
    pub(crate) fn refuse(&mut self, targets: usize, limit: usize) {
        self.over = Some((targets, limit));
    }

    /// A hash of all it is made of: with equal settings a running one can go on.
    pub fn settings(&self) -> u64 {
        Labels::from_pairs([
            ("job", format!("{:x}", self.settings)),
            (
                "own",
                format!(
                    "{:?}{:?}{:?}{:?}",
                    self.interval, self.request.deadline, self.over, self.meta
                ),
            ),
        ])
        .fingerprint()
    }

    /// Its labels before relabelling.
    pub fn discovered(&self) -> &Labels {
        &self.discovered
    }

    /// Unique name, equal after every restart.
    pub fn key(&self) -> &TargetKey {
        &self.key
    }

    /// Job, instance, host, role and labels.
    pub fn meta(&self) -> &TargetMeta {
        &self.meta
    }

    /// When to scrape; `seed` spreads processes that watch the same targets.
    pub fn schedule(&self, seed: u64) -> Schedule {
        let url = self.request.url.as_str();
        let hash = self.meta.labels.with("__url__", url).fingerprint();
        Schedule::new(hash ^ seed, self.interval)
    }

    /// Metric names in the last body that was read in full, at most 5,000.
    pub fn names(&self) -> &BTreeSet<Box<str>> {
        &self.names
    }

    /// Which machine and server the target reported on in the last body that was read in full.
    pub fn exporter_identity(&self) -> &ExporterIdentity {
        &self.identity
    }

    /// Scrapes once. `at` is the pass's nominal time; the batch always holds the target's own
    /// report (`up`, `scrape_*`, `loadline_scrape_partial`) as far as somebody reads it.
    pub async fn scrape(
        &mut self,
        client: &Client,
        selection: &Selection,
        at: Timestamp,
        clock: &Clock,
    ) -> Batch {
        let stopwatch = clock.stopwatch();
        let validate = self.validate_next || self.status.scrapes.is_multiple_of(VALIDATE_EVERY);
        self.cache.begin(selection);
        let mut pass = Pass::new(&self.terms, selection, &mut self.cache, at, validate);
        let mut result = match self.over {
            Some((targets, limit)) => Err(Failure::TargetLimit(targets, limit)),
            None => client.fetch(&self.request, &mut pass).await,
        };
        if result.is_ok() {
            result = pass.finish();
        }
        let (counts, reading) = pass.into_parts();
        self.close(selection, at, stopwatch.elapsed(), result, counts, reading)
    }

    /// The end of all its series, our report's too: the target leaves the config.
    pub fn retire(&mut self, at: Timestamp) -> Batch {
        let mut batch = Batch::new(self.key.clone(), at);
        batch.gone = self.cache.clear();
        self.validate_next = true;
        batch
    }

    /// What the last scrape lost.
    pub fn losses(&self) -> &Losses {
        &self.status.losses
    }

    /// How it is doing.
    pub fn status(&self) -> TargetStatus {
        let last = &self.status;
        let by_reason = BadLine::ALL
            .iter()
            .map(|b| (b.reason(), last.bad[*b as usize]));
        let dropped = [
            ("reserved", last.reserved),
            ("duplicate", last.duplicates),
            ("future", last.future),
            ("relabelled", last.relabelled),
        ];
        TargetStatus {
            url: self.shown_url.clone(),
            meta: self.meta.clone(),
            health: match (&last.failure, last.at) {
                (_, None) => Health::Unknown,
                (None, Some(_)) => Health::Up,
                (Some(_), Some(_)) => Health::Down,
            },
            partial: last.partial,
            error_reason: last.failure.as_ref().map(Failure::reason),
            error: last.failure.as_ref().map(Failure::to_string),
            last_scrape: last.at,
            last_duration: last.duration,
            next_due: last.at.map(|at| at + self.interval),
            samples: last.samples,
            kept: last.kept,
            series: self.cache.len(),
            bad_lines: by_reason.filter(|(_, n)| *n > 0).collect(),
            dropped: dropped.into_iter().filter(|(_, n)| *n > 0).collect(),
            failures: last.failures.clone(),
            scrapes: last.scrapes,
        }
    }

    /// Turns what was read into a batch and remembers how it went.
    fn close(
        &mut self,
        selection: &Selection,
        at: Timestamp,
        took: Duration,
        result: Result<(), Failure>,
        counts: Counts,
        reading: Reading,
    ) -> Batch {
        let mut batch = Batch::new(self.key.clone(), at);
        let failure = result.err();
        batch.ok = failure.is_none();
        batch.partial = batch.ok && counts.lost_samples;
        let mut added = 0;
        if batch.ok {
            added = reading.new.len();
            batch.new = reading.new;
            batch.samples = reading.samples;
            batch.histograms = reading.histograms;
            if let (Some(names), Some(identity)) = (reading.names, reading.identity) {
                self.names = names;
                self.identity = identity;
            }
        }
        self.validate_next = failure.is_some() || counts.bad_lines() > 0;
        let report = [
            ("up", f64::from(u8::from(batch.ok))),
            ("scrape_duration_seconds", took.as_secs_f64()),
            ("scrape_samples_scraped", counts.samples as f64),
            (
                "scrape_samples_post_metric_relabeling",
                counts
                    .samples
                    .saturating_sub(counts.reserved + counts.relabelled) as f64,
            ),
            ("scrape_series_added", added as f64),
            (
                "loadline_scrape_partial",
                f64::from(u8::from(batch.partial)),
            ),
            (
                "scrape_timeout_seconds",
                self.request.deadline.as_secs_f64(),
            ),
            ("scrape_sample_limit", self.terms.sample_limit as f64),
            (
                "scrape_body_size_bytes",
                match &failure {
                    Some(Failure::BodySize(_)) => -1.0,
                    Some(_) | None => counts.bytes as f64,
                },
            ),
        ];
        let end = match (batch.ok, batch.partial) {
            (false, _) => End::Failed,
            (true, true) => End::Partial,
            (true, false) => End::Good,
        };
        let mut writer = Writer {
            cache: &mut self.cache,
            selection,
            batch: &mut batch,
            report: true,
        };
        for (name, value) in report {
            // A zero byte starts no line of a body, so no key of a body is taken for this one.
            let key = [b"\0", name.as_bytes()].concat();
            writer.put(&key, value, || self.terms.labels.with(NAME, name));
        }
        batch.gone = self.cache.end(end);
        self.status.note(at, took, failure, &batch, &counts);
        batch
    }
}

impl Last {
    fn note(
        &mut self,
        at: Timestamp,
        took: Duration,
        failure: Option<Failure>,
        batch: &Batch,
        counts: &Counts,
    ) {
        let some = |counts: &[(&'static str, u64)]| {
            let counts = counts.iter().copied();
            counts.filter(|(_, n)| *n > 0).collect()
        };
        self.losses = Losses {
            failure: failure.as_ref().map(Failure::reason),
            bad_lines: some(&BadLine::ALL.map(|b| (b.reason(), counts.bad[b as usize]))),
            dropped: some(&[
                ("reserved", counts.reserved),
                ("duplicate", counts.duplicates),
                ("future", counts.future),
                ("relabelled", counts.relabelled),
            ]),
        };
        self.scrapes += 1;
        self.at = Some(at);
        self.duration = Some(took);
        if let Some(failure) = &failure {
            *self.failures.entry(failure.reason()).or_default() += 1;
        }
        self.failure = failure;
        self.partial = batch.partial;
        self.samples = counts.samples;
        self.kept = if batch.ok { counts.kept } else { 0 };
        for (total, n) in self.bad.iter_mut().zip(counts.bad) {
            *total += n;
        }
        self.reserved += counts.reserved;
        self.duplicates += counts.duplicates;
        self.future += counts.future;
        self.relabelled += counts.relabelled;
    }
}

/// The address as people see it: values of parameters that look like secrets are starred out.
fn shown(url: &Url) -> String {
    let hidden = |name: &str| {
        let name = name.to_ascii_lowercase();
        ["token", "key", "secret", "pass", "auth", "sig", "cred"]
            .iter()
            .any(|word| name.contains(word))
    };
    let mut shown = url.clone();
    if url.query_pairs().any(|(name, _)| hidden(&name)) {
        shown
            .query_pairs_mut()
            .clear()
            .extend_pairs(url.query_pairs().map(|(name, value)| {
                let value = if hidden(&name) { "***".into() } else { value };
                (name, value)
            }));
    }
    shown.to_string()
}

#[cfg(test)]
mod tests;
