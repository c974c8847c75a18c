//! What a person may set, and its defaults.
//!
//! What must stay true: keys and defaults are what these plain structs say, and `reference` has
//! the words for them, from which the example file and the reference page are written; unknown
//! keys are errors with line and column; nothing here touches the network; only this room reads
//! the environment, and only in `env`.
//!
//! `load` parses, substitutes, reads the form (`form`), checks the sense (`check`) and resolves
//! paths (`resolve`); each step names all its problems at once.

pub mod advice;
mod check;
pub mod discovery;
pub mod env;
mod form;
pub mod glob;
pub mod global;
pub mod http;
mod load;
pub mod notify;
mod places;
pub mod query;
pub mod reference;
pub mod relabel;
mod resolve;
pub mod rules;
pub mod scrape;
pub mod secret;
pub mod sources;
pub mod store;
mod substitute;
pub mod value;

use std::collections::BTreeMap;

use serde::Deserialize;

pub use advice::{Advice, FactValue, SignAlias, SignOverride, Signs};
pub use discovery::{DnsSd, FileSd, HttpSd, RecordType};
pub use global::{Global, Server, StateDir};
pub use http::{Authorization, BasicAuth, HttpOptions};
pub use load::{Loaded, load, load_str};
pub use notify::{
    DesktopConfig, Heartbeat, LogConfig, Receiver, Route, SlackConfig, WebhookConfig,
};
pub use places::Places;
pub use query::{Feature, Query};
pub use relabel::{Action, RelabelConfig};
pub use rules::{FlappingPolicy, Missing, Rules, Shipped};
pub use scrape::{OnParseError, ScrapeConfig, ScrapeProtocol, StaticConfig};
pub use secret::{Secret, SecretSource};
pub use sources::{Host, Postgres, Toggle};
pub use store::{Keep, Limits, Store};
pub use value::{Bytes, Span};

/// Answers what an environment variable holds; `None` when it is not set.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The whole configuration, checked for form.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Defaults for all sources and rules.
    pub global: Global,
    /// Where state is kept.
    pub state: StateDir,
    /// The HTTP listener.
    pub server: Server,
    /// Bounds that are on by default.
    pub limits: Limits,
    /// What is kept in memory.
    pub store: Store,
    /// Bounds and extent of PromQL.
    pub query: Query,
    /// Rule files.
    pub rules: Rules,
    /// The advisor.
    pub advice: Advice,
    /// What the team declares: a fact's id and its value.
    pub facts: BTreeMap<String, FactValue>,
    /// Own thresholds for a sign's levels, and own alerts that stand for a sign.
    pub signs: Signs,
    /// The built-in host collector.
    pub host: Host,
    /// Watched Postgres servers.
    pub postgres: Vec<Postgres>,
    /// Scraped targets, in Prometheus's words.
    pub scrape_configs: Vec<ScrapeConfig>,
    /// Who is told what.
    pub route: Option<Route>,
    /// Where messages go, in Alertmanager's words.
    pub receivers: Vec<Receiver>,
    /// Who raises the alarm when we fall silent.
    pub heartbeat: Heartbeat,
}
