-- Who answers, and what our role may see.
SELECT current_setting('server_version_num')::int8                  AS version_num,
       pg_is_in_recovery()                                          AS in_recovery,
       extract(epoch FROM pg_postmaster_start_time())::float8       AS started_at,
       pg_has_role(current_user, 'pg_monitor', 'USAGE')             AS has_pg_monitor,
       pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')      AS has_read_all_stats,
       pg_has_role(current_user, 'pg_read_all_settings', 'USAGE')   AS has_read_all_settings,
       current_setting('port')::int8                                AS port,
       current_setting('statement_timeout') || ' ' || current_setting('lock_timeout') AS timeouts,
       current_setting('track_activities')                          AS track_activities,
       current_setting('track_counts')                              AS track_counts,
       current_setting('track_io_timing')                           AS track_io_timing,
       current_database()::text                                     AS datname,
       pg_backend_pid()::int8                                       AS pid
