//! What the advisor remembers: sign instances, decisions, dwell times.

use sqlx::SqliteConnection;

use super::notices::{self, NoticeRow};
use super::{State, StateError};
use crate::model::Timestamp;

/// One thing that the advisor remembers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdviceRow {
    /// What it is, e.g. `sign` or `decision`.
    pub kind: String,
    /// Unique within its kind.
    pub id: String,
    /// The thing.
    pub json: String,
}

impl State {
    /// Everything the advisor remembers, by kind and id.
    pub async fn load_advice(&self) -> Result<Vec<AdviceRow>, StateError> {
        let rows: Vec<(String, String, String)> =
            sqlx::query_as("SELECT kind, id, json FROM advice ORDER BY kind, id")
                .fetch_all(self.readers())
                .await
                .map_err(|e| StateError::sql("read the advice", e))?;
        Ok(rows
            .into_iter()
            .map(|(kind, id, json)| AdviceRow { kind, id, json })
            .collect())
    }

    /// Writes one tick's advice: what changed, what is forgotten (kind, id), and the notices it
    /// causes, or nothing.
    pub async fn commit_advice(
        &self,
        upserts: &[AdviceRow],
        deletes: &[(String, String)],
        notices: &[NoticeRow],
        at: Timestamp,
    ) -> Result<(), StateError> {
        if upserts.is_empty() && deletes.is_empty() && notices.is_empty() {
            return Ok(());
        }
        let rows = (upserts.to_vec(), deletes.to_vec(), notices.to_vec(), at);
        self.write(rows, |(upserts, deletes, notices, at), conn| {
            Box::pin(async move {
                for row in upserts {
                    upsert(conn, row, *at).await?;
                }
                for (kind, id) in deletes {
                    delete(conn, kind, id).await?;
                }
                notices::enqueue(conn, notices).await
            })
        })
        .await
    }
}

async fn upsert(
    conn: &mut SqliteConnection,
    row: &AdviceRow,
    at: Timestamp,
) -> Result<(), StateError> {
    sqlx::query(
        "INSERT INTO advice (kind, id, json, changed_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (kind, id)
         DO UPDATE SET json = excluded.json, changed_at = excluded.changed_at",
    )
    .bind(&row.kind)
    .bind(&row.id)
    .bind(&row.json)
    .bind(at.millis())
    .execute(conn)
    .await
    .map_err(|e| StateError::sql("write advice", e))?;
    Ok(())
}

async fn delete(conn: &mut SqliteConnection, kind: &str, id: &str) -> Result<(), StateError> {
    sqlx::query("DELETE FROM advice WHERE kind = $1 AND id = $2")
        .bind(kind)
        .bind(id)
        .execute(conn)
        .await
        .map_err(|e| StateError::sql("delete advice", e))?;
    Ok(())
}
