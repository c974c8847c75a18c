-- Sessions that wait for a lock, and the longest wait.
SELECT count(DISTINCT pid)::int8                                            AS loadline_pg_lock_waiting_sessions,
       coalesce(max(extract(epoch FROM now() - waitstart)), 0)::float8      AS loadline_pg_lock_wait_max_seconds
FROM pg_locks
WHERE NOT granted
