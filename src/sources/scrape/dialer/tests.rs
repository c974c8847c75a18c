use std::io::{Read as _, Write as _};
use std::sync::Arc;

use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::*;
use crate::config::{Global, Limits, ScrapeConfig};
use crate::model::{Selection, Timestamp};
use crate::sources::scrape::fake::Exporter;
use crate::sources::scrape::{Client, Job, Target, TargetStatus};

fn target(address: &str, settings: &str) -> Target {
    let text = format!("job_name = 'j'\n{settings}\n[[static_configs]]\ntargets = ['{address}']\n");
    let config: ScrapeConfig = toml::from_str(&text).unwrap_or_else(|e| panic!("{e}\n{text}"));
    let job = Job::new(&config, &Global::default(), &Limits::default());
    job.targets(job.written()).targets.remove(0)
}

async fn scrape_again(target: &mut Target) -> TargetStatus {
    let clock = crate::clock::Clock::system();
    let client = Client::new(256 << 20).unwrap();
    target
        .scrape(&client, &Selection::all(1), Timestamp(1_000), &clock)
        .await;
    target.status()
}

/// Reason and words of the failure, empty when it went well.
async fn scrape(address: &str, settings: &str) -> (&'static str, String) {
    let status = scrape_again(&mut target(address, settings)).await;
    let words = status.error.unwrap_or_default();
    (status.error_reason.unwrap_or_default(), words)
}

#[test]
fn base64_is_the_standard_one() {
    for (text, want) in [
        ("", ""),
        ("f", "Zg=="),
        ("fo", "Zm8="),
        ("foo", "Zm9v"),
        ("user:pässword?>", "dXNlcjpww6Rzc3dvcmQ/Pg=="),
    ] {
        assert_eq!(base64(text.as_bytes()), want);
    }
}

#[tokio::test]
async fn headers_go_to_the_target_and_nowhere_else() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    std::fs::write(&file, "from-file\n").unwrap();
    let other = Exporter::sends("200 OK", "", "m 1\n");
    let away = format!("Location: http://{}/other\r\n", other.address());
    let home = Exporter::sends("302 Found", &away, "");
    let settings = format!(
        "follow_redirects = 'any'\n\
         basic_auth = {{ username = 'u', password = 'planted' }}\n\
         http_headers = {{ X-Scope = {{ values = ['a', 'b'], secrets = ['s'], files = ['{}'] }} }}",
        file.display()
    );
    assert_eq!(scrape(&home.address(), &settings).await.0, "");
    let [head] = home.requests().try_into().unwrap();
    for want in [
        "authorization: basic dtpwbgfudgvk",
        "x-scope: a\r\n",
        "x-scope: b\r\n",
        "x-scope: s\r\n",
        "x-scope: from-file\r\n",
    ] {
        assert!(head.contains(want), "{want} in {head}");
    }
    let [head] = other.requests().try_into().unwrap();
    assert!(head.starts_with("get /other "), "{head}");
    assert!(
        !head.contains("authorization") && !head.contains("x-scope"),
        "{head}"
    );

    // Coming home again they are sent again, and no hop carries what a Location holds.
    let back = format!("Location: http://evil:pw@{}/back\r\n", other.address());
    let home = Exporter::sends("302 Found", &back, "");
    assert_eq!(scrape(&home.address(), &settings).await.0, "");
    assert!(
        !other.requests()[1].contains("authorization"),
        "{:?}",
        other.requests()
    );

    assert_eq!(
        scrape(&home.address(), "follow_redirects = false").await.0,
        "redirect"
    );
    assert_eq!(scrape(&home.address(), "").await.0, "redirect");
}

#[tokio::test]
async fn link_local_addresses_are_refused_wherever_they_come_from() {
    for address in [
        "169.254.169.254",
        "[fe80::1]:80",
        "[::ffff:169.254.169.254]:80",
        "[fd00:ec2::254]:80",
    ] {
        let (reason, words) = scrape(address, "").await;
        assert_eq!(reason, "link_local", "{address}");
        assert!(words.contains("allow_link_local"), "{words}");
    }
    let hop = Exporter::sends(
        "302 Found",
        "Location: http://169.254.169.254/latest\r\n",
        "",
    );
    assert_eq!(
        scrape(&hop.address(), "follow_redirects = 'any'").await.0,
        "link_local"
    );
    // A proxy would reach it for us.
    let proxy = Exporter::sends("200 OK", "", "secret 1\n");
    let through = format!("proxy_url = 'http://{}'", proxy.address());
    for address in [
        "169.254.169.254:80",
        "metadata.google.internal:80",
        "METADATA:80",
    ] {
        assert_eq!(scrape(address, &through).await.0, "link_local", "{address}");
    }
    assert!(proxy.requests().is_empty());
    let allowed = format!("{through}\nallow_link_local = true");
    assert_eq!(scrape("169.254.169.254:80", &allowed).await.0, "");
    assert!(proxy.requests()[0].starts_with("get http://169.254.169.254/metrics "));
}

#[tokio::test]
async fn a_proxy_is_used_but_for_what_is_left_out() {
    let proxy = Exporter::sends("200 OK", "", "via_proxy 1\n");
    let direct = Exporter::sends("200 OK", "", "direct 1\n");
    let url = format!("proxy_url = 'http://user:pw@{}'", proxy.address());
    assert_eq!(scrape(&direct.address(), &url).await.0, "");
    assert!(proxy.requests()[0].contains("proxy-authorization: basic "));
    assert!(direct.requests().is_empty());
    let without = format!("{url}\nno_proxy = '127.0.0.0/8,example.org'");
    assert_eq!(scrape(&direct.address(), &without).await.0, "");
    assert_eq!((proxy.requests().len(), direct.requests().len()), (1, 1));
}

#[tokio::test]
async fn huge_headers_are_refused() {
    for (lines, bytes, want) in [
        (1, 1_000, ""),
        (1, 100 << 10, "headers"),
        (90, 1_000, "headers"),
        // What the HTTP parser itself takes is bounded, too.
        (2_000, 10, "http"),
        (1, 1 << 20, "http"),
    ] {
        let line = format!("X-Filler: {}\r\n", "x".repeat(bytes));
        let exporter = Exporter::sends("200 OK", &line.repeat(lines), "m 1\n");
        let (reason, words) = scrape(&exporter.address(), "").await;
        assert_eq!(reason, want, "{lines} x {bytes}: {words}");
    }
}

/// A TLS server on loopback that shows `cert`; with `clients`, a client must show one of those.
fn tls(
    cert: &CertificateDer<'static>,
    key: &KeyPair,
    clients: Option<&CertificateDer<'static>>,
) -> Exporter {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(ca) => {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(ca.clone()).unwrap();
            let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(
                Arc::new(roots),
                provider,
            );
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = Arc::new(builder.with_single_cert(vec![cert.clone()], key).unwrap());
    Exporter::raw(move |stream| {
        let mut session = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
        let mut tls = rustls::Stream::new(&mut session, stream);
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            match tls.read(&mut byte) {
                Ok(1) => head.push(byte[0]),
                _ => return String::new(),
            }
        }
        let _ = tls
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nm 1\n");
        tls.conn.send_close_notify();
        let _ = tls.flush();
        String::from_utf8_lossy(&head).to_lowercase()
    })
}

fn ca(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn leaf(
    ca: &CertifiedIssuer<'static, KeyPair>,
    name: &str,
    expired: bool,
) -> (CertificateDer<'static>, KeyPair, String) {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    if expired {
        params.not_before = date_time_ymd(2019, 1, 1);
        params.not_after = date_time_ymd(2020, 1, 1);
    }
    let key = KeyPair::generate().unwrap();
    let cert = params.signed_by(&key, ca).unwrap();
    let pem = cert.pem();
    (cert.der().clone(), key, pem)
}

#[tokio::test]
async fn certificates_are_checked_and_the_reason_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let (ours, theirs) = (ca("ours"), ca("theirs"));
    let ca_file = dir.path().join("ca.pem");
    std::fs::write(&ca_file, ours.pem()).unwrap();
    let trust = format!(
        "scheme = 'https'\ntls_config = {{ ca_file = '{}' }}",
        ca_file.display()
    );

    let (good, key, _) = leaf(&ours, "127.0.0.1", false);
    let server = tls(&good, &key, None);
    assert_eq!(scrape(&server.address(), &trust).await, ("", String::new()));
    // The system trusts none of it.
    let (reason, words) = scrape(&server.address(), "scheme = 'https'").await;
    assert_eq!(reason, "tls", "{words}");
    let any = "scheme = 'https'\ntls_config = { insecure_skip_verify = true }";
    assert_eq!(scrape(&server.address(), any).await.0, "");

    for (cert, why) in [
        (leaf(&ours, "127.0.0.1", true), "expired"),
        (leaf(&theirs, "127.0.0.1", false), "issuer"),
        (
            leaf(&ours, "elsewhere.example", false),
            "not valid for name",
        ),
    ] {
        let server = tls(&cert.0, &cert.1, None);
        let (reason, words) = scrape(&server.address(), &trust).await;
        assert_eq!(reason, "tls", "{words}");
        assert!(words.to_lowercase().contains(why), "{why}: {words}");
    }

    // The name in the certificate may be told; it is shown to the server and checked.
    let (named, key, _) = leaf(&ours, "elsewhere.example", false);
    let server = tls(&named, &key, None);
    let by_name = trust.replace(" }", ", server_name = 'elsewhere.example' }");
    assert_eq!(
        scrape(&server.address(), &by_name).await,
        ("", String::new())
    );
    let host = format!("host: {}\r\n", server.address());
    assert!(server.requests().last().unwrap().contains(&host));
}

#[tokio::test]
async fn replaced_certificates_are_used_at_the_next_scrape() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (ca("first"), ca("second"));
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (cert, key, _) = leaf(&first, "127.0.0.1", false);
    let server = tls(&cert, &key, Some(second.der()));
    let (_, ours, pem) = leaf(&second, "client", false);
    let settings = format!(
        "scheme = 'https'\ntls_config = {{ ca_file = '{}', cert_file = '{}', key_file = '{}' }}",
        file("ca.pem", &second.pem()),
        file("cert.pem", &pem),
        file("key.pem", &ours.serialize_pem()),
    );
    let mut target = target(&server.address(), &settings);
    assert_eq!(scrape_again(&mut target).await.error_reason, Some("tls"));
    file("ca.pem", &first.pem());
    assert_eq!(scrape_again(&mut target).await.error, None);
    // A certificate that the server does not know is refused.
    let (_, other, pem) = leaf(&first, "client", false);
    file("cert.pem", &pem);
    file("key.pem", &other.serialize_pem());
    assert!(scrape_again(&mut target).await.error.is_some());
    file("ca.pem", "junk");
    let status = scrape_again(&mut target).await;
    assert_eq!(status.error_reason, Some("settings"));
    assert!(status.error.unwrap().contains("tls_config.ca"));
}

#[tokio::test]
async fn a_handshake_that_stalls_ends_at_the_deadline() {
    let silent = Exporter::raw(|stream| {
        let _ = stream.read(&mut [0; 1 << 14]);
        std::thread::sleep(std::time::Duration::from_secs(2));
        String::new()
    });
    let settings = "scheme = 'https'\nscrape_timeout = '400ms'";
    assert_eq!(scrape(&silent.address(), settings).await.0, "timeout");
}
