-- WAL as the server counts it; its writes are in the view of all I/O.
SELECT w.wal_records                    AS loadline_pg_wal_records_total,
       w.wal_fpi                        AS loadline_pg_wal_full_page_images_total,
       w.wal_buffers_full               AS loadline_pg_wal_buffers_full_total,
       io.writes::int8                  AS loadline_pg_wal_writes_total,
       io.fsyncs::int8                  AS loadline_pg_wal_syncs_total,
       (io.write_time / 1000)::float8   AS loadline_pg_wal_write_seconds_total,
       (io.fsync_time / 1000)::float8   AS loadline_pg_wal_sync_seconds_total
FROM pg_stat_wal w,
     (SELECT sum(writes) AS writes, sum(fsyncs) AS fsyncs,
             sum(write_time) AS write_time, sum(fsync_time) AS fsync_time
      FROM pg_stat_io
      WHERE object = 'wal') io
