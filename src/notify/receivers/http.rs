//! The one way out over HTTP.

use std::error::Error as _;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Client, Response, Url, redirect};

use super::retry::{Outcome, parse_retry_after};
use crate::clock::Clock;
use crate::config::SecretSource;

/// Bytes of an answer that are read.
const ANSWER_MAX: usize = 16 * 1024;
/// Bytes of an error that are kept.
const ERROR_MAX: usize = 200;

/// A client that follows no redirects and reaches no metadata address; built at its first use, so
/// that who needs none pays for none.
#[derive(Debug, Clone)]
pub struct Http {
    client: Arc<OnceLock<Result<Client, String>>>,
    clock: Clock,
    timeout: Duration,
}

impl Http {
    /// A client whose whole attempt, connecting and reading included, takes at most `timeout`.
    pub fn new(clock: Clock, timeout: Duration) -> Self {
        Self {
            client: Arc::default(),
            clock,
            timeout,
        }
    }

    /// Posts a body to a secret address.
    pub(in crate::notify) async fn post(
        &self,
        address: SecretSource<'_>,
        content_type: &str,
        headers: &[(&'static str, &str)],
        body: String,
    ) -> Outcome {
        let secret = match address.read() {
            Ok(Some(secret)) => secret,
            Ok(None) => return Outcome::not_sent("no address is configured".to_owned()),
            Err(e) => return Outcome::not_sent(e.to_string()),
        };
        let url = match parse(secret.expose()) {
            Ok(url) => url,
            Err(why) => return Outcome::not_sent(why.to_owned()),
        };
        let client = match self.client.get_or_init(|| build(self.timeout)) {
            Ok(client) => client,
            Err(why) => return Outcome::not_sent(format!("cannot set up HTTP: {why}")),
        };
        let mut request = client
            .post(url.clone())
            .header(CONTENT_TYPE, content_type)
            .body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        match request.send().await {
            Ok(response) => self.answer(response, &url).await,
            Err(e) if e.is_connect() => {
                Outcome::not_sent(format!("cannot connect: {}", root_cause(e, &url)))
            }
            Err(e) if e.is_timeout() => {
                Outcome::unknown(format!("no answer in {} s", self.timeout.as_secs_f64()))
            }
            Err(e) => Outcome::unknown(format!("the connection broke: {}", root_cause(e, &url))),
        }
    }

    /// The status decides; the rest of the answer only helps to explain it.
    async fn answer(&self, mut response: Response, url: &Url) -> Outcome {
        let status = response.status().as_u16();
        let header = retry_after(response.headers());
        let body = if (200..300).contains(&status) {
            String::new()
        } else {
            read(&mut response).await
        };
        let retry_after = header
            .or_else(|| retry_after_in(&body))
            .and_then(|text| parse_retry_after(&text, self.clock.now()));
        Outcome::Answer {
            status,
            retry_after,
            word: word(&body, url),
        }
    }
}

fn build(timeout: Duration) -> Result<Client, String> {
    Client::builder()
        .redirect(redirect::Policy::none())
        .no_proxy()
        .timeout(timeout)
        .user_agent(concat!("loadline/", env!("CARGO_PKG_VERSION")))
        .dns_resolver(Arc::new(Resolver))
        .build()
        .map_err(|e| e.without_url().to_string())
}

fn parse(address: &str) -> Result<Url, &'static str> {
    let url = Url::parse(address.trim()).map_err(|_| "the configured address is not a URL")?;
    if !["http", "https"].contains(&url.scheme()) {
        return Err("the configured address must begin with http:// or https://");
    }
    let host = url.host_str().unwrap_or_default();
    let literal = host.trim_start_matches('[').trim_end_matches(']');
    match literal.parse::<IpAddr>() {
        Ok(ip) if is_refused(ip) => Err(REFUSED),
        Ok(_) | Err(_) => Ok(url),
    }
}

const REFUSED: &str = "refused to connect to a link-local or metadata address";

#[derive(Debug)]
struct Resolver;

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: Vec<SocketAddr> =
                tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let allowed: Vec<SocketAddr> = found
                .iter()
                .filter(|a| !is_refused(a.ip()))
                .copied()
                .collect();
            if allowed.is_empty() && !found.is_empty() {
                return Err(io::Error::other(REFUSED).into());
            }
            let addrs: Addrs = Box::new(allowed.into_iter());
            Ok(addrs)
        })
    }
}

/// Addresses at which no receiver lives, but which answer secrets to those who ask.
fn is_refused(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_refused_v4(ip),
        IpAddr::V6(ip) => {
            ip.to_ipv4_mapped().is_some_and(is_refused_v4)
                || ip.is_unspecified()
                || ip.is_multicast()
                || ip.is_unicast_link_local()
                || ip == Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x254)
        }
    }
}

fn is_refused_v4(ip: Ipv4Addr) -> bool {
    ip.is_link_local()
        || ip.is_unspecified()
        || ip.is_multicast()
        || ip.is_broadcast()
        || ip == Ipv4Addr::new(100, 100, 100, 200)
        || ip == Ipv4Addr::new(192, 0, 0, 192)
}

/// The deepest error: it names the fault and, unlike the outer ones, not the address.
fn root_cause(error: reqwest::Error, url: &Url) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(e) = source {
        text = e.to_string();
        source = e.source();
    }
    scrub(&text, url)
}

/// Takes out every part of the address that could be a secret, should a text repeat one.
fn scrub(text: &str, url: &Url) -> String {
    let mut out = text.replace(url.as_str(), "<redacted>");
    for part in secret_parts(url) {
        out = out.replace(part, "<redacted>");
    }
    crate::notify::message::words::cut(&out, ERROR_MAX)
}

fn secret_parts(url: &Url) -> impl Iterator<Item = &str> {
    url.path_segments()
        .into_iter()
        .flatten()
        .chain(url.query().into_iter().flat_map(|q| q.split(['&', '='])))
        .chain([url.username()])
        .chain(url.password())
        .filter(|part| part.len() >= 6)
}

/// Reads at most [`ANSWER_MAX`] bytes; a cut answer is good enough for an explanation.
async fn read(response: &mut Response) -> String {
    let mut bytes = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        let room = ANSWER_MAX - bytes.len();
        bytes.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if bytes.len() >= ANSWER_MAX {
            break;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A one-word explanation such as `invalid_blocks`; anything longer could repeat our secrets.
fn word(body: &str, url: &Url) -> String {
    let body = body.trim();
    let is_word = !body.is_empty()
        && body.len() <= 40
        && body.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    if is_word && !url.as_str().contains(body) {
        body.to_owned()
    } else {
        String::new()
    }
}

fn retry_after(headers: &HeaderMap) -> Option<String> {
    headers.get(RETRY_AFTER)?.to_str().ok().map(str::to_owned)
}

/// Slack also says it in JSON.
fn retry_after_in(body: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(body).ok()?;
    value.get("retry_after").map(ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_and_link_local_addresses_are_refused() {
        for (address, want) in [
            ("http://169.254.169.254/latest", false),
            ("http://0xA9FEA9FE/", false),
            ("http://2852039166/", false),
            ("http://[fe80::1]/", false),
            ("http://[::ffff:169.254.169.254]/", false),
            ("http://[fd00:ec2::254]/", false),
            ("http://100.100.100.200/", false),
            ("http://0.0.0.0/", false),
            ("ftp://example.com/", false),
            ("not a url", false),
            ("http://127.0.0.1:9/x", true),
            ("http://[::1]/", true),
            ("https://hooks.example.com/x", true),
        ] {
            assert_eq!(parse(address).is_ok(), want, "{address}");
        }
    }

    #[test]
    fn nothing_of_an_address_stays_in_a_text() {
        let url =
            Url::parse("https://user:pa55word@h.example/services/T0123456/s3cr3t?token=abcdef")
                .unwrap();
        let text = format!("{url} s3cr3t T0123456 pa55word abcdef done");
        let clean = scrub(&text, &url);
        for secret in ["s3cr3t", "T0123456", "pa55word", "abcdef"] {
            assert!(!clean.contains(secret), "{clean}");
        }
        assert!(clean.ends_with("done"));
        assert_eq!(word("invalid_blocks\n", &url), "invalid_blocks");
        assert_eq!(word("services", &url), "");
        assert_eq!(word("No such path /services/T0123456", &url), "");
    }
}
