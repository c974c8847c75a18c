-- Sessions by database, state and who they are, a zero for each state that a database does not
-- have, so that a count falls to 0 instead of vanishing. Our own sessions are left out.
WITH sessions AS (
    SELECT datname::text AS datname, coalesce(state, '') AS state,
           coalesce(usename::text, '') AS usename, coalesce(application_name, '') AS application_name,
           coalesce(backend_type, '') AS backend_type,
           coalesce(wait_event_type, '') AS wait_event_type, coalesce(wait_event, '') AS wait_event,
           count(*)::int8 AS n,
           coalesce(max(extract(epoch FROM now() - xact_start)), 0)::float8 AS max_tx_seconds
    FROM pg_stat_activity
    WHERE pid <> pg_backend_pid() AND datname IS NOT NULL
      AND application_name IS DISTINCT FROM current_setting('application_name')
      AND (state IS NOT NULL OR backend_type = 'client backend')
    GROUP BY 1, 2, 3, 4, 5, 6, 7
)
SELECT * FROM sessions
UNION ALL
(SELECT d.datname::text, v.state, '', '', '', '', '', 0::int8, 0::float8
 FROM pg_database d
 CROSS JOIN (VALUES ('active'), ('idle'), ('idle in transaction'),
                    ('idle in transaction (aborted)'), ('fastpath function call'), ('disabled')) AS v(state)
 WHERE d.datallowconn
   AND NOT EXISTS (SELECT FROM sessions s WHERE s.datname = d.datname AND s.state = v.state)
 LIMIT 1200)
