//! Targets that are looked up, and targets that mean harm, against the real binary.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use loadline::clock::Clock;

use crate::world::daemon::{Daemon, Home, wait_for};
use crate::world::sinks::{Answer, Sink};

const PATIENCE: Duration = Duration::from_secs(20);

const QUIET: &str = r#"
[global]
scrape_interval = "1s"
scrape_timeout = "900ms"
evaluation_interval = "1s"

[host]
enabled = false

[rules]
shipped = false

[store]
pin = ["up", "m", "scrape_samples_scraped"]
"#;

fn text(body: &str) -> Answer {
    Answer::Full(
        200,
        ("content-type", "text/plain; version=0.0.4".to_owned()),
        body.to_owned(),
    )
}

fn address(sink: &Sink) -> String {
    sink.url("").trim_start_matches("http://").to_owned()
}

/// URLs of active targets in order.
fn active(daemon: &Daemon) -> Vec<String> {
    let body = daemon.json("/api/v1/targets?state=active");
    let targets = body["data"]["activeTargets"].as_array().unwrap();
    let urls = targets.iter().map(|t| t["scrapeUrl"].as_str().unwrap());
    urls.map(str::to_owned).collect()
}

fn value(daemon: &Daemon, query: &str) -> Option<f64> {
    let query = query
        .replace('"', "%22")
        .replace('{', "%7B")
        .replace('}', "%7D")
        .replace('=', "%3D");
    let body = daemon.json(&format!("/api/v1/query?query={query}"));
    body["data"]["result"][0]["value"][1].as_str()?.parse().ok()
}

#[test]
fn targets_come_and_go_without_a_restart() {
    let (one, two) = (Sink::start(), Sink::start());
    one.answer(text("m 1\n"));
    two.answer(text("m 2\n"));
    let home = Home::new();
    let list = |targets: &[&str]| {
        let targets = serde_json::json!([{ "targets": targets, "labels": { "__meta_zone": "z" } }]);
        home.write("targets/t.json.new", &targets.to_string());
        let to = home.path().join("targets/t.json");
        std::fs::rename(home.path().join("targets/t.json.new"), to).unwrap();
    };
    let (a, b) = (address(&one), address(&two));
    list(&[&a, "dropped.example:1"]);
    let config = format!(
        "{QUIET}\n[[scrape_configs]]\njob_name = 'files'\n\
         file_sd_configs = [{{ files = ['targets/*.json'], refresh_interval = '200ms' }}]\n\
         relabel_configs = [\n\
           {{ source_labels = ['__address__'], regex = 'dropped.*', action = 'drop' }},\n\
           {{ source_labels = ['__meta_zone'], target_label = 'zone' }},\n\
         ]\n"
    );
    let daemon = home.start(&config);
    wait_for("the first target", PATIENCE, || {
        (value(&daemon, "m{zone=\"z\"}") == Some(1.0)).then_some(())
    });
    let body = daemon.json("/api/v1/targets?state=dropped");
    assert_eq!(body["data"]["activeTargets"], serde_json::json!([]));
    let dropped = &body["data"]["droppedTargets"][0]["discoveredLabels"];
    assert_eq!(dropped["__address__"], "dropped.example:1");
    assert_eq!(dropped["__meta_zone"], "z");
    assert_eq!(body["data"]["droppedTargetCounts"]["files"], 1);
    assert_eq!(daemon.get("/api/v1/targets?state=gone").0, 400);

    // Another one comes; the first goes on with its connection and its samples.
    let asked = one.received().len();
    list(&[&a, &b]);
    wait_for("the second target", PATIENCE, || {
        (value(&daemon, "count(m)") == Some(2.0)).then_some(())
    });
    wait_for("the first going on", PATIENCE, || {
        (one.received().len() > asked).then_some(())
    });
    assert_eq!(
        value(&daemon, "count_over_time(m{instance=\"none\"}[1m])"),
        None
    );
    assert!(value(&daemon, "max(count_over_time(m[1m]))").unwrap() >= 2.0);

    // A broken file changes nothing and is shown.
    home.write("targets/t.json", "[{");
    wait_for("the complaint", PATIENCE, || {
        daemon.log().contains("its last targets stay").then_some(())
    });
    let status = daemon.json("/api/v1/loadline/status");
    assert!(
        status["data"]["blind"].to_string().contains("t.json"),
        "{status:#}"
    );
    assert_eq!(active(&daemon).len(), 2);
    // A reload looks it up anew and keeps what runs.
    daemon.signal("HUP");
    wait_for("the reload", PATIENCE, || {
        daemon.log().contains("was reloaded").then_some(())
    });
    assert_eq!(active(&daemon).len(), 2);

    // The first goes, and its series with it.
    list(&[&b]);
    wait_for("one target", PATIENCE, || {
        (active(&daemon) == [format!("http://{b}/metrics")]
            && value(&daemon, "count(m)") == Some(1.0))
        .then_some(())
    });
    assert_eq!(value(&daemon, "m"), Some(2.0));
    let metrics = daemon.get("/metrics").1;
    assert!(
        metrics.contains("loadline_discovery_refreshes_total{kind=\"file\",outcome=\"failed\"}"),
        "{metrics}"
    );
}

/// A server that answers each path in its own way.
struct Hostile {
    address: String,
    stop: Arc<AtomicBool>,
    /// When a healthy path was asked, in seconds, by path.
    asked: Arc<Mutex<Vec<(String, f64)>>>,
}

impl Hostile {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let stop = Arc::new(AtomicBool::new(false));
        let asked: Arc<Mutex<Vec<(String, f64)>>> = Arc::default();
        let (stopped, seen) = (Arc::clone(&stop), Arc::clone(&asked));
        let bomb = Arc::new(bomb());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let (stopped, seen, bomb) = (stopped.clone(), seen.clone(), bomb.clone());
                std::thread::spawn(move || answer(stream, &stopped, &seen, &bomb));
            }
        });
        Self {
            address,
            stop,
            asked,
        }
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(&self.address);
    }
}

/// 10 MB of gzip that inflate to 10 GB of comments.
fn bomb() -> Vec<u8> {
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(9));
    gz.write_all(&b"# \n".repeat(10_000_000 / 3)).unwrap();
    gz.finish().unwrap()
}

fn answer(mut s: TcpStream, stop: &AtomicBool, asked: &Mutex<Vec<(String, f64)>>, bomb: &[u8]) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match s.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return,
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or("/").to_owned();
    let kind = path
        .trim_start_matches('/')
        .trim_end_matches(|c: char| c.is_ascii_digit());
    let gone = || stop.load(Ordering::SeqCst);
    let open = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n";
    let mut send = |extra: &str, body: &[u8]| {
        let length = format!("Content-Length: {}\r\n\r\n", body.len());
        let head = [open, extra, &length].concat();
        let _ = s
            .write_all(head.as_bytes())
            .and_then(|()| s.write_all(body));
    };
    let lines = |n: usize| -> String { (0..n).map(|i| format!("m{{i=\"{i}\"}} 1\n")).collect() };
    match kind {
        "healthy" => {
            let now = Clock::system().now().as_secs_f64();
            asked.lock().unwrap().push((path.clone(), now));
            send("", b"m 1\n");
        }
        "bomb" => {
            let _ = s.write_all(format!("{open}Content-Encoding: gzip\r\n\r\n").as_bytes());
            for _ in 0..1_000 {
                if s.write_all(bomb).is_err() {
                    return;
                }
            }
        }
        "endless" => {
            let _ = s.write_all(format!("{open}\r\n").as_bytes());
            let chunk = b"# endless comment\n".repeat(1_000);
            while !gone() && s.write_all(&chunk).is_ok() {}
        }
        "drip" => {
            let _ = s.write_all(format!("{open}\r\n").as_bytes());
            while !gone() && s.write_all(b"#").is_ok() {
                std::thread::sleep(Duration::from_secs(1));
            }
        }
        "silent" => {
            while !gone() {
                std::thread::sleep(Duration::from_millis(100));
            }
        }
        "headers" => send(
            &format!("X-Filler: {}\r\n", "x".repeat(100 << 10)),
            b"m 1\n",
        ),
        "labels" => {
            let labels: String = (0..10_000).map(|i| format!("l{i}=\"x\",")).collect();
            send("", format!("m{{{labels}}} 1\n").as_bytes());
        }
        "names" => send("", format!("{} 1\n", "m".repeat(1 << 20)).as_bytes()),
        "million" => send("", lines(1_000_000).as_bytes()),
        "forged" => {
            let mut body = lines(20);
            body.push_str("up 0\nup{job=\"healthy\"} 0\nALERTS{alertname=\"x\"} 1\nscrape_samples_scraped 7\nm{job=\"healthy\",instance=\"x\"} 99\n");
            send("", body.as_bytes());
        }
        "times" => {
            let mut body = lines(40);
            body.push_str("m{t=\"max\"} 1 9223372036854775807\nm{t=\"zero\"} 1 0\nm{t=\"big\"} 1 99999999999999999999\nm{t=\"back\"} 1 2000\nm{t=\"back\"} 1 1000\n");
            send("", body.as_bytes());
        }
        "twice" => send("", b"m 1\nm 2\n"),
        "bom" => send("", b"\xef\xbb\xbfm 1\n"),
        "wide" => {
            let utf16: Vec<u8> = "m 1\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
            send("", &utf16);
        }
        "crlf" => send("", b"m 1\r\nm{a=\"b\"} 2\r\n"),
        "open" => send("", b"m 1"),
        "html" => send("", b"<html><body>Not metrics</body></html>"),
        _ => send("", b""),
    }
}

fn rss_mib(daemon: &Daemon) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
    let kib: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib / 1024.0
}

#[test]
fn hostile_targets_are_refused_in_little_memory_while_others_stay_on_time() {
    let server = Hostile::start();
    let job = |name: &str, n: usize, settings: &str| -> String {
        (0..n)
            .map(|i| {
                format!(
                    "\n[[scrape_configs]]\njob_name = '{name}{i}'\nmetrics_path = '/{name}{i}'\n\
                     {settings}\nstatic_configs = [{{ targets = ['{}'] }}]\n",
                    server.address
                )
            })
            .collect()
    };
    let healthy = job("healthy", 10, "");
    let home = Home::new();
    let calm = home.start(&[QUIET, &healthy].concat());
    calm.ready();
    std::thread::sleep(Duration::from_secs(3));
    let baseline = rss_mib(&calm);
    drop(calm);

    // Reason of the failure; empty for those that are read all the same.
    let kinds = [
        ("bomb", 3, "body_size"),
        ("endless", 20, "body_size"),
        ("drip", 50, "timeout"),
        ("silent", 3, "timeout"),
        ("headers", 1, "headers"),
        ("labels", 1, "bad_lines"),
        ("names", 1, "bad_lines"),
        ("million", 1, "sample_limit"),
        ("forged", 1, ""),
        ("times", 1, ""),
        ("twice", 1, ""),
        ("bom", 1, "bad_lines"),
        ("wide", 1, "bad_lines"),
        ("crlf", 1, "bad_lines"),
        ("open", 1, ""),
        ("html", 1, "html"),
    ];
    // A debug build reads some 10 MB a second: limits that bite within the time there is.
    let heavy = "body_size_limit = '2MiB'\nscrape_interval = '5s'\nscrape_timeout = '5s'";
    let many = "sample_limit = 5000\nscrape_interval = '5s'\nscrape_timeout = '5s'";
    let mut config = [QUIET, &healthy].concat();
    for (kind, n, _) in kinds {
        config.push_str(&job(
            kind,
            n,
            match kind {
                "bomb" | "endless" => heavy,
                "million" => many,
                _ => "",
            },
        ));
    }
    let daemon = home.start(&config);
    let mut peak: f64 = 0.0;
    let all = wait_for("every target's verdict", Duration::from_secs(120), || {
        peak = peak.max(rss_mib(&daemon));
        let metrics = daemon.get("/metrics").1;
        kinds
            .iter()
            .filter(|(_, _, reason)| !reason.is_empty())
            .all(|(_, _, reason)| {
                metrics.contains(&format!(
                    "loadline_scrape_failures_total{{reason=\"{reason}\"}}"
                ))
            })
            .then_some(metrics)
    });
    let body = daemon.json("/api/v1/targets");
    for (kind, _, reason) in kinds {
        let name = format!("{kind}0");
        let targets = body["data"]["activeTargets"].as_array().unwrap();
        let target = targets
            .iter()
            .find(|t| t["labels"]["job"] == name.as_str())
            .unwrap();
        let want = if reason.is_empty() { "up" } else { "down" };
        if target["health"] != "unknown" {
            assert_eq!(target["health"], want, "{kind}: {}", target["lastError"]);
        }
    }
    assert!(
        all.contains("loadline_scrape_samples_dropped_total{reason=\"reserved\"}"),
        "{all}"
    );
    for i in 0..10 {
        assert_eq!(
            value(&daemon, &format!("up{{job=\"healthy{i}\"}}")),
            Some(1.0)
        );
    }
    // What the forger said of another job stands under its own name.
    assert_eq!(value(&daemon, "max(m{job=\"healthy\"})"), None);
    assert_eq!(value(&daemon, "m{exported_job=\"healthy\"}"), Some(99.0));
    assert_eq!(value(&daemon, "up{job=\"forged0\"}"), Some(1.0));

    // Unoptimised, the parser itself takes a good part of two cores.
    let bound = if cfg!(debug_assertions) { 0.6 } else { 0.25 };
    // A busy machine may delay everybody once or twice; the targets must not do so each time.
    let mut best = f64::MAX;
    for _ in 0..3 {
        server.asked.lock().unwrap().clear();
        for _ in 0..60 {
            std::thread::sleep(Duration::from_millis(100));
            peak = peak.max(rss_mib(&daemon));
        }
        best = best.min(jitter_p99(&server.asked.lock().unwrap()));
        if best <= bound {
            break;
        }
    }
    assert!(best <= bound, "start jitter p99 {best} s");
    assert!(
        peak <= baseline + 48.0,
        "{peak} MiB, {baseline} MiB with healthy targets only"
    );
    println!(
        "RSS {baseline:.1} -> {peak:.1} MiB, jitter p99 {:.0} ms",
        best * 1000.0
    );
}

/// How far the starts of one path are from whole intervals of 1 s after each other, in seconds.
fn jitter_p99(asked: &[(String, f64)]) -> f64 {
    let mut off: Vec<f64> = Vec::new();
    for i in 0..10 {
        let path = format!("/healthy{i}");
        let times: Vec<f64> = asked
            .iter()
            .filter(|(p, _)| *p == path)
            .map(|(_, t)| *t)
            .collect();
        assert!(
            times.len() >= 3,
            "{path} was asked {} times in 6 s",
            times.len()
        );
        let phases: Vec<f64> = times
            .iter()
            .map(|t| (t - times[0] + 0.5).rem_euclid(1.0) - 0.5)
            .collect();
        let mut sorted = phases.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted[sorted.len() / 2];
        off.extend(phases.iter().map(|p| (p - middle).abs()));
    }
    off.sort_by(f64::total_cmp);
    off[(off.len() * 99 / 100).min(off.len() - 1)]
}
