//! Attempts: written before and after each try, so that a kill in between is known.

use sqlx::SqliteConnection;

use super::endpoints::{self, EndpointRow};
use super::{State, StateError, books};
use crate::model::Timestamp;

/// Attempts kept per message; older ones are deleted.
const ATTEMPTS_KEPT: i64 = 20;

/// An attempt that may now be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttemptStart {
    /// Its number, from 1.
    pub n: i64,
    /// Earlier attempts of which nobody knows whether the receiver got them.
    pub uncertain: i64,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptEnd {
    /// The message.
    pub message_id: String,
    /// Number of the attempt.
    pub n: i64,
    /// When it ended.
    pub at: Timestamp,
    /// Status code of the answer, where there was one.
    pub status: Option<u16>,
    /// Why it failed; empty on success.
    pub error: String,
    /// Nobody knows whether the receiver got it.
    pub uncertain: bool,
}

/// A stored attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptRow {
    /// Its number, from 1.
    pub n: i64,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended; `None` when a kill came first.
    pub finished_at: Option<Timestamp>,
    /// Status code of the answer, where there was one.
    pub status: Option<i64>,
    /// Why it failed; empty on success.
    pub error: String,
}

impl State {
    /// Records that an attempt begins; only then may it be made. An error when the message is not
    /// waiting.
    pub async fn record_attempt_start(
        &self,
        message_id: &str,
        at: Timestamp,
    ) -> Result<AttemptStart, StateError> {
        self.write((message_id.to_owned(), at), |(id, at), conn| {
            Box::pin(async move {
                let start = begin_attempt(conn, id, *at).await?;
                insert_attempt(conn, id, start.n, *at).await?;
                trim_attempts(conn, id, start.n - ATTEMPTS_KEPT).await?;
                Ok(start)
            })
        })
        .await
    }

    /// Records an attempt that was answered with success, and how its endpoint stands.
    pub async fn mark_delivered(
        &self,
        end: &AttemptEnd,
        endpoint: &EndpointRow,
    ) -> Result<(), StateError> {
        self.finish(end, endpoint, "delivered", books::Delta::delivered(1))
            .await
    }

    /// Records an attempt after which the message is given up, and how its endpoint stands.
    pub async fn dead_letter(
        &self,
        end: &AttemptEnd,
        endpoint: &EndpointRow,
    ) -> Result<(), StateError> {
        self.finish(end, endpoint, "dead", books::Delta::dead(1))
            .await
    }

    /// Records a failed attempt after which the message is tried again at `next_attempt_at`, with
    /// its fallback text if so asked, and how its endpoint stands.
    pub async fn reschedule(
        &self,
        end: &AttemptEnd,
        endpoint: &EndpointRow,
        next_attempt_at: Timestamp,
        use_fallback: bool,
    ) -> Result<(), StateError> {
        let rows = (end.clone(), endpoint.clone(), next_attempt_at, use_fallback);
        self.write(rows, |(end, endpoint, next, use_fallback), conn| {
            Box::pin(async move {
                end_attempt(conn, end).await?;
                sqlx::query(
                    "UPDATE message SET next_attempt_at = $2, use_fallback = $3
                     WHERE id = $1 AND state = 'pending'",
                )
                .bind(&end.message_id)
                .bind(next.millis())
                .bind(i64::from(*use_fallback))
                .execute(&mut *conn)
                .await
                .map_err(|e| StateError::sql("reschedule a message", e))?;
                endpoints::upsert(conn, endpoint).await
            })
        })
        .await
    }

    /// The last attempts of a message, oldest first.
    pub async fn attempts(&self, message_id: &str) -> Result<Vec<AttemptRow>, StateError> {
        type Row = (i64, i64, Option<i64>, Option<i64>, String);
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT n, started_at, finished_at, status, error FROM attempt
             WHERE message_id = $1 ORDER BY n",
        )
        .bind(message_id)
        .fetch_all(self.readers())
        .await
        .map_err(|e| StateError::sql("read the attempts", e))?;
        Ok(rows
            .into_iter()
            .map(|(n, started_at, finished_at, status, error)| AttemptRow {
                n,
                started_at: Timestamp(started_at),
                finished_at: finished_at.map(Timestamp),
                status,
                error,
            })
            .collect())
    }

    async fn finish(
        &self,
        end: &AttemptEnd,
        endpoint: &EndpointRow,
        state: &'static str,
        delta: books::Delta,
    ) -> Result<(), StateError> {
        let rows = (end.clone(), endpoint.clone(), state, delta);
        self.write(rows, |(end, endpoint, state, delta), conn| {
            Box::pin(async move {
                end_attempt(conn, end).await?;
                let done = sqlx::query(
                    "UPDATE message SET state = $2, finished_at = $3
                     WHERE id = $1 AND state = 'pending'",
                )
                .bind(&end.message_id)
                .bind(*state)
                .bind(end.at.millis())
                .execute(&mut *conn)
                .await
                .map_err(|e| StateError::sql("finish a message", e))?;
                if done.rows_affected() == 1 {
                    books::add(conn, &endpoint.name, *delta).await?;
                }
                endpoints::upsert(conn, endpoint).await
            })
        })
        .await
    }
}

/// An attempt whose end was never recorded counts as uncertain from now on.
async fn begin_attempt(
    conn: &mut SqliteConnection,
    message_id: &str,
    at: Timestamp,
) -> Result<AttemptStart, StateError> {
    let row: Option<(i64, i64)> = sqlx::query_as(
        "UPDATE message SET attempts = attempts + 1, uncertain = uncertain + in_flight,
             in_flight = 1, first_attempt_at = COALESCE(first_attempt_at, $2)
         WHERE id = $1 AND state = 'pending' RETURNING attempts, uncertain",
    )
    .bind(message_id)
    .bind(at.millis())
    .fetch_optional(conn)
    .await
    .map_err(|e| StateError::sql("begin an attempt", e))?;
    let (n, uncertain) = row.ok_or_else(|| StateError::Row {
        what: "a message",
        detail: format!("{message_id} is not waiting to be sent"),
    })?;
    Ok(AttemptStart { n, uncertain })
}

async fn insert_attempt(
    conn: &mut SqliteConnection,
    message_id: &str,
    n: i64,
    at: Timestamp,
) -> Result<(), StateError> {
    sqlx::query("INSERT INTO attempt (message_id, n, started_at, error) VALUES ($1, $2, $3, '')")
        .bind(message_id)
        .bind(n)
        .bind(at.millis())
        .execute(conn)
        .await
        .map_err(|e| StateError::sql("write an attempt", e))?;
    Ok(())
}

async fn trim_attempts(
    conn: &mut SqliteConnection,
    message_id: &str,
    last: i64,
) -> Result<(), StateError> {
    sqlx::query("DELETE FROM attempt WHERE message_id = $1 AND n <= $2")
        .bind(message_id)
        .bind(last)
        .execute(conn)
        .await
        .map_err(|e| StateError::sql("delete old attempts", e))?;
    Ok(())
}

async fn end_attempt(conn: &mut SqliteConnection, end: &AttemptEnd) -> Result<(), StateError> {
    sqlx::query(
        "UPDATE attempt SET finished_at = $3, status = $4, error = $5
         WHERE message_id = $1 AND n = $2",
    )
    .bind(&end.message_id)
    .bind(end.n)
    .bind(end.at.millis())
    .bind(end.status.map(i64::from))
    .bind(&end.error)
    .execute(&mut *conn)
    .await
    .map_err(|e| StateError::sql("end an attempt", e))?;
    sqlx::query(
        "UPDATE message SET in_flight = 0, uncertain = uncertain + $2, last_error = $3
         WHERE id = $1",
    )
    .bind(&end.message_id)
    .bind(i64::from(end.uncertain))
    .bind(&end.error)
    .execute(conn)
    .await
    .map_err(|e| StateError::sql("end a message's attempt", e))?;
    Ok(())
}
