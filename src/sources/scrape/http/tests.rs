use super::*;
use crate::config::{Global, Limits, ScrapeConfig};
use crate::model::{Batch, Selection, Timestamp};
use crate::sources::scrape::dialer::{GuardedResolver, LinkLocal, before_response, is_link_local};
use crate::sources::scrape::fake::{Exporter, closed_address};
use crate::sources::scrape::{Job, TargetStatus};
use reqwest::dns::{Name, Resolve, Resolving};

/// Scrapes once with these settings; milliseconds taken, status and batch.
async fn scrape(address: &str, settings: &str) -> (u128, TargetStatus, Batch) {
    let text = format!("job_name = 'j'\n{settings}\n[[static_configs]]\ntargets = ['{address}']\n");
    let config: ScrapeConfig = toml::from_str(&text).unwrap();
    let job = Job::new(&config, &Global::default(), &Limits::default());
    let mut targets = job.targets(job.written()).targets;
    let clock = crate::clock::Clock::system();
    let stopwatch = clock.stopwatch();
    let client = Client::new(256 << 20).unwrap();
    let batch = targets[0]
        .scrape(&client, &Selection::all(1), Timestamp(1_000), &clock)
        .await;
    (stopwatch.elapsed().as_millis(), targets[0].status(), batch)
}

async fn reason(exporter: &Exporter, settings: &str) -> &'static str {
    let (_, status, batch) = scrape(&exporter.address(), settings).await;
    assert_eq!(batch.ok, status.error_reason.is_none());
    status.error_reason.unwrap_or("")
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
    out.write_all(body).unwrap();
    out.finish().unwrap()
}

#[tokio::test]
async fn each_failure_has_its_name() {
    let squeezed = gzip(b"m 1\n");
    let broken = [&squeezed[..squeezed.len() - 4], b"junk"].concat();
    for (status, headers, body, want) in [
        ("200 OK", "", b"m 1\n".to_vec(), ""),
        (
            "200 OK",
            "Content-Type: text/plain; version=0.0.4\r\n",
            b"m 1".to_vec(),
            "",
        ),
        ("200 OK", "Content-Encoding: gzip\r\n", squeezed.clone(), ""),
        (
            "200 OK",
            "Content-Encoding: gzip\r\n",
            [squeezed.clone(), squeezed.clone()].concat(),
            "",
        ),
        ("200 OK", "Content-Encoding: gzip\r\n", broken, "gzip"),
        (
            "200 OK",
            "Content-Encoding: gzip\r\n",
            squeezed[..9].to_vec(),
            "gzip",
        ),
        (
            "200 OK",
            "Content-Encoding: gzip\r\n",
            b"m 1\n".to_vec(),
            "gzip",
        ),
        (
            "200 OK",
            "Content-Encoding: br\r\n",
            b"m 1\n".to_vec(),
            "encoding",
        ),
        (
            "200 OK",
            "Content-Type: text/html\r\n",
            b"m 1\n".to_vec(),
            "html",
        ),
        ("200 OK", "", b"<!doctype html><p>Welcome".to_vec(), "html"),
        (
            "200 OK",
            "Content-Type: application/json\r\n",
            b"{}".to_vec(),
            "content_type",
        ),
        (
            "200 OK",
            "Content-Type: application/openmetrics-text; version=1.0.0\r\n",
            b"m 1\n".to_vec(),
            "no_eof",
        ),
        (
            "200 OK",
            "Content-Type: application/openmetrics-text; version=1.0.0\r\n",
            b"m 1 1.5\n# EOF\n".to_vec(),
            "",
        ),
        ("503 Service Unavailable", "", b"m 1\n".to_vec(), "status"),
        ("404 Not Found", "", b"".to_vec(), "status"),
        ("204 No Content", "", b"".to_vec(), "status"),
        ("302 Found", "", b"".to_vec(), "redirect"),
        ("200 OK", "", b"m x\n".to_vec(), "bad_lines"),
    ] {
        let exporter = Exporter::sends(status, headers, body.clone());
        let got = reason(&exporter, "").await;
        assert_eq!(
            got,
            want,
            "{status} {headers}{}",
            String::from_utf8_lossy(&body)
        );
    }
    let half = Exporter::writes(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nm 1\n".to_vec());
    assert_eq!(reason(&half, "").await, "half_body");
    let chunk = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nm 1\n\r\n".to_vec();
    assert_eq!(reason(&Exporter::writes(chunk), "").await, "half_body");
    let noise = Exporter::writes(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec());
    assert_eq!(reason(&noise, "").await, "http");
    let (_, status, _) = scrape(&closed_address(), "").await;
    assert_eq!(status.error_reason, Some("refused"));
    let (_, status, _) = scrape("no-such-host.invalid:9100", "").await;
    assert_eq!(status.error_reason, Some("dns"));
    let plain = Exporter::sends("200 OK", "", b"m 1\n".to_vec());
    assert_eq!(reason(&plain, "scheme = 'https'").await, "tls");
}

#[tokio::test]
async fn the_request_is_prometheus_s() {
    let exporter = Exporter::sends("200 OK", "", b"m 1\n".to_vec());
    scrape(
        &exporter.address(),
        "scrape_timeout = '2500ms'\nparams = { module = ['a b'] }",
    )
    .await;
    let [head] = exporter.requests().try_into().unwrap();
    for want in [
        "get /metrics?module=a+b http/1.1",
        "accept: application/openmetrics-text;version=1.0.0;",
        "accept-encoding: gzip\r\n",
        "x-prometheus-scrape-timeout-seconds: 2.5\r\n",
        concat!("user-agent: loadline/", env!("CARGO_PKG_VERSION"), "\r\n"),
    ] {
        assert!(head.contains(want), "{want} in {head}");
    }
    assert!(!head.contains("authorization"), "{head}");
}

#[tokio::test]
async fn one_deadline_covers_everything() {
    let pause = || std::thread::sleep(Duration::from_millis(50));
    let silent = Exporter::does(move |_, _| std::thread::sleep(Duration::from_secs(3)));
    let dribbled_head = Exporter::does(move |s, _| {
        for byte in b"HTTP/1.1 200 OK\r\nX-Filler: 1234567890123456789012345678901234567890" {
            if s.write_all(&[*byte]).is_err() {
                return;
            }
            pause();
        }
    });
    let dribbled_body = Exporter::does(move |s, _| {
        let _ = s.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
        while s.write_all(b"#").is_ok() {
            pause();
        }
    });
    let endless_hops = Exporter::does(|s, _| {
        std::thread::sleep(Duration::from_millis(200));
        let _ = s.write_all(b"HTTP/1.1 302 Found\r\nLocation: /metrics\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    });
    for exporter in [&silent, &dribbled_head, &dribbled_body, &endless_hops] {
        let (took, status, batch) = scrape(&exporter.address(), "scrape_timeout = '600ms'").await;
        assert_eq!(status.error_reason, Some("timeout"));
        assert_eq!(
            status.error.as_deref(),
            Some("no complete answer within 600ms")
        );
        assert!((550..2_500).contains(&took), "{took} ms");
        assert!(!batch.ok);
    }
    // The interval bounds the timeout.
    let (took, ..) = scrape(&silent.address(), "scrape_interval = '300ms'").await;
    assert!((250..2_500).contains(&took), "{took} ms");
}

#[tokio::test]
async fn bodies_are_bounded_inflated() {
    // 100 MB of comments, and of samples, inflate from 200 kB.
    for line in ["# nothing here\n", "m{a=\"b\"} 1\n"] {
        let member = gzip(line.repeat(1_000_000 / line.len()).as_bytes());
        let bomb = member.repeat(100);
        assert!(bomb.len() < 1_000_000, "{} bytes", bomb.len());
        let exporter = Exporter::sends("200 OK", "Content-Encoding: gzip\r\n", bomb);
        let (_, status, batch) = scrape(&exporter.address(), "body_size_limit = '8MiB'").await;
        assert_eq!(status.error_reason, Some("body_size"));
        assert!(!batch.ok);
        // Cut while inflating, not afterwards.
        assert!(status.samples * 11 < 9 << 20, "{}", status.samples);
    }
    let body = b"m 1\nn 2\n".to_vec();
    for (limit, want) in [(9, ""), (8, "body_size"), (7, "body_size")] {
        let settings = format!("body_size_limit = {limit}");
        let plain = Exporter::sends("200 OK", "", body.clone());
        assert_eq!(reason(&plain, &settings).await, want, "plain, {limit}");
    }
    let endless = Exporter::does(|s, _| {
        let _ = s.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
        while s.write_all(&[b'x'; 1 << 16]).is_ok() {}
    });
    assert_eq!(
        reason(&endless, "body_size_limit = '4MiB'").await,
        "body_size"
    );
}

#[tokio::test]
async fn redirects_stay_at_home_and_credentials_with_them() {
    let other = Exporter::sends("200 OK", "", b"m 1\n".to_vec());
    let away = format!("Location: http://{}/metrics\r\n", other.address());
    let exporter = Exporter::sends("302 Found", &away, "");
    let auth = "basic_auth = { username = 'u', password = 'planted-secret' }";
    let (_, status, _) = scrape(&exporter.address(), auth).await;
    assert_eq!(status.error_reason, Some("redirect"));
    assert!(exporter.requests()[0].contains("authorization: basic "));
    assert_eq!(other.requests(), Vec::<String>::new());
    assert!(!format!("{status:?}").contains("planted"), "{status:?}");

    for location in [
        "https://127.0.0.1:{port}/",
        "http://localhost:{port}/",
        "file:///etc/passwd",
    ] {
        let port = exporter.address().rsplit_once(':').unwrap().1.to_owned();
        let to = format!("Location: {}\r\n", location.replace("{port}", &port));
        assert_eq!(
            reason(&Exporter::sends("301 Moved", &to, ""), "").await,
            "redirect",
            "{to}"
        );
    }

    let home = Exporter::does(|s, head| {
        let _ = if head.starts_with("get /metrics ") {
            s.write_all(b"HTTP/1.1 307 X\r\nLocation: /real?x=1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        } else {
            s.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nm 1\n")
        };
    });
    assert_eq!(reason(&home, auth).await, "");
    assert!(home.requests()[1].starts_with("get /real?x=1 "));
    assert!(home.requests()[1].contains("authorization: basic "));

    let round = Exporter::sends("302 Found", "Location: /metrics\r\n", "");
    assert_eq!(reason(&round, "").await, "redirect");
    assert_eq!(round.requests().len(), 11);
}

#[tokio::test]
async fn credentials_are_read_at_each_scrape_and_never_shown() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    let exporter = Exporter::sends("500 Oops", "", "");
    let settings = format!(
        "authorization = {{ credentials_file = '{}' }}",
        file.display()
    );
    let (_, status, _) = scrape(&exporter.address(), &settings).await;
    assert_eq!(status.error_reason, Some("secret"));
    assert!(
        exporter.requests().is_empty(),
        "nothing is sent without the token"
    );
    for token in ["first-token", "second-token"] {
        std::fs::write(&file, format!("{token}\n")).unwrap();
        let (_, status, _) = scrape(&exporter.address(), &settings).await;
        assert_eq!(status.error_reason, Some("status"));
        assert!(!format!("{status:?}").contains("token\""), "{status:?}");
        let sent = format!("authorization: bearer {token}\r\n");
        assert!(exporter.requests().last().unwrap().contains(&sent));
    }
    std::fs::write(&file, "bad\nsecret\u{7}").unwrap();
    let (_, status, _) = scrape(&exporter.address(), &settings).await;
    assert_eq!(status.error_reason, Some("secret"));
    assert!(!status.error.unwrap().contains("bad"));
}

#[test]
fn link_local_addresses_are_known() {
    for (ip, want) in [
        ("169.254.169.254", true),
        ("169.254.0.1", true),
        ("fe80::1", true),
        ("febf::1", true),
        ("::ffff:169.254.169.254", true),
        ("fd00:ec2::254", true),
        ("100.100.100.200", true),
        ("127.0.0.1", false),
        ("10.0.0.1", false),
        ("192.168.1.1", false),
        ("fec0::1", false),
        ("fd00::1", false),
        ("::1", false),
    ] {
        assert_eq!(is_link_local(ip.parse().unwrap()), want, "{ip}");
    }
}

#[tokio::test]
async fn names_of_link_local_addresses_are_refused_with_the_reason() {
    // What the resolver answers is what the connector sees, wrapped in its own errors.
    #[derive(Debug)]
    struct Metadata;
    impl Resolve for Metadata {
        fn resolve(&self, _: Name) -> Resolving {
            Box::pin(async { Err(LinkLocal([169, 254, 169, 254].into()).into()) })
        }
    }
    let client = reqwest::Client::builder()
        .no_proxy()
        .dns_resolver(Arc::new(Metadata))
        .build()
        .unwrap();
    let e = client
        .get("http://metadata.internal/")
        .send()
        .await
        .unwrap_err();
    assert_eq!(
        before_response(&e),
        Failure::LinkLocal("169.254.169.254".to_owned())
    );
    let local = GuardedResolver::default()
        .resolve("localhost".parse().unwrap())
        .await;
    assert!(local.unwrap().next().is_some());
}
