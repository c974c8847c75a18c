//! The reduced past of capacity signals.

use std::collections::BTreeMap;

use sqlx::SqliteConnection;

use super::{State, StateError};
use crate::model::Timestamp;

/// One capacity signal with what is new of it, or with all of it.
#[derive(Debug, Clone, PartialEq)]
pub struct CapacityRow {
    /// Limit id.
    pub limit: String,
    /// Labels as JSON.
    pub labels: String,
    /// What is remembered beside its past, as JSON.
    pub json: String,
    /// When it was last seen.
    pub seen: Timestamp,
    /// Hours, in any order.
    pub hours: Vec<HourRow>,
    /// Days, in any order.
    pub days: Vec<DayRow>,
}

/// One hour, numbered from the epoch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HourRow {
    /// Hours since the epoch.
    pub hour: i64,
    /// Mean of its samples.
    pub mean: f64,
    /// Highest of them.
    pub highest: f64,
    /// Last of them.
    pub last: f64,
    /// How many.
    pub samples: i64,
}

/// One day, numbered from the epoch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DayRow {
    /// Days since the epoch.
    pub day: i64,
    /// Highest of its hours.
    pub peak: f64,
    /// Mean of them.
    pub mean: f64,
    /// Lowest of them.
    pub lowest: f64,
    /// How many.
    pub hours: i64,
}

impl State {
    /// All capacity signals with all of their past, by limit and labels.
    pub async fn load_capacity(&self) -> Result<Vec<CapacityRow>, StateError> {
        let failed = |e| StateError::sql("read the capacity signals", e);
        let signals: Vec<(i64, String, String, String, i64)> =
            sqlx::query_as("SELECT id, limit_id, labels, json, seen_at FROM capacity")
                .fetch_all(self.readers())
                .await
                .map_err(failed)?;
        let mut out = BTreeMap::new();
        for (id, limit, labels, json, seen) in signals {
            let hours: Vec<(i64, f64, f64, f64, i64)> = sqlx::query_as(
                "SELECT hour, mean, highest, last, samples FROM capacity_hour
                 WHERE capacity = $1 ORDER BY hour",
            )
            .bind(id)
            .fetch_all(self.readers())
            .await
            .map_err(failed)?;
            let days: Vec<(i64, f64, f64, f64, i64)> = sqlx::query_as(
                "SELECT day, peak, mean, lowest, hours FROM capacity_day
                 WHERE capacity = $1 ORDER BY day",
            )
            .bind(id)
            .fetch_all(self.readers())
            .await
            .map_err(failed)?;
            let hours = hours
                .into_iter()
                .map(|(hour, mean, highest, last, samples)| HourRow {
                    hour,
                    mean,
                    highest,
                    last,
                    samples,
                });
            let days = days
                .into_iter()
                .map(|(day, peak, mean, lowest, hours)| DayRow {
                    day,
                    peak,
                    mean,
                    lowest,
                    hours,
                });
            let (hours, days) = (hours.collect(), days.collect());
            let seen = Timestamp(seen);
            let row = CapacityRow {
                limit,
                labels,
                json,
                seen,
                hours,
                days,
            };
            out.insert((row.limit.clone(), row.labels.clone()), row);
        }
        Ok(out.into_values().collect())
    }

    /// Writes what is new: hours and days with a number that is there already are replaced.
    pub async fn commit_capacity(&self, rows: &[CapacityRow]) -> Result<(), StateError> {
        if rows.is_empty() {
            return Ok(());
        }
        self.write(rows.to_vec(), |rows, conn| {
            Box::pin(async move {
                for row in rows {
                    let id = put(conn, row).await?;
                    for hour in &row.hours {
                        put_hour(conn, id, hour).await?;
                    }
                    for day in &row.days {
                        put_day(conn, id, day).await?;
                    }
                }
                Ok(())
            })
        })
        .await
    }

    /// Drops hours and days before these numbers, and signals that were not seen since a time.
    pub async fn prune_capacity(
        &self,
        first_hour: i64,
        first_day: i64,
        seen_since: Timestamp,
    ) -> Result<(), StateError> {
        let bounds = (first_hour, first_day, seen_since.millis());
        self.write(bounds, |(first_hour, first_day, seen_since), conn| {
            Box::pin(async move {
                for (statement, bound) in [
                    ("DELETE FROM capacity_hour WHERE hour < $1", *first_hour),
                    ("DELETE FROM capacity_day WHERE day < $1", *first_day),
                    ("DELETE FROM capacity WHERE seen_at < $1", *seen_since),
                ] {
                    sqlx::query(statement)
                        .bind(bound)
                        .execute(&mut *conn)
                        .await
                        .map_err(|e| StateError::sql("drop the old past of capacity signals", e))?;
                }
                Ok(())
            })
        })
        .await
    }
}

async fn put(conn: &mut SqliteConnection, row: &CapacityRow) -> Result<i64, StateError> {
    sqlx::query_scalar(
        "INSERT INTO capacity (limit_id, labels, json, seen_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (limit_id, labels)
         DO UPDATE SET json = excluded.json, seen_at = excluded.seen_at
         RETURNING id",
    )
    .bind(&row.limit)
    .bind(&row.labels)
    .bind(&row.json)
    .bind(row.seen.millis())
    .fetch_one(conn)
    .await
    .map_err(|e| StateError::sql("write a capacity signal", e))
}

async fn put_hour(conn: &mut SqliteConnection, id: i64, row: &HourRow) -> Result<(), StateError> {
    sqlx::query(
        "INSERT INTO capacity_hour (capacity, hour, mean, highest, last, samples)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (capacity, hour)
         DO UPDATE SET mean = excluded.mean, highest = excluded.highest, last = excluded.last,
                       samples = excluded.samples",
    )
    .bind(id)
    .bind(row.hour)
    .bind(row.mean)
    .bind(row.highest)
    .bind(row.last)
    .bind(row.samples)
    .execute(conn)
    .await
    .map(|_| ())
    .map_err(|e| StateError::sql("write an hour of a capacity signal", e))
}

async fn put_day(conn: &mut SqliteConnection, id: i64, row: &DayRow) -> Result<(), StateError> {
    sqlx::query(
        "INSERT INTO capacity_day (capacity, day, peak, mean, lowest, hours)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (capacity, day)
         DO UPDATE SET peak = excluded.peak, mean = excluded.mean, lowest = excluded.lowest,
                       hours = excluded.hours",
    )
    .bind(id)
    .bind(row.day)
    .bind(row.peak)
    .bind(row.mean)
    .bind(row.lowest)
    .bind(row.hours)
    .execute(conn)
    .await
    .map(|_| ())
    .map_err(|e| StateError::sql("write a day of a capacity signal", e))
}
