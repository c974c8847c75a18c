-- Settings that are words.
SELECT name, setting AS value, 1 AS loadline_pg_setting_info
FROM pg_settings
WHERE name IN ('wal_level', 'synchronous_commit', 'archive_mode', 'wal_compression', 'huge_pages',
               'io_method', 'compute_query_id', 'track_functions', 'pg_stat_statements.track',
               'default_toast_compression')
