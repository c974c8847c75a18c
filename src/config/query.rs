//! `[query]`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;

use super::value::Span;

/// `[query]`: bounds of one PromQL query, of rules and of people alike, and what the language
/// holds beyond its stable part.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Query {
    /// Longest evaluation of one query.
    pub timeout: Span,
    /// Most samples that one query may hold in memory at once.
    pub max_samples: usize,
    /// Parts of PromQL that Prometheus has behind `--enable-feature`.
    pub enable_features: Vec<Feature>,
}

impl Default for Query {
    fn default() -> Self {
        Self {
            timeout: Span(Duration::from_secs(10)),
            max_samples: 5_000_000,
            enable_features: Vec::new(),
        }
    }
}

/// A part of PromQL that is off by default, under Prometheus's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Feature {
    /// Experimental functions and aggregations.
    #[serde(rename = "promql-experimental-functions")]
    ExperimentalFunctions,
    /// `anchored` and `smoothed`.
    #[serde(rename = "promql-extended-range-selectors")]
    ExtendedRangeSelectors,
    /// `fill`, `fill_left`, `fill_right`.
    #[serde(rename = "promql-binop-fill-modifiers")]
    BinopFillModifiers,
    /// Metric names go at the end of a query, not in each function.
    #[serde(rename = "promql-delayed-name-removal")]
    DelayedNameRemoval,
}

impl Feature {
    /// All of them.
    pub const ALL: [Feature; 4] = [
        Feature::ExperimentalFunctions,
        Feature::ExtendedRangeSelectors,
        Feature::BinopFillModifiers,
        Feature::DelayedNameRemoval,
    ];

    /// Prometheus's name.
    pub fn name(self) -> &'static str {
        match self {
            Feature::ExperimentalFunctions => "promql-experimental-functions",
            Feature::ExtendedRangeSelectors => "promql-extended-range-selectors",
            Feature::BinopFillModifiers => "promql-binop-fill-modifiers",
            Feature::DelayedNameRemoval => "promql-delayed-name-removal",
        }
    }
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Feature {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Feature::ALL
            .into_iter()
            .find(|f| f.name() == text)
            .ok_or_else(|| {
                let names = Feature::ALL.map(Feature::name).join(", ");
                format!("no such feature; accepted: {names}")
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_in_a_file_is_the_name_of_the_flag() {
        for feature in Feature::ALL {
            let text = format!("enable_features = [{:?}]", feature.name());
            let query: Query = toml::from_str(&text).unwrap();
            assert_eq!(query.enable_features, [feature]);
            assert_eq!(feature.name().parse(), Ok(feature));
        }
    }
}
