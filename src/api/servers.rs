//! Watched Postgres servers, signal by signal.

use serde::{Deserialize, Serialize};

/// One watched Postgres server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServerView {
    /// Label `instance`.
    pub instance: String,
    /// `up`, or why it cannot be read, e.g. `slots_exhausted`.
    pub state: String,
    /// The state for people.
    pub sentence: String,
    /// What would mend it, where known.
    pub fix: Option<String>,
    /// E.g. `15.18`.
    pub version: Option<String>,
    /// `primary` or `replica`.
    pub role: Option<String>,
    /// How each signal stood when it was last read.
    pub signals: Vec<SignalView>,
    /// The statements that loaded it most in the last minutes.
    pub statements: Vec<StatementView>,
}

/// One signal of a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignalView {
    /// Its word, as in `loadline_pg_signal_state{signal}`.
    pub signal: String,
    /// The database it is read in; empty for the server as a whole.
    pub database: String,
    /// `readable`, `missing`, or `wrong`: the server would answer with too little, without an
    /// error.
    pub verdict: String,
    /// As in `loadline_pg_signal_state{state}`.
    pub state: String,
    /// The same for people.
    pub sentence: String,
    /// The statement that opens it, where there is one.
    pub fix: Option<String>,
}

/// One statement, without its literals.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatementView {
    /// Database.
    pub datname: String,
    /// Role that ran it.
    pub user: String,
    /// As pg_stat_statements numbers it.
    pub queryid: String,
    /// At most 1 KiB.
    pub text: Option<String>,
    /// Share of the execution time of all statements in the last minutes.
    pub load_share: f64,
    /// Calls per second in the last minutes.
    pub calls_per_second: f64,
    /// Execution time of one call, in seconds.
    pub mean_seconds: f64,
    /// Rows of one call.
    pub rows_per_call: f64,
    /// True when it looks like one query for each row of another.
    pub n_plus_one: bool,
}
