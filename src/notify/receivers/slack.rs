//! Slack's incoming webhook.

use super::Outgoing;
use super::http::Http;
use super::retry::Outcome;
use crate::config::SlackConfig;
use crate::notify::message::{Frame, slack};

pub(super) async fn send(
    config: &SlackConfig,
    http: &Http,
    frame: &Frame,
    out: &Outgoing,
) -> Outcome {
    let body = slack::deliver(&out.body, &out.id, &out.delivery, frame);
    http.post(config.source(), "application/json", &[], body)
        .await
}
