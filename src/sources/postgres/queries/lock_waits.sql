-- Sessions that wait for a lock. How long is measured from the start of their statement.
SELECT count(*)::int8                                                       AS loadline_pg_lock_waiting_sessions,
       coalesce(max(extract(epoch FROM now() - query_start)), 0)::float8    AS loadline_pg_lock_wait_max_seconds
FROM pg_stat_activity
WHERE wait_event_type = 'Lock'
