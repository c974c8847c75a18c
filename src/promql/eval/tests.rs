use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::super::{Engine, EngineOptions, ParseOptions};
use crate::model::labels::NAME;
use crate::model::{
    Answer, Labels, Matcher, Querier, QueryError, Sample, Series, SeriesSource, Timestamp, Value,
    stale_nan,
};

/// Series with a sample every 15 s from 0 on.
struct Fixed(Vec<Series>);

impl SeriesSource for Fixed {
    fn select(&self, matchers: &[Matcher], from: Timestamp, to: Timestamp) -> Vec<Series> {
        self.0
            .iter()
            .filter(|s| matchers.iter().all(|m| m.matches_labels(&s.labels)))
            .map(|s| Series {
                labels: s.labels.clone(),
                samples: s
                    .samples
                    .iter()
                    .copied()
                    .filter(|s| from < s.t && s.t <= to)
                    .collect(),
            })
            .collect()
    }

    fn retention(&self) -> Option<Duration> {
        Some(Duration::from_secs(3600))
    }

    fn unkept(&self, matchers: &[Matcher]) -> Option<String> {
        let asked = matchers.iter().any(|m| m.value == "unkept");
        asked.then(|| "unkept is not kept: pin it".to_owned())
    }
}

fn series(name: &str, label: (&str, &str), values: &[f64]) -> Series {
    Series {
        labels: Labels::from_pairs([(NAME, name), label]),
        samples: (0..)
            .zip(values)
            .map(|(i, v)| Sample {
                t: Timestamp(i * 15_000),
                v: *v,
            })
            .collect(),
    }
}

fn engine(options: EngineOptions) -> Engine {
    let counter: Vec<f64> = (0..40).map(|i| f64::from(i) * 30.0).collect();
    let source = Fixed(vec![
        series("a_total", ("job", "x"), &counter),
        series("a_total", ("job", "y"), &counter[..20]),
        series("b", ("job", "x"), &[1.0, 2.0, stale_nan()]),
        series("c", ("job", "x"), &[7.0; 40]),
    ]);
    Engine::new(Arc::new(source), options)
}

fn show(answer: &Answer) -> String {
    match &answer.value {
        Value::Scalar(v) => v.to_string(),
        Value::String(s) => format!("{s:?}"),
        Value::Vector(v) => {
            let all: Vec<String> = v
                .iter()
                .map(|e| format!("{} {}", e.labels, e.value))
                .collect();
            all.join(", ")
        }
        Value::Matrix(m) => {
            let all: Vec<String> = m
                .iter()
                .map(|row| {
                    let values: Vec<String> = row
                        .samples
                        .iter()
                        .map(|s| format!("{}@{}", s.v, s.t.millis() / 1000))
                        .collect();
                    format!("{} {}", row.labels, values.join(" "))
                })
                .collect();
            all.join(", ")
        }
    }
}

fn at(expr: &str, secs: i64) -> String {
    match engine(EngineOptions::default()).instant(expr, Timestamp::from_secs(secs)) {
        Ok(answer) => show(&answer),
        Err(e) => format!("error: {e}"),
    }
}

#[test]
fn instants_as_a_released_prometheus_gives_them() {
    for (expr, secs, want) in [
        ("1 + 2 * 3", 0, "7"),
        ("\"text\"", 0, "\"text\""),
        (
            "a_total",
            60,
            "a_total{job=\"x\"} 120, a_total{job=\"y\"} 120",
        ),
        (
            "rate(a_total{job=\"x\"}[1m])",
            60,
            "{job=\"x\"} 1.9999999999999998",
        ),
        (
            "sum by (job) (rate(a_total[5m])) > 1",
            300,
            "{job=\"x\"} 1.9999999999999998, {job=\"y\"} 2",
        ),
        ("a_total / on (job) c", 15, "{job=\"x\"} 4.285714285714286"),
        // The stale marker ends the series at once, a gap only after the lookback.
        ("b", 29, "b{job=\"x\"} 2"),
        ("b", 30, ""),
        ("count_over_time(b[1m])", 45, "{job=\"x\"} 2"),
        ("a_total{job=\"y\"}", 285 + 299, "a_total{job=\"y\"} 570"),
        ("a_total{job=\"y\"}", 285 + 300, ""),
        ("absent(nothing{job=\"z\"})", 0, "{job=\"z\"} 1"),
        ("c[30s]", 30, "c{job=\"x\"} 7@15 7@30"),
        ("max_over_time(c[30s:10s])", 30, "{job=\"x\"} 7"),
        ("vector(1) or c", 0, "{} 1, c{job=\"x\"} 7"),
        (
            "-{__name__=~\"b|c\"}",
            15,
            "error: vector cannot contain metrics with the same labelset",
        ),
        (
            "a_total + on () c",
            15,
            "error: multiple matches for labels: many-to-one matching must be explicit \
             (group_left/group_right)",
        ),
        (
            "nope(",
            0,
            "error: 1:1: parse error: unknown function with name \"nope\"",
        ),
    ] {
        assert_eq!(at(expr, secs), want, "{expr} at {secs}");
    }
}

#[test]
fn ranges_are_matrices_sorted_by_labels() {
    let range = |expr: &str| {
        engine(EngineOptions::default())
            .range(
                expr,
                Timestamp::from_secs(0),
                Timestamp::from_secs(30),
                Duration::from_secs(15),
            )
            .map(|a| show(&a))
    };
    assert_eq!(range("b").unwrap(), "b{job=\"x\"} 1@0 2@15");
    assert_eq!(range("time()").unwrap(), "{} 0@0 15@15 30@30");
    assert_eq!(
        range("{__name__=~\"c|b\"}").unwrap(),
        "b{job=\"x\"} 1@0 2@15, c{job=\"x\"} 7@0 7@15 7@30"
    );
    assert!(range("b[5m]").is_err());
    // A subquery gives at every step what it gives alone.
    let steps = range("sum_over_time(a_total{job=\"x\"}[20s:5s])").unwrap();
    let alone: Vec<String> = [0, 15, 30]
        .iter()
        .map(|t| {
            let v = at("sum_over_time(a_total{job=\"x\"}[20s:5s])", *t);
            format!("{}@{t}", v.trim_start_matches("{job=\"x\"} "))
        })
        .collect();
    assert_eq!(steps, format!("{{job=\"x\"}} {}", alone.join(" ")));
}

#[test]
fn what_must_be_said_comes_with_the_answer() {
    let engine = engine(EngineOptions::default());
    let notes = |expr: &str| {
        let a = engine.instant(expr, Timestamp::from_secs(600)).unwrap();
        (a.warnings, a.infos, a.series_read)
    };
    assert_eq!(notes("unkept").0, ["unkept is not kept: pin it"]);
    assert_eq!(
        notes("rate(c[5m])").1,
        [
            "PromQL info: metric might not be a counter, name does not end in \
             _total/_sum/_count/_bucket: \"c\" (1:6)"
        ]
    );
    assert_eq!(
        notes("rate(a_total[2h])").0,
        ["the query reads back 2h, but samples are kept for 1h only"]
    );
    assert_eq!(notes("a_total + on (job) c").2, 3);
}

#[test]
fn every_bound_has_an_error_that_names_it() {
    let limit = |options: EngineOptions, expr: &str| match engine(options)
        .instant(expr, Timestamp::from_secs(600))
    {
        Err(QueryError::Limit(e)) => e,
        other => panic!("{expr}: {other:?}"),
    };
    let few = EngineOptions {
        max_samples: 10,
        ..EngineOptions::default()
    };
    assert!(limit(few, "rate(a_total[10m])").contains("limit of 10 samples"));
    let steps = limit(EngineOptions::default(), "max_over_time(c[1000000000s:1s])");
    assert!(steps.contains("subquery of 1000000000 steps"), "{steps}");
    // Every second look finds the time used up.
    let looks = Arc::new(AtomicUsize::new(0));
    let counted = looks.clone();
    let impatient = EngineOptions {
        deadline: Some(Arc::new(move || {
            let looks = counted.clone();
            Box::new(move || looks.fetch_add(1, Ordering::Relaxed) > 0)
        })),
        ..EngineOptions::default()
    };
    let late = limit(impatient, "max_over_time(vector(1)[1000000s:1s])");
    assert!(late.contains("deadline"), "{late}");
    assert_eq!(looks.load(Ordering::Relaxed), 2);
    let many = engine(EngineOptions::default()).range(
        "c",
        Timestamp(0),
        Timestamp::from_secs(100_000),
        Duration::from_secs(1),
    );
    assert!(many.unwrap_err().to_string().contains("limit of 11000"));
}

#[test]
fn the_deepest_tree_that_parses_can_be_evaluated() {
    let chain = "c + ".repeat(248) + "c";
    assert_eq!(at(&chain, 0), format!("{{job=\"x\"}} {}", 7 * 249));
    let nested = "abs(".repeat(98) + "c" + &")".repeat(98);
    assert_eq!(at(&nested, 0), "{job=\"x\"} 7");
    let sums = "sum(".repeat(98) + "c" + &")".repeat(98);
    assert_eq!(at(&sums, 0), "{} 7");
    let subqueries = "max_over_time(".repeat(48) + "c" + &"[1s:1s])".repeat(48);
    assert_eq!(at(&subqueries, 0), "{job=\"x\"} 7");
}

#[test]
fn experimental_functions_need_the_switch() {
    let expr = "mad_over_time(c[1m])";
    assert!(at(expr, 60).contains("not enabled"));
    let on = EngineOptions {
        parse: ParseOptions::all(),
        ..EngineOptions::default()
    };
    let answer = engine(on).instant(expr, Timestamp::from_secs(60)).unwrap();
    assert_eq!(show(&answer), "{job=\"x\"} 0");
}

#[test]
fn huge_times_do_not_overflow() {
    for expr in [
        "c @ 9000000000000000",
        "c @ -9000000000000000 offset 1000y",
        "rate(a_total[1000y] offset -1000y)",
        "max_over_time(c[1000y:500y] @ 9000000000000000)",
        "year(vector(1e300))",
    ] {
        for secs in [0, i64::MAX / 1000, i64::MIN / 1000] {
            // Any answer will do, a panic will not.
            let _ = at(expr, secs);
        }
    }
}

proptest::proptest! {
    /// Words thrown together never panic; what parses prints as text that reads back, and can be
    /// evaluated.
    #[test]
    fn word_salad_is_an_answer_or_an_error(picks in proptest::collection::vec(0..WORDS.len(), 1..14)) {
        let text: String = picks.iter().map(|i| WORDS[*i]).collect();
        let options = ParseOptions::all();
        if let Ok(tree) = super::super::parse_with(&text, options) {
            let printed = tree.to_string();
            let again = super::super::parse_with(&printed, options);
            proptest::prop_assert_eq!(again.map(|t| t.to_string()), Ok(printed));
            tree.needs();
            tree.threshold();
            let on = EngineOptions { parse: options, max_samples: 10_000, max_work: 100_000, ..EngineOptions::default() };
            let engine = engine(on);
            let _ = engine.instant(&text, Timestamp::from_secs(60));
            let _ = engine.range(&text, Timestamp(0), Timestamp(60_000), Duration::from_secs(15));
        }
    }
}

const WORDS: [&str; 67] = [
    " smoothed",
    " anchored",
    " fill(0) ",
    " </ ",
    " >/ ",
    "info(",
    "changes(",
    "a_total",
    "b",
    "c{job=\"x\"}",
    "{job=~\".+\"}",
    "(",
    ")",
    "(",
    ")",
    "(",
    ")",
    "[1m]",
    "[30s:5s]",
    "[30s:]",
    " offset 10s",
    " offset -10s",
    " @ 30",
    " @ end()",
    " + ",
    " - ",
    " * ",
    " / ",
    " % ",
    " ^ ",
    " > ",
    " == bool ",
    " and ",
    " or ",
    " unless ",
    " on(job) ",
    " group_left ",
    " ignoring(job) ",
    "sum",
    "topk(",
    "quantile(",
    "count_values(\"v\", ",
    " by (job) ",
    " without (job) ",
    "rate(",
    "avg_over_time(",
    "histogram_quantile(",
    "label_replace(",
    "clamp(",
    "time()",
    "vector(",
    "scalar(",
    "absent(",
    "predict_linear(",
    "sort_by_label(",
    "1",
    "0.5",
    "-1",
    "NaN",
    "Inf",
    "1e300",
    "\"x\"",
    "\"(.*)\"",
    ", ",
    ", ",
    "5m",
    "step()",
];
