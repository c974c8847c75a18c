-- What slots hold back, under the labels of another of the exporter's families.
SELECT slot_name::text AS slot_name, coalesce(database::text, '') AS database,
       active AS pg_replication_slots_active,
       pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn()
                            ELSE pg_current_wal_lsn() END, restart_lsn)::float8
           AS pg_replication_slots_pg_wal_lsn_diff
FROM pg_replication_slots
ORDER BY slot_name
LIMIT 200
