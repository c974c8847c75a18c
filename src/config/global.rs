//! `[global]`, `[state]` and `[server]`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::value::{Bytes, Span};

/// `[global]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Global {
    /// How often targets are read.
    pub scrape_interval: Span,
    /// How long one read may take; at most the interval.
    pub scrape_timeout: Span,
    /// How often rules are evaluated.
    pub evaluation_interval: Span,
    /// How often this machine is looked over for what to watch, when the config names nothing.
    pub discovery_interval: Span,
    /// Labels added to every message.
    pub external_labels: BTreeMap<String, String>,
    /// Time zone of messages, e.g. `Europe/Berlin`; default: the system's.
    pub timezone: Option<String>,
}

impl Default for Global {
    fn default() -> Self {
        Self {
            scrape_interval: Span(Duration::from_secs(15)),
            scrape_timeout: Span(Duration::from_secs(10)),
            evaluation_interval: Span(Duration::from_secs(60)),
            discovery_interval: Span(Duration::from_secs(300)),
            external_labels: BTreeMap::new(),
            timezone: None,
        }
    }
}

/// `[state]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StateDir {
    /// Folder of the state database; default `$STATE_DIRECTORY`, else
    /// `$XDG_STATE_HOME/loadline`, else `~/.local/state/loadline`.
    pub dir: Option<PathBuf>,
    /// Most bytes of the samples file, from which windows are full again after a restart; 0 keeps
    /// none.
    pub samples_max: Bytes,
    /// How often samples are added to it, 1 s to 1 min: what a kill may lose.
    pub samples_interval: Span,
}

impl Default for StateDir {
    fn default() -> Self {
        Self {
            dir: None,
            samples_max: Bytes(1 << 30),
            samples_interval: Span(Duration::from_secs(30)),
        }
    }
}

/// `[server]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    /// Address of the page and the API; only loopback is accepted.
    pub listen: String,
    /// Where people reach the page, for links in messages.
    pub external_url: Option<String>,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:9797".to_owned(),
            external_url: None,
        }
    }
}
