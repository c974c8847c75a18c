use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use super::*;
use crate::model::Timestamp;

const CLAMP: Duration = Duration::from_secs(3600);

fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(secs)
}

fn notice(id: &str, endpoint: &str, state: NoticeState) -> NoticeRow {
    NoticeRow {
        id: id.to_owned(),
        endpoint: endpoint.to_owned(),
        group_key: "g".to_owned(),
        state,
        reason: String::new(),
        at: at(1),
        json: "{}".to_owned(),
    }
}

fn message(id: &str, group: &str, notices: &[&str]) -> NewMessage {
    NewMessage {
        id: id.to_owned(),
        endpoint: "a/log".to_owned(),
        group_key: group.to_owned(),
        urgency: 2,
        body: format!("body of {id}"),
        fallback: format!("text of {id}"),
        created_at: at(10),
        notices: notices.iter().map(|n| (*n).to_owned()).collect(),
        told: "[]".to_owned(),
    }
}

fn end(id: &str, n: i64, secs: i64, uncertain: bool) -> AttemptEnd {
    AttemptEnd {
        message_id: id.to_owned(),
        n,
        at: at(secs),
        status: None,
        error: String::new(),
        uncertain,
    }
}

async fn due(state: &State, secs: i64) -> Vec<String> {
    let rows = state.due_messages("a/log", at(secs), CLAMP, 10).await;
    rows.unwrap().into_iter().map(|m| m.id).collect()
}

async fn book(state: &State) -> Book {
    let books = state.books().await.unwrap();
    assert!(books.iter().all(Book::balances), "{books:?}");
    books.into_iter().find(|b| b.endpoint == "a/log").unwrap()
}

#[tokio::test]
async fn the_directory_and_its_files_are_private_and_locked() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("deep/state");
    std::fs::create_dir_all(&path).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    let state = State::open(&path).await.unwrap();
    let row = AdviceRow {
        kind: "sign".to_owned(),
        id: "s".to_owned(),
        json: "{}".to_owned(),
    };
    state.commit_advice(&[row], &[], &[], at(1)).await.unwrap();
    let mode = |p: &std::path::Path| std::fs::metadata(p).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    let mut files = 0;
    for entry in std::fs::read_dir(&path).unwrap() {
        let entry = entry.unwrap().path();
        assert_eq!(mode(&entry), 0o600, "{entry:?}");
        files += 1;
    }
    assert!(files >= 3, "database, log and lock");

    let refused = State::open(&path).await.unwrap_err().to_string();
    assert!(
        refused.contains("in use by another loadline")
            && refused.contains(&std::process::id().to_string()),
        "{refused}"
    );
    state.close().await.unwrap();
    State::open(&path).await.unwrap();
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let state = State::open(dir.path()).await.unwrap();
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (999, 'from the future', 1, x'00', 1)",
    )
    .execute(&mut state.0.writer.lock().await.conn)
    .await
    .unwrap();
    state.close().await.unwrap();
    let before = std::fs::read(dir.path().join("state.db")).unwrap();
    let error = State::open(dir.path()).await.unwrap_err();
    assert!(
        matches!(error, StateError::NewerSchema { version: 999 }),
        "{error}"
    );
    let after = std::fs::read(dir.path().join("state.db")).unwrap();
    assert!(before == after, "what is refused is not touched");
}

#[tokio::test]
async fn a_damaged_database_is_put_aside_and_an_empty_one_begun() {
    let dir = tempfile::tempdir().unwrap();
    for n in 1..=5 {
        let state = State::open(dir.path()).await.unwrap();
        let aside = state.set_aside().map(std::path::Path::to_owned);
        assert_eq!(aside.is_some(), n > 1, "{aside:?}");
        assert!(state.load_silences().await.unwrap().is_empty());
        state.put_silence(&silence(n), at(1)).await.unwrap();
        state.close().await.unwrap();
        // Nothing is put aside without need.
        let state = State::open(dir.path()).await.unwrap();
        assert_eq!(state.set_aside(), None);
        assert_eq!(state.load_silences().await.unwrap(), [silence(n)]);
        state.close().await.unwrap();

        let file = dir.path().join("state.db");
        let mut bytes = std::fs::read(&file).unwrap();
        for byte in bytes.iter_mut().skip(4096).step_by(7) {
            *byte ^= 0xff;
        }
        std::fs::write(&file, bytes).unwrap();
    }
    let kept: Vec<bool> = (1..=5)
        .map(|n| dir.path().join(format!("damaged-{n}/state.db")).exists())
        .collect();
    assert_eq!(kept, [false, true, true, true, false], "the last three");
}

#[tokio::test]
async fn a_database_that_was_found_damaged_while_in_use_is_put_aside_too() {
    let dir = tempfile::tempdir().unwrap();
    let state = State::open(dir.path()).await.unwrap();
    state.put_silence(&silence(1), at(1)).await.unwrap();
    state.condemn(&StateError::Corrupt {
        path: dir.path().join("state.db"),
        finding: "a page that is no page".to_owned(),
    });
    state.close().await.unwrap();
    let state = State::open(dir.path()).await.unwrap();
    let aside = state.set_aside().unwrap().to_owned();
    let why = std::fs::read_to_string(aside.join("reason.txt")).unwrap();
    assert!(why.contains("no page"), "{why}");
    assert!(state.load_silences().await.unwrap().is_empty());
    state.close().await.unwrap();
    assert_eq!(State::open(dir.path()).await.unwrap().set_aside(), None);
}

/// Flips bytes anywhere in the database and its log: it opens, or is put aside and an empty one
/// opens; it never fails to start, and what opens can be written and read.
#[tokio::test]
async fn flipped_bytes_never_stop_a_start() {
    use rand::{Rng, SeedableRng};
    let seed = 20_261_121;
    let mut rng = rand::rngs::StdRng::seed_from_u64(seed);
    let origin = tempfile::tempdir().unwrap();
    let mut state = State::open(origin.path()).await.unwrap();
    for n in 0..60 {
        if n == 40 {
            // All that was written so far goes from the log into the database.
            state.close().await.unwrap();
            state = State::open(origin.path()).await.unwrap();
        }
        let id = format!("m{n}");
        let row = message(&id, &format!("g{}", n % 7), &[]);
        state.commit_messages(&[row], &[]).await.unwrap();
        state.record_attempt_start(&id, at(n)).await.unwrap();
    }
    let names = ["state.db", "state.db-wal"];
    let images: Vec<Vec<u8>> = names
        .iter()
        .map(|n| std::fs::read(origin.path().join(n)).unwrap())
        .collect();
    assert!(images.iter().all(|i| i.len() > 8192));
    let (mut opened, mut aside) = (0, 0);
    for round in 0..60 {
        let dir = tempfile::tempdir().unwrap();
        let hit = rng.random_range(0..2);
        for (i, name) in names.iter().enumerate() {
            let mut bytes = images[i].clone();
            if i == hit {
                for _ in 0..rng.random_range(1..=4096) {
                    let at = rng.random_range(0..bytes.len());
                    bytes[at] ^= rng.random_range(1..=255);
                }
            }
            std::fs::write(dir.path().join(name), bytes).unwrap();
        }
        let mut state = State::open(dir.path())
            .await
            .unwrap_or_else(|e| panic!("seed {seed} round {round}: {e}"));
        let works = async |state: &State| -> Result<(), StateError> {
            state.put_silence(&silence(1), at(1)).await?;
            let row = message("new", "g1", &[]);
            state.commit_messages(&[row], &[]).await?;
            state.messages(100).await?;
            state.due_messages("a/log", at(9999), CLAMP, 9).await?;
            state.books().await?;
            Ok(())
        };
        if let Err(error) = works(&state).await {
            // What the check at the start did not see is seen in use, and by the next start.
            assert!(error.is_damage(), "seed {seed} round {round}: {error}");
            state.condemn(&error);
            state.close().await.unwrap();
            state = State::open(dir.path()).await.unwrap();
            works(&state).await.unwrap();
        }
        match state.set_aside() {
            Some(_) => aside += 1,
            None => opened += 1,
        }
    }
    assert!(opened > 0 && aside > 0, "opened {opened}, aside {aside}");
}

#[tokio::test]
async fn the_old_schema_is_copied_before_it_is_changed() {
    let dir = tempfile::tempdir().unwrap();
    let options = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(dir.path().join("state.db"))
        .create_if_missing(true);
    let mut old = sqlx::SqliteConnection::connect_with(&options)
        .await
        .unwrap();
    let first = migrations()[..1]
        .iter()
        .map(|(version, name, sql)| {
            let sql = sqlx::SqlSafeStr::into_sql_str(*sql);
            let simple = sqlx::migrate::MigrationType::Simple;
            sqlx::migrate::Migration::new(*version, (*name).into(), simple, sql, false)
        })
        .collect();
    sqlx::migrate::Migrator::with_migrations(first)
        .run(&mut old)
        .await
        .unwrap();
    sqlx::query("INSERT INTO advice VALUES ('sign', 'a', '{}', 1)")
        .execute(&mut old)
        .await
        .unwrap();
    old.close().await.unwrap();
    let copy = dir.path().join("state.db.schema-1");
    std::fs::write(&copy, "half a copy of a start that was killed").unwrap();

    let state = State::open(dir.path()).await.unwrap();
    assert_eq!(state.load_advice().await.unwrap().len(), 1);
    let mode = std::fs::metadata(&copy).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    let mut copied = sqlx::SqliteConnection::connect_with(&options.filename(&copy))
        .await
        .unwrap();
    let steps: i64 = sqlx::query_scalar("SELECT MAX(version) FROM _sqlx_migrations")
        .fetch_one(&mut copied)
        .await
        .unwrap();
    let rows: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM advice")
        .fetch_one(&mut copied)
        .await
        .unwrap();
    assert_eq!((steps, rows), (1, 1));
}

#[tokio::test]
async fn silences_acks_and_cycles_survive() {
    let dir = tempfile::tempdir().unwrap();
    let state = State::open(dir.path()).await.unwrap();
    for n in [1, 2, 2] {
        state.put_silence(&silence(n), at(n)).await.unwrap();
    }
    let ack = |id: &str, json: &str| AckRow {
        id: id.to_owned(),
        json: json.to_owned(),
    };
    for row in [ack("a", "1"), ack("b", "2"), ack("a", "3")] {
        state.put_ack(&row, at(1)).await.unwrap();
    }
    assert!(state.delete_ack("b").await.unwrap());
    assert!(!state.delete_ack("b").await.unwrap());
    assert_eq!(state.last_cycle().await.unwrap(), None);
    for secs in [5, 6] {
        state.complete_cycle(at(secs)).await.unwrap();
    }
    drop(state);
    let state = reopen(dir.path()).await;
    assert_eq!(
        state.load_silences().await.unwrap(),
        [silence(1), silence(2)]
    );
    assert_eq!(state.load_acks().await.unwrap(), [ack("a", "3")]);
    assert_eq!(state.last_cycle().await.unwrap(), Some(at(6)));
    assert_eq!(state.prune_silences(at(1002)).await.unwrap(), 1);
    assert_eq!(state.load_silences().await.unwrap(), [silence(2)]);
}

fn silence(n: i64) -> SilenceRow {
    SilenceRow {
        id: format!("s{n}"),
        ends_at: at(1000 + n),
        json: format!("{{\"n\":{n}}}"),
    }
}

#[tokio::test]
async fn pragmas_are_set_and_readers_cannot_write() {
    let dir = tempfile::tempdir().unwrap();
    let state = State::open(dir.path()).await.unwrap();
    let mut core = state.0.writer.lock().await;
    for (pragma, want) in [
        ("PRAGMA journal_mode", "wal"),
        ("PRAGMA synchronous", "2"),
        ("PRAGMA foreign_keys", "1"),
        ("PRAGMA busy_timeout", "5000"),
        ("PRAGMA journal_size_limit", "67108864"),
        ("PRAGMA trusted_schema", "0"),
    ] {
        let row = sqlx::query(pragma).fetch_one(&mut core.conn).await.unwrap();
        let text = sqlx::Row::try_get::<String, _>(&row, 0)
            .or_else(|_| sqlx::Row::try_get::<i64, _>(&row, 0).map(|n| n.to_string()))
            .unwrap();
        assert_eq!(text, want, "{pragma}");
    }
    let written = sqlx::query("DELETE FROM alert")
        .execute(state.readers())
        .await;
    assert!(written.unwrap_err().to_string().contains("readonly"));
}

#[tokio::test]
async fn a_groups_change_and_its_notices_are_one_and_survive() {
    let dir = tempfile::tempdir().unwrap();
    let state = State::open(dir.path()).await.unwrap();
    let alert = |fingerprint, json: &str| AlertRow {
        group: "pg".to_owned(),
        fingerprint,
        json: json.to_owned(),
    };
    let first = [alert(u64::MAX, "1"), alert(7, "2")];
    let notices = [
        notice("n1", "a/log", NoticeState::Pending),
        notice("n2", "a/log", NoticeState::Digest),
        notice("n3", "a/log", NoticeState::Muted),
    ];
    for _ in 0..2 {
        // The same commit again changes nothing and counts nothing twice.
        state
            .commit_group("pg", &first, &[], &notices, at(1))
            .await
            .unwrap();
    }
    let second = [alert(u64::MAX, "3")];
    state
        .commit_group("pg", &second, &[7], &[], at(2))
        .await
        .unwrap();

    // Dropped without a word, as a kill does it.
    drop(state);
    let state = reopen(dir.path()).await;
    assert_eq!(state.load_alerts().await.unwrap(), second);
    let pending = state.pending_notices().await.unwrap();
    assert_eq!(pending, notices[..1]);
    let book = book(&state).await;
    assert_eq!(
        (book.enqueued, book.pending, book.digest, book.muted),
        (1, 1, 1, 1)
    );
    assert_eq!(state.retain_groups(&["other"]).await.unwrap(), 1);
    assert!(state.load_alerts().await.unwrap().is_empty());
}

#[tokio::test]
async fn an_unfinished_transaction_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let state = State::open(dir.path()).await.unwrap();
    let failed: Result<(), _> = state
        .write(notice("n1", "a/log", NoticeState::Pending), |row, conn| {
            Box::pin(async move {
                notices::enqueue(conn, std::slice::from_ref(row)).await?;
                Err(StateError::Row {
                    what: "a test",
                    detail: "planted".to_owned(),
                })
            })
        })
        .await;
    assert!(failed.unwrap_err().to_string().contains("planted"));
    assert!(state.pending_notices().await.unwrap().is_empty());
    drop(state);
    let state = reopen(dir.path()).await;
    assert!(state.pending_notices().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_message_goes_from_notice_to_delivered_and_the_books_balance() {
    let dir = tempfile::tempdir().unwrap();
    let state = State::open(dir.path()).await.unwrap();
    let notices: Vec<NoticeRow> = ["n1", "n2", "n3", "n4"]
        .iter()
        .map(|n| notice(n, "a/log", NoticeState::Pending))
        .collect();
    state
        .commit_advice(&[], &[], &notices, at(1))
        .await
        .unwrap();
    let silent = SilentFold {
        notice: "n4".to_owned(),
        endpoint: "a/log".to_owned(),
        reason: "changed back".to_owned(),
    };
    let messages = [
        message("m1", "g1", &["n1", "n2"]),
        message("m2", "g1", &["n3"]),
        message("m3", "g2", &[]),
    ];
    for _ in 0..2 {
        state
            .commit_messages(&messages, std::slice::from_ref(&silent))
            .await
            .unwrap();
    }
    assert!(state.pending_notices().await.unwrap().is_empty());
    let counts = |b: Book| (b.enqueued, b.folded, b.delivered, b.dead, b.pending);
    assert_eq!(counts(book(&state).await), (5, 2, 0, 0, 3));
    assert_eq!(state.groups().await.unwrap().len(), 2);

    // Of a group only the oldest is due; a second one waits for it.
    assert_eq!(due(&state, 10).await, ["m1", "m3"]);
    assert_eq!(due(&state, 9).await, [""; 0]);
    let mut endpoint = EndpointRow::new("a/log");
    let start = state.record_attempt_start("m1", at(11)).await.unwrap();
    assert_eq!(start, AttemptStart { n: 1, uncertain: 0 });
    endpoint.failures = 1;
    state
        .reschedule(&end("m1", 1, 12, true), &endpoint, at(20), true)
        .await
        .unwrap();
    assert_eq!(due(&state, 15).await, ["m3"]);
    assert_eq!(state.next_message_due("a/log").await.unwrap(), Some(at(10)));

    // A kill in the middle of the second attempt.
    let start = state.record_attempt_start("m1", at(20)).await.unwrap();
    assert_eq!(start, AttemptStart { n: 2, uncertain: 1 });
    drop(state);
    let state = reopen(dir.path()).await;
    let row = state.message("m1").await.unwrap().unwrap();
    assert!(row.in_flight && row.use_fallback && row.body == "body of m1");
    let start = state.record_attempt_start("m1", at(21)).await.unwrap();
    assert_eq!(start, AttemptStart { n: 3, uncertain: 2 });
    state
        .mark_delivered(&end("m1", 3, 22, false), &EndpointRow::new("a/log"))
        .await
        .unwrap();
    assert!(state.record_attempt_start("m1", at(23)).await.is_err());
    assert_eq!(state.attempts("m1").await.unwrap().len(), 3);
    assert_eq!(due(&state, 30).await, ["m2", "m3"]);
    assert_eq!(counts(book(&state).await), (5, 2, 1, 0, 2));

    let start = state.record_attempt_start("m3", at(31)).await.unwrap();
    state
        .dead_letter(&end("m3", start.n, 32, false), &endpoint)
        .await
        .unwrap();
    let dead = state.dead_letter_waiting("a/log", "gone", at(33)).await;
    assert_eq!(dead.unwrap(), 1);
    assert_eq!(counts(book(&state).await), (5, 2, 1, 2, 0));
    assert!(state.waiting_endpoints().await.unwrap().is_empty());

    assert_eq!(state.prune(at(1)).await.unwrap(), 0);
    assert_eq!(state.prune(at(100)).await.unwrap(), 4);
    assert_eq!(counts(book(&state).await), (5, 2, 1, 2, 0));
    assert!(state.messages(10).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_wait_beyond_the_clamp_is_a_clock_step_and_over() {
    let dir = tempfile::tempdir().unwrap();
    let state = State::open(dir.path()).await.unwrap();
    let messages = [message("m1", "g1", &[])];
    state.commit_messages(&messages, &[]).await.unwrap();
    let start = state.record_attempt_start("m1", at(9000)).await.unwrap();
    let endpoint = EndpointRow::new("a/log");
    state
        .reschedule(&end("m1", start.n, 9000, false), &endpoint, at(9300), false)
        .await
        .unwrap();
    assert_eq!(due(&state, 9299).await, [""; 0]);
    assert_eq!(due(&state, 9300).await, ["m1"]);
    assert_eq!(due(&state, 5000).await, ["m1"], "the clock stepped back");
}

#[tokio::test]
async fn attempts_are_a_ring() {
    let dir = tempfile::tempdir().unwrap();
    let state = State::open(dir.path()).await.unwrap();
    let messages = [message("m1", "g1", &[])];
    state.commit_messages(&messages, &[]).await.unwrap();
    for n in 1..=25 {
        state.record_attempt_start("m1", at(n)).await.unwrap();
    }
    let kept = state.attempts("m1").await.unwrap();
    assert_eq!((kept.len(), kept[0].n), (20, 6));
    let row = state.message("m1").await.unwrap().unwrap();
    assert_eq!((row.attempts, row.uncertain), (25, 24));
}

#[tokio::test]
async fn endpoints_remember_how_they_stand() {
    let dir = tempfile::tempdir().unwrap();
    let state = State::open(dir.path()).await.unwrap();
    assert_eq!(
        state.endpoint("a/log").await.unwrap(),
        EndpointRow::new("a/log")
    );
    let messages = [message("m1", "g1", &[])];
    state.commit_messages(&messages, &[]).await.unwrap();
    let start = state.record_attempt_start("m1", at(1)).await.unwrap();
    let mut row = EndpointRow {
        failures: 3,
        failing_since: Some(at(1)),
        refused_since: Some(at(2)),
        hold_until: at(60),
        disabled_reason: Some("410 Gone".to_owned()),
        paced_until: at(61),
        ..EndpointRow::new("a/log")
    };
    state
        .dead_letter(&end("m1", start.n, 2, false), &row)
        .await
        .unwrap();
    assert_eq!(state.endpoint("a/log").await.unwrap(), row);
    state.enable_endpoint("a/log").await.unwrap();
    row.disabled_reason = None;
    row.hold_until = Timestamp(0);
    assert_eq!(state.endpoint("a/log").await.unwrap(), row);
}

/// The lock of a dropped state goes when its connections' threads have ended.
async fn reopen(dir: &std::path::Path) -> State {
    for _ in 0..200 {
        match State::open(dir).await {
            Err(StateError::Locked { .. }) => {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            other => return other.unwrap(),
        }
    }
    panic!("the directory stays locked");
}
