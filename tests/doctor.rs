//! `loadline doctor` names what a role cannot see, with the statement that opens it.

use std::process::{Command, Output};

use crate::world::daemon::Home;
use crate::world::postgres::{Cluster, Options};

fn doctor(home: &Home, config: &str, more: &[&str]) -> Output {
    let file = home.write("doctor.toml", config);
    Command::new(env!("CARGO_BIN_EXE_loadline"))
        .arg("doctor")
        .arg("--config")
        .arg(file)
        .args(more)
        .output()
        .unwrap()
}

#[test]
fn names_what_is_hidden_and_its_script_opens_it() {
    let cluster = Cluster::start(&Options {
        settings: vec![
            ("shared_preload_libraries", "pg_stat_statements".to_owned()),
            ("track_io_timing", "off".to_owned()),
        ],
        ..Options::default()
    });
    cluster.psql(
        "CREATE ROLE \"odd Role\" LOGIN; CREATE SCHEMA \"sales 1\";
         CREATE TABLE \"sales 1\".orders (id serial);
         INSERT INTO \"sales 1\".orders DEFAULT VALUES",
    );
    let home = Home::new();
    let url = cluster.url("odd%20Role", "postgres");
    let config = format!("[host]\nenabled = false\n[[postgres]]\nurl = \"{url}\"\n");
    let before =
        cluster.psql("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'");

    let output = doctor(&home, &config, &["-o", "json"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let findings = told["findings"].as_array().unwrap();
    let verdict = |signal: &str| {
        let f = findings.iter().find(|f| f["signal"] == signal);
        let f = f.unwrap_or_else(|| panic!("no finding {signal}: {findings:#?}"));
        (
            f["verdict"].as_str().unwrap().to_owned(),
            f["fix"].as_str().unwrap_or_default().to_owned(),
        )
    };
    let grant = "GRANT pg_monitor TO \"odd Role\";".to_owned();
    for signal in ["sessions", "replication", "statements", "wal_dir"] {
        assert_eq!(
            verdict(signal),
            ("wrong".to_owned(), grant.clone()),
            "{signal}"
        );
    }
    assert_eq!(
        verdict("sequences").1,
        "GRANT SELECT ON ALL SEQUENCES IN SCHEMA \"sales 1\" TO \"odd Role\";"
    );
    assert!(
        verdict("track_io_timing")
            .1
            .starts_with("ALTER SYSTEM SET track_io_timing = on")
    );
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("it sees 1 of "), "{text}");

    // The script opens what it names; then the extension is all that is missing.
    let output = doctor(&home, &config, &["--sql"]);
    assert_eq!(output.status.code(), Some(1));
    let script = String::from_utf8_lossy(&output.stdout).into_owned();
    cluster.psql_script(&script);
    cluster.psql("GRANT USAGE ON SCHEMA \"sales 1\" TO \"odd Role\"");
    let output = doctor(&home, &config, &["--sql"]);
    let script = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{script}");
    assert!(
        script.contains("\nCREATE EXTENSION pg_stat_statements;\n"),
        "{script}"
    );
    cluster.psql_script(&script);
    let output = doctor(&home, &config, &[]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("Nothing is hidden."), "{text}");
    let after =
        cluster.psql("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'");
    assert_eq!(before, after);
}

#[test]
fn a_server_that_turns_us_away_is_a_finding() {
    let home = Home::new();
    let config =
        "[host]\nenabled = false\n[[postgres]]\nurl = \"postgres://x:hunter2@127.0.0.1:1/y\"\n";
    let output = doctor(&home, config, &[]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text.contains("nobody listens at 127.0.0.1:1") && !text.contains("hunter2"),
        "{text}"
    );
}
