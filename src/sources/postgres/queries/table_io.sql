-- Blocks of the tables that are read most from outside the cache.
SELECT current_database()::text AS datname, schemaname::text AS schemaname, relname::text AS relname,
       heap_blks_read                  AS pg_statio_user_tables_heap_blocks_read,
       heap_blks_hit                   AS pg_statio_user_tables_heap_blocks_hit,
       coalesce(idx_blks_read, 0)      AS pg_statio_user_tables_idx_blocks_read,
       coalesce(idx_blks_hit, 0)       AS pg_statio_user_tables_idx_blocks_hit,
       coalesce(toast_blks_read, 0)    AS pg_statio_user_tables_toast_blocks_read,
       coalesce(toast_blks_hit, 0)     AS pg_statio_user_tables_toast_blocks_hit
FROM pg_statio_user_tables
ORDER BY heap_blks_read + coalesce(idx_blks_read, 0) DESC, relid
LIMIT 100
