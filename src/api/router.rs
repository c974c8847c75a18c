//! Routes and what stands in front of them.

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;
use tokio::sync::{Semaphore, watch};

use super::error::ApiError;
use super::{Snapshot, explain, page, prometheus};
use crate::promql::Engine;

/// What handlers may read.
#[derive(Clone)]
pub struct Shared {
    /// The daemon's newest snapshot.
    pub snapshot: watch::Receiver<Arc<Snapshot>>,
    /// Own metrics in text format 0.0.4.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// Answers queries.
    pub engine: Arc<Engine>,
    /// Time.
    pub clock: crate::clock::Clock,
    /// Metric names that some source shows, kept or not.
    pub names: Arc<dyn Fn() -> Vec<String> + Send + Sync>,
    /// Queries at once; more are refused so that rules are never late.
    pub queries: Arc<Semaphore>,
}

/// All routes. None changes anything.
pub fn router(shared: Shared) -> Router {
    Router::new()
        .route("/", get(page::index))
        .route("/metrics", get(metrics))
        .route("/-/healthy", get(|| async { "loadline is healthy.\n" }))
        .route("/-/ready", get(ready))
        .route("/api/v1/alerts", get(prometheus::alerts))
        .route("/api/v1/rules", get(prometheus::rules))
        .route("/api/v1/targets", get(prometheus::targets))
        .route("/api/v1/query", get(prometheus::query))
        .route("/api/v1/query_range", get(prometheus::query_range))
        .route("/api/v1/status", get(status))
        .route("/api/v1/status/buildinfo", get(prometheus::buildinfo))
        .route("/api/v1/loadline/status", get(status))
        .route("/api/v1/loadline/next", get(next_step))
        .route("/api/v1/loadline/explain", get(explain::explain))
        .route("/api/v1/loadline/signs", get(signs))
        .route("/api/v1/loadline/steps", get(steps))
        .route("/api/v1/loadline/runway", get(runway))
        .fallback(|| async { (StatusCode::NOT_FOUND, "not found\n") })
        .layer(middleware::from_fn(guard))
        .with_state(shared)
}

/// Answers only requests that name this machine as their host, and sets safe headers.
async fn guard(request: Request, next: Next) -> Response {
    let host = request
        .headers()
        .get(header::HOST)
        .and_then(|h| h.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    if !is_loopback_host(&host) {
        return ApiError::forbidden(
            "this address answers only as localhost, 127.0.0.1 or [::1]; the request named another \
             host",
        )
        .into_response();
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'"),
    );
    response
}

/// True for `localhost`, loopback addresses and these with a port.
fn is_loopback_host(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((inner, after)) if after.is_empty() || after.starts_with(':') => inner,
            Some(_) | None => return false,
        },
        None => host.split_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost")
        || name
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback())
}

async fn metrics(State(shared): State<Shared>) -> Response {
    (
        [(
            header::CONTENT_TYPE,
            "text/plain; version=0.0.4; charset=utf-8",
        )],
        (shared.metrics)(),
    )
        .into_response()
}

async fn ready(State(shared): State<Shared>) -> Response {
    if shared.snapshot.borrow().ready {
        "loadline is ready.\n".into_response()
    } else {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "loadline is starting: the first cycle is not over.\n",
        )
            .into_response()
    }
}

async fn status(State(shared): State<Shared>) -> Response {
    let snapshot = Arc::clone(&shared.snapshot.borrow());
    success(&*snapshot)
}

async fn next_step(State(shared): State<Shared>) -> Response {
    let snapshot = Arc::clone(&shared.snapshot.borrow());
    success(&json!({ "at": snapshot.at, "decisions": snapshot.decisions }))
}

async fn signs(State(shared): State<Shared>) -> Response {
    let snapshot = Arc::clone(&shared.snapshot.borrow());
    success(&snapshot.signs)
}

async fn steps(State(shared): State<Shared>) -> Response {
    let snapshot = Arc::clone(&shared.snapshot.borrow());
    success(&snapshot.steps)
}

async fn runway(State(shared): State<Shared>) -> Response {
    let snapshot = Arc::clone(&shared.snapshot.borrow());
    success(&snapshot.runways)
}

/// `{"status":"success","data":…}`
pub(super) fn success<T: serde::Serialize + ?Sized>(data: &T) -> Response {
    match serde_json::to_value(data) {
        Ok(data) => Json(json!({ "status": "success", "data": data })).into_response(),
        Err(e) => ApiError::execution(e.to_string()).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::is_loopback_host;

    #[test]
    fn only_this_machine_names_it() {
        for host in [
            "localhost",
            "LOCALHOST:9797",
            "127.0.0.1",
            "127.0.0.1:9797",
            "[::1]:9797",
            "[::1]",
        ] {
            assert!(is_loopback_host(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:9797",
            "localhost.evil.example",
            "10.0.0.1",
            "[::1].evil",
            "0.0.0.0",
        ] {
            assert!(!is_loopback_host(host), "{host}");
        }
    }
}
