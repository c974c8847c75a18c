//! Asks a running daemon.

use std::time::Duration;

use anyhow::{Context, bail};
use futures_util::StreamExt;

use serde::de::DeserializeOwned;

use crate::api::{Explanation, Snapshot};

/// The largest answer that is read.
const LARGEST_ANSWER: usize = 64 << 20;

/// What came of asking.
#[derive(Debug)]
pub(crate) enum Asked<T> {
    /// The daemon's answer.
    Answer(Box<T>),
    /// Nobody listens there.
    Nobody,
}

/// Fetches the daemon's snapshot.
pub(crate) fn snapshot(url: &str) -> anyhow::Result<Asked<Snapshot>> {
    ask(url, "/api/v1/loadline/status", &[])
}

/// Fetches what the selectors of the rules called `rule` find.
pub(crate) fn explain(url: &str, rule: &str) -> anyhow::Result<Asked<Vec<Explanation>>> {
    ask(url, "/api/v1/loadline/explain", &[("rule", rule)])
}

fn ask<T: DeserializeOwned>(
    url: &str,
    path: &str,
    params: &[(&str, &str)],
) -> anyhow::Result<Asked<T>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the async runtime")?;
    runtime.block_on(fetch(url, path, params))
}

async fn fetch<T: DeserializeOwned>(
    url: &str,
    path: &str,
    params: &[(&str, &str)],
) -> anyhow::Result<Asked<T>> {
    let url = format!("{}{path}", url.trim_end_matches('/'));
    let url = reqwest::Url::parse_with_params(&url, params)
        .with_context(|| format!("{url} is no address"))?;
    let client = reqwest::Client::builder()
        .timeout(Duration::from_secs(5))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .context("cannot build the HTTP client")?;
    let response = match client.get(url.clone()).send().await {
        Ok(response) => response,
        Err(e) if e.is_connect() => return Ok(Asked::Nobody),
        Err(e) => return Err(e).with_context(|| format!("no answer from {url}")),
    };
    let status = response.status();
    let mut body = Vec::new();
    let mut stream = response.bytes_stream();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.with_context(|| format!("the answer from {url} broke off"))?;
        if body.len() + chunk.len() > LARGEST_ANSWER {
            bail!("the answer from {url} is over 64 MiB");
        }
        body.extend_from_slice(&chunk);
    }
    if !status.is_success() {
        #[derive(serde::Deserialize)]
        struct Refusal {
            error: String,
        }
        match serde_json::from_slice::<Refusal>(&body) {
            Ok(refusal) => bail!("{}", refusal.error),
            Err(_) => bail!("{url} answered {status}: is it loadline?"),
        }
    }
    let envelope: serde_json::Value = serde_json::from_slice(&body)
        .with_context(|| format!("{url} did not answer as loadline does"))?;
    let data = T::deserialize(&envelope["data"])
        .with_context(|| format!("{url} did not answer as this version of loadline does"))?;
    Ok(Asked::Answer(Box::new(data)))
}
