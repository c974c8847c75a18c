//! One small file per kind of receiver.
//!
//! What must stay true: an address is a secret as a whole and reaches no error; redirects are not
//! followed; metadata and link-local addresses are never connected to; every wait and every body
//! has a bound.

pub mod desktop;
pub mod http;
pub mod log;
pub mod retry;
pub mod slack;
pub mod webhook;

use retry::Outcome;

use super::message::{Delivery, Frame};
use super::route::{Endpoint, Kind};
use crate::model::Timestamp;

/// A message on its way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Its id.
    pub id: String,
    /// Its frozen body, or the fallback.
    pub body: String,
    /// The body is the fallback.
    pub is_fallback: bool,
    /// 3 = now, 2 = act, less = over.
    pub urgency: i64,
    /// When this attempt is made.
    pub at: Timestamp,
    /// What is added now.
    pub delivery: Delivery,
}

/// Makes one attempt.
pub async fn send(
    endpoint: &Endpoint,
    http: &http::Http,
    frame: &Frame,
    out: &Outgoing,
) -> Outcome {
    match &endpoint.kind {
        Kind::Log(_) => log::send(out, frame),
        Kind::Desktop(_) => desktop::send(out, frame).await,
        Kind::Webhook(config) => webhook::send(config, http, out).await,
        Kind::Slack(config) => slack::send(config, http, frame, out).await,
    }
}
