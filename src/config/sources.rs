//! `[host]`, `[[postgres]]` and `[[scrape_configs]]`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use super::secret::{Secret, SecretSource};
use super::value::{Bytes, Span};

/// On, off, or on where it makes sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Toggle {
    /// On where it makes sense.
    #[default]
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

/// `[host]`: the built-in collector of this machine.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Host {
    /// `true`, `false`, or `"auto"`: off where a node_exporter of this machine is scraped.
    pub enabled: Toggle,
    /// Where the host's /proc is seen from here (containers mount it elsewhere).
    pub procfs: PathBuf,
    /// Where the host's root file system is seen from here.
    pub rootfs: PathBuf,
    /// What the machine is for: `app`, `database`, `cache`, `queue`.
    pub role: Option<String>,
    /// Further labels of this machine's series.
    pub labels: BTreeMap<String, String>,
}

impl Default for Host {
    fn default() -> Self {
        Self {
            enabled: Toggle::Auto,
            procfs: PathBuf::from("/proc"),
            rootfs: PathBuf::from("/"),
            role: None,
            labels: BTreeMap::new(),
        }
    }
}

/// `[[postgres]]`: a watched server.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Postgres {
    /// `postgres://user@host:5432/postgres`, or `postgres:///postgres?host=/run/postgresql`.
    pub url: Secret,
    /// File with the password, read at every connect.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// Databases to look into; `*` for all.
    #[serde(default = "all_databases")]
    pub databases: Vec<String>,
    /// Databases to leave out.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// What the server is for, in the team's words.
    #[serde(default)]
    pub role: Option<String>,
    /// Further labels of this server's series.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// How often it is asked; default `global.scrape_interval`.
    #[serde(default)]
    pub scrape_interval: Option<Span>,
}

fn all_databases() -> Vec<String> {
    vec!["*".to_owned()]
}

/// `[[scrape_configs]]`: targets of one job.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScrapeConfig {
    /// Label `job` of its series; unique.
    pub job_name: String,
    /// Default `global.scrape_interval`.
    #[serde(default)]
    pub scrape_interval: Option<Span>,
    /// Default `global.scrape_timeout`; at most the interval.
    #[serde(default)]
    pub scrape_timeout: Option<Span>,
    /// Path of the exposition.
    #[serde(default = "metrics_path")]
    pub metrics_path: String,
    /// `http` or `https`.
    #[serde(default = "http_scheme")]
    pub scheme: String,
    /// Query parameters.
    #[serde(default)]
    pub params: BTreeMap<String, Vec<String>>,
    /// True: the target's labels win over ours.
    #[serde(default)]
    pub honor_labels: bool,
    /// True: timestamps in the body are used.
    #[serde(default = "yes")]
    pub honor_timestamps: bool,
    /// User name and password.
    #[serde(default)]
    pub basic_auth: Option<BasicAuth>,
    /// A token or other credentials.
    #[serde(default)]
    pub authorization: Option<Authorization>,
    /// Largest body, inflated; default `limits.body_size`.
    #[serde(default)]
    pub body_size_limit: Option<Bytes>,
    /// Most samples; default `limits.samples_per_target`.
    #[serde(default)]
    pub sample_limit: Option<usize>,
    /// What a bad line does: `keep-good` keeps the rest, `fail` drops the scrape.
    #[serde(default)]
    pub on_parse_error: OnParseError,
    /// Targets, written out.
    #[serde(default)]
    pub static_configs: Vec<StaticConfig>,
}

fn metrics_path() -> String {
    "/metrics".to_owned()
}

fn http_scheme() -> String {
    "http".to_owned()
}

fn yes() -> bool {
    true
}

/// Targets with the same labels.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StaticConfig {
    /// `host:port`.
    pub targets: Vec<String>,
    /// Labels of their series.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// The machine they run on, if not told by the address.
    #[serde(default)]
    pub host: Option<String>,
    /// What they are for: `app`, `database`, `cache`, `queue`.
    #[serde(default)]
    pub role: Option<String>,
}

/// What a bad exposition line does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnParseError {
    /// Good lines are kept, bad ones counted.
    #[default]
    KeepGood,
    /// The whole scrape fails, as in Prometheus.
    Fail,
}

/// User name and password of a target.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BasicAuth {
    /// User.
    pub username: String,
    /// Password, here or in a file.
    #[serde(default)]
    pub password: Option<Secret>,
    /// File with the password, read at every scrape.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
}

/// An `Authorization` header.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Authorization {
    /// Scheme, `Bearer` by default.
    #[serde(default = "bearer", rename = "type")]
    pub scheme: String,
    /// Credentials, here or in a file.
    #[serde(default)]
    pub credentials: Option<Secret>,
    /// File with the credentials, read at every scrape.
    #[serde(default)]
    pub credentials_file: Option<PathBuf>,
}

fn bearer() -> String {
    "Bearer".to_owned()
}

impl BasicAuth {
    /// Where the password comes from.
    pub fn source(&self) -> SecretSource<'_> {
        SecretSource {
            inline: self.password.as_ref(),
            file: self.password_file.as_deref(),
        }
    }
}

impl Authorization {
    /// Where the credentials come from.
    pub fn source(&self) -> SecretSource<'_> {
        SecretSource {
            inline: self.credentials.as_ref(),
            file: self.credentials_file.as_deref(),
        }
    }
}

impl<'de> Deserialize<'de> for Toggle {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Toggle;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("true, false or \"auto\"")
            }

            fn visit_bool<E>(self, v: bool) -> Result<Toggle, E> {
                Ok(if v { Toggle::On } else { Toggle::Off })
            }

            fn visit_str<E: serde::de::Error>(self, v: &str) -> Result<Toggle, E> {
                match v {
                    "auto" => Ok(Toggle::Auto),
                    other => Err(E::invalid_value(serde::de::Unexpected::Str(other), &self)),
                }
            }
        }
        d.deserialize_any(Visitor)
    }
}
