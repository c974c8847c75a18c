//! A test of the test: a small sender with kills at every point, right or with a planted bug. The
//! verdict must pass the right one and fail each wrong one.

use loadline::model::Timestamp;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::oracle::Oracle;
use super::verdict::{Delivery, Record, Status, Verdict, verdict};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Bug {
    None,
    /// Writes "delivered" before the answer came.
    DeliveredFirst,
    /// Makes a new id for every attempt.
    NewId,
    /// Writes the body anew for every attempt.
    NewBody,
    /// Writes the change and its message in two transactions.
    Split,
    /// Takes the newest message first.
    NewestFirst,
    /// Calls missing data "over".
    Forgets,
}

struct Message {
    id: u64,
    n: usize,
    since: i64,
    status: Status,
    delivered: bool,
}

/// What is on disk.
#[derive(Default)]
struct Disk {
    messages: Vec<Message>,
    firing: std::collections::BTreeMap<usize, i64>,
}

struct World {
    bug: Bug,
    rng: StdRng,
    oracle: Oracle,
    disk: Disk,
    got: Vec<Delivery>,
    kills: u64,
    now: i64,
    attempts: u64,
}

/// The process was killed here.
struct Killed;

impl World {
    fn maybe_killed(&mut self) -> Result<(), Killed> {
        if self.rng.random_bool(0.002) {
            return Err(Killed);
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<(), Killed> {
        let body = self.oracle.scrape(Timestamp(self.now), self.kills);
        let levels: Vec<bool> = body.lines().skip(1).map(|l| l.ends_with('1')).collect();
        // One transaction: all of it, or the kill came before.
        self.maybe_killed()?;
        for (n, level) in levels.into_iter().enumerate() {
            let since = self.disk.firing.get(&n).copied();
            let (since, status) = match (since, level) {
                (None, true) => {
                    self.disk.firing.insert(n, self.now);
                    (self.now, Status::Firing)
                }
                (Some(since), false) => {
                    self.disk.firing.remove(&n);
                    (since, Status::Resolved { at: self.now })
                }
                (None, false) | (Some(_), true) => continue,
            };
            if self.bug == Bug::Split {
                self.maybe_killed()?;
            }
            let id = self.disk.messages.len() as u64;
            let delivered = false;
            self.disk.messages.push(Message {
                id,
                n,
                since,
                status,
                delivered,
            });
        }
        Ok(())
    }

    fn send(&mut self) -> Result<bool, Killed> {
        let mut waiting =
            (0..self.disk.messages.len()).filter(|i| !self.disk.messages[*i].delivered);
        let next = if self.bug == Bug::NewestFirst {
            waiting.next_back()
        } else {
            waiting.next()
        };
        let Some(next) = next else { return Ok(false) };
        self.attempts += 1;
        self.maybe_killed()?;
        if self.bug == Bug::DeliveredFirst {
            self.disk.messages[next].delivered = true;
            self.maybe_killed()?;
        }
        let acknowledged = self.rng.random_bool(0.5);
        let m = &self.disk.messages[next];
        self.got.push(Delivery {
            endpoint: 0,
            id: if self.bug == Bug::NewId {
                format!("m{}-{}", m.id, self.attempts)
            } else {
                format!("m{}", m.id)
            },
            body: if self.bug == Bug::NewBody {
                format!("{} at attempt {}", m.id, self.attempts)
            } else {
                m.id.to_string()
            },
            n: m.n,
            since: m.since,
            status: m.status,
            acknowledged,
            incarnation: self.kills,
        });
        self.maybe_killed()?;
        if acknowledged {
            self.disk.messages[next].delivered = true;
        }
        Ok(true)
    }

    fn live(&mut self) -> Result<(), Killed> {
        self.now += 200;
        self.evaluate()?;
        // Hardly more than comes in, so that messages wait for each other.
        for _ in 0..6 {
            if !self.send()? {
                break;
            }
        }
        Ok(())
    }
}

fn run(bug: Bug) -> Verdict {
    let mut world = World {
        bug,
        rng: StdRng::seed_from_u64(7),
        oracle: Oracle::new(7),
        disk: Disk::default(),
        got: Vec::new(),
        kills: 0,
        now: 1_795_269_600_000,
        attempts: 0,
    };
    for step in 0..3000 {
        if step == 2500 {
            world.oracle.end(Timestamp(world.now));
        }
        if world.live().is_err() {
            world.kills += 1;
            world.now += 300;
            if world.bug == Bug::Forgets {
                for (n, since) in std::mem::take(&mut world.disk.firing) {
                    let at = world.now;
                    let id = world.disk.messages.len() as u64;
                    let status = Status::Resolved { at };
                    let delivered = false;
                    world.disk.messages.push(Message {
                        id,
                        n,
                        since,
                        status,
                        delivered,
                    });
                }
            }
        }
    }
    let record = Record {
        deliveries: world.got,
        kills: world.kills,
        endpoints: 1,
    };
    verdict(&record, &world.oracle)
}

#[test]
fn the_verdict_passes_a_right_sender_and_fails_every_planted_bug() {
    let right = run(Bug::None);
    assert!(right.is_clean(), "{right:#?}");
    assert!(right.episodes > 500 && right.repeats > 5, "{right:#?}");
    for (bug, seen) in [
        (
            Bug::DeliveredFirst,
            (|v: &Verdict| !v.lost.is_empty()) as fn(&Verdict) -> bool,
        ),
        (Bug::NewId, |v| !v.new_ids.is_empty()),
        (Bug::NewBody, |v| !v.bodies.is_empty()),
        (Bug::Split, |v| !v.lost.is_empty()),
        (Bug::NewestFirst, |v| !v.inversions.is_empty()),
        (Bug::Forgets, |v| !v.ghosts.is_empty()),
    ] {
        assert!(seen(&run(bug)), "{bug:?} was not found");
    }
}
