//! Who is told, and what makes one message.
//!
//! What must stay true: a notice's endpoints and group are fixed when it is written, so a reload
//! never splits a group that waits.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::advice::SignInstance;
use crate::config::{DesktopConfig, LogConfig, Receiver, Route, SlackConfig, WebhookConfig};
use crate::model::{Labels, Level, Timestamp};

/// Name of the receiver that exists when none is configured.
pub const DEFAULT_RECEIVER: &str = "default";

/// The way from a sign instance to endpoints.
#[derive(Debug, Clone)]
pub struct Routing {
    /// The route in force.
    pub route: Route,
    /// Where its messages go, all endpoints of its receiver.
    pub endpoints: Vec<Endpoint>,
    /// Who is told only when one of these fails: all endpoints of the receiver's fallback.
    pub fallbacks: Vec<Endpoint>,
}

/// One config of a receiver: the unit of order, retry and backoff, so that one that hangs never
/// delays another.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Unique: `RECEIVER/KIND`, from the second of a kind on `RECEIVER/KIND/N`.
    pub name: String,
    /// Name of the receiver.
    pub receiver: String,
    /// What it is.
    pub kind: Kind,
}

/// How fast an endpoint takes messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Time between messages in the long run.
    pub every: Duration,
    /// Messages that may come at once.
    pub burst: u32,
}

impl Pace {
    /// When the next message may go; `paced_until` is the memory of the ones before.
    pub fn next(&self, paced_until: Timestamp, now: Timestamp) -> Timestamp {
        // Further ahead than a burst reaches: the clock stepped back.
        if paced_until > now + self.every * self.burst {
            return now;
        }
        paced_until - self.every * self.burst.saturating_sub(1)
    }

    /// The memory after a message that went at `now`.
    pub fn after(&self, paced_until: Timestamp, now: Timestamp) -> Timestamp {
        let ahead = now + self.every * self.burst;
        paced_until.max(now).min(ahead) + self.every
    }
}

/// What an endpoint is.
#[derive(Debug, Clone)]
pub enum Kind {
    /// Lines in the daemon's log.
    Log(LogConfig),
    /// Notifications of the user's session.
    Desktop(DesktopConfig),
    /// JSON over HTTP.
    Webhook(WebhookConfig),
    /// Slack incoming webhook.
    Slack(SlackConfig),
}

impl Endpoint {
    /// How fast it takes messages; `None` when as fast as they come.
    pub fn pace(&self) -> Option<Pace> {
        match &self.kind {
            // Slack takes about one a second and channel, with short bursts.
            Kind::Slack(_) => Some(Pace {
                every: Duration::from_secs(1),
                burst: 5,
            }),
            Kind::Log(_) | Kind::Desktop(_) | Kind::Webhook(_) => None,
        }
    }

    /// False: messages that only say "resolved" are not sent.
    pub fn send_resolved(&self) -> bool {
        match &self.kind {
            Kind::Log(c) => c.send_resolved,
            Kind::Desktop(c) => c.send_resolved,
            Kind::Webhook(c) => c.send_resolved,
            Kind::Slack(c) => c.send_resolved,
        }
    }
}

impl Routing {
    /// Reads the configured route and receivers. Without any, all goes to the log and, when
    /// `desktop` says that a session answers, to the desktop.
    pub fn new(
        route: Option<&Route>,
        receivers: &[Receiver],
        desktop: bool,
    ) -> Result<Self, RouteError> {
        let mut names = BTreeSet::new();
        if let Some(twice) = receivers.iter().find(|r| !names.insert(r.name.as_str())) {
            return Err(RouteError::Twice(twice.name.clone()));
        }
        if receivers.is_empty() && route.is_none_or(|r| r.receiver == DEFAULT_RECEIVER) {
            let route = route.cloned();
            return Ok(Self {
                route: route.unwrap_or_else(|| Route::to(DEFAULT_RECEIVER)),
                endpoints: endpoints(&default_receiver(desktop))?,
                fallbacks: Vec::new(),
            });
        }
        let route = match (route, receivers) {
            (Some(route), _) => route.clone(),
            (None, [only]) => Route::to(&only.name),
            (None, _) => return Err(RouteError::NoRoute(list(receivers))),
        };
        let receiver = receivers
            .iter()
            .find(|r| r.name == route.receiver)
            .ok_or_else(|| RouteError::Unknown {
                name: route.receiver.clone(),
                known: list(receivers),
            })?;
        let fallbacks = match &receiver.fallback {
            None => Vec::new(),
            Some(name) if *name == receiver.name => Vec::new(),
            Some(name) => {
                let known = || list(receivers);
                let unknown = || RouteError::UnknownFallback {
                    receiver: receiver.name.clone(),
                    name: name.clone(),
                    known: known(),
                };
                let fallback = receivers.iter().find(|r| r.name == *name);
                endpoints(fallback.ok_or_else(unknown)?)?
            }
        };
        Ok(Self {
            endpoints: endpoints(receiver)?,
            fallbacks,
            route,
        })
    }

    /// The labels that make one message of sign instances; `system` and `sign` are the
    /// instance's own, all others its labels.
    pub fn group(&self, instance: &SignInstance) -> Labels {
        Labels::from_pairs(self.route.group_by.iter().map(|name| {
            let value = match name.as_str() {
                "system" => &instance.key.system,
                "sign" => &instance.key.sign,
                other => instance.key.labels.get(other),
            };
            (name.as_str(), value)
        }))
    }

    /// All endpoints that may get messages.
    pub fn all(&self) -> impl Iterator<Item = &Endpoint> {
        self.endpoints.iter().chain(&self.fallbacks)
    }

    /// The endpoint of this name.
    pub fn endpoint(&self, name: &str) -> Option<&Endpoint> {
        self.all().find(|e| e.name == name)
    }
}

/// What is done with a change of some level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// It becomes a message.
    Send,
    /// It waits for the digest.
    Digest,
    /// It is never sent.
    Muted,
    /// It is told once for its source, not for each sign.
    Covered,
    /// An endpoint is not told of itself.
    Own,
}

impl Disposition {
    /// note is never sent, plan goes to the digest, act and now are sent.
    pub fn of(level: Level) -> Self {
        match level {
            Level::Note => Disposition::Muted,
            Level::Plan => Disposition::Digest,
            Level::Act | Level::Now => Disposition::Send,
        }
    }

    /// Why it is not sent; empty when it is.
    pub fn reason(self) -> &'static str {
        match self {
            Disposition::Send => "",
            Disposition::Digest => "level plan waits for the digest",
            Disposition::Muted => "level note is never sent",
            Disposition::Own => "an endpoint is not told of itself",
            Disposition::Covered => "a blind source is told once, not for each sign",
        }
    }
}

/// The route cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// Two receivers have one name.
    #[error("[[receivers]]: the name {0:?} is there twice; each receiver needs its own")]
    Twice(String),
    /// Several receivers, but no route.
    #[error("[route] is missing: set `receiver` to one of {0}")]
    NoRoute(String),
    /// The route names no receiver.
    #[error("[route] receiver = {name:?} is unknown; accepted: {known}")]
    Unknown {
        /// As written.
        name: String,
        /// All names.
        known: String,
    },
    /// A receiver's fallback is no receiver.
    #[error("[[receivers]] {receiver:?}: fallback = {name:?} is unknown; accepted: {known}")]
    UnknownFallback {
        /// Name of the receiver.
        receiver: String,
        /// As written.
        name: String,
        /// All names.
        known: String,
    },
    /// An address is missing.
    #[error("[[receivers]] {receiver:?}: {what} needs `{key}` or `{key}_file`")]
    NoAddress {
        /// Name of the receiver.
        receiver: String,
        /// Which table.
        what: &'static str,
        /// Which key.
        key: &'static str,
    },
}

fn list(receivers: &[Receiver]) -> String {
    if receivers.is_empty() {
        return DEFAULT_RECEIVER.to_owned();
    }
    let names: Vec<&str> = receivers.iter().map(|r| r.name.as_str()).collect();
    names.join(", ")
}

fn default_receiver(desktop: bool) -> Receiver {
    Receiver {
        name: DEFAULT_RECEIVER.to_owned(),
        fallback: None,
        webhook_configs: Vec::new(),
        slack_configs: Vec::new(),
        desktop_configs: if desktop {
            vec![DesktopConfig {
                send_resolved: true,
            }]
        } else {
            Vec::new()
        },
        log_configs: vec![LogConfig {
            send_resolved: true,
        }],
    }
}

fn endpoints(receiver: &Receiver) -> Result<Vec<Endpoint>, RouteError> {
    let no_address = |what, key| RouteError::NoAddress {
        receiver: receiver.name.clone(),
        what,
        key,
    };
    if (receiver.webhook_configs.iter()).any(|c| c.url.is_none() && c.url_file.is_none()) {
        return Err(no_address("webhook_configs", "url"));
    }
    if (receiver.slack_configs.iter()).any(|c| c.api_url.is_none() && c.api_url_file.is_none()) {
        return Err(no_address("slack_configs", "api_url"));
    }
    let mut all = Vec::new();
    let mut add = |word: &str, kinds: Vec<Kind>| {
        for (i, kind) in kinds.into_iter().enumerate() {
            let name = match i {
                0 => format!("{}/{word}", receiver.name),
                _ => format!("{}/{word}/{}", receiver.name, i + 1),
            };
            all.push(Endpoint {
                name,
                receiver: receiver.name.clone(),
                kind,
            });
        }
    };
    add(
        "log",
        receiver
            .log_configs
            .iter()
            .cloned()
            .map(Kind::Log)
            .collect(),
    );
    add(
        "desktop",
        receiver
            .desktop_configs
            .iter()
            .cloned()
            .map(Kind::Desktop)
            .collect(),
    );
    add(
        "webhook",
        receiver
            .webhook_configs
            .iter()
            .cloned()
            .map(Kind::Webhook)
            .collect(),
    );
    add(
        "slack",
        receiver
            .slack_configs
            .iter()
            .cloned()
            .map(Kind::Slack)
            .collect(),
    );
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::notify::testing::instance;

    fn check(toml: &str, want: Result<&[&str], &str>) {
        let config: Config = toml::from_str(toml).unwrap();
        let routing = Routing::new(config.route.as_ref(), &config.receivers, true);
        match want {
            Ok(names) => {
                let routing = routing.unwrap();
                let got: Vec<&str> = routing.endpoints.iter().map(|e| e.name.as_str()).collect();
                assert_eq!(got, names, "{toml}");
            }
            Err(text) => {
                let error = routing.unwrap_err().to_string();
                assert!(error.contains(text), "{error}");
            }
        }
    }

    #[test]
    fn receivers_become_endpoints() {
        let two = "[[receivers]]\nname = \"a\"\n[[receivers.webhook_configs]]\nurl = \"http://x\"\n\
                   [[receivers.webhook_configs]]\nurl_file = \"/f\"\n[[receivers.slack_configs]]\n\
                   api_url = \"http://y\"\n";
        let empty = "[[receivers]]\nname = \"b\"\n";
        check("", Ok(&["default/log", "default/desktop"]));
        check(two, Ok(&["a/webhook", "a/webhook/2", "a/slack"]));
        check(empty, Ok(&[]));
        check(
            &format!("{two}{empty}"),
            Err("set `receiver` to one of a, b"),
        );
        check(&format!("[route]\nreceiver = \"b\"\n{two}{empty}"), Ok(&[]));
        check(
            &format!("[route]\nreceiver = \"c\"\n{two}{empty}"),
            Err("receiver = \"c\" is unknown; accepted: a, b"),
        );
        check(
            "[route]\nreceiver = \"c\"\n",
            Err("receiver = \"c\" is unknown; accepted: default"),
        );
        check(&format!("{empty}{empty}"), Err("\"b\" is there twice"));
        check(
            "[[receivers]]\nname = \"a\"\n[[receivers.slack_configs]]\n",
            Err("slack_configs needs `api_url` or `api_url_file`"),
        );
    }

    #[test]
    fn the_group_is_made_of_pseudo_labels_and_labels() {
        let mut routing = Routing::new(None, &[], false).unwrap();
        let instance = instance("db-connections-near-limit", Level::Act);
        assert_eq!(
            routing.group(&instance).to_string(),
            r#"{sign="db-connections-near-limit"}"#
        );
        routing.route.group_by = vec!["server".to_owned(), "nothing".to_owned()];
        assert_eq!(
            routing.group(&instance).to_string(),
            r#"{server="db1:5432"}"#
        );
        routing.route.group_by = Vec::new();
        assert_eq!(routing.group(&instance).to_string(), "{}");
    }
}
