//! The samples file: packed samples beside the state, for a restart to find.
//!
//! What must stay true: it is a file of its own, never rows of the state database, and nothing
//! depends on it: one that cannot be read is set aside, and the daemon goes on without. What was
//! committed survives a kill at once, and a power cut after the next write.

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::TryStreamExt;
use sqlx::sqlite::{SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{Connection, SqliteConnection};

use super::StateError;
use super::open::create_private;
use crate::model::Timestamp;

const FILE: &str = "samples";
const ASIDE: &str = "samples.damaged";
/// What `PRAGMA user_version` says of a file with this schema.
const SCHEMA: i64 = 1;
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
const JOURNAL_LIMIT_BYTES: &str = "16777216";
/// Pages that one write gives back to the system at most, where most of the file is free.
const PAGES_GIVEN_BACK: &str = "PRAGMA incremental_vacuum(2000)";
/// Blocks that make room at once when the file is full.
const FORGOTTEN_AT_ONCE: i64 = 16;

/// The open samples file.
#[derive(Debug)]
pub struct SamplesFile {
    conn: SqliteConnection,
    dir: PathBuf,
}

/// One thing in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SamplesRow {
    /// Class of a block; nothing for names.
    pub class: Option<i64>,
    /// Time of the newest sample.
    pub newest: Timestamp,
    /// What was packed.
    pub body: Vec<u8>,
}

/// One write: all of it or nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SamplesWrite {
    /// What is added.
    pub rows: Vec<SamplesRow>,
    /// True when the names in `rows` take the place of those before.
    pub names_anew: bool,
    /// Blocks of a class with nothing newer than this are forgotten.
    pub forget: Vec<(i64, Timestamp)>,
    /// Since when samples have been kept without a gap.
    pub since: Timestamp,
    /// What is kept, as JSON.
    pub selected: String,
}

impl SamplesFile {
    /// Opens (or creates) the file in the state directory, whose lock must be held. One that is
    /// damaged or has another schema is set aside first; then its path is returned too.
    pub async fn open(dir: &Path) -> Result<(SamplesFile, Option<PathBuf>), StateError> {
        match Self::try_open(dir).await {
            Ok(file) => Ok((file, None)),
            Err(e) if e.is_damage() => {
                let aside = set_aside(dir)?;
                Ok((Self::try_open(dir).await?, Some(aside)))
            }
            Err(e) => Err(e),
        }
    }

    async fn try_open(dir: &Path) -> Result<SamplesFile, StateError> {
        let path = dir.join(FILE);
        create_private(&path)?;
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(false)
            .page_size(16_384)
            .auto_vacuum(SqliteAutoVacuum::Incremental)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .busy_timeout(BUSY_TIMEOUT)
            .pragma("journal_size_limit", JOURNAL_LIMIT_BYTES)
            .pragma("trusted_schema", "OFF");
        let mut conn = SqliteConnection::connect_with(&options)
            .await
            .map_err(|e| StateError::sql("open the samples file", e))?;
        let version: i64 = sqlx::query_scalar("PRAGMA user_version")
            .fetch_one(&mut conn)
            .await
            .map_err(|e| StateError::sql("read the version of the samples file", e))?;
        match version {
            SCHEMA => {}
            0 => create(&mut conn).await?,
            other => {
                return Err(StateError::Corrupt {
                    path,
                    finding: format!("schema {other}, which this version does not know"),
                });
            }
        }
        Ok(SamplesFile {
            conn,
            dir: dir.to_owned(),
        })
    }

    /// Since when the file has samples without a gap, and of what, as the last write said.
    pub async fn since(&mut self) -> Result<Option<(Timestamp, String)>, StateError> {
        let kept: Option<(i64, String)> =
            sqlx::query_as("SELECT since, selected FROM kept WHERE id = 1")
                .fetch_optional(&mut self.conn)
                .await
                .map_err(|e| StateError::sql("read the samples file", e))?;
        Ok(kept.map(|(since, selected)| (Timestamp(since), selected)))
    }

    /// Hands on everything in the file, one row at a time: names first, then blocks in the order
    /// in which they were written.
    pub async fn read(&mut self, take: &mut dyn FnMut(SamplesRow)) -> Result<(), StateError> {
        let sql = "SELECT class, newest, body FROM samples ORDER BY class IS NOT NULL, seq";
        let mut rows = sqlx::query_as::<_, (Option<i64>, i64, Vec<u8>)>(sql).fetch(&mut self.conn);
        let failed = |e| StateError::sql("read the samples file", e);
        while let Some((class, newest, body)) = rows.try_next().await.map_err(failed)? {
            take(SamplesRow {
                class,
                newest: Timestamp(newest),
                body,
            });
        }
        Ok(())
    }

    /// Writes one pass, in one transaction.
    pub async fn write(&mut self, write: &SamplesWrite) -> Result<(), StateError> {
        let mut tx = self
            .conn
            .begin_with("BEGIN IMMEDIATE")
            .await
            .map_err(|e| StateError::sql("begin a transaction", e))?;
        if write.names_anew {
            sqlx::query("DELETE FROM samples WHERE class IS NULL")
                .execute(&mut *tx)
                .await
                .map_err(|e| StateError::sql("forget names in the samples file", e))?;
        }
        for row in &write.rows {
            sqlx::query("INSERT INTO samples (class, newest, body) VALUES (?1, ?2, ?3)")
                .bind(row.class)
                .bind(row.newest.millis())
                .bind(&row.body)
                .execute(&mut *tx)
                .await
                .map_err(|e| StateError::sql("write the samples file", e))?;
        }
        for (class, before) in &write.forget {
            sqlx::query("DELETE FROM samples WHERE class = ?1 AND newest < ?2")
                .bind(class)
                .bind(before.millis())
                .execute(&mut *tx)
                .await
                .map_err(|e| StateError::sql("forget old samples", e))?;
        }
        sqlx::query("INSERT OR REPLACE INTO kept (id, since, selected) VALUES (1, ?1, ?2)")
            .bind(write.since.millis())
            .bind(&write.selected)
            .execute(&mut *tx)
            .await
            .map_err(|e| StateError::sql("write the samples file", e))?;
        tx.commit()
            .await
            .map_err(|e| StateError::sql("commit a transaction", e))?;
        // To the disk itself, so that a power cut takes no more than what is written later.
        run(&mut self.conn, "PRAGMA wal_checkpoint(PASSIVE)").await
    }

    /// Bytes in use.
    pub async fn bytes(&mut self) -> Result<u64, StateError> {
        let (pages, free, size) = self.pages().await?;
        Ok((pages - free).saturating_mul(size))
    }

    /// Forgets the oldest blocks until at most `most` bytes are in use, and gives room that is not
    /// needed back to the system. Returns the number of blocks.
    pub async fn keep_under(&mut self, most: u64) -> Result<u64, StateError> {
        let mut forgotten = 0;
        while self.bytes().await? > most {
            let gone = sqlx::query(
                "DELETE FROM samples WHERE seq IN (SELECT seq FROM samples \
                 WHERE class IS NOT NULL ORDER BY newest, seq LIMIT ?1)",
            )
            .bind(FORGOTTEN_AT_ONCE)
            .execute(&mut self.conn)
            .await
            .map_err(|e| StateError::sql("forget old samples", e))?
            .rows_affected();
            if gone == 0 {
                break;
            }
            forgotten += gone;
        }
        let (pages, free, _) = self.pages().await?;
        if free > pages / 2 {
            run(&mut self.conn, PAGES_GIVEN_BACK).await?;
        }
        Ok(forgotten)
    }

    /// Begins anew with an empty file and sets this one aside; returns where it lies.
    pub async fn begin_anew(self) -> Result<(SamplesFile, PathBuf), StateError> {
        let dir = self.dir.clone();
        // The file is damaged: that it cannot be closed well is no news.
        let _ = self.conn.close().await;
        let aside = set_aside(&dir)?;
        Ok((Self::try_open(&dir).await?, aside))
    }

    /// Closes the file, after which it is at rest.
    pub async fn close(self) -> Result<(), StateError> {
        self.conn
            .close()
            .await
            .map_err(|e| StateError::sql("close the samples file", e))
    }

    async fn pages(&mut self) -> Result<(u64, u64, u64), StateError> {
        let mut numbers = [0_u64; 3];
        let asked = ["page_count", "freelist_count", "page_size"];
        for (number, pragma) in numbers.iter_mut().zip(asked) {
            let sql = match pragma {
                "page_count" => "PRAGMA page_count",
                "freelist_count" => "PRAGMA freelist_count",
                _ => "PRAGMA page_size",
            };
            let found: i64 = sqlx::query_scalar(sql)
                .fetch_one(&mut self.conn)
                .await
                .map_err(|e| StateError::sql("measure the samples file", e))?;
            *number = u64::try_from(found).unwrap_or(0);
        }
        Ok((numbers[0], numbers[1], numbers[2]))
    }
}

async fn create(conn: &mut SqliteConnection) -> Result<(), StateError> {
    for sql in [
        "CREATE TABLE IF NOT EXISTS samples (seq INTEGER PRIMARY KEY, class INTEGER, \
         newest INTEGER NOT NULL, body BLOB NOT NULL)",
        "CREATE INDEX IF NOT EXISTS samples_by_class ON samples (class, newest)",
        "CREATE TABLE IF NOT EXISTS kept (id INTEGER PRIMARY KEY, since INTEGER NOT NULL, \
         selected TEXT NOT NULL)",
        "PRAGMA user_version = 1",
    ] {
        run(conn, sql).await?;
    }
    Ok(())
}

async fn run(conn: &mut SqliteConnection, sql: &'static str) -> Result<(), StateError> {
    sqlx::query(sql)
        .execute(conn)
        .await
        .map_err(|e| StateError::sql("write the samples file", e))?;
    Ok(())
}

/// Renames the file; what was set aside before goes.
fn set_aside(dir: &Path) -> Result<PathBuf, StateError> {
    let io = |what, path: &Path| {
        let path = path.to_owned();
        move |source| StateError::Io { what, path, source }
    };
    let (file, aside) = (dir.join(FILE), dir.join(ASIDE));
    std::fs::rename(&file, &aside).map_err(io("set aside", &file))?;
    for ending in ["-wal", "-shm"] {
        let journal = dir.join(format!("{FILE}{ending}"));
        match std::fs::remove_file(&journal) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(io("remove", &journal)(e));
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(aside)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(class: Option<i64>, newest: i64, body: &[u8]) -> SamplesRow {
        SamplesRow {
            class,
            newest: Timestamp(newest),
            body: body.to_vec(),
        }
    }

    async fn all(file: &mut SamplesFile) -> Vec<SamplesRow> {
        let mut rows = Vec::new();
        file.read(&mut |r| rows.push(r)).await.unwrap();
        rows
    }

    #[tokio::test]
    async fn what_was_written_is_read_names_first() {
        let dir = tempfile::tempdir().unwrap();
        let (mut file, aside) = SamplesFile::open(dir.path()).await.unwrap();
        assert_eq!((aside, file.since().await.unwrap()), (None, None));
        let (a, b) = (row(Some(1), 10, b"a"), row(Some(0), 30, b"b"));
        let names = row(None, 0, b"names");
        let mut write = SamplesWrite {
            rows: vec![a.clone(), names.clone(), b.clone()],
            since: Timestamp(5),
            selected: "[]".to_owned(),
            ..SamplesWrite::default()
        };
        file.write(&write).await.unwrap();
        file.close().await.unwrap();

        let (mut file, _) = SamplesFile::open(dir.path()).await.unwrap();
        let kept = file.since().await.unwrap();
        assert_eq!(kept, Some((Timestamp(5), "[]".to_owned())));
        assert_eq!(all(&mut file).await, [names, a.clone(), b.clone()]);
        let anew = row(None, 0, b"anew");
        write = SamplesWrite {
            rows: vec![anew.clone()],
            names_anew: true,
            forget: vec![(0, Timestamp(31)), (1, Timestamp(10))],
            since: Timestamp(6),
            selected: "[1]".to_owned(),
        };
        file.write(&write).await.unwrap();
        assert_eq!(all(&mut file).await, [anew, a]);
        let kept = file.since().await.unwrap();
        assert_eq!(kept, Some((Timestamp(6), "[1]".to_owned())));
    }

    #[tokio::test]
    async fn the_oldest_make_room_and_room_is_given_back() {
        let dir = tempfile::tempdir().unwrap();
        let (mut file, _) = SamplesFile::open(dir.path()).await.unwrap();
        let body = vec![7; 100_000];
        let rows = (0..100).map(|i| row(Some(i % 3), i, &body)).collect();
        let write = SamplesWrite {
            rows,
            ..SamplesWrite::default()
        };
        file.write(&write).await.unwrap();
        let before = file.bytes().await.unwrap();
        assert!(before > 10_000_000);
        assert!(file.keep_under(3_000_000).await.unwrap() > 60);
        assert!(file.bytes().await.unwrap() <= 3_000_000);
        let rows = all(&mut file).await;
        assert!(
            rows.iter().all(|r| r.newest.millis() >= 60),
            "the newest stay"
        );
        file.close().await.unwrap();
        let size = std::fs::metadata(dir.path().join(FILE)).unwrap().len();
        assert!(size < before / 2, "{size} of {before}");
    }

    #[tokio::test]
    async fn a_damaged_file_is_set_aside() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        let damage: [&dyn Fn(); 3] = [
            &|| std::fs::write(&path, b"not a database at all, but long enough").unwrap(),
            &|| {
                let mut bytes = std::fs::read(&path).unwrap();
                bytes[..200].fill(0x55);
                std::fs::write(&path, bytes).unwrap();
            },
            &|| {
                // A version to come.
                let mut bytes = std::fs::read(&path).unwrap();
                bytes[60..64].copy_from_slice(&9_u32.to_be_bytes());
                std::fs::write(&path, bytes).unwrap();
            },
        ];
        for harm in damage {
            harm();
            let (mut file, aside) = SamplesFile::open(dir.path()).await.unwrap();
            assert_eq!(aside, Some(dir.path().join(ASIDE)));
            assert_eq!(all(&mut file).await, []);
            let rows = vec![row(Some(0), 1, b"x")];
            let write = SamplesWrite {
                rows,
                ..SamplesWrite::default()
            };
            file.write(&write).await.unwrap();
            let (mut file, _) = file.begin_anew().await.unwrap();
            assert_eq!(all(&mut file).await, []);
            file.close().await.unwrap();
        }
    }
}
