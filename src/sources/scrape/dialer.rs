//! Requests to one kind of server: its credentials, certificates, proxy and redirects.
//!
//! What must stay true: credentials, further headers and our own certificate reach the configured
//! scheme, host and port only; link-local and metadata addresses are refused at the moment of
//! connecting, after DNS, after each redirect and before a proxy; a replaced file is used at the
//! next request; no message holds a credential.

use std::error::Error;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{AUTHORIZATION, HOST, HeaderMap, HeaderName, HeaderValue, LOCATION};
use reqwest::{Certificate, Identity, NoProxy, Proxy, Response, StatusCode, Url};

use super::failure::Failure;
use crate::config::http::{EnvironmentProxies, FollowRedirects, TlsVersion};
use crate::config::{HttpOptions, Secret};

/// Most redirects of one request.
const MAX_REDIRECTS: usize = 10;

/// Most bytes of a response's headers.
const MAX_HEADER_BYTES: usize = 64 << 10;

/// Largest file with certificates that is read, in bytes.
const MAX_PEM: u64 = 4 << 20;

/// Names under which clouds offer metadata; a proxy resolves them where we cannot look.
const METADATA_NAMES: [&str; 4] = [
    "metadata",
    "metadata.google.internal",
    "metadata.goog",
    "instance-data",
];

/// Speaks to servers with the same settings.
#[derive(Debug)]
pub(crate) struct Dialer {
    options: HttpOptions,
    built: Mutex<Option<Built>>,
}

/// Clients made from the files' contents of that moment.
#[derive(Debug, Clone)]
struct Built {
    pem: Pem,
    home: reqwest::Client,
    /// Without our own certificate, for other hosts.
    away: reqwest::Client,
}

/// Certificates and key, as read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Pem {
    ca: Option<Vec<u8>>,
    identity: Option<Vec<u8>>,
}

impl Dialer {
    /// A dialer with these settings.
    pub(crate) fn new(options: HttpOptions) -> Self {
        Self {
            options,
            built: Mutex::default(),
        }
    }

    /// True when each target needs a dialer of its own, since connections are kept by name.
    pub(crate) fn is_for_one(&self) -> bool {
        self.options.tls_config.server_name.is_some()
    }

    /// GETs `url` and follows redirects as far as allowed; any status but these comes back.
    pub(crate) async fn get(
        &self,
        plain: &reqwest::Client,
        url: &Url,
        headers: &HeaderMap,
    ) -> Result<Response, Failure> {
        let (home, away) = self.clients(plain, url)?;
        let secrets = self.secrets()?;
        let mut at = url.clone();
        for _ in 0..=MAX_REDIRECTS {
            self.admit(&at).await?;
            let at_home = place(&at) == place(url);
            let client = if at_home { &home } else { &away };
            let mut get = client.get(self.wire(&at, at_home)).headers(headers.clone());
            if at_home {
                get = get.headers(secrets.clone());
                if let Some(host) = self.host_header(&at) {
                    get = get.header(HOST, host);
                }
            }
            let response = get.send().await.map_err(|e| before_response(&e))?;
            let bytes = response.headers().iter();
            let bytes: usize = bytes.map(|(n, v)| n.as_str().len() + v.len()).sum();
            if bytes > MAX_HEADER_BYTES {
                return Err(Failure::Headers(MAX_HEADER_BYTES));
            }
            match response.status() {
                StatusCode::MOVED_PERMANENTLY
                | StatusCode::FOUND
                | StatusCode::SEE_OTHER
                | StatusCode::TEMPORARY_REDIRECT
                | StatusCode::PERMANENT_REDIRECT => at = self.redirected(url, &at, &response)?,
                _ => return Ok(response),
            }
        }
        Err(Failure::Redirect(format!(
            "more than {MAX_REDIRECTS} in a row"
        )))
    }

    /// Clients for the target itself and for where it sends us, made anew when a file changed.
    fn clients(
        &self,
        plain: &reqwest::Client,
        url: &Url,
    ) -> Result<(reqwest::Client, reqwest::Client), Failure> {
        if self.is_plain() {
            return Ok((plain.clone(), plain.clone()));
        }
        let pem = self.pem()?;
        let mut built = self.built.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(built) = built.as_ref()
            && built.pem == pem
        {
            return Ok((built.home.clone(), built.away.clone()));
        }
        let home = self.build(&pem, Some(url))?;
        let away = match (&pem.identity, &self.options.tls_config.server_name) {
            (None, None) => home.clone(),
            (_, _) => self.build(
                &Pem {
                    identity: None,
                    ..pem.clone()
                },
                None,
            )?,
        };
        *built = Some(Built {
            pem,
            home: home.clone(),
            away: away.clone(),
        });
        Ok((home, away))
    }

    fn is_plain(&self) -> bool {
        let o = &self.options;
        let tls = &o.tls_config;
        !o.allow_link_local
            && o.proxy_url.is_none()
            && o.environment.http.is_none()
            && o.environment.https.is_none()
            && tls.ca.is_none()
            && tls.ca_file.is_none()
            && tls.cert.is_none()
            && tls.cert_file.is_none()
            && tls.server_name.is_none()
            && !tls.insecure_skip_verify
            && tls.min_version.is_none()
            && tls.max_version.is_none()
    }

    fn pem(&self) -> Result<Pem, Failure> {
        let tls = &self.options.tls_config;
        let text = |inline: Option<&str>, file: Option<&Path>| match (inline, file) {
            (Some(text), _) => Ok(Some(text.as_bytes().to_vec())),
            (None, Some(path)) => read_pem(path).map(Some),
            (None, None) => Ok(None),
        };
        let ca = text(tls.ca.as_deref(), tls.ca_file.as_deref())?;
        let cert = text(tls.cert.as_deref(), tls.cert_file.as_deref())?;
        let key = text(
            tls.key.as_ref().map(Secret::expose),
            tls.key_file.as_deref(),
        )?;
        let identity = match (cert, key) {
            (Some(cert), Some(key)) => Some([cert, b"\n".to_vec(), key].concat()),
            (_, _) => None,
        };
        Ok(Pem { ca, identity })
    }

    fn build(&self, pem: &Pem, home: Option<&Url>) -> Result<reqwest::Client, Failure> {
        let tls = &self.options.tls_config;
        let wrong = |what: &str, e: &reqwest::Error| {
            Failure::Settings(format!("{what}: {}", root_cause(e)))
        };
        let mut builder = base(GuardedResolver {
            allow_link_local: self.options.allow_link_local,
            instead: match (home, &tls.server_name) {
                (Some(url), Some(_)) => url.host_str().map(|h| bare_host(h).to_owned()),
                (_, _) => None,
            },
        });
        if let Some(ca) = &pem.ca {
            let certs = Certificate::from_pem_bundle(ca).map_err(|e| wrong("tls_config.ca", &e))?;
            if certs.is_empty() {
                return Err(Failure::Settings(
                    "tls_config.ca: there is no certificate in it".to_owned(),
                ));
            }
            builder = builder.tls_certs_only(certs);
        }
        if let Some(identity) = &pem.identity {
            let identity =
                Identity::from_pem(identity).map_err(|e| wrong("tls_config.cert and key", &e))?;
            builder = builder.identity(identity);
        }
        let version = |v: TlsVersion| match v {
            TlsVersion::Tls12 => reqwest::tls::Version::TLS_1_2,
            TlsVersion::Tls13 => reqwest::tls::Version::TLS_1_3,
        };
        if let Some(min) = tls.min_version {
            builder = builder.tls_version_min(version(min));
        }
        if let Some(max) = tls.max_version {
            builder = builder.tls_version_max(version(max));
        }
        if tls.insecure_skip_verify {
            builder = builder.tls_danger_accept_invalid_certs(true);
        }
        let none = |list: Option<&String>| list.and_then(|l| NoProxy::from_string(l));
        if let Some(proxy) = &self.options.proxy_url {
            let proxy = Proxy::all(proxy.expose()).map_err(|e| wrong("proxy_url", &e))?;
            builder = builder.proxy(proxy.no_proxy(none(self.options.no_proxy.as_ref())));
        }
        let EnvironmentProxies {
            http,
            https,
            none: except,
        } = &self.options.environment;
        if let Some(http) = http {
            let proxy = Proxy::http(http.expose()).map_err(|e| wrong("HTTP_PROXY", &e))?;
            builder = builder.proxy(proxy.no_proxy(none(except.as_ref())));
        }
        if let Some(https) = https {
            let proxy = Proxy::https(https.expose()).map_err(|e| wrong("HTTPS_PROXY", &e))?;
            builder = builder.proxy(proxy.no_proxy(none(except.as_ref())));
        }
        builder
            .build()
            .map_err(|e| wrong("cannot set up the HTTP client", &e))
    }

    /// Credentials and further headers, read now.
    fn secrets(&self) -> Result<HeaderMap, Failure> {
        let mut headers = HeaderMap::new();
        let mut add = |name: HeaderName, text: &str| {
            let mut value = HeaderValue::from_str(text).map_err(|_| {
                Failure::Secret(format!(
                    "the value of {name} holds a character that no HTTP header may carry"
                ))
            })?;
            value.set_sensitive(true);
            headers.append(name, value);
            Ok(())
        };
        if let Some(auth) = &self.options.basic_auth {
            let password = auth.source().read().map_err(secret)?;
            let pair = format!(
                "{}:{}",
                auth.username,
                password.as_ref().map_or("", Secret::expose)
            );
            add(AUTHORIZATION, &format!("Basic {}", base64(pair.as_bytes())))?;
        }
        if let Some(auth) = &self.options.authorization
            && let Some(credentials) = auth.source().read().map_err(secret)?
        {
            add(
                AUTHORIZATION,
                &format!("{} {}", auth.scheme, credentials.expose()),
            )?;
        }
        for (name, values) in &self.options.http_headers {
            let name = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| Failure::Settings(format!("{name:?} is no header's name")))?;
            for value in &values.values {
                add(name.clone(), value)?;
            }
            for value in &values.secrets {
                add(name.clone(), value.expose())?;
            }
            for file in &values.files {
                let value = crate::config::secret::read_file(file).map_err(secret)?;
                add(name.clone(), value.expose())?;
            }
        }
        Ok(headers)
    }

    /// Refuses addresses of the machine's own link, unless they are allowed.
    async fn admit(&self, url: &Url) -> Result<(), Failure> {
        if self.options.allow_link_local {
            return Ok(());
        }
        let host = bare_host(url.host_str().unwrap_or_default());
        if let Ok(ip) = host.parse::<IpAddr>() {
            return if is_link_local(ip) {
                Err(Failure::LinkLocal(ip.to_string()))
            } else {
                Ok(())
            };
        }
        let o = &self.options;
        let proxied =
            o.proxy_url.is_some() || o.environment.http.is_some() || o.environment.https.is_some();
        if !proxied {
            // The resolver looks at what it finds.
            return Ok(());
        }
        let name = host.trim_end_matches('.').to_ascii_lowercase();
        if METADATA_NAMES.contains(&name.as_str()) {
            return Err(Failure::LinkLocal(name));
        }
        // The proxy resolves the name; what we would find is the best we can look at.
        match tokio::net::lookup_host((host, 0)).await {
            Ok(mut found) => match found.find(|a| is_link_local(a.ip())) {
                Some(a) => Err(Failure::LinkLocal(a.ip().to_string())),
                None => Ok(()),
            },
            Err(_) => Ok(()),
        }
    }

    /// The URL as it is asked: by the certificate's name, which the resolver turns back.
    fn wire(&self, url: &Url, at_home: bool) -> Url {
        let mut wire = url.clone();
        if at_home
            && let Some(name) = &self.options.tls_config.server_name
            && url.scheme() == "https"
        {
            // A name that is no host leaves the URL as it was, and the certificate will not fit.
            let _ = wire.set_host(Some(name));
        }
        wire
    }

    fn host_header(&self, url: &Url) -> Option<String> {
        self.options.tls_config.server_name.as_ref()?;
        let host = url.host_str()?;
        Some(match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        })
    }

    fn redirected(&self, home: &Url, from: &Url, response: &Response) -> Result<Url, Failure> {
        let to = response
            .headers()
            .get(LOCATION)
            .and_then(|l| l.to_str().ok())
            .and_then(|l| from.join(l).ok())
            .ok_or_else(|| Failure::Redirect("its Location is missing or no URL".to_owned()))?;
        let shown = || to.origin().ascii_serialization();
        if !matches!(to.scheme(), "http" | "https") {
            return Err(Failure::Redirect(format!(
                "it leads to a {} URL",
                to.scheme()
            )));
        }
        match self.options.follow_redirects {
            FollowRedirects::No => Err(Failure::Redirect(format!(
                "it leads to {}, and follow_redirects is false",
                shown()
            ))),
            FollowRedirects::Same if place(home) != place(&to) => Err(Failure::Redirect(format!(
                "it leads to {}, and only the same scheme, host and port is followed; \
                 follow_redirects = \"any\" follows it without credentials",
                shown()
            ))),
            FollowRedirects::Same | FollowRedirects::Any => {
                let mut to = to;
                // What a server writes there is no credential of ours.
                let _ = to.set_username("");
                let _ = to.set_password(None);
                Ok(to)
            }
        }
    }
}

/// A client without settings of its own.
pub(super) fn plain() -> Result<reqwest::Client, String> {
    base(GuardedResolver::default())
        .build()
        .map_err(|e| format!("cannot set up the HTTP client: {}", root_cause(&e)))
}

fn base(resolver: GuardedResolver) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .user_agent(concat!("loadline/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .no_proxy()
        .http1_only()
        .pool_max_idle_per_host(1)
        .dns_resolver(Arc::new(resolver))
}

fn read_pem(path: &Path) -> Result<Vec<u8>, Failure> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|f| f.take(MAX_PEM).read_to_end(&mut bytes))
        .map_err(|e| Failure::Settings(format!("cannot read {}: {e}", path.display())))?;
    Ok(bytes)
}

fn secret(e: crate::config::secret::SecretError) -> Failure {
    Failure::Secret(e.to_string())
}

/// Scheme, host and port: where credentials belong.
fn place(url: &Url) -> (String, Option<String>, Option<u16>) {
    (
        url.scheme().to_owned(),
        url.host_str().map(str::to_owned),
        url.port_or_known_default(),
    )
}

fn bare_host(host: &str) -> &str {
    host.trim_matches(['[', ']'])
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let n = chunk.iter().fold(0u32, |n, b| n << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            out.push(if i <= chunk.len() {
                char::from(DIGITS[(n >> (18 - 6 * i) & 63) as usize])
            } else {
                '='
            });
        }
    }
    out
}

/// Resolves names, leaving out addresses of the machine's own link: cloud metadata services live
/// there.
#[derive(Debug, Default)]
pub(super) struct GuardedResolver {
    pub(super) allow_link_local: bool,
    /// What is looked up whatever was asked: the target behind a certificate's name.
    pub(super) instead: Option<String>,
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let host = self
            .instead
            .clone()
            .unwrap_or_else(|| name.as_str().to_owned());
        let allow = self.allow_link_local;
        Box::pin(async move {
            let found: Vec<SocketAddr> =
                tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            let allowed: Vec<SocketAddr> = found
                .iter()
                .copied()
                .filter(|a| allow || !is_link_local(a.ip()))
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
pub(super) struct LinkLocal(pub(super) IpAddr);

pub(super) fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        // Alibaba's metadata service is the second.
        IpAddr::V4(ip) => ip.is_link_local() || ip.octets() == [100, 100, 100, 200],
        IpAddr::V6(ip) => {
            ip.to_ipv4_mapped().is_some_and(|v4| is_link_local(v4.into()))
                || (ip.segments()[0] & 0xffc0) == 0xfe80
                // The metadata service of EC2.
                || ip == Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254)
        }
    }
}

pub(super) fn before_response(e: &reqwest::Error) -> Failure {
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

/// The innermost message, which never holds the URL.
pub(super) fn root_cause(e: &reqwest::Error) -> String {
    let mut cause: Option<&(dyn Error + 'static)> = e.source();
    let mut words = String::from("the request failed");
    while let Some(e) = cause {
        words = e.to_string();
        cause = e.source();
    }
    shortened(&words)
}

pub(super) fn shortened(text: &str) -> String {
    text.chars().take(200).collect()
}

#[cfg(test)]
mod tests;
