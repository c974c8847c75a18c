//! Alert instances, and the transaction of one group's evaluation.

use sqlx::SqliteConnection;

use super::notices::{self, NoticeRow};
use super::{State, StateError};
use crate::model::Timestamp;

/// One alert instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertRow {
    /// Rule group.
    pub group: String,
    /// `Labels::fingerprint` of the instance's labels.
    pub fingerprint: u64,
    /// The instance.
    pub json: String,
}

impl State {
    /// All alert instances, by group and fingerprint.
    pub async fn load_alerts(&self) -> Result<Vec<AlertRow>, StateError> {
        let rows: Vec<(String, i64, String)> = sqlx::query_as(
            "SELECT rule_group, fingerprint, json FROM alert ORDER BY rule_group, fingerprint",
        )
        .fetch_all(self.readers())
        .await
        .map_err(|e| StateError::sql("read the alerts", e))?;
        Ok(rows
            .into_iter()
            .map(|(group, fingerprint, json)| AlertRow {
                group,
                fingerprint: fingerprint.cast_unsigned(),
                json,
            })
            .collect())
    }

    /// Writes one group's evaluation: what changed and the notices it causes, or nothing.
    ///
    /// `upserts` belong to `group`; a notice that is already there stays as it is.
    pub async fn commit_group(
        &self,
        group: &str,
        upserts: &[AlertRow],
        deletes: &[u64],
        notices: &[NoticeRow],
        at: Timestamp,
    ) -> Result<(), StateError> {
        if upserts.is_empty() && deletes.is_empty() && notices.is_empty() {
            return Ok(());
        }
        let rows = (
            group.to_owned(),
            upserts.to_vec(),
            deletes.to_vec(),
            notices.to_vec(),
            at,
        );
        self.write(rows, |(group, upserts, deletes, notices, at), conn| {
            Box::pin(async move {
                for row in upserts {
                    upsert(conn, group, row, *at).await?;
                }
                for fingerprint in deletes {
                    delete(conn, group, *fingerprint).await?;
                }
                notices::enqueue(conn, notices).await
            })
        })
        .await
    }

    /// Forgets the instances of groups that are not in `keep`, after a reload without them.
    pub async fn retain_groups(&self, keep: &[&str]) -> Result<u64, StateError> {
        let keep: Vec<String> = keep.iter().map(|g| (*g).to_owned()).collect();
        self.write(keep, |keep, conn| {
            Box::pin(async move {
                let known: Vec<String> =
                    sqlx::query_scalar("SELECT DISTINCT rule_group FROM alert ORDER BY rule_group")
                        .fetch_all(&mut *conn)
                        .await
                        .map_err(|e| StateError::sql("read the rule groups", e))?;
                let mut gone = 0;
                for group in known.iter().filter(|g| !keep.contains(g)) {
                    gone += sqlx::query("DELETE FROM alert WHERE rule_group = $1")
                        .bind(group)
                        .execute(&mut *conn)
                        .await
                        .map_err(|e| StateError::sql("forget a rule group", e))?
                        .rows_affected();
                }
                Ok(gone)
            })
        })
        .await
    }
}

async fn upsert(
    conn: &mut SqliteConnection,
    group: &str,
    row: &AlertRow,
    at: Timestamp,
) -> Result<(), StateError> {
    sqlx::query(
        "INSERT INTO alert (rule_group, fingerprint, json, changed_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (rule_group, fingerprint)
         DO UPDATE SET json = excluded.json, changed_at = excluded.changed_at",
    )
    .bind(group)
    .bind(row.fingerprint.cast_signed())
    .bind(&row.json)
    .bind(at.millis())
    .execute(conn)
    .await
    .map_err(|e| StateError::sql("write an alert", e))?;
    Ok(())
}

async fn delete(
    conn: &mut SqliteConnection,
    group: &str,
    fingerprint: u64,
) -> Result<(), StateError> {
    sqlx::query("DELETE FROM alert WHERE rule_group = $1 AND fingerprint = $2")
        .bind(group)
        .bind(fingerprint.cast_signed())
        .execute(conn)
        .await
        .map_err(|e| StateError::sql("delete an alert", e))?;
    Ok(())
}
