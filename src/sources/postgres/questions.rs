//! The questions a server is asked, what they cost in rights, and how answers become samples.
//!
//! What must stay true: a question's samples are complete or absent; where rows are folded
//! together for the sake of a bound, sums stay right and the folding is counted.

use std::time::Duration;

use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::status::SignalState;
use super::version::{ServerVersion, variant};
use crate::model::Labels;
use crate::model::labels::NAME;

/// Most groups of sessions that keep their own labels; the rest is folded by database and state.
const SESSION_GROUPS: usize = 500;

/// Stands for the names of folded sessions.
const FOLDED: &str = "(other)";

/// How often the dearer questions are asked; between, their last answer stands. All others are
/// asked on every pass. The first pass asks all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// Traits of a pooler among the sessions.
    pub pooler: Duration,
    /// Bytes of each database.
    pub sizes: Duration,
    /// Settings; a restart of the server asks again at once.
    pub settings: Duration,
    /// Whether pg_stat_statements can be read.
    pub statements: Duration,
}

impl Default for Schedule {
    fn default() -> Self {
        Self {
            pooler: Duration::from_secs(60),
            sizes: Duration::from_secs(300),
            settings: Duration::from_secs(3600),
            statements: Duration::from_secs(3600),
        }
    }
}

/// One question, one answer, one set of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Question {
    /// Sessions by state.
    Activity,
    /// Sessions that a pooler holds.
    Pooler,
    /// Settings that bound connections.
    Settings,
    /// Bytes of each database.
    Sizes,
    /// Counters of each database.
    Counters,
    /// Who replicates from here.
    Senders,
    /// How far behind this replica is.
    Replica,
}

impl Question {
    pub(crate) const ALL: [Question; 7] = [
        Question::Activity,
        Question::Pooler,
        Question::Settings,
        Question::Sizes,
        Question::Counters,
        Question::Senders,
        Question::Replica,
    ];

    /// The word for it in `loadline_pg_signal_state`.
    pub(crate) fn signal(self) -> &'static str {
        match self {
            Question::Activity => "sessions",
            Question::Pooler => "pooler",
            Question::Settings => "settings",
            Question::Sizes => "sizes",
            Question::Counters => "counters",
            Question::Senders => "replication",
            Question::Replica => "replica",
        }
    }

    /// What a person calls it.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Question::Activity => "sessions by state",
            Question::Pooler => "sessions of a pooler",
            Question::Settings => "settings",
            Question::Sizes => "database sizes",
            Question::Counters => "database counters",
            Question::Senders => "replication lag",
            Question::Replica => "replica lag",
        }
    }

    /// How long an answer stands.
    pub(crate) fn every(self, schedule: &Schedule) -> Duration {
        match self {
            Question::Pooler => schedule.pooler,
            Question::Sizes => schedule.sizes,
            Question::Settings => schedule.settings,
            Question::Activity | Question::Counters | Question::Senders | Question::Replica => {
                Duration::ZERO
            }
        }
    }

    /// True when the answer is silently short without `pg_read_all_stats` (in `pg_monitor`).
    pub(crate) fn needs_read_all_stats(self) -> bool {
        match self {
            Question::Activity | Question::Pooler | Question::Senders => true,
            Question::Settings | Question::Sizes | Question::Counters | Question::Replica => false,
        }
    }

    /// The statement for this server; `None` when it is too old for the question.
    pub(crate) fn sql(self, version: ServerVersion) -> Option<&'static str> {
        let variants: &[(i64, &'static str)] = match self {
            Question::Activity => &[(13, include_str!("queries/activity.sql"))],
            Question::Pooler => &[(13, include_str!("queries/pooler.sql"))],
            Question::Settings => &[(13, include_str!("queries/settings.sql"))],
            Question::Sizes => &[(13, include_str!("queries/sizes.sql"))],
            Question::Counters => &[
                (13, include_str!("queries/counters.sql")),
                (14, include_str!("queries/counters_14.sql")),
            ],
            Question::Senders => &[(13, include_str!("queries/senders.sql"))],
            Question::Replica => &[(13, include_str!("queries/replica.sql"))],
        };
        variant(variants, version)
    }

    /// The metrics it may bring; when nobody reads one of them it is not asked.
    pub(crate) fn names(self) -> Vec<&'static str> {
        match self {
            Question::Activity => vec![
                "pg_stat_activity_count",
                "pg_stat_activity_max_tx_duration",
                "loadline_pg_sessions_folded",
            ],
            Question::Pooler => vec!["loadline_pg_pooler_sessions"],
            Question::Settings => SETTINGS.iter().map(|(_, metric)| *metric).collect(),
            Question::Sizes => vec!["pg_database_size_bytes"],
            Question::Counters => COUNTERS
                .iter()
                .chain(TIMES)
                .chain(COUNTERS_14)
                .chain(TIMES_14)
                .map(|(_, metric)| *metric)
                .collect(),
            Question::Senders => vec![
                "pg_stat_replication_pg_wal_lsn_diff",
                "pg_stat_replication_pg_current_wal_lsn_bytes",
                "loadline_pg_replication_replay_lag_seconds",
                "loadline_pg_replication_rows",
            ],
            Question::Replica => vec![
                "pg_replication_lag_seconds",
                "pg_replication_is_replica",
                "pg_replication_last_replay_seconds",
                "loadline_pg_replay_paused",
                "loadline_pg_replay_lag_bytes",
                "loadline_pg_wal_receiver_up",
            ],
        }
    }

    /// Samples from rows.
    pub(crate) fn read(
        self,
        rows: &[PgRow],
        version: ServerVersion,
        base: &Labels,
    ) -> Result<Answer, sqlx::Error> {
        let mut out = Points::new(base);
        let mut short = false;
        match self {
            Question::Activity => read_activity(rows, &mut out)?,
            Question::Pooler => {
                if let Some(row) = rows.first() {
                    out.push_count("loadline_pg_pooler_sessions", &[], int(row, "sessions")?);
                }
            }
            Question::Settings => {
                for row in rows {
                    let name = text(row, "name")?;
                    let metric = SETTINGS.iter().find(|(setting, _)| *setting == name);
                    if let Some((_, metric)) = metric {
                        out.push(metric, &[], float(row, "value")?);
                    }
                }
            }
            Question::Sizes => {
                for row in rows {
                    let bytes = int(row, "bytes")?;
                    short |= bytes.is_none();
                    out.push_count(
                        "pg_database_size_bytes",
                        &[("datname", &text(row, "datname")?)],
                        bytes,
                    );
                }
            }
            Question::Counters => read_counters(rows, version, &mut out)?,
            Question::Senders => read_senders(rows, &mut out)?,
            Question::Replica => read_replica(rows, &mut out)?,
        }
        Ok(Answer {
            points: out.points,
            short,
        })
    }

    /// What the answer is on a primary, for a question that only a replica can be asked.
    pub(crate) fn on_primary(self, base: &Labels) -> Option<Answer> {
        if self != Question::Replica {
            return None;
        }
        let mut out = Points::new(base);
        for name in [
            "pg_replication_is_replica",
            "pg_replication_lag_seconds",
            "pg_replication_last_replay_seconds",
        ] {
            out.push(name, &[], Some(0.0));
        }
        Some(Answer {
            points: out.points,
            short: false,
        })
    }
}

/// Samples of one question.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) points: Vec<(Labels, f64)>,
    /// True when the role could not see all rows.
    pub(crate) short: bool,
}

impl Answer {
    /// What is to be said about the signal.
    pub(crate) fn signal_state(&self) -> SignalState {
        if self.short {
            SignalState::NeedsPgMonitor
        } else {
            SignalState::Ok
        }
    }
}

/// Column or setting, and the metric it becomes.
type Column = (&'static str, &'static str);

const SETTINGS: &[Column] = &[
    ("max_connections", "pg_settings_max_connections"),
    (
        "superuser_reserved_connections",
        "pg_settings_superuser_reserved_connections",
    ),
    ("reserved_connections", "pg_settings_reserved_connections"),
];

const COUNTERS: &[Column] = &[
    ("numbackends", "pg_stat_database_numbackends"),
    ("xact_commit", "pg_stat_database_xact_commit"),
    ("xact_rollback", "pg_stat_database_xact_rollback"),
    ("blks_read", "pg_stat_database_blks_read"),
    ("blks_hit", "pg_stat_database_blks_hit"),
    ("tup_returned", "pg_stat_database_tup_returned"),
    ("tup_fetched", "pg_stat_database_tup_fetched"),
    ("tup_inserted", "pg_stat_database_tup_inserted"),
    ("tup_updated", "pg_stat_database_tup_updated"),
    ("tup_deleted", "pg_stat_database_tup_deleted"),
    ("conflicts", "pg_stat_database_conflicts"),
    ("temp_files", "pg_stat_database_temp_files"),
    ("temp_bytes", "pg_stat_database_temp_bytes"),
    ("deadlocks", "pg_stat_database_deadlocks"),
];

/// Milliseconds, as the exporter gives them.
const TIMES: &[Column] = &[
    ("blk_read_time", "pg_stat_database_blk_read_time"),
    ("blk_write_time", "pg_stat_database_blk_write_time"),
];

const COUNTERS_14: &[Column] = &[("sessions", "loadline_pg_sessions_total")];

const TIMES_14: &[Column] = &[(
    "active_seconds",
    "pg_stat_database_active_time_seconds_total",
)];

fn read_activity(rows: &[PgRow], out: &mut Points<'_>) -> Result<(), sqlx::Error> {
    let mut groups = Vec::with_capacity(rows.len());
    for row in rows {
        groups.push(SessionGroup {
            datname: text(row, "datname")?,
            state: text(row, "state")?,
            names: [
                text(row, "usename")?,
                text(row, "application_name")?,
                text(row, "backend_type")?,
                text(row, "wait_event_type")?,
                text(row, "wait_event")?,
            ],
            sessions: int(row, "n")?.unwrap_or(0),
            max_tx_seconds: float(row, "max_tx_seconds")?.unwrap_or(0.0),
        });
    }
    let folded = fold(&mut groups, SESSION_GROUPS);
    for g in &groups {
        let labels = [
            ("datname", g.datname.as_str()),
            ("state", &g.state),
            ("usename", &g.names[0]),
            ("application_name", &g.names[1]),
            ("backend_type", &g.names[2]),
            ("wait_event_type", &g.names[3]),
            ("wait_event", &g.names[4]),
        ];
        out.push_count("pg_stat_activity_count", &labels, Some(g.sessions));
        out.push(
            "pg_stat_activity_max_tx_duration",
            &labels,
            Some(g.max_tx_seconds),
        );
    }
    out.push("loadline_pg_sessions_folded", &[], Some(folded as f64));
    Ok(())
}

#[derive(Debug, Clone, PartialEq)]
struct SessionGroup {
    datname: String,
    state: String,
    /// User, application, backend type, wait event type, wait event.
    names: [String; 5],
    sessions: i64,
    max_tx_seconds: f64,
}

/// Keeps the `keep` largest groups with sessions and folds the rest by database and state, so that
/// sums stay right. Zeros are kept: they are few. Returns how many groups were folded.
fn fold(groups: &mut Vec<SessionGroup>, keep: usize) -> usize {
    let with_sessions = groups.iter().filter(|g| g.sessions > 0).count();
    if with_sessions <= keep {
        return 0;
    }
    groups.sort_by(|a, b| {
        (b.sessions, &a.datname, &a.state, &a.names)
            .cmp(&(a.sessions, &b.datname, &b.state, &b.names))
    });
    let zeros = groups.split_off(with_sessions);
    let rest = groups.split_off(keep);
    let mut sums: Vec<SessionGroup> = Vec::new();
    for g in &rest {
        match sums
            .iter_mut()
            .find(|s| s.datname == g.datname && s.state == g.state)
        {
            Some(sum) => {
                sum.sessions += g.sessions;
                sum.max_tx_seconds = sum.max_tx_seconds.max(g.max_tx_seconds);
            }
            None => sums.push(SessionGroup {
                names: [
                    FOLDED.to_owned(),
                    FOLDED.to_owned(),
                    String::new(),
                    String::new(),
                    String::new(),
                ],
                ..g.clone()
            }),
        }
    }
    groups.extend(sums);
    groups.extend(zeros);
    rest.len()
}

fn read_counters(
    rows: &[PgRow],
    version: ServerVersion,
    out: &mut Points<'_>,
) -> Result<(), sqlx::Error> {
    let newer = version.major() >= 14;
    for row in rows {
        let datid = text(row, "datid")?;
        let datname = text(row, "datname")?;
        let labels = [("datid", datid.as_str()), ("datname", &datname)];
        let later = if newer { COUNTERS_14 } else { &[] };
        for (column, metric) in COUNTERS.iter().chain(later) {
            out.push_count(metric, &labels, int(row, column)?);
        }
        let later = if newer { TIMES_14 } else { &[] };
        for (column, metric) in TIMES.iter().chain(later) {
            out.push(metric, &labels, float(row, column)?);
        }
    }
    Ok(())
}

fn read_senders(rows: &[PgRow], out: &mut Points<'_>) -> Result<(), sqlx::Error> {
    for row in rows {
        let (name, address) = (text(row, "application_name")?, text(row, "client_addr")?);
        let (state, slot) = (text(row, "state")?, text(row, "slot_name")?);
        let labels = [
            ("application_name", name.as_str()),
            ("client_addr", &address),
            ("state", &state),
            ("slot_name", &slot),
        ];
        let behind = float(row, "behind_bytes")?;
        out.push("pg_stat_replication_pg_wal_lsn_diff", &labels, behind);
        out.push(
            "pg_stat_replication_pg_current_wal_lsn_bytes",
            &labels,
            float(row, "current_bytes")?,
        );
        // An idle primary measures no lag: with nothing left to replay, none is zero.
        let in_sync = state == "streaming" && behind == Some(0.0);
        let lag = float(row, "replay_lag_seconds")?.or(in_sync.then_some(0.0));
        out.push("loadline_pg_replication_replay_lag_seconds", &labels, lag);
    }
    out.push("loadline_pg_replication_rows", &[], Some(rows.len() as f64));
    Ok(())
}

fn read_replica(rows: &[PgRow], out: &mut Points<'_>) -> Result<(), sqlx::Error> {
    let Some(row) = rows.first() else {
        return Ok(());
    };
    let flag = |v: Option<bool>| v.map(|on| if on { 1.0 } else { 0.0 });
    out.push("pg_replication_is_replica", &[], Some(1.0));
    out.push(
        "pg_replication_lag_seconds",
        &[],
        float(row, "lag_seconds")?,
    );
    out.push(
        "pg_replication_last_replay_seconds",
        &[],
        float(row, "last_replay_seconds")?,
    );
    out.push(
        "loadline_pg_replay_paused",
        &[],
        flag(truth(row, "paused")?),
    );
    out.push(
        "loadline_pg_replay_lag_bytes",
        &[],
        float(row, "unreplayed_bytes")?,
    );
    out.push(
        "loadline_pg_wal_receiver_up",
        &[],
        flag(truth(row, "has_receiver")?),
    );
    Ok(())
}

/// Collects samples that share the target's labels.
pub(crate) struct Points<'a> {
    base: &'a Labels,
    pub(crate) points: Vec<(Labels, f64)>,
}

impl<'a> Points<'a> {
    pub(crate) fn new(base: &'a Labels) -> Self {
        Self {
            base,
            points: Vec::new(),
        }
    }

    /// Adds a sample; without a value there is none.
    pub(crate) fn push(&mut self, name: &str, labels: &[(&str, &str)], value: Option<f64>) {
        let Some(value) = value else { return };
        let mut b = self.base.to_builder();
        b.set(NAME, name);
        for (label, text) in labels {
            b.set(label, text);
        }
        self.points.push((b.build(), value));
    }

    fn push_count(&mut self, name: &str, labels: &[(&str, &str)], value: Option<i64>) {
        self.push(name, labels, value.map(|v| v as f64));
    }
}

/// A text column, empty when NULL.
pub(crate) fn text(row: &PgRow, column: &str) -> Result<String, sqlx::Error> {
    Ok(row
        .try_get::<Option<String>, _>(column)?
        .unwrap_or_default())
}

/// An `int8` column.
pub(crate) fn int(row: &PgRow, column: &str) -> Result<Option<i64>, sqlx::Error> {
    row.try_get(column)
}

/// A `float8` column.
pub(crate) fn float(row: &PgRow, column: &str) -> Result<Option<f64>, sqlx::Error> {
    row.try_get(column)
}

/// A `bool` column.
pub(crate) fn truth(row: &PgRow, column: &str) -> Result<Option<bool>, sqlx::Error> {
    row.try_get(column)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(datname: &str, application: &str, sessions: i64) -> SessionGroup {
        SessionGroup {
            datname: datname.to_owned(),
            state: "idle".to_owned(),
            names: [
                String::new(),
                application.to_owned(),
                String::new(),
                String::new(),
                String::new(),
            ],
            sessions,
            max_tx_seconds: sessions as f64,
        }
    }

    #[test]
    fn folding_keeps_the_sum_and_the_largest() {
        let mut groups: Vec<_> = (1..=10)
            .map(|n| group(if n % 2 == 0 { "a" } else { "b" }, &format!("app{n}"), n))
            .collect();
        groups.push(group("c", "", 0));
        let folded = fold(&mut groups, 3);
        assert_eq!(folded, 7);
        assert_eq!(groups.iter().map(|g| g.sessions).sum::<i64>(), 55);
        assert_eq!(groups.len(), 3 + 2 + 1);
        let a = groups
            .iter()
            .find(|g| g.datname == "a" && g.names[1] == FOLDED)
            .unwrap();
        assert_eq!((a.sessions, a.max_tx_seconds), (2 + 4 + 6, 6.0));
        let mut few = vec![group("a", "x", 1)];
        assert_eq!(fold(&mut few, 3), 0);
    }

    #[test]
    fn every_question_has_a_text_for_each_known_server() {
        for major in ServerVersion::OLDEST..=ServerVersion::NEWEST + 1 {
            for q in Question::ALL {
                let sql = q.sql(ServerVersion(major * 10_000)).unwrap();
                assert!(sql.contains("SELECT") && !sql.contains(';'), "{q:?}");
                assert!(!q.names().is_empty());
            }
        }
        let old = Question::Counters.sql(ServerVersion(130_000)).unwrap();
        assert!(!old.contains("active_time"));
    }
}
