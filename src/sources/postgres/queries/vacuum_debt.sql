-- Dead rows against the number at which autovacuum comes.
SELECT current_database()::text AS datname, s.schemaname::text AS schemaname, s.relname::text AS relname,
       (coalesce(o.threshold, current_setting('autovacuum_vacuum_threshold')::float8)
        + coalesce(o.factor, current_setting('autovacuum_vacuum_scale_factor')::float8)
          * greatest(c.reltuples, 0))::float8 AS loadline_pg_table_vacuum_threshold
FROM pg_stat_user_tables s
JOIN pg_class c ON c.oid = s.relid
LEFT JOIN LATERAL (SELECT max(option_value) FILTER (WHERE option_name = 'autovacuum_vacuum_threshold')::float8 AS threshold,
                          max(option_value) FILTER (WHERE option_name = 'autovacuum_vacuum_scale_factor')::float8 AS factor
                   FROM pg_options_to_table(c.reloptions)) o ON true
WHERE s.n_dead_tup > 1000
ORDER BY s.n_dead_tup DESC, s.relid
LIMIT 50
