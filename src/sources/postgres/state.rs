//! What became of the last contact with a server, by name.

use std::io;
use std::time::Duration;

use sqlx::postgres::PgDatabaseError;

use super::settings::PostgresSettings;

/// The state of a server as the last pass found it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ServerState {
    /// Not asked yet.
    NotAsked,
    /// It answered.
    Up,
    /// Nobody listens there.
    Refused,
    /// The address leads nowhere: no such host, no route.
    Unreachable,
    /// It did not answer within the deadline.
    Timeout,
    /// The connection broke while we asked.
    Lost,
    /// It is starting, stopping or not yet consistent.
    StartingUp,
    /// No connection slot is free for our role: the saturation itself.
    SlotsExhausted,
    /// The role's or the database's own CONNECTION LIMIT is reached.
    ConnectionLimit,
    /// Wrong password, no such role, or no line for us in pg_hba.conf.
    AuthFailed,
    /// The database of the URL does not exist.
    NoSuchDatabase,
    /// The role may not connect to the database.
    NeedsPrivilege,
    /// The password file cannot be read.
    PasswordFile,
    /// TLS was demanded and failed.
    Tls,
    /// A pooler stands in front and refused us.
    PoolerRefused,
    /// The server is older than the questions.
    TooOld,
    /// Something else; the sentence has the SQLSTATE.
    Failed,
}

impl ServerState {
    /// All states, for the series that carry them.
    pub const ALL: [ServerState; 17] = [
        ServerState::NotAsked,
        ServerState::Up,
        ServerState::Refused,
        ServerState::Unreachable,
        ServerState::Timeout,
        ServerState::Lost,
        ServerState::StartingUp,
        ServerState::SlotsExhausted,
        ServerState::ConnectionLimit,
        ServerState::AuthFailed,
        ServerState::NoSuchDatabase,
        ServerState::NeedsPrivilege,
        ServerState::PasswordFile,
        ServerState::Tls,
        ServerState::PoolerRefused,
        ServerState::TooOld,
        ServerState::Failed,
    ];

    /// The word used in labels and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            ServerState::NotAsked => "not_asked",
            ServerState::Up => "up",
            ServerState::Refused => "refused",
            ServerState::Unreachable => "unreachable",
            ServerState::Timeout => "timeout",
            ServerState::Lost => "lost",
            ServerState::StartingUp => "starting_up",
            ServerState::SlotsExhausted => "slots_exhausted",
            ServerState::ConnectionLimit => "connection_limit",
            ServerState::AuthFailed => "auth_failed",
            ServerState::NoSuchDatabase => "no_such_database",
            ServerState::NeedsPrivilege => "needs_privilege",
            ServerState::PasswordFile => "password_file",
            ServerState::Tls => "tls",
            ServerState::PoolerRefused => "pooler_refused",
            ServerState::TooOld => "too_old",
            ServerState::Failed => "failed",
        }
    }

    /// The least time until the next try to connect: a wrong password is tried once a minute at
    /// most, since servers lock roles out; anything else once a second at most.
    pub(crate) fn retry_after(self) -> Duration {
        match self {
            ServerState::AuthFailed
            | ServerState::NoSuchDatabase
            | ServerState::NeedsPrivilege
            | ServerState::PasswordFile
            | ServerState::Tls
            | ServerState::TooOld => Duration::from_secs(60),
            ServerState::PoolerRefused => Duration::from_secs(10),
            ServerState::NotAsked
            | ServerState::Up
            | ServerState::Refused
            | ServerState::Unreachable
            | ServerState::Timeout
            | ServerState::Lost
            | ServerState::StartingUp
            | ServerState::SlotsExhausted
            | ServerState::ConnectionLimit
            | ServerState::Failed => Duration::from_secs(1),
        }
    }
}

/// A failed contact: its state, a sentence for people, and what would mend it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{sentence}")]
pub(crate) struct Failure {
    pub(crate) state: ServerState,
    pub(crate) sentence: String,
    pub(crate) fix: Option<String>,
}

impl Failure {
    pub(crate) fn new(settings: &PostgresSettings, state: ServerState, detail: &str) -> Self {
        Failure {
            state,
            sentence: sentence(settings, state, detail),
            fix: fix(settings, state),
        }
    }
}

/// Sorts a failed connect or a broken connection.
pub(crate) fn of_connect(settings: &PostgresSettings, error: &sqlx::Error) -> Failure {
    if let Some(db) = postgres_error(error) {
        let state = of_sqlstate(db);
        return Failure::new(settings, state, &server_words(db));
    }
    // Only kinds are told: an error's own text may repeat the URL.
    let (state, detail) = if let sqlx::Error::Io(e) = error {
        (of_io(e), e.kind().to_string())
    } else if matches!(error, sqlx::Error::Tls(_)) {
        (ServerState::Tls, String::new())
    } else if matches!(error, sqlx::Error::Protocol(_)) {
        let words = "it did not speak the Postgres protocol as expected";
        (ServerState::Lost, words.to_owned())
    } else {
        (ServerState::Failed, "unexpected client error".to_owned())
    };
    Failure::new(settings, state, &detail)
}

fn of_io(error: &io::Error) -> ServerState {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "io::ErrorKind is open; whatever is left leads nowhere"
    )]
    match error.kind() {
        // A missing socket file is a server that does not listen.
        io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => ServerState::Refused,
        io::ErrorKind::TimedOut => ServerState::Timeout,
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe => ServerState::Lost,
        _ => ServerState::Unreachable,
    }
}

/// What an SQLSTATE means for the whole connection.
fn of_sqlstate(error: &PgDatabaseError) -> ServerState {
    match error.code() {
        // The same code is used for the server's slots and for CONNECTION LIMIT of a role or a
        // database; the reporting routine is the only part that tells and is not translated.
        "53300" => match error.routine() {
            Some("InitializeSessionUserId" | "CheckMyDatabase") => ServerState::ConnectionLimit,
            Some(_) | None => ServerState::SlotsExhausted,
        },
        "57P03" => ServerState::StartingUp,
        "57P01" | "57P02" | "57P05" => ServerState::Lost,
        "28P01" | "28000" => ServerState::AuthFailed,
        "3D000" => ServerState::NoSuchDatabase,
        "42501" => ServerState::NeedsPrivilege,
        "57014" => ServerState::Timeout,
        // Poolers of the day use this one code for all they refuse.
        "08P01" if error.message().contains("auth") => ServerState::AuthFailed,
        "08P01" => ServerState::PoolerRefused,
        code if code.starts_with("08") => ServerState::Lost,
        _ => ServerState::Failed,
    }
}

/// What became of one question on a connection that goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The connection is gone with it.
    Broken(Failure),
    /// The role may not see it.
    NeedsPrivilege,
    /// The view or function is not there.
    NotInstalled,
    /// The server cannot do it.
    Unsupported,
    /// Locked, too slow, or cancelled by recovery: next round again.
    Busy(String),
    /// The server or the object is not in the state for it: not loaded, or another role by now.
    NotInState(String),
    /// Anything else, with its SQLSTATE.
    Odd(String),
}

/// Sorts a failed question.
pub(crate) fn of_question(settings: &PostgresSettings, error: &sqlx::Error) -> Trouble {
    let Some(db) = postgres_error(error) else {
        // A column of another type or name: an odd server, not a lost line.
        let odd_shape = matches!(
            error,
            sqlx::Error::ColumnDecode { .. }
                | sqlx::Error::ColumnNotFound(_)
                | sqlx::Error::Decode(_)
        );
        return if odd_shape {
            Trouble::Odd("the answer has another shape".to_owned())
        } else {
            Trouble::Broken(of_connect(settings, error))
        };
    };
    match db.code() {
        "42501" => Trouble::NeedsPrivilege,
        "42P01" | "42883" | "3F000" => Trouble::NotInstalled,
        "0A000" | "42703" => Trouble::Unsupported,
        "55000" => Trouble::NotInState(server_words(db)),
        "55P03" | "57014" | "40001" | "40P01" => Trouble::Busy(server_words(db)),
        code if code.starts_with("57P") || code.starts_with("08") => {
            Trouble::Broken(of_connect(settings, error))
        }
        _ => Trouble::Odd(server_words(db)),
    }
}

/// True when a pooler refused the parameters we send at the start of a session.
pub(crate) fn startup_parameter_refused(error: &sqlx::Error) -> bool {
    postgres_error(error).is_some_and(|db| db.code() == "08P01")
}

fn postgres_error(error: &sqlx::Error) -> Option<&PgDatabaseError> {
    error
        .as_database_error()
        .and_then(|e| e.try_downcast_ref::<PgDatabaseError>())
}

/// The server's own words, cut short: they hold role and database names, never a password.
fn server_words(error: &PgDatabaseError) -> String {
    let words: String = error.message().chars().take(160).collect();
    format!("{words} (SQLSTATE {})", error.code())
}

fn sentence(settings: &PostgresSettings, state: ServerState, detail: &str) -> String {
    let place = settings.instance();
    let user = settings.user();
    let database = settings.database();
    match state {
        ServerState::NotAsked => format!("Postgres {place} has not been asked yet"),
        ServerState::Up => format!("Postgres {place} answers"),
        ServerState::Refused => format!("nobody listens at {place}: {detail}"),
        ServerState::Unreachable => format!("{place} cannot be reached: {detail}"),
        ServerState::Timeout => format!(
            "Postgres {place} did not answer within {} s",
            settings.deadline.as_secs_f64()
        ),
        ServerState::Lost => format!("the connection to Postgres {place} broke: {detail}"),
        ServerState::StartingUp => format!("Postgres {place} is not ready: {detail}"),
        ServerState::SlotsExhausted => format!(
            "Postgres {place} has no connection slot left for role {user}: its connections are \
             exhausted"
        ),
        ServerState::ConnectionLimit => {
            format!("Postgres {place} refuses role {user} by its own CONNECTION LIMIT: {detail}")
        }
        ServerState::AuthFailed => format!("Postgres {place} refuses role {user}: {detail}"),
        ServerState::NoSuchDatabase => {
            format!("Postgres {place} has no database {database:?}")
        }
        ServerState::NeedsPrivilege => {
            format!("role {user} may not connect to database {database:?} of Postgres {place}")
        }
        ServerState::PasswordFile => detail.to_owned(),
        ServerState::Tls => format!("no TLS with Postgres {place} as demanded by sslmode"),
        ServerState::PoolerRefused => format!("the pooler at {place} refuses us: {detail}"),
        ServerState::TooOld => detail.to_owned(),
        ServerState::Failed => format!("Postgres {place} cannot be asked: {detail}"),
    }
}

/// The one line that would mend it, where there is one.
fn fix(settings: &PostgresSettings, state: ServerState) -> Option<String> {
    let role = quote(settings.user());
    let database = quote(settings.database());
    Some(match state {
        ServerState::AuthFailed if settings.is_local_socket() => {
            format!(
                "sudo -u postgres psql -h {} -p {} -c '{}'",
                settings.socket_dir(),
                settings.port(),
                create_role(settings.user(), false)
            )
        }
        ServerState::AuthFailed => format!(
            "{} and set url and password_file in [[postgres]]",
            create_role(settings.user(), true)
        ),
        ServerState::NoSuchDatabase => {
            "name an existing database in the url, e.g. /postgres".to_owned()
        }
        ServerState::NeedsPrivilege => format!("GRANT CONNECT ON DATABASE {database} TO {role};"),
        ServerState::SlotsExhausted => format!(
            "keep slots for monitoring: on Postgres 16 and later reserved_connections = 2 and \
             GRANT pg_use_reserved_connections TO {role};"
        ),
        ServerState::ConnectionLimit => format!("ALTER ROLE {role} CONNECTION LIMIT -1;"),
        ServerState::PasswordFile => {
            "make password_file readable to the user loadline runs as".to_owned()
        }
        ServerState::Tls => {
            "switch ssl on at the server, or choose another sslmode in the url".to_owned()
        }
        ServerState::PoolerRefused => {
            "connect to Postgres itself, past the pooler: change host and port in the url"
                .to_owned()
        }
        ServerState::Refused => "start the server, or correct host and port in the url".to_owned(),
        ServerState::NotAsked
        | ServerState::Up
        | ServerState::Unreachable
        | ServerState::Timeout
        | ServerState::Lost
        | ServerState::StartingUp
        | ServerState::TooOld
        | ServerState::Failed => return None,
    })
}

/// `CREATE ROLE` for a monitoring role that sees all statistics and no table.
pub(crate) fn create_role(user: &str, password: bool) -> String {
    let secret = if password { " PASSWORD '...'" } else { "" };
    format!(
        "CREATE ROLE {} LOGIN{secret} IN ROLE pg_monitor;",
        quote(user)
    )
}

/// An SQL identifier.
pub(crate) fn quote(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if plain {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_its_own_word_and_a_sentence() {
        let settings = PostgresSettings::tcp("db.example", 5433, "Odd \"Role\"", "shop");
        let mut words: Vec<_> = ServerState::ALL.map(ServerState::as_str).to_vec();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), ServerState::ALL.len());
        for state in ServerState::ALL {
            let f = Failure::new(&settings, state, "detail");
            assert!(!f.sentence.is_empty());
        }
        let f = Failure::new(&settings, ServerState::NeedsPrivilege, "");
        assert_eq!(
            f.fix.unwrap(),
            r#"GRANT CONNECT ON DATABASE shop TO "Odd ""Role""";"#
        );
    }

    #[test]
    fn wrong_credentials_are_tried_once_a_minute_at_most() {
        assert!(ServerState::AuthFailed.retry_after() >= Duration::from_secs(60));
        for state in ServerState::ALL {
            assert!(state.retry_after() >= Duration::from_secs(1));
        }
    }

    #[test]
    fn kinds_of_io_errors_have_names() {
        for (kind, want) in [
            (io::ErrorKind::ConnectionRefused, ServerState::Refused),
            (io::ErrorKind::NotFound, ServerState::Refused),
            (io::ErrorKind::UnexpectedEof, ServerState::Lost),
            (io::ErrorKind::HostUnreachable, ServerState::Unreachable),
        ] {
            assert_eq!(of_io(&io::Error::from(kind)), want, "{kind:?}");
        }
    }
}
