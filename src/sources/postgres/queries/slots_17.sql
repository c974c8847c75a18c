-- Replication slots, under the labels of one of the exporter's three families.
SELECT slot_name::text AS slot_name, slot_type::text AS slot_type,
       pg_wal_lsn_diff(l.here, '0/0')::float8              AS pg_replication_slots_slot_current_wal_lsn,
       coalesce(pg_wal_lsn_diff(confirmed_flush_lsn, '0/0'),
                CASE WHEN active THEN 0 END)::float8       AS pg_replication_slots_slot_confirmed_flush_lsn,
       active                                              AS pg_replication_slots_slot_is_active,
       safe_wal_size                                       AS pg_replication_slots_safe_wal_size_bytes,
       pg_wal_lsn_diff(l.here, confirmed_flush_lsn)::float8 AS loadline_pg_slot_unconfirmed_bytes,
       age(xmin)::int8                                     AS loadline_pg_slot_xmin_age,
       age(catalog_xmin)::int8                             AS loadline_pg_slot_catalog_xmin_age,
       extract(epoch FROM now() - inactive_since)::float8  AS loadline_pg_slot_inactive_seconds,
       (invalidation_reason IS NOT NULL)                   AS loadline_pg_slot_invalidated
FROM pg_replication_slots
CROSS JOIN (SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn()
                        ELSE pg_current_wal_lsn() END AS here) l
ORDER BY slot_name
LIMIT 200
