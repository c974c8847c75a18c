//! The samples file: windows are full again right after a restart, whatever became of the file.

use std::path::PathBuf;
use std::time::Duration;

use crate::world::daemon::{Daemon, Home, wait_for};
use crate::world::sinks::{Answer, Sink};

const PATIENCE: Duration = Duration::from_secs(20);

const CONFIG: &str = r#"
[global]
scrape_interval = "1s"
scrape_timeout = "500ms"
evaluation_interval = "1s"

[state]
samples_interval = "1s"

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
      - record: loadline:work:total
        expr: work_total
      - alert: Busy
        expr: rate(work_total[5m]) > 1
        labels: { severity: critical }
      - alert: Shape
        expr: histogram_count(rate(work_seconds[5m])) > 100
"#;

/// A target that works, a receiver, and a daemon that watches the one and tells the other.
struct World {
    home: Home,
    target: Sink,
    receiver: Sink,
}

impl World {
    fn new() -> Self {
        let world = World {
            home: Home::new(),
            target: Sink::start(),
            receiver: Sink::start(),
        };
        world.home.write("rules/mine.yml", RULES);
        let address = world.target.url("");
        let address = address.trim_start_matches("http://");
        let config = format!(
            "{CONFIG}\n[[scrape_configs]]\njob_name = \"worker\"\n\
             static_configs = [{{ targets = [{address:?}] }}]\n\
             [[receivers]]\nname = \"team\"\nwebhook_configs = [{{ url = {:?} }}]\n",
            world.receiver.url("/x")
        );
        world.home.write("config.toml", &config);
        world
    }

    /// The counter from now on.
    fn count(&self, n: u64) {
        let body = format!("work_total {n}\n");
        let head = ("content-type", "text/plain; version=0.0.4".to_owned());
        self.target.answer(Answer::Full(200, head, body));
    }

    fn file(&self) -> PathBuf {
        self.home.path().join("state").join("samples")
    }

    /// Counts up quickly until the alert was told of and three more samples are in the file.
    fn fire(&self, daemon: &Daemon) {
        let mut n = 1000;
        wait_for("the alert", PATIENCE, || {
            n += 100;
            self.count(n);
            (alert(daemon, "Busy")?["state"] == "firing").then_some(())
        });
        self.receiver.wait_for(1, PATIENCE);
        let before = written(daemon);
        for round in 1..=3 {
            wait_for("a pass", PATIENCE, || {
                (written(daemon) >= before + round).then_some(())
            });
        }
    }
}

fn alert(daemon: &Daemon, name: &str) -> Option<serde_json::Value> {
    let all = daemon.json("/api/v1/alerts");
    let all = all["data"]["alerts"].as_array()?.clone();
    all.into_iter().find(|a| a["labels"]["alertname"] == name)
}

fn value(daemon: &Daemon, query: &str) -> f64 {
    let body = daemon.json(&format!("/api/v1/query?query={query}"));
    let text = body["data"]["result"][0]["value"][1].as_str();
    text.map_or(f64::NAN, |t| t.parse().unwrap())
}

/// Recorded samples in memory: one a second.
fn written(daemon: &Daemon) -> i64 {
    value(daemon, "count_over_time(loadline:work:total[1h])") as i64
}

fn metric(daemon: &Daemon, name: &str) -> f64 {
    let text = daemon.get("/metrics").1;
    let line = text.lines().find_map(|l| l.strip_prefix(name));
    line.map_or(f64::NAN, |v| v.trim().parse().unwrap())
}

#[test]
fn after_a_kill_the_range_is_full_and_the_alert_goes_on() {
    let world = World::new();
    let daemon = world.home.restart();
    daemon.ready();
    world.fire(&daemon);
    let before = alert(&daemon, "Busy").unwrap();
    let samples = value(&daemon, "count_over_time(work_total[5m])");
    daemon.kill();

    // The work is over: only samples of before can make the rate.
    let daemon = world.home.restart();
    daemon.ready();
    let again = value(&daemon, "count_over_time(work_total[5m])");
    assert!(again >= samples - 2.0, "{again} of {samples}");
    assert!(value(&daemon, "rate(work_total[5m])") > 1.0);
    let recorded = value(&daemon, "count_over_time(loadline:work:total[1d])");
    assert!(recorded >= samples - 4.0, "{recorded} of {samples}");
    let now = alert(&daemon, "Busy").unwrap();
    assert_eq!(now["state"], "firing");
    assert_eq!(now["activeAt"], before["activeAt"]);
    assert!(now.get("keepFiringSince").is_none());
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(world.receiver.received().len(), 1, "told again");
    assert!(metric(&daemon, "loadline_samples_file_bytes ") > 0.0);
    assert_eq!(
        metric(&daemon, "loadline_samples_file_failures_total "),
        0.0
    );
}

#[test]
fn a_file_that_is_cut_or_damaged_is_set_aside_and_alerts_stay() {
    let world = World::new();
    let daemon = world.home.restart();
    daemon.ready();
    world.fire(&daemon);
    let before = alert(&daemon, "Busy").unwrap();
    daemon.kill();
    for harm in ["cut", "damage", "garbage"] {
        let file = world.file();
        // What is still in the journal must not heal the harm.
        let _ = std::fs::remove_file(file.with_file_name("samples-wal"));
        let mut bytes = std::fs::read(&file).unwrap();
        match harm {
            "cut" => bytes.truncate(bytes.len() / 2 + 100),
            "damage" => {
                let half = bytes.len() / 2;
                bytes[half..].fill(0xa5);
            }
            _ => bytes = b"no database".repeat(100),
        }
        std::fs::write(&file, bytes).unwrap();
        let daemon = world.home.restart();
        daemon.ready();
        assert!(daemon.log().contains("set aside"), "{harm}");
        assert!(file.with_file_name("samples.damaged").exists());
        let now = alert(&daemon, "Busy").unwrap();
        assert_eq!(now["activeAt"], before["activeAt"], "{harm}");
        assert_eq!(world.receiver.received().len(), 1, "{harm}");
        // The new file takes everything that is in memory.
        wait_for("a new file", PATIENCE, || {
            (metric(&daemon, "loadline_samples_file_written_bytes_total ") > 0.0).then_some(())
        });
        let enough = written(&daemon) + 3;
        wait_for("more samples", PATIENCE, || {
            (written(&daemon) >= enough).then_some(())
        });
        daemon.kill();
    }
}

#[test]
fn a_file_of_another_selection_gives_what_is_still_read() {
    let world = World::new();
    world.count(5);
    let daemon = world.home.restart();
    daemon.ready();
    wait_for("samples", PATIENCE, || {
        (value(&daemon, "count_over_time(work_total[5m])") >= 3.0).then_some(())
    });
    let mut daemon = daemon;
    daemon.signal("TERM");
    assert!(daemon.ended(Duration::from_secs(10)).success());
    let rules = "groups: [{name: g, rules: [{record: other, expr: 'sum(up)'}]}]";
    world.home.write("rules/mine.yml", rules);
    let daemon = world.home.restart();
    daemon.ready();
    let kept = daemon.json("/api/v1/query?query=count_over_time(work_total[5m])");
    assert_eq!(kept["data"]["result"].as_array().unwrap().len(), 0);
    assert!(value(&daemon, "count_over_time(up[5m])") >= 3.0);
    daemon.kill();
    // Without room for a file there is none, and nothing is said of it.
    world.home.write(
        "config.toml",
        &std::fs::read_to_string(world.home.path().join("config.toml"))
            .unwrap()
            .replace("[state]", "[state]\nsamples_max = 0"),
    );
    let daemon = world.home.restart();
    daemon.ready();
    assert!(value(&daemon, "count_over_time(up[5m])") < 3.0);
    assert!(!daemon.log().contains("samples file"), "{}", daemon.log());
}
