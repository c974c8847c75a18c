//! The commands as a person types them: output, widths, exit codes.

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use loadline::clock::Clock;

use crate::world::daemon::Home;
use crate::world::postgres::{Cluster, Options};

fn loadline(home: &Home, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_loadline"))
        .args(args)
        .current_dir(home.path())
        .env("HOME", home.path())
        .env_remove("LOADLINE_CONFIG")
        .env_remove("XDG_CONFIG_HOME")
        .output()
        .unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn fits(text: &str) {
    for line in text.lines() {
        assert!(
            line.chars().count() <= 80,
            "{} columns: {line}",
            line.chars().count()
        );
    }
}

#[test]
fn once_without_a_config_looks_around_in_under_three_seconds() {
    let home = Home::new();
    // Other tests keep this machine busy: the best of three counts.
    let mut best = Duration::MAX;
    let mut output = None;
    for _ in 0..3 {
        let started = Clock::system().stopwatch();
        output = Some(loadline(&home, &["once", "--no-daemon"]));
        best = best.min(started.elapsed());
        if best < Duration::from_secs(3) {
            break;
        }
    }
    assert!(best < Duration::from_secs(3), "{best:?}");
    let output = output.unwrap();
    // 1: something on this machine hurts just now.
    assert!(
        matches!(output.status.code(), Some(0 | 1)),
        "{}",
        err(&output)
    );
    let text = out(&output);
    fits(&text);
    for heading in ["Watching", "Signs", "Next step"] {
        assert!(text.contains(heading), "{text}");
    }
    assert!(text.contains("host "), "{text}");
    assert!(
        text.contains("snapshot of 2 s: no verdict on durations"),
        "{text}"
    );
}

#[test]
fn once_and_next_see_a_full_postgres() {
    let cluster = Cluster::start(&Options {
        max_connections: 20,
        ..Options::default()
    });
    cluster
        .psql("CREATE ROLE loadline LOGIN; GRANT pg_monitor TO loadline; CREATE ROLE app LOGIN;");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let _open = runtime.block_on(cluster.open_connections(16, "app"));
    let home = Home::new();
    let config = format!(
        "[host]\nenabled = false\n[[postgres]]\nurl = {:?}\n",
        cluster.url("loadline", "postgres")
    );
    home.write("c.toml", &config);
    let output = loadline(&home, &["once", "--config", "c.toml"]);
    let text = out(&output);
    fits(&text);
    assert!(
        text.contains("PostgreSQL 1") && text.contains("primary"),
        "{text}"
    );
    assert!(
        text.contains("Put a connection pooler in front of Postgres"),
        "{text}"
    );
    let output = loadline(&home, &["next", "--config", "c.toml", "-o", "json"]);
    assert_eq!(output.status.code(), Some(1), "a sign at now is a finding");
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let verdict = &json["decisions"][0]["bottlenecks"][0]["verdict"];
    assert_eq!(verdict["step"]["id"], "connection-pooling", "{json:#}");
    assert_eq!(json["decisions"][0]["bottlenecks"][0]["level"], "now");
}

#[test]
fn status_without_a_daemon_says_what_to_do() {
    let home = Home::new();
    let output = loadline(&home, &["status", "--url", "http://127.0.0.1:1"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("loadline run"), "{}", err(&output));
}

#[test]
fn status_shows_the_running_daemon() {
    let home = Home::new();
    let daemon = home.start("[global]\nscrape_interval = \"1s\"\nscrape_timeout = \"1s\"\nevaluation_interval = \"1s\"\n");
    daemon.ready();
    let output = loadline(&home, &["status", "--url", &daemon.url()]);
    // 1: something on this machine hurts just now.
    assert!(
        matches!(output.status.code(), Some(0 | 1)),
        "{}",
        err(&output)
    );
    fits(&out(&output));
    assert!(out(&output).contains("host "), "{}", out(&output));
    let json = loadline(&home, &["status", "--url", &daemon.url(), "-o", "json"]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["ready"], true);
}

#[test]
fn bad_files_end_with_78_before_anything_starts() {
    let home = Home::new();
    home.write("ok.yml", "groups: []\n");
    let rule =
        |expr: &str| format!("groups:\n- name: g\n  rules:\n  - alert: A\n    expr: {expr}\n");
    home.write("bad.yml", &rule("sum(rate(m[5m])"));
    home.write(
        "twice.yml",
        &format!("{}  - alert: A\n    expr: up\n", rule("up")),
    );
    for (config, words) in [
        (
            "[global]\nscrape_intervall = \"1s\"\n",
            vec!["c.toml:2:1", "scrape_intervall", "scrape_interval"],
        ),
        (
            "[global]\nscrape_interval = \"1 minute\"\n",
            vec!["c.toml:2:", "1h30m"],
        ),
        (
            "[rules]\nrule_files = [\"bad.yml\"]\n",
            vec!["bad.yml:5:", "group \"g\"", "rule \"A\""],
        ),
        (
            "[rules]\nrule_files = [\"twice.yml\"]\n",
            vec!["twice.yml:", "A"],
        ),
        (
            "[rules]\nrule_files = [\"gone.yml\"]\n",
            vec!["c.toml:2:", "gone.yml"],
        ),
        (
            "[rules]\nshipped = [\"hosts\"]\n",
            vec!["c.toml:2:", "hosts", "host, kubernetes"],
        ),
        ("[facts]\nuser = 3\n", vec!["c.toml:2:", "user"]),
        ("[signs.nope]\nact = 0.5\n", vec!["c.toml:", "nope"]),
    ] {
        home.write("c.toml", config);
        let output = loadline(
            &home,
            &[
                "run",
                "--config",
                "c.toml",
                "--state-dir",
                "state",
                "--listen",
                "127.0.0.1:0",
            ],
        );
        assert_eq!(output.status.code(), Some(78), "{config}: {}", err(&output));
        for word in words {
            assert!(
                err(&output).contains(word),
                "{config}: {word} is not in: {}",
                err(&output)
            );
        }
        assert!(!home.path().join("state").exists(), "nothing was started");
        let check = loadline(&home, &["check", "config", "c.toml"]);
        assert_eq!(check.status.code(), Some(1), "{config}");
    }
    let output = loadline(&home, &["run", "--config", "nowhere.toml"]);
    assert_eq!(output.status.code(), Some(78));
    assert!(err(&output).contains("nowhere.toml"), "{}", err(&output));
}

#[test]
fn checks_tell_good_from_bad() {
    let home = Home::new();
    let check = |args: &[&str]| loadline(&home, args).status.code();
    assert_eq!(check(&["check", "rules"]), Some(0));
    assert_eq!(check(&["check", "playbook"]), Some(0));
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("config.example.toml");
    assert_eq!(
        check(&["check", "config", example.to_str().unwrap()]),
        Some(0)
    );
    // As a service does before it starts, where there may be no config at all.
    assert_eq!(check(&["check", "config"]), Some(0));
    home.write(
        "p.toml",
        "[[step]]\nid = \"connection-pooling\"\ntitel = \"x\"\n",
    );
    let output = loadline(&home, &["check", "playbook", "p.toml"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("p.toml:3:1"), "{}", err(&output));
    assert_eq!(check(&["nonsense"]), Some(2));
    assert_eq!(check(&[]), Some(2));
}

#[test]
fn config_init_writes_the_example_once() {
    let home = Home::new();
    let output = loadline(&home, &["config", "init"]);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    let written = std::fs::read_to_string(home.path().join("config.toml")).unwrap();
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("config.example.toml");
    assert_eq!(written, std::fs::read_to_string(example).unwrap());
    assert_eq!(loadline(&home, &["config", "init"]).status.code(), Some(1));
    assert_eq!(out(&loadline(&home, &["config", "init", "-"])), written);
    assert_eq!(
        out(&loadline(&home, &["version"])),
        format!("loadline {}\n", env!("CARGO_PKG_VERSION"))
    );
}
