//! Which machine and server a target reports on.

use std::collections::BTreeSet;

use super::super::text::{self, RawSeries};
use super::{MAX_NAMES, Pass};

/// What a target tells about the machine and the server it reports on.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ExporterIdentity {
    /// `node_boot_time_seconds`.
    pub boot_time: Option<f64>,
    /// Label `nodename` of `node_uname_info`.
    pub nodename: Option<String>,
    /// `pg_postmaster_start_time_seconds`, one for each server reported on.
    pub pg_start_times: Vec<f64>,
    /// `pg_settings_port`, one for each server reported on.
    pub pg_ports: Vec<u16>,
    /// Labels `server` of these, as `host:port`.
    pub pg_servers: BTreeSet<String>,
}

impl Pass<'_> {
    pub(super) fn watch(&mut self, key: &[u8], value: f64) {
        if let Ok(raw) = text::series(key, self.format, &self.terms.bounds) {
            self.watch_series(&raw, value);
        }
    }

    pub(super) fn watch_series(&mut self, raw: &RawSeries<'_>, value: f64) {
        let Some(identity) = &mut self.reading.identity else {
            return;
        };
        let label = |name: &str| {
            let found = raw.labels.iter().find(|(n, _)| n == name);
            found.map(|(_, v)| v.to_string()).filter(|v| !v.is_empty())
        };
        match raw.name.as_ref() {
            "node_boot_time_seconds" => identity.boot_time = Some(value),
            "node_uname_info" => identity.nodename = label("nodename"),
            "pg_postmaster_start_time_seconds" if identity.pg_start_times.len() < MAX_NAMES => {
                identity.pg_start_times.push(value);
                identity.pg_servers.extend(label("server"));
            }
            "pg_settings_port" if identity.pg_ports.len() < MAX_NAMES => {
                // Out of range saturates, and no server listens on 0 or beyond.
                identity.pg_ports.push(value as u16);
                identity.pg_servers.extend(label("server"));
            }
            _ => {}
        }
    }
}
