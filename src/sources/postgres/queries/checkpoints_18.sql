-- Checkpoints and the background writer. Times are milliseconds, as the exporter has them.
SELECT c.num_timed                                AS pg_stat_checkpointer_num_timed_total,
       c.num_requested                            AS pg_stat_checkpointer_num_requested_total,
       c.num_done                                 AS loadline_pg_checkpoints_done_total,
       c.restartpoints_timed                      AS pg_stat_checkpointer_restartpoints_timed_total,
       c.restartpoints_req                        AS pg_stat_checkpointer_restartpoints_req_total,
       c.restartpoints_done                       AS pg_stat_checkpointer_restartpoints_done_total,
       c.write_time                               AS pg_stat_checkpointer_write_time_total,
       c.sync_time                                AS pg_stat_checkpointer_sync_time_total,
       c.buffers_written                          AS pg_stat_checkpointer_buffers_written_total,
       extract(epoch FROM c.stats_reset)::float8  AS pg_stat_checkpointer_stats_reset_total,
       b.buffers_clean                            AS pg_stat_bgwriter_buffers_clean_total,
       b.maxwritten_clean                         AS pg_stat_bgwriter_maxwritten_clean_total,
       b.buffers_alloc                            AS pg_stat_bgwriter_buffers_alloc_total,
       extract(epoch FROM b.stats_reset)::float8  AS pg_stat_bgwriter_stats_reset_total
FROM pg_stat_checkpointer c, pg_stat_bgwriter b
