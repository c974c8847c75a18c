//! One scraped target: its settings, its series and how it is doing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use serde::Serialize;

use super::failure::Failure;
use super::http::{Client, Request};
use super::pass::{Counts, ExporterIdentity, Pass, Reading, Terms};
use super::text::{BadLine, Bounds};
use crate::clock::Clock;
use crate::config::{Global, Limits, ScrapeConfig, StaticConfig};
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
    /// Samples left out since the start, by reason: `reserved`, `duplicate`, `future`.
    pub dropped: BTreeMap<&'static str, u64>,
    /// Failed scrapes since the start, by reason.
    pub failures: BTreeMap<&'static str, u64>,
    /// Scrapes since the start.
    pub scrapes: u64,
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
    request: Request,
    interval: Duration,
    terms: Terms,
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
    failures: BTreeMap<&'static str, u64>,
}

impl Target {
    /// All targets of a scrape config; the same target written twice is one.
    pub fn from_config(
        config: &ScrapeConfig,
        global: &Global,
        limits: &Limits,
    ) -> Result<Vec<Target>, TargetError> {
        let mut seen = BTreeSet::new();
        let mut targets = Vec::new();
        for group in &config.static_configs {
            for address in &group.targets {
                let target = Self::build(config, group, address, global, limits)?;
                if seen.insert(target.key.clone()) {
                    targets.push(target);
                }
            }
        }
        Ok(targets)
    }

    fn build(
        config: &ScrapeConfig,
        group: &StaticConfig,
        address: &str,
        global: &Global,
        limits: &Limits,
    ) -> Result<Target, TargetError> {
        let refuse = |problem: String| TargetError {
            job: config.job_name.clone(),
            problem,
        };
        let url = url(config, address).map_err(&refuse)?;
        let mut labels =
            Labels::from_pairs([("job", config.job_name.as_str()), ("instance", address)])
                .to_builder();
        for (name, value) in &group.labels {
            if name == NAME {
                return Err(refuse(format!(
                    "the label {NAME} cannot be set on a target"
                )));
            }
            labels.set(name, value);
        }
        let labels = labels.build();
        let interval = config.scrape_interval.unwrap_or(global.scrape_interval).0;
        let timeout = config.scrape_timeout.unwrap_or(global.scrape_timeout).0;
        if interval.is_zero() {
            return Err(refuse("scrape_interval must be more than 0".to_owned()));
        }
        let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        let meta = TargetMeta {
            job: labels.get("job").to_owned(),
            instance: labels.get("instance").to_owned(),
            host: group.host.clone().unwrap_or_else(|| {
                url.host_str()
                    .unwrap_or_default()
                    .trim_matches(['[', ']'])
                    .to_owned()
            }),
            role: group.role.clone(),
            labels: labels.clone(),
        };
        let shown_url = shown(&url);
        // Two addresses that look the same when shown may differ in a hidden parameter.
        let identity = labels.with("__url__", url.as_str()).fingerprint();
        Ok(Target {
            key: TargetKey(Arc::from(format!(
                "scrape/{}/{shown_url}#{identity:016x}",
                config.job_name
            ))),
            meta,
            request: Request {
                url,
                basic_auth: config.basic_auth.clone(),
                authorization: config.authorization.clone(),
                deadline: timeout.min(interval),
                body_limit: config.body_size_limit.unwrap_or(limits.body_size).0,
            },
            interval,
            terms: Terms {
                labels,
                honor_labels: config.honor_labels,
                honor_timestamps: config.honor_timestamps,
                on_parse_error: config.on_parse_error,
                bounds: Bounds {
                    labels: limits.labels,
                    name: size(limits.name_length.0),
                    value: size(limits.value_length.0),
                },
                sample_limit: config.sample_limit.unwrap_or(limits.samples_per_target),
            },
            shown_url,
            cache: SeriesCache::default(),
            validate_next: true,
            status: Last::default(),
            names: BTreeSet::new(),
            identity: ExporterIdentity::default(),
        })
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
        let mut result = client.fetch(&self.request, &mut pass).await;
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
                counts.samples.saturating_sub(counts.reserved) as f64,
            ),
            ("scrape_series_added", added as f64),
            (
                "loadline_scrape_partial",
                f64::from(u8::from(batch.partial)),
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
    }
}

/// The address of a target; the error says what is accepted.
fn url(config: &ScrapeConfig, address: &str) -> Result<Url, String> {
    if config.scheme != "http" && config.scheme != "https" {
        return Err(format!(
            "invalid scheme {:?}; accepted: http, https",
            config.scheme
        ));
    }
    let bad =
        || format!("invalid target {address:?}; accepted: host or host:port, without path or user");
    if address.is_empty() || address.contains(['/', '@', '?', '#', ' ', '\\']) {
        return Err(bad());
    }
    let slash = if config.metrics_path.starts_with('/') {
        ""
    } else {
        "/"
    };
    let text = format!(
        "{}://{address}{slash}{}",
        config.scheme, config.metrics_path
    );
    let mut url = Url::parse(&text).map_err(|_| bad())?;
    if !config.params.is_empty() {
        let mut query = url.query_pairs_mut();
        for (name, values) in &config.params {
            for value in values {
                query.append_pair(name, value);
            }
        }
    }
    Ok(url)
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
