//! The sense of `[[scrape_configs]]`.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::{Check, authority};
use crate::config::places::join;
use crate::config::{
    Authorization, BasicAuth, Config, HttpOptions, RecordType, ScrapeConfig, StaticConfig,
};

/// Headers that a request already has.
const RESERVED_HEADERS: [&str; 8] = [
    "accept",
    "accept-encoding",
    "authorization",
    "connection",
    "content-length",
    "host",
    "user-agent",
    "x-prometheus-scrape-timeout-seconds",
];

impl Check<'_> {
    pub(super) fn scrape(&mut self, path: &str, scrape: &ScrapeConfig, config: &Config) {
        self.not_empty(&format!("{path}.job_name"), &scrape.job_name);
        let interval = scrape
            .scrape_interval
            .unwrap_or(config.global.scrape_interval);
        self.positive(&format!("{path}.scrape_interval"), interval);
        if let Some(timeout) = scrape.scrape_timeout {
            self.positive(&format!("{path}.scrape_timeout"), timeout);
            self.within(&format!("{path}.scrape_timeout"), timeout, interval);
        }
        if !scrape.metrics_path.starts_with('/') {
            self.at(
                &format!("{path}.metrics_path"),
                "accepted: a path that begins with /",
            );
        }
        if !matches!(scrape.scheme.as_str(), "http" | "https") {
            let path = format!("{path}.scheme");
            let shown = self.places.show(&path, &scrape.scheme);
            self.at(
                &path,
                format!("unknown scheme {shown}; accepted: http, https"),
            );
        }
        if let Some(limit) = scrape.body_size_limit {
            self.bound(&format!("{path}.body_size_limit"), limit.0);
        }
        if let Some(limit) = scrape.sample_limit {
            self.bound(&format!("{path}.sample_limit"), limit as u64);
        }
        for (key, limit) in [
            ("label_limit", scrape.label_limit),
            ("label_name_length_limit", scrape.label_name_length_limit),
            ("label_value_length_limit", scrape.label_value_length_limit),
            ("target_limit", Some(scrape.target_limit)),
        ] {
            if let Some(limit) = limit {
                self.bound(&format!("{path}.{key}"), limit as u64);
            }
        }
        if scrape.scrape_protocols.is_empty() {
            self.at(
                &format!("{path}.scrape_protocols"),
                "accepted: at least one format",
            );
        }
        self.client(path, &scrape.http(), scrape.proxy_from_environment);
        for (key, rules) in [
            ("relabel_configs", &scrape.relabel_configs),
            ("metric_relabel_configs", &scrape.metric_relabel_configs),
        ] {
            for (i, rule) in rules.iter().enumerate() {
                if let Some((field, message)) = rule.problem() {
                    self.at(&format!("{path}.{key}[{i}].{field}"), message);
                }
            }
        }
        self.discovery(path, scrape);
        let mut seen = BTreeMap::new();
        for (i, group) in scrape.static_configs.iter().enumerate() {
            self.targets(&format!("{path}.static_configs[{i}]"), group, &mut seen);
        }
        let looks = scrape.file_sd_configs.len()
            + scrape.http_sd_configs.len()
            + scrape.dns_sd_configs.len();
        if seen.is_empty() && looks == 0 {
            let message = "no targets: nothing is scraped for this job";
            self.warnings.push(self.places.problem(path, message));
        }
    }

    fn credentials(
        &mut self,
        path: &str,
        basic: Option<&BasicAuth>,
        header: Option<&Authorization>,
    ) {
        if basic.is_some() && header.is_some() {
            self.at(
                &format!("{path}.authorization"),
                "there is basic_auth already; keep one of the two",
            );
        }
        if let Some(b) = basic {
            let path = format!("{path}.basic_auth");
            self.one_of(
                &path,
                ["password", "password_file"],
                b.password.is_some(),
                b.password_file.is_some(),
            );
        }
        if let Some(a) = header {
            let path = format!("{path}.authorization");
            self.one_of(
                &path,
                ["credentials", "credentials_file"],
                a.credentials.is_some(),
                a.credentials_file.is_some(),
            );
            let basic = a.scheme.eq_ignore_ascii_case("basic");
            let token = !a.scheme.is_empty() && a.scheme.bytes().all(|b| b.is_ascii_graphic());
            if basic || !token {
                self.at(
                    &format!("{path}.type"),
                    "accepted: one word such as Bearer (for Basic use basic_auth)",
                );
            }
        }
    }

    fn targets<'t>(
        &mut self,
        path: &str,
        group: &'t StaticConfig,
        seen: &mut BTreeMap<&'t str, String>,
    ) {
        for (i, target) in group.targets.iter().enumerate() {
            let here = format!("{path}.targets[{i}]");
            let shown = self.places.show(&here, target);
            if !is_host_port(target) {
                let message = format!(
                    "{shown} is not a target; accepted: host:port without scheme and path \
                     (scheme and metrics_path are keys of the job)"
                );
                self.at(&here, message);
            } else if let Some(first) = seen.get(target.as_str()) {
                self.at(&here, format!("{shown} is listed already, in {first}"));
            }
            seen.entry(target).or_insert(here);
        }
        self.labels(&format!("{path}.labels"), &group.labels);
    }

    /// Keys that a job and an HTTP discovery share.
    fn client(&mut self, path: &str, http: &HttpOptions, proxy_from_environment: bool) {
        self.credentials(path, http.basic_auth.as_ref(), http.authorization.as_ref());
        for (name, header) in &http.http_headers {
            let here = join(&format!("{path}.http_headers"), name);
            let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
            if name.is_empty() || !name.bytes().all(token) {
                self.at(&here, "accepted: the name of an HTTP header");
            } else if RESERVED_HEADERS.contains(&name.to_ascii_lowercase().as_str()) {
                self.at(&here, "this header is set by loadline itself");
            }
            if header.values.is_empty() && header.secrets.is_empty() && header.files.is_empty() {
                self.at(&here, "needs one of values, secrets and files");
            }
            for value in &header.values {
                if value.bytes().any(|b| b.is_ascii_control() && b != b'\t') {
                    self.at(&here, "a value may not hold control characters");
                }
            }
        }
        let tls = &http.tls_config;
        let here = format!("{path}.tls_config");
        for (key, inline, file) in [
            ("ca", tls.ca.is_some(), tls.ca_file.is_some()),
            ("cert", tls.cert.is_some(), tls.cert_file.is_some()),
            ("key", tls.key.is_some(), tls.key_file.is_some()),
        ] {
            if inline && file {
                let message = format!("has both {key} and {key}_file; keep one of the two");
                self.at(&here, message);
            }
        }
        let cert = tls.cert.is_some() || tls.cert_file.is_some();
        let key = tls.key.is_some() || tls.key_file.is_some();
        if cert != key {
            self.at(
                &here,
                "a certificate and its key go together: set cert and key",
            );
        }
        if let (Some(min), Some(max)) = (tls.min_version, tls.max_version)
            && min > max
        {
            self.at(&format!("{here}.min_version"), "newer than max_version");
        }
        let proxy = http.proxy_url.as_ref();
        self.http(&format!("{path}.proxy_url"), proxy);
        if proxy_from_environment && (proxy.is_some() || http.no_proxy.is_some()) {
            self.at(
                &format!("{path}.proxy_from_environment"),
                "keep this or proxy_url and no_proxy, not both",
            );
        }
        if http.no_proxy.is_some() && proxy.is_none() && !proxy_from_environment {
            self.at(&format!("{path}.no_proxy"), "there is no proxy_url");
        }
        if tls.server_name.is_some() && (proxy.is_some() || proxy_from_environment) {
            self.at(
                &format!("{here}.server_name"),
                "cannot be used through a proxy",
            );
        }
    }

    fn discovery(&mut self, path: &str, scrape: &ScrapeConfig) {
        for (i, files) in scrape.file_sd_configs.iter().enumerate() {
            let here = format!("{path}.file_sd_configs[{i}]");
            self.positive(&format!("{here}.refresh_interval"), files.refresh_interval);
            if files.files.is_empty() {
                self.at(&format!("{here}.files"), "accepted: at least one file");
            }
            for (k, file) in files.files.iter().enumerate() {
                let ending = file.rsplit_once('.').map(|(_, e)| e);
                if !matches!(ending, Some("json" | "yml" | "yaml")) {
                    self.at(
                        &format!("{here}.files[{k}]"),
                        "accepted: a name or pattern that ends in .json, .yml or .yaml",
                    );
                }
            }
        }
        for (i, http) in scrape.http_sd_configs.iter().enumerate() {
            let here = format!("{path}.http_sd_configs[{i}]");
            self.positive(&format!("{here}.refresh_interval"), http.refresh_interval);
            self.http(&format!("{here}.url"), Some(&http.url));
            if authority(http.url.expose()).contains('@') {
                self.at(
                    &format!("{here}.url"),
                    "no user name or password here: use basic_auth",
                );
            }
            self.client(&here, &http.http(), http.proxy_from_environment);
        }
        for (i, dns) in scrape.dns_sd_configs.iter().enumerate() {
            let here = format!("{path}.dns_sd_configs[{i}]");
            self.positive(&format!("{here}.refresh_interval"), dns.refresh_interval);
            if dns.names.is_empty() {
                self.at(&format!("{here}.names"), "accepted: at least one name");
            }
            match (dns.kind, dns.port) {
                (RecordType::A | RecordType::Aaaa, None) => self.at(
                    &format!("{here}.port"),
                    "A and AAAA records name no port, so it is needed here",
                ),
                (RecordType::A | RecordType::Aaaa | RecordType::Srv, Some(0)) => {
                    self.at(&format!("{here}.port"), "accepted: 1 to 65535");
                }
                (RecordType::A | RecordType::Aaaa | RecordType::Srv, _) => {}
            }
        }
    }
}

fn is_host_port(target: &str) -> bool {
    if target.parse::<SocketAddr>().is_ok() {
        return true;
    }
    target.rsplit_once(':').is_some_and(|(host, port)| {
        let host_ok = !host.is_empty()
            && host
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'));
        host_ok && port.parse::<u16>().is_ok_and(|p| p > 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_host_and_port() {
        for (target, want) in [
            ("localhost:9100", true),
            ("10.0.0.1:9100", true),
            ("[::1]:9100", true),
            ("db_1.internal:9187", true),
            ("localhost", false),
            ("http://localhost:9100", false),
            ("localhost:9100/metrics", false),
            ("::1:9100", false),
            ("a b:1", false),
            (":9100", false),
            ("a:0", false),
            ("a:70000", false),
        ] {
            assert_eq!(is_host_port(target), want, "{target}");
        }
    }
}
