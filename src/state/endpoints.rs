//! How each endpoint stands: the memory of its backoff.

use sqlx::SqliteConnection;

use super::{State, StateError};
use crate::model::Timestamp;

/// How an endpoint (one config of a receiver) stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointRow {
    /// Its name.
    pub name: String,
    /// Failures since the last success.
    pub failures: i64,
    /// When the first of them was.
    pub failing_since: Option<Timestamp>,
    /// Since when it has not let us in (401, 404 and the like), if that was its last answer.
    pub refused_since: Option<Timestamp>,
    /// Nothing is tried before.
    pub hold_until: Timestamp,
    /// Set when it told us never to come again.
    pub disabled_reason: Option<String>,
    /// When it last answered with success.
    pub last_success_at: Option<Timestamp>,
    /// When the messages that it got would have come evenly at its pace: the memory of its rate.
    pub paced_until: Timestamp,
}

impl EndpointRow {
    /// An endpoint of which nothing is known.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            failures: 0,
            failing_since: None,
            refused_since: None,
            hold_until: Timestamp(0),
            disabled_reason: None,
            last_success_at: None,
            paced_until: Timestamp(0),
        }
    }
}

impl State {
    /// How an endpoint stands; a new one when it was never tried.
    pub async fn endpoint(&self, name: &str) -> Result<EndpointRow, StateError> {
        type Row = (
            i64,
            Option<i64>,
            Option<i64>,
            i64,
            Option<String>,
            Option<i64>,
            i64,
        );
        let row: Option<Row> = sqlx::query_as(
            "SELECT failures, failing_since, refused_since, hold_until, disabled_reason,
                    last_success_at, paced_until
             FROM endpoint WHERE name = $1",
        )
        .bind(name)
        .fetch_optional(self.readers())
        .await
        .map_err(|e| StateError::sql("read how an endpoint stands", e))?;
        Ok(row.map_or_else(
            || EndpointRow::new(name),
            |(failures, since, refused, hold, disabled_reason, success, paced)| EndpointRow {
                name: name.to_owned(),
                failures,
                failing_since: since.map(Timestamp),
                refused_since: refused.map(Timestamp),
                hold_until: Timestamp(hold),
                disabled_reason,
                last_success_at: success.map(Timestamp),
                paced_until: Timestamp(paced),
            },
        ))
    }

    /// How all endpoints stand that were ever tried, by name.
    pub async fn endpoints(&self) -> Result<Vec<EndpointRow>, StateError> {
        let names: Vec<String> = sqlx::query_scalar("SELECT name FROM endpoint ORDER BY name")
            .fetch_all(self.readers())
            .await
            .map_err(|e| StateError::sql("read the endpoints", e))?;
        let mut rows = Vec::new();
        for name in names {
            rows.push(self.endpoint(&name).await?);
        }
        Ok(rows)
    }

    /// Moves every wait by milliseconds, with a wall clock that stepped: of endpoints, of
    /// messages, between messages of a group.
    pub async fn shift_waits(&self, step: i64) -> Result<(), StateError> {
        self.write(step, |step, conn| {
            Box::pin(async move {
                for sql in [
                    "UPDATE endpoint SET hold_until = hold_until + $1,
                         paced_until = paced_until + $1, failing_since = failing_since + $1,
                         refused_since = refused_since + $1",
                    "UPDATE message SET next_attempt_at = next_attempt_at + $1,
                         created_at = created_at + $1 WHERE state = 'pending'",
                    "UPDATE message_group SET last_message_at = last_message_at + $1",
                ] {
                    sqlx::query(sql)
                        .bind(*step)
                        .execute(&mut *conn)
                        .await
                        .map_err(|e| StateError::sql("move the waits with the clock", e))?;
                }
                Ok(())
            })
        })
        .await
    }

    /// Forgets that an endpoint was disabled, e.g. after its address was changed.
    pub async fn enable_endpoint(&self, name: &str) -> Result<(), StateError> {
        self.write(name.to_owned(), |name, conn| {
            Box::pin(async move {
                sqlx::query(
                    "UPDATE endpoint SET disabled_reason = NULL, hold_until = 0 WHERE name = $1",
                )
                .bind(name)
                .execute(conn)
                .await
                .map_err(|e| StateError::sql("enable an endpoint", e))?;
                Ok(())
            })
        })
        .await
    }
}

pub(super) async fn upsert(
    conn: &mut SqliteConnection,
    row: &EndpointRow,
) -> Result<(), StateError> {
    sqlx::query(
        "INSERT INTO endpoint
             (name, failures, failing_since, refused_since, hold_until, disabled_reason,
              last_success_at, paced_until)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (name) DO UPDATE SET
             failures = excluded.failures, failing_since = excluded.failing_since,
             refused_since = excluded.refused_since, hold_until = excluded.hold_until,
             disabled_reason = excluded.disabled_reason,
             last_success_at = excluded.last_success_at, paced_until = excluded.paced_until",
    )
    .bind(&row.name)
    .bind(row.failures)
    .bind(row.failing_since.map(Timestamp::millis))
    .bind(row.refused_since.map(Timestamp::millis))
    .bind(row.hold_until.millis())
    .bind(&row.disabled_reason)
    .bind(row.last_success_at.map(Timestamp::millis))
    .bind(row.paced_until.millis())
    .execute(conn)
    .await
    .map_err(|e| StateError::sql("write how an endpoint stands", e))?;
    Ok(())
}
