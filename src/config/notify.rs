//! `[route]` and `[[receivers]]`, in Alertmanager's words.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::secret::{Secret, SecretSource};
use super::value::Span;

/// `[route]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Name of a receiver.
    pub receiver: String,
    /// Labels that make one message.
    #[serde(default = "group_by")]
    pub group_by: Vec<String>,
    /// How long the first message of a group waits for more; level now never waits.
    #[serde(default = "group_wait")]
    pub group_wait: Span,
    /// Least time between messages of one group.
    #[serde(default = "group_interval")]
    pub group_interval: Span,
    /// When an unchanged group is sent again.
    #[serde(default = "repeat_interval")]
    pub repeat_interval: Span,
}

impl Route {
    /// The default route to `receiver`.
    pub fn to(receiver: &str) -> Self {
        Self {
            receiver: receiver.to_owned(),
            group_by: group_by(),
            group_wait: group_wait(),
            group_interval: group_interval(),
            repeat_interval: repeat_interval(),
        }
    }
}

fn group_by() -> Vec<String> {
    vec!["system".to_owned(), "sign".to_owned()]
}

fn group_wait() -> Span {
    Span(Duration::from_secs(30))
}

fn group_interval() -> Span {
    Span(Duration::from_secs(300))
}

fn repeat_interval() -> Span {
    Span(Duration::from_secs(86_400))
}

/// `[[receivers]]`: a name and where its messages go.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receiver {
    /// Unique name.
    pub name: String,
    /// Name of the receiver that is told when this one fails or messages to it are given up.
    #[serde(default)]
    pub fallback: Option<String>,
    /// JSON over HTTP, Alertmanager's body with one `loadline` object.
    #[serde(default)]
    pub webhook_configs: Vec<WebhookConfig>,
    /// Slack incoming webhooks.
    #[serde(default)]
    pub slack_configs: Vec<SlackConfig>,
    /// Desktop notifications of this user's session.
    #[serde(default)]
    pub desktop_configs: Vec<DesktopConfig>,
    /// Lines in the daemon's log.
    #[serde(default)]
    pub log_configs: Vec<LogConfig>,
}

/// `[[receivers.webhook_configs]]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookConfig {
    /// Address; as a whole a secret.
    #[serde(default)]
    pub url: Option<Secret>,
    /// File with the address.
    #[serde(default)]
    pub url_file: Option<PathBuf>,
    /// False: resolved messages are not sent.
    #[serde(default = "yes")]
    pub send_resolved: bool,
}

/// `[[receivers.slack_configs]]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlackConfig {
    /// Incoming webhook; its path is the token.
    #[serde(default)]
    pub api_url: Option<Secret>,
    /// File with the address.
    #[serde(default)]
    pub api_url_file: Option<PathBuf>,
    /// False: resolved messages are not sent.
    #[serde(default = "yes")]
    pub send_resolved: bool,
}

/// `[[receivers.desktop_configs]]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DesktopConfig {
    /// False: resolved messages are not sent.
    #[serde(default = "yes")]
    pub send_resolved: bool,
}

/// `[[receivers.log_configs]]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogConfig {
    /// False: resolved messages are not written.
    #[serde(default = "yes")]
    pub send_resolved: bool,
}

/// `[heartbeat]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Heartbeat {
    /// Address that is asked (POST); as a whole a secret.
    pub url: Option<Secret>,
    /// File with the address.
    pub url_file: Option<PathBuf>,
    /// Time between two.
    pub interval: Span,
}

impl Default for Heartbeat {
    fn default() -> Self {
        Self {
            url: None,
            url_file: None,
            interval: Span(Duration::from_secs(60)),
        }
    }
}

impl Heartbeat {
    /// Where the address comes from.
    pub fn source(&self) -> SecretSource<'_> {
        SecretSource {
            inline: self.url.as_ref(),
            file: self.url_file.as_deref(),
        }
    }
}

fn yes() -> bool {
    true
}

impl WebhookConfig {
    /// Where the address comes from.
    pub fn source(&self) -> SecretSource<'_> {
        SecretSource {
            inline: self.url.as_ref(),
            file: self.url_file.as_deref(),
        }
    }
}

impl SlackConfig {
    /// Where the address comes from.
    pub fn source(&self) -> SecretSource<'_> {
        SecretSource {
            inline: self.api_url.as_ref(),
            file: self.api_url_file.as_deref(),
        }
    }
}
