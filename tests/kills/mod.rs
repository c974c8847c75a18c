//! SIGKILL at random instants while alerts flip and the receiver fails half the time.
//!
//! The test owns the true series (the oracle); receivers write down what they got (the record);
//! `verdict` compares the two. A sender with a planted bug must fail the same verdict.

mod model;
mod oracle;
mod verdict;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use loadline::clock::Clock;
use loadline::state::{MessageState, State};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;

use crate::world::daemon::{Daemon, Home, wait_for};
use crate::world::sinks::{Answer, Received, Sink};
use oracle::{ALERTS, Oracle};
use verdict::{Delivery, Record, Status, verdict};

/// Daemons that are tortured side by side.
const SHARDS: u64 = 2;
/// Kills in all, unless LOADLINE_KILLS says otherwise.
const KILLS: u64 = 100;
const ENDPOINTS: usize = 2;
/// How long after the last fault all must be told.
const DRAIN: Duration = Duration::from_secs(120);

fn config(target: &Sink, receiver: &Sink) -> String {
    let address = target.url("");
    let address = address.trim_start_matches("http://");
    let hooks: String = (0..ENDPOINTS)
        .map(|n| {
            let url = receiver.url(&format!("/{n}"));
            format!("[[receivers.webhook_configs]]\nurl = {url:?}\n")
        })
        .collect();
    format!(
        r#"
[global]
scrape_interval = "200ms"
scrape_timeout = "200ms"
evaluation_interval = "200ms"
[host]
enabled = false
[rules]
shipped = false
rule_files = ["rules/*.yml"]
# The oracle's alerts flip for a living; each flip is to be told.
[rules.flapping]
hold = "0s"
[[scrape_configs]]
job_name = "oracle"
static_configs = [{{ targets = [{address:?}] }}]
[route]
receiver = "team"
group_by = ["n"]
group_wait = "0s"
group_interval = "1ms"
[[receivers]]
name = "team"
{hooks}"#
    )
}

const RULES: &str = r"
groups:
  - name: flips
    rules:
      - alert: Flip
        expr: flip == 1
        labels: { severity: warning }
";

#[test]
fn kills_lose_nothing_invent_nothing_and_rename_nothing() {
    #[expect(
        clippy::disallowed_methods,
        reason = "a longer run is asked for by hand"
    )]
    let kills = std::env::var("LOADLINE_KILLS").map_or(KILLS, |n| n.parse().unwrap());
    let seed = 20_261_121;
    std::thread::scope(|scope| {
        for shard in 0..SHARDS {
            scope.spawn(move || torture(seed + shard, kills.div_ceil(SHARDS)));
        }
    });
}

/// What the receivers wrote down, and whether they still fail.
#[derive(Default)]
struct Book {
    deliveries: Vec<Delivery>,
    calm: bool,
}

fn torture(seed: u64, kills: u64) {
    let oracle = Arc::new(Mutex::new(Oracle::new(seed)));
    let book: Arc<Mutex<Book>> = Arc::default();
    let incarnation: Arc<Mutex<u64>> = Arc::default();
    let target = {
        let (oracle, incarnation) = (Arc::clone(&oracle), Arc::clone(&incarnation));
        Sink::deciding(move |_| {
            let body = oracle
                .lock()
                .unwrap()
                .scrape(Clock::system().now(), *incarnation.lock().unwrap());
            let kind = ("content-type", "text/plain; version=0.0.4".to_owned());
            Answer::Full(200, kind, body)
        })
    };
    let receiver = {
        let (book, incarnation) = (Arc::clone(&book), Arc::clone(&incarnation));
        let mut rng = StdRng::seed_from_u64(seed ^ 0xfeed);
        Sink::deciding(move |request| {
            let mut book = book.lock().unwrap();
            let answer = answer(&mut rng, book.calm);
            let acknowledged = matches!(answer, Answer::Status(200) | Answer::CutAfterStatus);
            let incarnation = *incarnation.lock().unwrap();
            let delivery = delivery(request, acknowledged, incarnation);
            book.deliveries.push(delivery);
            answer
        })
    };
    let home = Home::new();
    home.write("rules/flips.yml", RULES);
    let mut rng = StdRng::seed_from_u64(seed);
    let mut daemon = Some(home.start(&config(&target, &receiver)));
    for _ in 0..kills {
        // Mostly short lives, some long enough that every evaluation is surely written.
        let life = if rng.random_bool(0.8) {
            rng.random_range(20..900)
        } else {
            rng.random_range(4000..5000)
        };
        std::thread::sleep(Duration::from_millis(life));
        daemon.take().unwrap().kill();
        // What it sent last may still wait to be written down.
        std::thread::sleep(Duration::from_millis(200));
        *incarnation.lock().unwrap() += 1;
        daemon = Some(home.restart());
    }
    oracle.lock().unwrap().end(Clock::system().now());
    book.lock().unwrap().calm = true;
    let daemon = daemon.unwrap();
    drain(&daemon, &oracle);
    let metrics = daemon.get("/metrics").1;
    daemon.kill();

    let oracle = oracle.lock().unwrap();
    let deliveries = std::mem::take(&mut book.lock().unwrap().deliveries);
    let record = Record {
        deliveries,
        kills,
        endpoints: ENDPOINTS,
    };
    let found = verdict(&record, &oracle);
    assert!(found.is_clean(), "seed {seed}: {found:#?}");
    assert!(
        found.episodes as u64 >= kills && found.episodes > 0 || kills < 20,
        "seed {seed}: the run proves little: {found:#?}"
    );
    balanced(&metrics);
    delivered_is_what_was_acknowledged(&home, &record);
    report(seed, kills, &found);
}

#[expect(clippy::print_stderr, reason = "the figures of a run are kept")]
fn report(seed: u64, kills: u64, found: &verdict::Verdict) {
    eprintln!(
        "seed {seed}: {kills} kills, {} deliveries, {} episodes, {} repeats, lost {}, ghosts {}, \
         new ids {}",
        found.deliveries,
        found.episodes,
        found.repeats,
        found.lost.len(),
        found.ghosts.len(),
        found.new_ids.len()
    );
}

fn answer(rng: &mut StdRng, calm: bool) -> Answer {
    if calm || rng.random_bool(0.5) {
        return Answer::Status(200);
    }
    match rng.random_range(0..20) {
        0..6 => Answer::Status(500),
        6..12 => Answer::Status(503),
        12..16 => Answer::Cut,
        16..19 => Answer::CutAfterStatus,
        _ => Answer::Hang,
    }
}

fn delivery(request: &Received, acknowledged: bool, incarnation: u64) -> Delivery {
    let json: Value = request.json();
    let alerts = json["alerts"].as_array().unwrap();
    assert_eq!(alerts.len(), 1, "each alert is a group of its own: {json}");
    let text = |v: &Value| v.as_str().unwrap().to_owned();
    let time = |v: &Value| text(v).parse::<jiff::Timestamp>().unwrap().as_millisecond();
    let alert = &alerts[0];
    Delivery {
        endpoint: request.path.trim_start_matches('/').parse().unwrap(),
        id: request.header("webhook-id").to_owned(),
        body: request.body.clone(),
        n: text(&alert["labels"]["n"]).parse().unwrap(),
        since: time(&alert["startsAt"]),
        status: if alert["status"] == "firing" {
            Status::Firing
        } else {
            Status::Resolved {
                at: time(&alert["endsAt"]),
            }
        },
        acknowledged,
        incarnation,
    }
}

/// Waits until nothing fires and nothing waits.
fn drain(daemon: &Daemon, oracle: &Mutex<Oracle>) {
    let from = oracle.lock().unwrap().scrapes();
    wait_for("the outbox to drain", DRAIN, || {
        // Some passes that saw that all is quiet.
        if oracle.lock().unwrap().scrapes() < from + 10 {
            return None;
        }
        let metrics = daemon.get("/metrics").1;
        let value = |name: &str| -> Option<f64> {
            let line = metrics.lines().find(|l| l.starts_with(name))?;
            line.rsplit(' ').next()?.parse().ok()
        };
        let firing = value("loadline_alerts{state=\"firing\"}")?;
        let waiting = value("loadline_outbox_length")?;
        (firing == 0.0 && waiting == 0.0).then_some(())
    });
}

/// enqueued = delivered + folded + dead + pending, in public.
fn balanced(metrics: &str) {
    for n in 0..ENDPOINTS {
        let endpoint = match n {
            0 => "team/webhook".to_owned(),
            n => format!("team/webhook/{}", n + 1),
        };
        let of = |state: &str| -> f64 {
            let name =
                format!("loadline_outbox_notices{{endpoint=\"{endpoint}\",state=\"{state}\"}} ");
            let line = metrics.lines().find_map(|l| l.strip_prefix(&name));
            line.unwrap().parse().unwrap()
        };
        let became = of("delivered") + of("folded") + of("dead") + of("pending");
        assert!(
            of("enqueued") == became && of("enqueued") > 0.0,
            "{metrics}"
        );
        assert_eq!((of("dead"), of("pending")), (0.0, 0.0));
    }
}

/// What the database calls delivered was answered with success, and nothing else was sent.
fn delivered_is_what_was_acknowledged(home: &Home, record: &Record) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let rows = runtime.block_on(async {
        let state = State::open(&home.path().join("state")).await.unwrap();
        state.messages(1_000_000).await.unwrap()
    });
    let ids = |acknowledged: bool| -> BTreeSet<&str> {
        let all = record.deliveries.iter();
        all.filter(|d| d.acknowledged || !acknowledged)
            .map(|d| d.id.as_str())
            .collect()
    };
    let delivered: BTreeSet<&str> = rows
        .iter()
        .filter(|m| m.state == MessageState::Delivered)
        .map(|m| m.id.as_str())
        .collect();
    assert_eq!(rows.len(), delivered.len());
    let unheard: Vec<_> = delivered.difference(&ids(true)).copied().collect();
    assert!(
        unheard.is_empty(),
        "called delivered, never answered: {unheard:?}"
    );
    let unknown: Vec<_> = ids(false)
        .difference(&delivered)
        .copied()
        .collect::<Vec<_>>();
    assert!(
        unknown.is_empty(),
        "sent under an id that is not on disk: {unknown:?}"
    );
    assert!(rows.len() > ALERTS / 4);
}
