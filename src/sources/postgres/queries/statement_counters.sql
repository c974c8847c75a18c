-- Counters of statements, without their texts, which are the dear part.
SELECT coalesce(d.datname::text, '') AS datname, coalesce(r.rolname::text, '') AS "user", s.queryid::text AS queryid,
       sum(s.calls)::float8                                    AS calls,
       sum(s.total_exec_time)::float8 / 1000                   AS seconds,
       sum(s.total_plan_time)::float8 / 1000                   AS plan_seconds,
       sum(s.rows)::float8                                     AS rows,
       sum(s.shared_blks_hit)::float8                          AS blocks_hit,
       sum(s.shared_blks_read)::float8                         AS blocks_read,
       sum(s.temp_blks_read + s.temp_blks_written)::float8     AS temp_blocks,
       sum(s.wal_bytes)::float8                                AS wal_bytes,
       sum(s.blk_read_time)::float8 / 1000   AS read_seconds,
       sum(s.blk_write_time)::float8 / 1000  AS write_seconds,
       (sum(sum(s.total_exec_time)) OVER ())::float8 / 1000    AS all_seconds,
       (sum(sum(s.calls)) OVER ())::float8                     AS all_calls,
       (sum(count(*)) OVER ())::float8                         AS entries
FROM {schema}.pg_stat_statements(false) s
LEFT JOIN pg_database d ON d.oid = s.dbid
LEFT JOIN pg_roles r ON r.oid = s.userid
WHERE s.queryid IS NOT NULL
GROUP BY 1, 2, 3
ORDER BY 5 DESC
LIMIT 500
