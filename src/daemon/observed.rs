//! One thing is observed once: what exporters already report, the built-in collectors leave out.
//!
//! What must stay true: an exporter wins family by family and only while it answers; a machine is
//! the same by boot time and node name, a Postgres server by its start time, else by its address.

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

/// What answering targets report on.
#[derive(Debug, Clone, Default)]
pub(crate) struct Observed(Arc<Mutex<BTreeMap<TargetKey, Report>>>);

#[derive(Debug)]
struct Report {
    identity: ExporterIdentity,
    /// Host part of the target's address.
    host: String,
    names: BTreeSet<Box<str>>,
    labels: Labels,
}

impl Observed {
    /// Notes what a target reports on, or that it does not answer.
    pub(crate) fn saw(&self, target: &Target, ok: bool) {
        let mut reports = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !ok {
            reports.remove(target.key());
            return;
        }
        reports.insert(
            target.key().clone(),
            Report {
                identity: target.exporter_identity().clone(),
                host: target.meta().host.clone(),
                names: target.names().clone(),
                labels: target.meta().labels.clone(),
            },
        );
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
        let reports = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut same = reports
            .values()
            .filter(|r| same_server(r, server))
            .peekable();
        let labels = same.peek().map(|r| r.labels.clone());
        (
            same.flat_map(|r| r.names.iter().map(|n| n.to_string()))
                .collect(),
            labels,
        )
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
