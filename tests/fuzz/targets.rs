//! What the fuzzers do with their input. The same functions replay the committed corpora in the
//! ordinary tests.
//!
//! What must stay true: a target takes any bytes, never panics on them but to report a fault, ends
//! within a second, and depends on nothing but its input.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use loadline::model::histogram::HistogramSeries;
use loadline::model::labels::NAME;
use loadline::model::{Labels, Matcher, Sample, Series, SeriesSource, Timestamp, Value, stale_nan};
use loadline::promql::{
    Engine, EngineOptions, ParseOptions, Point, longest_range, parse_series, parse_with,
    replace_threshold, shorten_ranges,
};
use loadline::rules::template::{Data, Template};
use loadline::rules::{
    EvalContext, Group, Missing, RuleFile, UnknownKeys, check_promql, read_alone,
};
use loadline::script;

/// A fuzz target: its name, which is that of its folder of inputs, and what it does.
pub type Target = (&'static str, fn(&[u8]));

/// All targets. A new one goes here, into `Cargo.toml` and into `fuzz_targets/`.
pub const TARGETS: &[Target] = &[
    ("promql_parse", promql_parse),
    ("promql_eval", promql_eval),
    ("promql_script", promql_script),
    ("rule_file", rule_file),
    ("template", template),
];

/// Reads a query, and what is made of it.
pub fn promql_parse(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let _ = parse_series(text);
    let default = parse_with(text, ParseOptions::default());
    let tree = match parse_with(text, ParseOptions::all()) {
        Ok(tree) => tree,
        Err(e) => {
            assert!(e.offset <= text.len(), "an error beyond the text: {e}");
            assert!(default.is_err(), "more switches accept less: {e}");
            return;
        }
    };
    let printed = tree.to_string();
    match parse_with(&printed, ParseOptions::all()) {
        Ok(again) => assert_eq!(printed, again.to_string(), "printed and read back"),
        // Quoting may make a text longer than a query may be.
        Err(e) => assert!(e.message.contains("over the limit"), "{printed}: {e}"),
    }
    tree.needs();
    tree.required_inputs();
    tree.pinned(Timestamp(1000));
    if tree.threshold().is_some() {
        let replaced = replace_threshold(text, &tree, 0.5).expect("the number stands in the text");
        let again = parse_with(&replaced, ParseOptions::all()).expect("a number for a number");
        assert_eq!(again.threshold().map(|t| t.number), Some(0.5), "{replaced}");
    }
    let short = shorten_ranges(&tree, Duration::from_secs(10));
    assert!(longest_range(&short) <= Duration::from_secs(10), "{short}");
}

/// Evaluates a query over a few series, twice, and over a range.
pub fn promql_eval(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    for delayed_name_removal in [false, true] {
        let engine = engine(delayed_name_removal);
        let at = Timestamp(300_000);
        let first = engine.instant_once(text, at);
        let second = engine.instant_once(text, at);
        assert_eq!(
            format!("{first:?}"),
            format!("{second:?}"),
            "the same question has the same answer"
        );
        let range = engine.range(text, Timestamp(0), at, Duration::from_secs(60));
        if let (Ok(answer), Ok(range)) = (&first, &range)
            && let (Value::Vector(vector), Value::Matrix(matrix)) = (&answer.value, &range.value)
        {
            let labels: Vec<&Labels> = vector.iter().map(|e| &e.labels).collect();
            let unique: std::collections::BTreeSet<&Labels> = labels.iter().copied().collect();
            assert_eq!(labels.len(), unique.len(), "one element per label set");
            let rising = matrix.windows(2).all(|w| w[0].labels < w[1].labels);
            assert!(rising, "a range result is sorted");
        }
    }
}

/// Runs a test script.
pub fn promql_script(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    // Long ranges and many samples are no fault; they only take time.
    if text.len() > 2000 {
        return;
    }
    let result = script::promql::run_within("fuzz", text, 20_000);
    let evals = text
        .lines()
        .filter(|l| l.trim_start().to_lowercase().starts_with("eval"))
        .count();
    assert!(result.passed <= evals, "more passes than cases");
}

/// Reads a rule file, and evaluates its groups once.
pub fn rule_file(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let file = RuleFile {
        name: "fuzz.yml".to_owned(),
        text: text.to_owned(),
        shipped: false,
    };
    let check = |text: &str| check_promql(text, ParseOptions::default());
    let _ = read_alone(&file, UnknownKeys::Ignore, &check);
    let groups = match read_alone(&file, UnknownKeys::Refuse, &check) {
        Ok((groups, _)) => groups,
        Err(problems) => {
            assert!(!problems.0.is_empty(), "refused without a reason");
            for problem in &problems.0 {
                assert!(!problem.to_string().is_empty());
            }
            return;
        }
    };
    let engine = engine(false);
    let external_labels = BTreeMap::new();
    let ctx = EvalContext {
        external_labels: &external_labels,
        external_url: "",
        missing: Missing::Blind,
        warm: true,
        flapping: loadline::rules::FlappingPolicy::OFF,
        write: &|_| {},
        elapsed: &|| Duration::ZERO,
        known: None,
    };
    for group in groups {
        // A rule may take as long as its queries and templates may; many of them add up.
        if group.rules.len() > 5 {
            continue;
        }
        let mut group = Group::new(group, Duration::from_secs(60));
        group.evaluate(&engine, Timestamp(300_000), &ctx);
    }
}

/// Reads a template and expands it.
pub fn template(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let template = match Template::parse(text) {
        Ok(template) => template,
        Err((message, offset)) => {
            assert!(!message.is_empty() && offset <= text.len(), "{message}");
            return;
        }
    };
    template.queries();
    let labels = Labels::from_pairs([(NAME, "m"), ("instance", "h:9100"), ("job", "node")]);
    let external_labels = BTreeMap::from([("r".to_owned(), "eu".to_owned())]);
    let data = Data {
        labels: &labels,
        external_labels: &external_labels,
        external_url: "http://p.example/x",
        value: 42.5,
        histogram: None,
    };
    let out = template.expand(data, &engine(false), Timestamp(300_000));
    assert!(
        out.len() <= 2 * loadline::rules::template::MAX_OUTPUT,
        "{}",
        out.len()
    );
}

fn engine(delayed_name_removal: bool) -> Engine {
    let options = EngineOptions {
        max_samples: 20_000,
        max_work: 50_000,
        parse: ParseOptions::all(),
        delayed_name_removal,
        ..EngineOptions::default()
    };
    Engine::new(Arc::new(Tiny::new()), options)
}

/// A few series of every kind, a sample each 30 s.
struct Tiny {
    floats: Vec<Series>,
    histograms: Vec<HistogramSeries>,
}

impl Tiny {
    fn new() -> Self {
        const LINES: &[&str] = &[
            r#"a_total{job="x", le="0.5"} 0+3x8 1+3x8"#,
            r#"a_total{job="y", le="+Inf"} 0+7x16"#,
            r#"a_total{job="z", le="x"} 5 _ 7 stale 2 _x4 9 NaN Inf -Inf 3"#,
            r#"b{job="x", n="1"} 1 -2 3 -4 5 -6 7 8 9 1e300 -1e300 0.1"#,
            r#"b{job="y", n="10"} 4x16"#,
            r#"target_info{job="x", instance="i", v="1"} 1x16"#,
            r#"c{job="x", instance="i"} 2x16"#,
            r#"h{job="x"} {{schema:0 count:4 sum:3 z_bucket:1 z_bucket_w:0.1 buckets:[1 2] n_buckets:[1]}}+{{schema:0 count:4 sum:3 buckets:[1 2 1]}}x12"#,
            r#"h{job="y"} {{schema:-53 count:5 sum:3 custom_values:[1 5] buckets:[3 1 1]}}x8 {{schema:-53 count:2 sum:3 custom_values:[2 5] buckets:[1 1]}}"#,
            r#"h{job="z"} {{schema:8 count:4 sum:NaN buckets:[1 2 1]}} {{schema:-4 count:4 sum:3 buckets:[1 2 1] counter_reset_hint:gauge}}x3 7"#,
        ];
        let mut tiny = Tiny {
            floats: Vec::new(),
            histograms: Vec::new(),
        };
        for line in LINES {
            let (labels, points) = script::series::parse_line(line).expect("a series of our own");
            let mut samples = Vec::new();
            let mut histograms = Vec::new();
            for (i, point) in (0..).zip(points) {
                let t = Timestamp(i * 30_000);
                match point {
                    Some(Point::Float(v)) => samples.push(Sample { t, v }),
                    Some(Point::Histogram(h)) => histograms.push((t, h)),
                    None => {}
                }
            }
            if labels.name() == "b" {
                let t = Timestamp(600_000);
                samples.push(Sample { t, v: stale_nan() });
            }
            if !samples.is_empty() {
                let labels = labels.clone();
                tiny.floats.push(Series { labels, samples });
            }
            if !histograms.is_empty() {
                let samples = histograms;
                tiny.histograms.push(HistogramSeries { labels, samples });
            }
        }
        tiny.floats.sort_by(|a, b| a.labels.cmp(&b.labels));
        tiny.histograms.sort_by(|a, b| a.labels.cmp(&b.labels));
        tiny
    }
}

impl SeriesSource for Tiny {
    fn select(&self, matchers: &[Matcher], from: Timestamp, to: Timestamp) -> Vec<Series> {
        let fits = |s: &&Series| matchers.iter().all(|m| m.matches_labels(&s.labels));
        let cut = |s: &Series| Series {
            labels: s.labels.clone(),
            samples: s
                .samples
                .iter()
                .copied()
                .filter(|s| from < s.t && s.t <= to)
                .collect(),
        };
        self.floats.iter().filter(fits).map(cut).collect()
    }

    fn select_histograms(
        &self,
        matchers: &[Matcher],
        from: Timestamp,
        to: Timestamp,
    ) -> Vec<HistogramSeries> {
        let fits = |s: &&HistogramSeries| matchers.iter().all(|m| m.matches_labels(&s.labels));
        let cut = |s: &HistogramSeries| HistogramSeries {
            labels: s.labels.clone(),
            samples: s
                .samples
                .iter()
                .filter(|(t, _)| from < *t && *t <= to)
                .cloned()
                .collect(),
        };
        self.histograms.iter().filter(fits).map(cut).collect()
    }
}
