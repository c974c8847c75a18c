//! Where targets are: files, HTTP endpoints and DNS, asked again and again.
//!
//! What must stay true: what cannot be read keeps what it said last, and says so; nothing is
//! reported twice when nothing changed; every answer has a bound.
//!
//! `groups` is the format of files and endpoints, `file`, `http` and `dns` ask.

mod dns;
mod file;
mod groups;
mod http;

use std::time::Duration;

use super::scrape::{Client, Place};
use crate::config::ScrapeConfig;
use crate::model::Labels;

/// Most targets of one provider.
const MOST_TARGETS: usize = 100_000;

/// Largest file or answer in bytes.
const MOST_BYTES: u64 = 16 << 20;

/// One `*_sd_configs` entry of a job.
#[derive(Debug)]
pub struct Provider {
    job: String,
    id: u64,
    interval: Duration,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    File(file::Files),
    Http(Box<http::Endpoint>),
    Dns(dns::Lookup),
}

/// What a look brought.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Refresh {
    /// All places of the provider, when they are not what they were.
    pub changed: Option<Vec<Place>>,
    /// What could not be read; its last places stay.
    pub problems: Vec<String>,
}

impl Provider {
    /// The providers of a job.
    pub fn of_job(config: &ScrapeConfig) -> Vec<Provider> {
        let files = config.file_sd_configs.iter().map(|c| {
            let kind = Kind::File(file::Files::new(c));
            (format!("{c:?}"), c.refresh_interval.0, kind)
        });
        let http = config.http_sd_configs.iter().map(|c| {
            let secrets = c.http().inline_secrets().join("\n");
            let kind = Kind::Http(Box::new(http::Endpoint::new(c)));
            let said = format!("{c:?}\n{}\n{secrets}", c.url.expose());
            (said, c.refresh_interval.0, kind)
        });
        let dns = config.dns_sd_configs.iter().map(|c| {
            let kind = Kind::Dns(dns::Lookup::new(c));
            (format!("{c:?}"), c.refresh_interval.0, kind)
        });
        let all = files.chain(http).chain(dns).enumerate();
        all.map(|(i, (said, interval, kind))| Provider {
            job: config.job_name.clone(),
            id: Labels::from_pairs([
                ("job", config.job_name.as_str()),
                ("place", &i.to_string()),
                ("settings", &said),
            ])
            .fingerprint(),
            interval,
            kind,
        })
        .collect()
    }

    /// The job that it serves.
    pub fn job(&self) -> &str {
        &self.job
    }

    /// Equal for equal settings of the same job.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// How often it looks.
    pub fn interval(&self) -> Duration {
        self.interval
    }

    /// The word for its kind.
    pub fn kind(&self) -> &'static str {
        match self.kind {
            Kind::File(_) => "file",
            Kind::Http(_) => "http",
            Kind::Dns(_) => "dns",
        }
    }

    /// Looks once.
    pub async fn refresh(&mut self, client: &Client) -> Refresh {
        match &mut self.kind {
            Kind::File(files) => files.refresh(),
            Kind::Http(endpoint) => endpoint.refresh(client).await,
            Kind::Dns(lookup) => lookup.refresh().await,
        }
    }
}
