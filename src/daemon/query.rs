//! The query engine as the configuration wants it.

use std::sync::Arc;

use crate::clock::Clock;
use crate::config::{Feature, Query};
use crate::promql::{EngineOptions, ParseOptions};

/// What the engine is told.
pub(crate) fn engine_options(query: &Query, clock: &Clock) -> EngineOptions {
    let (clock, timeout) = (clock.clone(), query.timeout.0);
    EngineOptions {
        max_samples: query.max_samples,
        deadline: Some(Arc::new(move || {
            let stopwatch = clock.stopwatch();
            Box::new(move || stopwatch.elapsed() > timeout)
        })),
        parse: parse_options(&query.enable_features),
        delayed_name_removal: query.enable_features.contains(&Feature::DelayedNameRemoval),
        ..EngineOptions::default()
    }
}

/// How much of the language is accepted.
pub(crate) fn parse_options(features: &[Feature]) -> ParseOptions {
    ParseOptions {
        experimental_functions: features.contains(&Feature::ExperimentalFunctions),
        extended_range_selectors: features.contains(&Feature::ExtendedRangeSelectors),
        fill_modifiers: features.contains(&Feature::BinopFillModifiers),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::model::{QueryError, Timestamp};
    use crate::promql::Engine;
    use crate::store::Store;

    fn ask(config: &Config, expr: &str) -> Result<(), QueryError> {
        let options = engine_options(&config.query, &Clock::system());
        let engine = Engine::new(Arc::new(Store::new(10)), options);
        let at = Timestamp::from_secs(600);
        engine.instant_once(expr, at).map(|_| ())
    }

    fn config(text: &str) -> Config {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn the_config_bounds_queries_and_switches_features() {
        let late = ask(
            &config("[query]\ntimeout = \"20ms\""),
            "vector(1)[1000d:1m]",
        );
        assert!(late.unwrap_err().to_string().contains("query.timeout"));
        let large = ask(&config("[query]\nmax_samples = 1000"), "vector(1)[1d:5m]");
        assert!(large.unwrap_err().to_string().contains("query.max_samples"));
        let feature = |name: &str| format!("[query]\nenable_features = [\"promql-{name}\"]");
        for (name, expr) in [
            ("experimental-functions", "limitk(1, m)"),
            ("extended-range-selectors", "rate(m[5m] anchored)"),
            ("binop-fill-modifiers", "m + fill(0) m"),
        ] {
            let off = ask(&config(""), expr).unwrap_err().to_string();
            assert!(off.contains(&format!("promql-{name} switches")), "{off}");
            assert_eq!(ask(&config(&feature(name)), expr), Ok(()), "{expr}");
        }
    }
}
