-- Indexes that a failed build left behind.
SELECT current_database()::text AS datname, n.nspname::text AS schemaname, t.relname::text AS relname,
       c.relname::text AS indexrelname, 1 AS loadline_pg_invalid_index
FROM pg_index i
JOIN pg_class c ON c.oid = i.indexrelid
JOIN pg_class t ON t.oid = i.indrelid
JOIN pg_namespace n ON n.oid = t.relnamespace
WHERE NOT i.indisvalid
  AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index p WHERE p.index_relid = i.indexrelid)
ORDER BY 2, 3, 4
LIMIT 50
