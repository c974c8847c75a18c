//! Our own counters and gauges, and the text that Prometheus reads.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Most label sets of one family; further ones are counted and not kept.
pub const MOST_LABEL_SETS: usize = 1000;

/// Only grows.
#[derive(Debug, Clone)]
pub struct Counter(Arc<AtomicU64>);

impl Counter {
    /// One more.
    pub fn inc(&self) {
        self.add(1);
    }

    /// `n` more.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// The count so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Goes up and down; not shown before it was set.
#[derive(Debug, Clone)]
pub struct Gauge(Arc<AtomicU64>);

impl Gauge {
    /// Sets the value; NaN hides it.
    pub fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }

    /// The value; NaN before it was set.
    pub fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }
}

/// Counters of one name, told apart by `N` labels.
#[derive(Debug, Clone)]
pub struct Counters<const N: usize>(Family);

impl<const N: usize> Counters<N> {
    /// The counter of these label values, in the order of the declaration.
    pub fn with(&self, values: [&str; N]) -> Counter {
        Counter(self.0.child(&values, 0))
    }
}

/// Gauges of one name, told apart by `N` labels.
#[derive(Debug, Clone)]
pub struct Gauges<const N: usize>(Family);

impl<const N: usize> Gauges<N> {
    /// The gauge of these label values, in the order of the declaration.
    pub fn with(&self, values: [&str; N]) -> Gauge {
        Gauge(self.0.child(&values, f64::NAN.to_bits()))
    }

    /// Replaces all gauges of the family, so that what is gone is not shown any more.
    pub fn set_all<'v>(&self, values: impl IntoIterator<Item = ([&'v str; N], f64)>) {
        let values = values.into_iter().map(|(labels, value)| {
            let labels = labels.iter().map(|l| (*l).to_owned()).collect();
            (labels, Arc::new(AtomicU64::new(value.to_bits())))
        });
        let mut next: BTreeMap<Vec<String>, _> = values.collect();
        let over = next.len().saturating_sub(MOST_LABEL_SETS);
        for _ in 0..over {
            next.pop_last();
        }
        self.0.dropped.fetch_add(over as u64, Ordering::Relaxed);
        let mut children = self
            .0
            .children
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *children = next;
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
}

/// A metric's name and its values by label values.
#[derive(Debug, Clone)]
struct Family {
    name: &'static str,
    help: &'static str,
    kind: Kind,
    labels: &'static [&'static str],
    children: Arc<Mutex<BTreeMap<Vec<String>, Arc<AtomicU64>>>>,
    dropped: Arc<AtomicU64>,
}

impl Family {
    fn child(&self, values: &[&str], start: u64) -> Arc<AtomicU64> {
        let mut children = self.children.lock().unwrap_or_else(PoisonError::into_inner);
        let key: Vec<String> = values.iter().map(|v| (*v).to_owned()).collect();
        if let Some(child) = children.get(&key) {
            return Arc::clone(child);
        }
        let child = Arc::new(AtomicU64::new(start));
        if children.len() < MOST_LABEL_SETS {
            children.insert(key, Arc::clone(&child));
        } else {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        child
    }

    fn render(&self, out: &mut String) {
        let children = self.children.lock().unwrap_or_else(PoisonError::into_inner);
        let mut lines = String::new();
        for (values, bits) in children.iter() {
            let bits = bits.load(Ordering::Relaxed);
            let value = match self.kind {
                Kind::Counter => bits.to_string(),
                Kind::Gauge => match f64::from_bits(bits) {
                    v if v.is_nan() => continue,
                    v if v.is_infinite() => if v > 0.0 { "+Inf" } else { "-Inf" }.to_owned(),
                    v => v.to_string(),
                },
            };
            lines.push_str(self.name);
            for (i, (label, value)) in self.labels.iter().zip(values).enumerate() {
                let open = if i == 0 { '{' } else { ',' };
                let _ = write!(lines, "{open}{label}=\"{}\"", escape(value));
            }
            let close = if self.labels.is_empty() { "" } else { "}" };
            let _ = writeln!(lines, "{close} {value}");
        }
        if !lines.is_empty() {
            let kind = match self.kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
            };
            let name = self.name;
            let _ = writeln!(out, "# HELP {name} {}\n# TYPE {name} {kind}", self.help);
            out.push_str(&lines);
        }
    }
}

fn escape(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[derive(Debug, Default)]
struct Registry {
    families: Vec<Family>,
    dropped: Arc<AtomicU64>,
}

impl Registry {
    fn family(
        &mut self,
        name: &'static str,
        help: &'static str,
        kind: Kind,
        labels: &'static [&'static str],
    ) -> Family {
        let family = Family {
            name,
            help,
            kind,
            labels,
            children: Arc::default(),
            dropped: Arc::clone(&self.dropped),
        };
        self.families.push(family.clone());
        family
    }

    fn sorted(mut self) -> Self {
        self.families.sort_by_key(|f| f.name);
        self
    }

    fn counter(&mut self, name: &'static str, help: &'static str) -> Counter {
        Counter(self.family(name, help, Kind::Counter, &[]).child(&[], 0))
    }

    fn gauge(&mut self, name: &'static str, help: &'static str) -> Gauge {
        let family = self.family(name, help, Kind::Gauge, &[]);
        Gauge(family.child(&[], f64::NAN.to_bits()))
    }

    fn counters<const N: usize>(
        &mut self,
        name: &'static str,
        labels: &'static [&'static str; N],
        help: &'static str,
    ) -> Counters<N> {
        Counters(self.family(name, help, Kind::Counter, labels))
    }

    fn gauges<const N: usize>(
        &mut self,
        name: &'static str,
        labels: &'static [&'static str; N],
        help: &'static str,
    ) -> Gauges<N> {
        Gauges(self.family(name, help, Kind::Gauge, labels))
    }
}

/// Every metric of the daemon; what was never touched is not shown.
#[derive(Debug)]
pub struct Metrics {
    /// 1 when the config in force is the one last read.
    pub config_last_reload_successful: Gauge,
    /// Unix time of the last good read.
    pub config_last_reload_success_timestamp_seconds: Gauge,
    /// Passes over sources by kind and outcome: ok, partial, failed.
    pub source_passes_total: Counters<2>,
    /// Looks of discovery, by kind and outcome.
    pub discovery_refreshes_total: Counters<2>,
    /// Failed scrapes by reason.
    pub scrape_failures_total: Counters<1>,
    /// Bad exposition lines by reason.
    pub scrape_bad_lines_total: Counters<1>,
    /// Samples left out by reason.
    pub scrape_samples_dropped_total: Counters<1>,
    /// Targets by job: scraped and dropped by a rule.
    pub scrape_targets: Gauges<2>,
    /// Slots of sources that passed while the pass before still ran.
    pub source_slots_missed_total: Counters<1>,
    /// Series in memory.
    pub store_series: Gauge,
    /// Series that wait because the store is full.
    pub store_series_refused: Gauge,
    /// Bytes of labels and samples in memory.
    pub store_bytes: Gauge,
    /// Samples taken in.
    pub store_samples_appended_total: Counter,
    /// Samples refused, by the bound that bit.
    pub store_samples_dropped_total: Counters<1>,
    /// Bytes in use in the samples file.
    pub samples_file_bytes: Gauge,
    /// Bytes written to the samples file.
    pub samples_file_written_bytes_total: Counter,
    /// Passes that did not get into the samples file.
    pub samples_file_failures_total: Counter,
    /// Blocks that the samples file had no room for.
    pub samples_file_forgotten_total: Counter,
    /// Seconds that the last pass took.
    pub samples_file_last_write_seconds: Gauge,
    /// Duration of the last evaluation, by rule group.
    pub rule_group_last_duration_seconds: Gauges<1>,
    /// Evaluations, by rule group.
    pub rule_group_iterations_total: Counters<1>,
    /// Evaluations that were due while the one before still ran.
    pub rule_group_iterations_missed_total: Counters<1>,
    /// Rules that could not be evaluated, by rule group.
    pub rule_evaluation_failures_total: Counters<1>,
    /// Rules by how they stand.
    pub rules: Gauges<1>,
    /// Alert instances by state.
    pub alerts: Gauges<1>,
    /// 1 for each source that gives no answer.
    pub blind: Gauges<1>,
    /// 1 for the step named now, by system.
    pub next_step_info: Gauges<2>,
    /// Days to each limit, by limit, signal and quantile; 0 when it is passed.
    pub runway_days: Gauges<3>,
    /// Messages delivered, by endpoint.
    pub notifications_total: Counters<1>,
    /// Failed attempts, by endpoint.
    pub notifications_failed_total: Counters<1>,
    /// Notices by endpoint and by what became of them: enqueued is the sum of the others.
    pub outbox_notices: Gauges<2>,
    /// Messages that wait.
    pub outbox_length: Gauge,
    /// Age of the oldest message that waits.
    pub outbox_oldest_seconds: Gauge,
    /// Panics by task; each task was started again.
    pub task_panics_total: Counters<1>,
    /// Times the wall clock stepped, or the machine slept, by which.
    pub clock_jumps_total: Counters<1>,
    /// Heartbeats told, by outcome: ok, failed.
    pub heartbeats_total: Counters<1>,
    /// 1 while the disk of the state has no room left.
    pub state_short_of_room: Gauge,
    /// Evaluations that a full disk keeps from being written.
    pub state_unwritten: Gauge,
    registry: Registry,
}

impl Metrics {
    /// All metrics of this version of the program.
    pub fn new(version: &str) -> Self {
        let mut r = Registry::default();
        r.gauges("loadline_build_info", &["version"], "The running version.")
            .with([version])
            .set(1.0);
        Metrics {
            config_last_reload_successful: r.gauge(
                "loadline_config_last_reload_successful",
                "1 when the config in force is the one last read.",
            ),
            config_last_reload_success_timestamp_seconds: r.gauge(
                "loadline_config_last_reload_success_timestamp_seconds",
                "Unix time of the last good read of the config.",
            ),
            discovery_refreshes_total: r.counters(
                "loadline_discovery_refreshes_total",
                &["kind", "outcome"],
                "Looks for targets in files, at HTTP endpoints and in DNS.",
            ),
            scrape_failures_total: r.counters(
                "loadline_scrape_failures_total",
                &["reason"],
                "Failed scrapes.",
            ),
            scrape_bad_lines_total: r.counters(
                "loadline_scrape_bad_lines_total",
                &["reason"],
                "Exposition lines that were left out.",
            ),
            scrape_samples_dropped_total: r.counters(
                "loadline_scrape_samples_dropped_total",
                &["reason"],
                "Scraped samples that were left out.",
            ),
            scrape_targets: r.gauges(
                "loadline_scrape_targets",
                &["job", "state"],
                "Targets that are scraped, or dropped by a relabelling rule.",
            ),
            source_passes_total: r.counters(
                "loadline_source_passes_total",
                &["kind", "outcome"],
                "Passes over sources; outcome is ok, partial or failed.",
            ),
            source_slots_missed_total: r.counters(
                "loadline_source_slots_missed_total",
                &["kind"],
                "Slots that passed while the pass before still ran.",
            ),
            store_series: r.gauge("loadline_store_series", "Series in memory."),
            store_series_refused: r.gauge(
                "loadline_store_series_refused",
                "Series that wait because the store is full.",
            ),
            store_bytes: r.gauge(
                "loadline_store_bytes",
                "Bytes of labels and samples in memory.",
            ),
            store_samples_appended_total: r
                .counter("loadline_store_samples_appended_total", "Samples taken in."),
            store_samples_dropped_total: r.counters(
                "loadline_store_samples_dropped_total",
                &["reason"],
                "Samples refused, by the bound that bit.",
            ),
            samples_file_bytes: r.gauge(
                "loadline_samples_file_bytes",
                "Bytes in use in the samples file.",
            ),
            samples_file_written_bytes_total: r.counter(
                "loadline_samples_file_written_bytes_total",
                "Bytes written to the samples file.",
            ),
            samples_file_failures_total: r.counter(
                "loadline_samples_file_failures_total",
                "Passes that did not get into the samples file.",
            ),
            samples_file_forgotten_total: r.counter(
                "loadline_samples_file_forgotten_total",
                "Blocks that the samples file had no room for.",
            ),
            samples_file_last_write_seconds: r.gauge(
                "loadline_samples_file_last_write_seconds",
                "Seconds that the last pass over the samples took.",
            ),
            rule_group_last_duration_seconds: r.gauges(
                "loadline_rule_group_last_duration_seconds",
                &["rule_group"],
                "Duration of the last evaluation.",
            ),
            rule_group_iterations_total: r.counters(
                "loadline_rule_group_iterations_total",
                &["rule_group"],
                "Evaluations.",
            ),
            rule_group_iterations_missed_total: r.counters(
                "loadline_rule_group_iterations_missed_total",
                &["rule_group"],
                "Evaluations that were due while the one before still ran.",
            ),
            rule_evaluation_failures_total: r.counters(
                "loadline_rule_evaluation_failures_total",
                &["rule_group"],
                "Rules that could not be evaluated.",
            ),
            rules: r.gauges(
                "loadline_rules",
                &["health"],
                "Rules; health is ok, err, blind or warming.",
            ),
            alerts: r.gauges("loadline_alerts", &["state"], "Alert instances."),
            blind: r.gauges(
                "loadline_blind",
                &["source"],
                "1 for a source without an answer.",
            ),
            next_step_info: r.gauges(
                "loadline_next_step_info",
                &["system", "step"],
                "1 for the step that is named now.",
            ),
            runway_days: r.gauges(
                "loadline_runway_days",
                &["limit", "signal", "quantile"],
                "Days until a limit is reached; 0 when it is passed, absent when it is not in sight.",
            ),
            notifications_total: r.counters(
                "loadline_notifications_total",
                &["endpoint"],
                "Messages delivered.",
            ),
            notifications_failed_total: r.counters(
                "loadline_notifications_failed_total",
                &["endpoint"],
                "Failed attempts to send.",
            ),
            outbox_notices: r.gauges(
                "loadline_outbox_notices",
                &["endpoint", "state"],
                "Notices: enqueued = delivered + folded + dead + pending.",
            ),
            outbox_length: r.gauge("loadline_outbox_length", "Messages that wait."),
            outbox_oldest_seconds: r.gauge(
                "loadline_outbox_oldest_seconds",
                "Age of the oldest message that waits.",
            ),
            task_panics_total: r.counters(
                "loadline_task_panics_total",
                &["task"],
                "Panics; each task was started again.",
            ),
            clock_jumps_total: r.counters(
                "loadline_clock_jumps_total",
                &["kind"],
                "Times the wall clock stepped or the process stood still; kind is step or pause.",
            ),
            heartbeats_total: r.counters(
                "loadline_heartbeats_total",
                &["outcome"],
                "Heartbeats told; outcome is ok or failed.",
            ),
            state_short_of_room: r.gauge(
                "loadline_state_short_of_room",
                "1 while the disk of the state has no room left.",
            ),
            state_unwritten: r.gauge(
                "loadline_state_unwritten",
                "Evaluations that a full disk keeps from being written.",
            ),
            registry: r.sorted(),
        }
    }

    /// Text format 0.0.4, families and label sets in order.
    pub fn render(&self) -> String {
        let mut out = String::new();
        for family in &self.registry.families {
            family.render(&mut out);
        }
        let dropped = self.registry.dropped.load(Ordering::Relaxed);
        let name = "loadline_metrics_label_sets_dropped_total";
        let _ = writeln!(
            out,
            "# HELP {name} Label sets over the bound of {MOST_LABEL_SETS} a family.\n\
             # TYPE {name} counter\n{name} {dropped}"
        );
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_touched_is_shown_in_order() {
        let m = Metrics::new("1.2.3");
        m.outbox_length.set(2.0);
        m.alerts.set_all([(["firing"], 1.0), (["pending"], 0.0)]);
        m.notifications_failed_total.with(["a\"b\\c\nd"]).add(3);
        m.notifications_failed_total.with(["a\"b\\c\nd"]).inc();
        m.outbox_oldest_seconds.set(f64::INFINITY);
        let text = m.render();
        let wanted = [
            "# HELP loadline_alerts Alert instances.\n# TYPE loadline_alerts gauge\n\
             loadline_alerts{state=\"firing\"} 1\nloadline_alerts{state=\"pending\"} 0\n",
            "# TYPE loadline_build_info gauge\nloadline_build_info{version=\"1.2.3\"} 1\n",
            "loadline_notifications_failed_total{endpoint=\"a\\\"b\\\\c\\nd\"} 4\n",
            "loadline_outbox_length 2\n",
            "loadline_outbox_oldest_seconds +Inf\n",
        ];
        let mut at = 0;
        for want in wanted {
            let found = text[at..].find(want);
            at += found.unwrap_or_else(|| panic!("{want} not in order in {text}"));
        }
        assert!(!text.contains("loadline_blind"), "{text}");
        assert!(!text.contains("loadline_store_series"), "{text}");
    }

    #[test]
    fn gauges_that_are_gone_are_not_shown() {
        let m = Metrics::new("1");
        m.blind.set_all([(["a"], 1.0), (["b"], 1.0)]);
        m.blind.set_all([(["b"], 1.0)]);
        let text = m.render();
        assert!(
            text.contains("source=\"b\"") && !text.contains("source=\"a\""),
            "{text}"
        );
    }

    #[test]
    fn label_sets_have_a_bound() {
        let m = Metrics::new("1");
        for i in 0..MOST_LABEL_SETS + 5 {
            m.source_slots_missed_total.with([&i.to_string()]).inc();
        }
        let text = m.render();
        assert_eq!(
            text.matches("loadline_source_slots_missed_total{").count(),
            MOST_LABEL_SETS
        );
        assert!(text.ends_with("_dropped_total 5\n"), "{text}");
    }

    #[test]
    fn names_are_declared_once_and_end_as_their_kind_does() {
        let m = Metrics::new("1");
        for pair in m.registry.families.windows(2) {
            assert!(pair[0].name < pair[1].name, "{}", pair[0].name);
        }
        for family in &m.registry.families {
            let total = family.name.ends_with("_total");
            assert_eq!(total, family.kind == Kind::Counter, "{}", family.name);
            assert!(family.name.starts_with("loadline_") && family.help.ends_with('.'));
        }
    }
}
