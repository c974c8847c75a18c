-- Bytes of large tables that hold no rows, guessed from the widths of their columns. Widths are
-- hidden from roles that may not read the table.
SELECT current_database()::text AS datname, x.schemaname, x.relname,
       CASE WHEN x.hidden = 0 THEN greatest(0, x.heap_bytes - x.need_bytes) END::float8
           AS loadline_pg_table_bloat_bytes,
       CASE WHEN x.hidden = 0 THEN greatest(0, x.heap_bytes - x.need_bytes) / x.heap_bytes END::float8
           AS loadline_pg_table_bloat_ratio,
       x.hidden
FROM (SELECT n.nspname::text AS schemaname, c.relname::text AS relname,
             (c.relpages::int8 * b.size)::float8 AS heap_bytes,
             ceil(c.reltuples / floor((b.size - 24)
                  * coalesce((SELECT option_value::float8 / 100 FROM pg_options_to_table(c.reloptions)
                              WHERE option_name = 'fillfactor'), 1)
                  / (4 + 24 + 8 * ceil(coalesce(w.width, 0) / 8.0)))) * b.size AS need_bytes,
             CASE WHEN w.width IS NULL AND NOT has_table_privilege(c.oid, 'SELECT') THEN 1 ELSE 0 END AS hidden,
             w.width
      FROM pg_class c
      JOIN pg_namespace n ON n.oid = c.relnamespace
      CROSS JOIN (SELECT current_setting('block_size')::int8 AS size) b
      LEFT JOIN LATERAL (SELECT sum((1 - null_frac) * avg_width)::float8 AS width
                         FROM pg_stats s
                         WHERE s.schemaname = n.nspname AND s.tablename = c.relname AND NOT s.inherited) w ON true
      WHERE c.relkind = 'r' AND c.relpages > 1280 AND c.reltuples > 0
        AND n.nspname NOT IN ('pg_catalog', 'information_schema')
      ORDER BY c.relpages DESC, c.oid
      LIMIT 200) x
WHERE x.width IS NOT NULL OR x.hidden = 1
ORDER BY x.hidden DESC, 4 DESC NULLS LAST
LIMIT 200
