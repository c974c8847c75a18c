-- How sessions of each database began, worked and ended.
SELECT datid::text AS datid, datname::text AS datname,
       sessions                         AS loadline_pg_sessions_total,
       sessions_abandoned               AS loadline_pg_sessions_abandoned_total,
       sessions_fatal                   AS loadline_pg_sessions_fatal_total,
       sessions_killed                  AS loadline_pg_sessions_killed_total,
       session_time / 1000              AS loadline_pg_session_seconds_total,
       active_time / 1000               AS pg_stat_database_active_time_seconds_total,
       idle_in_transaction_time / 1000  AS loadline_pg_idle_in_transaction_seconds_total
FROM pg_stat_database
WHERE datname IS NOT NULL
ORDER BY datname
LIMIT 1000
