//! One scrape's GET: bounded in time and bytes.
//!
//! What must stay true: one deadline covers waiting for room, resolving, connecting, headers and
//! body; a body is inflated as a stream under a cap; `dialer` keeps credentials with their host.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE};
use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Response, StatusCode, Url};
use tokio::sync::Semaphore;

use super::dialer::{self, Dialer, root_cause, shortened};
use super::failure::Failure;
use super::pass::Pass;
use super::text::Format;
use crate::config::ScrapeProtocol;

/// Most bytes of a body that are taken at a time.
const WINDOW: usize = 256 << 10;

/// What a scrape under way may take: its connection's buffers, a line, its samples so far.
const PER_SCRAPE: u64 = 128 << 10;

/// Connections to all targets.
#[derive(Debug, Clone)]
pub struct Client {
    plain: reqwest::Client,
    /// Room for scrapes under way.
    room: Arc<Semaphore>,
}

/// What is sent to one target.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// Address, without credentials.
    pub(crate) url: Url,
    pub(crate) dialer: Arc<Dialer>,
    /// Over everything.
    pub(crate) deadline: Duration,
    /// Most bytes of a body, inflated.
    pub(crate) body_limit: u64,
    /// Formats to ask for.
    pub(crate) protocols: Vec<ScrapeProtocol>,
    /// How a body without a known type is read.
    pub(crate) fallback: Option<ScrapeProtocol>,
}

impl Client {
    /// A client for all scrapes, of which a quarter of `memory` bytes may be under way at once;
    /// the error says why TLS could not be set up.
    pub fn new(memory: u64) -> Result<Self, String> {
        let room = (memory / 4 / PER_SCRAPE).clamp(64, 4096);
        Ok(Client {
            plain: dialer::plain()?,
            room: Arc::new(Semaphore::new(usize::try_from(room).unwrap_or(64))),
        })
    }

    /// GETs something that is no target.
    pub(crate) async fn get(
        &self,
        dialer: &Dialer,
        url: &Url,
        headers: &HeaderMap,
    ) -> Result<Response, Failure> {
        dialer.get(&self.plain, url, headers).await
    }

    /// Fetches a target and feeds its body to `pass`.
    pub(crate) async fn fetch(
        &self,
        request: &Request,
        pass: &mut Pass<'_>,
    ) -> Result<(), Failure> {
        let waits = AtomicBool::new(true);
        let fetched = async {
            // Never closed, so a permit always comes.
            let _room = self.room.acquire().await;
            waits.store(false, Ordering::Relaxed);
            let headers = request.headers();
            let response = self.get(&request.dialer, &request.url, &headers).await?;
            match response.status() {
                StatusCode::OK => read(response, request, pass).await,
                other => Err(Failure::Status(other.as_u16())),
            }
        };
        match tokio::time::timeout(request.deadline, fetched).await {
            Ok(result) => result,
            Err(_) if waits.load(Ordering::Relaxed) => Err(Failure::Busy),
            Err(_) => Err(Failure::Timeout(request.deadline)),
        }
    }
}

impl Request {
    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let mut add = |name, text: &str| {
            if let Ok(value) = HeaderValue::from_str(text) {
                headers.insert(name, value);
            }
        };
        add(ACCEPT, &accepted(&self.protocols));
        add(ACCEPT_ENCODING, "gzip");
        let seconds = self.deadline.as_secs_f64().to_string();
        let timeout =
            reqwest::header::HeaderName::from_static("x-prometheus-scrape-timeout-seconds");
        add(timeout, &seconds);
        headers
    }
}

/// The `Accept` header, weighted as Prometheus does.
fn accepted(protocols: &[ScrapeProtocol]) -> String {
    let mut weight = 6usize;
    let mut out = String::new();
    for protocol in protocols {
        let name = match protocol {
            ScrapeProtocol::PrometheusProto => {
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
                 encoding=delimited"
            }
            ScrapeProtocol::OpenMetricsText1_0_0 => {
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8"
            }
            ScrapeProtocol::OpenMetricsText0_0_1 => "application/openmetrics-text;version=0.0.1",
            ScrapeProtocol::PrometheusText1_0_0 => "text/plain;version=1.0.0;escaping=allow-utf-8",
            ScrapeProtocol::PrometheusText0_0_4 => "text/plain;version=0.0.4",
        };
        let _ = write!(out, "{name};q=0.{weight},");
        weight = weight.saturating_sub(1).max(1);
    }
    let _ = write!(out, "*/*;q=0.{weight}");
    out
}

async fn read(
    mut response: Response,
    request: &Request,
    pass: &mut Pass<'_>,
) -> Result<(), Failure> {
    let body_limit = request.body_limit;
    let header = |name| {
        response
            .headers()
            .get(name)
            .and_then(|v: &HeaderValue| v.to_str().ok())
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase()
    };
    let content_type = header(CONTENT_TYPE);
    let encoding = header(CONTENT_ENCODING);
    match body_of(&content_type, request.fallback)? {
        Body::Lines(format) => pass.set_format(format),
        Body::Protobuf => pass.set_protobuf(),
    }
    let mut bounded = Bounded {
        pass,
        left: body_limit,
        limit: body_limit,
        failure: None,
    };
    match encoding.as_str() {
        "" | "identity" => {
            while let Some(chunk) = response.chunk().await.map_err(|e| in_body(&e))? {
                bounded.write_all(&chunk).map_err(|e| bounded.failed(&e))?;
            }
        }
        "gzip" | "x-gzip" => {
            let mut compressed = 0u64;
            let mut inflate = flate2::write::MultiGzDecoder::new(&mut bounded);
            while let Some(chunk) = response.chunk().await.map_err(|e| in_body(&e))? {
                compressed = compressed.saturating_add(chunk.len() as u64);
                if compressed > body_limit {
                    return Err(Failure::BodySize(body_limit));
                }
                inflate
                    .write_all(&chunk)
                    .map_err(|e| inflate.get_mut().failed(&e))?;
            }
            if let Err(e) = inflate.try_finish() {
                return Err(inflate.get_mut().failed(&e));
            }
        }
        other => return Err(Failure::Encoding(shortened(other))),
    }
    Ok(())
}

/// How a body is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Body {
    Lines(Format),
    Protobuf,
}

fn body_of(content_type: &str, fallback: Option<ScrapeProtocol>) -> Result<Body, Failure> {
    let mut parts = content_type.split(';').map(str::trim);
    match parts.next().unwrap_or_default() {
        "application/openmetrics-text" => Ok(Body::Lines(Format::OpenMetrics)),
        "text/plain" => Ok(Body::Lines(Format::Text)),
        "text/html" | "application/xhtml+xml" => Err(Failure::Html),
        "application/vnd.google.protobuf" => {
            // The header was put into small letters.
            let is = |want: &str| parts.clone().any(|p| p.replace('"', "") == want);
            if is("proto=io.prometheus.client.metricfamily") && is("encoding=delimited") {
                Ok(Body::Protobuf)
            } else {
                Err(Failure::ContentType(shortened(content_type)))
            }
        }
        "application/json" => Err(Failure::ContentType(shortened(content_type))),
        _ => Ok(match fallback {
            Some(ScrapeProtocol::PrometheusProto) => Body::Protobuf,
            Some(ScrapeProtocol::OpenMetricsText1_0_0 | ScrapeProtocol::OpenMetricsText0_0_1) => {
                Body::Lines(Format::OpenMetrics)
            }
            Some(ScrapeProtocol::PrometheusText1_0_0 | ScrapeProtocol::PrometheusText0_0_4)
            | None => Body::Lines(Format::Text),
        }),
    }
}

/// Passes inflated bytes on until the limit is reached, which is already too much.
struct Bounded<'p, 'a> {
    pass: &'p mut Pass<'a>,
    left: u64,
    limit: u64,
    failure: Option<Failure>,
}

impl Bounded<'_, '_> {
    /// The reason behind an error of the writer: ours, or else a damaged stream.
    fn failed(&mut self, e: &io::Error) -> Failure {
        self.failure
            .take()
            .unwrap_or_else(|| Failure::Gzip(e.to_string()))
    }
}

impl Write for Bounded<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let window = &bytes[..bytes.len().min(WINDOW)];
        let result = match self.left.checked_sub(window.len() as u64) {
            Some(left) if left > 0 => {
                self.left = left;
                self.pass.feed(window)
            }
            Some(_) | None => Err(Failure::BodySize(self.limit)),
        };
        result.map(|()| window.len()).map_err(|failure| {
            let e = io::Error::other(failure.reason());
            self.failure = Some(failure);
            e
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn in_body(e: &reqwest::Error) -> Failure {
    Failure::HalfBody(root_cause(e))
}

#[cfg(test)]
mod tests;
