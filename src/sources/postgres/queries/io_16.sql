-- Reads and writes by who did them and why.
SELECT backend_type, object, context,
       reads                    AS loadline_pg_io_reads_total,
       reads * op_bytes         AS loadline_pg_io_read_bytes_total,
       read_time / 1000         AS loadline_pg_io_read_seconds_total,
       writes                   AS loadline_pg_io_writes_total,
       writes * op_bytes        AS loadline_pg_io_write_bytes_total,
       write_time / 1000        AS loadline_pg_io_write_seconds_total,
       extends                  AS loadline_pg_io_extends_total,
       hits                     AS loadline_pg_io_hits_total,
       evictions                AS loadline_pg_io_evictions_total,
       fsyncs                   AS loadline_pg_io_fsyncs_total,
       fsync_time / 1000        AS loadline_pg_io_fsync_seconds_total
FROM pg_stat_io
WHERE coalesce(reads, 0) + coalesce(writes, 0) + coalesce(extends, 0) + coalesce(hits, 0)
      + coalesce(fsyncs, 0) > 0
LIMIT 200
