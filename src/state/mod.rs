//! What survives a kill.
//!
//! What must stay true: one process per state directory (a lock file says so); one connection
//! writes, always in `BEGIN IMMEDIATE` with `synchronous=FULL`; a state change and its notices are
//! one transaction; nothing is called delivered before an answer came; the books balance
//! (enqueued = delivered + folded + dead + pending).
//!
//! **Never put a call that writes inside `select!` or a timeout**: a dropped future leaves it
//! unknown whether the commit happened. Wait for it, then look at the token.
//!
//! The rows are plain: payloads are JSON text that the room which writes them can read.

mod advice;
mod alerts;
mod attempts;
mod books;
mod endpoints;
mod error;
mod messages;
mod notices;
mod open;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use sqlx::sqlite::SqlitePool;
use sqlx::{Connection, Sqlite, SqliteConnection, Transaction};
use tokio::sync::Mutex;

pub use advice::AdviceRow;
pub use alerts::AlertRow;
pub use attempts::{AttemptEnd, AttemptRow, AttemptStart};
pub use books::Book;
pub use endpoints::EndpointRow;
pub use error::StateError;
pub use messages::{GroupRow, MessageRow, MessageState, NewMessage, SilentFold};
pub use notices::{NoticeRow, NoticeState};
pub use open::{MIN_SQLITE, migrations};

/// The open state directory; cheap to clone, closed when the last clone is dropped.
#[derive(Clone, Debug)]
pub struct State(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    writer: Mutex<SqliteConnection>,
    readers: SqlitePool,
    /// Held for its lock.
    _lock: std::fs::File,
}

impl State {
    /// Closes all connections, after which the files are at rest.
    pub async fn close(self) -> Result<(), StateError> {
        self.0.readers.close().await;
        if let Some(inner) = Arc::into_inner(self.0) {
            inner
                .writer
                .into_inner()
                .close()
                .await
                .map_err(|e| StateError::sql("close the state database", e))?;
        }
        Ok(())
    }

    fn readers(&self) -> &SqlitePool {
        &self.0.readers
    }

    async fn writer(&self) -> tokio::sync::MutexGuard<'_, SqliteConnection> {
        self.0.writer.lock().await
    }
}

/// Begins the only kind of write transaction there is.
async fn begin(conn: &mut SqliteConnection) -> Result<Transaction<'_, Sqlite>, StateError> {
    conn.begin_with("BEGIN IMMEDIATE")
        .await
        .map_err(|e| StateError::sql("begin a transaction", e))
}

async fn commit(tx: Transaction<'_, Sqlite>) -> Result<(), StateError> {
    tx.commit()
        .await
        .map_err(|e| StateError::sql("commit a transaction", e))
}
