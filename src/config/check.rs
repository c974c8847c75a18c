//! What the types cannot say: names that must exist, values that must fit each other.
//!
//! What must stay true: no network and no files (`resolve` looks at those); every message says
//! what is accepted; no secret is shown.

mod scrape;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use super::places::join;
use super::{Config, FactValue, Places, Postgres, Receiver, Secret, SignOverride, Span};
use crate::model::Problem;

/// The least memory budget: below it not even the shipped rules have room.
const LEAST_MEMORY: u64 = 16 << 20;

/// All problems of a config whose form is right.
pub(super) fn check(config: &Config, places: &Places, warnings: &mut Vec<Problem>) -> Vec<Problem> {
    let mut c = Check {
        places,
        problems: Vec::new(),
        warnings,
    };
    c.global(config);
    c.server(config);
    c.bounds(config);
    c.advice(config);
    c.host(config);
    for (i, postgres) in config.postgres.iter().enumerate() {
        c.postgres(&format!("postgres[{i}]"), postgres);
    }
    let jobs = config.scrape_configs.iter().map(|s| s.job_name.as_str());
    c.unique(jobs, "scrape_configs", "job_name");
    for (i, scrape) in config.scrape_configs.iter().enumerate() {
        c.scrape(&format!("scrape_configs[{i}]"), scrape, config);
    }
    c.route(config);
    let names = config.receivers.iter().map(|r| r.name.as_str());
    c.unique(names, "receivers", "name");
    c.heartbeat(config);
    for (i, receiver) in config.receivers.iter().enumerate() {
        c.receiver(&format!("receivers[{i}]"), receiver);
    }
    c.problems
}

struct Check<'a> {
    places: &'a Places,
    problems: Vec<Problem>,
    warnings: &'a mut Vec<Problem>,
}

impl Check<'_> {
    fn global(&mut self, config: &Config) {
        let g = &config.global;
        self.positive("global.scrape_interval", g.scrape_interval);
        self.positive("global.scrape_timeout", g.scrape_timeout);
        self.positive("global.evaluation_interval", g.evaluation_interval);
        self.positive("global.discovery_interval", g.discovery_interval);
        if self.places.has("global.scrape_timeout") {
            self.within("global.scrape_timeout", g.scrape_timeout, g.scrape_interval);
        }
        self.labels("global.external_labels", &g.external_labels);
        if let Some(zone) = &g.timezone
            && jiff::tz::TimeZone::get(zone).is_err()
        {
            let message = format!(
                "unknown time zone {}; accepted: an IANA name such as Europe/Berlin or UTC",
                self.places.show("global.timezone", zone)
            );
            self.at("global.timezone", message);
        }
    }

    fn server(&mut self, config: &Config) {
        let listen = &config.server.listen;
        let shown = self.places.show("server.listen", listen);
        let address = match listen.strip_prefix("localhost:") {
            Some(port) => format!("127.0.0.1:{port}"),
            None => listen.clone(),
        };
        match address.parse::<SocketAddr>() {
            Ok(a) if a.ip().is_loopback() => {}
            Ok(_) => self.at(
                "server.listen",
                format!(
                    "{shown} is not loopback, and there is no authentication yet; accepted: \
                     127.0.0.1:PORT, [::1]:PORT or localhost:PORT"
                ),
            ),
            Err(_) => self.at(
                "server.listen",
                format!(
                    "cannot listen on {shown}; accepted: 127.0.0.1:PORT, [::1]:PORT or \
                     localhost:PORT"
                ),
            ),
        }
        if let Some(url) = &config.server.external_url {
            if !is_http(url) {
                self.at(
                    "server.external_url",
                    "accepted: an address that begins with http:// or https://",
                );
            } else if authority(url).contains('@') {
                self.at(
                    "server.external_url",
                    "no user name or password here: this address stands in messages",
                );
            }
        }
    }

    fn bounds(&mut self, config: &Config) {
        let l = &config.limits;
        for (key, value) in [
            ("body_size", l.body_size.0),
            ("samples_per_target", l.samples_per_target as u64),
            ("labels", l.labels as u64),
            ("name_length", l.name_length.0),
            ("value_length", l.value_length.0),
        ] {
            self.bound(&format!("limits.{key}"), value);
        }
        let every = config.state.samples_interval.0;
        if !(Duration::from_secs(1)..=Duration::from_secs(60)).contains(&every) {
            self.at("state.samples_interval", "accepted: 1s to 1m");
        }
        if l.memory.is_some_and(|m| m.0 < LEAST_MEMORY) {
            self.at("limits.memory", "accepted: 16MiB or more");
        }
        self.bound("query.max_samples", config.query.max_samples as u64);
        self.positive("query.timeout", config.query.timeout);
    }

    fn advice(&mut self, config: &Config) {
        for (i, label) in config.advice.system_labels.iter().enumerate() {
            let path = format!("advice.system_labels[{i}]");
            self.label_name(&path, label, &self.places.show(&path, label));
        }
        for (id, fact) in &config.facts {
            self.fact(&join("facts", id), fact);
        }
        for (id, sign) in &config.signs.by_id {
            self.sign(&join("signs", id), sign);
        }
    }

    fn fact(&mut self, path: &str, fact: &FactValue) {
        match fact {
            FactValue::Number(n) if !n.is_finite() => self.at(path, "accepted: a finite number"),
            FactValue::Table(table) => {
                for (key, value) in table {
                    self.fact(&join(path, key), value);
                }
            }
            FactValue::Bool(_) | FactValue::Number(_) | FactValue::Text(_) | FactValue::Date(_) => {
            }
        }
    }

    fn sign(&mut self, path: &str, sign: &SignOverride) {
        let levels = [
            ("note", sign.note),
            ("plan", sign.plan),
            ("act", sign.act),
            ("now", sign.now),
        ];
        let mut set = Vec::new();
        for (level, value) in levels {
            match value {
                Some(v) if !v.is_finite() => {
                    self.at(&format!("{path}.{level}"), "accepted: a finite number");
                }
                Some(v) => set.push((level, v)),
                None => {}
            }
        }
        // Some signs grow worse upwards, others downwards: only a turn is certainly wrong.
        let rises = set.windows(2).any(|w| w[0].1 < w[1].1);
        let falls = set.windows(2).any(|w| w[0].1 > w[1].1);
        if rises && falls {
            self.at(
                path,
                "thresholds must rise or fall in the order note, plan, act, now",
            );
        }
    }

    fn host(&mut self, config: &Config) {
        for (key, path) in [
            ("procfs", &config.host.procfs),
            ("rootfs", &config.host.rootfs),
        ] {
            if !path.is_absolute() {
                self.at(
                    &format!("host.{key}"),
                    "accepted: a path that begins with /",
                );
            }
        }
        self.labels("host.labels", &config.host.labels);
    }

    fn postgres(&mut self, path: &str, postgres: &Postgres) {
        let url = postgres.url.expose();
        let userinfo = url
            .strip_prefix("postgres://")
            .or_else(|| url.strip_prefix("postgresql://"))
            .map(|rest| authority_of(rest).rsplit_once('@').map_or("", |(u, _)| u));
        let inline = match userinfo {
            None => {
                self.at(
                    &format!("{path}.url"),
                    "accepted: postgres://USER@HOST:PORT/DATABASE or \
                     postgres:///DATABASE?host=/run/postgresql",
                );
                false
            }
            Some(userinfo) => userinfo.contains(':') || query_has(url, "password"),
        };
        if inline && postgres.password_file.is_some() {
            self.at(
                &format!("{path}.password_file"),
                "the url has a password already; keep one of the two",
            );
        }
        if postgres.databases.is_empty() {
            self.at(
                &format!("{path}.databases"),
                "accepted: at least one name, or [\"*\"] for all",
            );
        }
        if let Some(interval) = postgres.scrape_interval {
            self.positive(&format!("{path}.scrape_interval"), interval);
        }
        self.labels(&format!("{path}.labels"), &postgres.labels);
    }

    fn route(&mut self, config: &Config) {
        let names: BTreeSet<&str> = config.receivers.iter().map(|r| r.name.as_str()).collect();
        let Some(route) = &config.route else {
            // One receiver needs no route: everything goes there.
            if names.len() > 1 {
                let message = "with several receivers, [route] with receiver = \"NAME\" is needed";
                self.at("receivers[1]", message);
            }
            return;
        };
        if !names.contains(route.receiver.as_str()) {
            let accepted = if names.is_empty() {
                "there is no [[receivers]] table yet".to_owned()
            } else {
                let names = config
                    .receivers
                    .iter()
                    .enumerate()
                    .map(|(i, r)| self.places.show(&format!("receivers[{i}].name"), &r.name));
                let names: BTreeSet<String> = names.collect();
                let names: Vec<String> = names.into_iter().collect();
                format!("accepted: {}", names.join(", "))
            };
            let shown = self.places.show("route.receiver", &route.receiver);
            let message = format!("unknown receiver {shown}; {accepted}");
            self.at("route.receiver", message);
        }
        for (i, label) in route.group_by.iter().enumerate() {
            let path = format!("route.group_by[{i}]");
            self.label_name(&path, label, &self.places.show(&path, label));
        }
        self.positive("route.group_interval", route.group_interval);
        self.positive("route.repeat_interval", route.repeat_interval);
        if route.repeat_interval < route.group_interval {
            self.at(
                "route.repeat_interval",
                "accepted: at least route.group_interval",
            );
        }
    }

    fn heartbeat(&mut self, config: &Config) {
        let heartbeat = &config.heartbeat;
        if heartbeat.url.is_some() && heartbeat.url_file.is_some() {
            self.at("heartbeat.url", "accepted: one of url, url_file");
        }
        if heartbeat.interval.0.is_zero() {
            self.at(
                "heartbeat.interval",
                "accepted: a duration above 0, e.g. 1m",
            );
        }
        self.http("heartbeat.url", heartbeat.url.as_ref());
        for (i, receiver) in config.receivers.iter().enumerate() {
            if let Some(name) = &receiver.fallback
                && !config.receivers.iter().any(|r| r.name == *name)
            {
                self.at(
                    &format!("receivers[{i}].fallback"),
                    "accepted: the name of a receiver",
                );
            }
        }
    }

    fn receiver(&mut self, path: &str, receiver: &Receiver) {
        self.not_empty(&format!("{path}.name"), &receiver.name);
        if let Some(fallback) = &receiver.fallback {
            self.not_empty(&format!("{path}.fallback"), fallback);
        }
        for (i, webhook) in receiver.webhook_configs.iter().enumerate() {
            let here = format!("{path}.webhook_configs[{i}]");
            let file = webhook.url_file.is_some();
            self.one_of(&here, ["url", "url_file"], webhook.url.is_some(), file);
            self.http(&format!("{here}.url"), webhook.url.as_ref());
        }
        for (i, slack) in receiver.slack_configs.iter().enumerate() {
            let here = format!("{path}.slack_configs[{i}]");
            let file = slack.api_url_file.is_some();
            self.one_of(
                &here,
                ["api_url", "api_url_file"],
                slack.api_url.is_some(),
                file,
            );
            self.http(&format!("{here}.api_url"), slack.api_url.as_ref());
        }
    }

    fn http(&mut self, path: &str, url: Option<&Secret>) {
        if url.is_some_and(|u| !is_http(u.expose())) {
            self.at(
                path,
                "accepted: an address that begins with http:// or https://",
            );
        }
    }

    fn one_of(&mut self, path: &str, keys: [&str; 2], first: bool, second: bool) {
        let [a, b] = keys;
        match (first, second) {
            (true, false) | (false, true) => {}
            (true, true) => self.at(path, format!("has both {a} and {b}; keep one of the two")),
            (false, false) => self.at(path, format!("needs one of {a} and {b}")),
        }
    }

    fn unique<'n>(&mut self, names: impl Iterator<Item = &'n str>, list: &str, key: &str) {
        let mut seen = BTreeMap::new();
        for (i, name) in names.enumerate() {
            if let Some(first) = seen.get(name) {
                let path = format!("{list}[{i}].{key}");
                let shown = self.places.show(&path, name);
                self.at(
                    &path,
                    format!("{shown} is taken by {list}[{first}]; it must be unique"),
                );
            } else {
                seen.insert(name, i);
            }
        }
    }

    fn labels(&mut self, path: &str, labels: &BTreeMap<String, String>) {
        for name in labels.keys() {
            self.label_name(&join(path, name), name, &format!("{name:?}"));
        }
    }

    fn label_name(&mut self, path: &str, name: &str, shown: &str) {
        let mut bytes = name.bytes();
        let first = bytes
            .next()
            .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
        let good = first
            && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
            && !name.starts_with("__");
        if !good {
            let message = format!(
                "{shown} is not a label name; accepted: letters, digits and _, no digit first, \
                 not two _ first"
            );
            self.at(path, message);
        }
    }

    fn positive(&mut self, path: &str, span: Span) {
        if span.0.is_zero() {
            self.at(path, "accepted: a duration above 0, e.g. 15s");
        }
    }

    fn within(&mut self, path: &str, timeout: Span, interval: Span) {
        if timeout > interval && !interval.0.is_zero() {
            let message = format!(
                "longer than the scrape_interval; accepted: at most {}",
                crate::model::duration::format(interval.0)
            );
            self.at(path, message);
        }
    }

    fn bound(&mut self, path: &str, value: u64) {
        if value == 0 {
            self.at(path, "accepted: 1 or more (there is no \"unlimited\")");
        }
    }

    fn not_empty(&mut self, path: &str, text: &str) {
        if text.is_empty() {
            self.at(path, "accepted: a text that is not empty");
        }
    }

    fn at(&mut self, path: &str, message: impl Into<String>) {
        self.problems.push(self.places.problem(path, message));
    }
}

fn is_http(url: &str) -> bool {
    (url.starts_with("http://") || url.starts_with("https://")) && !authority(url).is_empty()
}

/// The part between `://` and the path.
fn authority(url: &str) -> &str {
    url.split_once("://")
        .map_or("", |(_, rest)| authority_of(rest))
}

fn authority_of(rest: &str) -> &str {
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

fn query_has(url: &str, key: &str) -> bool {
    url.split_once('?').is_some_and(|(_, query)| {
        query
            .split('&')
            .any(|pair| pair.split('=').next() == Some(key))
    })
}
