-- Sessions that a pooler holds, by traits no application has: the pooler's own name, or the
-- statement with which it wipes a session before it lends it out again.
SELECT count(*)::int8 AS loadline_pg_pooler_sessions
FROM pg_stat_activity
WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
  AND (application_name ~* '^(pgbouncer|pgcat|odyssey|supavisor|pgpool|pgdog)'
       OR usename::text ~* '^(pgbouncer|pgcat|odyssey|supavisor|pgpool|rdsproxyadmin)'
       OR query = 'DISCARD ALL')
