//! One verdict on answers, and how long to wait. Pure.

use std::time::Duration;

use crate::model::Timestamp;

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Shown or written; there is no answer to wait for.
    Done,
    /// The receiver answered.
    Answer {
        /// Status code.
        status: u16,
        /// How long it asks us to wait.
        retry_after: Option<Duration>,
        /// Its explanation in one word; may be empty.
        word: String,
    },
    /// No answer.
    Failed {
        /// Why, without the address.
        error: String,
        /// The receiver may have got it.
        uncertain: bool,
    },
}

impl Outcome {
    /// It certainly did not reach the receiver.
    pub(super) fn not_sent(error: String) -> Self {
        Outcome::Failed {
            error,
            uncertain: false,
        }
    }

    /// Nobody knows whether it reached the receiver.
    pub(super) fn unknown(error: String) -> Self {
        Outcome::Failed {
            error,
            uncertain: true,
        }
    }

    /// Status code of the answer, where there was one.
    pub fn status(&self) -> Option<u16> {
        match self {
            Outcome::Answer { status, .. } => Some(*status),
            Outcome::Done | Outcome::Failed { .. } => None,
        }
    }

    /// True when nobody knows whether it reached the receiver.
    pub fn is_uncertain(&self) -> bool {
        match self {
            // A gateway that gave up waiting does not know either.
            Outcome::Answer { status, .. } => matches!(status, 408 | 502 | 504),
            Outcome::Failed { uncertain, .. } => *uncertain,
            Outcome::Done => false,
        }
    }

    /// Why it failed, for logs and rows; empty on success.
    pub fn error(&self) -> String {
        match self {
            Outcome::Done => String::new(),
            Outcome::Failed { error, .. } => error.clone(),
            Outcome::Answer { status, .. } if (200..300).contains(status) => String::new(),
            Outcome::Answer { status, word, .. } if word.is_empty() => {
                format!("status {status}{}", hint(*status))
            }
            Outcome::Answer { status, word, .. } => {
                format!("status {status}{}: {word}", hint(*status))
            }
        }
    }
}

/// What an outcome means for the message and its endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The receiver has it.
    Delivered,
    /// The endpoint is busy or down: wait at least `floor`, then try again.
    Wait {
        /// What the receiver asked for.
        floor: Option<Duration>,
    },
    /// The endpoint does not let us in: try slowly, for an hour, then give up.
    Refused,
    /// It does not take this body: once as plain text, then give up.
    BadBody,
    /// It is gone for good.
    Gone,
}

/// Judges an outcome.
pub fn verdict(outcome: &Outcome) -> Verdict {
    match outcome {
        Outcome::Done => Verdict::Delivered,
        Outcome::Failed { .. } => Verdict::Wait { floor: None },
        Outcome::Answer {
            status,
            retry_after,
            ..
        } => match status {
            200..=299 => Verdict::Delivered,
            410 => Verdict::Gone,
            408 | 425 | 429 => Verdict::Wait {
                floor: *retry_after,
            },
            300..=399 | 401..=405 | 407 | 451 => Verdict::Refused,
            400..=499 => Verdict::BadBody,
            _ => Verdict::Wait {
                floor: *retry_after,
            },
        },
    }
}

/// All waiting times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Longest first wait.
    pub base: Duration,
    /// Longest wait of one that does not let us in.
    pub cap: Duration,
    /// Failures in a row after which only a probe is sent now and then.
    pub breaker_after: i64,
    /// Wait before the first probe; doubled for each further one.
    pub probe_first: Duration,
    /// Longest wait between probes.
    pub probe_most: Duration,
    /// More than this is not waited even when asked to.
    pub retry_after_cap: Duration,
    /// How long an endpoint that does not let us in is tried.
    pub refused_for: Duration,
    /// Age at which a message is given up.
    pub max_age: Duration,
    /// Longest attempt.
    pub timeout: Duration,
    /// Age at which a message says that it is late.
    pub late_after: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            base: Duration::from_secs(1),
            cap: Duration::from_secs(300),
            breaker_after: 5,
            probe_first: Duration::from_secs(15),
            probe_most: Duration::from_secs(60),
            retry_after_cap: Duration::from_secs(3600),
            refused_for: Duration::from_secs(3600),
            max_age: Duration::from_secs(72 * 3600),
            timeout: Duration::from_secs(15),
            late_after: Duration::from_secs(600),
        }
    }
}

impl RetryPolicy {
    /// The wait after the `failures`-th failure in a row (from 1), never less than `floor`: a
    /// random share (`jitter`, from 0 to 1) of `base` doubled each time; from `breaker_after`
    /// failures on three quarters to all of the wait for a probe, so that an outage costs few
    /// attempts and its end is soon seen.
    pub fn wait(&self, failures: i64, jitter: f64, floor: Option<Duration>) -> Duration {
        let doubled = |wait: Duration, times: i64| {
            wait.saturating_mul(1 << u32::try_from(times.clamp(0, 30)).unwrap_or(30))
        };
        let jitter = jitter.clamp(0.0, 1.0);
        let wait = if failures < self.breaker_after {
            doubled(self.base, failures.saturating_sub(1)).mul_f64(jitter)
        } else {
            let probe = doubled(
                self.probe_first,
                failures.saturating_sub(self.breaker_after),
            );
            probe.min(self.probe_most).mul_f64(0.75 + jitter / 4.0)
        };
        wait.max(floor.unwrap_or(Duration::ZERO).min(self.retry_after_cap))
    }

    /// The wait between tries of an endpoint that does not let us in: half of `cap` to `cap`.
    pub fn slow_wait(&self, jitter: f64) -> Duration {
        self.cap.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
    }

    /// No wait is longer; a stored time further ahead was written before the clock stepped back.
    pub fn longest_wait(&self) -> Duration {
        self.cap.max(self.probe_most).max(self.retry_after_cap)
    }
}

/// Reads `Retry-After`: whole or broken seconds, or an HTTP date; negative, past and unreadable
/// ones are `None`.
pub fn parse_retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    if let Some(secs) = text.parse::<f64>().ok().filter(|s| s.is_finite()) {
        return Duration::try_from_secs_f64(secs.min(1e9)).ok();
    }
    let at = jiff::fmt::rfc2822::DateTimeParser::new()
        .parse_timestamp(text)
        .ok()?;
    let ahead = at.as_millisecond().saturating_sub(now.millis());
    u64::try_from(ahead).ok().map(Duration::from_millis)
}

fn hint(status: u16) -> &'static str {
    match status {
        300..=399 => " (redirects are not followed: set the final address)",
        401 | 403 => " (not allowed: check the address and its token)",
        404 | 405 => " (not there: check the address)",
        410 => " (gone for good)",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_its_verdict() {
        let wait = Verdict::Wait { floor: None };
        for (statuses, want) in [
            (vec![200, 201, 202, 204, 206, 226, 299], Verdict::Delivered),
            (vec![300, 301, 302, 303, 304, 307, 308], Verdict::Refused),
            (vec![401, 402, 403, 404, 405, 407, 451], Verdict::Refused),
            (vec![400, 406, 409, 411, 412, 413], Verdict::BadBody),
            (vec![414, 415, 417, 418, 421, 422], Verdict::BadBody),
            (vec![423, 424, 426, 428, 431, 499], Verdict::BadBody),
            (vec![410], Verdict::Gone),
            (vec![408, 425, 429], wait),
            (
                vec![500, 501, 502, 503, 504, 505, 507, 508, 511, 520, 599],
                wait,
            ),
            (vec![100, 101, 199, 600, 999], wait),
        ] {
            for status in statuses {
                let outcome = Outcome::Answer {
                    status,
                    retry_after: None,
                    word: String::new(),
                };
                assert_eq!(verdict(&outcome), want, "{status}");
            }
        }
        assert_eq!(verdict(&Outcome::not_sent(String::new())), wait);
        assert_eq!(verdict(&Outcome::Done), Verdict::Delivered);
    }

    #[test]
    fn retry_after_is_read_in_all_its_forms() {
        let now = Timestamp::from_secs(784_111_777);
        let secs = |s| Some(Duration::from_secs(s));
        for (text, want) in [
            ("0", secs(0)),
            ("120", secs(120)),
            (" 7 ", secs(7)),
            ("0.25", Some(Duration::from_millis(250))),
            ("1000000000", secs(1_000_000_000)),
            ("1e99", secs(1_000_000_000)),
            ("-5", None),
            ("NaN", None),
            ("soon", None),
            ("", None),
            ("Sun, 06 Nov 1994 08:49:47 GMT", secs(10)),
            ("Sun, 06 Nov 1994 08:49:27 GMT", None),
        ] {
            assert_eq!(parse_retry_after(text, now), want, "{text}");
        }
    }

    #[test]
    fn an_hour_without_a_receiver_costs_few_attempts() {
        let policy = RetryPolicy::default();
        for jitter in [0.0, 0.5, 1.0] {
            let (mut at, mut attempts) = (Duration::ZERO, 0);
            while at < Duration::from_secs(3600) {
                attempts += 1;
                let wait = policy.wait(attempts, jitter, None);
                assert!(
                    wait <= Duration::from_secs(60),
                    "its end is seen within a minute"
                );
                at += wait.max(Duration::from_millis(1));
            }
            assert!(attempts <= 90, "{attempts} attempts with jitter {jitter}");
        }
    }

    #[test]
    fn waits_grow_to_the_cap_and_respect_the_floor() {
        let policy = RetryPolicy::default();
        let ms = |failures, jitter, floor: Option<u64>| {
            policy
                .wait(failures, jitter, floor.map(Duration::from_secs))
                .as_millis()
        };
        assert_eq!(ms(1, 1.0, None), 1000);
        assert_eq!(ms(1, 0.0, None), 0);
        assert_eq!(ms(4, 1.0, None), 8000);
        assert_eq!(ms(4, 0.5, None), 4000);
        assert_eq!(ms(5, 1.0, None), 15_000);
        assert_eq!(ms(5, 0.0, None), 11_250);
        assert_eq!(ms(6, 1.0, None), 30_000);
        assert_eq!(ms(7, 1.0, None), 60_000);
        assert_eq!(ms(i64::MAX, 1.0, None), 60_000);
        assert_eq!(ms(i64::MAX, 0.0, None), 45_000);
        assert_eq!(ms(1, 0.0, Some(30)), 30_000);
        assert_eq!(ms(1, 0.0, Some(1_000_000_000)), 3_600_000);
        assert_eq!(policy.slow_wait(0.0).as_secs(), 150);
        assert_eq!(policy.slow_wait(1.0).as_secs(), 300);
    }
}
