-- Who replicates from this server, and how far behind. Works on a cascading replica too.
SELECT coalesce(r.application_name, '') AS application_name,
       coalesce(r.client_addr::text, '') AS client_addr,
       coalesce(r.state, '') AS state,
       coalesce(s.slot_name::text, '') AS slot_name,
       pg_wal_lsn_diff(l.here, '0/0')::float8        AS current_bytes,
       pg_wal_lsn_diff(l.here, r.replay_lsn)::float8 AS behind_bytes,
       extract(epoch FROM r.replay_lag)::float8      AS replay_lag_seconds
FROM pg_stat_replication r
CROSS JOIN (SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn()
                        ELSE pg_current_wal_lsn() END AS here) l
LEFT JOIN pg_replication_slots s ON s.active_pid = r.pid
WHERE coalesce(r.application_name, '') NOT IN ('pg_basebackup', 'pg_rewind')
LIMIT 200
