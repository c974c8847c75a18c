//! `[host]` and `[[postgres]]`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use super::secret::Secret;
use super::value::Span;

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
