//! Metric names with a meaning of their own.

/// Names that only we may write.
pub(crate) fn is_reserved(name: &str) -> bool {
    matches!(name, "up" | "ALERTS" | "ALERTS_FOR_STATE")
        || name.starts_with("scrape_")
        || name.starts_with("loadline_")
}

/// Names that tell which machine or server a target reports on.
pub(crate) fn is_watched(name: &[u8]) -> bool {
    matches!(
        name,
        b"node_boot_time_seconds"
            | b"node_uname_info"
            | b"pg_postmaster_start_time_seconds"
            | b"pg_settings_port"
    )
}
