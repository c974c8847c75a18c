//! One thing is observed once: what exporters already report, the built-in collectors leave out.
//!
//! What must stay true: an exporter wins family by family, and the names it covers follow its
//! answers; whom it reports on and under which labels is kept as long as it is watched, so that an
//! exporter that is down, or whose server is, changes nobody's labels. A machine is the same by
//! boot time and node name, a Postgres server by its start time, else by its address.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::model::{Labels, TargetKey};
use crate::sources::Target;
use crate::sources::host::HostIdentity;
use crate::sources::postgres::PostgresStatus;
use crate::sources::scrape::ExporterIdentity;

/// Start times of one server, in seconds; exporters may round them.
const SAME_START: f64 = 1.0;

/// Passes over a server until an exporter that names others is believed: after a restart of the
/// server, one of the two knows it first.
const MISSES: u8 = 3;

/// What answering targets report on.
#[derive(Debug, Clone, Default)]
pub(crate) struct Observed(Arc<Mutex<BTreeMap<TargetKey, Report>>>);

#[derive(Debug)]
struct Report {
    identity: ExporterIdentity,
    /// Host part of the target's address.
    host: String,
    /// What it exposes; empty while it does not answer.
    names: BTreeSet<Box<str>>,
    labels: Labels,
    /// Instances of the servers that it was found to report on.
    bound: BTreeSet<String>,
    /// How often in a row a bound server was asked for since the target named other servers.
    misses: Option<u8>,
}

impl Observed {
    /// Notes what a target reports on, or that it does not answer.
    pub(crate) fn saw(&self, target: &Target, ok: bool) {
        self.note(
            target.key(),
            ok.then(|| Report {
                identity: target.exporter_identity().clone(),
                host: target.meta().host.clone(),
                names: target.names().clone(),
                labels: target.meta().labels.clone(),
                bound: BTreeSet::new(),
                misses: None,
            }),
        );
    }

    fn note(&self, key: &TargetKey, report: Option<Report>) {
        let mut reports = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match (reports.get_mut(key), report) {
            (Some(known), Some(new)) => known.learn(new),
            (Some(known), None) => known.names.clear(),
            (None, Some(new)) => {
                reports.insert(key.clone(), new);
            }
            (None, None) => {}
        }
    }

    /// Forgets a target that is watched no more.
    pub(crate) fn forget(&self, key: &TargetKey) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(key);
    }

    /// True when an answering target exposes a metric of this name, kept or not.
    pub(crate) fn exposes(&self, name: &str) -> bool {
        let reports = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        reports.values().any(|r| r.names.contains(name))
    }

    /// All names that answering targets expose.
    pub(crate) fn names(&self) -> BTreeSet<String> {
        let reports = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        reports
            .values()
            .flat_map(|r| r.names.iter().map(|n| n.to_string()))
            .collect()
    }

    /// Names that exporters report of this machine.
    pub(crate) fn host_names(&self, host: &HostIdentity) -> BTreeSet<Box<str>> {
        let reports = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let same = reports.values().filter(|r| host.is_same(&r.identity));
        same.flat_map(|r| r.names.iter().cloned()).collect()
    }

    /// Names that exporters report of this server, and the labels of the first of them.
    pub(crate) fn postgres(&self, server: &PostgresStatus) -> (BTreeSet<String>, Option<Labels>) {
        let mut reports = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut names = BTreeSet::new();
        let mut labels = None;
        for report in reports.values_mut() {
            if same_server(report, server) {
                report.bound.insert(server.instance.clone());
                report.misses = None;
            } else if let Some(misses) = &mut report.misses
                && report.bound.contains(&server.instance)
            {
                *misses += 1;
                if *misses >= MISSES {
                    report.bound.remove(&server.instance);
                }
            }
            if report.bound.contains(&server.instance) {
                names.extend(report.names.iter().map(|n| n.to_string()));
                labels.get_or_insert_with(|| report.labels.clone());
            }
        }
        (names, labels)
    }
}

impl Report {
    /// Takes up what a body said. What it did not say this time (its server is down, say) still
    /// holds; servers are looked for anew when it names others.
    fn learn(&mut self, new: Report) {
        let ExporterIdentity {
            boot_time,
            nodename,
            pg_start_times,
            pg_ports,
            pg_servers,
        } = new.identity;
        let identity = &mut self.identity;
        if boot_time.is_some() {
            identity.boot_time = boot_time;
        }
        if nodename.is_some() {
            identity.nodename = nodename;
        }
        let mut others = false;
        if !pg_start_times.is_empty() {
            let known = |t: &f64| {
                let mut old = identity.pg_start_times.iter();
                old.any(|o| (o - t).abs() <= SAME_START)
            };
            others = !pg_start_times.iter().any(known);
            identity.pg_start_times = pg_start_times;
        }
        if !pg_ports.is_empty() {
            identity.pg_ports = pg_ports;
        }
        if !pg_servers.is_empty() {
            others |= pg_servers.is_disjoint(&identity.pg_servers);
            identity.pg_servers = pg_servers;
        }
        if others {
            self.misses = Some(0);
        }
        self.host = new.host;
        self.names = new.names;
        self.labels = new.labels;
    }
}

fn same_server(report: &Report, server: &PostgresStatus) -> bool {
    let identity = &report.identity;
    if let Some(started) = server.started
        && !identity.pg_start_times.is_empty()
    {
        return identity
            .pg_start_times
            .iter()
            .any(|t| (t - started).abs() <= SAME_START);
    }
    // Older exporters tell the address only: it means the same server when both are local.
    let Some(port) = server.port else {
        return false;
    };
    let instance_host = server
        .instance
        .rsplit_once(':')
        .map_or("", |(host, _)| host);
    identity.pg_servers.iter().any(|address| {
        let (host, at) = address.rsplit_once(':').unwrap_or((address, ""));
        at.parse() == Ok(port)
            && ((is_local(host) && is_local(&report.host) && is_local(instance_host))
                || host == instance_host)
    })
}

/// True for this machine: loopback, `localhost`, or a socket's folder.
fn is_local(host: &str) -> bool {
    let host = host.trim_matches(['[', ']']);
    host.is_empty()
        || host.starts_with('/')
        || host == "localhost"
        || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(start: Option<f64>, names: &[&str]) -> Report {
        Report {
            identity: ExporterIdentity {
                pg_start_times: start.into_iter().collect(),
                ..ExporterIdentity::default()
            },
            host: "10.0.0.1".to_owned(),
            names: names.iter().map(|n| Box::from(*n)).collect(),
            labels: Labels::from_pairs([("job", "postgres"), ("instance", "10.0.0.1:9187")]),
            bound: BTreeSet::new(),
            misses: None,
        }
    }

    fn server(started: f64) -> PostgresStatus {
        PostgresStatus {
            started: Some(started),
            ..PostgresStatus::not_asked("10.0.0.1:5432")
        }
    }

    #[test]
    fn an_exporter_that_is_down_keeps_its_server_and_labels() {
        let observed = Observed::default();
        let key = TargetKey(Arc::from("scrape/postgres"));
        let seen = |observed: &Observed, started: f64| {
            let (names, labels) = observed.postgres(&server(started));
            (names.len(), labels.is_some())
        };
        observed.note(
            &key,
            Some(report(Some(100.0), &["pg_up", "pg_locks_count"])),
        );
        assert_eq!(seen(&observed, 100.0), (2, true));
        // Down: nothing is covered, and the labels stay.
        observed.note(&key, None);
        assert_eq!(seen(&observed, 100.0), (0, true));
        // Up again, while its server is down: it cannot say whom it reports on.
        observed.note(&key, Some(report(None, &["pg_up"])));
        assert_eq!(seen(&observed, 100.0), (1, true));
        // The server was restarted; whoever knows it first changes nothing.
        assert_eq!(seen(&observed, 200.0), (1, true));
        observed.note(&key, Some(report(Some(300.0), &["pg_up"])));
        assert_eq!(seen(&observed, 200.0), (1, true));
        assert_eq!(seen(&observed, 300.0), (1, true));
        // It reports on another server from now on.
        observed.note(&key, Some(report(Some(900.0), &["pg_up"])));
        for _ in 0..MISSES {
            seen(&observed, 300.0);
        }
        assert_eq!(seen(&observed, 300.0), (0, false));
        observed.forget(&key);
        assert_eq!(seen(&observed, 900.0), (0, false));
    }
}
