-- Indexes that were never scanned since the statistics of this database began. One that a
-- constraint, a replica identity or a partitioned index needs is left out.
SELECT current_database()::text AS datname, s.schemaname::text AS schemaname, s.relname::text AS relname,
       s.indexrelname::text AS indexrelname,
       c.relpages::int8 * current_setting('block_size')::int8 AS loadline_pg_unused_index_bytes
FROM pg_stat_user_indexes s
JOIN pg_index i ON i.indexrelid = s.indexrelid
JOIN pg_class c ON c.oid = s.indexrelid
WHERE s.idx_scan = 0 AND c.relpages > 1 AND i.indisvalid AND NOT i.indisunique AND NOT i.indisprimary
  AND NOT i.indisexclusion AND NOT i.indisreplident
  AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = s.indexrelid)
  AND NOT EXISTS (SELECT FROM pg_inherits h WHERE h.inhrelid = s.indexrelid)
ORDER BY c.relpages DESC, s.indexrelid
LIMIT 50
