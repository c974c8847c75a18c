-- WAL as the server counts it.
SELECT wal_records              AS loadline_pg_wal_records_total,
       wal_fpi                  AS loadline_pg_wal_full_page_images_total,
       wal_buffers_full         AS loadline_pg_wal_buffers_full_total,
       wal_write                AS loadline_pg_wal_writes_total,
       wal_sync                 AS loadline_pg_wal_syncs_total,
       wal_write_time / 1000    AS loadline_pg_wal_write_seconds_total,
       wal_sync_time / 1000     AS loadline_pg_wal_sync_seconds_total
FROM pg_stat_wal
