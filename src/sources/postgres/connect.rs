//! One session with one server.
//!
//! What must stay true: a session never holds a transaction open between questions; dropping it
//! closes the socket; the password is read anew for each connect and told to nobody. A question
//! that whoever asks gives up waiting for stays with the session, which can be waited for again.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::settings::PostgresSettings;
use super::state::{self, Failure, ServerState, Trouble};
use crate::config::secret;

/// Longest wait for a connection; the pass's own deadline may end it sooner.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);

/// What the server calls us.
const APPLICATION_NAME: &str = "loadline";

/// Sent at connect: we end by ourselves, take no lock for long, and change nothing; a server that
/// loses us notices within a minute.
const SESSION_SETTINGS: [(&str, &str); 7] = [
    ("default_transaction_read_only", "on"),
    ("statement_timeout", "3000"),
    ("lock_timeout", "200"),
    ("search_path", "pg_catalog"),
    ("tcp_keepalives_idle", "30"),
    ("tcp_keepalives_interval", "10"),
    ("tcp_keepalives_count", "3"),
];

/// Set when it is certain that the session is ours alone: sent at connect, they would hide what
/// other sessions have.
const LATER_SETTINGS: &str = "SET jit = off; SET idle_in_transaction_session_timeout = 10000";

/// The same for a pooler that refuses or swallows settings at connect: sent in one message with
/// the question, which makes them one transaction.
const LOCAL_SETTINGS: &str = "SET LOCAL transaction_read_only = on; \
     SET LOCAL statement_timeout = 3000; \
     SET LOCAL lock_timeout = 200; \
     SET LOCAL idle_in_transaction_session_timeout = 10000; \
     SET LOCAL jit = off; \
     SET LOCAL search_path = pg_catalog; ";

/// How our timeouts read when the server took our settings.
const TIMEOUTS_SHOWN: &str = "3s 200ms";

/// The first message of a client that asks for TLS; every server and pooler answers it with one
/// letter before it makes a session.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// Where our settings live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// In the session.
    Direct,
    /// With every question: a pooler lends us a server session per transaction.
    Pooled,
}

type Answered = (PgConnection, Result<Vec<PgRow>, sqlx::Error>);

/// An open connection.
pub(crate) struct Session {
    /// Away while a question is under way.
    connection: Option<PgConnection>,
    under_way: Option<Pin<Box<dyn Future<Output = Answered> + Send>>>,
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
                Ok(connection) => Ok(Session::new(connection, Manner::Direct)),
                Err(e) if state::startup_parameter_refused(&e) => plain
                    .connect()
                    .await
                    .map(|connection| Session::new(connection, Manner::Pooled)),
                Err(e) => Err(e),
            }
        };
        match tokio::time::timeout(CONNECT_DEADLINE.min(settings.deadline), attempt).await {
            Ok(result) => result.map_err(|e| state::of_connect(settings, &e)),
            Err(_) => Err(Failure::new(settings, ServerState::Timeout, "")),
        }
    }

    fn new(connection: PgConnection, manner: Manner) -> Self {
        Self {
            connection: Some(connection),
            under_way: None,
            manner,
        }
    }

    /// Takes up what the server says of our settings: a pooler may have swallowed them.
    pub(crate) async fn settle(
        &mut self,
        settings: &PostgresSettings,
        timeouts: &str,
    ) -> Result<(), Trouble> {
        if self.manner == Manner::Pooled {
            return Ok(());
        }
        if timeouts != TIMEOUTS_SHOWN {
            self.manner = Manner::Pooled;
            return Ok(());
        }
        self.ask(settings, LATER_SETTINGS).await.map(drop)
    }

    /// Asks one question and brings all its rows.
    pub(crate) async fn ask(
        &mut self,
        settings: &PostgresSettings,
        sql: &str,
    ) -> Result<Vec<PgRow>, Trouble> {
        self.catch_up().await;
        let Some(mut connection) = self.connection.take() else {
            let failure = Failure::new(settings, ServerState::Lost, "it is closed");
            return Err(Trouble::Broken(failure));
        };
        let text = match self.manner {
            Manner::Direct => sql.to_owned(),
            Manner::Pooled => format!("{LOCAL_SETTINGS}{sql}"),
        };
        let question = self.under_way.insert(Box::pin(async move {
            // The texts are our own files; the names put into them are quoted by the server.
            let rows = sqlx::raw_sql(sqlx::AssertSqlSafe(text))
                .fetch_all(&mut connection)
                .await;
            (connection, rows)
        }));
        let (connection, rows) = question.await;
        self.under_way = None;
        self.connection = Some(connection);
        rows.map_err(|e| state::of_question(settings, &e))
    }

    /// Waits for the end of a question that nobody waits for any more.
    pub(crate) async fn catch_up(&mut self) {
        if let Some(question) = &mut self.under_way {
            let (connection, _) = question.await;
            self.under_way = None;
            self.connection = Some(connection);
        }
    }

    /// True while a question is under way.
    pub(crate) fn is_asking(&self) -> bool {
        self.under_way.is_some()
    }

    /// True when a pooler stands between the server and us.
    pub(crate) fn is_pooled(&self) -> bool {
        self.manner == Manner::Pooled
    }

    /// Says goodbye, so that the server logs no broken connection.
    pub(crate) async fn close(self) {
        if let Some(connection) = self.connection {
            // A server that is gone needs no goodbye.
            let _ = tokio::time::timeout(Duration::from_secs(1), connection.close()).await;
        }
    }
}

/// Whether a server answers at all, without a login, which a server that stands still would keep
/// and carry out later.
pub(crate) async fn knock(settings: &PostgresSettings) -> Result<(), Failure> {
    let attempt = async {
        if settings.is_local_socket() {
            let path = format!("{}/.s.PGSQL.{}", settings.socket_dir(), settings.port());
            knock_on(tokio::net::UnixStream::connect(path).await?).await
        } else {
            let at = (settings.host(), settings.port());
            knock_on(tokio::net::TcpStream::connect(at).await?).await
        }
    };
    match tokio::time::timeout(CONNECT_DEADLINE.min(settings.deadline), attempt).await {
        Ok(result) => result.map_err(|e| state::of_connect(settings, &sqlx::Error::Io(e))),
        Err(_) => Err(Failure::new(settings, ServerState::Timeout, "")),
    }
}

async fn knock_on<S>(mut stream: S) -> std::io::Result<()>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    stream.write_all(&SSL_REQUEST).await?;
    stream.read_u8().await.map(drop)
}
