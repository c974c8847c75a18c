//! The real binary among odd targets, signals and reloads.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::Duration;

use loadline::clock::Clock;

use serde_json::Value;

use crate::world::daemon::{Daemon, Home, get, wait_for};
use crate::world::sinks::{Answer, Sink};

const PATIENCE: Duration = Duration::from_secs(20);

/// Reads nothing of this machine, asks every second, and logs messages.
const QUIET: &str = r#"
[global]
scrape_interval = "1s"
scrape_timeout = "500ms"
evaluation_interval = "1s"

[host]
enabled = false

[rules]
shipped = false
rule_files = ["rules/*.yml"]
"#;

const RULES: &str = r#"
groups:
  - name: mine
    rules:
      - record: job:up:sum
        expr: sum by (job) (up)
      - alert: TargetDown
        expr: up == 0
        labels: { severity: info }
        annotations:
          summary: '{{ $labels.job }} is down'
      - alert: WaitsForNothing
        expr: never_there > 1
"#;

fn target(job: &str, sink: &Sink) -> String {
    let address = sink.url("").trim_start_matches("http://").to_owned();
    target_at(job, &address)
}

fn target_at(job: &str, address: &str) -> String {
    format!(
        "\n[[scrape_configs]]\njob_name = {job:?}\nstatic_configs = [{{ targets = [{address:?}] }}]\n"
    )
}

fn home() -> Home {
    let home = Home::new();
    home.write("rules/mine.yml", RULES);
    home
}

fn text(body: &str) -> Answer {
    Answer::Full(
        200,
        ("content-type", "text/plain; version=0.0.4".to_owned()),
        body.to_owned(),
    )
}

fn value(daemon: &Daemon, query: &str) -> Option<f64> {
    let body = daemon.json(&format!("/api/v1/query?query={query}"));
    body["data"]["result"][0]["value"][1].as_str()?.parse().ok()
}

#[test]
fn bad_targets_are_down_with_the_reason_and_the_others_on_time() {
    let (good, slow, html, half, gone) = (
        Sink::start(),
        Sink::start(),
        Sink::start(),
        Sink::start(),
        TcpListener::bind("127.0.0.1:0").unwrap(),
    );
    let refused = gone.local_addr().unwrap().to_string();
    drop(gone);
    good.answer(text("up_and_running 1\n"));
    slow.answer(Answer::Hang);
    html.answer(Answer::Full(
        200,
        ("content-type", "text/html".to_owned()),
        "<html><body>hi</body></html>".to_owned(),
    ));
    half.answer(Answer::CutAfterStatus);
    let config = [
        QUIET.to_owned(),
        target("good", &good),
        target("slow", &slow),
        target("html", &html),
        target("half", &half),
        target_at("refused", &refused),
    ]
    .concat();
    let home = home();
    let daemon = home.start(&config);
    daemon.ready();
    let health = |job: &str| {
        let body = daemon.json("/api/v1/targets");
        let targets = body["data"]["activeTargets"].as_array().unwrap().clone();
        let of = targets
            .into_iter()
            .find(|t| t["labels"]["job"] == job)
            .unwrap();
        (
            of["health"].as_str().unwrap().to_owned(),
            of["lastError"].as_str().unwrap().to_owned(),
        )
    };
    assert_eq!(health("good").0, "up");
    for (job, reason) in [
        ("slow", "500ms"),
        ("html", "HTML"),
        ("half", "cut off"),
        ("refused", "refused"),
    ] {
        let (state, why) = health(job);
        assert_eq!(state, "down", "{job}");
        assert!(
            why.to_lowercase().contains(&reason.to_lowercase()),
            "{job}: {why}"
        );
        assert_eq!(
            value(
                &daemon,
                &format!("up{{job=\"{job}\"}}")
                    .replace('"', "%22")
                    .replace('{', "%7B")
                    .replace('}', "%7D")
            ),
            Some(0.0),
            "{job}"
        );
    }
    // The good one is asked every second, whatever the others do.
    let before = good.received().len();
    std::thread::sleep(Duration::from_secs(4));
    let asked = good.received().len() - before;
    assert!((3..=5).contains(&asked), "asked {asked} times in 4 s");
}

#[test]
fn the_api_answers_as_prometheus_does_and_only_to_this_machine() {
    let good = Sink::start();
    good.answer(text("up_and_running 1\n"));
    let home = home();
    let daemon = home.start(
        &[
            QUIET.to_owned(),
            target("good", &good),
            target_at("refused", "127.0.0.1:1"),
        ]
        .concat(),
    );
    assert_eq!(daemon.get("/-/healthy").0, 200);
    daemon.ready();
    wait_for("the alert", PATIENCE, || {
        let alerts = daemon.json("/api/v1/alerts");
        let found = alerts["data"]["alerts"]
            .as_array()?
            .iter()
            .find(|a| a["labels"]["alertname"] == "TargetDown")
            .cloned()?;
        (found["state"] == "firing" && found["annotations"]["summary"] == "refused is down")
            .then_some(())
    });
    let rules = daemon.json("/api/v1/rules");
    let group = &rules["data"]["groups"][0];
    assert_eq!(group["name"], "mine");
    let rule = |name: &str| -> Value {
        let all = group["rules"].as_array().unwrap();
        all.iter().find(|r| r["name"] == name).unwrap().clone()
    };
    assert_eq!(rule("TargetDown")["state"], "firing");
    assert_eq!(rule("TargetDown")["type"], "alerting");
    assert_eq!(rule("job:up:sum")["type"], "recording");
    // What selects nothing is blind, not ok.
    assert_eq!(rule("WaitsForNothing")["health"], "blind");
    assert!(
        rule("WaitsForNothing")["lastError"]
            .as_str()
            .unwrap()
            .contains("never_there")
    );
    let explained = daemon.json("/api/v1/loadline/explain?rule=WaitsForNothing");
    let selector = &explained["data"][0]["selectors"][0];
    assert_eq!(
        (selector["selector"].as_str(), selector["series"].as_u64()),
        (Some("never_there"), Some(0))
    );
    let runs = explained["data"][0]["rule"]["runs"].as_array().unwrap();
    assert!(!runs.is_empty() && runs.len() <= 10, "{runs:#?}");
    assert_eq!(
        daemon.json("/api/v1/loadline/explain?rule=TargetDown")["data"][0]["selectors"][0]["series"],
        2
    );
    let (status, body) = daemon.get("/api/v1/loadline/explain?rule=TargetDow");
    assert!(
        status == 404 && body.contains("nearest: TargetDown"),
        "{body}"
    );
    let unkept = daemon.json("/api/v1/query?query=up_and_running");
    assert!(
        unkept["warnings"][0].as_str().unwrap().contains("pin"),
        "{unkept:#}"
    );
    let end = wait_for("a recorded sample", PATIENCE, || {
        let found = daemon.json("/api/v1/query?query=timestamp(job%3Aup%3Asum)");
        found["data"]["result"][0]["value"][1]
            .as_str()?
            .parse::<f64>()
            .ok()
    });
    let path = format!(
        "/api/v1/query_range?query=job%3Aup%3Asum&start={}&end={end}&step=1s",
        end - 2.0
    );
    let range = daemon.json(&path);
    assert_eq!(range["data"]["resultType"], "matrix", "{range:#}");
    assert!(
        !range["data"]["result"][0]["values"]
            .as_array()
            .unwrap()
            .is_empty(),
        "{range:#}"
    );
    assert_eq!(
        daemon
            .get("/api/v1/query_range?query=up&start=5&end=1&step=1")
            .0,
        400
    );
    assert_eq!(
        daemon
            .get("/api/v1/query_range?query=up&start=1&end=5&step=0")
            .0,
        400
    );
    let (status, body) = daemon.get("/api/v1/query?query=sum(");
    assert_eq!(status, 400, "{body}");
    assert!(body.contains("bad_data") && body.contains("1:5"), "{body}");
    assert_eq!(daemon.json("/api/v1/status")["data"]["ready"], true);

    let (status, metrics) = daemon.get("/metrics");
    assert_eq!(status, 200);
    let lines = metrics.lines().map(|l| Ok(l.to_owned()));
    let second = prometheus_parse::Scrape::parse(lines).unwrap();
    assert!(
        second
            .samples
            .iter()
            .any(|s| s.metric == "loadline_build_info"),
        "{metrics}"
    );
    assert!(
        second
            .samples
            .iter()
            .any(|s| s.metric == "loadline_store_samples_appended_total")
    );

    let (status, page) = daemon.get("/");
    assert_eq!(status, 200);
    assert!(page.contains("127.0.0.1:1"), "{page}");
    for host in ["evil.example", "loadline.evil.example:80", ""] {
        for path in ["/", "/metrics", "/api/v1/loadline/status", "/-/healthy"] {
            assert_eq!(get(daemon.address(), host, path).0, 403, "{host} {path}");
        }
    }
}

#[test]
fn a_reload_takes_all_or_nothing() {
    let (good, other) = (Sink::start(), Sink::start());
    good.answer(text("a 1\n"));
    other.answer(text("b 1\n"));
    let home = home();
    let first = [QUIET.to_owned(), target("good", &good)].concat();
    let daemon = home.start(&first);
    daemon.ready();
    let successful = |want: &str| {
        wait_for("the reload", PATIENCE, || {
            let metrics = daemon.get("/metrics").1;
            metrics
                .contains(&format!("loadline_config_last_reload_successful {want}\n"))
                .then_some(())
        });
    };
    // Bad rules: the old ones stay, and the log says file, line and column.
    home.write("rules/mine.yml", &RULES.replace("up == 0", "up == ("));
    daemon.signal("HUP");
    successful("0");
    assert!(daemon.log().contains("mine.yml:8:"), "{}", daemon.log());
    assert_eq!(value(&daemon, "job:up:sum"), Some(1.0));
    // A change that needs a restart is refused as a whole.
    home.write("rules/mine.yml", RULES);
    home.write(
        "config.toml",
        &format!("{first}\n[limits]\nmemory = \"64MiB\"\n"),
    );
    daemon.signal("HUP");
    wait_for("the refusal", PATIENCE, || {
        daemon.log().contains("needs a restart").then_some(())
    });
    // A good one: the unchanged target keeps its place, the new one is asked.
    home.write(
        "config.toml",
        &[first.clone(), target("other", &other)].concat(),
    );
    daemon.signal("HUP");
    successful("1");
    other.wait_for(1, PATIENCE);
    wait_for("both jobs", PATIENCE, || {
        (value(&daemon, "count(job:up:sum)") == Some(2.0)).then_some(())
    });
}

#[test]
fn a_rotated_password_is_used_after_a_reload() {
    let good = Sink::start();
    good.answer(text("a 1\n"));
    let home = home();
    let with = |password: &str| {
        let auth = format!("basic_auth = {{ username = \"u\", password = {password:?} }}\n");
        [QUIET.to_owned(), target("good", &good), auth].concat()
    };
    let daemon = home.start(&with("first"));
    let sent = |base64: &str| {
        let want = format!("Basic {base64}");
        good.wait_until(PATIENCE, |r| {
            r.last().is_some_and(|m| m.header("authorization") == want)
        });
    };
    sent("dTpmaXJzdA==");
    home.write("config.toml", &with("second"));
    daemon.signal("HUP");
    sent("dTpzZWNvbmQ=");
}

#[test]
fn it_stops_within_ten_seconds_although_a_receiver_hangs() {
    let (hung, good) = (Sink::start(), Sink::start());
    hung.answer(Answer::Hang);
    good.answer(text("a 1\n"));
    let home = Home::new();
    home.write(
        "rules/mine.yml",
        &RULES.replace("severity: info", "severity: critical"),
    );
    let config = [
        QUIET.to_owned(),
        target_at("refused", "127.0.0.1:1"),
        format!(
            "\n[[receivers]]\nname = \"team\"\nwebhook_configs = [{{ url = {:?} }}]\n",
            hung.url("/x")
        ),
    ]
    .concat();
    let mut daemon = home.start(&config);
    hung.wait_for(1, PATIENCE);
    let asked = Clock::system().stopwatch();
    daemon.signal("TERM");
    assert!(daemon.ended(Duration::from_secs(10)).success());
    assert!(
        asked.elapsed() < Duration::from_secs(10),
        "{:?}",
        asked.elapsed()
    );
    assert!(daemon.log().contains("stopped"));
}

#[test]
fn it_stops_at_once_although_a_target_hangs() {
    let hung = Sink::start();
    hung.answer(Answer::Hang);
    let home = home();
    let slow = "scrape_interval = \"9s\"\nscrape_timeout = \"9s\"";
    let quick = "scrape_interval = \"1s\"\nscrape_timeout = \"500ms\"";
    let config = [QUIET.replace(quick, slow), target("hung", &hung)].concat();
    let mut daemon = home.start(&config);
    hung.wait_for(1, PATIENCE);
    let asked = Clock::system().stopwatch();
    daemon.signal("TERM");
    assert!(daemon.ended(Duration::from_secs(10)).success());
    assert!(
        asked.elapsed() < Duration::from_secs(4),
        "{:?}",
        asked.elapsed()
    );
}

#[test]
fn systemd_hears_of_ready_reload_and_stop() {
    let home = home();
    let path = home.path().join("notify.sock");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    home.write("config.toml", QUIET);
    let started = Clock::system().stopwatch();
    let mut child = Command::new(env!("CARGO_BIN_EXE_loadline"))
        .args(["run", "--listen", "127.0.0.1:0", "--config"])
        .arg(home.path().join("config.toml"))
        .arg("--state-dir")
        .arg(home.path().join("state"))
        .env("NOTIFY_SOCKET", &path)
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let hear = || {
        let mut buffer = [0; 512];
        let n = socket.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..n]).into_owned()
    };
    assert!(hear().contains("READY=1"));
    assert!(
        started.elapsed() < Duration::from_secs(2),
        "{:?}",
        started.elapsed()
    );
    let kill = |signal: &str| {
        let sent = Command::new("kill")
            .args([signal, &child.id().to_string()])
            .status();
        assert!(sent.unwrap().success());
    };
    kill("-HUP");
    let said = hear();
    assert!(
        said.contains("RELOADING=1") && said.contains("MONOTONIC_USEC="),
        "{said}"
    );
    assert!(hear().contains("READY=1"));
    kill("-TERM");
    assert!(hear().contains("STOPPING=1"));
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_second_daemon_on_the_same_state_is_refused() {
    let home = home();
    let daemon = home.start(QUIET);
    let second = Command::new(env!("CARGO_BIN_EXE_loadline"))
        .args(["run", "--listen", "127.0.0.1:0", "--config"])
        .arg(home.path().join("config.toml"))
        .arg("--state-dir")
        .arg(home.path().join("state"))
        .output()
        .unwrap();
    assert_eq!(second.status.code(), Some(1));
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(said.contains("another"), "{said}");
    drop(daemon);
}

#[test]
fn a_slow_client_does_not_hold_up_others() {
    let home = home();
    let daemon = home.start(QUIET);
    let mut dribblers: Vec<_> = (0..50)
        .map(|_| {
            let mut s = std::net::TcpStream::connect(daemon.address()).unwrap();
            s.write_all(b"GET / HT").unwrap();
            s
        })
        .collect();
    let asked = Clock::system().stopwatch();
    assert_eq!(daemon.get("/-/healthy").0, 200);
    assert!(
        asked.elapsed() < Duration::from_millis(500),
        "{:?}",
        asked.elapsed()
    );
    // Each dribbler is closed once its header took 10 s.
    let one = &mut dribblers[0];
    one.set_read_timeout(Some(Duration::from_secs(13))).unwrap();
    let mut rest = Vec::new();
    assert!(one.read_to_end(&mut rest).is_ok(), "still open after 13 s");
}
