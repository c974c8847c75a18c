//! Why a rule says what it says: what each of its selectors finds.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::error::ApiError;
use super::router::{Shared, success};
use super::snapshot::{Explanation, RuleView, SelectorView};
use crate::model::labels::NAME;
use crate::model::{MatchOp, Matcher, Timestamp};
use crate::promql::{self, Engine};

/// Names that are shown instead of one that does not exist.
const NEAREST: usize = 3;
/// Below this likeness (0 to 1) a name is no help.
const LIKENESS: f64 = 0.6;

#[derive(Debug, Deserialize)]
pub(super) struct Params {
    rule: String,
}

/// `/api/v1/loadline/explain?rule=NAME`: all rules of that name.
pub(super) async fn explain(
    State(shared): State<Shared>,
    Query(params): Query<Params>,
) -> Response {
    let snapshot = Arc::clone(&shared.snapshot.borrow());
    let rules: Vec<(String, RuleView)> = snapshot
        .groups
        .iter()
        .flat_map(|g| g.rules.iter().map(|r| (g.key.clone(), r.clone())))
        .filter(|(_, r)| r.name == params.rule)
        .collect();
    if rules.is_empty() {
        let all = snapshot
            .groups
            .iter()
            .flat_map(|g| g.rules.iter().map(|r| r.name.clone()));
        let near = nearest(&params.rule, all);
        let hint = if near.is_empty() {
            String::new()
        } else {
            format!("; nearest: {}", near.join(", "))
        };
        return ApiError::not_found(format!("no rule is called {:?}{hint}", params.rule))
            .into_response();
    }
    let Ok(_permit) = Arc::clone(&shared.queries).try_acquire_owned() else {
        return ApiError::busy("too many queries at once; try again").into_response();
    };
    let at = shared.clock.now();
    let explained = tokio::task::spawn_blocking(move || {
        let names = (shared.names)();
        rules
            .into_iter()
            .map(|(group, rule)| Explanation {
                selectors: selectors(&rule.expr, &shared.engine, &names, at),
                group,
                rule,
            })
            .collect::<Vec<_>>()
    })
    .await;
    match explained {
        Ok(explained) => success(&explained),
        Err(e) => ApiError::execution(format!("the explanation failed: {e}")).into_response(),
    }
}

fn selectors(expr: &str, engine: &Engine, names: &[String], at: Timestamp) -> Vec<SelectorView> {
    let Ok(expr) = promql::parse_with(expr, engine.options().parse) else {
        return Vec::new();
    };
    let mut seen = Vec::new();
    for need in expr.needs() {
        let selector = selector(&need.matchers);
        if seen.iter().any(|s: &SelectorView| s.selector == selector) {
            continue;
        }
        let name = need
            .matchers
            .iter()
            .find(|m| m.name == NAME && m.op == MatchOp::Equal);
        let of_that_name = name.map_or(0, |n| {
            count(&format!("{{__name__={:?}}}", n.value), engine, at)
        });
        let unknown = name.filter(|n| of_that_name == 0 && !names.contains(&n.value));
        seen.push(SelectorView {
            series: count(&selector, engine, at),
            of_that_name,
            nearest: unknown
                .map(|n| nearest(&n.value, names.iter().cloned()))
                .unwrap_or_default(),
            selector,
        });
    }
    seen
}

fn selector(matchers: &[Matcher]) -> String {
    let name = matchers
        .iter()
        .find(|m| m.name == NAME && m.op == MatchOp::Equal);
    let rest: Vec<String> = matchers
        .iter()
        .filter(|m| name != Some(*m))
        .map(ToString::to_string)
        .collect();
    let name = name.map_or("", |n| n.value.as_str());
    if rest.is_empty() {
        name.to_owned()
    } else {
        format!("{name}{{{}}}", rest.join(","))
    }
}

fn count(selector: &str, engine: &Engine, at: Timestamp) -> usize {
    let answer = engine.instant_once(&format!("count({selector})"), at).ok();
    let vector = answer
        .and_then(crate::model::Answer::into_vector)
        .unwrap_or_default();
    vector.first().map_or(0, |v| v.value as usize)
}

fn nearest(name: &str, names: impl Iterator<Item = String>) -> Vec<String> {
    let mut found: Vec<(f64, String)> = names
        .map(|n| (strsim::jaro_winkler(name, &n), n))
        .filter(|(likeness, _)| *likeness >= LIKENESS)
        .collect();
    found.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    found.dedup();
    found.into_iter().take(NEAREST).map(|(_, n)| n).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_names_come_first() {
        let names = ["pg_up", "pg_stat_activity_count", "node_load1"].map(str::to_owned);
        assert_eq!(
            nearest("pg_stat_activty_count", names.into_iter())[0],
            "pg_stat_activity_count"
        );
    }
}
