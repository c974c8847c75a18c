-- Counters of each database. The row without a name is shared objects.
SELECT datid::text AS datid, datname::text AS datname, numbackends::int8 AS numbackends,
       xact_commit, xact_rollback, blks_read, blks_hit, tup_returned, tup_fetched, tup_inserted,
       tup_updated, tup_deleted, conflicts, temp_files, temp_bytes, deadlocks,
       blk_read_time, blk_write_time
FROM pg_stat_database
WHERE datname IS NOT NULL
ORDER BY datname
LIMIT 1000
