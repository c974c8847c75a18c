-- Who replicates from this server, and how far behind. Works on a cascading replica too. An idle
-- primary measures no lag: with nothing left to replay, none is zero.
SELECT coalesce(r.application_name, '') AS application_name,
       coalesce(r.client_addr::text, '') AS client_addr,
       coalesce(r.state, '') AS state,
       coalesce(s.slot_name::text, '') AS slot_name,
       pg_wal_lsn_diff(l.here, '0/0')::float8        AS pg_stat_replication_pg_current_wal_lsn_bytes,
       pg_wal_lsn_diff(l.here, r.replay_lsn)::float8 AS pg_stat_replication_pg_wal_lsn_diff,
       pg_wal_lsn_diff(l.here, r.sent_lsn)::float8   AS loadline_pg_replication_unsent_bytes,
       pg_wal_lsn_diff(r.sent_lsn, r.flush_lsn)::float8   AS loadline_pg_replication_unflushed_bytes,
       pg_wal_lsn_diff(r.flush_lsn, r.replay_lsn)::float8 AS loadline_pg_replication_unreplayed_bytes,
       coalesce(extract(epoch FROM r.write_lag), z.zero)::float8  AS loadline_pg_replication_write_lag_seconds,
       coalesce(extract(epoch FROM r.flush_lag), z.zero)::float8  AS loadline_pg_replication_flush_lag_seconds,
       coalesce(extract(epoch FROM r.replay_lag), z.zero)::float8 AS loadline_pg_replication_replay_lag_seconds,
       (r.sync_state IN ('sync', 'quorum'))          AS loadline_pg_replication_synchronous,
       age(r.backend_xmin)::int8                     AS loadline_pg_replication_feedback_xmin_age
FROM pg_stat_replication r
CROSS JOIN (SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn()
                        ELSE pg_current_wal_lsn() END AS here) l
CROSS JOIN LATERAL (SELECT CASE WHEN r.state = 'streaming' AND r.replay_lsn = l.here THEN 0 END AS zero) z
LEFT JOIN pg_replication_slots s ON s.active_pid = r.pid
WHERE coalesce(r.application_name, '') NOT IN ('pg_basebackup', 'pg_rewind')
LIMIT 200
