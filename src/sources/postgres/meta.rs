//! Who answers, asked first on every pass.

use sqlx::postgres::PgRow;

use super::connect::Session;
use super::questions::{float, int, text, truth};
use super::settings::PostgresSettings;
use super::state::{Failure, ServerState, Trouble};
use super::version::ServerVersion;

/// Who the server is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Meta {
    pub(crate) version: ServerVersion,
    pub(crate) in_recovery: bool,
    pub(crate) started_at: Option<f64>,
    pub(crate) has_pg_monitor: bool,
    pub(crate) has_read_all_stats: bool,
    /// `None` where the role may not ask for it.
    pub(crate) system_identifier: Option<String>,
    pub(crate) port: i64,
    pub(crate) statement_timeout: String,
}

impl Meta {
    fn read(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            version: ServerVersion(int(row, "version_num")?.unwrap_or(0)),
            in_recovery: truth(row, "in_recovery")?.unwrap_or(false),
            started_at: float(row, "started_at")?,
            has_pg_monitor: truth(row, "has_pg_monitor")?.unwrap_or(false),
            has_read_all_stats: truth(row, "has_read_all_stats")?.unwrap_or(false),
            system_identifier: None,
            port: int(row, "port")?.unwrap_or(0),
            statement_timeout: text(row, "statement_timeout")?,
        })
    }

    /// False after a restart, a failover or a promotion: old answers do not hold.
    pub(crate) fn same_server_life(&self, other: &Meta) -> bool {
        self.started_at == other.started_at
            && self.system_identifier == other.system_identifier
            && self.in_recovery == other.in_recovery
            && self.version == other.version
    }
}

/// Asks a session who it talks to.
pub(crate) async fn ask_meta(
    session: &mut Session,
    settings: &PostgresSettings,
) -> Result<Meta, Failure> {
    let failed = |words: &str| Failure::new(settings, ServerState::Failed, words);
    let row = |rows: Vec<PgRow>| rows.into_iter().next();
    let mut meta = session
        .ask(settings, include_str!("queries/meta.sql"))
        .await
        .map(|rows| row(rows).and_then(|row| Meta::read(&row).ok()))
        .map_err(|trouble| match trouble {
            Trouble::Broken(failure) => failure,
            Trouble::NeedsPrivilege => failed("the role may not ask who it talks to"),
            Trouble::NotInstalled | Trouble::Unsupported => {
                failed("it is not a Postgres server of a known kind")
            }
            Trouble::Busy(words) | Trouble::NotInState(words) | Trouble::Odd(words) => {
                failed(&words)
            }
        })?
        .ok_or_else(|| failed("it did not say who it is"))?;
    // Some managed services keep this function to themselves.
    match session
        .ask(settings, include_str!("queries/identity.sql"))
        .await
    {
        Ok(rows) => {
            meta.system_identifier = row(rows).and_then(|row| text(&row, "system_identifier").ok());
        }
        Err(Trouble::Broken(failure)) => return Err(failure),
        Err(_) => {}
    }
    Ok(meta)
}
