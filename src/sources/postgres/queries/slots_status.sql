-- Whether the WAL that slots need is still there.
SELECT slot_name::text AS slot_name, slot_type::text AS slot_type, wal_status,
       1 AS pg_replication_slots_wal_status
FROM pg_replication_slots
WHERE wal_status IS NOT NULL
ORDER BY slot_name
LIMIT 200
