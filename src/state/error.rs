//! What can go wrong with the state, in words for people.

use std::path::PathBuf;

/// A failure of the state directory or database.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Another process has it open.
    #[error(
        "the state directory {} is in use by another loadline{}; stop that one, or give this one \
         its own directory with `[state] dir`",
        dir.display(), if pid.is_empty() { String::new() } else { format!(" (process {pid})") }
    )]
    Locked {
        /// The directory.
        dir: PathBuf,
        /// Process id of the other one, where it could be read.
        pid: String,
    },
    /// The directory or a file in it cannot be used.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which path.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The SQLite library has a known fault in write-ahead logging.
    #[error(
        "SQLite {found} is too old: at least {} is needed (older ones can lose a commit); build \
         with the bundled library",
        super::MIN_SQLITE
    )]
    OldSqlite {
        /// Its version.
        found: String,
    },
    /// A newer loadline wrote the database.
    #[error(
        "the state database was written by a newer loadline (its schema has step {version}, which \
         this one does not know); run that version, or start with an empty `[state] dir`"
    )]
    NewerSchema {
        /// First unknown migration.
        version: i64,
    },
    /// The schema could not be brought up to date.
    #[error("cannot bring the state database up to date: {0}")]
    Migrate(sqlx::migrate::MigrateError),
    /// The check at start found damage.
    #[error(
        "the state database {} is damaged: {finding}; move it aside to start empty, or restore a \
         backup", path.display()
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// First finding of `quick_check`.
        finding: String,
    },
    /// A statement failed.
    #[error("cannot {what}: {source}")]
    Sql {
        /// What was tried.
        what: &'static str,
        /// Why not.
        source: sqlx::Error,
    },
    /// A row holds what this version cannot read.
    #[error("cannot read {what} from the state database: {detail}")]
    Row {
        /// Which kind of row.
        what: &'static str,
        /// What is wrong with it.
        detail: String,
    },
}

impl StateError {
    pub(crate) fn sql(what: &'static str, source: sqlx::Error) -> Self {
        StateError::Sql { what, source }
    }

    /// True when going on could lose or repeat messages: a failed write to disk or damage. The
    /// daemon then stops sending and ends; trying the write again would lie.
    pub fn is_fatal(&self) -> bool {
        match self {
            StateError::Corrupt { .. } => true,
            // Primary result codes: IOERR, CORRUPT, NOTADB.
            StateError::Sql { source, .. } => {
                primary_code(source).is_some_and(|c| [10, 11, 26].contains(&c))
            }
            StateError::Locked { .. }
            | StateError::Io { .. }
            | StateError::OldSqlite { .. }
            | StateError::NewerSchema { .. }
            | StateError::Migrate(_)
            | StateError::Row { .. } => false,
        }
    }

    /// True when the disk is full.
    pub fn is_disk_full(&self) -> bool {
        match self {
            StateError::Sql { source, .. } => primary_code(source) == Some(13),
            StateError::Locked { .. }
            | StateError::Io { .. }
            | StateError::OldSqlite { .. }
            | StateError::NewerSchema { .. }
            | StateError::Migrate(_)
            | StateError::Corrupt { .. }
            | StateError::Row { .. } => false,
        }
    }
}

fn primary_code(error: &sqlx::Error) -> Option<u32> {
    let code: u32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(code & 0xff)
}
