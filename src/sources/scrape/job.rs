//! From a job's settings and what was found to targets, with Prometheus's labels and rules.
//!
//! What must stay true: a target's labels, address, path, parameters and times are what its
//! `__…__` labels say after relabelling; `__meta_*` and other `__*` labels end there; the same
//! target found twice is one; a dropped one can be shown with the labels it had.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;

use super::dialer::Dialer;
use super::http::Request;
use super::pass::Terms;
use super::relabel::relabel;
use super::target::{Target, TargetError, TargetMeta, TargetSettings};
use super::text::Bounds;
use crate::config::{Global, Limits, RelabelConfig, ScrapeConfig};
use crate::model::labels::NAME;
use crate::model::{Labels, LabelsBuilder, duration};

/// Dropped targets that are shown of one job.
const MOST_DROPPED: usize = 1_000;

/// An address that was written or found, with the labels it came with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// `host:port`
    pub address: String,
    /// Labels of its group, `__meta_*` included.
    pub labels: BTreeMap<String, String>,
}

/// What a job's places came to.
#[derive(Debug, Default)]
pub struct Targets {
    /// To be scraped.
    pub targets: Vec<Target>,
    /// Labels before relabelling of the first dropped ones.
    pub dropped: Vec<Labels>,
    /// How many were dropped.
    pub dropped_count: usize,
    /// Those that make no target.
    pub problems: Vec<TargetError>,
}

/// A scrape config with what its targets share.
#[derive(Debug)]
pub struct Job {
    config: ScrapeConfig,
    interval: Duration,
    timeout: Duration,
    bounds: Bounds,
    body_limit: u64,
    sample_limit: usize,
    metric_relabel: Arc<[RelabelConfig]>,
    dialer: Arc<Dialer>,
    settings: u64,
}

impl Job {
    /// A job with these defaults.
    pub fn new(config: &ScrapeConfig, global: &Global, limits: &Limits) -> Self {
        let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        let bounds = Bounds {
            labels: config.label_limit.unwrap_or(limits.labels),
            name: config
                .label_name_length_limit
                .unwrap_or(size(limits.name_length.0)),
            value: config
                .label_value_length_limit
                .unwrap_or(size(limits.value_length.0)),
        };
        // What finds targets says nothing about how they are scraped.
        let mut shape = config.clone();
        shape.static_configs.clear();
        shape.file_sd_configs.clear();
        shape.http_sd_configs.clear();
        shape.dns_sd_configs.clear();
        shape.relabel_configs.clear();
        let http = config.http();
        let secrets = http.inline_secrets().join("\n");
        let settings = Labels::from_pairs([
            ("config", format!("{shape:?}")),
            ("limits", format!("{limits:?}")),
            ("secrets", secrets),
        ])
        .fingerprint();
        let interval = config.scrape_interval.unwrap_or(global.scrape_interval).0;
        let timeout = config.scrape_timeout.unwrap_or(global.scrape_timeout).0;
        Self {
            interval,
            timeout: timeout.min(interval),
            bounds,
            body_limit: config.body_size_limit.unwrap_or(limits.body_size).0,
            sample_limit: config.sample_limit.unwrap_or(limits.samples_per_target),
            metric_relabel: config.metric_relabel_configs.clone().into(),
            dialer: Arc::new(Dialer::new(http)),
            settings,
            config: config.clone(),
        }
    }

    /// The job's name.
    pub fn name(&self) -> &str {
        &self.config.job_name
    }

    /// Targets that the config writes out.
    pub fn written(&self) -> Vec<Place> {
        let mut out = Vec::new();
        for group in &self.config.static_configs {
            let mut labels = group.labels.clone();
            for (name, value) in [(HOST, &group.host), (ROLE, &group.role)] {
                if let Some(value) = value {
                    labels.insert(name.to_owned(), value.clone());
                }
            }
            out.extend(group.targets.iter().map(|address| Place {
                address: address.clone(),
                labels: labels.clone(),
            }));
        }
        out
    }

    /// Makes targets of what was found.
    pub fn targets(&self, found: impl IntoIterator<Item = Place>) -> Targets {
        let mut out = Targets::default();
        let mut seen = BTreeSet::new();
        for place in found {
            let before = self.labels(&place);
            let mut labels = before.clone();
            if !relabel(&self.config.relabel_configs, &mut labels) {
                out.dropped_count += 1;
                if out.dropped.len() < MOST_DROPPED {
                    out.dropped.push(before.build());
                }
                continue;
            }
            match self.target(before.build(), labels.build()) {
                Ok(target) => {
                    if seen.insert(target.key().clone()) {
                        out.targets.push(target);
                    }
                }
                Err(problem) => out.problems.push(TargetError {
                    job: self.config.job_name.clone(),
                    problem,
                }),
            }
        }
        let (n, limit) = (out.targets.len(), self.config.target_limit);
        if n > limit {
            for target in &mut out.targets {
                target.refuse(n, limit);
            }
        }
        out
    }

    /// A found target's labels before relabelling.
    fn labels(&self, found: &Place) -> LabelsBuilder {
        let c = &self.config;
        let mut labels = LabelsBuilder::default();
        for (name, value) in &found.labels {
            labels.set(name, value);
        }
        labels.set(ADDRESS, &found.address);
        for (name, value) in [
            ("job", c.job_name.clone()),
            (INTERVAL, duration::format(self.interval)),
            (TIMEOUT, duration::format(self.timeout)),
            (PATH, c.metrics_path.clone()),
            (SCHEME, c.scheme.clone()),
        ] {
            if labels.get(name).is_empty() {
                labels.set(name, &value);
            }
        }
        for (name, values) in &c.params {
            if let Some(first) = values.first() {
                labels.set(&format!("{PARAM}{name}"), first);
            }
        }
        labels
    }

    /// A target by its labels after relabelling; the error says what is accepted.
    fn target(&self, discovered: Labels, labels: Labels) -> Result<Target, String> {
        if self.interval.is_zero() || self.timeout.is_zero() {
            return Err(
                "scrape_interval must be more than 0, and so must scrape_timeout".to_owned(),
            );
        }
        let address = labels.get(ADDRESS);
        let url = self.url(&labels)?;
        let time = |name: &str| {
            let text = labels.get(name);
            duration::parse(text).map_err(|e| format!("{name} {text:?}: {e}"))
        };
        let (interval, timeout) = (time(INTERVAL)?, time(TIMEOUT)?);
        if interval.is_zero() || timeout.is_zero() || timeout > interval {
            return Err(format!(
                "{TIMEOUT} and {INTERVAL} must be more than 0, and the first at most the second"
            ));
        }
        if labels.has(NAME) {
            return Err(format!("the label {NAME} cannot be set on a target"));
        }
        let mut shown = labels.to_builder();
        shown.retain(|name| !name.starts_with("__"));
        if shown.get("instance").is_empty() {
            shown.set("instance", address);
        }
        let public = shown.build();
        let or = |name: &str, other: &str| match labels.get(name) {
            "" => other.to_owned(),
            value => value.to_owned(),
        };
        let meta = TargetMeta {
            job: public.get("job").to_owned(),
            instance: public.get("instance").to_owned(),
            host: or(
                HOST,
                url.host_str().unwrap_or_default().trim_matches(['[', ']']),
            ),
            role: Some(labels.get(ROLE).to_owned()).filter(|r| !r.is_empty()),
            labels: public.clone(),
        };
        let dialer = if self.dialer.is_for_one() {
            Arc::new(Dialer::new(self.config.http()))
        } else {
            Arc::clone(&self.dialer)
        };
        let c = &self.config;
        let renames = c.metric_relabel_configs.iter().any(|r| r.changes(NAME));
        Ok(Target::new(TargetSettings {
            job: c.job_name.clone(),
            meta,
            discovered,
            request: Request {
                url,
                dialer,
                deadline: timeout.min(interval),
                body_limit: self.body_limit,
                protocols: c.scrape_protocols.clone(),
                fallback: c.fallback_scrape_protocol,
            },
            interval,
            terms: Terms {
                labels: public,
                honor_labels: c.honor_labels,
                honor_timestamps: c.honor_timestamps,
                on_parse_error: c.on_parse_error,
                bounds: self.bounds,
                sample_limit: self.sample_limit,
                track_timestamps: c.track_timestamps_staleness,
                relabel: Arc::clone(&self.metric_relabel),
                renames,
                classic_too: c.always_scrape_classic_histograms,
            },
            settings: self.settings,
        }))
    }

    fn url(&self, labels: &Labels) -> Result<Url, String> {
        let (address, scheme) = (labels.get(ADDRESS), labels.get(SCHEME));
        if scheme != "http" && scheme != "https" {
            return Err(format!("invalid scheme {scheme:?}; accepted: http, https"));
        }
        let bad = || {
            format!("invalid target {address:?}; accepted: host or host:port, without path or user")
        };
        if address.is_empty() || address.contains(['/', '@', '?', '#', ' ', '\\']) {
            return Err(bad());
        }
        let path = labels.get(PATH);
        let slash = if path.starts_with('/') { "" } else { "/" };
        let mut url = Url::parse(&format!("{scheme}://{address}{slash}{path}"))
            .ok()
            .filter(Url::has_host)
            .ok_or_else(bad)?;
        let mut params = self.config.params.clone();
        for (name, value) in labels.iter() {
            if let Some(name) = name.strip_prefix(PARAM) {
                let values = params.entry(name.to_owned()).or_default();
                match values.first_mut() {
                    Some(first) => value.clone_into(first),
                    None => values.push(value.to_owned()),
                }
            }
        }
        if params.values().any(|v| !v.is_empty()) {
            let mut query = url.query_pairs_mut();
            for (name, values) in &params {
                for value in values {
                    query.append_pair(name, value);
                }
            }
        }
        Ok(url)
    }
}

const ADDRESS: &str = "__address__";
const SCHEME: &str = "__scheme__";
const PATH: &str = "__metrics_path__";
const PARAM: &str = "__param_";
const INTERVAL: &str = "__scrape_interval__";
const TIMEOUT: &str = "__scrape_timeout__";
/// The machine a target runs on, if its address does not tell.
const HOST: &str = "__host__";
/// What a target is for.
const ROLE: &str = "__role__";

#[cfg(test)]
mod tests;
