//! The main job on real servers: a condition is made, the real binary runs with the shipped rules
//! (durations divided in a copy of the files) and playbook, and local receivers keep what it sends.

use std::time::Duration;

use serde_json::Value;
use sqlx::Connection as _;

use crate::world::daemon::{Daemon, Home, wait_for};
use crate::world::postgres::{Cluster, Options};
use crate::world::sinks::{Answer, Received, Sink};

/// Every duration of the shipped rules is divided by this.
const FACTOR: u32 = 60;
const PATIENCE: Duration = Duration::from_secs(40);

/// A config that watches `postgres` (and `scrape`) every second and sends to both sinks at once.
/// Host rules are left out: a busy test machine is not what these tests are about.
fn config(
    postgres: &[String],
    scrape: Option<&str>,
    webhook: &Sink,
    slack: Option<&Sink>,
) -> String {
    let mut text = String::from(
        r#"
[global]
scrape_interval = "1s"
scrape_timeout = "1s"
evaluation_interval = "1s"

[host]
enabled = false

[rules]
shipped = false
rule_files = ["rules/*.yml"]

[route]
receiver = "team"
group_wait = "0s"
group_interval = "1s"

[[receivers]]
name = "team"
"#,
    );
    text += &format!(
        "webhook_configs = [{{ url = {:?} }}]\n",
        webhook.url("/hook?token=canary-1")
    );
    if let Some(slack) = slack {
        text += &format!(
            "slack_configs = [{{ api_url = {:?} }}]\n",
            slack.url("/services/T0/B0/canary-2")
        );
    }
    for url in postgres {
        text += &format!("\n[[postgres]]\nurl = {url:?}\n");
    }
    if let Some(address) = scrape {
        text += &format!(
            "\n[[scrape_configs]]\njob_name = \"pgbouncer\"\nstatic_configs = [{{ targets = [{address:?}] }}]\n"
        );
    }
    text
}

/// A server with few slots, the role that loadline asks for and one for the application.
fn small_cluster() -> Cluster {
    let cluster = Cluster::start(&Options {
        max_connections: 20,
        ..Options::default()
    });
    cluster
        .psql("CREATE ROLE loadline LOGIN; GRANT pg_monitor TO loadline; CREATE ROLE app LOGIN;");
    cluster
}

/// The `loadline` objects of a sink's messages about one sign, oldest first.
fn messages(received: &[Received], sign: &str) -> Vec<Value> {
    received
        .iter()
        .map(Received::json)
        .filter(|body| body["groupLabels"]["sign"] == sign)
        .collect()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
}

#[test]
fn connections_running_out_name_a_pooler_and_their_end_is_told() {
    let (cluster, webhook, slack) = (small_cluster(), Sink::start(), Sink::start());
    let home = Home::new();
    home.shorten_rules(&["connections", "replication"], FACTOR);
    let url = cluster.url("loadline", "postgres");
    let mut daemon = home.start(&config(&[url], None, &webhook, Some(&slack)));
    daemon.ready();
    let runtime = runtime();
    let mut open = runtime.block_on(cluster.open_connections(16, "app"));

    let is_now = |m: &Value| m["status"] == "firing" && m["loadline"]["level"] == "now";
    let received = webhook.wait_until(PATIENCE, |r| {
        messages(r, "db-connections-near-limit").iter().any(is_now)
    });
    let told = messages(&received, "db-connections-near-limit");
    let body = told.iter().find(|m| is_now(m)).unwrap();
    assert_eq!(body["version"], "4");
    let said = &body["loadline"];
    assert_eq!(said["sign"], "db-connections-near-limit");
    assert_eq!(said["next_step"]["id"], "connection-pooling", "{said:#}");
    assert_eq!(
        (said["value"].as_f64(), said["limit"].as_f64()),
        (Some(16.0), Some(17.0))
    );
    let cited = said["citations"].to_string();
    assert!(
        cited.contains("[B]1K-10K") && cited.contains("The Scaling Milestones"),
        "{cited}"
    );
    assert!(
        said["why"].as_str().is_some_and(|w| !w.is_empty()),
        "{said:#}"
    );
    assert!(body["alerts"][0]["startsAt"].is_string());

    let slack_body = slack.wait_until(PATIENCE, |r| !r.is_empty())[0]
        .body
        .clone();
    assert!(
        slack_body.contains("Put a connection pooler in front of Postgres"),
        "{slack_body}"
    );
    assert!(
        slack_body.contains("The Scaling Milestones, 1K-10K"),
        "{slack_body}"
    );

    // Our own login is refused: the last slot goes to the application.
    let last = take_last_slot(&runtime, &cluster);
    wait_for("the refusal to fire", PATIENCE, || {
        let alerts = daemon.json("/api/v1/alerts").to_string();
        (alerts.contains("PostgresConnectionsRefused") && alerts.contains("\"state\":\"firing\""))
            .then_some(())
    });
    let status = daemon.json("/api/v1/loadline/status");
    let decided = status["data"]["decisions"].to_string();
    assert!(decided.contains("connection-pooling"), "{decided}");
    let source = &status["data"]["sources"][0];
    assert_eq!(source["health"], "down", "{source:#}");
    assert!(
        source["detail"]
            .as_str()
            .unwrap()
            .contains("no connection slot left"),
        "{source:#}"
    );

    open.push(last);
    drop(open);
    let resolved = |m: &Value| m["status"] == "resolved";
    let received = webhook.wait_until(PATIENCE, |r| {
        messages(r, "db-connections-near-limit")
            .iter()
            .any(resolved)
    });
    let told = messages(&received, "db-connections-near-limit");
    assert!(
        resolved(told.last().unwrap()),
        "resolved comes last: {told:#?}"
    );
    slack.wait_until(PATIENCE, |r| {
        r.last().is_some_and(|m| m.body.contains("Resolved"))
    });

    no_canary(&daemon, &home);
    daemon.signal("TERM");
    assert!(daemon.ended(Duration::from_secs(10)).success());
}

/// Ends loadline's session again and again until the application holds its slot.
fn take_last_slot(runtime: &tokio::runtime::Runtime, cluster: &Cluster) -> sqlx::PgConnection {
    let url = cluster.url("app", "postgres");
    wait_for("the last slot", PATIENCE, || {
        cluster.psql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'loadline'",
        );
        runtime.block_on(async {
            for _ in 0..20 {
                if let Ok(connection) = sqlx::PgConnection::connect(&url).await {
                    return Some(connection);
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            None
        })
    })
}

/// No secret of the config is in the log, the API or the state.
fn no_canary(daemon: &Daemon, home: &Home) {
    let mut seen = daemon.log();
    for path in [
        "/",
        "/metrics",
        "/api/v1/loadline/status",
        "/api/v1/targets",
        "/api/v1/rules",
    ] {
        seen += &daemon.get(path).1;
    }
    for file in std::fs::read_dir(home.path().join("state")).unwrap() {
        seen += &String::from_utf8_lossy(&std::fs::read(file.unwrap().path()).unwrap());
    }
    assert!(!seen.contains("canary-"), "a secret leaked");
}

#[test]
fn with_a_pooler_in_place_another_answer_comes() {
    let (cluster, webhook) = (small_cluster(), Sink::start());
    let exporter = Sink::start();
    let text = include_str!("exposition/pgbouncer_exporter-spreaker-2.1.2.prom");
    exporter.answer(Answer::Full(
        200,
        ("content-type", "text/plain; version=0.0.4".to_owned()),
        text.to_owned(),
    ));
    let address = exporter.url("").trim_start_matches("http://").to_owned();
    let home = Home::new();
    home.shorten_rules(&["connections", "replication"], FACTOR);
    let url = cluster.url("loadline", "postgres");
    let daemon = home.start(&config(&[url], Some(&address), &webhook, None));
    daemon.ready();
    let _open = runtime().block_on(cluster.open_connections(16, "app"));
    let received = webhook.wait_until(PATIENCE, |r| {
        messages(r, "db-connections-near-limit")
            .iter()
            .any(|m| m["loadline"]["level"] == "now")
    });
    for body in messages(&received, "db-connections-near-limit") {
        let said = &body["loadline"];
        assert_ne!(said["next_step"]["id"], "connection-pooling", "{said:#}");
        assert!(
            said["next_step"].is_object() || said["no_step"].is_object(),
            "{said:#}"
        );
    }
}

#[test]
fn a_paused_replica_gets_first_aid_and_no_step() {
    let primary = Cluster::start(&Options::default());
    primary
        .psql("CREATE ROLE loadline LOGIN; GRANT pg_monitor TO loadline; CREATE TABLE t (i int);");
    let replica = Cluster::replica_of(&primary);
    let webhook = Sink::start();
    let home = Home::new();
    home.shorten_rules(&["connections", "replication"], FACTOR);
    let urls = [
        primary.url("loadline", "postgres"),
        replica.url("loadline", "postgres"),
    ];
    let daemon = home.start(&config(&urls, None, &webhook, None));
    daemon.ready();
    primary.psql("INSERT INTO t VALUES (1)");
    replica.pause_replay();
    let is_told =
        |m: &Value| m["status"] == "firing" && m["loadline"]["sign"] == "replication-lag-high";
    let received = {
        let mut received = Vec::new();
        wait_for("the lag's message", Duration::from_secs(60), || {
            primary.psql("INSERT INTO t VALUES (2)");
            received = webhook.received();
            messages(&received, "replication-lag-high")
                .iter()
                .any(is_told)
                .then_some(())
        });
        received
    };
    let told = messages(&received, "replication-lag-high");
    let said = &told.iter().find(|m| is_told(m)).unwrap()["loadline"];
    assert!(said["next_step"].is_null(), "{said:#}");
    let no_step = &said["no_step"];
    assert!(
        no_step["first_aid"]
            .to_string()
            .contains("pg_wal_replay_resume()"),
        "{no_step:#}"
    );
    assert_eq!(
        no_step["confirm"]["id"], "replay-pause-intended",
        "{no_step:#}"
    );
    replica.resume_replay();
    webhook.wait_until(PATIENCE, |r| {
        messages(r, "replication-lag-high")
            .last()
            .is_some_and(|m| m["status"] == "resolved")
    });
    drop(daemon);
}

#[test]
fn a_kill_between_change_and_delivery_loses_nothing() {
    let (cluster, webhook) = (small_cluster(), Sink::start());
    webhook.answer(Answer::Status(503));
    webhook.answer_next([Answer::Cut]);
    let home = Home::new();
    home.shorten_rules(&["connections", "replication"], FACTOR);
    let url = cluster.url("loadline", "postgres");
    let daemon = home.start(&config(&[url], None, &webhook, None));
    daemon.ready();
    let _open = runtime().block_on(cluster.open_connections(16, "app"));
    let refused = webhook.wait_for(1, PATIENCE);
    daemon.kill();

    let before = webhook.received().len();
    webhook.answer(Answer::Status(200));
    let daemon = home.restart();
    let received = webhook.wait_until(PATIENCE, |r| {
        r[before..]
            .iter()
            .any(|m| m.json()["groupLabels"]["sign"] == "db-connections-near-limit")
    });
    // The first message keeps its id and its words; nothing about it is told twice under another.
    let first = refused[0].header("webhook-id").to_owned();
    let again: Vec<&Received> = received
        .iter()
        .filter(|m| m.header("webhook-id") == first)
        .collect();
    assert!(again.len() >= 2, "the same message comes after the restart");
    assert!(
        again.iter().all(|m| m.body == again[0].body),
        "with the same words"
    );
    std::thread::sleep(Duration::from_secs(3));
    let fired = webhook.received()[before..]
        .iter()
        .filter(|m| m.header("webhook-id") == first)
        .count();
    assert_eq!(fired, 1, "once after the restart");
    let books = daemon.json("/api/v1/loadline/status")["data"]["messages"].clone();
    let n = |key: &str| books[key].as_u64().unwrap();
    assert_eq!(
        n("enqueued"),
        n("delivered") + n("folded") + n("dead") + n("pending"),
        "{books}"
    );
}

#[test]
fn a_server_that_stops_answering_is_blind_and_not_resolved() {
    let (mut full, other, webhook) = (small_cluster(), small_cluster(), Sink::start());
    let home = Home::new();
    home.shorten_rules(&["connections", "replication"], FACTOR);
    let urls = [
        full.url("loadline", "postgres"),
        other.url("loadline", "postgres"),
    ];
    let daemon = home.start(&config(&urls, None, &webhook, None));
    daemon.ready();
    let open = runtime().block_on(full.open_connections(16, "app"));
    let sign = "db-connections-near-limit";
    webhook.wait_until(PATIENCE, |r| {
        messages(r, sign).iter().any(|m| m["status"] == "firing")
    });
    full.stop();
    drop(open);
    wait_for("the sign to be blind", PATIENCE, || {
        let signs = daemon.json("/api/v1/loadline/signs");
        let found = signs["data"]
            .as_array()?
            .iter()
            .find(|s| s["key"]["sign"] == sign)?
            .clone();
        (found["blind"] == true).then_some(())
    });
    // Longer than every keep_firing_for of these rules, divided.
    std::thread::sleep(Duration::from_secs(8));
    let told = messages(&webhook.received(), sign);
    assert!(told.iter().all(|m| m["status"] == "firing"), "{told:#?}");
}
