-- Bytes of WAL since the cluster was made: written on a primary, replayed on a replica.
SELECT pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()
                            ELSE pg_current_wal_lsn() END, '0/0')::float8
           AS loadline_pg_wal_bytes_total
