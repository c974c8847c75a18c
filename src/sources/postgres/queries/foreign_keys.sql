-- Foreign keys whose child table has no index that begins with their columns: each delete or
-- update of a parent row reads the whole child.
SELECT current_database()::text AS datname, n.nspname::text AS schemaname, c.relname::text AS relname,
       p.relname::text AS parent, k.conname::text AS conname,
       c.relpages::int8 * current_setting('block_size')::int8 AS loadline_pg_foreign_key_without_index_bytes
FROM pg_constraint k
JOIN pg_class c ON c.oid = k.conrelid
JOIN pg_class p ON p.oid = k.confrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE k.contype = 'f' AND c.relkind = 'r' AND k.conparentid = 0
  AND NOT EXISTS (SELECT FROM pg_index i
                  WHERE i.indrelid = k.conrelid AND i.indisvalid AND i.indpred IS NULL
                    AND (i.indkey::int2[])[0:cardinality(k.conkey) - 1] @> k.conkey
                    AND (i.indkey::int2[])[0:cardinality(k.conkey) - 1] <@ k.conkey)
ORDER BY c.relpages DESC, k.oid
LIMIT 50
