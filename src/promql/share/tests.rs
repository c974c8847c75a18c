use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::super::{Engine, EngineOptions};
use crate::model::labels::NAME;
use crate::model::{Answer, Labels, Matcher, Querier, Sample, Series, SeriesSource, Timestamp};
use crate::store::Store;

/// A store that counts how often it is read.
struct Counting {
    store: Store,
    reads: AtomicUsize,
}

impl SeriesSource for Counting {
    fn select(&self, matchers: &[Matcher], from: Timestamp, to: Timestamp) -> Vec<Series> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.store.select(matchers, from, to)
    }
}

fn labels(name: &str, job: &str) -> Labels {
    Labels::from_pairs([(NAME, name), ("job", job)])
}

fn source() -> Arc<Counting> {
    let store = Store::new(100);
    for i in 0..20 {
        for (job, factor) in [("x", 1.0), ("y", 7.0)] {
            for name in ["a_total", "b_total", "g"] {
                let t = Timestamp(i * 15_000);
                let v = i as f64 * factor;
                store.record(&labels(name, job), Sample { t, v });
            }
        }
    }
    let reads = AtomicUsize::new(0);
    Arc::new(Counting { store, reads })
}

fn engine(source: &Arc<Counting>, max_samples: usize) -> Engine {
    let options = EngineOptions {
        max_samples,
        ..EngineOptions::default()
    };
    Engine::new(Arc::clone(source) as _, options)
}

const AT: Timestamp = Timestamp(285_000);

const RULES: &[&str] = &[
    "sum by (job) (rate(a_total[2m])) > 0.1",
    "sum by (job) (rate(a_total[2m])) > 0.3",
    "sum by (job) (rate(a_total[2m])) / sum by (job) (rate(b_total[2m]))",
    "rate(a_total[2m]) > 0",
    "increase(a_total[1m]) > 0",
    "increase(a_total[4m] offset 10s) > 0",
    "rate(g[2m]) > 0",
    "rate(g[2m]) > 0.2",
    "max_over_time(sum(rate(a_total[2m]))[2m:30s])",
    "a_total offset 1m > a_total",
    "a_total offset 1m > 0",
    "a_total @ 100 > 0",
    "a_total > 0",
    "count(a_total) + count(a_total)",
    "none > 1",
    "none > 2",
    "scalar(sum(rate(a_total[2m])))",
    "vector(1)",
];

fn text(answer: &Answer) -> String {
    format!("{answer:?}")
}

#[test]
fn answers_are_those_of_the_engine_alone_and_equal_parts_are_read_once() {
    let source = source();
    let engine = engine(&source, 1_000_000);
    let alone: Vec<String> = RULES
        .iter()
        .map(|r| text(&engine.instant(r, AT).unwrap()))
        .collect();
    let reads_alone = source.reads.swap(0, Ordering::Relaxed);
    for _ in 0..2 {
        let session = engine.session(RULES).expect("much is shared");
        for (rule, alone) in RULES.iter().zip(&alone) {
            assert_eq!(&text(&session.instant(rule, AT).unwrap()), alone, "{rule}");
        }
    }
    let reads_shared = source.reads.load(Ordering::Relaxed) / 2;
    assert!(
        reads_shared * 2 < reads_alone,
        "{reads_shared} of {reads_alone}"
    );
}

#[test]
fn two_rules_with_an_equal_part_read_it_once() {
    let source = source();
    let engine = engine(&source, 1_000_000);
    let rules = ["sum(rate(a_total[1m])) > 1", "sum(rate(a_total[1m])) > 2"];
    let session = engine.session(&rules).unwrap();
    for rule in rules {
        session.instant(rule, AT).unwrap();
    }
    assert_eq!(source.reads.load(Ordering::Relaxed), 1);
    // Another time is another question.
    session
        .instant(rules[0], AT + std::time::Duration::from_secs(15))
        .unwrap();
    assert_eq!(source.reads.load(Ordering::Relaxed), 2);
    assert!(engine.session(&["a_total > 1", "b_total > 1"]).is_none());
}

#[test]
fn what_a_rule_writes_is_seen_by_the_next() {
    let source = source();
    let engine = engine(&source, 1_000_000);
    let rules = [
        "sum(g)",
        "sum(g) > 0",
        "count({job=\"z\"})",
        "count({job=\"z\"}) > 0",
    ];
    let session = engine.session(&rules).unwrap();
    let ask = |rule: &str| {
        let vector = session.instant(rule, AT).unwrap().into_vector().unwrap();
        vector.first().map(|e| e.value)
    };
    let before = ask(rules[0]);
    assert_eq!((ask(rules[1]), ask(rules[2])), (before, None));
    let written = labels("g", "z");
    source.store.record(&written, Sample { t: AT, v: 1000.0 });
    session.wrote(&written);
    let after = before.map(|v| v + 1000.0);
    assert_eq!((ask(rules[0]), ask(rules[1])), (after, after));
    assert_eq!((ask(rules[2]), ask(rules[3])), (Some(1.0), Some(1.0)));
}

#[test]
fn a_limit_bites_whoever_comes_first() {
    let source = source();
    let rules = [
        "sum(rate(a_total[2m])) + 0 * sum(b_total)",
        "sum(rate(a_total[2m])) > 0",
    ];
    for max_samples in 1..120 {
        let engine = engine(&source, max_samples);
        let session = engine.session(&rules).unwrap();
        for rule in rules {
            let alone = engine.instant(rule, AT).is_ok();
            assert_eq!(
                session.instant(rule, AT).is_ok(),
                alone,
                "{rule} {max_samples}"
            );
        }
    }
}
