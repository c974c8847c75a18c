//! The one way to write: a transaction that ends whatever becomes of its caller.
//!
//! What must stay true: a write that began is finished even when the future that asked for it is
//! dropped; after a failed sync, damage or a panic in a write, nothing is written any more (a
//! second try would lie); a full disk costs the ballast first and an error only then.

use std::pin::Pin;

use sqlx::SqliteConnection;

use super::ballast::Ballast;
use super::{State, StateError};

/// What a write does inside its transaction.
pub(super) type Work<A, T> = for<'c> fn(&'c A, &'c mut SqliteConnection) -> Doing<'c, T>;

/// A write that is being done.
pub(super) type Doing<'c, T> = Pin<Box<dyn Future<Output = Result<T, StateError>> + Send + 'c>>;

/// The connection that writes and what stands with it.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) conn: SqliteConnection,
    pub(super) ballast: Ballast,
    /// Why nothing is written any more.
    broken: Option<String>,
    /// A write is under way; found set by the next one, it ended in a panic.
    busy: bool,
    /// Held for its lock; goes after the connection.
    _lock: std::fs::File,
}

impl Core {
    pub(super) fn new(conn: SqliteConnection, ballast: Ballast, lock: std::fs::File) -> Self {
        Self {
            conn,
            ballast,
            broken: None,
            busy: false,
            _lock: lock,
        }
    }

    /// Runs `work` in a transaction; a disk that is full is given the ballast, and `work` a
    /// second chance.
    async fn write<A, T>(&mut self, args: &A, work: Work<A, T>) -> Result<T, StateError> {
        if let Some(why) = &self.broken {
            return Err(StateError::Stopped { why: why.clone() });
        }
        if self.busy {
            let why = "a write to the state broke off".to_owned();
            self.broken = Some(why.clone());
            return Err(StateError::Stopped { why });
        }
        self.busy = true;
        let mut done = transaction(&mut self.conn, args, work).await;
        if done.as_ref().is_err_and(StateError::is_disk_full) && self.ballast.release() {
            done = transaction(&mut self.conn, args, work).await;
        }
        self.busy = false;
        if let Err(error) = &done
            && error.is_fatal()
        {
            self.broken = Some(error.to_string());
        }
        done
    }
}

/// Plain statements: after some errors (a full disk) SQLite has rolled back by itself, and sqlx's
/// own transactions would then count one that is not there.
async fn transaction<A, T>(
    conn: &mut SqliteConnection,
    args: &A,
    work: Work<A, T>,
) -> Result<T, StateError> {
    run(conn, "BEGIN IMMEDIATE", "begin a transaction").await?;
    let done = match work(args, conn).await {
        Ok(done) => run(conn, "COMMIT", "commit a transaction")
            .await
            .map(|()| done),
        Err(error) => Err(error),
    };
    if done.is_err() {
        // Fails when SQLite did it already; the first error says what happened.
        let _ = run(conn, "ROLLBACK", "roll back a transaction").await;
    }
    done
}

async fn run(
    conn: &mut SqliteConnection,
    sql: &'static str,
    what: &'static str,
) -> Result<(), StateError> {
    sqlx::query(sql)
        .execute(conn)
        .await
        .map_err(|e| StateError::sql(what, e))?;
    Ok(())
}

impl State {
    /// Writes in one transaction, on a thread of its own, so that it ends even when the caller
    /// is dropped.
    pub(super) async fn write<A, T>(&self, args: A, work: Work<A, T>) -> Result<T, StateError>
    where
        A: Send + Sync + 'static,
        T: Send + 'static,
    {
        self.alone(move |core| Box::pin(async move { core.write(&args, work).await }))
            .await
    }

    /// Runs `work` with the writer to itself.
    pub(super) async fn alone<T: Send + 'static>(
        &self,
        work: impl for<'c> FnOnce(&'c mut Core) -> Doing<'c, T> + Send + 'static,
    ) -> Result<T, StateError> {
        let inner = std::sync::Arc::clone(&self.0);
        let runtime = tokio::runtime::Handle::current();
        let done = tokio::task::spawn_blocking(move || {
            runtime.block_on(async {
                let mut core = inner.writer.lock().await;
                work(&mut core).await
            })
        });
        done.await.unwrap_or_else(|error| {
            Err(StateError::Stopped {
                why: format!("a write to the state broke off: {error}"),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_write_ends_although_its_caller_gave_up() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::open(dir.path()).await.unwrap();
        {
            let write = state.write((), |(), conn| {
                Box::pin(async move {
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                    sqlx::query("INSERT INTO meta (key, value) VALUES ('a', 'b')")
                        .execute(conn)
                        .await
                        .map_err(|e| StateError::sql("test", e))?;
                    Ok(())
                })
            });
            let given_up = tokio::time::timeout(std::time::Duration::from_millis(20), write).await;
            assert!(given_up.is_err());
        }
        // Waits for the writer, which ends the write first.
        state
            .write((), |(), _| Box::pin(async { Ok(()) }))
            .await
            .unwrap();
        let rows: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM meta WHERE key = 'a'")
            .fetch_one(state.readers())
            .await
            .unwrap();
        assert_eq!(rows, 1);
    }

    #[tokio::test]
    async fn a_full_disk_costs_the_ballast_and_then_only_the_write() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::open(dir.path()).await.unwrap();
        let put = async |n: usize| {
            let row = crate::state::SilenceRow {
                id: format!("s{n}"),
                ends_at: crate::model::Timestamp(0),
                json: "x".repeat(20_000),
            };
            state.put_silence(&row, crate::model::Timestamp(0)).await
        };
        // A database that may not grow any more stands for a disk that is full.
        let pages = |pages: u32| {
            state.alone(move |core| {
                Box::pin(async move {
                    let sql = format!("PRAGMA max_page_count = {pages}");
                    sqlx::query(sqlx::AssertSqlSafe(sql))
                        .fetch_all(&mut core.conn)
                        .await
                        .map_err(|e| StateError::sql("test", e))?;
                    Ok(())
                })
            })
        };
        put(1).await.unwrap();
        pages(1).await.unwrap();
        for n in 2..5 {
            let error = put(n).await.unwrap_err();
            assert!(error.is_disk_full() && !error.is_fatal(), "{error}");
            assert!(state.is_short_of_room(), "the ballast is given up");
        }
        pages(100_000).await.unwrap();
        put(5).await.unwrap();
        assert!(state.tidy_up().await.unwrap());
        assert!(!state.is_short_of_room());
        assert_eq!(state.load_silences().await.unwrap().len(), 2);
    }

    #[tokio::test]
    async fn after_a_panic_in_a_write_nothing_is_written_any_more() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::open(dir.path()).await.unwrap();
        let broke = state
            .write((), |(), _| -> Doing<'_, ()> {
                Box::pin(async { panic!("planted") })
            })
            .await
            .unwrap_err();
        assert!(broke.is_fatal(), "{broke}");
        let refused = state.write((), |(), _| Box::pin(async { Ok(()) })).await;
        let refused = refused.unwrap_err();
        assert!(refused.is_fatal(), "{refused}");
        assert!(refused.to_string().contains("broke off"), "{refused}");
    }
}
