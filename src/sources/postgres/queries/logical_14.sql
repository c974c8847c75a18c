-- What logical decoding did for each slot, spilling to disk among it.
SELECT slot_name,
       spill_txns    AS loadline_pg_logical_spilled_transactions_total,
       spill_bytes   AS loadline_pg_logical_spill_bytes_total,
       stream_bytes  AS loadline_pg_logical_stream_bytes_total,
       total_bytes   AS loadline_pg_logical_bytes_total
FROM pg_stat_replication_slots
ORDER BY slot_name
LIMIT 200
