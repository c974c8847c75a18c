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
    /// The directory lies on a file system without dependable locks.
    #[error(
        "the state directory {} lies on a network file system ({kind}), whose locks and syncs \
         cannot be depended on; set `[state] dir` to a local disk", dir.display()
    )]
    Remote {
        /// The directory.
        dir: PathBuf,
        /// Which one.
        kind: &'static str,
    },
    /// Nothing is written any more since a write failed in a way that a second try would hide.
    #[error("the state is not written any more: {why}")]
    Stopped {
        /// What happened.
        why: String,
    },
    /// The check at start found damage.
    #[error(
        "the state database {} is damaged: {finding}; the next start puts it aside and begins \
         with an empty one", path.display()
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
            StateError::Corrupt { .. } | StateError::Stopped { .. } => true,
            StateError::Sql { source, .. } => {
                !self.is_disk_full()
                    && code(source).is_some_and(|c| [IOERR, CORRUPT, NOTADB].contains(&(c & 0xff)))
            }
            StateError::Locked { .. }
            | StateError::Remote { .. }
            | StateError::Io { .. }
            | StateError::OldSqlite { .. }
            | StateError::NewerSchema { .. }
            | StateError::Migrate(_)
            | StateError::Row { .. } => false,
        }
    }

    /// True when the database is damaged.
    pub fn is_damage(&self) -> bool {
        match self {
            StateError::Corrupt { .. } => true,
            StateError::Sql { source, .. } => {
                code(source).is_some_and(|c| [CORRUPT, NOTADB].contains(&(c & 0xff)))
            }
            StateError::Locked { .. }
            | StateError::Remote { .. }
            | StateError::Stopped { .. }
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
            StateError::Sql { source, .. } => {
                code(source).is_some_and(|c| c & 0xff == FULL || c == IOERR_SHMSIZE)
            }
            StateError::Locked { .. }
            | StateError::Remote { .. }
            | StateError::Stopped { .. }
            | StateError::Io { .. }
            | StateError::OldSqlite { .. }
            | StateError::NewerSchema { .. }
            | StateError::Migrate(_)
            | StateError::Corrupt { .. }
            | StateError::Row { .. } => false,
        }
    }
}

const IOERR: u32 = 10;
const CORRUPT: u32 = 11;
const FULL: u32 = 13;
const NOTADB: u32 = 26;
/// The index of the write-ahead log could not grow.
const IOERR_SHMSIZE: u32 = 10 | (19 << 8);

/// SQLite's extended result code.
fn code(error: &sqlx::Error) -> Option<u32> {
    error.as_database_error()?.code()?.parse().ok()
}
