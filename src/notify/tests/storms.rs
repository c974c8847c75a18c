//! Many messages at once: order, pace, outages, and one receiver that is dead.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::notify::testing::on;

/// One of many sign instances, each in a group of its own.
fn nth(n: usize, level: Level, since: Timestamp) -> SignInstance {
    let mut instance = on(&format!("db{n}"), instance("disk-space-runway", level));
    instance.since = since;
    instance
}

impl House {
    /// Each server is a group of its own, told at once.
    fn server_by_server(&mut self) {
        let route = &mut self.outbox.routing.route;
        route.group_by = vec!["server".to_owned()];
        route.group_wait.0 = Duration::ZERO;
        route.group_interval.0 = Duration::ZERO;
    }

    /// Commits one event of many sign instances and writes their messages.
    async fn storm(&mut self, event: Event, instances: &[SignInstance]) {
        let now = self.clock.now();
        let events: Vec<SignEvent> = instances
            .iter()
            .map(|i| SignEvent {
                event,
                instance: i.clone(),
                at: now,
            })
            .collect();
        for i in instances {
            match event {
                Event::Resolved => self.current.remove(&i.key),
                Event::Fired | Event::LevelChanged { .. } | Event::Blind | Event::Seen => {
                    self.current.insert(i.key.clone(), i.clone())
                }
            };
        }
        let notices = self.outbox.notices(&events);
        let state = &self.state;
        state.commit_advice(&[], &[], &notices, now).await.unwrap();
        let flushed = self.outbox.flush(state, now, &self.current, &[]).await;
        flushed.unwrap();
    }

    /// Sends until nothing waits; waits of the endpoint are sat out. Gives the number of calls.
    async fn drain(&self, worker: usize) -> usize {
        let worker = &self.workers()[worker];
        for calls in 1..100_000 {
            let sent = worker.send_due(self.clock.now()).await.unwrap();
            match sent.next_due {
                None => return calls,
                Some((due, _)) => self.clock.advance(due.since(self.clock.now())),
            }
        }
        panic!("it never ends");
    }
}

/// Server, start and state of every message as it came, and whether it was taken.
type Arrivals = Arc<Mutex<Vec<(String, String, String, bool)>>>;

/// Writes messages down and refuses some.
fn record(book: &Arrivals, failing: f64) -> Sink {
    let book = Arc::clone(book);
    let mut rng = StdRng::seed_from_u64(7);
    Sink::deciding(move |request| {
        let ok = !rng.random_bool(failing);
        let json = request.json();
        for alert in json["alerts"].as_array().unwrap() {
            let text = |v: &serde_json::Value| v.as_str().unwrap().to_owned();
            book.lock().unwrap().push((
                text(&alert["labels"]["server"]),
                text(&alert["startsAt"]),
                text(&alert["status"]),
                ok,
            ));
        }
        Answer::Status(if ok { 200 } else { 503 })
    })
}

#[tokio::test]
async fn nothing_overtakes_and_alerts_that_lived_and_died_in_an_outage_are_told() {
    let book = Arrivals::default();
    let sink = record(&book, 0.3);
    let mut house = House::with_webhook(&sink).await;
    house.server_by_server();
    // The receiver is down while 100 alerts live and die, some of them twice.
    let mut expected: BTreeMap<(String, String), bool> = BTreeMap::new();
    for round in 0..4 {
        house.advance(60);
        let since = house.clock.now();
        let of = if round == 3 { 0..30 } else { 0..100 };
        let all: Vec<SignInstance> = of.map(|n| nth(n, Level::Act, since)).collect();
        house.storm(Event::Fired, &all).await;
        for i in &all {
            let server = i.key.labels.get("server").to_owned();
            expected.insert((server, since.to_rfc3339()), false);
        }
        if round % 2 == 1 {
            house.advance(600);
        }
        house.storm(Event::Resolved, &all).await;
        if round == 2 {
            house.drain(0).await;
        }
    }
    house.drain(0).await;
    let got = book.lock().unwrap().clone();
    let mut last: BTreeMap<&str, (&str, &str)> = BTreeMap::new();
    for (server, since, status, ok) in &got {
        let this = (since.as_str(), status.as_str());
        let before = last.insert(server, this).unwrap_or(this);
        // "firing" sorts before "resolved", as it should come.
        assert!(before <= this, "{server}: {before:?} before {this:?}");
        if *ok && status == "resolved" {
            expected.insert((server.clone(), since.clone()), true);
        }
    }
    let untold: Vec<_> = expected.iter().filter(|(_, told)| !**told).collect();
    assert!(expected.len() == 330 && untold.is_empty(), "{untold:?}");
    let book = house.book().await;
    assert_eq!((book.enqueued, book.pending, book.dead), (660, 0, 0));
}

#[tokio::test]
async fn a_storm_keeps_to_the_pace_of_its_receiver_and_the_worst_goes_first() {
    let sink = Sink::start();
    let mut house = House::new(&super::receiver("slack", "api_url", &sink.url(TOKEN))).await;
    house.server_by_server();
    let since = house.clock.now();
    let all: Vec<SignInstance> = (0..40)
        .map(|n| {
            let level = if n == 39 { Level::Now } else { Level::Act };
            nth(n, level, since)
        })
        .collect();
    house.storm(Event::Fired, &all).await;
    house.send().await;
    let first = sink.received();
    assert_eq!(first.len(), 5, "a burst");
    assert!(first[0].body.contains("db39"), "{}", first[0].body);
    house.drain(0).await;
    assert_eq!(sink.received().len(), 40);
    let took = house.clock.now().since(since);
    assert_eq!(
        took,
        Duration::from_secs(35),
        "one a second after the burst"
    );
    // The pace is remembered over a restart, and a clock that steps back holds nothing up.
    let endpoint = house.state.endpoint("team/slack").await.unwrap();
    assert!(endpoint.paced_until > house.clock.now());
    house.clock.step(-3_600_000);
    house.storm(Event::Resolved, &all[..3]).await;
    house.send().await;
    assert!(sink.received().len() > 40);
}

#[tokio::test]
async fn an_outage_of_an_hour_costs_few_attempts_and_its_end_is_seen_within_a_minute() {
    let sink = Sink::start();
    sink.answer(Answer::Status(503));
    let mut house = House::with_webhook(&sink).await;
    house.server_by_server();
    let since = house.clock.now();
    let all: Vec<SignInstance> = (0..300).map(|n| nth(n, Level::Act, since)).collect();
    house.storm(Event::Fired, &all).await;
    while house.clock.now().since(since) < Duration::from_secs(3600) {
        let due = house.send().await.next_due.unwrap().0;
        house.clock.advance(due.since(house.clock.now()));
    }
    let attempts = sink.received().len();
    assert!((50..=90).contains(&attempts), "{attempts}");
    sink.answer(Answer::Status(200));
    let back = house.clock.now();
    house.sit_out().await;
    assert!(house.clock.now().since(back) <= Duration::from_secs(60));
    house.drain(0).await;
    let book = house.book().await;
    assert_eq!((book.delivered, book.pending, book.dead), (300, 0, 0));
}

/// From the commit to the answer, for one endpoint beside another.
async fn latencies(other: Answer, n: usize) -> Vec<Duration> {
    let (dead, arrived) = (Sink::start(), Arc::new(Mutex::new(Vec::new())));
    dead.answer(other);
    let clock = Clock::system();
    let healthy = {
        let (arrived, clock) = (Arc::clone(&arrived), clock.clone());
        Sink::deciding(move |_| {
            arrived.lock().unwrap().push(clock.now());
            Answer::Status(200)
        })
    };
    let config = format!(
        "{}[[receivers.webhook_configs]]\nurl = \"{}\"\n",
        super::receiver("webhook", "url", &dead.url("/")),
        healthy.url("/")
    );
    let mut house = House::new(&config).await;
    house.server_by_server();
    house.clock = clock.clone();
    let mut workers = house.workers();
    let (good, bad) = (workers.remove(1), workers.remove(0));
    let stop = house.stop.clone();
    let tasks = tokio_util::task::TaskTracker::new();
    let bad = tasks.spawn(async move {
        while !stop.is_cancelled() {
            bad.send_due(clock.now()).await.unwrap();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    let mut took = Vec::new();
    for i in 0..n {
        let since = house.clock.now();
        house
            .storm(Event::Fired, &[nth(i, Level::Act, since)])
            .await;
        good.send_due(house.clock.now()).await.unwrap();
        took.push(arrived.lock().unwrap().last().unwrap().since(since));
    }
    house.stop.cancel();
    bad.await.unwrap();
    took.sort();
    took
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_dead_receiver_costs_the_other_nothing() {
    let p99 = |took: &[Duration]| took[took.len() * 99 / 100 - 1];
    // A busy machine may disturb one run: the best of three counts.
    let mut seen = Vec::new();
    for _ in 0..3 {
        let baseline = p99(&latencies(Answer::Status(200), 100).await);
        let beside = p99(&latencies(Answer::Hang, 100).await);
        seen.push((baseline, beside));
        if beside <= baseline.mul_f64(1.2) {
            return;
        }
    }
    panic!("p99 alone and beside a dead one: {seen:?}");
}
