//! Single facts about the installation, and the upkeep of its files.

use super::writer::Core;
use super::{State, StateError};
use crate::model::Timestamp;

/// A write-ahead log of more than this is emptied; an outside reader may have kept it growing.
const LOG_MAX_BYTES: u64 = 16 << 20;

impl State {
    /// Records that a cycle is complete: every source asked, every due group evaluated, all of
    /// it written. Only a writer that works gets this far.
    pub async fn complete_cycle(&self, at: Timestamp) -> Result<(), StateError> {
        self.write(at, |at, conn| {
            Box::pin(async move {
                sqlx::query(
                    "INSERT INTO meta (key, value) VALUES ('cycle', $1)
                     ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                )
                .bind(at.millis().to_string())
                .execute(conn)
                .await
                .map_err(|e| StateError::sql("write that a cycle is complete", e))?;
                Ok(())
            })
        })
        .await
    }

    /// When the last cycle was complete, as far as it is on disk.
    pub async fn last_cycle(&self) -> Result<Option<Timestamp>, StateError> {
        let value: Option<String> =
            sqlx::query_scalar("SELECT value FROM meta WHERE key = 'cycle'")
                .fetch_optional(self.readers())
                .await
                .map_err(|e| StateError::sql("read when a cycle was complete", e))?;
        Ok(value.and_then(|v| v.parse().ok()).map(Timestamp))
    }

    /// Takes the ballast again when there is room, and empties a log that grew large. True while
    /// the ballast is there.
    pub async fn tidy_up(&self) -> Result<bool, StateError> {
        let log = self.dir().join(format!("{}-wal", super::open::DATABASE));
        let is_long = std::fs::metadata(log).is_ok_and(|m| m.len() > LOG_MAX_BYTES);
        self.alone(move |core: &mut Core| {
            Box::pin(async move {
                if is_long {
                    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
                        .fetch_optional(&mut core.conn)
                        .await
                        .map_err(|e| StateError::sql("empty the write-ahead log", e))?;
                }
                Ok(core.ballast.restore())
            })
        })
        .await
    }
}
