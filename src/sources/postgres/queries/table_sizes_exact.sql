-- Bytes of the largest tables as the file system has them. A table that somebody locked is left
-- out: asking would wait.
SELECT current_database()::text AS datname, n.nspname::text AS schemaname, t.relname::text AS relname,
       pg_table_size(t.oid)    AS pg_stat_user_tables_table_size_bytes,
       pg_indexes_size(t.oid)  AS pg_stat_user_tables_index_size_bytes
FROM (SELECT c.oid, c.relname, c.relnamespace
      FROM pg_class c
      WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't'
        AND c.relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
        AND NOT EXISTS (SELECT FROM pg_locks l
                        WHERE l.locktype = 'relation' AND l.relation = c.oid
                          AND l.mode = 'AccessExclusiveLock')
      ORDER BY c.relpages DESC, c.oid
      LIMIT 50) t
JOIN pg_namespace n ON n.oid = t.relnamespace
