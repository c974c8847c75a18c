//! What is watched: as configured, or, without a config file, as found on this machine.
//!
//! What must stay true: looking around is brief (under a second), on loopback and local sockets
//! only, and says what it did not get to see with the line that would fix it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use super::collect::Source;
use super::fleet::{Group, Ready, Scope};
use super::plan::Plan;
use super::seek::Places;
use crate::api::{Blind, DroppedTargets};
use crate::clock::Clock;
use crate::config::{self, Config, ScrapeConfig, Span, StaticConfig, Toggle};
use crate::model::Selection;
use crate::sources::host::memory_limit;
use crate::sources::postgres::{
    self as pg, Finding, PostgresCollector, PostgresSettings, discover,
};
use crate::sources::scrape::{Health, Place, Targets};
use crate::sources::{Client, HostCollector, Job, Schedule, Target};
use crate::store::Caps;

/// Exporters and built-in endpoints by their well-known ports.
const EXPORTERS: [(&str, u16); 7] = [
    ("node", 9100),
    ("postgres", 9187),
    ("pgbouncer", 9127),
    ("redis", 9121),
    ("rabbitmq", 15692),
    ("nginx", 9113),
    ("haproxy", 8404),
];

/// How long an exporter may take to show itself.
const PATIENCE: Duration = Duration::from_millis(800);

/// What there is to watch.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) sources: Vec<Ready>,
    pub(crate) blind: Vec<Blind>,
    /// Targets that rules dropped, by job.
    pub(crate) dropped: BTreeMap<String, DroppedTargets>,
}

/// False for a config that names no target (receivers only, say): then what is found is watched.
pub(crate) fn is_named(config: &Config) -> bool {
    !config.postgres.is_empty() || !config.scrape_configs.is_empty()
}

/// What ends when a config's sources are adopted: not what was found and is silent just now.
pub(crate) fn scope(config: &Config) -> Scope<'static> {
    if is_named(config) {
        Scope::All
    } else {
        Scope::AllButFound
    }
}

/// Sources of a plan: the configured ones with the targets found at `places`, or those found on
/// this machine when none is named.
pub(crate) async fn sources(
    plan: &Plan,
    client: &Client,
    clock: &Clock,
    places: &Places,
) -> anyhow::Result<Found> {
    let seed = seed(&plan.config);
    let mut found = if is_named(&plan.config) {
        configured(&plan.config, seed, places)?
    } else {
        around(&plan.config, client, clock).await
    };
    if plan.config.host.enabled != Toggle::Off {
        found.sources.insert(0, host(&plan.config, seed));
    }
    Ok(found)
}

/// The targets of one job, written out and found; those that make none are logged.
pub(crate) fn job(config: &Config, name: &str, places: Vec<Place>) -> Found {
    let mut found = Found::default();
    let entry = config.scrape_configs.iter().find(|c| c.job_name == name);
    if let Some(entry) = entry {
        let job = Job::new(entry, &config.global, &config.limits);
        let made = job.targets(job.written().into_iter().chain(places));
        found.add(name, made, seed(config));
    }
    found
}

impl Found {
    fn add(&mut self, job: &str, made: Targets, seed: u64) {
        for problem in &made.problems {
            tracing::warn!(%problem, "a target that was found cannot be scraped");
        }
        if let Some(first) = made.problems.first() {
            self.blind.push(Blind {
                what: format!("{} targets of job {job}", made.problems.len()),
                why: first.problem.clone(),
                fix: String::new(),
            });
        }
        if made.dropped_count > 0 {
            self.dropped.insert(
                job.to_owned(),
                DroppedTargets {
                    job: job.to_owned(),
                    count: made.dropped_count,
                    labels: made.dropped,
                },
            );
        }
        let targets = made.targets.into_iter();
        self.sources
            .extend(targets.map(|t| scrape(t, seed, Group::Job(job.to_owned()))));
    }

    /// One line per thing watched or not seen, for the log.
    pub(crate) fn describe(&self) -> Vec<String> {
        let mut lines: Vec<String> = self
            .sources
            .iter()
            .map(|r| {
                let view = r
                    .source
                    .shown(&r.schedule, &super::collect::Last::default())
                    .view;
                format!("watching {} {}", view.kind, view.name)
            })
            .collect();
        lines.extend(self.blind.iter().map(|b| {
            let fix = if b.fix.is_empty() {
                String::new()
            } else {
                format!("; to fix it: {}", b.fix)
            };
            format!("blind: {}: {}{fix}", b.what, b.why)
        }));
        lines
    }
}

/// Spreads processes that watch the same targets; equal after every restart.
fn seed(config: &Config) -> u64 {
    let node = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    crate::model::Labels::from_pairs(
        config
            .global
            .external_labels
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str()))
            .chain([("__node__", node.as_str())]),
    )
    .fingerprint()
}

fn configured(config: &Config, seed: u64, places: &Places) -> anyhow::Result<Found> {
    let mut found = Found::default();
    for entry in &config.postgres {
        let interval = entry
            .scrape_interval
            .unwrap_or(config.global.scrape_interval);
        let deadline = config.global.scrape_timeout.min(interval).0;
        let settings = PostgresSettings::from_config(entry, deadline)
            .map_err(|e| anyhow::anyhow!("[[postgres]]: {e}"))?;
        let described = format!("{entry:?}{}{deadline:?}", entry.url.expose());
        let group = Group::Named;
        found
            .sources
            .push(postgres(settings, interval, seed, described, group));
    }
    for entry in &config.scrape_configs {
        let job = Job::new(entry, &config.global, &config.limits);
        // What the config itself gets wrong is an error of the config.
        if let Some(problem) = job.targets(job.written()).problems.into_iter().next() {
            return Err(problem.into());
        }
        let looked_up = places.get(&entry.job_name).cloned().unwrap_or_default();
        let made = job.targets(job.written().into_iter().chain(looked_up));
        found.add(&entry.job_name, made, seed);
    }
    Ok(found)
}

/// What answers on this machine.
pub(crate) async fn around(config: &Config, client: &Client, clock: &Clock) -> Found {
    let seed = seed(config);
    let user = config::env::user(&config::env::process).unwrap_or_else(|| "root".to_owned());
    let places = pg::Places::default();
    let (findings, exporters) = tokio::join!(
        discover(&user, &places),
        exporters(config, client, clock, seed)
    );
    let mut found = Found::default();
    for finding in findings {
        match finding {
            Finding::Found {
                mut settings,
                has_pg_monitor,
                ..
            } => {
                settings.deadline = config.global.scrape_timeout.0;
                if !has_pg_monitor {
                    found.blind.push(Blind {
                        what: format!("postgres {}", settings.instance()),
                        why: format!(
                            "the role {} lacks pg_monitor, so some signals stay unknown",
                            settings.user()
                        ),
                        fix: format!("GRANT pg_monitor TO {};", settings.user()),
                    });
                }
                let interval = config.global.scrape_interval;
                let described = settings.instance();
                found
                    .sources
                    .push(postgres(*settings, interval, seed, described, Group::Found));
            }
            Finding::Blind {
                path,
                sentence,
                fix,
                ..
            } => found.blind.push(Blind {
                what: format!("postgres at {path}"),
                why: sentence,
                fix: fix.unwrap_or_default(),
            }),
        }
    }
    if found.sources.is_empty() && found.blind.is_empty() {
        found.blind.push(Blind {
            what: "Postgres".to_owned(),
            why: "no server answers on a local socket or 127.0.0.1:5432".to_owned(),
            fix:
                "name it in a config: [[postgres]] url = \"postgres://loadline@HOST:5432/postgres\""
                    .to_owned(),
        });
    }
    for exporter in exporters {
        match exporter {
            Probe::Answers(ready) => found.sources.push(*ready),
            Probe::Odd(blind) => found.blind.push(blind),
            Probe::Nobody => {}
        }
    }
    found
}

enum Probe {
    Answers(Box<Ready>),
    Odd(Blind),
    Nobody,
}

async fn exporters(config: &Config, client: &Client, clock: &Clock, seed: u64) -> Vec<Probe> {
    let mut probes = Vec::new();
    for (name, port) in EXPORTERS {
        let entry = exporter(name, port);
        let job = Job::new(&entry, &config.global, &config.limits);
        for target in job.targets(job.written()).targets {
            probes.push(probe(target, name, port, client, clock, seed));
        }
    }
    join_all(probes).await
}

async fn probe(
    mut target: Target,
    job: &str,
    port: u16,
    client: &Client,
    clock: &Clock,
    seed: u64,
) -> Probe {
    let selection = Selection::default();
    let looked = tokio::time::timeout(
        PATIENCE,
        target.scrape(client, &selection, clock.now(), clock),
    )
    .await;
    let status = target.status();
    match (looked, status.health) {
        (Ok(_), Health::Up) => Probe::Answers(Box::new(scrape(target, seed, Group::Found))),
        (Ok(_), Health::Down | Health::Unknown) if status.error_reason == Some("refused") => {
            Probe::Nobody
        }
        (Ok(_), Health::Down | Health::Unknown) => Probe::Odd(Blind {
            what: format!("{job} exporter on port {port}"),
            why: status
                .error
                .unwrap_or_else(|| "it does not answer as an exporter".to_owned()),
            fix: format!("if it is one, name it in [[scrape_configs]] job_name = \"{job}\""),
        }),
        (Err(_), _) => Probe::Odd(Blind {
            what: format!("{job} exporter on port {port}"),
            why: format!("something listens there and says nothing for {PATIENCE:?}"),
            fix: format!("if it is one, name it in [[scrape_configs]] job_name = \"{job}\""),
        }),
    }
}

fn exporter(job: &str, port: u16) -> ScrapeConfig {
    ScrapeConfig {
        static_configs: vec![StaticConfig {
            targets: vec![format!("127.0.0.1:{port}")],
            labels: BTreeMap::new(),
            host: None,
            role: None,
        }],
        ..ScrapeConfig::named(job)
    }
}

fn host(config: &Config, seed: u64) -> Ready {
    let collector = HostCollector::new(&config.host);
    let schedule = Schedule::new(
        collector.meta().labels.fingerprint() ^ seed,
        config.global.scrape_interval.0,
    );
    Ready {
        source: Source::Host(Box::new(collector), Arc::new(config.host.clone())),
        schedule,
        settings: hash(&format!(
            "{:?}{:?}",
            config.host, config.global.scrape_interval
        )),
        group: Group::Named,
    }
}

fn postgres(
    settings: PostgresSettings,
    interval: Span,
    seed: u64,
    described: String,
    group: Group,
) -> Ready {
    let collector = PostgresCollector::new(settings);
    let phase = hash(&collector.target().0);
    Ready {
        source: Source::Postgres(Box::new(collector)),
        schedule: Schedule::new(phase ^ seed, interval.0),
        settings: hash(&format!("{described}{interval:?}")),
        group,
    }
}

fn scrape(target: Target, seed: u64, group: Group) -> Ready {
    let schedule = target.schedule(seed);
    let settings = target.settings();
    Ready {
        source: Source::Scrape(Box::new(target)),
        schedule,
        settings,
        group,
    }
}

fn hash(text: &str) -> u64 {
    crate::model::Labels::from_pairs([("settings", text)]).fingerprint()
}

/// How much the store may hold.
pub(crate) fn caps(config: &Config) -> Caps {
    Caps::of_memory(memory(config))
}

/// The memory budget in bytes: what `limits.memory` says, else 70 % of the tightest limit of the
/// cgroups that this process is in, else 256 MiB.
pub(crate) fn memory(config: &Config) -> u64 {
    let memory = config.limits.memory.map(|b| b.0);
    let memory = memory.or_else(|| Some(memory_limit(Path::new("/"))? / 10 * 7));
    memory.unwrap_or(256 << 20)
}
