//! One session with one server.
//!
//! What must stay true: a session never holds a transaction open between questions; dropping it
//! closes the socket; the password is read anew for each connect and told to nobody.

use std::time::Duration;

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{ConnectOptions as _, Connection as _};

use super::settings::PostgresSettings;
use super::state::{self, Failure, ServerState, Trouble};
use crate::config::secret;

/// Longest wait for a connection; the pass's own deadline may end it sooner.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);

/// What the server calls us.
const APPLICATION_NAME: &str = "loadline";

/// Sent at connect: we end by ourselves, take no lock for long, and change nothing.
const SESSION_SETTINGS: [(&str, &str); 6] = [
    ("default_transaction_read_only", "on"),
    ("statement_timeout", "3000"),
    ("lock_timeout", "200"),
    ("idle_in_transaction_session_timeout", "10000"),
    ("jit", "off"),
    ("search_path", "pg_catalog"),
];

/// The same for a pooler that refuses or swallows settings at connect: sent in one message with
/// the question, which makes them one transaction.
const LOCAL_SETTINGS: &str = "SET LOCAL transaction_read_only = on; \
     SET LOCAL statement_timeout = 3000; \
     SET LOCAL lock_timeout = 200; \
     SET LOCAL idle_in_transaction_session_timeout = 10000; \
     SET LOCAL jit = off; \
     SET LOCAL search_path = pg_catalog; ";

/// How `statement_timeout` reads when the server took our settings.
pub(crate) const STATEMENT_TIMEOUT_SHOWN: &str = "3s";

/// Where our settings live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// In the session.
    Direct,
    /// With every question: a pooler lends us a server session per transaction.
    Pooled,
}

/// An open connection.
pub(crate) struct Session {
    connection: PgConnection,
    manner: Manner,
}

impl Session {
    /// Logs in to `database`. Tries once more without session settings when a pooler refuses
    /// them.
    pub(crate) async fn open(
        settings: &PostgresSettings,
        database: &str,
    ) -> Result<Session, Failure> {
        let mut plain = settings
            .options()
            .clone()
            .database(database)
            .application_name(APPLICATION_NAME)
            .extra_float_digits(None)
            .statement_cache_capacity(0)
            .disable_statement_logging();
        if let Some(path) = &settings.password_file {
            let password = secret::read_file(path)
                .map_err(|e| Failure::new(settings, ServerState::PasswordFile, &e.to_string()))?;
            plain = plain.password(password.expose());
        }
        let direct = plain.clone().options(SESSION_SETTINGS);
        let attempt = async {
            match direct.connect().await {
                Ok(connection) => Ok(Session {
                    connection,
                    manner: Manner::Direct,
                }),
                Err(e) if state::startup_parameter_refused(&e) => {
                    plain.connect().await.map(|connection| Session {
                        connection,
                        manner: Manner::Pooled,
                    })
                }
                Err(e) => Err(e),
            }
        };
        match tokio::time::timeout(CONNECT_DEADLINE.min(settings.deadline), attempt).await {
            Ok(result) => result.map_err(|e| state::of_connect(settings, &e)),
            Err(_) => Err(Failure::new(settings, ServerState::Timeout, "")),
        }
    }

    /// Asks one question and brings all its rows.
    pub(crate) async fn ask(
        &mut self,
        settings: &PostgresSettings,
        sql: &str,
    ) -> Result<Vec<PgRow>, Trouble> {
        let text = match self.manner {
            Manner::Direct => sql.to_owned(),
            Manner::Pooled => format!("{LOCAL_SETTINGS}{sql}"),
        };
        // The texts are our own files; the one name put into them is quoted by the server.
        sqlx::raw_sql(sqlx::AssertSqlSafe(text))
            .fetch_all(&mut self.connection)
            .await
            .map_err(|e| state::of_question(settings, &e))
    }

    /// Sends the settings with every question from now on: a pooler swallowed them.
    pub(crate) fn settings_were_swallowed(&mut self) {
        self.manner = Manner::Pooled;
    }

    /// True when a pooler stands between the server and us.
    pub(crate) fn is_pooled(&self) -> bool {
        self.manner == Manner::Pooled
    }

    /// Says goodbye, so that the server logs no broken connection.
    pub(crate) async fn close(self) {
        // A server that is gone needs no goodbye.
        let _ = tokio::time::timeout(Duration::from_secs(1), self.connection.close()).await;
    }
}
