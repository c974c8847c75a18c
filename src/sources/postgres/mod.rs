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

mod connect;
mod discover;
mod meta;
mod questions;
mod read;
mod series;
mod settings;
mod state;
mod statements;
mod status;
mod version;

pub use discover::{Finding, Places, discover};
pub use questions::Schedule;
pub use read::PostgresCollector;
pub use settings::{JOB, PostgresSettings};
pub use state::ServerState;
pub use status::{BlindSignal, PostgresStatus, ServerRole};
pub use version::ServerVersion;
