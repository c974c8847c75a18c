//! Who answers, asked first on every pass.

use sqlx::postgres::PgRow;

use super::connect::Session;
use super::question::{Rights, float, int, text, truth};
use super::settings::PostgresSettings;
use super::state::{Failure, ServerState, Trouble};
use super::version::ServerVersion;

/// Settings without which numbers stay 0 or are missing, without an error.
pub(crate) const SWITCHES: [&str; 3] = ["track_activities", "track_counts", "track_io_timing"];

/// Who the server is, and what our role may see.
#[derive(Debug, Clone, Default)]
pub(crate) struct Meta {
    pub(crate) version: ServerVersion,
    pub(crate) in_recovery: bool,
    pub(crate) started_at: Option<f64>,
    pub(crate) has_pg_monitor: bool,
    pub(crate) has_read_all_stats: bool,
    pub(crate) has_read_all_settings: bool,
    /// `None` where the role may not ask for it.
    pub(crate) system_identifier: Option<String>,
    pub(crate) port: i64,
    /// `statement_timeout` and `lock_timeout` as the session has them.
    pub(crate) timeouts: String,
    /// What the server was told to count or not to count.
    pub(crate) switches: Vec<(&'static str, bool)>,
    /// The database of this session.
    pub(crate) datname: String,
    /// The process that serves this session.
    pub(crate) pid: i64,
}

impl Meta {
    fn read(row: &PgRow) -> Result<Self, sqlx::Error> {
        let yes = |column| truth(row, column).map(|v| v.unwrap_or(false));
        Ok(Self {
            version: ServerVersion(int(row, "version_num")?.unwrap_or(0)),
            in_recovery: yes("in_recovery")?,
            started_at: float(row, "started_at")?,
            has_pg_monitor: yes("has_pg_monitor")?,
            has_read_all_stats: yes("has_read_all_stats")?,
            has_read_all_settings: yes("has_read_all_settings")?,
            system_identifier: None,
            port: int(row, "port")?.unwrap_or(0),
            timeouts: text(row, "timeouts")?,
            switches: SWITCHES
                .iter()
                .map(|name| Ok((*name, text(row, name)? == "on")))
                .collect::<Result<_, sqlx::Error>>()?,
            datname: text(row, "datname")?,
            pid: int(row, "pid")?.unwrap_or(0),
        })
    }

    /// False after a restart, a failover or a promotion: old answers do not hold.
    pub(crate) fn same_server_life(&self, other: &Meta) -> bool {
        self.started_at == other.started_at
            && self.system_identifier == other.system_identifier
            && self.in_recovery == other.in_recovery
            && self.version == other.version
    }

    /// True when the role sees all that a question with these needs shows.
    pub(crate) fn may(&self, needs: Rights) -> bool {
        match needs {
            Rights::Connect => true,
            Rights::AllStats => self.has_read_all_stats,
            Rights::AllSettings => self.has_read_all_settings,
            Rights::Monitor => self.has_pg_monitor,
        }
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
