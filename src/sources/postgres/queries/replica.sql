-- How far behind this replica is. A receiver that is gone does not count as caught up, although
-- nothing is left to replay: then the age of the last replay is the lag.
SELECT pg_wal_lsn_diff(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())::float8 AS unreplayed_bytes,
       extract(epoch FROM now() - pg_last_xact_replay_timestamp())::float8          AS last_replay_seconds,
       pg_is_wal_replay_paused()                                                    AS paused,
       EXISTS (SELECT FROM pg_stat_wal_receiver)                                    AS has_receiver,
       (CASE WHEN EXISTS (SELECT FROM pg_stat_wal_receiver)
                  AND pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
             ELSE greatest(0, extract(epoch FROM now() - pg_last_xact_replay_timestamp()))
        END)::float8 AS lag_seconds
