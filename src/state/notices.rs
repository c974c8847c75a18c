//! Notices: one change for one endpoint, before it is folded into a message.

use sqlx::SqliteConnection;

use super::{State, StateError, books};
use crate::model::Timestamp;

/// Notices read at a time; the rest follows when these are folded.
const PENDING_MAX: i64 = 10_000;

/// Where a notice stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoticeState {
    /// Waits for its group's flush.
    Pending,
    /// Is told by a message, or by nothing because it was over before anyone heard.
    Folded,
    /// Waits for the digest; not part of the books of sent messages.
    Digest,
    /// Is never sent, with its reason.
    Muted,
}

impl NoticeState {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            NoticeState::Pending => "pending",
            NoticeState::Folded => "folded",
            NoticeState::Digest => "digest",
            NoticeState::Muted => "muted",
        }
    }
}

/// One notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticeRow {
    /// Stable identity.
    pub id: String,
    /// Where it goes: one config of a receiver.
    pub endpoint: String,
    /// Which message group it belongs to.
    pub group_key: String,
    /// Where it stands.
    pub state: NoticeState,
    /// Why it stands there, e.g. why it is not sent; may be empty.
    pub reason: String,
    /// When the change happened.
    pub at: Timestamp,
    /// The change.
    pub json: String,
}

impl State {
    /// Notices that wait for their flush, oldest first, at most 10,000.
    pub async fn pending_notices(&self) -> Result<Vec<NoticeRow>, StateError> {
        let rows: Vec<(String, String, String, String, i64, String)> = sqlx::query_as(
            "SELECT id, endpoint, group_key, reason, at, json FROM notice
             WHERE state = 'pending' ORDER BY at, id LIMIT $1",
        )
        .bind(PENDING_MAX)
        .fetch_all(self.readers())
        .await
        .map_err(|e| StateError::sql("read the pending notices", e))?;
        Ok(rows
            .into_iter()
            .map(|(id, endpoint, group_key, reason, at, json)| NoticeRow {
                id,
                endpoint,
                group_key,
                state: NoticeState::Pending,
                reason,
                at: Timestamp(at),
                json,
            })
            .collect())
    }
}

/// Inserts notices; one that is already there stays as it is and is not counted again.
pub(super) async fn enqueue(
    conn: &mut SqliteConnection,
    rows: &[NoticeRow],
) -> Result<(), StateError> {
    for row in rows {
        let is_new = insert(conn, row).await?;
        match row.state {
            NoticeState::Pending if is_new => {
                books::add(conn, &row.endpoint, books::Delta::enqueued(1)).await?;
            }
            NoticeState::Pending
            | NoticeState::Folded
            | NoticeState::Digest
            | NoticeState::Muted => {}
        }
    }
    Ok(())
}

async fn insert(conn: &mut SqliteConnection, row: &NoticeRow) -> Result<bool, StateError> {
    let done = sqlx::query(
        "INSERT INTO notice (id, endpoint, group_key, state, reason, at, json)
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id) DO NOTHING",
    )
    .bind(&row.id)
    .bind(&row.endpoint)
    .bind(&row.group_key)
    .bind(row.state.as_str())
    .bind(&row.reason)
    .bind(row.at.millis())
    .bind(&row.json)
    .execute(conn)
    .await
    .map_err(|e| StateError::sql("write a notice", e))?;
    Ok(done.rows_affected() == 1)
}

/// Marks a pending notice as folded; false when it was not pending.
pub(super) async fn fold(
    conn: &mut SqliteConnection,
    id: &str,
    message_id: Option<&str>,
    reason: &str,
) -> Result<bool, StateError> {
    let done = sqlx::query(
        "UPDATE notice SET state = 'folded', message_id = $2, reason = $3
         WHERE id = $1 AND state = 'pending'",
    )
    .bind(id)
    .bind(message_id)
    .bind(reason)
    .execute(conn)
    .await
    .map_err(|e| StateError::sql("fold a notice", e))?;
    Ok(done.rows_affected() == 1)
}
