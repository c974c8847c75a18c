//! The search for pg_stat_statements, which shows itself only in the database it was created in.
//!
//! What must stay true: at most one further database per pass, over a short connection; "not
//! there" is said only when every database was asked.

use super::connect::Session;
use super::questions::{text, truth};
use super::settings::PostgresSettings;
use super::state::{Failure, Trouble};
use super::status::SignalState;
use crate::model::Timestamp;

/// The search for pg_stat_statements.
#[derive(Debug, Default)]
pub(crate) struct Statements {
    asked: Option<Timestamp>,
    /// Databases not yet asked in this round, last first.
    left: Vec<String>,
    /// True when a database may hold it and could not be asked.
    some_hidden: bool,
    found: Option<bool>,
}

impl Statements {
    /// 1 or 0 when it is known whether they can be read.
    pub(crate) fn value(&self) -> Option<f64> {
        self.found.map(|found| if found { 1.0 } else { 0.0 })
    }

    /// One step of the search: in our own database when it is time, else in one further database
    /// unless this pass has just connected.
    pub(crate) async fn step(
        &mut self,
        session: &mut Session,
        settings: &PostgresSettings,
        now: Timestamp,
        may_connect: bool,
    ) -> Result<SignalState, Failure> {
        let every = settings.schedule.statements;
        let due = self
            .asked
            .is_none_or(|at| now < at || now.since(at) >= every);
        if due {
            *self = Statements {
                asked: Some(now),
                ..Statements::default()
            };
            match has_statements(session, settings).await {
                Ok(true) => self.found = Some(true),
                Ok(false) => self.list_databases(session, settings).await?,
                Err(Trouble::Broken(failure)) => return Err(failure),
                Err(_) => self.some_hidden = true,
            }
        } else if may_connect && let Some(database) = self.left.pop() {
            match look_in(settings, &database).await {
                Some(true) => {
                    self.found = Some(true);
                    self.left.clear();
                }
                Some(false) => {}
                None => self.some_hidden = true,
            }
        }
        if self.found.is_none() && self.left.is_empty() && !self.some_hidden {
            self.found = Some(false);
        }
        Ok(match self.found {
            Some(true) => SignalState::Ok,
            Some(false) => SignalState::NotInstalled,
            None if self.left.is_empty() => SignalState::Unknown,
            None => SignalState::Looking,
        })
    }

    async fn list_databases(
        &mut self,
        session: &mut Session,
        settings: &PostgresSettings,
    ) -> Result<(), Failure> {
        if session.is_pooled() {
            // Further databases behind a pooler would cost server connections that are not ours.
            self.some_hidden = true;
            return Ok(());
        }
        let sql = include_str!("queries/databases.sql");
        let rows = match session.ask(settings, sql).await {
            Ok(rows) => rows,
            Err(Trouble::Broken(failure)) => return Err(failure),
            Err(_) => {
                self.some_hidden = true;
                return Ok(());
            }
        };
        for row in rows.iter().rev() {
            let name = text(row, "datname").unwrap_or_default();
            let may = truth(row, "may_connect").ok().flatten() == Some(true);
            if may && settings.may_look_into(&name) {
                self.left.push(name);
            } else {
                self.some_hidden = true;
            }
        }
        Ok(())
    }
}

/// True when pg_stat_statements can be read in the session's database.
async fn has_statements(
    session: &mut Session,
    settings: &PostgresSettings,
) -> Result<bool, Trouble> {
    let rows = session
        .ask(settings, include_str!("queries/statements.sql"))
        .await?;
    let Some(schema) = rows.first().and_then(|row| text(row, "schema").ok()) else {
        return Ok(false);
    };
    // The server quoted the name.
    let sql = format!("SELECT count(*)::int8 AS n FROM {schema}.pg_stat_statements(false)");
    match session.ask(settings, &sql).await {
        Ok(_) => Ok(true),
        // Created here, but not loaded by the server.
        Err(Trouble::NotInState(_) | Trouble::NotInstalled) => Ok(false),
        Err(trouble) => Err(trouble),
    }
}

/// The same over a short connection to another database; `None` when it cannot be asked.
async fn look_in(settings: &PostgresSettings, database: &str) -> Option<bool> {
    let mut session = Session::open(settings, database).await.ok()?;
    let found = has_statements(&mut session, settings).await.ok();
    session.close().await;
    found
}
