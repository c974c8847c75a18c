//! `[global]`, `[state]` and `[server]`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::value::Span;

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
            external_labels: BTreeMap::new(),
            timezone: None,
        }
    }
}

/// `[state]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StateDir {
    /// Folder of the state database; default `$STATE_DIRECTORY`, else
    /// `$XDG_STATE_HOME/loadline`, else `~/.local/state/loadline`.
    pub dir: Option<PathBuf>,
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
