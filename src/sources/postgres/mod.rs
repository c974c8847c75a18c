//! Asks a watched Postgres server, as a guest.
//!
//! What must stay true:
//! - At most two connections per server: one that stays, one short one. Never a pool.
//! - Read-only, with statement, lock and idle timeouts; the whole pass ends at a deadline of ours,
//!   which drops the socket.
//! - Only the simple protocol: it works through a pooler in transaction mode, where named and
//!   unnamed prepared statements do not.
//! - A number that the role may not see is left out and named (`loadline_pg_signal_state`); it is
//!   never 0 and never too low.
//! - Every failure has a named state; no error or status holds a secret.
//! - Names and labels are those of postgres_exporter 0.20 wherever it has the metric.

mod book;
mod catalogue;
mod connect;
mod databases;
mod discover;
mod meta;
mod question;
mod read;
mod series;
mod sessions;
mod setting_values;
mod settings;
mod state;
mod statement_look;
mod statement_text;
mod statements;
mod status;
mod version;

pub use book::metrics_of;
pub use discover::{Finding, Places, discover};
pub use read::PostgresCollector;
pub use settings::{JOB, PostgresSettings};
pub use state::ServerState;
pub use status::{PostgresStatus, ServerRole, Signal, TopStatement};
pub use version::ServerVersion;
