//! When a limit will be reached: the input from the forecast.

use serde::{Deserialize, Serialize};

use crate::model::Labels;

/// Days until one limit is reached, with an interval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Runway {
    /// Which limit, e.g. `postgres-connections`; where `sign` is not set, the sign that owns it.
    pub limit: String,
    /// The sign that owns the limit and whose row answers.
    #[serde(default)]
    pub sign: Option<String>,
    /// Where it is.
    #[serde(default = "Labels::empty")]
    pub labels: Labels,
    /// Days to the near end of the interval; nine of ten outcomes come later.
    #[serde(default)]
    pub p10: Option<f64>,
    /// Days to the middle of it; none when it is not reached in sight.
    #[serde(default)]
    pub p50: Option<f64>,
    /// Days to the far end of it.
    #[serde(default)]
    pub p90: Option<f64>,
}

impl Runway {
    /// The sign that owns the limit.
    pub fn owner(&self) -> &str {
        self.sign.as_deref().unwrap_or(&self.limit)
    }
}
