//! How long 10,000 different rules take over 100,000 series, 20 samples each.
//!
//! `cargo bench --bench promql` prints the CPU time of one pass over all rules, parsing left out,
//! best of five, and the rules per second that it makes; the same for rules of which ten each
//! differ in their threshold only, alone and as one group; and what a pass costs by the samples it
//! reads; the same with each selector read whole first. The source is the daemon's own store with the selection that these rules make.
//!
//! `-- --jobs N` takes another number of rules, `-- --values N` also prints the values of the
//! first N, to be compared with another engine's.

#![expect(clippy::print_stdout, reason = "a bench prints its numbers")]

use std::sync::Arc;
use std::time::Duration;

use loadline::model::labels::NAME;
use loadline::model::{
    Batch, Labels, Matcher, Querier, Ref, Selection, Series, SeriesSource, TargetKey, Timestamp,
    Value,
};
use loadline::promql::{self, Engine, EngineOptions};
use loadline::store::Store;

const SERIES_PER_JOB: usize = 10;
const STEP: i64 = 15_000;

/// The store that the daemon uses, with the selection that these rules make.
fn source(rules: &[String], jobs: usize, samples: i64) -> Store {
    let store = Store::new(jobs * SERIES_PER_JOB);
    let exprs = rules.iter().filter_map(|r| promql::parse(r).ok());
    let needs = exprs.flat_map(|e| e.needs()).collect();
    store.select_only(Arc::new(Selection::new(1, needs)));
    for i in 0..samples {
        let mut batch = Batch::new(TargetKey(Arc::from("bench")), Timestamp(i * STEP));
        for n in 0..jobs * SERIES_PER_JOB {
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

/// A store that does not show its series one at a time.
struct Whole(Store);

impl SeriesSource for Whole {
    fn select(&self, matchers: &[Matcher], from: Timestamp, to: Timestamp) -> Vec<Series> {
        self.0.select(matchers, from, to)
    }
}

/// CPU time of this thread so far, where the system tells it.
fn cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = text.split(' ').next().and_then(|n| n.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}

/// CPU time of one pass over the rules, best of five, and the elements that it gave.
fn pass(querier: &dyn Querier, rules: &[String], at: Timestamp) -> (Duration, usize) {
    let mut best = Duration::MAX;
    let mut elements = 0;
    for _ in 0..5 {
        let start = cpu();
        elements = 0;
        for rule in rules {
            match querier.instant(rule, at) {
                Ok(answer) => {
                    if let Value::Vector(v) = answer.value {
                        elements += v.len();
                    }
                }
                Err(e) => println!("{rule}: {e}"),
            }
        }
        best = best.min(cpu() - start);
    }
    (best, elements)
}

/// The number after `flag` on the command line.
fn argument(flag: &str) -> Option<usize> {
    let mut args = std::env::args().skip_while(|a| a != flag);
    args.nth(1).and_then(|v| v.parse().ok())
}

fn main() {
    let jobs = argument("--jobs").unwrap_or(10_000);
    let rules: Vec<String> = (0..jobs)
        .map(|j| format!("sum by (instance) (rate(m{{job=\"j{j}\"}}[5m])) > 0.3"))
        .collect();
    let at = Timestamp(19 * STEP);
    let engine = Engine::new(Arc::new(source(&rules, jobs, 20)), EngineOptions::default());
    for rule in &rules {
        // Parsed once, when the rules are loaded.
        drop(engine.instant(rule, at));
    }
    let (best, elements) = pass(&engine, &rules, at);
    println!(
        "{jobs} rules, {} series, 20 samples each: {best:?} a pass, {:.0} rules/s, {elements} \
         elements",
        jobs * SERIES_PER_JOB,
        jobs as f64 / best.as_secs_f64()
    );
    println!("cpu_ms {:.3}", best.as_secs_f64() * 1000.0);
    let whole = Arc::new(Whole(source(&rules, jobs, 20)));
    let whole = Engine::new(whole, EngineOptions::default());
    let (best, _) = pass(&whole, &rules, at);
    println!("the same, each selector read whole first: {best:?} a pass");
    drop(whole);

    let equal: Vec<String> = (0..jobs)
        .map(|i| {
            format!(
                "sum by (instance) (rate(m{{job=\"j{}\"}}[5m])) > 0.{}",
                i / 10,
                i % 10
            )
        })
        .collect();
    let (alone, _) = pass(&engine, &equal, at);
    let texts: Vec<&str> = equal.iter().map(String::as_str).collect();
    let mut best = Duration::MAX;
    for _ in 0..5 {
        let start = cpu();
        if let Some(session) = engine.session(&texts) {
            for rule in &texts {
                drop(session.instant(rule, at));
            }
        }
        best = best.min(cpu() - start);
    }
    println!("ten thresholds for each expression: {alone:?} alone, {best:?} as one group");

    for samples in [20, 40, 80, 160] {
        let few = jobs.min(1000);
        let ranged: Vec<String> = (0..few)
            .map(|j| format!("sum(rate(m{{job=\"j{j}\"}}[{}s])) > 0.3", samples * 15))
            .collect();
        let source = Arc::new(source(&ranged, few, samples));
        let engine = Engine::new(source, EngineOptions::default());
        let (best, _) = pass(&engine, &ranged, Timestamp((samples - 1) * STEP));
        let read = few as i64 * SERIES_PER_JOB as i64 * samples;
        println!(
            "{read} samples read: {best:?}, {:.1} ns a sample",
            best.as_nanos() as f64 / read as f64
        );
    }

    for job in 0..argument("--values").unwrap_or(0).min(jobs) {
        let expr = format!("sum by (instance) (rate(m{{job=\"j{job}\"}}[5m]))");
        let answer = engine.instant(&expr, at).ok();
        let elements = answer.and_then(loadline::model::Answer::into_vector);
        for e in elements.unwrap_or_default() {
            let rounded = format!("{:.8e}", e.value).parse().unwrap_or(e.value);
            println!("value {job} {} {rounded}", e.labels.get("instance"));
        }
    }
}
