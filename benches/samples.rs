//! What a pass over the samples costs: 116,000 series of 200 targets, asked every 5 s, kept for
//! 6 minutes, as with eight rules over 200,000 exposed series.
//!
//! `cargo bench --bench samples` prints the milliseconds of one pass of 30 s (best of five) with
//! the nanoseconds and the bytes that a sample takes, and the time to read a full window again.
//! Of ten series four are counters that move by whole numbers, three do not move, two are gauges
//! with fractions, one is a whole number that jumps.

#![expect(clippy::print_stdout, reason = "a bench prints its numbers")]

use std::sync::Arc;
use std::time::Duration;

use loadline::clock::Clock;
use loadline::history::{Loader, Pass, SeriesTail, Writer};
use loadline::model::labels::NAME;
use loadline::model::{Batch, Labels, Matcher, Ref, Selection, TargetKey, Timestamp, selection};
use loadline::store::Store;

const TARGETS: u32 = 200;
const SERIES: u32 = 580;
const STEP: i64 = 5_000;
const A_PASS: i64 = 6;
const WINDOW: i64 = 72;

fn store() -> Store {
    let store = Store::new((TARGETS * SERIES) as usize);
    let need = selection::Need {
        matchers: vec![Matcher::equal(NAME, "m")],
        window: Duration::from_secs(300),
    };
    store.select_only(Arc::new(Selection::new(1, vec![need])));
    store
}

fn value(series: u32, tick: i64) -> f64 {
    let n = f64::from(series);
    let t = tick as f64;
    match series % 10 {
        0..=3 => 1_000.0 * n + (n + 1.0) * t + (tick % 3) as f64,
        4..=6 => n,
        7 | 8 => (n + (t / 7.0).sin()) / 3.0,
        _ => ((tick * 7919) % 1000) as f64,
    }
}

fn scrape(store: &Store, tick: i64) {
    for target in 0..TARGETS {
        let at = Timestamp(tick * STEP + i64::from(target) * 20);
        let mut batch = Batch::new(TargetKey(Arc::from(format!("t{target}"))), at);
        for n in 0..SERIES {
            if tick == 0 {
                let labels = Labels::from_pairs([
                    (NAME, "m".to_owned()),
                    ("instance", format!("host{target}:9100")),
                    ("job", "node".to_owned()),
                    ("device", format!("dev{}", n % 20)),
                    ("mode", format!("mode{}", n / 20)),
                ]);
                batch.new.push((Ref(n), labels));
            }
            batch.samples.push((Ref(n), at, value(n, tick)));
        }
        store.append(&batch);
    }
}

fn pass(store: &Store, writer: &mut Writer, now: Timestamp) -> Pass {
    store.visit(&mut |kept| {
        writer.take(&SeriesTail {
            place: kept.place,
            born: kept.born,
            window: kept.window,
            labels: kept.labels,
            floats: kept.floats,
            histograms: kept.histograms,
        });
    });
    let pass = writer.finish(now);
    writer.committed();
    pass
}

fn main() {
    let clock = Clock::system();
    let store = store();
    let mut writer = Writer::default();
    let mut passes = Vec::new();
    let mut best = Duration::MAX;
    let mut bytes = 0;
    for tick in 0..2 * WINDOW {
        scrape(&store, tick);
        if tick % A_PASS == A_PASS - 1 {
            let stopwatch = clock.stopwatch();
            let done = pass(&store, &mut writer, Timestamp(tick * STEP));
            // The first ones have names, and windows that are not full.
            if tick > WINDOW {
                best = best.min(stopwatch.elapsed());
                bytes = done.bytes();
            }
            passes.push(done);
        }
    }
    let samples = f64::from(TARGETS * SERIES) * A_PASS as f64;
    println!(
        "pass: {:.1} ms, {:.0} ns and {:.2} bytes a sample",
        best.as_secs_f64() * 1e3,
        best.as_secs_f64() * 1e9 / samples,
        bytes as f64 / samples
    );
    let fresh = self::store();
    let stopwatch = clock.stopwatch();
    let mut loader = Loader::default();
    for names in passes.iter().filter_map(|p| p.names.as_ref()) {
        loader
            .names(names, &mut |labels| fresh.take_back(labels))
            .expect("names come back");
    }
    let blocks = passes.iter().flat_map(|p| &p.blocks);
    for block in blocks.skip((WINDOW / A_PASS) as usize) {
        loader
            .block(&block.body, &mut |read| {
                fresh.give_back(read.place, read.floats, read.histograms);
            })
            .expect("samples come back");
    }
    println!(
        "reading: {:.0} ms for {} samples of {} series",
        stopwatch.elapsed().as_secs_f64() * 1e3,
        loader.samples(),
        fresh.series()
    );
}
