//! Settings as numbers in base units, under the exporter's names.
//!
//! What must stay true: a setting that our own session was started with (`statement_timeout`,
//! `lock_timeout`) is not shown as the server's.

use sqlx::postgres::PgRow;

use super::question::{Points, text};

/// Settings that bound or explain something, with the exporter's metric name.
const SETTINGS: [(&str, &str); 68] = [
    ("autovacuum", "pg_settings_autovacuum"),
    (
        "autovacuum_analyze_scale_factor",
        "pg_settings_autovacuum_analyze_scale_factor",
    ),
    (
        "autovacuum_freeze_max_age",
        "pg_settings_autovacuum_freeze_max_age",
    ),
    (
        "autovacuum_max_workers",
        "pg_settings_autovacuum_max_workers",
    ),
    (
        "autovacuum_multixact_freeze_max_age",
        "pg_settings_autovacuum_multixact_freeze_max_age",
    ),
    (
        "autovacuum_naptime",
        "pg_settings_autovacuum_naptime_seconds",
    ),
    (
        "autovacuum_vacuum_cost_delay",
        "pg_settings_autovacuum_vacuum_cost_delay_seconds",
    ),
    (
        "autovacuum_vacuum_cost_limit",
        "pg_settings_autovacuum_vacuum_cost_limit",
    ),
    (
        "autovacuum_vacuum_scale_factor",
        "pg_settings_autovacuum_vacuum_scale_factor",
    ),
    (
        "autovacuum_vacuum_threshold",
        "pg_settings_autovacuum_vacuum_threshold",
    ),
    (
        "autovacuum_work_mem",
        "pg_settings_autovacuum_work_mem_bytes",
    ),
    (
        "autovacuum_worker_slots",
        "pg_settings_autovacuum_worker_slots",
    ),
    ("bgwriter_lru_maxpages", "pg_settings_bgwriter_lru_maxpages"),
    (
        "checkpoint_completion_target",
        "pg_settings_checkpoint_completion_target",
    ),
    (
        "checkpoint_timeout",
        "pg_settings_checkpoint_timeout_seconds",
    ),
    ("data_checksums", "pg_settings_data_checksums"),
    ("deadlock_timeout", "pg_settings_deadlock_timeout_seconds"),
    (
        "effective_cache_size",
        "pg_settings_effective_cache_size_bytes",
    ),
    (
        "effective_io_concurrency",
        "pg_settings_effective_io_concurrency",
    ),
    ("fsync", "pg_settings_fsync"),
    ("full_page_writes", "pg_settings_full_page_writes"),
    ("hash_mem_multiplier", "pg_settings_hash_mem_multiplier"),
    ("hot_standby_feedback", "pg_settings_hot_standby_feedback"),
    (
        "idle_in_transaction_session_timeout",
        "pg_settings_idle_in_transaction_session_timeout_seconds",
    ),
    (
        "idle_replication_slot_timeout",
        "pg_settings_idle_replication_slot_timeout_seconds",
    ),
    (
        "idle_session_timeout",
        "pg_settings_idle_session_timeout_seconds",
    ),
    ("io_workers", "pg_settings_io_workers"),
    ("jit", "pg_settings_jit"),
    ("log_lock_waits", "pg_settings_log_lock_waits"),
    (
        "log_min_duration_statement",
        "pg_settings_log_min_duration_statement_seconds",
    ),
    ("log_temp_files", "pg_settings_log_temp_files_bytes"),
    (
        "logical_decoding_work_mem",
        "pg_settings_logical_decoding_work_mem_bytes",
    ),
    (
        "maintenance_work_mem",
        "pg_settings_maintenance_work_mem_bytes",
    ),
    ("max_connections", "pg_settings_max_connections"),
    (
        "max_locks_per_transaction",
        "pg_settings_max_locks_per_transaction",
    ),
    (
        "max_logical_replication_workers",
        "pg_settings_max_logical_replication_workers",
    ),
    ("max_parallel_workers", "pg_settings_max_parallel_workers"),
    (
        "max_parallel_workers_per_gather",
        "pg_settings_max_parallel_workers_per_gather",
    ),
    (
        "max_prepared_transactions",
        "pg_settings_max_prepared_transactions",
    ),
    ("max_replication_slots", "pg_settings_max_replication_slots"),
    (
        "max_slot_wal_keep_size",
        "pg_settings_max_slot_wal_keep_size_bytes",
    ),
    (
        "max_standby_streaming_delay",
        "pg_settings_max_standby_streaming_delay_seconds",
    ),
    ("max_wal_senders", "pg_settings_max_wal_senders"),
    ("max_wal_size", "pg_settings_max_wal_size_bytes"),
    ("max_worker_processes", "pg_settings_max_worker_processes"),
    ("min_wal_size", "pg_settings_min_wal_size_bytes"),
    (
        "pg_stat_statements.max",
        "pg_settings_pg_stat_statements_max",
    ),
    (
        "pg_stat_statements.track_planning",
        "pg_settings_pg_stat_statements_track_planning",
    ),
    ("port", "pg_settings_port"),
    ("random_page_cost", "pg_settings_random_page_cost"),
    ("reserved_connections", "pg_settings_reserved_connections"),
    ("seq_page_cost", "pg_settings_seq_page_cost"),
    ("server_version_num", "pg_settings_server_version_num"),
    ("shared_buffers", "pg_settings_shared_buffers_bytes"),
    (
        "superuser_reserved_connections",
        "pg_settings_superuser_reserved_connections",
    ),
    ("temp_buffers", "pg_settings_temp_buffers_bytes"),
    ("temp_file_limit", "pg_settings_temp_file_limit_bytes"),
    ("track_activities", "pg_settings_track_activities"),
    ("track_counts", "pg_settings_track_counts"),
    ("track_io_timing", "pg_settings_track_io_timing"),
    ("track_wal_io_timing", "pg_settings_track_wal_io_timing"),
    (
        "transaction_timeout",
        "pg_settings_transaction_timeout_seconds",
    ),
    ("vacuum_cost_limit", "pg_settings_vacuum_cost_limit"),
    ("vacuum_failsafe_age", "pg_settings_vacuum_failsafe_age"),
    ("wal_buffers", "pg_settings_wal_buffers_bytes"),
    ("wal_keep_size", "pg_settings_wal_keep_size_bytes"),
    ("wal_segment_size", "pg_settings_wal_segment_size_bytes"),
    ("work_mem", "pg_settings_work_mem_bytes"),
];

/// The metrics made here.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    SETTINGS.iter().map(|(_, metric)| *metric)
}

/// Samples of the settings.
pub(crate) fn read(rows: &[PgRow], out: &mut Points<'_>) -> Result<(), sqlx::Error> {
    for row in rows {
        let name = text(row, "name")?;
        let Some((_, metric)) = SETTINGS.iter().find(|(setting, _)| *setting == name) else {
            continue;
        };
        let value = in_base_units(&text(row, "setting")?, &text(row, "unit")?);
        out.push(metric, &[], value);
    }
    Ok(())
}

/// A setting in seconds, bytes or as it is; -1, which stands for "none", stays -1.
fn in_base_units(value: &str, unit: &str) -> Option<f64> {
    let number = match value {
        "on" => 1.0,
        "off" => 0.0,
        other => other.parse().ok()?,
    };
    let factor = match unit {
        "" => 1.0,
        "B" => 1.0,
        "kB" => 1024.0,
        "MB" => 1024.0 * 1024.0,
        "GB" => 1024.0 * 1024.0 * 1024.0,
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "min" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        // Blocks, e.g. `8kB` or `16MB`.
        other => {
            let digits = other.find(|c: char| !c.is_ascii_digit())?;
            let blocks: f64 = other[..digits].parse().ok()?;
            blocks * in_base_units("1", &other[digits..])?
        }
    };
    Some(if number < 0.0 {
        number
    } else {
        number * factor
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_in_base_units() {
        for (value, unit, want) in [
            ("16384", "8kB", Some(134_217_728.0)),
            ("200", "ms", Some(0.2)),
            ("5", "min", Some(300.0)),
            ("-1", "kB", Some(-1.0)),
            ("0.9", "", Some(0.9)),
            ("on", "", Some(1.0)),
            ("off", "", Some(0.0)),
            ("64", "MB", Some(67_108_864.0)),
            ("words", "", None),
            ("1", "furlong", None),
        ] {
            assert_eq!(in_base_units(value, unit), want, "{value} {unit}");
        }
    }

    #[test]
    fn names_follow_the_exporters_rule() {
        for (setting, metric) in SETTINGS {
            let stem = format!("pg_settings_{}", setting.replace('.', "_"));
            let rest = metric.strip_prefix(&stem);
            assert!(
                rest.is_some_and(|r| ["", "_bytes", "_seconds"].contains(&r)),
                "{setting}: {metric}"
            );
        }
    }
}
