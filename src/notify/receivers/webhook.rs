//! The generic webhook.

use super::Outgoing;
use super::http::Http;
use super::retry::Outcome;
use crate::config::WebhookConfig;

pub(super) async fn send(config: &WebhookConfig, http: &Http, out: &Outgoing) -> Outcome {
    let content_type = if out.is_fallback {
        "text/plain; charset=utf-8"
    } else {
        "application/json"
    };
    let seconds = out.at.millis().div_euclid(1000).to_string();
    let headers = [
        ("webhook-id", out.id.as_str()),
        ("webhook-timestamp", &seconds),
    ];
    http.post(config.source(), content_type, &headers, out.body.clone())
        .await
}
