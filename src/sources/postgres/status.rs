//! What a pass found out, for people.

use std::collections::BTreeMap;

use super::questions::Question;
use super::state::{ServerState, quote};
use crate::model::Timestamp;

/// What a server is in its cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerRole {
    /// Takes writes.
    Primary,
    /// Follows another server.
    Replica,
}

/// Something the server has and we cannot see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlindSignal {
    /// What it is, as in `loadline_pg_signal_state{signal}`.
    pub signal: &'static str,
    /// Why not, as in `loadline_pg_signal_state{state}`.
    pub state: &'static str,
    /// The same for people.
    pub sentence: String,
    /// The statement that opens it, where there is one.
    pub fix: Option<String>,
}

/// What the last pass found out about the server.
#[derive(Debug, Clone, PartialEq)]
pub struct PostgresStatus {
    /// Label `instance`.
    pub instance: String,
    /// State of the last contact.
    pub state: ServerState,
    /// The state for people.
    pub sentence: String,
    /// The one line that would mend it.
    pub fix: Option<String>,
    /// E.g. `15.18`; kept from the last good pass.
    pub server_version: Option<String>,
    /// A remark on a version outside the known range.
    pub version_remark: Option<String>,
    /// Kept from the last good pass.
    pub role: Option<ServerRole>,
    /// What the team calls it (`[[postgres]].role`).
    pub purpose: Option<String>,
    /// Equal on all nodes of a cluster; kept from the last good pass.
    pub system_identifier: Option<String>,
    /// The port the server itself listens on; kept from the last good pass.
    pub port: Option<u16>,
    /// When the server started, in seconds since the epoch; kept from the last good pass.
    pub started: Option<f64>,
    /// True when a pooler stands between the server and us.
    pub via_pooler: bool,
    /// When the last pass ended well.
    pub last_good: Option<Timestamp>,
    /// What could not be seen in the last good pass.
    pub blind: Vec<BlindSignal>,
}

impl PostgresStatus {
    /// Of a server that was not asked yet.
    pub(crate) fn not_asked(instance: &str) -> Self {
        Self {
            instance: instance.to_owned(),
            state: ServerState::NotAsked,
            sentence: format!("Postgres {instance} has not been asked yet"),
            fix: None,
            server_version: None,
            version_remark: None,
            role: None,
            purpose: None,
            system_identifier: None,
            port: None,
            started: None,
            via_pooler: false,
            last_good: None,
            blind: Vec::new(),
        }
    }
}

/// What became of one signal in the last good pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SignalState {
    Ok,
    NeedsPgMonitor,
    NotInstalled,
    Unsupported,
    Busy,
    Failed,
    Unknown,
    Looking,
}

impl SignalState {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            SignalState::Ok => "ok",
            SignalState::NeedsPgMonitor => "needs_pg_monitor",
            SignalState::NotInstalled => "not_installed",
            SignalState::Unsupported => "unsupported",
            SignalState::Busy => "busy",
            SignalState::Failed => "failed",
            SignalState::Unknown => "unknown",
            SignalState::Looking => "looking",
        }
    }
}

/// The signals that `user` cannot see, with what would open them.
pub(crate) fn blind_signals(
    signals: &BTreeMap<&'static str, SignalState>,
    user: &str,
) -> Vec<BlindSignal> {
    let role = quote(user);
    signals
        .iter()
        .filter(|(_, state)| !matches!(state, SignalState::Ok | SignalState::Looking))
        .map(|(signal, state)| {
            let title = Question::ALL
                .iter()
                .find(|q| q.signal() == *signal)
                .map_or("pg_stat_statements", |q| q.title());
            let (why, fix) = match state {
                SignalState::NeedsPgMonitor => (
                    format!("role {} may not see them all", user),
                    Some(format!("GRANT pg_monitor TO {role};")),
                ),
                SignalState::NotInstalled => (
                    "not readable in any database".to_owned(),
                    Some(
                        "shared_preload_libraries = 'pg_stat_statements', restart, then \
                             CREATE EXTENSION pg_stat_statements;"
                            .to_owned(),
                    ),
                ),
                SignalState::Unsupported => ("this server cannot tell".to_owned(), None),
                SignalState::Busy => ("not answered in time; asked again".to_owned(), None),
                SignalState::Failed => ("an unexpected answer; the log has it".to_owned(), None),
                SignalState::Unknown => (
                    "some databases may not be looked into".to_owned(),
                    Some(format!("GRANT CONNECT ON DATABASE ... TO {role};")),
                ),
                SignalState::Ok | SignalState::Looking => (String::new(), None),
            };
            BlindSignal {
                signal,
                state: state.as_str(),
                sentence: format!("{title}: {why}"),
                fix,
            }
        })
        .collect()
}
