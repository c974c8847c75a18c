//! What a pass found out, for people.

use std::collections::{BTreeMap, BTreeSet};

use super::catalogue::CATALOGUE;
use super::meta::SWITCHES;
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

/// How one signal stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signal {
    /// What it is, as in `loadline_pg_signal_state{signal}`.
    pub signal: &'static str,
    /// The same for people.
    pub title: &'static str,
    /// The database that is asked for it; empty for the server as a whole.
    pub database: String,
    /// As in `loadline_pg_signal_state{state}`.
    pub state: &'static str,
    /// True when all of it is seen that this version of the server has.
    pub readable: bool,
    /// True when some rule, playbook row or pin reads it.
    pub read: bool,
    /// True when the server would answer with too little instead of refusing.
    pub silent: bool,
    /// The state for people.
    pub sentence: String,
    /// The statement that opens it, where there is one.
    pub fix: Option<String>,
}

/// A statement among those that load the server most, without its literals.
#[derive(Debug, Clone, PartialEq)]
pub struct TopStatement {
    /// Database.
    pub datname: String,
    /// Role that ran it.
    pub user: String,
    /// As pg_stat_statements numbers it.
    pub queryid: String,
    /// At most 1 KiB; `None` until texts were read.
    pub text: Option<String>,
    /// Share of the execution time of all statements in the last minutes.
    pub load_share: f64,
    /// Calls per second in the last minutes.
    pub calls_per_second: f64,
    /// Execution time of one call.
    pub mean_seconds: f64,
    /// Rows of one call.
    pub rows_per_call: f64,
    /// True when it looks like one query for each row of another.
    pub n_plus_one: bool,
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
    /// How each signal stood in the last good pass.
    pub signals: Vec<Signal>,
    /// The statements that loaded the server most in the last minutes.
    pub statements: Vec<TopStatement>,
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
            signals: Vec::new(),
            statements: Vec::new(),
        }
    }

    /// Signals that somebody reads and that are not seen in full.
    pub fn blind(&self) -> impl Iterator<Item = &Signal> {
        self.signals.iter().filter(|s| !s.readable && s.read)
    }
}

/// What became of one signal in the last good pass, worst last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) enum SignalState {
    #[default]
    Ok,
    /// No rule, playbook row or pin reads it.
    NotRead,
    Looking,
    /// The server is older than what is asked for.
    TooOld,
    Unsupported,
    Busy,
    Failed,
    Unknown,
    NotInstalled,
    /// A setting makes it 0.
    SwitchedOff,
    /// Some rows are hidden from the role.
    NeedsPrivilege,
    NeedsPgMonitor,
}

impl SignalState {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            SignalState::Ok => "ok",
            SignalState::NotRead => "not_read",
            SignalState::SwitchedOff => "switched_off",
            SignalState::Looking => "looking",
            SignalState::TooOld => "too_old",
            SignalState::Unsupported => "unsupported",
            SignalState::Busy => "busy",
            SignalState::Failed => "failed",
            SignalState::Unknown => "unknown",
            SignalState::NotInstalled => "not_installed",
            SignalState::NeedsPrivilege => "needs_privilege",
            SignalState::NeedsPgMonitor => "needs_pg_monitor",
        }
    }
}

/// How a signal stands, and what is hidden of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Standing {
    pub(crate) state: SignalState,
    /// True when somebody reads it.
    pub(crate) read: bool,
    /// Schemas with something that the role may not see.
    pub(crate) hidden_in: BTreeSet<String>,
}

impl Standing {
    pub(crate) fn of(state: SignalState) -> Self {
        Self {
            state,
            read: false,
            hidden_in: BTreeSet::new(),
        }
    }
}

/// The signal for statements, which has no row in the catalogue.
pub(crate) const STATEMENTS_SIGNAL: &str = "statements";

/// Sessions that a role sees, of all there are; known when it lacks `pg_read_all_stats`.
pub(crate) type Visible = Option<(i64, i64)>;

/// How all signals stand, for `user`.
pub(crate) fn describe(
    signals: &BTreeMap<(&'static str, String), Standing>,
    user: &str,
    visible: Visible,
) -> Vec<Signal> {
    signals
        .iter()
        .map(|((signal, database), state)| describe_one(signal, database, state, user, visible))
        .collect()
}

fn describe_one(
    signal: &'static str,
    database: &str,
    standing: &Standing,
    user: &str,
    visible: Visible,
) -> Signal {
    let state = standing.state;
    let role = quote(user);
    let question = CATALOGUE.iter().find(|q| q.signal == signal);
    let title = match question {
        Some(q) => q.title,
        None if SWITCHES.contains(&signal) => signal,
        None => "statements (pg_stat_statements)",
    };
    let (why, fix) = match state {
        SignalState::Ok => ("readable".to_owned(), None),
        SignalState::NotRead => ("no rule reads it".to_owned(), None),
        SignalState::SwitchedOff => (
            "off: what it counts stays 0 or is missing".to_owned(),
            Some(format!(
                "ALTER SYSTEM SET {signal} = on; SELECT pg_reload_conf();"
            )),
        ),
        SignalState::Looking => ("not asked yet".to_owned(), None),
        SignalState::TooOld => ("this server is too old to tell".to_owned(), None),
        SignalState::Unsupported => ("this server cannot tell".to_owned(), None),
        SignalState::Busy => ("not answered in time; asked again".to_owned(), None),
        SignalState::Failed => ("an unexpected answer; the log has it".to_owned(), None),
        SignalState::Unknown => (
            "unknown: needs CONNECT on every database".to_owned(),
            Some(format!("GRANT CONNECT ON DATABASE ... TO {role};")),
        ),
        SignalState::NotInstalled => (
            "not installed in any database; first shared_preload_libraries = \
             'pg_stat_statements' and a restart, unless that is done"
                .to_owned(),
            Some("CREATE EXTENSION pg_stat_statements;".to_owned()),
        ),
        SignalState::NeedsPrivilege => {
            let opens = question.map_or("", |q| q.opens);
            let schemas: Vec<String> = standing.hidden_in.iter().map(|s| quote(s)).collect();
            let schemas = schemas.join(", ");
            (
                format!("unknown: needs a privilege, role {user} does not see all of it"),
                Some(opens.replace("SCHEMAS", &schemas).replace("ROLE", &role)),
            )
        }
        SignalState::NeedsPgMonitor => {
            let seen = match visible {
                Some((seen, all)) => format!(": it sees {seen} of {all} sessions in full"),
                None => String::new(),
            };
            (
                format!("unknown: needs pg_monitor, which role {user} lacks{seen}"),
                Some(format!("GRANT pg_monitor TO {role};")),
            )
        }
    };
    let place = if database.is_empty() {
        String::new()
    } else {
        format!(" of database {database}")
    };
    Signal {
        signal,
        title,
        read: standing.read,
        database: database.to_owned(),
        state: state.as_str(),
        readable: [
            SignalState::Ok,
            SignalState::NotRead,
            SignalState::Looking,
            SignalState::TooOld,
        ]
        .contains(&state),
        silent: [
            SignalState::NeedsPgMonitor,
            SignalState::NeedsPrivilege,
            SignalState::SwitchedOff,
        ]
        .contains(&state),
        sentence: format!("{title}{place}: {why}"),
        fix,
    }
}
