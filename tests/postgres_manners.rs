//! A guest on servers that are locked, stopped, cut off, restarted or promoted.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use loadline::clock::Clock;
use loadline::sources::postgres::{ServerRole, ServerState};
use rustix::process::{Pid, Signal, kill_process};
use sqlx::{Connection as _, Executor as _};

use crate::world::postgres::{Cluster, Options, eventually};
use crate::world::watch::{Watch, settings};

/// Our sessions as the server sees them, sampled until stopped.
struct Sampler {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<i64>>,
}

impl Sampler {
    fn start(cluster: &Cluster) -> Sampler {
        let stop = Arc::new(AtomicBool::new(false));
        let (flag, url) = (Arc::clone(&stop), cluster.url("postgres", "template1"));
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let mut observer = sqlx::PgConnection::connect(&url).await.unwrap();
                let mut most = 0;
                while !flag.load(Ordering::Relaxed) {
                    let n: i64 = sqlx::query_scalar(
                        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'loadline'",
                    )
                    .fetch_one(&mut observer)
                    .await
                    .unwrap();
                    most = most.max(n);
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                most
            })
        });
        Sampler {
            stop,
            thread: Some(thread),
        }
    }

    /// The most sessions seen at once.
    fn most(mut self) -> i64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap()
    }
}

fn cluster() -> Cluster {
    let cluster = Cluster::start(&Options::default());
    cluster.psql("CREATE ROLE mon LOGIN IN ROLE pg_monitor");
    cluster
}

fn impatient(url: &str) -> Watch {
    let mut settings = settings(url);
    settings.deadline = Duration::from_millis(700);
    Watch::with(settings)
}

fn our_pids(cluster: &Cluster) -> Vec<Pid> {
    cluster
        .psql("SELECT pid FROM pg_stat_activity WHERE application_name = 'loadline'")
        .lines()
        .map(|l| Pid::from_raw(l.parse().unwrap()).unwrap())
        .collect()
}

#[tokio::test]
async fn sessions_that_hang_past_every_timeout_never_become_three() {
    let cluster = cluster();
    cluster.psql("CREATE DATABASE shop");
    let sampler = Sampler::start(&cluster);
    let mut watch = impatient(&cluster.url("mon", "postgres"));
    watch.pass().await;
    let mut stopped = Vec::new();
    for _ in 0..6 {
        // Every session of ours stands still, deaf to statement_timeout.
        for pid in our_pids(&cluster) {
            kill_process(pid, Signal::STOP).unwrap();
            if !stopped.contains(&pid) {
                stopped.push(pid);
            }
        }
        watch.pass_after(20).await;
        watch.pass_after(20).await;
    }
    assert!((1..=2).contains(&stopped.len()), "{stopped:?}");
    assert_eq!(watch.state(), ServerState::Timeout);
    for pid in &stopped {
        kill_process(*pid, Signal::CONT).unwrap();
    }
    // Two intervals later all is as it was, with one session and a short second one.
    watch.pass_after(15).await;
    watch.pass_after(15).await;
    assert_eq!(watch.state(), ServerState::Up);
    eventually("the given up session is gone", || {
        our_pids(&cluster).len() == 1
    });
    let most = sampler.most();
    assert!((1..=2).contains(&most), "{most} sessions at once");
}

#[tokio::test]
async fn a_server_that_stands_still_is_not_piled_upon() {
    let cluster = cluster();
    let mut watch = impatient(&cluster.url("mon", "postgres"));
    let counter = |s: &crate::world::watch::Seen| s.sum("pg_stat_database_xact_commit", &[]);
    let before = counter(&watch.pass().await);
    let pids = our_pids(&cluster);
    cluster.signal(Signal::STOP);
    for pid in &pids {
        kill_process(*pid, Signal::STOP).unwrap();
    }
    for _ in 0..5 {
        let took = Clock::system().stopwatch();
        let seen = watch.pass().await;
        assert!(took.elapsed() < Duration::from_millis(1500));
        assert_eq!(watch.state(), ServerState::Timeout);
        assert_eq!(seen.one("pg_up", &[]), 0.0);
        assert!(!seen.has("pg_stat_database_xact_commit"));
    }
    cluster.signal(Signal::CONT);
    for pid in &pids {
        kill_process(*pid, Signal::CONT).unwrap();
    }
    let sampler = Sampler::start(&cluster);
    watch.pass().await;
    let seen = watch.pass().await;
    assert!(seen.batch.ok, "{:?}", watch.collector.status());
    let grown = counter(&seen) - before;
    assert!((0.0..2000.0).contains(&grown), "{grown}");
    let most = sampler.most();
    assert!((1..=2).contains(&most), "{most} sessions at once");
}

#[tokio::test]
async fn a_lock_storm_leaves_one_session_waiting_briefly() {
    let cluster = cluster();
    cluster.psql("CREATE TABLE t (id serial)");
    let mut watch = Watch::of(&cluster.url("mon", "postgres"));
    watch.pass().await;
    let mut owner = sqlx::PgConnection::connect(&cluster.url("postgres", "postgres"))
        .await
        .unwrap();
    owner
        .execute("BEGIN; LOCK TABLE pg_database, pg_class, pg_index, t IN ACCESS EXCLUSIVE MODE")
        .await
        .unwrap();
    for _ in 0..4 {
        let took = Clock::system().stopwatch();
        let seen = watch.pass_after(61).await;
        assert!(
            took.elapsed() < Duration::from_secs(9),
            "{:?}",
            took.elapsed()
        );
        let up = seen.one("pg_up", &[]);
        assert!(
            up == 0.0 || seen.batch.partial,
            "{:?}",
            watch.collector.status()
        );
    }
    owner.execute("ROLLBACK").await.unwrap();
    let waiting =
        cluster.psql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'loadline'");
    assert!(["0", "1", "2"].contains(&waiting.as_str()), "{waiting}");
    watch.pass_after(61).await;
    let seen = watch.pass_after(61).await;
    assert!(seen.batch.ok && !seen.batch.partial);
}

/// Passes bytes on until told to swallow them.
struct Wire {
    port: u16,
    swallow: Arc<AtomicBool>,
}

impl Wire {
    fn to(port: u16) -> Wire {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let own = listener.local_addr().unwrap().port();
        let swallow = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&swallow);
        std::thread::spawn(move || {
            for near in listener.incoming() {
                let (Ok(near), Ok(far)) = (near, TcpStream::connect(("127.0.0.1", port))) else {
                    return;
                };
                let (near2, far2) = (near.try_clone().unwrap(), far.try_clone().unwrap());
                pump(near, far2, Arc::clone(&flag));
                pump(far, near2, Arc::clone(&flag));
            }
        });
        Wire { port: own, swallow }
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream, swallow: Arc<AtomicBool>) {
    std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(n) = from.read(&mut bytes) {
            if n == 0 {
                break;
            }
            if !swallow.load(Ordering::Relaxed) && to.write_all(&bytes[..n]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(std::net::Shutdown::Both);
    });
}

#[tokio::test]
async fn a_black_hole_is_a_timeout_and_ends_within_two_intervals() {
    let cluster = cluster();
    let wire = Wire::to(cluster.port());
    let url = format!("postgres://mon@127.0.0.1:{}/postgres", wire.port);
    let sampler = Sampler::start(&cluster);
    let mut watch = impatient(&url);
    assert!(watch.pass().await.batch.ok);
    wire.swallow.store(true, Ordering::Relaxed);
    for _ in 0..4 {
        watch.pass().await;
        assert_eq!(watch.state(), ServerState::Timeout);
    }
    wire.swallow.store(false, Ordering::Relaxed);
    watch.pass().await;
    let seen = watch.pass().await;
    assert!(seen.batch.ok, "{:?}", watch.collector.status());
    let most = sampler.most();
    assert!((1..=2).contains(&most), "{most} sessions at once");
}

#[tokio::test]
async fn a_promoted_replica_is_a_primary_within_two_intervals() {
    let primary = cluster();
    let replica = Cluster::replica_of(&primary);
    let mut watch = Watch::of(&replica.url("mon", "postgres"));
    let seen = watch.pass().await;
    assert_eq!(seen.one("pg_replication_is_replica", &[]), 1.0);
    drop(primary);
    replica.psql("SELECT pg_promote()");
    watch.pass().await;
    let seen = watch.pass().await;
    assert!(seen.batch.ok);
    assert_eq!(watch.collector.status().role, Some(ServerRole::Primary));
    assert_eq!(seen.one("pg_replication_is_replica", &[]), 0.0);
    assert_eq!(seen.one("pg_replication_lag_seconds", &[]), 0.0);
    assert!(!seen.has("loadline_pg_wal_receiver_up"));
}
