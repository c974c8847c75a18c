//! One GET: bounded in time and bytes, with credentials that stay with their host.
//!
//! What must stay true: one deadline covers resolving, connecting, headers and body; a body is
//! inflated as a stream under a cap; a redirect is followed only to the same scheme, host and
//! port; no message holds a credential.

use std::error::Error;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION};
use reqwest::{Response, StatusCode, Url};

use super::failure::Failure;
use super::pass::Pass;
use super::text::Format;
use crate::config::{Authorization, BasicAuth, Secret};

/// What is asked for: Prometheus's list without protobuf, in its order.
const ACCEPTED: &str = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
     application/openmetrics-text;version=0.0.1;q=0.5,\
     text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
     text/plain;version=0.0.4;q=0.3,*/*;q=0.2";

/// Most redirects of one scrape.
const MAX_REDIRECTS: usize = 10;

/// Most bytes of a body that are taken at a time.
const WINDOW: usize = 256 << 10;

/// Connections to all targets.
#[derive(Debug, Clone)]
pub struct Client(reqwest::Client);

/// What is sent to one target.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// Address, without credentials.
    pub(crate) url: Url,
    pub(crate) basic_auth: Option<BasicAuth>,
    pub(crate) authorization: Option<Authorization>,
    /// Over everything.
    pub(crate) deadline: Duration,
    /// Most bytes of a body, inflated.
    pub(crate) body_limit: u64,
}

impl Client {
    /// A client for all scrapes; the error says why TLS could not be set up.
    pub fn new() -> Result<Self, String> {
        reqwest::Client::builder()
            .user_agent(concat!("loadline/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .no_proxy()
            .http1_only()
            .pool_max_idle_per_host(1)
            .dns_resolver(Arc::new(GuardedResolver))
            .build()
            .map(Client)
            .map_err(|e| format!("cannot set up the HTTP client: {}", root_cause(&e)))
    }

    /// Fetches a target and feeds its body to `pass`.
    pub(crate) async fn fetch(
        &self,
        request: &Request,
        pass: &mut Pass<'_>,
    ) -> Result<(), Failure> {
        match tokio::time::timeout(request.deadline, self.fetch_unbounded(request, pass)).await {
            Ok(result) => result,
            Err(_) => Err(Failure::Timeout(request.deadline)),
        }
    }

    async fn fetch_unbounded(&self, request: &Request, pass: &mut Pass<'_>) -> Result<(), Failure> {
        let headers = request.headers()?;
        let password = match &request.basic_auth {
            Some(auth) => auth.source().read().map_err(secret)?,
            None => None,
        };
        let mut url = request.url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let mut get = self.0.get(url.clone()).headers(headers.clone());
            if let Some(auth) = &request.basic_auth {
                get = get.basic_auth(&auth.username, password.as_ref().map(Secret::expose));
            }
            let response = get.send().await.map_err(|e| before_response(&e))?;
            match response.status() {
                StatusCode::OK => return read(response, request.body_limit, pass).await,
                StatusCode::MOVED_PERMANENTLY
                | StatusCode::FOUND
                | StatusCode::SEE_OTHER
                | StatusCode::TEMPORARY_REDIRECT
                | StatusCode::PERMANENT_REDIRECT => url = redirected(&url, &response)?,
                other => return Err(Failure::Status(other.as_u16())),
            }
        }
        Err(Failure::Redirect(format!(
            "more than {MAX_REDIRECTS} in a row"
        )))
    }
}

impl Request {
    fn headers(&self) -> Result<HeaderMap, Failure> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(ACCEPTED));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        let seconds = self.deadline.as_secs_f64().to_string();
        if let Ok(seconds) = HeaderValue::from_str(&seconds) {
            headers.insert("x-prometheus-scrape-timeout-seconds", seconds);
        }
        if let Some(auth) = &self.authorization
            && let Some(credentials) = auth.source().read().map_err(secret)?
        {
            let mut value =
                HeaderValue::from_str(&format!("{} {}", auth.scheme, credentials.expose()))
                    .map_err(|_| {
                        Failure::Secret(
                            "the credentials hold a character that no HTTP header may carry"
                                .to_owned(),
                        )
                    })?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        Ok(headers)
    }
}

fn secret(e: crate::config::secret::SecretError) -> Failure {
    Failure::Secret(e.to_string())
}

fn redirected(from: &Url, response: &Response) -> Result<Url, Failure> {
    let to = response
        .headers()
        .get(LOCATION)
        .and_then(|l| l.to_str().ok())
        .and_then(|l| from.join(l).ok())
        .ok_or_else(|| Failure::Redirect("its Location is missing or no URL".to_owned()))?;
    let place = |url: &Url| {
        (
            url.scheme().to_owned(),
            url.host_str().map(str::to_owned),
            url.port_or_known_default(),
        )
    };
    if place(from) != place(&to) {
        return Err(Failure::Redirect(format!(
            "it leads to {}, and only the same scheme, host and port is followed",
            to.origin().ascii_serialization()
        )));
    }
    Ok(to)
}

async fn read(mut response: Response, body_limit: u64, pass: &mut Pass<'_>) -> Result<(), Failure> {
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
    pass.set_format(format_of(&content_type)?);
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

fn format_of(content_type: &str) -> Result<Format, Failure> {
    match content_type.split(';').next().unwrap_or_default().trim() {
        "application/openmetrics-text" => Ok(Format::OpenMetrics),
        "text/html" | "application/xhtml+xml" => Err(Failure::Html),
        "application/vnd.google.protobuf" | "application/json" => {
            Err(Failure::ContentType(shortened(content_type)))
        }
        _ => Ok(Format::Text),
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

/// Resolves names, leaving out addresses of the machine's own link: cloud metadata services live
/// there. An address written out in the config does not pass here.
#[derive(Debug)]
struct GuardedResolver;

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: Vec<SocketAddr> =
                tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let allowed: Vec<SocketAddr> = found
                .iter()
                .copied()
                .filter(|a| !is_link_local(a.ip()))
                .collect();
            match found.first() {
                Some(first) if allowed.is_empty() => Err(LinkLocal(first.ip()).into()),
                _ => Ok(Box::new(allowed.into_iter()) as Addrs),
            }
        })
    }
}

/// A name that only has link-local addresses.
#[derive(Debug, thiserror::Error)]
#[error("{0} is link-local")]
struct LinkLocal(IpAddr);

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => {
            ip.to_ipv4_mapped().is_some_and(|v4| v4.is_link_local())
                || (ip.segments()[0] & 0xffc0) == 0xfe80
                // The metadata service of EC2.
                || ip == Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254)
        }
    }
}

fn before_response(e: &reqwest::Error) -> Failure {
    let mut source: Option<&(dyn Error + 'static)> = e.source();
    let mut kind = None;
    while let Some(cause) = source {
        if let Some(LinkLocal(ip)) = cause.downcast_ref() {
            return Failure::LinkLocal(ip.to_string());
        }
        if let Some(io) = cause.downcast_ref::<io::Error>() {
            kind = Some(innermost_kind(io));
        }
        source = cause.source();
    }
    let cause = root_cause(e);
    match kind {
        Some(io::ErrorKind::ConnectionRefused) => Failure::Refused,
        _ if e.is_dns() => Failure::Dns(cause),
        Some(io::ErrorKind::InvalidData) => Failure::Tls(cause),
        _ if e.is_connect() => Failure::Connect(cause),
        _ => Failure::Http(cause),
    }
}

/// TLS errors come wrapped in one I/O error inside another, which `source` does not show.
fn innermost_kind(e: &io::Error) -> io::ErrorKind {
    match e.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(inner) => innermost_kind(inner),
        None => e.kind(),
    }
}

fn in_body(e: &reqwest::Error) -> Failure {
    Failure::HalfBody(root_cause(e))
}

/// The innermost message, which never holds the URL.
fn root_cause(e: &reqwest::Error) -> String {
    let mut cause: Option<&(dyn Error + 'static)> = e.source();
    let mut words = String::from("the request failed");
    while let Some(e) = cause {
        words = e.to_string();
        cause = e.source();
    }
    shortened(&words)
}

fn shortened(text: &str) -> String {
    text.chars().take(200).collect()
}

#[cfg(test)]
mod tests;
