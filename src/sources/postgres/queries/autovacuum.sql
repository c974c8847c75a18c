-- Autovacuum workers at work.
SELECT count(*)::int8                                                              AS loadline_pg_autovacuum_workers,
       count(*) FILTER (WHERE query LIKE '%(to prevent wraparound)%')::int8        AS loadline_pg_autovacuum_wraparound_workers,
       coalesce(max(extract(epoch FROM now() - xact_start)), 0)::float8            AS loadline_pg_autovacuum_oldest_seconds
FROM pg_stat_activity
WHERE backend_type = 'autovacuum worker'
