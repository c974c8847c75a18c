//! How long 10,000 different rules take over 100,000 series, 20 samples each.
//!
//! `cargo bench --bench promql` prints the time of one pass over all rules, parsing left out,
//! best of five, and the rules per second that it makes. The source is the daemon's own store with
//! the selection that these rules make.

#![expect(clippy::print_stdout, reason = "a bench prints its numbers")]

use std::sync::Arc;

use loadline::clock::Clock;
use loadline::model::labels::NAME;
use loadline::model::{Batch, Labels, Querier, Ref, Selection, TargetKey, Timestamp, Value};
use loadline::promql::{self, Engine, EngineOptions};
use loadline::store::Store;

const JOBS: usize = 10_000;
const SERIES_PER_JOB: usize = 10;
const SAMPLES: i64 = 20;
const STEP: i64 = 15_000;

/// The store that the daemon uses, with the selection that these rules make.
fn source(rules: &[String]) -> Store {
    let store = Store::new(JOBS * SERIES_PER_JOB);
    let exprs = rules.iter().filter_map(|r| promql::parse(r).ok());
    let needs = exprs.flat_map(|e| e.needs()).collect();
    store.select_only(Arc::new(Selection::new(1, needs)));
    for i in 0..SAMPLES {
        let mut batch = Batch::new(TargetKey(Arc::from("bench")), Timestamp(i * STEP));
        for n in 0..JOBS * SERIES_PER_JOB {
            let number = Ref(u32::try_from(n).unwrap_or(u32::MAX));
            let (job, instance) = (n / SERIES_PER_JOB, n % SERIES_PER_JOB);
            if i == 0 {
                let labels = Labels::from_pairs([
                    (NAME, "m".to_owned()),
                    ("instance", format!("host{instance}:9100")),
                    ("job", format!("j{job}")),
                ]);
                batch.new.push((number, labels));
            }
            let value = i as f64 * (1.0 + instance as f64);
            batch.samples.push((number, batch.at, value));
        }
        store.append(&batch);
    }
    store
}

fn main() {
    let rules: Vec<String> = (0..JOBS)
        .map(|j| format!("sum by (instance) (rate(m{{job=\"j{j}\"}}[5m])) > 0.3"))
        .collect();
    let engine = Engine::new(Arc::new(source(&rules)), EngineOptions::default());
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
