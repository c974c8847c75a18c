//! `loadline check metrics FILE|URL|-`

use std::io::Read;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use futures_util::StreamExt;

use super::{Exit, complain, print};
use crate::sources::scrape::Format;
use crate::sources::scrape::survey::{OnLine, Survey, guess, survey};

/// The largest body that is read, inflated.
const LARGEST_BODY: u64 = 64 << 20;

/// Checks expositions; the exit code is promtool's: 1 when one cannot be read, 3 on findings.
pub(crate) fn metrics(places: &[String]) -> anyhow::Result<Exit> {
    let mut exit = Exit::Ok;
    for place in places {
        let (body, format) = read(place)?;
        let format = format.unwrap_or_else(|| guess(&body));
        let found = survey(&body, format);
        if places.len() > 1 {
            print(&format!("Checking {place}\n"));
        }
        let one = tell(&found, format);
        exit = match (exit, one) {
            (Exit::Failure, _) | (_, Exit::Failure) => Exit::Failure,
            (Exit::Ok, other) | (other, _) => other,
        };
    }
    Ok(exit)
}

fn tell(found: &Survey, format: Format) -> Exit {
    for (reason, (n, first)) in &found.bad {
        complain(&format!(
            "bad lines, for their {reason}: {n}\n{}",
            lines(*n, first)
        ));
    }
    for (metric, text) in &found.lints {
        print(&format!("{metric} {text}\n"));
    }
    for (what, (n, first)) in &found.ours {
        print(&format!("{}: {n}\n{}", in_words(what), lines(*n, first)));
    }
    for (misreading, (n, first)) in &found.misread {
        let word = misreading.word();
        print(&format!(
            "valid lines that the common parser prometheus-parse loses or garbles ({word}): {n}\n{}",
            lines(*n, first)
        ));
    }
    let name = match format {
        Format::Text => "Prometheus text",
        Format::OpenMetrics => "OpenMetrics",
    };
    complain(&format!(
        "{name}: {} samples, {} series\n",
        found.samples, found.series
    ));
    if found.refused() {
        Exit::Failure
    } else if found.has_findings() {
        Exit::Findings
    } else {
        Exit::Ok
    }
}

/// What loadline adds to promtool's findings, in a sentence.
fn in_words(what: &str) -> &'static str {
    match what {
        "duplicate_series" => "series that are there before; only the first counts",
        "second_metadata" => "second TYPE or HELP line of a metric",
        "type_after_samples" => "TYPE line after the metric's samples",
        "not_together" => "metrics whose lines do not stand together",
        "reserved_name" => "names that only the monitor may write; they are dropped",
        "own_timestamp" => "samples with a timestamp: such series do not end when they vanish",
        "histogram_without_inf" => "histograms without a +Inf bucket",
        _ => "other findings",
    }
}

fn lines(n: usize, first: &[OnLine]) -> String {
    let mut out = String::new();
    for OnLine { line, what } in first {
        match line {
            0 => out.push_str(&format!("  {what}\n")),
            _ => out.push_str(&format!("  line {line}: {what}\n")),
        }
    }
    if n > first.len() {
        out.push_str(&format!("  and {} more\n", n - first.len()));
    }
    out
}

/// A body, and its format where the answer names one.
fn read(place: &str) -> anyhow::Result<(Vec<u8>, Option<Format>)> {
    if place.starts_with("http://") || place.starts_with("https://") {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start the async runtime")?;
        return runtime.block_on(fetch(place));
    }
    let body = if place == "-" {
        bounded(std::io::stdin().lock()).context("cannot read standard input")?
    } else {
        let file = std::fs::File::open(place).with_context(|| format!("cannot open {place}"))?;
        bounded(file).with_context(|| format!("cannot read {place}"))?
    };
    if body.starts_with(&[0x1f, 0x8b]) {
        let inflated = bounded(flate2::read::MultiGzDecoder::new(&body[..]))
            .with_context(|| format!("cannot inflate {place}"))?;
        return Ok((inflated, None));
    }
    Ok((body, None))
}

async fn fetch(url: &str) -> anyhow::Result<(Vec<u8>, Option<Format>)> {
    let client = reqwest::Client::builder()
        .timeout(Duration::from_secs(30))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .context("cannot build the HTTP client")?;
    let request = client
        .get(url)
        .header("accept", "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2")
        .header("accept-encoding", "gzip");
    let response = request
        .send()
        .await
        .with_context(|| format!("cannot fetch {url}"))?;
    ensure!(
        response.status().is_success(),
        "{url} answers {}",
        response.status()
    );
    let header = |name: &str| {
        let value = response.headers().get(name).and_then(|v| v.to_str().ok());
        value.unwrap_or_default().to_ascii_lowercase()
    };
    let format = header("content-type")
        .starts_with("application/openmetrics-text")
        .then_some(Format::OpenMetrics);
    let gzip = header("content-encoding").contains("gzip");
    let mut body = Vec::new();
    let mut chunks = response.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        body.extend_from_slice(&chunk.with_context(|| format!("cannot read {url}"))?);
        if body.len() as u64 > LARGEST_BODY {
            bail!("{url} is larger than 64 MiB");
        }
    }
    if gzip {
        body = bounded(flate2::read::MultiGzDecoder::new(&body[..]))
            .with_context(|| format!("cannot inflate {url}"))?;
    }
    Ok((body, format))
}

fn bounded(from: impl Read) -> anyhow::Result<Vec<u8>> {
    let mut body = Vec::new();
    from.take(LARGEST_BODY + 1).read_to_end(&mut body)?;
    ensure!(
        body.len() as u64 <= LARGEST_BODY,
        "it is larger than 64 MiB"
    );
    Ok(body)
}
