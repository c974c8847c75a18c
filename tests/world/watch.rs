//! A collector that is asked pass by pass, under a clock of the test's own.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use loadline::config::{self, Secret};
use loadline::model::{Batch, Labels, Ref, Selection, Timestamp};
use loadline::sources::postgres::{PostgresCollector, PostgresSettings, ServerState};

/// Seconds between two passes, as the collector sees them.
pub(crate) const STEP: i64 = 15;

/// A collector with the series it has named so far, under a clock of the test's own.
pub(crate) struct Watch {
    pub(crate) collector: PostgresCollector,
    pub(crate) names: BTreeMap<Ref, Labels>,
    pub(crate) ever: BTreeSet<Ref>,
    pub(crate) now: Timestamp,
}

/// One pass with its series spelled out.
pub(crate) struct Seen {
    pub(crate) batch: Batch,
    pub(crate) values: Vec<(Labels, f64)>,
}

impl Watch {
    pub(crate) fn of(url: &str) -> Watch {
        Watch::with(settings(url))
    }

    pub(crate) fn with(settings: PostgresSettings) -> Watch {
        Watch {
            collector: PostgresCollector::new(settings),
            names: BTreeMap::new(),
            ever: BTreeSet::new(),
            now: Timestamp::from_secs(1_800_000_000),
        }
    }

    pub(crate) async fn pass(&mut self) -> Seen {
        self.pass_after(STEP).await
    }

    pub(crate) async fn pass_after(&mut self, secs: i64) -> Seen {
        self.now = Timestamp(self.now.0 + secs * 1000);
        self.pass_for(&Selection::all(1)).await
    }

    /// Passes until one shows what is expected: servers take their time to end a session.
    pub(crate) async fn until(&mut self, what: &str, holds: impl Fn(&Seen) -> bool) -> Seen {
        for _ in 0..150 {
            let seen = self.pass().await;
            if holds(&seen) {
                return seen;
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        panic!("waited in vain: {what}; {:?}", self.collector.status());
    }

    pub(crate) async fn pass_for(&mut self, selection: &Selection) -> Seen {
        let batch = self.collector.collect(self.now, selection).await;
        for (number, labels) in &batch.new {
            assert!(self.ever.insert(*number), "{labels} has a used number");
            self.names.insert(*number, labels.clone());
        }
        let values = batch
            .samples
            .iter()
            .map(|(number, _, v)| (self.names[number].clone(), *v))
            .collect();
        for number in &batch.gone {
            assert!(self.names.remove(number).is_some(), "gone twice");
        }
        Seen { batch, values }
    }

    pub(crate) fn state(&self) -> ServerState {
        self.collector.status().state
    }
}

impl Seen {
    pub(crate) fn all(&self, name: &str, labels: &[(&str, &str)]) -> Vec<f64> {
        self.values
            .iter()
            .filter(|(l, _)| l.name() == name && labels.iter().all(|(n, v)| l.get(n) == *v))
            .map(|(_, v)| *v)
            .collect()
    }

    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.all(name, labels).iter().sum()
    }

    pub(crate) fn one(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        match self.all(name, labels).as_slice() {
            [value] => *value,
            other => panic!("{name} {labels:?}: {other:?}"),
        }
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        !self.all(name, &[]).is_empty()
    }
}

/// Settings for a server, as a config entry gives them.
pub(crate) fn settings(url: &str) -> PostgresSettings {
    let entry = config::Postgres {
        url: Secret::new(url),
        password_file: None,
        databases: vec!["*".to_owned()],
        exclude: Vec::new(),
        role: None,
        labels: BTreeMap::new(),
        scrape_interval: None,
    };
    PostgresSettings::from_config(&entry, Duration::from_secs(8)).unwrap()
}
