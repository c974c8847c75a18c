-- How far behind this replica is. A receiver that is gone does not count as caught up, although
-- nothing is left to replay: then the age of the last replay is the lag. A primary has none.
SELECT r.in_recovery                                            AS pg_replication_is_replica,
       CASE WHEN NOT r.in_recovery THEN 0
            WHEN r.has_receiver AND r.received = r.replayed THEN 0
            ELSE greatest(0, r.last_replay) END::float8         AS pg_replication_lag_seconds,
       CASE WHEN r.in_recovery THEN r.last_replay ELSE 0 END::float8
                                                                AS pg_replication_last_replay_seconds,
       CASE WHEN r.in_recovery THEN pg_is_wal_replay_paused() END AS loadline_pg_replay_paused,
       CASE WHEN r.in_recovery THEN pg_wal_lsn_diff(r.received, r.replayed) END::float8
                                                                AS loadline_pg_replay_lag_bytes,
       CASE WHEN r.in_recovery THEN r.has_receiver END          AS loadline_pg_wal_receiver_up
FROM (SELECT pg_is_in_recovery()                                AS in_recovery,
             pg_last_wal_receive_lsn()                          AS received,
             pg_last_wal_replay_lsn()                           AS replayed,
             extract(epoch FROM now() - pg_last_xact_replay_timestamp()) AS last_replay,
             EXISTS (SELECT FROM pg_stat_wal_receiver)          AS has_receiver) r
