//! Messages: what is to be sent, in order per endpoint and group.

use std::time::Duration;

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::{State, StateError, books, notices};
use crate::model::Timestamp;

/// Where a message stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageState {
    /// To be sent.
    Pending,
    /// Answered with success.
    Delivered,
    /// Given up; kept for people.
    Dead,
}

impl MessageState {
    fn read(text: &str) -> Result<Self, sqlx::Error> {
        match text {
            "pending" => Ok(MessageState::Pending),
            "delivered" => Ok(MessageState::Delivered),
            "dead" => Ok(MessageState::Dead),
            other => Err(sqlx::Error::Decode(
                format!("a message has the unknown state {other:?}").into(),
            )),
        }
    }
}

/// A message as it is first written; from here on its body never changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMessage {
    /// Stable identity.
    pub id: String,
    /// Where it goes.
    pub endpoint: String,
    /// Which group it tells of.
    pub group_key: String,
    /// Higher goes first among groups.
    pub urgency: i64,
    /// What is sent.
    pub body: String,
    /// Plain text, sent once when the body is refused as such.
    pub fallback: String,
    /// When it was written.
    pub created_at: Timestamp,
    /// Notices that it tells; none for a repeat.
    pub notices: Vec<String>,
    /// What its receiver knows of the group once it was told (JSON).
    pub told: String,
}

/// A notice that ends without a message, with the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SilentFold {
    /// The notice.
    pub notice: String,
    /// Its endpoint.
    pub endpoint: String,
    /// Why nobody needs to be told.
    pub reason: String,
}

/// A stored message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageRow {
    /// Stable identity.
    pub id: String,
    /// Order of writing.
    pub seq: i64,
    /// Where it goes.
    pub endpoint: String,
    /// Which group it tells of.
    pub group_key: String,
    /// Higher goes first among groups.
    pub urgency: i64,
    /// What is sent.
    pub body: String,
    /// Plain text, sent once when the body is refused as such.
    pub fallback: String,
    /// Where it stands.
    pub state: MessageState,
    /// When it was written.
    pub created_at: Timestamp,
    /// Not to be tried before.
    pub next_attempt_at: Timestamp,
    /// When it was first tried.
    pub first_attempt_at: Option<Timestamp>,
    /// When it was delivered or given up.
    pub finished_at: Option<Timestamp>,
    /// Attempts begun.
    pub attempts: i64,
    /// An attempt was begun and its end is not recorded.
    pub in_flight: bool,
    /// Attempts of which nobody knows whether the receiver got them.
    pub uncertain: i64,
    /// The body was refused; the fallback is sent.
    pub use_fallback: bool,
    /// Why the last attempt failed.
    pub last_error: String,
}

/// Messages to one endpoint that were given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadRow {
    /// Their endpoint.
    pub endpoint: String,
    /// How many.
    pub messages: i64,
    /// Why the last of them was given up.
    pub last_error: String,
}

/// What was last said about a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupRow {
    /// Where it goes.
    pub endpoint: String,
    /// The group.
    pub group_key: String,
    /// When its last message was written.
    pub last_message_at: Timestamp,
    /// What its receiver knows (JSON).
    pub told: String,
}

impl State {
    /// Writes messages, folds the notices they tell and those that need none, and remembers what
    /// each group's receiver now knows: all or nothing.
    pub async fn commit_messages(
        &self,
        messages: &[NewMessage],
        silent: &[SilentFold],
    ) -> Result<(), StateError> {
        if messages.is_empty() && silent.is_empty() {
            return Ok(());
        }
        let rows = (messages.to_vec(), silent.to_vec());
        self.write(rows, |(messages, silent), conn| {
            Box::pin(async move {
                let mut seq = last_seq(conn).await?;
                for message in messages {
                    seq += 1;
                    add(conn, message, seq).await?;
                }
                for fold in silent {
                    if notices::fold(conn, &fold.notice, None, &fold.reason).await? {
                        books::add(conn, &fold.endpoint, books::Delta::folded(1)).await?;
                    }
                }
                Ok(())
            })
        })
        .await
    }

    /// What was last said, per endpoint and group.
    pub async fn groups(&self) -> Result<Vec<GroupRow>, StateError> {
        let rows: Vec<(String, String, i64, String)> = sqlx::query_as(
            "SELECT endpoint, group_key, last_message_at, told FROM message_group
             ORDER BY endpoint, group_key",
        )
        .fetch_all(self.readers())
        .await
        .map_err(|e| StateError::sql("read the message groups", e))?;
        Ok(rows
            .into_iter()
            .map(|(endpoint, group_key, at, told)| GroupRow {
                endpoint,
                group_key,
                last_message_at: Timestamp(at),
                told,
            })
            .collect())
    }

    /// At most `limit` messages of `endpoint` that may be tried now: of each group only the
    /// oldest one that waits, most urgent first. A waiting time of more than `clamp` is taken for
    /// a clock that stepped back, and is over.
    pub async fn due_messages(
        &self,
        endpoint: &str,
        now: Timestamp,
        clamp: Duration,
        limit: u32,
    ) -> Result<Vec<MessageRow>, StateError> {
        sqlx::query(
            "SELECT * FROM message AS m
             WHERE m.state = 'pending' AND m.endpoint = $1
               AND (m.next_attempt_at <= $2 OR m.next_attempt_at > $3)
               AND m.seq = (SELECT MIN(o.seq) FROM message AS o
                            WHERE o.state = 'pending' AND o.endpoint = m.endpoint
                              AND o.group_key = m.group_key)
             ORDER BY m.urgency DESC, m.seq LIMIT $4",
        )
        .bind(endpoint)
        .bind(now.millis())
        .bind((now + clamp).millis())
        .bind(i64::from(limit))
        .fetch_all(self.readers())
        .await
        .and_then(|rows| rows.iter().map(read).collect())
        .map_err(|e| StateError::sql("read the due messages", e))
    }

    /// When the next message of `endpoint` may be tried; `None` when none waits.
    pub async fn next_message_due(&self, endpoint: &str) -> Result<Option<Timestamp>, StateError> {
        let at: Option<i64> = sqlx::query_scalar(
            "SELECT MIN(m.next_attempt_at) FROM message AS m
             WHERE m.state = 'pending' AND m.endpoint = $1
               AND m.seq = (SELECT MIN(o.seq) FROM message AS o
                            WHERE o.state = 'pending' AND o.endpoint = m.endpoint
                              AND o.group_key = m.group_key)",
        )
        .bind(endpoint)
        .fetch_one(self.readers())
        .await
        .map_err(|e| StateError::sql("read when the next message is due", e))?;
        Ok(at.map(Timestamp))
    }

    /// One message.
    pub async fn message(&self, id: &str) -> Result<Option<MessageRow>, StateError> {
        sqlx::query("SELECT * FROM message WHERE id = $1")
            .bind(id)
            .fetch_optional(self.readers())
            .await
            .and_then(|row| row.as_ref().map(read).transpose())
            .map_err(|e| StateError::sql("read a message", e))
    }

    /// The newest `limit` messages, newest first.
    pub async fn messages(&self, limit: u32) -> Result<Vec<MessageRow>, StateError> {
        sqlx::query("SELECT * FROM message ORDER BY seq DESC LIMIT $1")
            .bind(i64::from(limit))
            .fetch_all(self.readers())
            .await
            .and_then(|rows| rows.iter().map(read).collect())
            .map_err(|e| StateError::sql("read the messages", e))
    }

    /// Messages that were given up after `since`, by endpoint.
    pub async fn recently_dead(&self, since: Timestamp) -> Result<Vec<DeadRow>, StateError> {
        // With MAX alone SQLite takes the other columns from the row that holds it.
        let rows: Vec<(String, i64, String, i64)> = sqlx::query_as(
            "SELECT endpoint, COUNT(*), last_error, MAX(finished_at) FROM message
             WHERE state = 'dead' AND finished_at > $1 GROUP BY endpoint ORDER BY endpoint",
        )
        .bind(since.millis())
        .fetch_all(self.readers())
        .await
        .map_err(|e| StateError::sql("read who lost messages", e))?;
        Ok(rows
            .into_iter()
            .map(|(endpoint, messages, last_error, _)| DeadRow {
                endpoint,
                messages,
                last_error,
            })
            .collect())
    }

    /// The newest `limit` messages that wait or were given up, oldest first.
    pub async fn undelivered(&self, limit: u32) -> Result<Vec<MessageRow>, StateError> {
        let mut rows: Vec<MessageRow> = sqlx::query(
            "SELECT * FROM message WHERE state IN ('pending', 'dead') ORDER BY seq DESC LIMIT $1",
        )
        .bind(i64::from(limit))
        .fetch_all(self.readers())
        .await
        .and_then(|rows| rows.iter().map(read).collect())
        .map_err(|e| StateError::sql("read the undelivered messages", e))?;
        rows.reverse();
        Ok(rows)
    }

    /// Lets a message that was given up be sent again under its id; false when it was not.
    pub async fn retry(&self, id: &str, at: Timestamp) -> Result<bool, StateError> {
        self.write((id.to_owned(), at), |(id, at), conn| {
            Box::pin(async move {
                let endpoint: Option<String> = sqlx::query_scalar(
                    "UPDATE message SET state = 'pending', finished_at = NULL, next_attempt_at = $2
                     WHERE id = $1 AND state = 'dead' RETURNING endpoint",
                )
                .bind(id)
                .bind(at.millis())
                .fetch_optional(&mut *conn)
                .await
                .map_err(|e| StateError::sql("retry a message", e))?;
                let Some(endpoint) = endpoint else {
                    return Ok(false);
                };
                books::add(conn, &endpoint, books::Delta::dead(-1)).await?;
                Ok(true)
            })
        })
        .await
    }

    /// Endpoints that have messages waiting.
    pub async fn waiting_endpoints(&self) -> Result<Vec<String>, StateError> {
        sqlx::query_scalar(
            "SELECT DISTINCT endpoint FROM message WHERE state = 'pending' ORDER BY endpoint",
        )
        .fetch_all(self.readers())
        .await
        .map_err(|e| StateError::sql("read who has messages waiting", e))
    }

    /// Gives up all waiting messages of `endpoint` without an attempt; returns how many.
    pub async fn dead_letter_waiting(
        &self,
        endpoint: &str,
        reason: &str,
        at: Timestamp,
    ) -> Result<u64, StateError> {
        let rows = (endpoint.to_owned(), reason.to_owned(), at);
        self.write(rows, |(endpoint, reason, at), conn| {
            Box::pin(async move {
                let dead = sqlx::query(
                    "UPDATE message SET state = 'dead', finished_at = $2, last_error = $3
                     WHERE endpoint = $1 AND state = 'pending'",
                )
                .bind(endpoint)
                .bind(at.millis())
                .bind(reason)
                .execute(&mut *conn)
                .await
                .map_err(|e| StateError::sql("give up waiting messages", e))?
                .rows_affected();
                if dead > 0 {
                    let delta = books::Delta::dead(i64::try_from(dead).unwrap_or(i64::MAX));
                    books::add(conn, endpoint, delta).await?;
                }
                Ok(dead)
            })
        })
        .await
    }
}

/// Writes a message that is not there yet, and folds the notices that it tells.
async fn add(
    conn: &mut SqliteConnection,
    message: &NewMessage,
    seq: i64,
) -> Result<(), StateError> {
    if !insert(conn, message, seq).await? {
        return Ok(());
    }
    let mut folded = 0;
    for notice in &message.notices {
        let id = Some(message.id.as_str());
        folded += i64::from(notices::fold(conn, notice, id, "").await?);
    }
    // The message itself stands for one of its notices; a repeat has none and counts as enqueued
    // here.
    let delta = if folded == 0 {
        books::Delta::enqueued(1)
    } else {
        books::Delta::folded(folded - 1)
    };
    books::add(conn, &message.endpoint, delta).await?;
    upsert_group(conn, message).await
}

async fn last_seq(conn: &mut SqliteConnection) -> Result<i64, StateError> {
    sqlx::query_scalar("SELECT COALESCE(MAX(seq), 0) FROM message")
        .fetch_one(conn)
        .await
        .map_err(|e| StateError::sql("read the last message number", e))
}

/// False when the message is already there.
async fn insert(
    conn: &mut SqliteConnection,
    message: &NewMessage,
    seq: i64,
) -> Result<bool, StateError> {
    let done = sqlx::query(
        "INSERT INTO message (id, seq, endpoint, group_key, urgency, body, fallback, state,
             created_at, next_attempt_at, attempts, in_flight, uncertain, use_fallback, last_error)
         VALUES ($1, $2, $3, $4, $5, $6, $7, 'pending', $8, $8, 0, 0, 0, 0, '')
         ON CONFLICT (id) DO NOTHING",
    )
    .bind(&message.id)
    .bind(seq)
    .bind(&message.endpoint)
    .bind(&message.group_key)
    .bind(message.urgency)
    .bind(&message.body)
    .bind(&message.fallback)
    .bind(message.created_at.millis())
    .execute(conn)
    .await
    .map_err(|e| StateError::sql("write a message", e))?;
    Ok(done.rows_affected() == 1)
}

async fn upsert_group(conn: &mut SqliteConnection, message: &NewMessage) -> Result<(), StateError> {
    sqlx::query(
        "INSERT INTO message_group (endpoint, group_key, last_message_at, last_message_id, told)
         VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (endpoint, group_key) DO UPDATE SET
             last_message_at = excluded.last_message_at,
             last_message_id = excluded.last_message_id, told = excluded.told",
    )
    .bind(&message.endpoint)
    .bind(&message.group_key)
    .bind(message.created_at.millis())
    .bind(&message.id)
    .bind(&message.told)
    .execute(conn)
    .await
    .map_err(|e| StateError::sql("write what a group was told", e))?;
    Ok(())
}

fn read(row: &SqliteRow) -> Result<MessageRow, sqlx::Error> {
    let flag = |name| row.try_get::<i64, _>(name).map(|n| n != 0);
    let time = |name| {
        row.try_get::<Option<i64>, _>(name)
            .map(|t| t.map(Timestamp))
    };
    Ok(MessageRow {
        id: row.try_get("id")?,
        seq: row.try_get("seq")?,
        endpoint: row.try_get("endpoint")?,
        group_key: row.try_get("group_key")?,
        urgency: row.try_get("urgency")?,
        body: row.try_get("body")?,
        fallback: row.try_get("fallback")?,
        state: MessageState::read(row.try_get("state")?)?,
        created_at: Timestamp(row.try_get("created_at")?),
        next_attempt_at: Timestamp(row.try_get("next_attempt_at")?),
        first_attempt_at: time("first_attempt_at")?,
        finished_at: time("finished_at")?,
        attempts: row.try_get("attempts")?,
        in_flight: flag("in_flight")?,
        uncertain: row.try_get("uncertain")?,
        use_fallback: flag("use_fallback")?,
        last_error: row.try_get("last_error")?,
    })
}
