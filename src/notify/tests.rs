//! Outbox, state and workers together, against fake receivers.

mod random;
mod storms;

use std::path::Path;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::sinks::{Answer, Sink};
use super::testing::{T0, decision, instance, pooling};
use super::*;
use crate::clock::Clock;
use crate::config::Config;
use crate::model::Level;
use crate::state::{Book, MessageState};

const PATIENCE: Duration = Duration::from_secs(10);
const TOKEN: &str = "/services/T00CANARY/B00CANARY/s3cr3tCANARY";

/// A small installation without a daemon.
pub(super) struct House {
    pub(super) state: State,
    pub(super) outbox: Outbox,
    clock: Clock,
    stop: CancellationToken,
    policy: RetryPolicy,
    current: BTreeMap<SignKey, SignInstance>,
    dir: tempfile::TempDir,
}

impl House {
    pub(super) async fn new(receivers: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config: Config = toml::from_str(receivers).unwrap();
        let routing = Routing::new(config.route.as_ref(), &config.receivers, false).unwrap();
        Self {
            state: State::open(dir.path()).await.unwrap(),
            outbox: Outbox {
                routing,
                frame: Frame::default(),
            },
            clock: Clock::fixed(T0),
            stop: CancellationToken::new(),
            policy: RetryPolicy {
                timeout: Duration::from_millis(500),
                ..RetryPolicy::default()
            },
            current: BTreeMap::new(),
            dir,
        }
    }

    async fn with_webhook(sink: &Sink) -> Self {
        Self::new(&receiver("webhook", "url", &sink.url(TOKEN))).await
    }

    /// Commits a change and flushes at once.
    async fn tell(&mut self, event: Event, level: Level) -> Vec<String> {
        let instance = instance("db-connections-near-limit", level);
        match event {
            Event::Resolved => self.current.remove(&instance.key),
            Event::Fired | Event::LevelChanged { .. } | Event::Blind | Event::Seen => {
                self.current.insert(instance.key.clone(), instance.clone())
            }
        };
        let now = self.clock.now();
        let event = SignEvent {
            event,
            instance: instance.clone(),
            at: now,
        };
        let notices = self.outbox.notices(&[event]);
        let state = &self.state;
        state.commit_advice(&[], &[], &notices, now).await.unwrap();
        let decisions = [decision(&instance, pooling())];
        let flushed = self
            .outbox
            .flush(state, now, &self.current, &decisions)
            .await;
        flushed.unwrap().messages
    }

    fn workers(&self) -> Vec<Worker> {
        Worker::all(
            &self.outbox.routing,
            &self.state,
            &self.clock,
            &self.outbox.frame,
            &self.policy,
            &self.stop,
        )
    }

    /// Lets the first worker send.
    async fn send(&self) -> Sent {
        let worker = self.workers().remove(0);
        worker.send_due(self.clock.now()).await.unwrap()
    }

    fn advance(&self, secs: u64) {
        self.clock.advance(Duration::from_secs(secs));
    }

    /// Waits for the backoff of the first endpoint.
    async fn sit_out(&self) {
        let name = self.workers()[0].name().to_owned();
        let hold = self.state.endpoint(&name).await.unwrap().hold_until;
        self.clock.advance(hold.since(self.clock.now()));
    }

    async fn book(&self) -> Book {
        let books = self.state.books().await.unwrap();
        assert!(books.iter().all(Book::balances), "{books:?}");
        books.into_iter().next().unwrap()
    }

    /// Every byte of every file of the state.
    fn files(&self) -> String {
        let mut all = String::new();
        for entry in std::fs::read_dir(self.dir.path()).unwrap() {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            all.push_str(&String::from_utf8_lossy(&bytes));
        }
        all
    }
}

fn receiver(kind: &str, key: &str, url: &str) -> String {
    format!("[[receivers]]\nname = \"team\"\n[[receivers.{kind}_configs]]\n{key} = \"{url}\"\n")
}

pub(super) async fn reopen(dir: &Path) -> State {
    for _ in 0..400 {
        match State::open(dir).await {
            Err(StateError::Locked { .. }) => tokio::time::sleep(Duration::from_millis(2)).await,
            other => return other.unwrap(),
        }
    }
    panic!("the directory stays locked");
}

#[tokio::test]
async fn a_webhook_hears_of_fire_and_resolve() {
    let sink = Sink::start();
    let mut house = House::with_webhook(&sink).await;
    let fired = house.tell(Event::Fired, Level::Now).await;
    house.advance(2);
    let sent = house.send().await;
    assert_eq!((sent.delivered, sent.next_due), (1, None));
    house.advance(400);
    let over = house.tell(Event::Resolved, Level::Now).await;
    assert!(over.is_empty(), "group_wait");
    house.advance(30);
    let flushed = house
        .outbox
        .flush(&house.state, house.clock.now(), &house.current, &[])
        .await
        .unwrap();
    house.send().await;

    let got = sink.wait_for(2, PATIENCE);
    assert_eq!(got[0].header("webhook-id"), fired[0]);
    assert_eq!(got[1].header("webhook-id"), flushed.messages[0]);
    assert_eq!(got[0].header("webhook-timestamp"), "1795269602");
    assert_eq!(got[0].header("content-type"), "application/json");
    assert!(got[0].header("user-agent").starts_with("loadline/"));
    assert_eq!(
        (got[0].method.as_str(), got[0].path.as_str()),
        ("POST", TOKEN)
    );
    let json = got[0].json();
    assert_eq!(json["version"], "4");
    assert_eq!(json["loadline"]["message_id"], fired[0]);
    assert_eq!(json["loadline"]["next_step"]["id"], "connection-pooling");
    let over = got[1].json();
    assert_eq!(over["alerts"][0]["status"], "resolved");
    assert_eq!(over["alerts"][0]["endsAt"], "2026-11-21T14:06:42.000Z");
    let book = house.book().await;
    assert_eq!((book.enqueued, book.delivered), (2, 2));
}

/// Answers in turn, then 200; waits of the endpoint are sat out between the calls.
async fn check(answers: &[Answer], calls: usize, want: (usize, MessageState, i64)) {
    let sink = Sink::start();
    sink.answer_next(answers.to_vec());
    let mut house = House::with_webhook(&sink).await;
    let ids = house.tell(Event::Fired, Level::Now).await;
    for _ in 0..calls {
        house.send().await;
        house.sit_out().await;
    }
    let row = house.state.message(&ids[0]).await.unwrap().unwrap();
    let got = (sink.received().len(), row.state, row.uncertain);
    assert_eq!(got, want, "{answers:?}: {}", row.last_error);
    house.book().await;
    let received = sink.received();
    assert!(received.iter().all(|r| r.header("webhook-id") == ids[0]));
}

#[tokio::test]
async fn every_answer_has_its_consequence() {
    use Answer::{Cut, CutAfterStatus, Hang, Status};
    use MessageState::{Dead, Delivered, Pending};
    for status in [200, 201, 202, 204] {
        check(&[Status(status)], 2, (1, Delivered, 0)).await;
    }
    for status in [408, 425, 429, 500, 502, 503, 504, 599] {
        let uncertain = i64::from([408, 502, 504].contains(&status));
        check(&[Status(status)], 1, (1, Pending, uncertain)).await;
        check(&[Status(status)], 2, (2, Delivered, uncertain)).await;
    }
    for status in [301, 302, 307, 401, 403, 404, 405] {
        check(&[Status(status)], 1, (1, Pending, 0)).await;
        check(&[Status(status)], 2, (2, Delivered, 0)).await;
    }
    for status in [400, 413, 415, 422] {
        check(&[Status(status)], 1, (2, Delivered, 0)).await;
        check(&[Status(status), Status(status)], 2, (2, Dead, 0)).await;
    }
    check(&[Status(410)], 2, (1, Dead, 0)).await;
    check(&[CutAfterStatus], 2, (1, Delivered, 0)).await;
    check(&[Cut], 1, (1, Pending, 1)).await;
    check(&[Hang], 1, (1, Pending, 1)).await;
}

#[tokio::test]
async fn a_refused_body_is_sent_once_as_text() {
    let sink = Sink::start();
    sink.answer_next([Answer::Status(413)]);
    let mut house = House::with_webhook(&sink).await;
    house.tell(Event::Fired, Level::Now).await;
    house.send().await;
    let got = sink.wait_for(2, PATIENCE);
    assert_eq!(got[1].header("content-type"), "text/plain; charset=utf-8");
    assert!(got[1].body.starts_with("Now: Database connections near"));

    let sink = Sink::start();
    let invalid = ("content-type", "text/plain".to_owned());
    sink.answer_next([Answer::Full(400, invalid, "invalid_blocks".to_owned())]);
    let mut house = House::new(&receiver("slack", "api_url", &sink.url(TOKEN))).await;
    let ids = house.tell(Event::Fired, Level::Now).await;
    house.send().await;
    let got = sink.wait_for(2, PATIENCE);
    assert!(got[0].json()["blocks"].is_array());
    assert!(got[1].json().get("blocks").is_none());
    let attempts = house.state.attempts(&ids[0]).await.unwrap();
    assert_eq!(attempts[0].error, "status 400: invalid_blocks");
}

#[tokio::test]
async fn the_receivers_wish_to_wait_is_respected() {
    let date = "Sat, 21 Nov 2026 14:02:00 GMT";
    for (name, value, body, least) in [
        ("retry-after", "90", "", 90),
        ("retry-after", date, "", 120),
        ("retry-after", "1000000000", "", 3600),
        ("x-other", "1", "{\"ok\":false,\"retry_after\":77}", 77),
        ("retry-after", "soon", "", 0),
        ("retry-after", "-3", "", 0),
    ] {
        let sink = Sink::start();
        let header = (name, value.to_owned());
        sink.answer_next([Answer::Full(429, header, body.to_owned())]);
        let mut house = House::with_webhook(&sink).await;
        house.tell(Event::Fired, Level::Now).await;
        let due = house.send().await.next_due.unwrap().0;
        let wait = due.since(T0).as_secs();
        assert!((least..=least.max(1)).contains(&wait), "{value}: {wait}");
        if least > 0 {
            house.advance(least - 1);
            house.send().await;
            assert_eq!(sink.received().len(), 1, "{value}: too early");
            house.advance(1);
            house.send().await;
            assert_eq!(sink.received().len(), 2, "{value}");
        }
    }
}

#[tokio::test]
async fn who_is_not_let_in_gives_up_after_an_hour_of_slow_tries() {
    let sink = Sink::start();
    sink.answer(Answer::Status(403));
    let mut house = House::with_webhook(&sink).await;
    let ids = house.tell(Event::Fired, Level::Now).await;
    let mut tries = 0;
    while house.book().await.dead == 0 {
        house.send().await;
        house.sit_out().await;
        tries += 1;
        assert!(tries < 30, "never gave up");
    }
    let row = house.state.message(&ids[0]).await.unwrap().unwrap();
    let lasted = row.finished_at.unwrap().since(T0).as_secs();
    assert!((3600..=3900).contains(&lasted), "{lasted}");
    assert!((13..=25).contains(&tries), "{tries}");
    assert!(
        row.last_error.contains("check the address"),
        "{}",
        row.last_error
    );
}

#[tokio::test]
async fn who_is_gone_is_left_alone_until_enabled() {
    let sink = Sink::start();
    sink.answer_next([Answer::Status(410)]);
    let mut house = House::with_webhook(&sink).await;
    house.tell(Event::Fired, Level::Now).await;
    let sent = house.send().await;
    assert!(sent.disabled.is_some());
    let from = Level::Now;
    house.advance(600);
    house.tell(Event::LevelChanged { from }, Level::Now).await;
    assert_eq!(house.send().await.dead, 1);
    assert_eq!(sink.received().len(), 1);
    assert_eq!(house.book().await.dead, 2);

    house.workers()[0].enable().await.unwrap();
    house.advance(600);
    house.tell(Event::LevelChanged { from }, Level::Now).await;
    assert_eq!(house.send().await.delivered, 1);
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let target = Sink::start();
    let sink = Sink::start();
    let location = ("location", target.url("/elsewhere"));
    sink.answer(Answer::Full(307, location, String::new()));
    let mut house = House::with_webhook(&sink).await;
    house.tell(Event::Fired, Level::Now).await;
    house.send().await;
    assert_eq!((sink.received().len(), target.received().len()), (1, 0));
}

#[tokio::test]
async fn a_hanging_endpoint_delays_nobody_and_stops_at_once() {
    let (hanging, healthy) = (Sink::start(), Sink::start());
    hanging.answer(Answer::Hang);
    let receivers = format!(
        "{}[[receivers.webhook_configs]]\nurl = \"{}\"\n",
        receiver("webhook", "url", &hanging.url("/a")),
        healthy.url("/b")
    );
    let mut house = House::new(&receivers).await;
    house.policy.timeout = Duration::from_secs(60);
    house.tell(Event::Fired, Level::Now).await;
    let workers = house.workers();
    let now = house.clock.now();
    let stop = async {
        let sent = workers[1].send_due(now).await.unwrap();
        assert_eq!(sent.delivered, 1);
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(hanging.received().len(), 1);
        house.stop.cancel();
    };
    let began = house.clock.stopwatch();
    let (hung, ()) = futures_util::join!(workers[0].send_due(now), stop);
    assert!(began.elapsed() < Duration::from_secs(5));
    let hung = hung.unwrap();
    assert_eq!((hung.delivered, hung.dead), (0, 0));
    assert_eq!(hung.next_due, Some((T0, "message waits")));

    // After the restart: the same id and body, marked for people as a possible repeat.
    house.stop = CancellationToken::new();
    hanging.answer(Answer::Status(200));
    assert_eq!(house.send().await.delivered, 1);
    let got = hanging.received();
    assert_eq!(got[0].body, got[1].body);
    assert_eq!(got[0].header("webhook-id"), got[1].header("webhook-id"));
}

#[tokio::test]
async fn slack_says_possible_repeat_and_late() {
    let sink = Sink::start();
    sink.answer_next([Answer::Cut]);
    let mut house = House::new(&receiver("slack", "api_url", &sink.url(TOKEN))).await;
    house.tell(Event::Fired, Level::Now).await;
    house.send().await;
    house.advance(601);
    house.send().await;
    let got = sink.wait_for(2, PATIENCE);
    assert!(!got[0].body.contains("possible repeat"));
    let text = got[1].json()["text"].as_str().unwrap().to_owned();
    assert!(
        text.contains("late: written 21 Nov 2026 14:00 UTC"),
        "{text}"
    );
    assert!(text.contains("(possible repeat) ll_"), "{text}");
}

#[tokio::test]
async fn messages_of_a_removed_receiver_become_dead_letters() {
    let sink = Sink::start();
    let mut house = House::with_webhook(&sink).await;
    house.tell(Event::Fired, Level::Now).await;
    house.outbox.routing = Routing::new(None, &[], false).unwrap();
    let now = house.clock.now();
    let retired = house
        .outbox
        .retire_unknown(&house.state, now)
        .await
        .unwrap();
    assert_eq!(retired, [("team/webhook".to_owned(), 1)]);
    assert_eq!(house.book().await.dead, 1);

    // The same for notices that were still waiting when it went.
    let sink = Sink::start();
    let mut house = House::with_webhook(&sink).await;
    house.tell(Event::Fired, Level::Act).await;
    house.outbox.routing = Routing::new(None, &[], false).unwrap();
    house.advance(30);
    let (state, now) = (&house.state, house.clock.now());
    let flushed = house.outbox.flush(state, now, &house.current, &[]).await;
    assert_eq!(flushed.unwrap().retired, [("team/webhook".to_owned(), 1)]);
    assert_eq!(house.book().await.dead, 1);
}

#[tokio::test]
async fn log_messages_need_no_network() {
    let mut house = House::new("").await;
    house.tell(Event::Fired, Level::Now).await;
    assert_eq!(house.workers()[0].name(), "default/log");
    assert_eq!(house.send().await.delivered, 1);
}

/// Secrets in path, query and user part, through every kind of failure.
#[tokio::test]
async fn secrets_reach_neither_errors_nor_rows() {
    let sink = Sink::start();
    let echo = format!("no such webhook: {TOKEN}");
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let secret = format!("{TOKEN}?key=queryCANARY");
    let with_user = sink
        .url(&secret)
        .replace("http://", "http://user:passCANARY@");
    let closed = format!("http://{port}{secret}");
    let redirect = ("location", sink.url(TOKEN));
    let html = ("content-type", "text/html".to_owned());
    for (url, answer) in [
        (&with_user, Answer::Full(404, html.clone(), echo.clone())),
        (
            &with_user,
            Answer::Full(400, html.clone(), "CANARY".to_owned()),
        ),
        (
            &with_user,
            Answer::Full(302, redirect.clone(), String::new()),
        ),
        (&with_user, Answer::Cut),
        (&with_user, Answer::Hang),
        (&closed, Answer::Status(200)),
        (
            &format!("http://no-such-host.invalid{secret}"),
            Answer::Status(200),
        ),
        (&format!("ftp://x{secret}"), Answer::Status(200)),
        (&format!("no url {secret}"), Answer::Status(200)),
        (
            &format!("http://169.254.169.254{secret}"),
            Answer::Status(200),
        ),
    ] {
        sink.answer(answer.clone());
        for (kind, key) in [("webhook", "url"), ("slack", "api_url")] {
            let mut house = House::new(&receiver(kind, key, url)).await;
            let ids = house.tell(Event::Fired, Level::Now).await;
            let sent = house.send().await;
            let row = house.state.message(&ids[0]).await.unwrap().unwrap();
            assert!(sent.failed > 0 && !row.last_error.is_empty(), "{answer:?}");
            assert!(!house.files().contains("CANARY"), "{}", row.last_error);
            let debug = format!("{:?} {sent:?} {row:?}", house.workers());
            assert!(!debug.contains("CANARY"), "{debug}");
        }
    }
}
