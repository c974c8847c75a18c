//! `[[scrape_configs]]`, in Prometheus's words.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::discovery::{DnsSd, FileSd, HttpSd};
use super::http::{
    Authorization, BasicAuth, EnvironmentProxies, FollowRedirects, HeaderValues, HttpOptions,
    TlsConfig,
};
use super::relabel::RelabelConfig;
use super::secret::Secret;
use super::value::{Bytes, Span};

/// `[[scrape_configs]]`: targets of one job.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScrapeConfig {
    /// Label `job` of its series; unique.
    pub job_name: String,
    /// Default `global.scrape_interval`.
    #[serde(default)]
    pub scrape_interval: Option<Span>,
    /// Default `global.scrape_timeout`; at most the interval.
    #[serde(default)]
    pub scrape_timeout: Option<Span>,
    /// Path of the exposition.
    #[serde(default = "metrics_path")]
    pub metrics_path: String,
    /// `http` or `https`.
    #[serde(default = "http_scheme")]
    pub scheme: String,
    /// Query parameters.
    #[serde(default)]
    pub params: BTreeMap<String, Vec<String>>,
    /// True: the target's labels win over ours.
    #[serde(default)]
    pub honor_labels: bool,
    /// True: timestamps in the body are used.
    #[serde(default = "yes")]
    pub honor_timestamps: bool,
    /// True: series with timestamps of their own get a marker when they end, too.
    #[serde(default)]
    pub track_timestamps_staleness: bool,
    /// Formats to ask for, the most wanted first.
    #[serde(default = "scrape_protocols")]
    pub scrape_protocols: Vec<ScrapeProtocol>,
    /// How a body is read whose content type is missing or unknown; default: the text format.
    #[serde(default)]
    pub fallback_scrape_protocol: Option<ScrapeProtocol>,
    /// True: where a histogram has native and classic buckets, both are kept.
    #[serde(default)]
    pub always_scrape_classic_histograms: bool,
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
    /// Proxy for all requests.
    #[serde(default)]
    pub proxy_url: Option<Secret>,
    /// Hosts, domains and networks that are asked without the proxy.
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
    /// Largest body, inflated; default `limits.body_size`.
    #[serde(default)]
    pub body_size_limit: Option<Bytes>,
    /// Most samples; default `limits.samples_per_target`.
    #[serde(default)]
    pub sample_limit: Option<usize>,
    /// Most labels of one series; default `limits.labels`.
    #[serde(default)]
    pub label_limit: Option<usize>,
    /// Longest metric or label name; default `limits.name_length`.
    #[serde(default)]
    pub label_name_length_limit: Option<usize>,
    /// Longest label value; default `limits.value_length`.
    #[serde(default)]
    pub label_value_length_limit: Option<usize>,
    /// Most targets of the job; with more, none is scraped.
    #[serde(default = "target_limit")]
    pub target_limit: usize,
    /// What a bad line does: `keep-good` keeps the rest, `fail` drops the scrape.
    #[serde(default)]
    pub on_parse_error: OnParseError,
    /// Targets, written out.
    #[serde(default)]
    pub static_configs: Vec<StaticConfig>,
    /// Targets from files.
    #[serde(default)]
    pub file_sd_configs: Vec<FileSd>,
    /// Targets from an HTTP endpoint.
    #[serde(default)]
    pub http_sd_configs: Vec<HttpSd>,
    /// Targets from DNS.
    #[serde(default)]
    pub dns_sd_configs: Vec<DnsSd>,
    /// Rules over a target's labels before it is scraped.
    #[serde(default)]
    pub relabel_configs: Vec<RelabelConfig>,
    /// Rules over the labels of scraped series.
    #[serde(default)]
    pub metric_relabel_configs: Vec<RelabelConfig>,
}

fn metrics_path() -> String {
    "/metrics".to_owned()
}

fn http_scheme() -> String {
    "http".to_owned()
}

fn yes() -> bool {
    true
}

fn target_limit() -> usize {
    10_000
}

fn scrape_protocols() -> Vec<ScrapeProtocol> {
    use ScrapeProtocol as P;
    vec![
        P::OpenMetricsText1_0_0,
        P::OpenMetricsText0_0_1,
        P::PrometheusText1_0_0,
        P::PrometheusText0_0_4,
    ]
}

impl ScrapeConfig {
    /// A job with every key at its default.
    pub fn named(job_name: &str) -> Self {
        Self {
            job_name: job_name.to_owned(),
            scrape_interval: None,
            scrape_timeout: None,
            metrics_path: metrics_path(),
            scheme: http_scheme(),
            params: BTreeMap::new(),
            honor_labels: false,
            honor_timestamps: true,
            track_timestamps_staleness: false,
            scrape_protocols: scrape_protocols(),
            fallback_scrape_protocol: None,
            always_scrape_classic_histograms: false,
            basic_auth: None,
            authorization: None,
            http_headers: BTreeMap::new(),
            tls_config: TlsConfig::default(),
            proxy_url: None,
            no_proxy: None,
            proxy_from_environment: false,
            environment: EnvironmentProxies::default(),
            follow_redirects: FollowRedirects::default(),
            allow_link_local: false,
            body_size_limit: None,
            sample_limit: None,
            label_limit: None,
            label_name_length_limit: None,
            label_value_length_limit: None,
            target_limit: target_limit(),
            on_parse_error: OnParseError::KeepGood,
            static_configs: Vec::new(),
            file_sd_configs: Vec::new(),
            http_sd_configs: Vec::new(),
            dns_sd_configs: Vec::new(),
            relabel_configs: Vec::new(),
            metric_relabel_configs: Vec::new(),
        }
    }

    /// How its targets are spoken to.
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

/// Targets with the same labels.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StaticConfig {
    /// `host:port`.
    pub targets: Vec<String>,
    /// Labels of their series.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// The machine they run on, if not told by the address.
    #[serde(default)]
    pub host: Option<String>,
    /// What they are for: `app`, `database`, `cache`, `queue`.
    #[serde(default)]
    pub role: Option<String>,
}

/// What a bad exposition line does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnParseError {
    /// Good lines are kept, bad ones counted.
    #[default]
    KeepGood,
    /// The whole scrape fails, as in Prometheus.
    Fail,
}

/// A format of expositions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub enum ScrapeProtocol {
    /// Delimited protobuf, which carries native histograms.
    PrometheusProto,
    /// OpenMetrics 1.0.0.
    #[serde(rename = "OpenMetricsText1.0.0")]
    OpenMetricsText1_0_0,
    /// OpenMetrics 0.0.1.
    #[serde(rename = "OpenMetricsText0.0.1")]
    OpenMetricsText0_0_1,
    /// Text with quoted names.
    #[serde(rename = "PrometheusText1.0.0")]
    PrometheusText1_0_0,
    /// The classic text format.
    #[serde(rename = "PrometheusText0.0.4")]
    PrometheusText0_0_4,
}
