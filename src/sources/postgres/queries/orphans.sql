-- Sessions of ours whose socket we dropped while they hung. Those that still live are told to
-- end, which a role may do to its own sessions.
SELECT count(*)::int8 AS alive, count(*) FILTER (WHERE pg_terminate_backend(pid))::int8 AS told
FROM pg_stat_activity
WHERE pid IN ({pids}) AND usename = current_user AND application_name = 'loadline'
  AND pid <> pg_backend_pid()
