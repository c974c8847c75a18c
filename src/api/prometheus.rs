//! Prometheus-shaped answers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use serde_json::{Value as Json, json};

use super::error::ApiError;
use super::router::{Shared, success};
use super::snapshot::{RuleKind, SourceHealth, SourceView};
use super::{RuleView, Snapshot};
use crate::model::{Answer, Histogram, QueryError, Timestamp, Value, duration};
use crate::promql::Engine;
use crate::rules::{Alert, AlertState};

/// `/api/v1/alerts`: pending and firing alerts.
pub(super) async fn alerts(State(shared): State<Shared>) -> Response {
    let snapshot = Arc::clone(&shared.snapshot.borrow());
    let alerts: Vec<Json> = snapshot.alerts.iter().filter_map(alert).collect();
    success(&json!({ "alerts": alerts }))
}

fn alert(alert: &Alert) -> Option<Json> {
    let (state, active_at, kept) = match alert.state {
        AlertState::Pending { active_at } => ("pending", active_at, None),
        AlertState::Firing {
            active_at,
            kept_since,
            ..
        } => ("firing", active_at, kept_since),
        AlertState::Resolved { .. } => return None,
    };
    let mut out = json!({
        "labels": alert.labels,
        "annotations": alert.annotations,
        "state": state,
        "activeAt": active_at.to_rfc3339(),
        "value": format_float(alert.value),
    });
    if let Some(since) = kept {
        out["keepFiringSince"] = json!(since.to_rfc3339());
    }
    Some(out)
}

/// `/api/v1/rules`, with Prometheus's `type`, `rule_name[]` and `rule_group[]` filters.
pub(super) async fn rules(
    State(shared): State<Shared>,
    Query(params): Query<Vec<(String, String)>>,
) -> Response {
    let wanted = |key: &str, have: &str| {
        let mut named = params.iter().filter(|(k, _)| k == key).peekable();
        named.peek().is_none() || named.any(|(_, v)| v == have)
    };
    let kind = params
        .iter()
        .find(|(k, _)| k == "type")
        .map(|(_, v)| v.as_str());
    if !matches!(kind, None | Some("alert" | "record")) {
        return ApiError::bad_data("type must be alert or record").into_response();
    }
    let snapshot = Arc::clone(&shared.snapshot.borrow());
    let groups: Vec<Json> = snapshot
        .groups
        .iter()
        .filter(|g| wanted("rule_group[]", &g.name))
        .filter_map(|g| {
            let rules: Vec<Json> = g
                .rules
                .iter()
                .filter(|r| match r.kind {
                    RuleKind::Alerting => kind != Some("record"),
                    RuleKind::Recording => kind != Some("alert"),
                })
                .filter(|r| wanted("rule_name[]", &r.name))
                .map(|r| rule(&snapshot, &g.key, r))
                .collect();
            (!rules.is_empty()).then(|| {
                json!({
                    "name": g.name,
                    "file": g.file,
                    "interval": g.interval_seconds,
                    "limit": 0,
                    "evaluationTime": g.seconds,
                    "lastEvaluation": g.last.unwrap_or_default().to_rfc3339(),
                    "rules": rules,
                })
            })
        })
        .collect();
    success(&json!({ "groups": groups }))
}

fn rule(snapshot: &Snapshot, group: &str, rule: &RuleView) -> Json {
    let mut out = json!({
        "name": rule.name,
        "query": rule.expr,
        "labels": rule.labels,
        "health": rule.health,
        "lastError": rule.last_error.clone().unwrap_or_default(),
    });
    match rule.kind {
        RuleKind::Recording => out["type"] = json!("recording"),
        RuleKind::Alerting => {
            let mine: Vec<&Alert> = snapshot
                .alerts
                .iter()
                .filter(|a| a.group == group && a.rule == rule.name)
                .filter(|a| {
                    rule.labels
                        .iter()
                        .all(|(k, v)| v.contains("{{") || a.labels.get(k) == v)
                })
                .collect();
            let state = if mine.iter().any(|a| a.is_firing()) {
                "firing"
            } else if mine
                .iter()
                .any(|a| matches!(a.state, AlertState::Pending { .. }))
            {
                "pending"
            } else {
                "inactive"
            };
            out["type"] = json!("alerting");
            out["state"] = json!(state);
            out["duration"] = json!(rule.for_seconds);
            out["keepFiringFor"] = json!(rule.keep_firing_for_seconds);
            out["annotations"] = json!(rule.annotations);
            out["alerts"] = mine.into_iter().filter_map(alert).collect();
        }
    }
    out
}

/// `/api/v1/targets`: every source, built-in collectors included, and what rules dropped;
/// `state=active` or `state=dropped` shows one of both, `scrapePool` one job.
pub(super) async fn targets(
    State(shared): State<Shared>,
    Query(params): Query<BTreeMap<String, String>>,
) -> Response {
    let (active, dropped) = match params.get("state").map(String::as_str) {
        None | Some("any") => (true, true),
        Some("active") => (true, false),
        Some("dropped") => (false, true),
        Some(_) => {
            return ApiError::bad_data("state must be active, dropped or any").into_response();
        }
    };
    let pool = params.get("scrapePool").map(String::as_str);
    let wanted = |job: &str| pool.is_none_or(|p| p.is_empty() || p == job);
    let snapshot = Arc::clone(&shared.snapshot.borrow());
    let sources = snapshot.sources.iter().filter(|_| active);
    let targets: Vec<Json> = sources
        .filter(|s| wanted(scrape_pool(s)))
        .map(|s| {
            let health = match s.health {
                SourceHealth::Unknown => "unknown",
                SourceHealth::Up | SourceHealth::Partial => "up",
                SourceHealth::Down => "down",
            };
            let error = if health == "up" {
                ""
            } else {
                s.detail.as_str()
            };
            json!({
                "discoveredLabels": s.discovered,
                "labels": s.labels,
                "scrapePool": scrape_pool(s),
                "scrapeUrl": s.name,
                "globalUrl": s.name,
                "lastError": error,
                "lastScrape": s.last.unwrap_or_default().to_rfc3339(),
                "lastScrapeDuration": s.seconds,
                "health": health,
                "scrapeInterval": format!("{}s", s.interval_seconds),
                "scrapeTimeout": s.discovered.get("__scrape_timeout__"),
            })
        })
        .collect();
    let mut gone: Vec<Json> = Vec::new();
    let mut counts = serde_json::Map::new();
    for job in snapshot.dropped.iter().filter(|d| wanted(&d.job)) {
        counts.insert(job.job.clone(), json!(job.count));
        let shown = job.labels.iter().filter(|_| dropped);
        gone.extend(shown.map(|l| json!({ "discoveredLabels": l, "scrapePool": job.job })));
    }
    success(&json!({
        "activeTargets": targets,
        "droppedTargets": gone,
        "droppedTargetCounts": counts,
    }))
}

/// The job's name in the config; a rule may have given the target another label.
fn scrape_pool(source: &SourceView) -> &str {
    source.labels.get("job")
}

/// `/api/v1/query`: one expression at one time.
pub(super) async fn query(
    State(shared): State<Shared>,
    Query(params): Query<BTreeMap<String, String>>,
) -> Response {
    let Some(expr) = params.get("query").cloned() else {
        return ApiError::bad_data("missing parameter: query").into_response();
    };
    let at = match params.get("time").map(|t| parse_time(t)) {
        None => shared.clock.now(),
        Some(Some(t)) => t,
        Some(None) => {
            return ApiError::bad_data("time must be Unix seconds or RFC 3339").into_response();
        }
    };
    answer(&shared, at, move |engine| engine.instant_once(&expr, at)).await
}

/// `/api/v1/query_range`: one expression at every step from start to end.
pub(super) async fn query_range(
    State(shared): State<Shared>,
    Query(params): Query<BTreeMap<String, String>>,
) -> Response {
    let time = |key: &str| params.get(key).and_then(|t| parse_time(t));
    let (Some(expr), Some(start), Some(end)) =
        (params.get("query").cloned(), time("start"), time("end"))
    else {
        return ApiError::bad_data(
            "query, start and end are needed; times are Unix seconds or RFC 3339",
        )
        .into_response();
    };
    let Some(step) = params.get("step").and_then(|s| parse_step(s)) else {
        return ApiError::bad_data("step must be seconds or a duration such as 15s, and over 0")
            .into_response();
    };
    if end < start {
        return ApiError::bad_data("end must not be before start").into_response();
    }
    answer(&shared, end, move |engine| {
        engine.range(&expr, start, end, step)
    })
    .await
}

/// Runs a query on a thread of its own, as long as there is a place.
async fn answer(
    shared: &Shared,
    at: Timestamp,
    ask: impl FnOnce(&Engine) -> Result<Answer, QueryError> + Send + 'static,
) -> Response {
    let Ok(_permit) = Arc::clone(&shared.queries).try_acquire_owned() else {
        return ApiError::busy("too many queries at once; try again").into_response();
    };
    let engine = Arc::clone(&shared.engine);
    match tokio::task::spawn_blocking(move || ask(&engine)).await {
        Ok(Ok(answer)) => {
            let mut body = json!({ "status": "success", "data": value(&answer.value, at) });
            if !answer.warnings.is_empty() {
                body["warnings"] = json!(answer.warnings);
            }
            if !answer.infos.is_empty() {
                body["infos"] = json!(answer.infos);
            }
            axum::Json(body).into_response()
        }
        Ok(Err(QueryError::Parse(e))) => ApiError::bad_data(e).into_response(),
        Ok(Err(e)) => ApiError::execution(e.to_string()).into_response(),
        Err(e) => ApiError::execution(format!("the query failed: {e}")).into_response(),
    }
}

fn value(value: &Value, at: Timestamp) -> Json {
    let point = |v: f64| json!([at.as_secs_f64(), format_float(v)]);
    match value {
        Value::Scalar(v) => json!({ "resultType": "scalar", "result": point(*v) }),
        Value::String(s) => {
            json!({ "resultType": "string", "result": [at.as_secs_f64(), s] })
        }
        Value::Vector(elements) => {
            let result: Vec<Json> = elements
                .iter()
                .map(|e| match &e.histogram {
                    None => json!({ "metric": e.labels, "value": point(e.value) }),
                    Some(h) => json!({
                        "metric": e.labels,
                        "histogram": [at.as_secs_f64(), histogram(h)],
                    }),
                })
                .collect();
            json!({ "resultType": "vector", "result": result })
        }
        Value::Matrix(series) => {
            let result: Vec<Json> = series
                .iter()
                .map(|series| {
                    let values: Vec<Json> = series
                        .samples
                        .iter()
                        .map(|s| json!([s.t.as_secs_f64(), format_float(s.v)]))
                        .collect();
                    let histograms: Vec<Json> = series
                        .histograms
                        .iter()
                        .map(|(t, h)| json!([t.as_secs_f64(), histogram(h)]))
                        .collect();
                    let mut out = json!({ "metric": series.labels });
                    if !values.is_empty() || histograms.is_empty() {
                        out["values"] = json!(values);
                    }
                    if !histograms.is_empty() {
                        out["histograms"] = json!(histograms);
                    }
                    out
                })
                .collect();
            json!({ "resultType": "matrix", "result": result })
        }
    }
}

/// A native histogram as Prometheus writes it in JSON: its buckets that are not empty, each with
/// which of its bounds belong to it (0: upper, 1: lower, 2: none, 3: both).
fn histogram(h: &Histogram) -> Json {
    let buckets: Vec<Json> = h
        .buckets()
        .iter()
        .map(|b| {
            let boundaries = match h.inclusive(b) {
                (false, true) => 0,
                (true, false) => 1,
                (false, false) => 2,
                (true, true) => 3,
            };
            json!([
                boundaries,
                format_float(b.lower),
                format_float(b.upper),
                format_float(b.count)
            ])
        })
        .collect();
    let mut out = json!({ "count": format_float(h.count), "sum": format_float(h.sum) });
    if !buckets.is_empty() {
        out["buckets"] = json!(buckets);
    }
    out
}

/// `/api/v1/status/buildinfo`
pub(super) async fn buildinfo() -> Response {
    success(&json!({ "version": env!("CARGO_PKG_VERSION"), "application": "loadline" }))
}

/// As Prometheus writes floats in JSON.
fn format_float(v: f64) -> String {
    if v.is_nan() {
        "NaN".to_owned()
    } else if v.is_infinite() {
        if v > 0.0 {
            "+Inf".to_owned()
        } else {
            "-Inf".to_owned()
        }
    } else {
        format!("{v}")
    }
}

fn parse_step(text: &str) -> Option<Duration> {
    let step = match text.parse::<f64>() {
        Ok(secs) => Duration::try_from_secs_f64(secs).ok()?,
        Err(_) => duration::parse(text).ok()?,
    };
    (step >= Duration::from_millis(1)).then_some(step)
}

fn parse_time(text: &str) -> Option<Timestamp> {
    if let Ok(secs) = text.parse::<f64>() {
        let millis = secs * 1000.0;
        return (millis.is_finite() && millis.abs() < 9.0e15).then_some(Timestamp(millis as i64));
    }
    text.parse::<jiff::Timestamp>()
        .ok()
        .map(|t| Timestamp(t.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Labels, MatrixSeries, Sample, VectorSample};

    #[test]
    fn histograms_are_written_as_prometheus_does() {
        let h = Arc::new(Histogram {
            count: 7.0,
            sum: 1e21,
            zero_threshold: 0.5,
            zero_count: 1.0,
            positive: vec![(1, 2.0), (2, 0.0), (3, 3.5)],
            negative: vec![(1, 0.5)],
            ..Histogram::default()
        });
        let labels = Labels::from_pairs([("a", "b")]);
        let sample = VectorSample {
            histogram: Some(Arc::clone(&h)),
            ..VectorSample::float(labels.clone(), 0.0)
        };
        let at = Timestamp(1500);
        let written = json!({
            "count": "7",
            "sum": "1000000000000000000000",
            "buckets": [
                [1, "-2", "-1", "0.5"],
                [3, "-0.5", "0.5", "1"],
                [0, "1", "2", "2"],
                [0, "4", "8", "3.5"],
            ],
        });
        assert_eq!(
            value(&Value::Vector(vec![sample]), at)["result"],
            json!([{ "metric": { "a": "b" }, "histogram": [1.5, written] }])
        );
        let float = Sample { t: at, v: 2.0 };
        let matrix = |samples: Vec<Sample>, histograms: Vec<(Timestamp, Arc<Histogram>)>| {
            let labels = labels.clone();
            let row = MatrixSeries {
                labels,
                samples,
                histograms,
            };
            value(&Value::Matrix(vec![row]), at)["result"][0].clone()
        };
        assert_eq!(
            matrix(vec![float], vec![(Timestamp(2500), h)]),
            json!({
                "metric": { "a": "b" },
                "values": [[1.5, "2"]],
                "histograms": [[2.5, written]],
            })
        );
        assert!(matrix(vec![float], vec![]).get("histograms").is_none());
    }
}
