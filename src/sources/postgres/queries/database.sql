-- Counters of each database. The row without a name is shared objects.
SELECT datid::text AS datid, datname::text AS datname,
       numbackends::int8                              AS pg_stat_database_numbackends,
       xact_commit                                    AS pg_stat_database_xact_commit,
       xact_rollback                                  AS pg_stat_database_xact_rollback,
       blks_read                                      AS pg_stat_database_blks_read,
       blks_hit                                       AS pg_stat_database_blks_hit,
       tup_returned                                   AS pg_stat_database_tup_returned,
       tup_fetched                                    AS pg_stat_database_tup_fetched,
       tup_inserted                                   AS pg_stat_database_tup_inserted,
       tup_updated                                    AS pg_stat_database_tup_updated,
       tup_deleted                                    AS pg_stat_database_tup_deleted,
       conflicts                                      AS pg_stat_database_conflicts,
       temp_files                                     AS pg_stat_database_temp_files,
       temp_bytes                                     AS pg_stat_database_temp_bytes,
       deadlocks                                      AS pg_stat_database_deadlocks,
       blk_read_time                                  AS pg_stat_database_blk_read_time,
       blk_write_time                                 AS pg_stat_database_blk_write_time,
       extract(epoch FROM stats_reset)::float8        AS pg_stat_database_stats_reset
FROM pg_stat_database
WHERE datname IS NOT NULL
ORDER BY datname
LIMIT 1000
