//! Beside Debian's exporters one thing is observed once, so one cause is one message.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::world::daemon::{Daemon, Home, wait_for};
use crate::world::postgres::{Cluster, Options, free_port};
use crate::world::sinks::Sink;

const PATIENCE: Duration = Duration::from_secs(40);

/// An exporter that is stopped when dropped.
struct Exporter {
    child: Child,
    port: u16,
}

impl Exporter {
    fn start(program: &str, environment: &[(&str, String)]) -> Self {
        let port = free_port();
        let child = Command::new(program)
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .envs(environment.iter().map(|(k, v)| (*k, v.as_str())))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|e| panic!("cannot start {program}: {e}; ./test --install brings it"));
        wait_for(program, PATIENCE, || {
            std::net::TcpStream::connect(("127.0.0.1", port))
                .ok()
                .map(drop)
        });
        Self { child, port }
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn count(daemon: &Daemon, query: &str) -> Option<f64> {
    let encoded: String = query.bytes().map(|b| format!("%{b:02X}")).collect();
    let body = daemon.json(&format!("/api/v1/query?query={encoded}"));
    body["data"]["result"][0]["value"][1].as_str()?.parse().ok()
}

#[test]
fn exporters_win_and_one_cause_is_one_message() {
    let cluster = Cluster::start(&Options {
        max_connections: 20,
        ..Options::default()
    });
    cluster
        .psql("CREATE ROLE loadline LOGIN; GRANT pg_monitor TO loadline; CREATE ROLE app LOGIN;");
    let node = Exporter::start("prometheus-node-exporter", &[]);
    let source = format!(
        "{}?sslmode=disable",
        cluster
            .url("loadline", "postgres")
            .replace("postgres://", "postgresql://")
    );
    let postgres = Exporter::start(
        "prometheus-postgres-exporter",
        &[("DATA_SOURCE_NAME", source)],
    );
    let webhook = Sink::start();
    let home = Home::new();
    home.shorten_rules(&["connections", "host"], 60);
    let config = format!(
        r#"
[global]
scrape_interval = "1s"
scrape_timeout = "1s"
evaluation_interval = "1s"

[store]
pin = ["node_load1", "node_boot_time_seconds"]

[rules]
shipped = false
rule_files = ["rules/*.yml"]

[route]
receiver = "team"
group_wait = "0s"
group_interval = "1s"

[[receivers]]
name = "team"
webhook_configs = [{{ url = {:?} }}]

[[postgres]]
url = {:?}

[[scrape_configs]]
job_name = "node"
static_configs = [{{ targets = ["127.0.0.1:{}"] }}]

[[scrape_configs]]
job_name = "postgres"
static_configs = [{{ targets = ["127.0.0.1:{}"] }}]
"#,
        webhook.url("/hook"),
        cluster.url("loadline", "postgres"),
        node.port,
        postgres.port
    );
    let daemon = home.start(&config);
    daemon.ready();
    // The exporters say which machine and server they report on with their first answer; from the
    // next pass on the built-in collectors leave those families to them.
    for query in [
        "count(node_load1)",
        "count(count by (instance) (node_cpu_seconds_total))",
        "count(count by (instance) (pg_stat_activity_count))",
        "count(pg_settings_max_connections)",
    ] {
        wait_for(query, PATIENCE, || {
            (count(&daemon, query) == Some(1.0)).then_some(())
        });
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let open = runtime.block_on(cluster.open_connections(13, "app"));
    let sign = "db-connections-near-limit";
    let of = |status: &'static str| {
        move |m: &serde_json::Value| m["groupLabels"]["sign"] == sign && m["status"] == status
    };
    webhook.wait_until(PATIENCE, |r| r.iter().any(|m| of("firing")(&m.json())));
    std::thread::sleep(Duration::from_secs(3));
    drop(open);
    let received = webhook.wait_until(PATIENCE, |r| r.iter().any(|m| of("resolved")(&m.json())));
    let told: Vec<_> = received
        .iter()
        .map(|m| m.json())
        .filter(|m| m["groupLabels"]["sign"] == sign)
        .collect();
    assert_eq!(
        told.iter().filter(|m| of("firing")(m)).count(),
        1,
        "{told:#?}"
    );
    assert!(
        told.iter()
            .all(|m| m["alerts"].as_array().unwrap().len() == 1),
        "{told:#?}"
    );
    let value = told[0]["loadline"]["value"].as_f64().unwrap();
    assert!((13.0..=17.0).contains(&value), "{value}");
    drop(daemon);
}
