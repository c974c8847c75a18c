//! The Postgres collector against real servers.

use std::collections::BTreeSet;
use std::time::Duration;

use loadline::clock::Clock;
use loadline::model::selection::Need;
use loadline::model::{Matcher, Selection};
use loadline::sources::postgres::{Finding, Places, ServerRole, ServerState, discover};
use rustix::process::{Pid, Signal, kill_process};
use sqlx::{Connection as _, Executor as _};

use crate::world::postgres::{Cluster, Options, PgBouncer, eventually};
use crate::world::watch::{STEP, Seen, Watch, settings};

fn with_monitor(options: &Options) -> Cluster {
    let cluster = Cluster::start(options);
    cluster.psql("CREATE ROLE mon LOGIN IN ROLE pg_monitor; CREATE ROLE app LOGIN");
    cluster
}

#[tokio::test]
async fn connections_by_state_under_the_exporters_names() {
    let cluster = with_monitor(&Options::default());
    let odd = r#"we"ird 'db'; DROP TABLE x; -- é😀"#;
    cluster.psql(&format!(
        "CREATE DATABASE \"{}\" TEMPLATE template0",
        odd.replace('"', "\"\"")
    ));
    let idle = cluster.open_connections(5, "app").await;
    let mut in_tx = cluster.open_connections(2, "app").await;
    for c in &mut in_tx {
        c.execute("BEGIN").await.unwrap();
    }
    let mut watch = Watch::of(&cluster.url("mon", "postgres"));
    // The database counters count our own session too.
    let seen = watch
        .until("8 backends", |s| {
            s.sum("pg_stat_database_numbackends", &[]) == 8.0
        })
        .await;
    assert!(
        seen.batch.ok && !seen.batch.partial,
        "{:?}",
        watch.collector.status()
    );

    let count = |state: &str| {
        seen.sum(
            "pg_stat_activity_count",
            &[
                ("datname", "postgres"),
                ("state", state),
                ("application_name", "shop"),
            ],
        )
    };
    assert_eq!((count("idle"), count("idle in transaction")), (5.0, 2.0));
    assert_eq!(seen.sum("pg_stat_activity_count", &[]), 7.0);
    let zero = [("datname", odd), ("state", "active")];
    assert_eq!(seen.one("pg_stat_activity_count", &zero), 0.0);
    assert_eq!(seen.one("pg_settings_max_connections", &[]), 40.0);
    assert_eq!(
        seen.one("pg_settings_superuser_reserved_connections", &[]),
        3.0
    );
    assert!(seen.one("pg_database_size_bytes", &[("datname", odd)]) > 1e6);
    assert!(seen.sum("pg_stat_database_xact_commit", &[]) > 0.0);
    for (name, want) in [
        ("pg_up", 1.0),
        ("loadline_pg_slots_exhausted", 0.0),
        ("pg_replication_is_replica", 0.0),
        ("loadline_pg_replication_rows", 0.0),
        ("loadline_pg_pooler_sessions", 0.0),
    ] {
        assert_eq!(seen.one(name, &[]), want, "{name}");
    }
    let id = cluster.psql("SELECT system_identifier FROM pg_control_system()");
    let port = cluster.port().to_string();
    let info = [("system_identifier", id.as_str()), ("port", &port)];
    assert_eq!(seen.one("loadline_pg_system_identifier_info", &info), 1.0);

    let known: BTreeSet<&str> = include_str!("postgres/exporter-0.20-names.txt")
        .lines()
        .collect();
    let instance = format!("127.0.0.1:{}", cluster.port());
    for (labels, _) in &seen.values {
        assert_eq!(labels.get("job"), "loadline-postgres");
        assert_eq!(labels.get("instance"), instance);
        // `up` is what every target has beside its own metrics.
        if labels.name().starts_with("loadline_pg_") || labels.name() == "up" {
            continue;
        }
        // An absent label and an empty one are the same; the list writes both.
        let own: BTreeSet<&str> = labels
            .iter()
            .map(|(n, _)| n)
            .filter(|n| !["__name__", "job", "instance"].contains(n))
            .collect();
        let fits = known.iter().any(|line| {
            let (name, names) = line.trim_end_matches('}').split_once('{').unwrap();
            name == labels.name() && own.iter().all(|n| names.split(',').any(|k| k == *n))
        });
        assert!(fits, "{labels} is not the exporter's");
    }

    // Nobody reads it: it is not asked, and its series end.
    let up = Selection::new(
        2,
        vec![Need {
            matchers: vec![Matcher::equal("__name__", "pg_up")],
            window: Duration::from_secs(300),
        }],
    );
    let only = watch.pass_for(&up).await;
    assert_eq!(only.values.len(), 1);
    assert_eq!(only.batch.gone.len(), seen.values.len() - 1);

    // Sessions that end fall to zero; their own series end.
    let seen = watch.pass().await;
    assert_eq!(seen.sum("pg_stat_activity_count", &[]), 7.0);
    drop(in_tx);
    drop(idle);
    let seen = watch
        .until("no sessions", |s| {
            s.sum("pg_stat_activity_count", &[]) == 0.0
        })
        .await;
    let state = [("datname", "postgres"), ("state", "idle")];
    assert_eq!(seen.one("pg_stat_activity_count", &state), 0.0);
    assert!(
        !watch
            .names
            .values()
            .any(|l| l.get("application_name") == "shop")
    );
}

#[tokio::test]
async fn a_role_without_pg_monitor_is_told_apart_from_an_idle_server() {
    let cluster = with_monitor(&Options::default());
    let _open = cluster.open_connections(6, "postgres").await;
    let mut watch = Watch::of(&cluster.url("app", "postgres"));
    // What the role may see is whole.
    let seen = watch
        .until("7 backends", |s| {
            s.sum("pg_stat_database_numbackends", &[]) == 7.0
        })
        .await;
    assert!(seen.batch.ok);
    for name in [
        "pg_stat_activity_count",
        "loadline_pg_pooler_sessions",
        "loadline_pg_replication_rows",
        "loadline_pg_pg_stat_statements_readable",
    ] {
        assert!(!seen.has(name), "{name}");
    }
    for signal in ["sessions", "pooler", "replication", "statements"] {
        let labels = [("signal", signal), ("state", "needs_pg_monitor")];
        assert_eq!(seen.one("loadline_pg_signal_state", &labels), 1.0);
    }
    assert_eq!(seen.one("pg_settings_max_connections", &[]), 40.0);
    let status = watch.collector.status();
    let sessions = status.blind().find(|b| b.signal == "sessions").unwrap();
    assert_eq!(sessions.fix.as_deref(), Some("GRANT pg_monitor TO app;"));

    cluster.psql("GRANT pg_monitor TO app");
    let seen = watch
        .until("6 sessions", |s| {
            s.sum("pg_stat_activity_count", &[]) == 6.0
        })
        .await;
    let labels = [("signal", "sessions"), ("state", "ok")];
    assert_eq!(seen.one("loadline_pg_signal_state", &labels), 1.0);
}

#[tokio::test]
async fn failures_to_log_in_have_names_and_are_not_repeated_too_soon() {
    let hba = "local all all trust\nhost all postgres 127.0.0.1/32 trust\n\
               host all locked 127.0.0.1/32 reject\nhost all all 127.0.0.1/32 scram-sha-256\n";
    let cluster = Cluster::start(&Options {
        hba,
        ..Options::default()
    });
    cluster.psql(
        "CREATE ROLE mon LOGIN PASSWORD 'right-one' IN ROLE pg_monitor; CREATE ROLE locked LOGIN",
    );

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, "wrong-one\n").unwrap();
    let mut with_file = settings(&cluster.url("mon", "postgres"));
    with_file.password_file = Some(file.clone());
    let mut watch = Watch::with(with_file);
    let seen = watch.pass().await;
    assert_eq!(watch.state(), ServerState::AuthFailed);
    assert!(!seen.batch.ok);
    assert_eq!(seen.one("pg_up", &[]), 0.0);
    assert_eq!(
        seen.one("loadline_pg_connect_state", &[("state", "auth_failed")]),
        1.0
    );
    assert!(!seen.has("loadline_pg_slots_exhausted"));
    let told = format!("{:?}", watch.collector.status());
    assert!(
        told.contains("CREATE ROLE mon") && !told.contains("wrong-one"),
        "{told}"
    );

    // The file is read anew, but not before a minute is over.
    std::fs::write(&file, "right-one\n").unwrap();
    for _ in 0..3 {
        watch.pass().await;
        assert_eq!(watch.state(), ServerState::AuthFailed);
    }
    let seen = watch.pass_after(STEP + 1).await;
    assert_eq!(
        watch.state(),
        ServerState::Up,
        "{:?}",
        watch.collector.status()
    );
    assert_eq!(seen.one("pg_up", &[]), 1.0);
    std::fs::remove_file(&file).unwrap();
    let mut lost = settings(&cluster.url("mon", "postgres"));
    lost.password_file = Some(file);

    let nobody = format!("postgres://x@127.0.0.1:1/{}", "postgres");
    for (settings, want, sentence) in [
        (lost, ServerState::PasswordFile, "password"),
        (
            settings(&cluster.url("locked", "postgres")),
            ServerState::AuthFailed,
            "locked",
        ),
        (
            settings(&cluster.url("postgres", "nosuch")),
            ServerState::NoSuchDatabase,
            "nosuch",
        ),
        (settings(&nobody), ServerState::Refused, "127.0.0.1:1"),
        (
            settings(&format!(
                "{}?sslmode=require",
                cluster.url("postgres", "postgres")
            )),
            ServerState::Tls,
            "TLS",
        ),
    ] {
        let mut watch = Watch::with(settings);
        let seen = watch.pass().await;
        let status = watch.collector.status();
        assert_eq!(status.state, want, "{status:?}");
        assert!(status.sentence.contains(sentence), "{status:?}");
        assert!(!seen.batch.ok && seen.one("pg_up", &[]) == 0.0);
        let labels = [("state", want.as_str())];
        assert_eq!(seen.one("loadline_pg_connect_state", &labels), 1.0);
    }
}

#[tokio::test]
async fn exhausted_slots_are_the_signal_itself() {
    let cluster = with_monitor(&Options {
        max_connections: 20,
        ..Options::default()
    });
    let mut inside = Watch::of(&cluster.url("mon", "postgres"));
    inside.pass().await;
    let mut open = cluster.open_connections(16, "app").await;

    // Who holds a session sees the limit reached: 16 and ourselves of 20 - 3.
    let seen = inside
        .until("17 backends", |s| {
            s.sum("pg_stat_database_numbackends", &[]) == 17.0
        })
        .await;
    assert_eq!(seen.sum("pg_stat_activity_count", &[]), 16.0);

    // Who comes late is refused, which tells the same.
    let mut late = Watch::of(&cluster.url("mon", "postgres"));
    let seen = late.pass().await;
    assert_eq!(
        late.state(),
        ServerState::SlotsExhausted,
        "{:?}",
        late.collector.status()
    );
    assert!(!seen.batch.ok);
    assert_eq!(seen.one("loadline_pg_slots_exhausted", &[]), 1.0);
    assert_eq!(seen.one("pg_up", &[]), 0.0);
    assert!(!seen.has("pg_settings_max_connections"));
    assert!(
        late.collector
            .status()
            .fix
            .as_ref()
            .unwrap()
            .contains("reserved_connections")
    );

    // Who knew the limit still tells it when thrown out.
    cluster.psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'mon'");
    open.extend(cluster.open_connections(1, "app").await);
    let seen = inside.pass().await;
    assert_eq!(inside.state(), ServerState::SlotsExhausted);
    assert_eq!(seen.one("loadline_pg_slots_exhausted", &[]), 1.0);
    assert_eq!(seen.one("pg_settings_max_connections", &[]), 20.0);
    assert!(!seen.has("pg_stat_activity_count"));

    // The server's slots and a role's own limit share an SQLSTATE and differ in meaning.
    drop(open);
    let seen = late
        .until("a free slot", |s| {
            s.all("loadline_pg_slots_exhausted", &[]) == [0.0]
        })
        .await;
    assert_eq!(seen.one("pg_up", &[]), 1.0);
    cluster.psql("ALTER ROLE app CONNECTION LIMIT 0");
    let mut limited = Watch::of(&cluster.url("app", "postgres"));
    let seen = limited.pass().await;
    assert_eq!(limited.state(), ServerState::ConnectionLimit);
    assert!(!seen.has("loadline_pg_slots_exhausted"));
}

#[tokio::test]
async fn a_restart_is_one_gap_and_no_spike() {
    let mut cluster = with_monitor(&Options::default());
    let mut watch = Watch::of(&cluster.url("mon", "postgres"));
    let commits =
        |seen: &Seen| seen.sum("pg_stat_database_xact_commit", &[("datname", "postgres")]);
    let mut before = commits(&watch.pass().await);
    let started = watch
        .pass()
        .await
        .one("pg_postmaster_start_time_seconds", &[]);

    cluster.stop();
    let seen = watch.pass().await;
    assert_eq!(watch.state(), ServerState::Refused);
    assert_eq!(seen.one("pg_up", &[]), 0.0);
    assert!(!seen.batch.ok && !seen.has("pg_stat_activity_count"));
    assert!(!seen.batch.gone.is_empty());

    // Not asked twice within a second.
    cluster.boot_again();
    watch.pass_after(0).await;
    assert_eq!(watch.state(), ServerState::Refused);
    let seen = watch.pass().await;
    assert_eq!(seen.one("pg_up", &[]), 1.0);
    assert!(seen.one("pg_postmaster_start_time_seconds", &[]) > started);

    let mut increase = 0.0;
    for _ in 0..3 {
        cluster.restart_immediate();
        for _ in 0..2 {
            let seen = watch.pass().await;
            if seen.batch.ok {
                let now = commits(&seen);
                increase += if now < before { now } else { now - before };
                before = now;
            }
        }
        assert_eq!(watch.state(), ServerState::Up);
    }
    assert!(
        increase < 200.0,
        "{increase} commits in three restarts of an idle server"
    );
}

#[tokio::test]
async fn never_more_than_two_connections_and_only_questions() {
    let cluster = with_monitor(&Options {
        settings: vec![
            ("log_statement", "all".to_owned()),
            ("log_min_messages", "log".to_owned()),
            ("log_line_prefix", "%a|".to_owned()),
            ("shared_preload_libraries", "pg_stat_statements".to_owned()),
        ],
        ..Options::default()
    });
    for name in ["one", "three", "two"] {
        cluster.psql(&format!("CREATE DATABASE {name} TEMPLATE template0"));
    }
    let url = cluster.url("postgres", "two");
    let mut own = sqlx::PgConnection::connect(&url).await.unwrap();
    own.execute("CREATE EXTENSION pg_stat_statements")
        .await
        .unwrap();
    own.close().await.unwrap();

    let mut observer = sqlx::PgConnection::connect(&cluster.url("postgres", "postgres"))
        .await
        .unwrap();
    let mut watch = Watch::of(&cluster.url("mon", "postgres"));
    let passes = async {
        let mut readable = Vec::new();
        for _ in 0..12 {
            let seen = watch.pass().await;
            assert!(seen.batch.ok);
            readable.push(seen.all("loadline_pg_pg_stat_statements_readable", &[]));
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        readable
    };
    let mut passes = Box::pin(passes);
    let mut most = 0;
    let readable = loop {
        let count = sqlx::query_scalar::<_, i64>(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'loadline'",
        )
        .fetch_one(&mut observer);
        tokio::select! {
            readable = &mut passes => break readable,
            n = count => most = most.max(n.unwrap()),
        }
    };
    assert!((1..=2).contains(&most), "{most} connections");

    // It was found in the last database asked; before that nothing was claimed.
    assert_eq!(readable.first().unwrap(), &Vec::<f64>::new());
    assert_eq!(readable.last().unwrap(), &vec![1.0]);

    drop(passes);
    watch.collector.close().await;
    let log = cluster.log();
    let ours: Vec<&str> = log
        .lines()
        .filter_map(|l| l.strip_prefix("loadline|LOG:  statement: "))
        .collect();
    assert!(ours.len() > 50, "{} statements logged", ours.len());
    for statement in ours {
        let ok = ["-- ", "SELECT ", "SET jit = off; SET idle_in_transaction"]
            .iter()
            .any(|start| statement.starts_with(start));
        assert!(ok, "{statement}");
    }
}

#[tokio::test]
async fn reads_through_a_pooler_in_transaction_mode() {
    let cluster = with_monitor(&Options::default());
    let mut direct = Watch::of(&cluster.url("mon", "postgres"));
    direct.pass().await;
    let id = direct.collector.status().system_identifier.clone();
    assert!(!direct.collector.status().via_pooler);
    // One refuses our settings at connect, one swallows them.
    for extra in [
        "default_pool_size = 2",
        "ignore_startup_parameters = options, extra_float_digits",
    ] {
        let pooler = PgBouncer::start(&cluster, &["mon"], extra);
        let mut watches = [
            Watch::of(&pooler.url("mon", "postgres")),
            Watch::of(&pooler.url("mon", "postgres")),
        ];
        for _ in 0..40 {
            let [a, b] = &mut watches;
            let (a, b) = tokio::join!(a.pass(), b.pass());
            for seen in [a, b] {
                assert!(seen.batch.ok && !seen.batch.partial, "{extra}");
                assert_eq!(seen.one("pg_up", &[]), 1.0);
            }
        }
        let seen = watches[0].pass().await;
        assert!(seen.one("loadline_pg_pooler_sessions", &[]) >= 1.0);
        assert_eq!(seen.one("pg_settings_max_connections", &[]), 40.0);
        let status = watches[0].collector.status();
        assert!(status.via_pooler);
        assert_eq!(status.system_identifier, id);
        assert_eq!(status.port, Some(cluster.port()));
    }
}

#[tokio::test]
async fn a_replica_whose_replay_is_paused() {
    let primary = with_monitor(&Options::default());
    let replica = Cluster::replica_of(&primary);
    let mut on_primary = Watch::of(&primary.url("mon", "postgres"));
    let mut on_replica = Watch::of(&replica.url("mon", "postgres"));

    // The age of the last replay is known once there was one.
    primary.psql("CREATE TABLE first (n int)");
    let caught_up = |seen: &Seen| {
        seen.all("pg_replication_lag_seconds", &[]) == [0.0]
            && seen.has("pg_replication_last_replay_seconds")
    };
    let seen = on_replica.until("caught up", caught_up).await;
    assert_eq!(seen.one("pg_replication_is_replica", &[]), 1.0);
    assert_eq!(seen.one("loadline_pg_replay_paused", &[]), 0.0);
    assert_eq!(seen.one("loadline_pg_wal_receiver_up", &[]), 1.0);
    assert_eq!(
        on_replica.collector.status().role,
        Some(ServerRole::Replica)
    );
    assert_eq!(on_replica.collector.status().system_identifier, {
        on_primary.pass().await;
        on_primary.collector.status().system_identifier.clone()
    });

    replica.pause_replay();
    primary.psql("CREATE TABLE t AS SELECT generate_series(1, 20000) AS n");
    let streaming = [("application_name", "replica"), ("state", "streaming")];
    let behind = "pg_stat_replication_pg_wal_lsn_diff";
    let seen = on_primary
        .until("bytes behind", |s| s.sum(behind, &streaming) > 500_000.0)
        .await;
    assert_eq!(seen.one("loadline_pg_replication_rows", &[]), 1.0);
    assert_eq!(
        on_primary.collector.status().role,
        Some(ServerRole::Primary)
    );

    tokio::time::sleep(Duration::from_millis(1100)).await;
    let seen = on_primary.pass().await;
    let lag = "loadline_pg_replication_replay_lag_seconds";
    assert!(seen.one(lag, &streaming) >= 1.0);
    let seen = on_replica.pass().await;
    assert_eq!(seen.one("loadline_pg_replay_paused", &[]), 1.0);
    assert!(seen.one("loadline_pg_replay_lag_bytes", &[]) > 500_000.0);
    assert!(seen.one("pg_replication_lag_seconds", &[]) >= 1.0);

    replica.resume_replay();
    let seen = on_primary
        .until("replayed", |s| s.all(behind, &streaming) == [0.0])
        .await;
    assert!(seen.one(lag, &streaming) >= 0.0);

    // Cut off from its primary, a replica with nothing left to replay is not in sync.
    drop(primary);
    eventually("the receiver ends", || {
        replica.psql("SELECT count(*) FROM pg_stat_wal_receiver") == "0"
    });
    let seen = on_replica.pass().await;
    assert_eq!(seen.one("loadline_pg_wal_receiver_up", &[]), 0.0);
    assert!(seen.one("pg_replication_lag_seconds", &[]) > 0.0);
}

#[tokio::test]
async fn a_locked_catalog_and_a_stopped_server_cost_a_bounded_time() {
    let cluster = with_monitor(&Options::default());
    let mut kept = Watch::of(&cluster.url("mon", "postgres"));
    let before = kept.pass().await;
    let mut owner = sqlx::PgConnection::connect(&cluster.url("postgres", "postgres"))
        .await
        .unwrap();
    owner
        .execute("BEGIN; LOCK TABLE pg_database IN ACCESS EXCLUSIVE MODE")
        .await
        .unwrap();
    let watch = Clock::system().stopwatch();
    let seen = kept.pass().await;
    assert!(
        watch.elapsed() < Duration::from_secs(2),
        "{:?}",
        watch.elapsed()
    );
    assert!(seen.batch.ok && seen.batch.partial);
    assert_eq!(seen.one("pg_up", &[]), 1.0);
    assert!(before.has("pg_stat_activity_count") && !seen.has("pg_stat_activity_count"));
    let busy = [("signal", "sessions"), ("state", "busy")];
    assert_eq!(seen.one("loadline_pg_signal_state", &busy), 1.0);
    // Not answered is not ended: only the signal's old state is gone.
    let busy = seen
        .values
        .iter()
        .filter(|(l, _)| l.name() == "loadline_pg_signal_state" && l.get("state") == "busy");
    assert!(
        seen.batch.gone.len() <= busy.count(),
        "{:?}",
        seen.batch.gone
    );
    owner.execute("ROLLBACK").await.unwrap();
    let seen = kept.pass().await;
    assert!(!seen.batch.partial && seen.has("pg_stat_activity_count"));

    // Our own session hangs: it is dropped at the deadline, and the next pass takes a new one.
    let mut hung = settings(&cluster.url("mon", "postgres"));
    hung.deadline = Duration::from_millis(800);
    let mut hung = Watch::with(hung);
    hung.pass().await;
    let pid =
        cluster.psql("SELECT max(pid) FROM pg_stat_activity WHERE application_name = 'loadline'");
    let backend = Pid::from_raw(pid.parse().unwrap()).unwrap();
    kill_process(backend, Signal::STOP).unwrap();
    let seen = hung.pass().await;
    assert_eq!(hung.state(), ServerState::Timeout);
    assert!(!seen.batch.ok && seen.one("pg_up", &[]) == 0.0);
    hung.until("a new session", |s| s.batch.ok).await;
    kill_process(backend, Signal::CONT).unwrap();

    // New sessions hang while the main process stands still.
    cluster.signal(Signal::STOP);
    let mut impatient = settings(&cluster.url("mon", "postgres"));
    impatient.deadline = Duration::from_millis(800);
    let mut late = Watch::with(impatient);
    for _ in 0..2 {
        let watch = Clock::system().stopwatch();
        let seen = late.pass().await;
        assert_eq!(late.state(), ServerState::Timeout);
        assert_eq!(seen.one("pg_up", &[]), 0.0);
        assert!(
            watch.elapsed() < Duration::from_millis(1600),
            "{:?}",
            watch.elapsed()
        );
    }
    cluster.signal(Signal::CONT);
    late.until("the server goes on", |s| s.batch.ok).await;
}

#[tokio::test]
async fn finds_servers_on_its_own() {
    let hba = "local all postgres trust\nlocal all loadline trust\nlocal all all reject\n\
               host all all 127.0.0.1/32 reject\n";
    let cluster = Cluster::start(&Options {
        hba,
        ..Options::default()
    });
    let places = Places {
        socket_dirs: vec![cluster.socket_dir().to_owned()],
        tcp: vec![
            ("127.0.0.1".to_owned(), cluster.port()),
            ("127.0.0.1".to_owned(), 1),
        ],
    };
    let findings = discover("somebody", &places).await;
    let [
        Finding::Blind {
            instance,
            state,
            fix,
            ..
        },
    ] = findings.as_slice()
    else {
        panic!("{findings:?}");
    };
    assert_eq!(instance, &format!("localhost:{}", cluster.port()));
    assert_eq!(*state, ServerState::AuthFailed);
    let fix = fix.as_ref().unwrap();
    assert!(
        fix.contains("CREATE ROLE somebody LOGIN IN ROLE pg_monitor;"),
        "{fix}"
    );

    cluster.psql("CREATE ROLE loadline LOGIN IN ROLE pg_monitor");
    let findings = discover("somebody", &places).await;
    let [
        Finding::Found {
            settings,
            port,
            has_pg_monitor,
            ..
        },
    ] = findings.as_slice()
    else {
        panic!("{findings:?}");
    };
    assert_eq!(
        (settings.user(), *port, *has_pg_monitor),
        ("loadline", cluster.port(), true)
    );
    let mut watch = Watch::with((**settings).clone());
    let seen = watch.pass().await;
    assert_eq!(seen.one("pg_up", &[]), 1.0);

    // Two open paths to one server are one server.
    let open = Cluster::start(&Options::default());
    let places = Places {
        socket_dirs: vec![open.socket_dir().to_owned()],
        tcp: vec![("127.0.0.1".to_owned(), open.port())],
    };
    let findings = discover("postgres", &places).await;
    assert!(
        matches!(findings.as_slice(), [Finding::Found { settings, .. }] if settings.is_local_socket()),
        "{findings:?}"
    );
}

#[tokio::test]
async fn a_full_server_is_found_and_watched() {
    let cluster = Cluster::start(&Options {
        max_connections: 20,
        ..Options::default()
    });
    cluster.psql("CREATE ROLE loadline LOGIN; GRANT pg_monitor TO loadline; CREATE ROLE app LOGIN");
    let _open = cluster.open_connections(17, "app").await;
    let places = Places {
        socket_dirs: vec![cluster.socket_dir().to_owned()],
        tcp: vec![("127.0.0.1".to_owned(), cluster.port())],
    };
    let found = discover("nobody-has-this-role", &places).await;
    let [Finding::Found { settings, .. }] = &found[..] else {
        panic!("{found:?}")
    };
    assert_eq!(settings.user(), "loadline");
}
