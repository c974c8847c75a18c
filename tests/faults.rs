//! Disks that fail under the real binary: full, without sync, and many silences before a kill.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use loadline::model::Timestamp;
use loadline::state::{SilenceRow, State};

use crate::world::daemon::{Daemon, Home, wait_for};
use crate::world::sinks::{Answer, Sink};

const PATIENCE: Duration = Duration::from_secs(60);

/// Asks every 200 ms, tells every server by itself and at once.
fn config(target: &Sink, receiver: &Sink) -> String {
    let (address, url) = (target.url(""), receiver.url("/"));
    let address = address.trim_start_matches("http://");
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
[[scrape_configs]]
job_name = "flips"
static_configs = [{{ targets = [{address:?}] }}]
[route]
receiver = "team"
group_by = ["sign", "n"]
group_wait = "0s"
group_interval = "1ms"
[[receivers]]
name = "team"
[[receivers.webhook_configs]]
url = {url:?}
"#
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

/// `alerts` series, each at a level of its own.
struct Flips {
    levels: Arc<Mutex<Vec<bool>>>,
    target: Sink,
    receiver: Sink,
    told: Arc<Mutex<Vec<(String, String)>>>,
}

impl Flips {
    fn new(alerts: usize) -> Self {
        let levels = Arc::new(Mutex::new(vec![false; alerts]));
        let told: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
        let target = {
            let levels = Arc::clone(&levels);
            Sink::deciding(move |_| {
                let lines = levels.lock().unwrap();
                let lines = lines.iter().enumerate();
                let body: String = lines
                    .map(|(n, on)| format!("flip{{n=\"{n}\"}} {}\n", u8::from(*on)))
                    .collect();
                let kind = ("content-type", "text/plain; version=0.0.4".to_owned());
                Answer::Full(200, kind, body)
            })
        };
        let receiver = {
            let told = Arc::clone(&told);
            Sink::deciding(move |request| {
                let json = request.json();
                let alert = &json["alerts"][0];
                let name = match alert["labels"]["n"].as_str() {
                    Some(n) => n.to_owned(),
                    None => alert["labels"]["sign"].as_str().unwrap().to_owned(),
                };
                let status = alert["status"].as_str().unwrap().to_owned();
                told.lock().unwrap().push((name, status));
                Answer::Status(200)
            })
        };
        Self {
            levels,
            target,
            receiver,
            told,
        }
    }

    fn set(&self, on: bool) {
        self.levels.lock().unwrap().fill(on);
    }

    /// Messages of this name and status.
    fn count(&self, is_named: impl Fn(&str) -> bool, status: &str) -> usize {
        let told = self.told.lock().unwrap();
        told.iter()
            .filter(|(n, s)| is_named(n) && s == status)
            .count()
    }

    fn flips(&self, status: &str) -> usize {
        self.count(|n| n.parse::<usize>().is_ok(), status)
    }

    fn home(&self) -> Home {
        let home = Home::new();
        home.write("rules/flips.yml", RULES);
        home.write("config.toml", &config(&self.target, &self.receiver));
        home
    }
}

/// A library that lets a sync fail from the moment a file appears.
fn failing_syncs(dir: &Path) -> PathBuf {
    let source = dir.join("sync.c");
    std::fs::write(
        &source,
        r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
static int planted(void) {
    const char *flag = getenv("PLANTED_SYNC_FAILURE");
    return flag && access(flag, F_OK) == 0;
}
int fdatasync(int fd) {
    static int (*real)(int);
    if (!real) real = dlsym(RTLD_NEXT, "fdatasync");
    if (planted()) { errno = EIO; return -1; }
    return real(fd);
}
int fsync(int fd) {
    static int (*real)(int);
    if (!real) real = dlsym(RTLD_NEXT, "fsync");
    if (planted()) { errno = EIO; return -1; }
    return real(fd);
}
"#,
    )
    .unwrap();
    let library = dir.join("sync.so");
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .args([&library, &source])
        .arg("-ldl")
        .status()
        .expect("a C compiler is there: the bundled SQLite needs one too");
    assert!(built.success());
    library
}

#[test]
fn a_failed_sync_ends_the_daemon_and_loses_nothing() {
    let flips = Flips::new(20);
    let home = flips.home();
    let (library, flag) = (failing_syncs(home.path()), home.path().join("fail"));
    for round in 1..=3 {
        let _ = std::fs::remove_file(&flag);
        let mut daemon = home.launch(|command| {
            command
                .env("LD_PRELOAD", &library)
                .env("PLANTED_SYNC_FAILURE", &flag)
        });
        flips.set(true);
        wait_for("the alerts", PATIENCE, || {
            (flips.flips("firing") >= 20 * round).then_some(())
        });
        std::fs::write(&flag, "").unwrap();
        flips.set(false);
        let ended = daemon.ended(Duration::from_secs(15));
        assert_eq!(ended.code(), Some(1), "{}", daemon.log());
        let told = flips.told.lock().unwrap().len();
        std::fs::remove_file(&flag).unwrap();
        let daemon = home.launch(|command| command);
        wait_for("the ends of the alerts", PATIENCE, || {
            (flips.flips("resolved") >= 20 * round).then_some(())
        });
        assert!(flips.told.lock().unwrap().len() > told);
        assert_eq!(flips.flips("firing"), 20 * round, "nothing fires twice");
        daemon.kill();
    }
}

/// Runs the daemon with its state on a small disk of its own, in a mount namespace; `None` where
/// the system does not allow that.
fn on_a_small_disk(home: &Home, disk: &Path) -> Option<Daemon> {
    let may = |args: &[&str]| {
        let mut command = Command::new("unshare");
        let tried = command
            .args(args)
            .args(["true"])
            .stderr(Stdio::null())
            .status();
        tried.is_ok_and(|s| s.success())
    };
    let unshare: &[&str] = if may(&["-m"]) {
        &["-m"]
    } else if may(&["-r", "-m"]) {
        &["-r", "-m"]
    } else {
        return None;
    };
    let script = "mount -t tmpfs -o size=24m none \"$0\" && exec \"$@\"";
    let args: Vec<String> = unshare
        .iter()
        .map(|s| (*s).to_owned())
        .chain(["sh", "-c", script].map(str::to_owned))
        .chain([disk.display().to_string()])
        .collect();
    Some(home.launch_under("unshare", &args))
}

#[test]
fn a_full_disk_stops_neither_rules_nor_messages_and_nothing_is_lost() {
    let flips = Flips::new(30);
    let home = flips.home();
    let disk = home.path().join("state");
    std::fs::create_dir_all(&disk).unwrap();
    let Some(mut daemon) = on_a_small_disk(&home, &disk) else {
        // Where no disk can be mounted the state's own tests stand for this one.
        return;
    };
    daemon.ready();
    // Only the daemon's mount namespace sees the disk.
    let inside = PathBuf::from(format!("/proc/{}/root{}", daemon.pid(), disk.display()));
    let filler = inside.join("filler");
    fill(&filler);
    let own = |n: &str| n == "loadline-disk-full";
    let mut waves = 0;
    wait_for("the alert about the disk", PATIENCE, || {
        waves += 1;
        flips.set(waves % 2 == 1);
        std::thread::sleep(Duration::from_millis(700));
        (flips.count(own, "firing") > 0).then_some(())
    });
    // Messages go on with the ballast's room.
    let before = flips.flips("firing");
    for on in [false, true, false, true] {
        flips.set(on);
        std::thread::sleep(Duration::from_millis(1500));
    }
    assert!(flips.flips("firing") > before, "{}", daemon.log());
    // Now nothing fits any more; what happens is kept in memory.
    fill(&filler);
    let waiting = |daemon: &Daemon| -> f64 {
        let metrics = daemon.get("/metrics").1;
        let line = metrics
            .lines()
            .find(|l| l.starts_with("loadline_state_unwritten "));
        line.and_then(|l| l.rsplit(' ').next()?.parse().ok())
            .unwrap_or(0.0)
    };
    wait_for("changes to wait", PATIENCE, || {
        let on = flips.levels.lock().unwrap()[0];
        flips.set(!on);
        std::thread::sleep(Duration::from_millis(500));
        fill(&filler);
        (waiting(&daemon) > 0.0).then_some(())
    });
    flips.set(false);
    std::fs::remove_file(&filler).unwrap();
    wait_for("all to be written and told", PATIENCE, || {
        let is_told = flips.flips("resolved") >= flips.flips("firing");
        let is_over = flips.count(own, "resolved") > 0;
        (waiting(&daemon) == 0.0 && is_told && is_over).then_some(())
    });
    daemon.signal("TERM");
    assert!(daemon.ended(PATIENCE).success());
}

/// Takes up what room there is.
fn fill(path: &Path) {
    use std::io::Write;
    let Ok(mut file) = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
    else {
        return;
    };
    for size in [65_536, 4096] {
        while file.write_all(&vec![7; size]).is_ok() {}
    }
}

/// Not the daemon but its writer, in a process of its own that is killed: the commands that make
/// silences come later.
#[test]
fn what_was_acknowledged_is_there_after_a_kill() {
    const DIR: &str = "LOADLINE_TEST_WRITER_DIR";
    #[expect(
        clippy::disallowed_methods,
        reason = "how the test tells its second process"
    )]
    if let Ok(dir) = std::env::var(DIR) {
        write_for_ever(Path::new(&dir));
    }
    let mut present = 0;
    for round in 0..5 {
        let dir = tempfile::tempdir().unwrap();
        let acknowledged = dir.path().join("acknowledged");
        let mut writer = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "faults::what_was_acknowledged_is_there_after_a_kill",
            ])
            .env(DIR, dir.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let told = || std::fs::read(&acknowledged).map_or(0, |b| b.len());
        wait_for("acknowledgements", PATIENCE, || {
            (told() >= 100 + round).then_some(())
        });
        writer.kill().unwrap();
        writer.wait().unwrap();
        let rows = block_on(async {
            let state = State::open(&dir.path().join("state")).await.unwrap();
            state.load_silences().await.unwrap().len()
        });
        assert!(rows >= told() && rows <= told() + 1, "{rows} of {}", told());
        present += told();
    }
    assert!(present >= 500, "{present}");
}

/// Writes a byte for every silence that the state says is written.
fn write_for_ever(dir: &Path) -> ! {
    use std::io::Write;
    let mut told = std::fs::File::create(dir.join("acknowledged")).unwrap();
    block_on(async {
        let state = State::open(&dir.join("state")).await.unwrap();
        for n in 0.. {
            let row = SilenceRow {
                id: format!("s{n}"),
                ends_at: Timestamp(n),
                json: "{}".to_owned(),
            };
            state.put_silence(&row, Timestamp(n)).await.unwrap();
            told.write_all(b".").unwrap();
        }
    });
    unreachable!("it is killed")
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(work)
}
