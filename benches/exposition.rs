//! How fast bodies are read and stored: the recorded expositions of `tests/exposition`, joined to
//! 10 MB.
//!
//! `cargo bench --bench exposition` prints one line per way of reading, best of many rounds, on
//! one core. "copies apart" gives each copy of a recorded body a label of its own, so that every
//! line is a series; without it most lines of the joined body are duplicates of the first copy's.

#![expect(clippy::print_stdout, reason = "a bench prints its numbers")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use loadline::model::labels::NAME;
use loadline::model::selection::Need;
use loadline::model::{Matcher, Selection, Timestamp};
use loadline::sources::scrape::{Format, Reader};
use loadline::store::Store;

const BYTES: usize = 10_000_000;
const CHUNK: usize = 64 << 10;
const INTERVAL: i64 = 15_000;

fn recorded() -> Vec<String> {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/exposition");
    let mut files: Vec<_> = std::fs::read_dir(dir)
        .into_iter()
        .flatten()
        .filter_map(|f| Some(f.ok()?.path()))
        .filter(|f| f.extension().is_some_and(|e| e == "prom"))
        .collect();
    files.sort();
    let texts = files.iter().map(std::fs::read_to_string);
    texts.filter_map(Result::ok).collect()
}

/// The recorded bodies over and over; `apart` adds a label that tells the copies apart.
fn joined(apart: bool) -> Vec<u8> {
    let recorded = recorded();
    let mut out = String::new();
    for copy in 0.. {
        for (file, text) in recorded.iter().enumerate() {
            for line in text.lines() {
                match (apart && !line.starts_with('#'), line.find('{')) {
                    (false, _) => out.push_str(line),
                    (true, Some(brace)) => {
                        let (name, labels) = line.split_at(brace + 1);
                        out.push_str(&format!("{name}f=\"{file}-{copy}\",{labels}"));
                    }
                    (true, None) => {
                        let (name, value) = line.split_once(' ').unwrap_or((line, ""));
                        out.push_str(&format!("{name}{{f=\"{file}-{copy}\"}} {value}"));
                    }
                }
                out.push('\n');
            }
            if out.len() >= BYTES {
                return out.into_bytes();
            }
        }
        if recorded.is_empty() {
            break;
        }
    }
    out.into_bytes()
}

/// Wants every `n`th metric name.
fn one_in(n: usize, body: &[u8]) -> Selection {
    let text = String::from_utf8_lossy(body);
    let names = text.lines().filter(|l| !l.starts_with('#'));
    let names: std::collections::BTreeSet<&str> = names
        .filter_map(|l| l.split(['{', ' ']).next())
        .filter(|n| !n.is_empty())
        .collect();
    let needs = names.into_iter().step_by(n).map(|name| Need {
        matchers: vec![Matcher::equal(NAME, name)],
        window: Duration::from_secs(300),
    });
    Selection::new(1, needs.collect())
}

/// Processor time of this thread so far, which other work on the machine does not stretch.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = stat.split(' ').next().and_then(|n| n.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}

/// Megabytes a second and nanoseconds a line, in processor time, of the best of many rounds.
fn time(what: &str, body: &[u8], rounds: usize, mut work: impl FnMut() -> u64) {
    let lines = body.iter().filter(|b| **b == b'\n').count();
    let mut best = Duration::MAX;
    let mut n = 0;
    for _ in 0..rounds {
        let before = processor_time();
        n = black_box(work());
        best = best.min(processor_time() - before);
    }
    let seconds = best.as_secs_f64();
    println!(
        "{what:<48} {:>8.0} MB/s {:>7.1} ns/line {n:>8} samples",
        body.len() as f64 / 1e6 / seconds,
        seconds * 1e9 / lines as f64,
    );
}

fn read(reader: &mut Reader, body: &[u8], selection: &Selection, at: i64, full: bool) -> u64 {
    let read = reader.read(body.chunks(CHUNK), selection, Timestamp(at), full);
    assert!(read.result.is_ok(), "{:?}", read.result);
    read.batch.samples.len() as u64
}

fn main() {
    for apart in [false, true] {
        let body = joined(apart);
        println!(
            "{} bytes, copies {}",
            body.len(),
            if apart { "apart" } else { "not apart" }
        );
        time("newlines, line by line (memchr)", &body, 30, || {
            let mut rest = &body[..];
            let mut lines = 0;
            while let Some(end) = memchr::memchr(b'\n', rest) {
                rest = &rest[end + 1..];
                lines += 1;
            }
            lines
        });
        let all = Selection::all(1);
        let few = one_in(20, &body);
        let mut at = 0;
        for (what, selection, full) in [
            ("1 name in 20 wanted, warm", &few, false),
            ("1 name in 20 wanted, full validation", &few, true),
            ("all wanted, warm", &all, false),
            ("all wanted, full validation", &all, true),
        ] {
            let mut reader = Reader::new(Format::Text);
            read(&mut reader, &body, selection, at, true);
            time(what, &body, 30, || {
                at += INTERVAL;
                read(&mut reader, &body, selection, at, full)
            });
        }
        time("all wanted, first time", &body, 3, || {
            read(&mut Reader::new(Format::Text), &body, &all, 0, true)
        });
        let store = Store::new(usize::MAX);
        store.select_only(Arc::new(Selection::all(1)));
        let mut reader = Reader::new(Format::Text);
        time("all wanted, warm, and stored", &body, 40, || {
            at += INTERVAL;
            let chunks = body.chunks(CHUNK);
            let read = reader.read(chunks, &all, Timestamp(at), false);
            store.append(&read.batch).stored
        });
        println!(
            "{} series, {} bytes of labels and samples each, {} samples each",
            store.series(),
            store.bytes() / store.series().max(1),
            store.samples() / store.series().max(1),
        );
        time("prometheus-parse", &body, 1, || {
            let lines = body.split(|b| *b == b'\n');
            let lines = lines.map(|l| Ok(String::from_utf8_lossy(l).into_owned()));
            let scrape = prometheus_parse::Scrape::parse(lines);
            scrape.map_or(0, |s| s.samples.len() as u64)
        });
    }
}
