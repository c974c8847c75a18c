//! Every schema step over the rows that the steps before it wrote.
//!
//! Beside each migration lies a file of the same name with sample rows for what it added.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use loadline::model::Timestamp;
use loadline::state::{Book, MessageState, State, migrations};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, Connection, SqlSafeStr, SqliteConnection};

fn samples(version: i64, name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/migrations")
        .join(format!("{version:04}_{name}.sql"))
}

/// A database as the release with the first `steps` migrations would have left it.
async fn old_database(dir: &Path, steps: usize) -> SqliteConnection {
    let options = SqliteConnectOptions::new()
        .filename(dir.join("state.db"))
        .create_if_missing(true);
    let mut conn = SqliteConnection::connect_with(&options)
        .await
        .expect("a new file opens");
    for n in 1..=steps {
        let known = migrations()[..n]
            .iter()
            .map(|(version, name, sql)| {
                let sql = sql.into_sql_str();
                Migration::new(*version, (*name).into(), MigrationType::Simple, sql, false)
            })
            .collect();
        Migrator::with_migrations(known)
            .run(&mut conn)
            .await
            .expect("the migration runs");
        let (version, name, _) = migrations()[n - 1];
        let path = samples(version, name);
        let rows = std::fs::read_to_string(&path)
            .unwrap_or_else(|e| panic!("each migration has sample rows: {path:?}: {e}"));
        sqlx::raw_sql(AssertSqlSafe(rows))
            .execute(&mut conn)
            .await
            .expect("the sample rows fit their schema");
    }
    conn
}

#[tokio::test]
async fn every_earlier_schema_is_brought_up_to_date_with_its_rows() {
    for steps in 1..=migrations().len() {
        let dir = tempfile::tempdir().unwrap();
        let conn = old_database(dir.path(), steps).await;
        conn.close().await.unwrap();

        let state = State::open(dir.path()).await.unwrap();
        let alerts = state.load_alerts().await.unwrap();
        assert_eq!(alerts.len(), 1);
        assert_eq!(alerts[0].fingerprint, u64::MAX);
        assert_eq!(state.load_advice().await.unwrap().len(), 1);
        let capacity = state.load_capacity().await.unwrap();
        assert_eq!(capacity.len(), usize::from(steps >= 3));
        for row in capacity {
            assert_eq!((row.hours.len(), row.days.len()), (1, 1));
        }
        assert_eq!(state.pending_notices().await.unwrap().len(), 1);
        assert_eq!(state.groups().await.unwrap().len(), 1);
        let endpoint = state.endpoint("default/log").await.unwrap();
        assert_eq!(endpoint.failures, 2);
        let messages = state.messages(10).await.unwrap();
        let states: Vec<MessageState> = messages.iter().map(|m| m.state).collect();
        let (pending, delivered) = (MessageState::Pending, MessageState::Delivered);
        assert_eq!(states, [pending, delivered]);
        assert_eq!(state.attempts("ll_1").await.unwrap().len(), 1);
        let now = Timestamp(1_795_269_700_000);
        let clamp = Duration::from_secs(3600);
        let due = state.due_messages("default/log", now, clamp, 5).await;
        assert_eq!(due.unwrap().len(), 1);
        let books = state.books().await.unwrap();
        assert!(
            !books.is_empty() && books.iter().all(Book::balances),
            "{books:?}"
        );
    }
}

#[tokio::test]
async fn no_table_is_without_sample_rows() {
    let dir = tempfile::tempdir().unwrap();
    let mut conn = old_database(dir.path(), migrations().len()).await;
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
    )
    .fetch_all(&mut conn)
    .await
    .unwrap();
    assert!(tables.len() > 5);
    for table in tables {
        let sql = format!("SELECT COUNT(*) FROM {table}");
        let rows: i64 = sqlx::query_scalar(AssertSqlSafe(sql))
            .fetch_one(&mut conn)
            .await
            .unwrap();
        assert!(rows > 0, "{table} has no sample rows");
    }
}

#[test]
fn steps_are_numbered_in_order_and_never_demand_what_old_rows_lack() {
    let mut seen = BTreeSet::new();
    for (i, (version, name, sql)) in migrations().iter().enumerate() {
        assert_eq!(*version, i64::try_from(i).unwrap() + 1, "{name}");
        assert!(seen.insert(name), "{name} is there twice");
        for statement in sql.split(';') {
            let statement = statement.to_uppercase();
            if statement.contains("ADD COLUMN") && statement.contains("NOT NULL") {
                assert!(statement.contains("DEFAULT"), "{name}: {statement}");
            }
        }
    }
}
