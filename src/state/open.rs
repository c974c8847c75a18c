//! Opens the state directory: lock, files, library version, pragmas, migrations, check.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection, SqlSafeStr, SqliteConnection};
use tokio::sync::Mutex;

use super::ballast::Ballast;
use super::writer::Core;
use super::{Inner, State, StateError, set_aside};

/// The least SQLite that is accepted: older ones have a race in write-ahead logging that can lose
/// a commit.
pub const MIN_SQLITE: &str = "3.51.3";

pub(super) const DATABASE: &str = "state.db";
const LOCK: &str = "lock";
const READERS: u32 = 2;
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
const JOURNAL_LIMIT_BYTES: &str = "67108864";

/// All schema steps in order: number, name, SQL.
pub fn migrations() -> &'static [(i64, &'static str, &'static str)] {
    &[
        (1, "initial", include_str!("migrations/0001_initial.sql")),
        (2, "silences", include_str!("migrations/0002_silences.sql")),
        (3, "capacity", include_str!("migrations/0003_capacity.sql")),
    ]
}

impl State {
    /// Opens (or creates) the state in `dir`, mode 0700. A damaged database is put aside and an
    /// empty one begun. Fails when another process has the directory, the SQLite library is too
    /// old, or the schema is newer.
    pub async fn open(dir: &Path) -> Result<State, StateError> {
        create_dir(dir)?;
        if let Some(kind) = remote(dir) {
            let dir = dir.to_owned();
            return Err(StateError::Remote { dir, kind });
        }
        let lock = lock(dir)?;
        let path = dir.join(DATABASE);
        let mut aside = None;
        if let Some(why) = set_aside::marked(dir) {
            aside = Some(set_aside::put(dir, &why)?);
        }
        let opened = match database(dir, &path).await {
            Err(damage @ StateError::Corrupt { .. }) if aside.is_none() => {
                aside = Some(set_aside::put(dir, &damage.to_string())?);
                database(dir, &path).await
            }
            // The ballast is for this too.
            Err(error) if error.is_disk_full() && Ballast::drop_file(dir) => {
                database(dir, &path).await
            }
            other => other,
        };
        let (writer, options) = opened?;
        if let Some(path) = &aside {
            tracing::error!(
                path = %path.display(),
                "the state database was damaged and is put aside; alerts, silences and messages \
                 that waited begin anew"
            );
        }
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .acquire_timeout(BUSY_TIMEOUT)
            .connect_lazy_with(options.pragma("query_only", "ON"));
        let ballast_spent = Arc::new(AtomicBool::new(false));
        let ballast = Ballast::take(dir, Arc::clone(&ballast_spent));
        Ok(State(Arc::new(Inner {
            writer: Mutex::new(Core::new(writer, ballast, lock)),
            readers,
            dir: dir.to_owned(),
            ballast_spent,
            set_aside: aside,
        })))
    }
}

/// Opens the database itself, checks it and brings its schema up to date.
async fn database(
    dir: &Path,
    path: &Path,
) -> Result<(SqliteConnection, SqliteConnectOptions), StateError> {
    create_private(path)?;
    sync_dir(dir)?;
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        .pragma("journal_size_limit", JOURNAL_LIMIT_BYTES)
        .pragma("trusted_schema", "OFF")
        .pragma("cell_size_check", "ON")
        .pragma("temp_store", "MEMORY");
    let mut writer = SqliteConnection::connect_with(&options)
        .await
        .map_err(|e| unreadable(e, path))?;
    check_version(&sqlite_version(&mut writer).await?)?;
    quick_check(&mut writer, path).await?;
    back_up(&mut writer, path).await?;
    migrate(&mut writer, path).await?;
    Ok((writer, options))
}

/// The name of a network file system, where `dir` lies on one that is known.
fn remote(dir: &Path) -> Option<&'static str> {
    let kind = rustix::fs::statfs(dir).ok()?.f_type;
    // From linux/magic.h, as unsigned 32-bit numbers.
    match u32::try_from(i128::from(kind) & 0xffff_ffff).unwrap_or(0) {
        0x6969 => Some("NFS"),
        0x517b => Some("SMB"),
        0xff53_4d42 => Some("CIFS"),
        0xfe53_4d42 => Some("SMB2"),
        0x564c => Some("NCP"),
        0x5346_414f => Some("AFS"),
        _ => None,
    }
}

fn create_dir(dir: &Path) -> Result<(), StateError> {
    let io = |what| move |source| io_error(what, dir, source);
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(io("create the state directory"))?;
    let mode = std::fs::metadata(dir)
        .map_err(io("read the state directory"))?
        .permissions()
        .mode();
    if mode & 0o077 != 0 {
        std::fs::set_permissions(dir, Permissions::from_mode(0o700))
            .map_err(io("close to others (mode 0700) the state directory"))?;
    }
    Ok(())
}

fn lock(dir: &Path) -> Result<File, StateError> {
    let path = dir.join(LOCK);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(|e| io_error("open the lock file", &path, e))?;
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let mut pid = String::new();
            // Only makes the message better; the lock is what counts.
            let _ = file.take(20).read_to_string(&mut pid);
            return Err(StateError::Locked {
                dir: dir.to_owned(),
                pid: pid.trim().to_owned(),
            });
        }
        Err(e) => return Err(io_error("lock", &path, e.into())),
    }
    // Only for the message above: it must not fail on a disk that is full.
    let _ = file
        .set_len(0)
        .and_then(|()| file.write_all(std::process::id().to_string().as_bytes()));
    Ok(file)
}

/// SQLite gives its write-ahead log the mode of the database file.
pub(super) fn create_private(path: &Path) -> Result<(), StateError> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|e| io_error("open the state database", path, e))?;
    file.set_permissions(Permissions::from_mode(0o600))
        .map_err(|e| io_error("close to others (mode 0600) the state database", path, e))
}

/// A new file is only there after a power cut when its directory was synced too.
pub(super) fn sync_dir(dir: &Path) -> Result<(), StateError> {
    File::open(dir)
        .and_then(|d| d.sync_all())
        .map_err(|e| io_error("sync the state directory", dir, e))
}

pub(super) fn io_error(what: &'static str, path: &Path, source: std::io::Error) -> StateError {
    StateError::Io {
        what,
        path: path.to_owned(),
        source,
    }
}

/// Damage found while opening is told as damage.
fn unreadable(error: sqlx::Error, path: &Path) -> StateError {
    let error = StateError::sql("open the state database", error);
    if error.is_fatal() {
        StateError::Corrupt {
            path: path.to_owned(),
            finding: error.to_string(),
        }
    } else {
        error
    }
}

async fn sqlite_version(conn: &mut SqliteConnection) -> Result<String, StateError> {
    sqlx::query_scalar("SELECT sqlite_version()")
        .fetch_one(conn)
        .await
        .map_err(|e| StateError::sql("ask SQLite for its version", e))
}

fn check_version(found: &str) -> Result<(), StateError> {
    let numbers = |v: &str| -> Vec<u64> { v.split('.').map(|n| n.parse().unwrap_or(0)).collect() };
    if numbers(found) < numbers(MIN_SQLITE) {
        return Err(StateError::OldSqlite {
            found: found.to_owned(),
        });
    }
    Ok(())
}

async fn quick_check(conn: &mut SqliteConnection, path: &Path) -> Result<(), StateError> {
    let finding: String = sqlx::query_scalar("PRAGMA quick_check(1)")
        .fetch_one(conn)
        .await
        .map_err(|e| unreadable(e, path))?;
    if finding == "ok" {
        return Ok(());
    }
    Err(StateError::Corrupt {
        path: path.to_owned(),
        finding,
    })
}

/// Copies a database with an older schema before it is changed, once per step that it lacks.
async fn back_up(conn: &mut SqliteConnection, path: &Path) -> Result<(), StateError> {
    let known: bool = sqlx::query_scalar(
        "SELECT COUNT(*) > 0 FROM sqlite_schema WHERE type = 'table' AND name = '_sqlx_migrations'",
    )
    .fetch_one(&mut *conn)
    .await
    .map_err(|e| unreadable(e, path))?;
    if !known {
        return Ok(());
    }
    let has: i64 = sqlx::query_scalar("SELECT COALESCE(MAX(version), 0) FROM _sqlx_migrations")
        .fetch_one(&mut *conn)
        .await
        .map_err(|e| unreadable(e, path))?;
    let newest = migrations().last().map_or(0, |(version, _, _)| *version);
    if has == 0 || has >= newest {
        return Ok(());
    }
    let mut copy = path.as_os_str().to_owned();
    copy.push(format!(".schema-{has}"));
    let copy = PathBuf::from(copy);
    // Left over from a start that was killed: perhaps half a copy.
    let _ = std::fs::remove_file(&copy);
    create_private(&copy)?;
    sqlx::query("VACUUM INTO $1")
        .bind(copy.to_string_lossy().into_owned())
        .execute(conn)
        .await
        .map_err(|e| StateError::sql("copy the state database before its schema changes", e))?;
    tracing::info!(
        copy = %copy.display(),
        "the state database is brought up to date; a copy of the old one is kept"
    );
    Ok(())
}

async fn migrate(conn: &mut SqliteConnection, path: &Path) -> Result<(), StateError> {
    let steps = migrations()
        .iter()
        .map(|(version, name, sql)| {
            Migration::new(
                *version,
                (*name).into(),
                MigrationType::Simple,
                sql.into_sql_str(),
                false,
            )
        })
        .collect();
    match Migrator::with_migrations(steps).run(conn).await {
        Ok(()) => Ok(()),
        Err(MigrateError::VersionMissing(version)) => Err(StateError::NewerSchema { version }),
        Err(MigrateError::Execute(e) | MigrateError::ExecuteMigration(e, _)) => {
            Err(unreadable(e, path))
        }
        Err(e) => Err(StateError::Migrate(e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_bad_libraries_are_refused() {
        for (version, want) in [
            ("3.40.1", false),
            ("3.51.2", false),
            ("3.51.3", true),
            ("3.52.0", true),
            ("4.0.0", true),
        ] {
            assert_eq!(check_version(version).is_ok(), want, "{version}");
        }
        let text = check_version("3.40.1").unwrap_err().to_string();
        assert!(text.contains("3.40.1") && text.contains("3.51.3"), "{text}");
    }
}
