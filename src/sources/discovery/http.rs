//! Targets from an HTTP endpoint.

use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Response, StatusCode, Url};

use super::{MOST_BYTES, Refresh, groups};
use crate::config::{HttpSd, Secret};
use crate::sources::scrape::{Client, Dialer, Failure, Place};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// One endpoint and what it said last.
#[derive(Debug)]
pub(super) struct Endpoint {
    url: Secret,
    interval: Duration,
    dialer: Dialer,
    /// `None` before the first good answer.
    places: Option<Vec<Place>>,
}

impl Endpoint {
    pub(super) fn new(config: &HttpSd) -> Self {
        Self {
            url: config.url.clone(),
            interval: config.refresh_interval.0,
            dialer: Dialer::new(config.http()),
            places: None,
        }
    }

    /// Asks once; without a good answer the last one stays.
    pub(super) async fn refresh(&mut self, client: &Client) -> Refresh {
        let deadline = PATIENCE.min(self.interval);
        let asked = tokio::time::timeout(deadline, self.ask(client)).await;
        let (shown, places) = match asked {
            Ok((shown, Ok(places))) => (shown, Ok(places)),
            Ok((shown, Err(e))) => (shown, Err(e)),
            Err(_) => (String::new(), Err(Failure::Timeout(deadline).to_string())),
        };
        match places {
            Err(e) => Refresh {
                changed: None,
                problems: vec![format!(
                    "http_sd_configs {shown}: {e}; the last targets stay"
                )],
            },
            Ok(places) if self.places.as_ref() == Some(&places) => Refresh::default(),
            Ok(places) => {
                self.places = Some(places.clone());
                Refresh {
                    changed: Some(places),
                    problems: Vec::new(),
                }
            }
        }
    }

    /// The host as people may see it, and what it said.
    async fn ask(&self, client: &Client) -> (String, Result<Vec<Place>, String>) {
        let Ok(url) = Url::parse(self.url.expose()) else {
            return (String::new(), Err("the url is no URL".to_owned()));
        };
        // Path and query may hold a token.
        let shown = url.origin().ascii_serialization();
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let seconds = HeaderValue::from_str(&self.interval.as_secs_f64().to_string());
        if let Ok(seconds) = seconds {
            let name = HeaderName::from_static("x-prometheus-refresh-interval-seconds");
            headers.insert(name, seconds);
        }
        let answer = match client.get(&self.dialer, &url, &headers).await {
            Ok(response) => read(response).await,
            Err(failure) => Err(failure.to_string()),
        };
        let places = answer
            .and_then(|text| groups::json(&text))
            .map(|mut places| {
                groups::label(&mut places, "__meta_url", &shown);
                places
            });
        (shown, places)
    }
}

async fn read(mut response: Response) -> Result<String, String> {
    if response.status() != StatusCode::OK {
        return Err(Failure::Status(response.status().as_u16()).to_string());
    }
    let kind = response
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
        .unwrap_or_default()
        .to_ascii_lowercase();
    if kind.split(';').next().map(str::trim) != Some("application/json") {
        let kind: String = kind.chars().take(80).collect();
        return Err(format!(
            "the content type is {kind:?}; accepted: application/json"
        ));
    }
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(None) => break,
            Ok(Some(chunk)) if (body.len() + chunk.len()) as u64 > MOST_BYTES => {
                return Err(format!("the answer is larger than {MOST_BYTES} bytes"));
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Err(e) => return Err(Failure::HalfBody(e.without_url().to_string()).to_string()),
        }
    }
    String::from_utf8(body).map_err(|_| "the answer is not UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::sources::scrape::fake::Exporter;

    #[tokio::test]
    async fn a_bad_answer_keeps_the_last_good_one() {
        let answer = Arc::new(Mutex::new(("200 OK", "application/json", String::new())));
        let server = Exporter::does({
            let answer = Arc::clone(&answer);
            move |s, _| {
                let (status, kind, body) = answer.lock().unwrap().clone();
                let _ = write!(
                    s,
                    "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                );
            }
        });
        let config: HttpSd = toml::from_str(&format!(
            "url = 'http://{}/targets?token=hidden'\nrefresh_interval = '90s'\n\
             authorization = {{ credentials = 'planted' }}",
            server.address()
        ))
        .unwrap();
        let mut endpoint = Endpoint::new(&config);
        let client = Client::new(0).unwrap();
        let list =
            |targets: &str| format!(r#"[{{"targets": [{targets}], "labels": {{"dc": "1"}}}}]"#);
        for (status, kind, body, want) in [
            ("500 No", "application/json", list("'"), Err("500")),
            (
                "200 OK",
                "application/json; charset=utf-8",
                list(r#""a:1""#),
                Ok(Some(1)),
            ),
            ("200 OK", "application/json", list(r#""a:1""#), Ok(None)),
            ("200 OK", "text/html", "<html>".to_owned(), Err("text/html")),
            ("200 OK", "application/json", "[{".to_owned(), Err("EOF")),
            (
                "200 OK",
                "application/json",
                list(r#""a:1", "b:1""#),
                Ok(Some(2)),
            ),
            (
                "200 OK",
                "application/json",
                format!("[{}]", " ".repeat(17 << 20)),
                Err("larger"),
            ),
            ("200 OK", "application/json", "[]".to_owned(), Ok(Some(0))),
            ("200 OK", "application/json", "[]".to_owned(), Ok(None)),
        ] {
            *answer.lock().unwrap() = (status, kind, body);
            let refresh = endpoint.refresh(&client).await;
            let problems = refresh.problems.join("\n");
            match want {
                Ok(want) => {
                    assert_eq!(problems, "");
                    assert_eq!(refresh.changed.map(|p| p.len()), want);
                }
                Err(why) => {
                    assert_eq!(refresh.changed, None);
                    assert!(problems.contains(why), "{why}: {problems}");
                    assert!(problems.contains("stay"), "{problems}");
                    assert!(!problems.contains("hidden") && !problems.contains("planted"));
                }
            }
        }
        let head = &server.requests()[0];
        assert!(head.contains("authorization: bearer planted\r\n"), "{head}");
        assert!(
            head.contains("x-prometheus-refresh-interval-seconds: 90\r\n"),
            "{head}"
        );
    }
}
