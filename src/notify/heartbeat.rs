//! The dead man's switch: somebody outside who raises the alarm when we fall silent.
//!
//! What must stay true: it is told only of a cycle that is complete and on disk, and each cycle
//! is told at most once; a timer alone never tells it.

use std::time::Duration;

use super::receivers::http::Http;
use super::receivers::retry::{Verdict, verdict};
use crate::clock::Clock;
use crate::config;
use crate::model::Timestamp;

/// Longest attempt.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Tells the switch.
#[derive(Debug, Clone)]
pub struct Heartbeat {
    config: config::Heartbeat,
    http: Http,
    told: Option<Timestamp>,
}

impl Heartbeat {
    /// `None` when no address is configured.
    pub fn new(config: &config::Heartbeat, clock: &Clock) -> Option<Self> {
        (config.url.is_some() || config.url_file.is_some()).then(|| Self {
            config: config.clone(),
            http: Http::new(clock.clone(), TIMEOUT),
            told: None,
        })
    }

    /// Time between two.
    pub fn interval(&self) -> Duration {
        self.config.interval.0
    }

    /// Tells of the cycle that was complete at `cycle`, unless it was told of or is older than
    /// two intervals. `Ok(false)`: there was nothing to tell.
    pub async fn beat(&mut self, cycle: Option<Timestamp>, now: Timestamp) -> Result<bool, String> {
        let Some(cycle) = cycle else { return Ok(false) };
        let is_stale = now.since(cycle) > self.config.interval.0 * 2;
        if is_stale || self.told == Some(cycle) {
            return Ok(false);
        }
        let source = self.config.source();
        let outcome = self
            .http
            .post(source, "text/plain; charset=utf-8", &[], String::new())
            .await;
        if verdict(&outcome) == Verdict::Delivered {
            self.told = Some(cycle);
            return Ok(true);
        }
        Err(outcome.error())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::sinks::{Answer, Sink};
    use crate::notify::testing::T0;

    #[tokio::test]
    async fn only_a_fresh_cycle_is_told_and_only_once() {
        let sink = Sink::start();
        let url = sink.url("/ping/s3cr3t");
        let config: config::Config =
            toml::from_str(&format!("[heartbeat]\nurl = {url:?}\ninterval = \"1m\"\n")).unwrap();
        let clock = Clock::fixed(T0);
        let mut heartbeat = Heartbeat::new(&config.heartbeat, &clock).unwrap();
        let after = |secs| T0 + Duration::from_secs(secs);
        assert_eq!(heartbeat.beat(None, T0).await, Ok(false));
        assert_eq!(
            heartbeat.beat(Some(T0), after(121)).await,
            Ok(false),
            "stale"
        );
        assert_eq!(heartbeat.beat(Some(T0), after(60)).await, Ok(true));
        assert_eq!(heartbeat.beat(Some(T0), after(60)).await, Ok(false), "told");
        sink.answer_next([Answer::Status(500)]);
        let refused = heartbeat
            .beat(Some(after(60)), after(61))
            .await
            .unwrap_err();
        assert!(
            refused.contains("500") && !refused.contains("s3cr3t"),
            "{refused}"
        );
        assert_eq!(
            heartbeat.beat(Some(after(60)), after(62)).await,
            Ok(true),
            "again"
        );
        assert_eq!(sink.received().len(), 3);
        assert!(Heartbeat::new(&config::Heartbeat::default(), &clock).is_none());
    }
}
