//! Silences and acknowledgements: on disk before anybody is told that they hold.

use super::{State, StateError};
use crate::model::Timestamp;

/// One silence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SilenceRow {
    /// Unique.
    pub id: String,
    /// When it ends by the wall clock.
    pub ends_at: Timestamp,
    /// The silence.
    pub json: String,
}

/// One acknowledgement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AckRow {
    /// Unique: what is acknowledged.
    pub id: String,
    /// The acknowledgement.
    pub json: String,
}

impl State {
    /// Writes a silence, new or changed. It holds over every restart once this returns.
    pub async fn put_silence(&self, row: &SilenceRow, at: Timestamp) -> Result<(), StateError> {
        self.write((row.clone(), at), |(row, at), conn| {
            Box::pin(async move {
                sqlx::query(
                    "INSERT INTO silence (id, ends_at, json, changed_at) VALUES ($1, $2, $3, $4)
                     ON CONFLICT (id) DO UPDATE SET ends_at = excluded.ends_at,
                         json = excluded.json, changed_at = excluded.changed_at",
                )
                .bind(&row.id)
                .bind(row.ends_at.millis())
                .bind(&row.json)
                .bind(at.millis())
                .execute(conn)
                .await
                .map_err(|e| StateError::sql("write a silence", e))?;
                Ok(())
            })
        })
        .await
    }

    /// All silences by id, those that ended included until they are pruned.
    pub async fn load_silences(&self) -> Result<Vec<SilenceRow>, StateError> {
        let rows: Vec<(String, i64, String)> =
            sqlx::query_as("SELECT id, ends_at, json FROM silence ORDER BY id")
                .fetch_all(self.readers())
                .await
                .map_err(|e| StateError::sql("read the silences", e))?;
        Ok(rows
            .into_iter()
            .map(|(id, ends_at, json)| SilenceRow {
                id,
                ends_at: Timestamp(ends_at),
                json,
            })
            .collect())
    }

    /// Forgets silences that ended before `before`; returns how many.
    pub async fn prune_silences(&self, before: Timestamp) -> Result<u64, StateError> {
        self.write(before, |before, conn| {
            Box::pin(async move {
                Ok(sqlx::query("DELETE FROM silence WHERE ends_at < $1")
                    .bind(before.millis())
                    .execute(conn)
                    .await
                    .map_err(|e| StateError::sql("forget old silences", e))?
                    .rows_affected())
            })
        })
        .await
    }

    /// Writes an acknowledgement, new or changed.
    pub async fn put_ack(&self, row: &AckRow, at: Timestamp) -> Result<(), StateError> {
        self.write((row.clone(), at), |(row, at), conn| {
            Box::pin(async move {
                sqlx::query(
                    "INSERT INTO ack (id, json, changed_at) VALUES ($1, $2, $3)
                     ON CONFLICT (id) DO UPDATE SET json = excluded.json,
                         changed_at = excluded.changed_at",
                )
                .bind(&row.id)
                .bind(&row.json)
                .bind(at.millis())
                .execute(conn)
                .await
                .map_err(|e| StateError::sql("write an acknowledgement", e))?;
                Ok(())
            })
        })
        .await
    }

    /// All acknowledgements by id.
    pub async fn load_acks(&self) -> Result<Vec<AckRow>, StateError> {
        let rows: Vec<(String, String)> = sqlx::query_as("SELECT id, json FROM ack ORDER BY id")
            .fetch_all(self.readers())
            .await
            .map_err(|e| StateError::sql("read the acknowledgements", e))?;
        Ok(rows
            .into_iter()
            .map(|(id, json)| AckRow { id, json })
            .collect())
    }

    /// Takes an acknowledgement back; false when there was none.
    pub async fn delete_ack(&self, id: &str) -> Result<bool, StateError> {
        self.write(id.to_owned(), |id, conn| {
            Box::pin(async move {
                let done = sqlx::query("DELETE FROM ack WHERE id = $1")
                    .bind(id)
                    .execute(conn)
                    .await
                    .map_err(|e| StateError::sql("forget an acknowledgement", e))?;
                Ok(done.rows_affected() == 1)
            })
        })
        .await
    }
}
