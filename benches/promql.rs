//! How long 10,000 different rules take over 100,000 series, 20 samples each.
//!
//! `cargo bench --bench promql` prints the time of one pass over all rules, parsing left out,
//! best of five, and the rules per second that it makes. The source is an index by job that hands
//! out copies, so what is measured is the engine.

#![expect(clippy::print_stdout, reason = "a bench prints its numbers")]

use std::collections::BTreeMap;
use std::sync::Arc;

use loadline::clock::Clock;
use loadline::model::labels::NAME;
use loadline::model::{
    Labels, MatchOp, Matcher, Querier, Sample, Series, SeriesSource, Timestamp, Value,
};
use loadline::promql::{Engine, EngineOptions};

const JOBS: usize = 10_000;
const SERIES_PER_JOB: usize = 10;
const SAMPLES: i64 = 20;
const STEP: i64 = 15_000;

struct ByJob(BTreeMap<String, Vec<Series>>);

impl SeriesSource for ByJob {
    fn select(&self, matchers: &[Matcher], from: Timestamp, to: Timestamp) -> Vec<Series> {
        let job = matchers
            .iter()
            .find(|m| m.name == "job" && m.op == MatchOp::Equal);
        let series = job.and_then(|m| self.0.get(&m.value));
        series
            .into_iter()
            .flatten()
            .filter(|s| matchers.iter().all(|m| m.matches_labels(&s.labels)))
            .map(|s| {
                let start = s.samples.partition_point(|p| p.t <= from);
                let end = s.samples.partition_point(|p| p.t <= to);
                Series {
                    labels: s.labels.clone(),
                    samples: s.samples[start..end.max(start)].to_vec(),
                }
            })
            .collect()
    }
}

fn source() -> ByJob {
    let series = |job: usize, instance: usize| Series {
        labels: Labels::from_pairs([
            (NAME, "m".to_owned()),
            ("instance", format!("host{instance}:9100")),
            ("job", format!("j{job}")),
        ]),
        samples: (0..SAMPLES)
            .map(|i| Sample {
                t: Timestamp(i * STEP),
                v: i as f64 * (1.0 + instance as f64),
            })
            .collect(),
    };
    ByJob(
        (0..JOBS)
            .map(|job| {
                let all = (0..SERIES_PER_JOB).map(|i| series(job, i)).collect();
                (format!("j{job}"), all)
            })
            .collect(),
    )
}

fn main() {
    let rules: Vec<String> = (0..JOBS)
        .map(|j| format!("sum by (instance) (rate(m{{job=\"j{j}\"}}[5m])) > 0.3"))
        .collect();
    let engine = Engine::new(Arc::new(source()), EngineOptions::default());
    let at = Timestamp((SAMPLES - 1) * STEP);
    let clock = Clock::system();
    let pass = || {
        let start = clock.now();
        let mut elements = 0;
        for rule in &rules {
            match engine.instant(rule, at) {
                Ok(answer) => {
                    if let Value::Vector(v) = answer.value {
                        elements += v.len();
                    }
                }
                Err(e) => println!("{rule}: {e}"),
            }
        }
        (clock.now().since(start), elements)
    };
    let (first, elements) = pass();
    let best = (0..5).map(|_| pass().0).min().unwrap_or(first);
    println!(
        "{JOBS} rules, {} series, {} samples: {first:?} with parsing, then {best:?} a pass, \
         {:.0} rules/s, {elements} elements",
        JOBS * SERIES_PER_JOB,
        JOBS * SERIES_PER_JOB * 20,
        JOBS as f64 / best.as_secs_f64()
    );
}
