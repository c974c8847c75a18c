//! The books: what was enqueued and what became of it.

use sqlx::SqliteConnection;

use super::{State, StateError};
use crate::model::Timestamp;

/// Counts of one endpoint since the state was created; `pending` is counted from the rows, so
/// that the balance is a check and not a definition.
///
/// The unit is the notice (a repeat counts as one): a message that tells n notices is n - 1
/// folded and one pending, delivered or dead.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Book {
    /// The endpoint.
    pub endpoint: String,
    /// Notices to be sent.
    pub enqueued: i64,
    /// Messages that were answered with success.
    pub delivered: i64,
    /// Notices told by another one's message, or over before anyone heard.
    pub folded: i64,
    /// Messages that were given up.
    pub dead: i64,
    /// Notices and messages that wait.
    pub pending: i64,
    /// Notices kept for the digest; outside the balance.
    pub digest: i64,
    /// Notices that are never sent; outside the balance.
    pub muted: i64,
    /// When the oldest waiting message was written.
    pub oldest_pending: Option<Timestamp>,
}

impl Book {
    /// True when enqueued = delivered + folded + dead + pending.
    pub fn balances(&self) -> bool {
        self.enqueued == self.delivered + self.folded + self.dead + self.pending
    }
}

impl State {
    /// The books of all endpoints by name, as one snapshot.
    pub async fn books(&self) -> Result<Vec<Book>, StateError> {
        type Row = (String, i64, i64, i64, i64, i64, i64, i64, Option<i64>);
        let rows: Vec<Row> = sqlx::query_as(
            "WITH name AS (SELECT endpoint FROM book UNION SELECT endpoint FROM notice),
                  n AS (SELECT endpoint,
                               COUNT(CASE WHEN state = 'pending' THEN 1 END) AS pending,
                               COUNT(CASE WHEN state = 'digest' THEN 1 END) AS digest,
                               COUNT(CASE WHEN state = 'muted' THEN 1 END) AS muted
                        FROM notice GROUP BY endpoint),
                  m AS (SELECT endpoint, COUNT(*) AS pending, MIN(created_at) AS oldest
                        FROM message WHERE state = 'pending' GROUP BY endpoint)
             SELECT name.endpoint,
                    COALESCE(book.enqueued, 0), COALESCE(book.delivered, 0),
                    COALESCE(book.folded, 0), COALESCE(book.dead, 0),
                    COALESCE(n.pending, 0) + COALESCE(m.pending, 0),
                    COALESCE(n.digest, 0), COALESCE(n.muted, 0), m.oldest
             FROM name
             LEFT JOIN book ON book.endpoint = name.endpoint
             LEFT JOIN n ON n.endpoint = name.endpoint
             LEFT JOIN m ON m.endpoint = name.endpoint
             ORDER BY name.endpoint",
        )
        .fetch_all(self.readers())
        .await
        .map_err(|e| StateError::sql("read the books", e))?;
        Ok(rows
            .into_iter()
            .map(|r| Book {
                endpoint: r.0,
                enqueued: r.1,
                delivered: r.2,
                folded: r.3,
                dead: r.4,
                pending: r.5,
                digest: r.6,
                muted: r.7,
                oldest_pending: r.8.map(Timestamp),
            })
            .collect())
    }

    /// Deletes what ended before `before`: messages with their attempts and notices, and notices
    /// that were never sent. The books keep their counts. Returns the number of rows.
    pub async fn prune(&self, before: Timestamp) -> Result<u64, StateError> {
        self.write(before, |before, conn| {
            Box::pin(async move {
                let messages = sqlx::query(
                    "DELETE FROM message WHERE state IN ('delivered', 'dead') AND finished_at < $1",
                )
                .bind(before.millis())
                .execute(&mut *conn)
                .await
                .map_err(|e| StateError::sql("delete old messages", e))?
                .rows_affected();
                let notices = sqlx::query(
                    "DELETE FROM notice WHERE state <> 'pending' AND message_id IS NULL AND at < $1",
                )
                .bind(before.millis())
                .execute(conn)
                .await
                .map_err(|e| StateError::sql("delete old notices", e))?
                .rows_affected();
                Ok(messages + notices)
            })
        })
        .await
    }
}

/// What one transaction adds to an endpoint's book.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Delta {
    enqueued: i64,
    folded: i64,
    delivered: i64,
    dead: i64,
}

impl Delta {
    pub(super) fn enqueued(n: i64) -> Self {
        Self {
            enqueued: n,
            ..Self::default()
        }
    }

    pub(super) fn folded(n: i64) -> Self {
        Self {
            folded: n,
            ..Self::default()
        }
    }

    pub(super) fn delivered(n: i64) -> Self {
        Self {
            delivered: n,
            ..Self::default()
        }
    }

    pub(super) fn dead(n: i64) -> Self {
        Self {
            dead: n,
            ..Self::default()
        }
    }
}

pub(super) async fn add(
    conn: &mut SqliteConnection,
    endpoint: &str,
    delta: Delta,
) -> Result<(), StateError> {
    sqlx::query(
        "INSERT INTO book (endpoint, enqueued, folded, delivered, dead)
         VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (endpoint) DO UPDATE SET
             enqueued = book.enqueued + excluded.enqueued,
             folded = book.folded + excluded.folded,
             delivered = book.delivered + excluded.delivered,
             dead = book.dead + excluded.dead",
    )
    .bind(endpoint)
    .bind(delta.enqueued)
    .bind(delta.folded)
    .bind(delta.delivered)
    .bind(delta.dead)
    .execute(conn)
    .await
    .map_err(|e| StateError::sql("write the books", e))?;
    Ok(())
}
