-- The oldest of what should be short.
SELECT count(*) FILTER (WHERE xact_start IS NOT NULL AND state IS DISTINCT FROM 'idle')::int8
           AS pg_long_running_transactions,
       coalesce(max(extract(epoch FROM now() - xact_start))
                FILTER (WHERE state IS DISTINCT FROM 'idle'), 0)::float8
           AS pg_long_running_transactions_oldest_timestamp_seconds,
       coalesce(max(extract(epoch FROM now() - state_change))
                FILTER (WHERE state LIKE 'idle in transaction%'), 0)::float8
           AS loadline_pg_idle_in_transaction_max_seconds,
       coalesce(max(extract(epoch FROM now() - query_start)) FILTER (WHERE state = 'active'), 0)::float8
           AS loadline_pg_active_query_max_seconds
FROM pg_stat_activity
WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
