//! How an HTTP server is spoken to: credentials, certificates, proxies, redirects.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use super::secret::{Secret, SecretSource};

/// Everything about one client, gathered from the keys of a job or a discovery.
#[derive(Debug, Clone, Default)]
pub struct HttpOptions {
    /// User name and password.
    pub basic_auth: Option<BasicAuth>,
    /// A token or other credentials.
    pub authorization: Option<Authorization>,
    /// Further headers.
    pub http_headers: BTreeMap<String, HeaderValues>,
    /// Certificates.
    pub tls_config: TlsConfig,
    /// Proxy for all requests.
    pub proxy_url: Option<Secret>,
    /// Hosts that are asked without the proxy.
    pub no_proxy: Option<String>,
    /// Proxies that the environment names.
    pub environment: EnvironmentProxies,
    /// Which redirects are followed.
    pub follow_redirects: FollowRedirects,
    /// True: link-local and metadata addresses may be asked.
    pub allow_link_local: bool,
}

impl HttpOptions {
    /// The secrets written in the config, which debug text hides: a rotated one is a change.
    pub fn inline_secrets(&self) -> Vec<&str> {
        let basic = self.basic_auth.iter().filter_map(|b| b.password.as_ref());
        let header = self
            .authorization
            .iter()
            .filter_map(|a| a.credentials.as_ref());
        let headers = self.http_headers.values().flat_map(|h| &h.secrets);
        let environment = [
            &self.environment.http,
            &self.environment.https,
            &self.proxy_url,
            &self.tls_config.key,
        ];
        basic
            .chain(header)
            .chain(headers)
            .chain(environment.into_iter().flatten())
            .map(Secret::expose)
            .collect()
    }
}

/// User name and password.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BasicAuth {
    /// User.
    pub username: String,
    /// Password, here or in a file.
    #[serde(default)]
    pub password: Option<Secret>,
    /// File with the password, read at every request.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
}

/// An `Authorization` header.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Authorization {
    /// Scheme, `Bearer` by default.
    #[serde(default = "bearer", rename = "type")]
    pub scheme: String,
    /// Credentials, here or in a file.
    #[serde(default)]
    pub credentials: Option<Secret>,
    /// File with the credentials, read at every request.
    #[serde(default)]
    pub credentials_file: Option<PathBuf>,
}

fn bearer() -> String {
    "Bearer".to_owned()
}

impl BasicAuth {
    /// Where the password comes from.
    pub fn source(&self) -> SecretSource<'_> {
        SecretSource {
            inline: self.password.as_ref(),
            file: self.password_file.as_deref(),
        }
    }
}

impl Authorization {
    /// Where the credentials come from.
    pub fn source(&self) -> SecretSource<'_> {
        SecretSource {
            inline: self.credentials.as_ref(),
            file: self.credentials_file.as_deref(),
        }
    }
}

/// Values of one header; each is sent on its own.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HeaderValues {
    /// Plain values.
    pub values: Vec<String>,
    /// Values that must not be seen.
    pub secrets: Vec<Secret>,
    /// Files with a value each, read at every request.
    pub files: Vec<PathBuf>,
}

/// Certificates and how the server's is checked.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsConfig {
    /// Certificates that are trusted instead of the system's, as PEM.
    pub ca: Option<String>,
    /// File with them.
    pub ca_file: Option<PathBuf>,
    /// Our own certificate, as PEM.
    pub cert: Option<String>,
    /// File with it.
    pub cert_file: Option<PathBuf>,
    /// Its private key, as PEM.
    pub key: Option<Secret>,
    /// File with it.
    pub key_file: Option<PathBuf>,
    /// The name in the server's certificate, if it is not the address.
    pub server_name: Option<String>,
    /// True: any certificate is accepted.
    pub insecure_skip_verify: bool,
    /// Oldest version of TLS.
    pub min_version: Option<TlsVersion>,
    /// Newest version of TLS.
    pub max_version: Option<TlsVersion>,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub enum TlsVersion {
    /// 1.2
    #[serde(rename = "TLS12")]
    Tls12,
    /// 1.3
    #[serde(rename = "TLS13")]
    Tls13,
}

/// Proxies that the environment names.
#[derive(Debug, Clone, Default)]
pub struct EnvironmentProxies {
    /// `HTTP_PROXY`
    pub http: Option<Secret>,
    /// `HTTPS_PROXY`
    pub https: Option<Secret>,
    /// `NO_PROXY`
    pub none: Option<String>,
}

/// Which redirects are followed; credentials never go to another host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FollowRedirects {
    /// To the same scheme, host and port.
    #[default]
    Same,
    /// To anywhere.
    Any,
    /// None.
    No,
}

impl<'de> Deserialize<'de> for FollowRedirects {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = FollowRedirects;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("true, false or \"any\"")
            }

            fn visit_bool<E>(self, v: bool) -> Result<FollowRedirects, E> {
                Ok(if v {
                    FollowRedirects::Same
                } else {
                    FollowRedirects::No
                })
            }

            fn visit_str<E: serde::de::Error>(self, v: &str) -> Result<FollowRedirects, E> {
                match v {
                    "any" => Ok(FollowRedirects::Any),
                    other => Err(E::invalid_value(serde::de::Unexpected::Str(other), &self)),
                }
            }
        }
        d.deserialize_any(Visitor)
    }
}
