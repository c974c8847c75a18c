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
async fn a_newer_schema_and_a_damaged_file_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let state = State::open(dir.path()).await.unwrap();
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (999, 'from the future', 1, x'00', 1)",
    )
    .execute(&mut *state.writer().await)
    .await
    .unwrap();
    state.close().await.unwrap();
    let error = State::open(dir.path()).await.unwrap_err();
    assert!(
        matches!(error, StateError::NewerSchema { version: 999 }),
        "{error}"
    );

    let file = dir.path().join("state.db");
    let mut bytes = std::fs::read(&file).unwrap();
    for byte in bytes.iter_mut().skip(4096).step_by(7) {
        *byte ^= 0xff;
    }
    std::fs::write(&file, bytes).unwrap();
    let error = State::open(dir.path()).await.unwrap_err();
    assert!(error.is_fatal(), "{error}");
    assert!(error.to_string().contains("damaged"), "{error}");
}

#[tokio::test]
async fn pragmas_are_set_and_readers_cannot_write() {
    let dir = tempfile::tempdir().unwrap();
    let state = State::open(dir.path()).await.unwrap();
    let mut conn = state.writer().await;
    for (pragma, want) in [
        ("PRAGMA journal_mode", "wal"),
        ("PRAGMA synchronous", "2"),
        ("PRAGMA foreign_keys", "1"),
        ("PRAGMA busy_timeout", "5000"),
        ("PRAGMA journal_size_limit", "67108864"),
        ("PRAGMA trusted_schema", "0"),
    ] {
        let row = sqlx::query(pragma).fetch_one(&mut *conn).await.unwrap();
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
    {
        let mut conn = state.writer().await;
        let mut tx = begin(&mut conn).await.unwrap();
        notices::enqueue(&mut tx, &[notice("n1", "a/log", NoticeState::Pending)])
            .await
            .unwrap();
    }
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
