-- Whether an index that looks unused here may be dropped: not while a replica may use it, and not
-- while the statistics are younger than 30 days. They count from the last reset or, since a crash
-- clears them without a trace before Postgres 15, from the start of the server.
SELECT current_database()::text AS datname,
       (NOT pg_is_in_recovery()
        AND NOT EXISTS (SELECT FROM pg_stat_replication)
        AND NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_type = 'physical')
        AND a.age_seconds >= 30 * 86400)        AS loadline_pg_index_drop_advisable,
       a.age_seconds                            AS loadline_pg_statistics_age_seconds
FROM (SELECT extract(epoch FROM now() - greatest(coalesce(stats_reset, '-infinity'),
                                                 pg_postmaster_start_time()))::float8 AS age_seconds
      FROM pg_stat_database
      WHERE datname = current_database()) a
