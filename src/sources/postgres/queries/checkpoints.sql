-- Checkpoints and the background writer. Times are milliseconds, as the exporter has them.
SELECT checkpoints_timed                          AS pg_stat_bgwriter_checkpoints_timed_total,
       checkpoints_req                            AS pg_stat_bgwriter_checkpoints_req_total,
       checkpoint_write_time                      AS pg_stat_bgwriter_checkpoint_write_time_total,
       checkpoint_sync_time                       AS pg_stat_bgwriter_checkpoint_sync_time_total,
       buffers_checkpoint                         AS pg_stat_bgwriter_buffers_checkpoint_total,
       buffers_clean                              AS pg_stat_bgwriter_buffers_clean_total,
       maxwritten_clean                           AS pg_stat_bgwriter_maxwritten_clean_total,
       buffers_backend                            AS pg_stat_bgwriter_buffers_backend_total,
       buffers_backend_fsync                      AS pg_stat_bgwriter_buffers_backend_fsync_total,
       buffers_alloc                              AS pg_stat_bgwriter_buffers_alloc_total,
       extract(epoch FROM stats_reset)::float8    AS pg_stat_bgwriter_stats_reset_total
FROM pg_stat_bgwriter
