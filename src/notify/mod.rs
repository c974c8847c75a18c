//! From notices to messages to receivers.
//!
//! What must stay true: what is sent was committed first; a message is delivered at least once,
//! in order per endpoint and group, with a constant id and frozen words; one endpoint never waits
//! for another; no secret reaches a body, an error or a log line; every notice that is not sent
//! has its reason.
//!
//! [`Outbox::notices`] goes into the transaction of the change ([`State::commit_advice`]);
//! [`Outbox::flush`] turns notices that are due into messages; one [`Worker`] per endpoint sends
//! them.

pub mod heartbeat;
pub mod message;
pub mod outbox;
pub mod receivers;
pub mod route;
mod rows;
#[cfg(test)]
#[path = "../../tests/world/sinks.rs"]
mod sinks;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
pub mod worker;

use std::collections::BTreeMap;

pub use heartbeat::Heartbeat;
pub use message::Frame;
pub use outbox::{Event, SignEvent};
pub use receivers::desktop;
pub use receivers::retry::RetryPolicy;
pub use route::{Endpoint, RouteError, Routing};
pub use worker::{Sent, Worker};

use crate::advice::{Decision, SignInstance, SignKey};
use crate::model::Timestamp;
use crate::state::{NoticeRow, SilentFold, State, StateError};

/// The outbox with its route and frame.
#[derive(Debug, Clone)]
pub struct Outbox {
    /// Who is told.
    pub routing: Routing,
    /// What all messages share.
    pub frame: Frame,
}

/// What a flush did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flushed {
    /// Ids of messages written.
    pub messages: Vec<String>,
    /// Notices that needed no message.
    pub silent: usize,
    /// Notices that this version cannot read; they stay.
    pub unreadable: Vec<String>,
    /// Endpoints that are no longer configured, with the number of messages given up.
    pub retired: Vec<(String, u64)>,
    /// When to flush next if nothing happens before, and why.
    pub next_due: Option<(Timestamp, &'static str)>,
}

impl Outbox {
    /// The rows for changes of sign instances, to be committed with them.
    pub fn notices(&self, events: &[SignEvent]) -> Vec<NoticeRow> {
        outbox::notices(events, &self.routing)
            .iter()
            .map(rows::notice_row)
            .collect()
    }

    /// Writes the messages that are due at `now`. `current` are all firing sign instances and
    /// must be as new as the notices. Do not drop this future before it ends.
    pub async fn flush(
        &self,
        state: &State,
        now: Timestamp,
        current: &BTreeMap<SignKey, SignInstance>,
        decisions: &[Decision],
    ) -> Result<Flushed, StateError> {
        let mut pending = Vec::new();
        let mut unreadable = Vec::new();
        for row in state.pending_notices().await? {
            match rows::notice(&row) {
                Ok(notice) => pending.push(notice),
                Err(_) => unreadable.push(row.id),
            }
        }
        let book = rows::group_book(&state.groups().await?);
        let flush = outbox::flush(now, &pending, &book, current, decisions, &self.routing);
        let messages: Vec<_> = flush
            .messages
            .iter()
            .map(|m| {
                let endpoint = self.routing.endpoint(&m.endpoint);
                rows::new_message(m, message::render(&m.content, endpoint, &self.frame))
            })
            .collect();
        let silent: Vec<SilentFold> = flush
            .silent
            .into_iter()
            .map(|(notice, endpoint, reason)| SilentFold {
                notice,
                endpoint,
                reason: reason.to_owned(),
            })
            .collect();
        state.commit_messages(&messages, &silent).await?;
        let is_unknown = |name: &str| self.routing.endpoint(name).is_none();
        let retired = if messages.iter().any(|m| is_unknown(&m.endpoint)) {
            self.retire_unknown(state, now).await?
        } else {
            Vec::new()
        };
        Ok(Flushed {
            messages: messages.into_iter().map(|m| m.id).collect(),
            silent: silent.len(),
            unreadable,
            retired,
            next_due: flush.next_due,
        })
    }

    /// Gives up what waits for endpoints that are no longer configured; returns (endpoint, number)
    /// for the log. Call it at start and after a reload.
    pub async fn retire_unknown(
        &self,
        state: &State,
        now: Timestamp,
    ) -> Result<Vec<(String, u64)>, StateError> {
        let mut retired = Vec::new();
        for name in state.waiting_endpoints().await? {
            if self.routing.endpoint(&name).is_none() {
                let reason = "its receiver is no longer configured";
                let n = state.dead_letter_waiting(&name, reason, now).await?;
                retired.push((name, n));
            }
        }
        Ok(retired)
    }
}
