//! Queries that mean harm: each must end soon, with a result or an error that names the bound and
//! the place.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::{Engine, EngineOptions, ParseOptions};
use crate::model::labels::NAME;
use crate::model::{Labels, Matcher, QueryError, Sample, Series, SeriesSource, Timestamp};

/// 3,000 series of 100 samples each, the values of one label long and of few letters.
struct Big(Vec<Series>);

impl Big {
    fn new() -> Self {
        let series = |n: usize| Series {
            labels: Labels::from_pairs([
                (NAME, "m".to_owned()),
                ("n", n.to_string()),
                ("bits", format!("{n:b}").repeat(100)),
            ]),
            samples: (0..100)
                .map(|i| Sample {
                    t: Timestamp(i * 15_000),
                    v: i as f64,
                })
                .collect(),
        };
        Big((0..3000).map(series).collect())
    }
}

impl SeriesSource for Big {
    fn select(&self, matchers: &[Matcher], from: Timestamp, to: Timestamp) -> Vec<Series> {
        self.select_while(matchers, from, to, &mut |_| true)
    }

    fn select_while(
        &self,
        matchers: &[Matcher],
        from: Timestamp,
        to: Timestamp,
        go_on: &mut dyn FnMut(usize) -> bool,
    ) -> Vec<Series> {
        let mut found = Vec::new();
        for series in &self.0 {
            if !go_on(0) {
                break;
            }
            if !matchers.iter().all(|m| m.matches_labels(&series.labels)) {
                continue;
            }
            let all = series.samples.iter().copied();
            let samples: Vec<Sample> = all.filter(|s| from < s.t && s.t <= to).collect();
            if !go_on(samples.len()) {
                break;
            }
            found.push(Series {
                labels: series.labels.clone(),
                samples,
            });
        }
        found
    }
}

/// What a query comes to, and how long it may take: the deadline, and as much again for a busy
/// machine.
const DEADLINE: Duration = Duration::from_millis(100);
const MOST: Duration = Duration::from_secs(3);

#[expect(clippy::disallowed_methods, reason = "tests measure real time")]
fn now() -> Instant {
    Instant::now()
}

fn engine(max_samples: usize) -> Engine {
    let options = EngineOptions {
        max_samples,
        parse: ParseOptions::all(),
        deadline: Some(Arc::new(|| {
            let start = now();
            Box::new(move || start.elapsed() > DEADLINE)
        })),
        ..EngineOptions::default()
    };
    Engine::new(Arc::new(Big::new()), options)
}

/// Runs `text`, and refuses one that goes on too long.
fn ends(engine: &Engine, text: &str) -> Result<(), String> {
    let start = now();
    let at = Timestamp::from_secs(1500);
    let instant = engine.instant_once(text, at).map(|_| ());
    let range = engine
        .range(text, Timestamp(0), at, Duration::from_secs(1))
        .map(|_| ());
    let took = start.elapsed();
    let shown: String = text.chars().take(100).collect();
    assert!(took < 2 * MOST, "{shown}: {took:?}");
    match (instant, range) {
        (Err(QueryError::Parse(a)), Err(QueryError::Parse(b))) if a == b => Err(a),
        (Err(e), _) | (_, Err(e)) => Err(e.to_string()),
        (Ok(()), Ok(())) => Ok(()),
    }
}

/// Repeats `open`, then `middle`, then as many `close`.
fn nest(n: usize, open: &str, middle: &str, close: &str) -> String {
    open.repeat(n) + middle + &close.repeat(n)
}

#[test]
fn hostile_texts_are_refused_with_their_place() {
    let engine = engine(100_000);
    let mut wrong = Vec::new();
    for (text, want) in [
        (
            nest(10_000, "(", "1", ")"),
            "1:102: parse error: expression is nested deeper",
        ),
        (
            nest(10_000, "abs(", "m", ")"),
            "nested deeper than the limit of 100",
        ),
        (
            nest(10_000, "-", "m", ""),
            "nested deeper than the limit of 100",
        ),
        (nest(10_000, "m[1h:", "", "]"), "parse error"),
        (nest(10_000, "", "m", "[1h:1m]"), "parse error: "),
        (
            nest(10_000, "", "m", " + m"),
            "1:999: parse error: expression has more than the limit of 250 levels",
        ),
        (
            nest(10_000, "1 ^ ", "1", ""),
            "nested deeper than the limit of 100",
        ),
        (
            format!("m[{}]", nest(10_000, "(", "5m", ")")),
            "nested deeper",
        ),
        (format!("m[{}5m]", "-".repeat(10_000)), "nested deeper"),
        (
            format!("m[5m{}]", " + 5m".repeat(10_000)),
            "limit of 250 levels",
        ),
        (
            format!("m offset {}5m", "-".repeat(10_000)),
            "nested deeper",
        ),
        ("(".repeat(10_000), "nested deeper"),
        ("{".repeat(10_000), "1:2: parse error: unexpected"),
        ("[".repeat(10_000), "1:1: parse error: unexpected"),
        (
            "m{a=~\"(x+x+)+y{1001}\"}".to_owned(),
            "1:6: parse error: invalid regular expression",
        ),
        (
            "m{a=~\"(.{1000}){1000}\"}".to_owned(),
            "invalid repeat count",
        ),
        ("m{a=~\"(\\\\pL{200}){5}\"}".to_owned(), "size limit"),
        (
            format!("m{{a=~\"{}\"}}", "(".repeat(10_000)),
            "1:6: parse error: invalid regular expression",
        ),
        (
            format!("m{{a=~\"{}\"}}", nest(10_000, "(", "a", ")")),
            "maximum number of nested",
        ),
        (
            format!("m{{a=~\"{}\"}}", "a*".repeat(40_000)),
            "over the limit of 65536",
        ),
        (
            format!("m{{{}}}", "a=~\".+\",".repeat(101)),
            "more than the limit of 100 regexes",
        ),
        (
            "max_over_time(vector(1)[1000000001s:1s])".to_owned(),
            "1:15: subquery of 1000000001 steps is over the limit",
        ),
        (
            "max_over_time(vector(1)[1000000000s:1s])".to_owned(),
            "1:15: subquery of 1000000000 steps",
        ),
        (
            "m offset 1e999".to_owned(),
            "1:10: parse error: duration out of range",
        ),
        (
            "m offset 9999999999999999999999y".to_owned(),
            "1:10: parse error: bad number or duration",
        ),
        (
            "m offset 2000y".to_owned(),
            "1:10: parse error: duration out of range",
        ),
        (
            "m[1e999]".to_owned(),
            "1:3: parse error: duration out of range",
        ),
        (
            "m[2 ^ 2000]".to_owned(),
            "1:2: parse error: duration out of range",
        ),
        (
            "m @ 1e999".to_owned(),
            "1:5: parse error: timestamp out of bounds",
        ),
        ("m @ -1e300".to_owned(), "timestamp out of bounds"),
        ("topk(1e999, m)".to_owned(), "overflows int64"),
        (
            "x".repeat((1 << 20) + 1),
            "1:1: parse error: query of 1048577 bytes is over the limit",
        ),
        (
            "rate(m[25m]) + rate(m[24m]) + rate(m[23m])".to_owned(),
            "holds more than the limit of 100000 samples",
        ),
        (
            "m[25m:1s]".to_owned(),
            "1:1: query holds more than the limit",
        ),
    ] {
        let shown: String = text.chars().take(60).collect();
        let got = ends(&engine, &text).err().unwrap_or_default();
        if !got.contains(want) {
            let got: String = got.chars().take(200).collect();
            wrong.push(format!("{shown}: {got}\n  not: {want}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn hostile_work_ends_in_time_and_within_memory() {
    let patient = engine(5_000_000);
    let grow = |n: usize, by: &str| {
        let open = format!("{by}(");
        let close = ", \"n\", \",\", \"n\", \"n\")";
        nest(n, &open, "m{n=\"7\"}", close)
    };
    let replace = nest(
        30,
        "label_replace(",
        "m{n=\"7\"}",
        ", \"n\", \"$1$1$1$1$1$1\", \"n\", \"(.*)\")",
    );
    for (text, want) in [
        (grow(40, "label_join"), Some("label value would be longer")),
        (replace, Some("label value would be longer")),
        ("count(m{bits=~\"[01]*1[01]{1000}\"})".to_owned(), None),
        ("count(m{bits!~\"(0|1)*1(0|1){900}x\"})".to_owned(), None),
        (
            "count(label_replace(m, \"x\", \"$1\", \"bits\", \"([01]*)1[01]{300}\"))".to_owned(),
            None,
        ),
        (
            "count(m) + max_over_time(count(m)[25m:1s])".to_owned(),
            None,
        ),
        (nest(6, "max_over_time(", "count(m)", "[25m:1s])"), None),
        (
            nest(6, "sum(quantile_over_time(0.5, ", "m", "[25m:1s]))"),
            None,
        ),
        ("sort_desc(sort(sort_desc(m or m)))".to_owned(), None),
        (
            "count_values(\"v\", m * on (n) group_left m)".to_owned(),
            None,
        ),
        ("max_over_time(vector(time())[50d:1s])".to_owned(), None),
        (format!("m{}", " or m".repeat(249)), None),
        (
            format!("count(rate(m[5m]){})", " + rate(m[5m])".repeat(100)),
            None,
        ),
        ("info(m)".to_owned(), None),
        (
            "limit_ratio(0.5, m) and topk(1000000000, m) unless bottomk(3, m)".to_owned(),
            None,
        ),
    ] {
        let shown: String = text.chars().take(60).collect();
        match (ends(&patient, &text), want) {
            (Err(e), Some(want)) => assert!(e.contains(want), "{shown}: {e}"),
            (Ok(()), Some(want)) => panic!("{shown}: no error, expected {want}"),
            // A fast machine may be done before its time is up.
            (Err(e), None) => {
                assert!(
                    e.contains("deadline") || e.contains("limit of"),
                    "{shown}: {e}"
                );
            }
            (Ok(()), None) => {}
        }
    }
}
