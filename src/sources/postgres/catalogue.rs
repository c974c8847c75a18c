//! All questions but those about statements: one row a signal, one file a text.
//!
//! What must stay true: a question that could be short without an error names the rights it needs;
//! one that reads whole catalogs is not asked on every pass.

use super::question::{Pace, Question, Reader, Rights};

macro_rules! sql {
    ($($since:literal $file:literal),+) => {
        &[$(($since, include_str!(concat!("queries/", $file, ".sql")))),+]
    };
}

/// Every question, in the order in which they are asked.
pub(crate) const CATALOGUE: &[Question] = &[
    // Connections.
    Question::new("sessions", "sessions by state", sql!(13 "activity"))
        .needs(Rights::AllStats)
        .read_by(Reader::Sessions),
    Question::new(
        "transactions",
        "oldest transactions",
        sql!(13 "transactions"),
    )
    .needs(Rights::AllStats),
    Question::new("pooler", "sessions of a pooler", sql!(13 "pooler"))
        .needs(Rights::AllStats)
        .every(Pace::Minute),
    Question::new("settings", "settings", sql!(13 "settings"))
        .every(Pace::Hour)
        .read_by(Reader::Settings),
    Question::new(
        "setting_words",
        "settings that are words",
        sql!(13 "setting_words"),
    )
    .every(Pace::Hour),
    Question::new(
        "pending_restart",
        "settings that wait for a restart",
        sql!(13 "pending_restart"),
    )
    .needs(Rights::AllSettings)
    .every(Pace::Hour),
    Question::new("preload", "loaded libraries", sql!(13 "preload"))
        .needs(Rights::AllSettings)
        .every(Pace::Hour),
    Question::new(
        "limits",
        "connection limits of databases",
        sql!(13 "limits"),
    )
    .every(Pace::Hour),
    Question::new(
        "role_limits",
        "connection limits of roles",
        sql!(13 "role_limits"),
    )
    .every(Pace::Hour),
    // Throughput.
    Question::new("counters", "database counters", sql!(13 "database")),
    Question::new(
        "session_counters",
        "how sessions begin and end",
        sql!(14 "database_sessions_14"),
    ),
    Question::new("parallel", "parallel workers", sql!(18 "parallel_18")).every(Pace::Minute),
    Question::new(
        "conflicts",
        "queries cancelled by recovery",
        sql!(13 "conflicts", 16 "conflicts_16"),
    )
    .every(Pace::Minute),
    Question::new("sizes", "database sizes", sql!(13 "sizes"))
        .opened_by("GRANT pg_monitor TO ROLE;")
        .every(Pace::FiveMinutes),
    Question::new("tablespaces", "tablespace sizes", sql!(13 "tablespaces"))
        .needs(Rights::AllStats)
        .every(Pace::Hour),
    Question::new("temp_files", "temporary files", sql!(13 "temp_files"))
        .needs(Rights::Monitor)
        .every(Pace::FiveMinutes),
    Question::new(
        "io",
        "reads and writes by kind",
        sql!(16 "io_16", 18 "io_18"),
    )
    .every(Pace::Minute),
    Question::new("slru", "transaction state caches", sql!(13 "slru")).every(Pace::FiveMinutes),
    // Writes.
    Question::new("wal_position", "WAL position", sql!(13 "wal_position")),
    Question::new("wal", "WAL counters", sql!(14 "wal_14", 18 "wal_18")).every(Pace::Minute),
    Question::new(
        "checkpoints",
        "checkpoints",
        sql!(13 "checkpoints", 17 "checkpoints_17", 18 "checkpoints_18"),
    )
    .every(Pace::Minute),
    Question::new("wal_dir", "size of pg_wal", sql!(13 "wal_dir"))
        .needs(Rights::Monitor)
        .every(Pace::FiveMinutes),
    Question::new("archiver", "WAL archiver", sql!(13 "archiver")).every(Pace::Minute),
    // Replication.
    Question::new("replication", "replication lag", sql!(13 "senders"))
        .needs(Rights::AllStats)
        .counted("loadline_pg_replication_rows"),
    Question::new("replica", "replica lag", sql!(13 "replica")),
    Question::new("receiver", "WAL receiver", sql!(13 "receiver")).needs(Rights::AllStats),
    Question::new(
        "slots",
        "replication slots",
        sql!(13 "slots", 17 "slots_17"),
    )
    .counted("loadline_pg_slots")
    .every(Pace::Minute),
    Question::new(
        "slots_retained",
        "WAL held by slots",
        sql!(13 "slots_retained"),
    )
    .every(Pace::Minute),
    Question::new(
        "slots_status",
        "WAL state of slots",
        sql!(13 "slots_status"),
    )
    .every(Pace::Minute),
    Question::new("logical", "logical decoding", sql!(14 "logical_14")).every(Pace::Minute),
    Question::new("subscriptions", "subscriptions", sql!(13 "subscriptions"))
        .needs(Rights::AllStats)
        .counted("loadline_pg_subscriptions")
        .every(Pace::Minute),
    Question::new(
        "subscription_errors",
        "errors of subscriptions",
        sql!(15 "subscription_errors_15"),
    )
    .every(Pace::Minute),
    // Vacuum and locks.
    Question::new("xid_age", "transaction id age", sql!(13 "xid_age")).every(Pace::FiveMinutes),
    Question::new(
        "xmin_holders",
        "what holds old row versions",
        sql!(13 "xmin_holders"),
    )
    .needs(Rights::AllStats)
    .every(Pace::Minute),
    Question::new("autovacuum", "autovacuum workers", sql!(13 "autovacuum"))
        .needs(Rights::AllStats),
    Question::new(
        "vacuum_progress",
        "vacuums under way",
        sql!(13 "vacuum_progress"),
    )
    .needs(Rights::AllStats)
    .every(Pace::Minute),
    Question::new(
        "lock_waits",
        "waits for locks",
        sql!(13 "lock_waits", 14 "lock_waits_14"),
    )
    .needs(Rights::AllStats),
    Question::new("locks", "locks by mode", sql!(13 "locks")).every(Pace::Minute),
    Question::new("prepared", "prepared transactions", sql!(13 "prepared"))
        .every(Pace::FiveMinutes),
    Question::new("notify_queue", "queue of NOTIFY", sql!(13 "notify_queue"))
        .every(Pace::FiveMinutes),
    // Tables and indexes.
    Question::new("tables", "tables", sql!(13 "tables", 16 "tables_16"))
        .in_each_database()
        .every(Pace::Minute),
    Question::new("table_sizes", "table sizes", sql!(13 "table_sizes"))
        .in_each_database()
        .every(Pace::FiveMinutes),
    Question::new(
        "table_sizes_exact",
        "table sizes on disk",
        sql!(13 "table_sizes_exact"),
    )
    .in_each_database()
    .every(Pace::Hour),
    Question::new("table_io", "cache use of tables", sql!(13 "table_io"))
        .in_each_database()
        .every(Pace::FiveMinutes),
    Question::new("vacuum_debt", "dead rows", sql!(13 "vacuum_debt"))
        .in_each_database()
        .every(Pace::FiveMinutes),
    Question::new("xid_age_tables", "oldest tables", sql!(13 "xid_age_tables"))
        .in_each_database()
        .every(Pace::Hour),
    Question::new("bloat", "bloat of tables", sql!(13 "bloat"))
        .in_each_database()
        .opened_by("GRANT SELECT ON ALL TABLES IN SCHEMA SCHEMAS TO ROLE;")
        .every(Pace::SixHours),
    Question::new(
        "unused_indexes",
        "unused indexes",
        sql!(13 "unused_indexes"),
    )
    .in_each_database()
    .counted("loadline_pg_unused_indexes")
    .every(Pace::Hour),
    Question::new(
        "duplicate_indexes",
        "duplicate indexes",
        sql!(13 "duplicate_indexes"),
    )
    .in_each_database()
    .counted("loadline_pg_duplicate_indexes")
    .every(Pace::Hour),
    Question::new(
        "index_drop_guard",
        "whether unused indexes may be dropped",
        sql!(13 "index_drop_guard"),
    )
    .in_each_database()
    .every(Pace::FiveMinutes),
    Question::new(
        "invalid_indexes",
        "invalid indexes",
        sql!(13 "invalid_indexes"),
    )
    .in_each_database()
    .counted("loadline_pg_invalid_indexes")
    .every(Pace::Hour),
    Question::new(
        "foreign_keys",
        "foreign keys without an index",
        sql!(13 "foreign_keys"),
    )
    .in_each_database()
    .counted("loadline_pg_foreign_keys_without_index")
    .every(Pace::Hour),
    Question::new("partitions", "partitioned tables", sql!(13 "partitions"))
        .in_each_database()
        .every(Pace::Hour),
    Question::new(
        "sequences",
        "sequences near their end",
        sql!(13 "sequences"),
    )
    .in_each_database()
    .opened_by("GRANT SELECT ON ALL SEQUENCES IN SCHEMA SCHEMAS TO ROLE;")
    .every(Pace::Hour),
    Question::new(
        "queue_tables",
        "job queues in tables",
        sql!(13 "queue_tables"),
    )
    .in_each_database()
    .counted("loadline_pg_queue_tables")
    .every(Pace::FiveMinutes),
    Question::new("text_search", "text search indexes", sql!(13 "text_search"))
        .in_each_database()
        .every(Pace::Hour),
    Question::new(
        "topology",
        "what the database is made of",
        sql!(13 "topology"),
    )
    .in_each_database()
    .every(Pace::Hour),
    Question::new("extensions", "extensions", sql!(13 "extensions"))
        .in_each_database()
        .every(Pace::Hour),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::question::{Scope, metrics_in};
    use super::super::version::ServerVersion;
    use super::*;

    #[test]
    fn every_question_names_its_metrics_and_each_metric_has_one_question() {
        let mut signals = BTreeSet::new();
        let mut metrics = BTreeSet::new();
        for q in CATALOGUE {
            assert!(signals.insert(q.signal), "{} twice", q.signal);
            let names = q.names();
            assert!(!names.is_empty(), "{}", q.signal);
            for name in names {
                assert!(metrics.insert(name), "{name} twice");
                assert!(name.len() <= 63, "{name} is cut by the server");
            }
            for (since, sql) in q.variants {
                let bare: String = sql.lines().filter(|l| !l.starts_with("--")).collect();
                assert!(sql.starts_with("--") && !bare.contains(';'), "{}", q.signal);
                assert!((13..=18).contains(since));
                let text: Vec<&str> = metrics_in(sql).collect();
                let once: BTreeSet<&str> = text.iter().copied().collect();
                assert_eq!(text.len(), once.len(), "{}: a metric twice", q.signal);
            }
        }
    }

    /// The page lists every signal with its text and metrics.
    #[test]
    fn the_page_lists_every_metric() {
        let pace = |p: Pace| match p {
            Pace::Pass => "pass",
            Pace::Minute => "1 min",
            Pace::FiveMinutes => "5 min",
            Pace::Hour => "1 h",
            Pace::SixHours => "6 h",
        };
        let needs = |q: &Question| match q.needs {
            Rights::Connect if !q.opens.is_empty() => {
                format!("`{}`", q.opens.trim_end_matches(" TO ROLE;"))
            }
            Rights::Connect => "CONNECT".to_owned(),
            Rights::AllStats => "pg_read_all_stats".to_owned(),
            Rights::AllSettings => "pg_read_all_settings".to_owned(),
            Rights::Monitor => "pg_monitor".to_owned(),
        };
        let scope = |q: &Question| match q.scope {
            Scope::Server => "server",
            Scope::Database => "database",
        };
        let mut table = String::from(
            "| signal | asked | where | needs | metrics |\n| --- | --- | --- | --- | --- |\n",
        );
        let list = |names: &mut dyn Iterator<Item = &'static str>| {
            names
                .map(|n| format!("`{n}`"))
                .collect::<Vec<_>>()
                .join(" ")
        };
        for q in CATALOGUE {
            let (asked, place, rights) = (pace(q.pace), scope(q), needs(q));
            let metrics = list(&mut q.names().into_iter());
            table += &format!(
                "| {} | {asked} | {place} | {rights} | {metrics} |\n",
                q.signal
            );
        }
        let metrics = list(&mut super::super::statements::NAMES.into_iter());
        table += &format!("| statements | 1 min | server | pg_read_all_stats | {metrics} |\n");
        let metrics = list(&mut super::super::book::OWN_NAMES.into_iter());
        table += &format!("| (contact) | pass | server | | {metrics} |\n");
        let page = include_str!("../../../docs/postgres.md");
        let (start, end) = ("<!-- metrics -->\n", "<!-- /metrics -->\n");
        let from = page.find(start).unwrap() + start.len();
        let to = page.find(end).unwrap();
        if page[from..to] != table {
            let new = std::env::temp_dir().join("loadline-postgres-metrics.md");
            std::fs::write(&new, &table).unwrap();
            panic!(
                "docs/postgres.md is old; the new table is {}",
                new.display()
            );
        }
    }

    #[test]
    fn a_newer_server_is_asked_like_the_newest_known_one() {
        for q in CATALOGUE {
            let newest = q.sql(ServerVersion(180_004));
            assert!(newest.is_some(), "{}", q.signal);
            assert_eq!(newest, q.sql(ServerVersion(190_000)));
        }
    }
}
