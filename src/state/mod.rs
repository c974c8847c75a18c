//! What survives a kill.
//!
//! What must stay true: one process per state directory (a lock file says so); one connection
//! writes, always in `BEGIN IMMEDIATE` with `synchronous=FULL`; a state change and its notices are
//! one transaction; nothing is called delivered before an answer came; the books balance
//! (enqueued = delivered + folded + dead + pending).
//!
//! A write ends even when its caller gives up waiting; but whoever drops it does not learn its
//! outcome: wait for a write, then look at the token. After a failed sync or damage nothing is
//! written any more. A full disk costs the ballast first.
//!
//! The samples file is apart: nothing depends on it, and it writes with `synchronous=NORMAL`.
//!
//! The rows are plain: payloads are JSON text that the room which writes them can read.

mod advice;
mod alerts;
mod attempts;
mod ballast;
mod books;
mod capacity;
mod endpoints;
mod error;
mod messages;
mod meta;
mod notices;
mod open;
mod samples;
mod set_aside;
mod silences;
#[cfg(test)]
mod tests;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sqlx::Connection;
use sqlx::sqlite::SqlitePool;
use tokio::sync::Mutex;

pub use advice::AdviceRow;
pub use alerts::AlertRow;
pub use attempts::{AttemptEnd, AttemptRow, AttemptStart};
pub use ballast::BALLAST_BYTES;
pub use books::Book;
pub use capacity::{CapacityRow, DayRow, HourRow};
pub use endpoints::EndpointRow;
pub use error::StateError;
pub use messages::{DeadRow, GroupRow, MessageRow, MessageState, NewMessage, SilentFold};
pub use notices::{NoticeRow, NoticeState};
pub use open::{MIN_SQLITE, migrations};
pub use samples::{SamplesFile, SamplesRow, SamplesWrite};
pub use silences::{AckRow, SilenceRow};

/// The open state directory; cheap to clone, closed when the last clone is dropped.
#[derive(Clone, Debug)]
pub struct State(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    writer: Mutex<writer::Core>,
    readers: SqlitePool,
    dir: PathBuf,
    /// The disk is full or nearly so.
    ballast_spent: Arc<AtomicBool>,
    set_aside: Option<PathBuf>,
}

impl State {
    /// Closes all connections, after which the files are at rest.
    pub async fn close(self) -> Result<(), StateError> {
        self.0.readers.close().await;
        if let Some(inner) = Arc::into_inner(self.0) {
            inner
                .writer
                .into_inner()
                .conn
                .close()
                .await
                .map_err(|e| StateError::sql("close the state database", e))?;
        }
        Ok(())
    }

    /// The state directory.
    pub fn dir(&self) -> &Path {
        &self.0.dir
    }

    /// True from the first write that found the disk full until [`State::tidy_up`] found room
    /// again.
    pub fn is_short_of_room(&self) -> bool {
        self.0.ballast_spent.load(Ordering::SeqCst)
    }

    /// Where a damaged database was put when this one was opened.
    pub fn set_aside(&self) -> Option<&Path> {
        self.0.set_aside.as_deref()
    }

    /// Marks the database as damaged, so that the next start puts it aside even when its check
    /// finds nothing. Says nothing when even that fails.
    pub fn condemn(&self, why: &StateError) {
        set_aside::mark(&self.0.dir, &why.to_string());
    }

    fn readers(&self) -> &SqlitePool {
        &self.0.readers
    }
}
