//! `file_sd_configs`, `http_sd_configs` and `dns_sd_configs`: where targets are looked up.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use super::http::{
    Authorization, BasicAuth, EnvironmentProxies, FollowRedirects, HeaderValues, HttpOptions,
    TlsConfig,
};
use super::secret::Secret;
use super::value::Span;

/// Targets from JSON and YAML files.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSd {
    /// Files; `*` and `?` are wildcards.
    pub files: Vec<String>,
    /// How often they are looked at; they are read when they changed.
    #[serde(default = "file_refresh")]
    pub refresh_interval: Span,
}

/// Targets from an HTTP endpoint that answers with JSON.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpSd {
    /// Address.
    pub url: Secret,
    /// How often it is asked.
    #[serde(default = "http_refresh")]
    pub refresh_interval: Span,
    /// User name and password.
    #[serde(default)]
    pub basic_auth: Option<BasicAuth>,
    /// A token or other credentials.
    #[serde(default)]
    pub authorization: Option<Authorization>,
    /// Further headers.
    #[serde(default)]
    pub http_headers: BTreeMap<String, HeaderValues>,
    /// Certificates.
    #[serde(default)]
    pub tls_config: TlsConfig,
    /// Proxy.
    #[serde(default)]
    pub proxy_url: Option<Secret>,
    /// Hosts that are asked without the proxy.
    #[serde(default)]
    pub no_proxy: Option<String>,
    /// True: `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` of the environment.
    #[serde(default)]
    pub proxy_from_environment: bool,
    /// What the environment says about proxies, once it was asked.
    #[serde(skip)]
    pub environment: EnvironmentProxies,
    /// Which redirects are followed.
    #[serde(default)]
    pub follow_redirects: FollowRedirects,
    /// True: link-local and metadata addresses may be asked.
    #[serde(default)]
    pub allow_link_local: bool,
}

/// Targets from DNS.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DnsSd {
    /// Names to look up.
    pub names: Vec<String>,
    /// Kind of record.
    #[serde(default, rename = "type")]
    pub kind: RecordType,
    /// Port of the targets; needed for all kinds but SRV, which names its own.
    #[serde(default)]
    pub port: Option<u16>,
    /// How often they are looked up.
    #[serde(default = "dns_refresh")]
    pub refresh_interval: Span,
}

/// A kind of DNS record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum RecordType {
    /// Host and port.
    #[default]
    Srv,
    /// IPv4 address.
    A,
    /// IPv6 address.
    Aaaa,
}

fn file_refresh() -> Span {
    Span(Duration::from_secs(5))
}

fn http_refresh() -> Span {
    Span(Duration::from_secs(60))
}

fn dns_refresh() -> Span {
    Span(Duration::from_secs(30))
}

impl HttpSd {
    /// How the endpoint is spoken to.
    pub fn http(&self) -> HttpOptions {
        HttpOptions {
            basic_auth: self.basic_auth.clone(),
            authorization: self.authorization.clone(),
            http_headers: self.http_headers.clone(),
            tls_config: self.tls_config.clone(),
            proxy_url: self.proxy_url.clone(),
            no_proxy: self.no_proxy.clone(),
            environment: self.environment.clone(),
            follow_redirects: self.follow_redirects,
            allow_link_local: self.allow_link_local,
        }
    }
}
