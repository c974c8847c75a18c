//! Sends what is due, one endpoint each.
//!
//! What must stay true: one attempt at a time per endpoint, and of each group only its oldest
//! message; the attempt is on disk before it is made and after it ended; the stop token ends a
//! wait for an answer, never a write.

use std::collections::VecDeque;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::message::{Delivery, Frame};
use super::receivers::http::Http;
use super::receivers::retry::{Outcome, RetryPolicy, Verdict, verdict};
use super::receivers::{self, Outgoing};
use super::route::{Endpoint, Routing};
use crate::clock::Clock;
use crate::model::Timestamp;
use crate::state::{AttemptEnd, EndpointRow, MessageRow, State, StateError};

/// Messages sent in one call, so that its caller gets to look at other things.
const MAX_PER_CALL: usize = 100;
/// Messages of different groups that are looked up at once.
const AT_ONCE: u32 = 16;

/// Sends the messages of one endpoint. The daemon drives each in its own task.
#[derive(Debug, Clone)]
pub struct Worker {
    state: State,
    clock: Clock,
    endpoint: Endpoint,
    frame: Frame,
    policy: RetryPolicy,
    http: Http,
    stop: CancellationToken,
}

/// What one call of [`Worker::send_due`] did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sent {
    /// Messages delivered.
    pub delivered: usize,
    /// Attempts that failed.
    pub failed: usize,
    /// Messages given up.
    pub dead: usize,
    /// Set when the endpoint told us never to come again.
    pub disabled: Option<String>,
    /// When to call again if no message is written before, and why; `None` when nothing waits.
    pub next_due: Option<(Timestamp, &'static str)>,
}

impl Worker {
    /// One worker per endpoint of the route; none of them runs yet.
    pub fn all(
        routing: &Routing,
        state: &State,
        clock: &Clock,
        frame: &Frame,
        policy: &RetryPolicy,
        stop: &CancellationToken,
    ) -> Vec<Worker> {
        let http = Http::new(clock.clone(), policy.timeout);
        routing
            .all()
            .map(|endpoint| Worker {
                state: state.clone(),
                clock: clock.clone(),
                endpoint: endpoint.clone(),
                frame: frame.clone(),
                policy: policy.clone(),
                http: http.clone(),
                stop: stop.clone(),
            })
            .collect()
    }

    /// Name of its endpoint.
    pub fn name(&self) -> &str {
        &self.endpoint.name
    }

    /// Lets an endpoint that was disabled try again; call it at start and after a reload.
    pub async fn enable(&self) -> Result<(), StateError> {
        self.state.enable_endpoint(self.name()).await
    }

    /// Sends what is due at `now`, in order, until it is done, the endpoint fails, or the stop
    /// token is cancelled. Do not drop this future before it ends: cancel the token and wait.
    pub async fn send_due(&self, now: Timestamp) -> Result<Sent, StateError> {
        let mut sent = Sent::default();
        let mut standing = self.state.endpoint(self.name()).await?;
        if let Some(reason) = &standing.disabled_reason {
            sent.dead += self.give_up_waiting(reason, now).await?;
            return Ok(sent);
        }
        let clamp = self.policy.longest_wait();
        if standing.hold_until > now && standing.hold_until <= now + clamp {
            if self.state.next_message_due(self.name()).await?.is_some() {
                sent.next_due = Some((standing.hold_until, "backoff of the endpoint"));
            }
            return Ok(sent);
        }
        let mut waiting = VecDeque::new();
        for _ in 0..MAX_PER_CALL {
            if self.stop.is_cancelled() {
                break;
            }
            let now = self.clock.now();
            if waiting.is_empty() {
                let due = self.state.due_messages(self.name(), now, clamp, AT_ONCE);
                waiting.extend(due.await?);
            }
            let Some(message) = waiting.pop_front() else {
                break;
            };
            if let Some(pace) = self.endpoint.pace() {
                let next = pace.next(standing.paced_until, now);
                if next > now {
                    sent.next_due = Some((next, "pace of the endpoint"));
                    return Ok(sent);
                }
                standing.paced_until = pace.after(standing.paced_until, now);
            }
            let goes_on = self.attempt(&message, &mut standing, &mut sent).await?;
            if !goes_on {
                break;
            }
        }
        sent.next_due = self
            .state
            .next_message_due(self.name())
            .await?
            .map(|at| at.max(standing.hold_until).min(now + clamp))
            .map(|at| (at, "message waits"));
        Ok(sent)
    }

    /// Makes one attempt and records it; false when the endpoint should be left alone for now.
    async fn attempt(
        &self,
        message: &MessageRow,
        standing: &mut EndpointRow,
        sent: &mut Sent,
    ) -> Result<bool, StateError> {
        let began = self.clock.now();
        let start = self.state.record_attempt_start(&message.id, began).await?;
        let out = self.outgoing(message, start.uncertain, began);
        let answer = self.stop.run_until_cancelled(receivers::send(
            &self.endpoint,
            &self.http,
            &self.frame,
            &out,
        ));
        let outcome = answer.await;
        let at = self.clock.now();
        let end = |outcome: &Outcome| AttemptEnd {
            message_id: message.id.clone(),
            n: start.n,
            at,
            status: outcome.status(),
            error: outcome.error(),
            uncertain: outcome.is_uncertain(),
        };
        let Some(outcome) = outcome else {
            let stopped = Outcome::Failed {
                error: "stopped while waiting for the answer".to_owned(),
                uncertain: true,
            };
            let fallback = message.use_fallback;
            self.state
                .reschedule(&end(&stopped), standing, at, fallback)
                .await?;
            return Ok(false);
        };
        self.conclude(message, standing, sent, &outcome, end(&outcome))
            .await
    }

    fn outgoing(&self, message: &MessageRow, uncertain: i64, at: Timestamp) -> Outgoing {
        let is_late = at.since(message.created_at) >= self.policy.late_after;
        Outgoing {
            id: message.id.clone(),
            body: if message.use_fallback {
                message.fallback.clone()
            } else {
                message.body.clone()
            },
            is_fallback: message.use_fallback,
            urgency: message.urgency,
            at,
            delivery: Delivery {
                possible_repeat: uncertain > 0,
                late: is_late.then_some(message.created_at),
            },
        }
    }

    /// Writes down what an outcome means; false when the endpoint should be left alone for now.
    async fn conclude(
        &self,
        message: &MessageRow,
        standing: &mut EndpointRow,
        sent: &mut Sent,
        outcome: &Outcome,
        end: AttemptEnd,
    ) -> Result<bool, StateError> {
        let judged = verdict(outcome);
        let at = end.at;
        if judged != Verdict::Delivered {
            sent.failed += 1;
            tracing::warn!(
                endpoint = self.name(), message = %message.id, attempt = end.n,
                error = %end.error, "a message was not delivered"
            );
        }
        match judged {
            Verdict::Delivered => {
                *standing = EndpointRow {
                    last_success_at: Some(at),
                    paced_until: standing.paced_until,
                    ..EndpointRow::new(self.name())
                };
                self.state.mark_delivered(&end, standing).await?;
                sent.delivered += 1;
                tracing::debug!(endpoint = self.name(), message = %message.id, "delivered");
                Ok(true)
            }
            Verdict::Wait { floor } => {
                standing.refused_since = None;
                let failures = standing.failures.saturating_add(1);
                let wait = self.policy.wait(failures, rand::random(), floor);
                hold(standing, at, wait);
                let too_old = at.since(message.created_at) >= self.policy.max_age;
                self.retry_or_give_up(message, standing, sent, &end, too_old)
                    .await?;
                Ok(false)
            }
            Verdict::Refused => {
                let since = *standing.refused_since.get_or_insert(at);
                hold(standing, at, self.policy.slow_wait(rand::random()));
                let too_long = at.since(since) >= self.policy.refused_for;
                self.retry_or_give_up(message, standing, sent, &end, too_long)
                    .await?;
                Ok(false)
            }
            Verdict::BadBody if message.use_fallback => {
                self.dead_letter(message, standing, sent, &end).await?;
                Ok(true)
            }
            Verdict::BadBody => {
                self.state.reschedule(&end, standing, at, true).await?;
                Ok(true)
            }
            Verdict::Gone => {
                let reason = format!("the receiver is gone: {}", end.error);
                standing.disabled_reason = Some(reason.clone());
                self.dead_letter(message, standing, sent, &end).await?;
                sent.dead += self.give_up_waiting(&reason, at).await?;
                sent.disabled = Some(reason);
                Ok(false)
            }
        }
    }

    async fn retry_or_give_up(
        &self,
        message: &MessageRow,
        standing: &EndpointRow,
        sent: &mut Sent,
        end: &AttemptEnd,
        give_up: bool,
    ) -> Result<(), StateError> {
        if give_up {
            return self.dead_letter(message, standing, sent, end).await;
        }
        let next = standing.hold_until;
        self.state
            .reschedule(end, standing, next, message.use_fallback)
            .await
    }

    async fn dead_letter(
        &self,
        message: &MessageRow,
        standing: &EndpointRow,
        sent: &mut Sent,
        end: &AttemptEnd,
    ) -> Result<(), StateError> {
        self.state.dead_letter(end, standing).await?;
        sent.dead += 1;
        tracing::error!(
            endpoint = self.name(), message = %message.id, attempts = end.n, error = %end.error,
            "gave a message up; it is kept as a dead letter"
        );
        Ok(())
    }

    async fn give_up_waiting(&self, reason: &str, at: Timestamp) -> Result<usize, StateError> {
        let dead = self
            .state
            .dead_letter_waiting(self.name(), reason, at)
            .await?;
        if dead > 0 {
            tracing::error!(
                endpoint = self.name(),
                messages = dead,
                reason,
                "gave messages up; they are kept as dead letters"
            );
        }
        Ok(usize::try_from(dead).unwrap_or(usize::MAX))
    }
}

fn hold(standing: &mut EndpointRow, at: Timestamp, wait: Duration) {
    standing.failures = standing.failures.saturating_add(1);
    standing.failing_since.get_or_insert(at);
    standing.hold_until = at + wait;
}
