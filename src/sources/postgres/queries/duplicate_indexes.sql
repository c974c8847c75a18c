-- Indexes whose columns another index begins with, in the same order, classes and collations.
SELECT current_database()::text AS datname, n.nspname::text AS schemaname, t.relname::text AS relname,
       ca.relname::text AS indexrelname, cb.relname::text AS covered_by,
       ca.relpages::int8 * current_setting('block_size')::int8 AS loadline_pg_duplicate_index_bytes
FROM pg_index a
JOIN pg_index b ON a.indrelid = b.indrelid AND a.indexrelid <> b.indexrelid
JOIN pg_class ca ON ca.oid = a.indexrelid
JOIN pg_class cb ON cb.oid = b.indexrelid
JOIN pg_class t ON t.oid = a.indrelid
JOIN pg_namespace n ON n.oid = t.relnamespace
WHERE a.indisvalid AND b.indisvalid AND NOT a.indisunique AND NOT a.indisreplident
  AND ca.relam = cb.relam AND a.indexprs IS NULL AND b.indexprs IS NULL
  AND a.indpred::text IS NOT DISTINCT FROM b.indpred::text
  AND (b.indkey::text || ' ') LIKE (a.indkey::text || ' %')
  AND (b.indclass::text || ' ') LIKE (a.indclass::text || ' %')
  AND (b.indcollation::text || ' ') LIKE (a.indcollation::text || ' %')
  AND (b.indoption::text || ' ') LIKE (a.indoption::text || ' %')
  AND (a.indkey::text <> b.indkey::text OR b.indisunique OR a.indexrelid > b.indexrelid)
  AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_toast'
  AND NOT EXISTS (SELECT FROM pg_inherits h WHERE h.inhrelid = a.indexrelid)
ORDER BY ca.relpages DESC, a.indexrelid, b.indexrelid
LIMIT 50
