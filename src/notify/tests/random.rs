//! Random histories over the real state against a simple model of what must have been told.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::Value;

use super::{House, reopen};
use crate::advice::SignInstance;
use crate::model::{Level, Timestamp};
use crate::notify::testing::{T0, instance, on};
use crate::notify::{Event, SignEvent};
use crate::state::{AttemptEnd, Book, EndpointRow, State};

const TWO: &str = "[[receivers]]\nname = \"a\"\n[[receivers.webhook_configs]]\n\
                   url = \"http://127.0.0.1:1/\"\n[[receivers.webhook_configs]]\n\
                   url = \"http://127.0.0.1:2/\"\n";
const ENDPOINTS: [&str; 2] = ["a/webhook", "a/webhook/2"];
const CLAMP: Duration = Duration::from_secs(3600);

/// What can happen. Numbers name one of four sign instances (two groups) or an endpoint.
#[derive(Debug, Clone)]
enum Op {
    Fire(usize, Level),
    Move(usize, Level),
    Resolve(usize),
    Wait(u64),
    Flush,
    Attempt(usize, Fate),
    Restart,
}

/// What becomes of an attempt.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Answered,
    Failed,
    /// Received, but the process is killed before the answer is recorded.
    Killed,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let level = || prop_oneof![Just(Level::Plan), Just(Level::Act), Just(Level::Now)];
    let fate = prop_oneof![
        4 => Just(Fate::Answered),
        3 => Just(Fate::Failed),
        1 => Just(Fate::Killed),
    ];
    let op = prop_oneof![
        4 => (0..4_usize, level()).prop_map(|(k, l)| Op::Fire(k, l)),
        2 => (0..4_usize, level()).prop_map(|(k, l)| Op::Move(k, l)),
        3 => (0..4_usize).prop_map(Op::Resolve),
        4 => (1..400_u64).prop_map(Op::Wait),
        6 => Just(Op::Flush),
        6 => (0..2_usize, fate).prop_map(|(e, f)| Op::Attempt(e, f)),
        1 => Just(Op::Restart),
    ];
    prop::collection::vec(op, 1..60)
}

/// What must be known of an episode in the end.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Known {
    Firing(Level),
    Over,
}

type Episode = (String, String);

struct World {
    house: House,
    now: Timestamp,
    current: BTreeMap<usize, SignInstance>,
    /// Every episode that was ever at act or above.
    expected: BTreeMap<Episode, Known>,
    /// Per endpoint in order of arrival: id, body.
    got: [Vec<(String, String)>; 2],
}

fn place(k: usize) -> SignInstance {
    let sign = ["db-connections-near-limit", "disk-space-runway"][k % 2];
    on(&format!("db{k}"), instance(sign, Level::Act))
}

fn episode(i: &SignInstance) -> Episode {
    let server = i.key.labels.get("server").to_owned();
    (server, i.since.to_rfc3339())
}

impl World {
    async fn change(&mut self, event: Event, instance: &SignInstance) {
        let event = SignEvent {
            event,
            instance: instance.clone(),
            at: self.now,
        };
        let notices = self.house.outbox.notices(&[event]);
        let state = &self.house.state;
        state
            .commit_advice(&[], &[], &notices, self.now)
            .await
            .unwrap();
    }

    async fn apply(&mut self, op: Op) {
        match op {
            Op::Fire(k, level) if !self.current.contains_key(&k) => {
                // No two episodes of one instance begin in the same instant.
                self.now = self.now + Duration::from_millis(1);
                let mut instance = place(k);
                instance.level = level;
                instance.since = self.now;
                self.current.insert(k, instance.clone());
                if level >= Level::Act {
                    let known = Known::Firing(level);
                    self.expected.insert(episode(&instance), known);
                }
                self.change(Event::Fired, &instance).await;
            }
            Op::Move(k, level) if self.current.get(&k).is_some_and(|i| i.level != level) => {
                self.now = self.now + Duration::from_millis(1);
                let instance = self.current.get_mut(&k).unwrap();
                let from = std::mem::replace(&mut instance.level, level);
                let instance = instance.clone();
                if level >= Level::Act {
                    let known = Known::Firing(level);
                    self.expected.insert(episode(&instance), known);
                } else if from >= Level::Act {
                    self.expected.insert(episode(&instance), Known::Over);
                }
                self.change(Event::LevelChanged { from }, &instance).await;
            }
            Op::Resolve(k) => {
                if let Some(instance) = self.current.remove(&k) {
                    self.now = self.now + Duration::from_millis(1);
                    if let Some(known) = self.expected.get_mut(&episode(&instance)) {
                        *known = Known::Over;
                    }
                    self.change(Event::Resolved, &instance).await;
                }
            }
            Op::Fire(..) | Op::Move(..) => {}
            Op::Wait(secs) => self.now = self.now + Duration::from_secs(secs),
            Op::Flush => self.flush().await,
            Op::Attempt(endpoint, fate) => {
                self.attempt(endpoint, fate).await;
            }
            Op::Restart => self.restart().await,
        }
        let books = self.house.state.books().await.unwrap();
        assert!(books.iter().all(Book::balances), "{books:?}");
    }

    async fn flush(&mut self) {
        let current = self
            .current
            .values()
            .map(|i| (i.key.clone(), i.clone()))
            .collect();
        let (state, outbox) = (&self.house.state, &self.house.outbox);
        outbox.flush(state, self.now, &current, &[]).await.unwrap();
    }

    /// Tries the first due message of an endpoint; false when none is.
    async fn attempt(&mut self, endpoint: usize, fate: Fate) -> bool {
        let name = ENDPOINTS[endpoint];
        let state = &self.house.state;
        let due = state.due_messages(name, self.now, CLAMP, 1).await.unwrap();
        let Some(row) = due.into_iter().next() else {
            return false;
        };
        let start = state.record_attempt_start(&row.id, self.now).await.unwrap();
        let end = AttemptEnd {
            message_id: row.id.clone(),
            n: start.n,
            at: self.now,
            status: None,
            error: String::new(),
            uncertain: false,
        };
        let standing = EndpointRow::new(name);
        match fate {
            Fate::Answered => {
                self.got[endpoint].push((row.id, row.body));
                state.mark_delivered(&end, &standing).await.unwrap();
            }
            Fate::Failed => {
                let next = self.now + Duration::from_secs(100);
                state
                    .reschedule(&end, &standing, next, false)
                    .await
                    .unwrap();
            }
            Fate::Killed => {
                self.got[endpoint].push((row.id, row.body));
                self.restart().await;
            }
        }
        true
    }

    async fn restart(&mut self) {
        // Put another state in its place so that the old one is dropped without a farewell.
        let spare = tempfile::tempdir().unwrap();
        let spare = State::open(spare.path()).await.unwrap();
        drop(std::mem::replace(&mut self.house.state, spare));
        self.house.state = reopen(self.house.dir.path()).await;
    }

    /// All is well again: time passes and every attempt is answered.
    async fn drain(&mut self) {
        for _ in 0..3 {
            self.now = self.now + Duration::from_secs(400);
            self.flush().await;
            for endpoint in 0..2 {
                while self.attempt(endpoint, Fate::Answered).await {}
            }
        }
    }

    fn judge(&self) {
        for got in &self.got {
            let mut bodies: BTreeMap<&str, &str> = BTreeMap::new();
            let mut known: BTreeMap<Episode, Known> = BTreeMap::new();
            for (id, body) in got {
                if let Some(before) = bodies.insert(id, body) {
                    assert_eq!(before, body, "one id, two bodies");
                    continue;
                }
                for (episode, state) in told(body) {
                    known.insert(episode, state);
                }
            }
            assert_eq!(known, self.expected);
        }
    }
}

/// The episodes of a webhook body in the order they are to be believed: what is over first, since
/// a sign may fire again in the same message.
fn told(body: &str) -> Vec<(Episode, Known)> {
    let json: Value = serde_json::from_str(body).unwrap();
    let alerts = json["alerts"].as_array().unwrap();
    alerts
        .iter()
        .map(|alert| {
            let text = |v: &Value| v.as_str().unwrap().to_owned();
            let episode = (text(&alert["labels"]["server"]), text(&alert["startsAt"]));
            let known = if alert["status"] == "firing" {
                Known::Firing(text(&alert["labels"]["level"]).parse().unwrap())
            } else {
                assert_ne!(alert["endsAt"], "0001-01-01T00:00:00Z");
                Known::Over
            };
            (episode, known)
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 200, ..ProptestConfig::default() })]

    /// Nothing is lost, nothing is out of order (else the last word on an episode would be
    /// wrong), ids and bodies are constant over kills, and the books balance all the time.
    #[test]
    fn whatever_happens_every_endpoint_ends_up_knowing_the_truth(ops in ops()) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut world = World {
                house: House::new(TWO).await,
                now: T0,
                current: BTreeMap::new(),
                expected: BTreeMap::new(),
                got: [Vec::new(), Vec::new()],
            };
            for op in ops {
                world.apply(op).await;
            }
            world.drain().await;
            world.judge();
        });
    }
}
