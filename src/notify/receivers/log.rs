//! The daemon's log: always there, never fails.

use super::Outgoing;
use super::retry::Outcome;
use crate::notify::message::Frame;

pub(super) fn send(out: &Outgoing, frame: &Frame) -> Outcome {
    let mut text = out.body.clone();
    if let Some(note) = out.delivery.note(&out.id, frame) {
        text = format!("{text}\n{note}");
    }
    match out.urgency {
        3.. => tracing::error!(target: "loadline::message", id = %out.id, "{text}"),
        2 => tracing::warn!(target: "loadline::message", id = %out.id, "{text}"),
        _ => tracing::info!(target: "loadline::message", id = %out.id, "{text}"),
    }
    Outcome::Done
}
