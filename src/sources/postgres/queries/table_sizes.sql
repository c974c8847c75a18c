-- Bytes of the largest tables by what the last vacuum or analyze left in the catalog: it costs no
-- lock. Partitions are counted by themselves.
SELECT current_database()::text AS datname, n.nspname::text AS schemaname, c.relname::text AS relname,
       c.relpages::int8 * b.size                AS loadline_pg_table_bytes,
       (coalesce(i.pages, 0) * b.size)::int8    AS loadline_pg_table_index_bytes,
       coalesce(i.n, 0)::int8                   AS loadline_pg_table_indexes,
       c.relispartition                         AS loadline_pg_table_is_partition,
       coalesce('autovacuum_enabled=false' = ANY (c.reloptions)
                OR 'autovacuum_enabled=off' = ANY (c.reloptions), false)
                                                AS loadline_pg_table_autovacuum_disabled
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN (SELECT current_setting('block_size')::int8 AS size) b
LEFT JOIN LATERAL (SELECT sum(ic.relpages::int8) AS pages, count(*) AS n
                   FROM pg_index x
                   JOIN pg_class ic ON ic.oid = x.indexrelid
                   WHERE x.indrelid = c.oid) i ON true
WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't'
  AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_toast'
ORDER BY c.relpages DESC, c.oid
LIMIT 200
