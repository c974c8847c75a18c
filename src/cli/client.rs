//! Asks a running daemon.

use std::time::Duration;

use anyhow::{Context, bail};
use futures_util::StreamExt;

use crate::api::Snapshot;

/// The largest answer that is read.
const LARGEST_ANSWER: usize = 64 << 20;

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Asked {
    /// The daemon's snapshot.
    Answer(Box<Snapshot>),
    /// Nobody listens there.
    Nobody,
}

/// Fetches the daemon's snapshot.
pub(crate) fn snapshot(url: &str) -> anyhow::Result<Asked> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the async runtime")?;
    runtime.block_on(fetch(url))
}

async fn fetch(url: &str) -> anyhow::Result<Asked> {
    let url = format!("{}/api/v1/loadline/status", url.trim_end_matches('/'));
    let client = reqwest::Client::builder()
        .timeout(Duration::from_secs(5))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .context("cannot build the HTTP client")?;
    let response = match client.get(&url).send().await {
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
        bail!("{url} answered {status}: is it loadline?");
    }
    #[derive(serde::Deserialize)]
    struct Envelope {
        data: Snapshot,
    }
    let envelope: Envelope = serde_json::from_slice(&body)
        .with_context(|| format!("{url} did not answer as this version of loadline does"))?;
    Ok(Asked::Answer(Box::new(envelope.data)))
}
