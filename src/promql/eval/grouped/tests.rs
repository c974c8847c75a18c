use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::model::labels::NAME;
use crate::model::{
    Grouped, Histogram, HistogramSeries, Labels, Matcher, Sample, Series, SeriesSource, Shown,
    Timestamp, stale_nan,
};
use crate::promql::{Engine, EngineOptions};
use crate::store::Store;

/// A store that counts how it is read, and can be made to show nothing one at a time.
struct Watched {
    store: Store,
    one_at_a_time: bool,
    whole: AtomicUsize,
}

impl SeriesSource for Watched {
    fn select(&self, matchers: &[Matcher], from: Timestamp, to: Timestamp) -> Vec<Series> {
        self.whole.fetch_add(1, Ordering::Relaxed);
        self.store.select(matchers, from, to)
    }

    fn select_while(
        &self,
        matchers: &[Matcher],
        from: Timestamp,
        to: Timestamp,
        go_on: &mut dyn FnMut(usize) -> bool,
    ) -> Vec<Series> {
        self.whole.fetch_add(1, Ordering::Relaxed);
        self.store.select_while(matchers, from, to, go_on)
    }

    fn each_grouped(
        &self,
        what: &Grouped<'_>,
        go_on: &mut dyn FnMut(usize) -> bool,
        take: &mut dyn FnMut(Shown<'_>) -> bool,
    ) -> bool {
        self.one_at_a_time && self.store.each_grouped(what, go_on, take)
    }

    fn select_histograms(
        &self,
        matchers: &[Matcher],
        from: Timestamp,
        to: Timestamp,
    ) -> Vec<HistogramSeries> {
        self.store.select_histograms(matchers, from, to)
    }
}

const AT: Timestamp = Timestamp(300_000);

/// Counters that reset, gauges, a series that ended, one with a single sample, one with a
/// histogram and one with a type.
fn source(one_at_a_time: bool) -> Arc<Watched> {
    let store = Store::new(1_000);
    for (i, le) in ["0.1", "1", "+Inf"].into_iter().enumerate() {
        for (job, instance) in [("x", "a"), ("y", "a"), ("x", "b"), ("y", "c")] {
            for name in ["requests_total", "busy", "typed_total", "mixed_total"] {
                let mut pairs = vec![(NAME, name), ("job", job), ("instance", instance)];
                pairs.push(("le", le));
                if name == "typed_total" && i == 1 {
                    pairs.push(("__type__", "counter"));
                }
                let labels = Labels::from_pairs(pairs);
                for n in 0..20_u32 {
                    let v = f64::from(n % (7 + n % 3)) * 0.1 * (i as f64 + 1.7);
                    let ended = instance == "b" && n == 15;
                    let v = if ended { stale_nan() } else { v };
                    let t = Timestamp(i64::from(n) * 15_000);
                    if instance != "c" || n == 19 {
                        store.record(&labels, Sample { t, v });
                    }
                }
                if name == "mixed_total" && i == 2 {
                    let h = Arc::new(Histogram::default());
                    store.record_histogram(&labels, AT, &h);
                }
            }
        }
    }
    Arc::new(Watched {
        store,
        one_at_a_time,
        whole: AtomicUsize::new(0),
    })
}

fn expressions() -> Vec<String> {
    let mut all = Vec::new();
    for metric in ["requests_total", "busy", "mixed_total", "none"] {
        for op in [
            "sum", "avg", "count", "group", "min", "max", "stddev", "stdvar",
        ] {
            for by in [
                "",
                "by (job)",
                "by (le, job, absent)",
                "without (le)",
                "by (__name__)",
            ] {
                for function in ["rate", "increase", "delta", "irate", "max_over_time"] {
                    all.push(format!("{op} {by} ({function}({metric}[4m]))"));
                }
            }
        }
    }
    for special in [
        "histogram_quantile(0.9, sum by (le) (rate(requests_total[4m] offset 30s)))",
        "sum(rate(requests_total{job=~\"x|y\",le!=\"1\"}[2m])) / sum(rate(busy[1m]))",
        "sum by (job) ((last_over_time(busy[4m])))",
        "sum(rate(requests_total[2m] @ 200))",
        "max_over_time(sum(rate(requests_total[1m]))[2m:15s])",
        "sum(count_over_time({__name__=~\"busy|requests_total\"}[3m]))",
        "scalar(sum(rate(requests_total[4m])))",
        "sum(rate(typed_total[4m]))",
    ] {
        all.push(special.to_owned());
    }
    all
}

fn engine(source: &Arc<Watched>, max_samples: usize) -> Engine {
    let options = EngineOptions {
        max_samples,
        ..EngineOptions::default()
    };
    Engine::new(Arc::clone(source) as _, options)
}

#[test]
fn an_aggregation_while_reading_is_the_one_after_reading_to_the_last_bit() {
    let (one, whole) = (source(true), source(false));
    for expr in expressions() {
        let (a, b) = (engine(&one, 5_000_000), engine(&whole, 5_000_000));
        let (a, b) = (a.evaluate(&expr, AT), b.evaluate(&expr, AT));
        assert_eq!(format!("{a:?}"), format!("{b:?}"), "{expr}");
    }
}

#[test]
fn limits_are_the_same_however_series_are_read() {
    let (one, whole) = (source(true), source(false));
    for expr in [
        "sum by (job) (rate(requests_total[4m]))",
        "histogram_quantile(0.9, sum by (le) (rate(requests_total[4m])))",
    ] {
        let mut refused = 0;
        for limit in (1..400).step_by(3) {
            let (a, b) = (engine(&one, limit), engine(&whole, limit));
            let (a, b) = (a.evaluate(expr, AT), b.evaluate(expr, AT));
            refused += usize::from(a.is_err());
            assert_eq!(format!("{a:?}"), format!("{b:?}"), "{expr} at {limit}");
        }
        assert!((1..133).contains(&refused), "{refused}");
    }
}

#[test]
fn only_what_cannot_be_taken_one_at_a_time_is_read_whole() {
    let whole_reads = |expr: &str| {
        let source = source(true);
        engine(&source, 5_000_000).evaluate(expr, AT).ok();
        source.whole.load(Ordering::Relaxed)
    };
    assert_eq!(whole_reads("sum by (job) (rate(requests_total[4m]))"), 0);
    assert_eq!(
        whole_reads("histogram_quantile(0.9, sum by (le) (rate(busy[4m]))) > 1"),
        0
    );
    assert_eq!(whole_reads("sum(rate(mixed_total[4m]))"), 1);
    assert_eq!(whole_reads("rate(busy[4m])"), 1);
}
