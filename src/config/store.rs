//! `[limits]` and `[store]`.

use serde::Deserialize;

use super::value::Bytes;

/// `[limits]`: bounds that are on by default; each counts when it bites.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Largest exposition, inflated.
    pub body_size: Bytes,
    /// Most stored samples of one target.
    pub samples_per_target: usize,
    /// Most labels of one series, the target's included.
    pub labels: usize,
    /// Longest metric or label name in bytes.
    pub name_length: Bytes,
    /// Longest label value in bytes.
    pub value_length: Bytes,
    /// Memory budget; default 70 % of the cgroup limit, else 256MiB. Sizes the series cap.
    pub memory: Option<Bytes>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_size: Bytes(64 << 20),
            samples_per_target: 50_000,
            labels: 64,
            name_length: Bytes(256),
            value_length: Bytes(4096),
            memory: None,
        }
    }
}

/// `[store]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Store {
    /// `selected`: only series that something reads; `all`: everything scraped.
    pub keep: Keep,
    /// Further selectors to keep, e.g. `node_load1` or `{job="api"}`.
    pub pin: Vec<String>,
}

/// Which series are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Keep {
    /// Series that a rule, query, limit, fact or pin selects.
    #[default]
    Selected,
    /// Every series.
    All,
}
