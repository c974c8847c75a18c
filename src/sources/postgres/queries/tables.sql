-- Tables: those with the most rows read, written or dead. Times of what never happened are left
-- out; rows are the better of two guesses, since the server's own counter starts at 0 on a replica
-- and after a crash.
SELECT current_database()::text AS datname, s.schemaname::text AS schemaname, s.relname::text AS relname,
       s.seq_scan                                      AS pg_stat_user_tables_seq_scan,
       s.seq_tup_read                                  AS pg_stat_user_tables_seq_tup_read,
       coalesce(s.idx_scan, 0)                         AS pg_stat_user_tables_idx_scan,
       coalesce(s.idx_tup_fetch, 0)                    AS pg_stat_user_tables_idx_tup_fetch,
       s.n_tup_ins                                     AS pg_stat_user_tables_n_tup_ins,
       s.n_tup_upd                                     AS pg_stat_user_tables_n_tup_upd,
       s.n_tup_del                                     AS pg_stat_user_tables_n_tup_del,
       s.n_tup_hot_upd                                 AS pg_stat_user_tables_n_tup_hot_upd,
       s.n_live_tup                                    AS pg_stat_user_tables_n_live_tup,
       s.n_dead_tup                                    AS pg_stat_user_tables_n_dead_tup,
       s.n_mod_since_analyze                           AS pg_stat_user_tables_n_mod_since_analyze,
       extract(epoch FROM s.last_vacuum)::float8       AS pg_stat_user_tables_last_vacuum,
       extract(epoch FROM s.last_autovacuum)::float8   AS pg_stat_user_tables_last_autovacuum,
       extract(epoch FROM s.last_analyze)::float8      AS pg_stat_user_tables_last_analyze,
       extract(epoch FROM s.last_autoanalyze)::float8  AS pg_stat_user_tables_last_autoanalyze,
       s.vacuum_count                                  AS pg_stat_user_tables_vacuum_count,
       s.autovacuum_count                              AS pg_stat_user_tables_autovacuum_count,
       s.analyze_count                                 AS pg_stat_user_tables_analyze_count,
       s.autoanalyze_count                             AS pg_stat_user_tables_autoanalyze_count,
       greatest(s.n_live_tup, c.reltuples, 0)::float8  AS loadline_pg_table_rows
FROM pg_stat_user_tables s
JOIN pg_class c ON c.oid = s.relid
ORDER BY greatest(s.seq_tup_read, s.n_tup_ins + s.n_tup_upd + s.n_tup_del, s.n_dead_tup) DESC, s.relid
LIMIT 500
