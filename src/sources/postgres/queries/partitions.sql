-- Partitioned tables: children, bytes, and rows that fell into the default partition.
SELECT current_database()::text AS datname, n.nspname::text AS schemaname, r.relname::text AS relname,
       CASE p.partstrat WHEN 'r' THEN 'range' WHEN 'l' THEN 'list' WHEN 'h' THEN 'hash' ELSE '' END AS strategy,
       count(h.inhrelid)::int8                                                    AS loadline_pg_partitions,
       (coalesce(sum(c.relpages::int8), 0) * current_setting('block_size')::int8)::int8 AS loadline_pg_partitioned_table_bytes,
       CASE WHEN p.partdefid <> 0
            THEN greatest(coalesce(max(c.reltuples) FILTER (WHERE c.oid = p.partdefid), 0), 0) END::float8
                                                                                  AS loadline_pg_partition_default_rows
FROM pg_partitioned_table p
JOIN pg_class r ON r.oid = p.partrelid
JOIN pg_namespace n ON n.oid = r.relnamespace
LEFT JOIN pg_inherits h ON h.inhparent = p.partrelid
LEFT JOIN pg_class c ON c.oid = h.inhrelid
GROUP BY 1, 2, 3, 4, p.partdefid
ORDER BY 5 DESC, 2, 3
LIMIT 100
