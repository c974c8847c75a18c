-- Tables that serve as job queues: by the library that made them, by name, or because nearly all
-- rows that come are deleted again.
SELECT current_database()::text AS datname, n.nspname::text AS schemaname, c.relname::text AS relname,
       CASE WHEN n.nspname IN ('graphile_worker', 'pgboss', 'river', 'oban', 'que', 'pgmq')
                 OR c.relname ~* '^(solid_queue_|good_job|que_jobs|delayed_jobs|oban_jobs|river_job|queue_classic|procrastinate_jobs)'
            THEN 'library'
            WHEN c.relname ~* '(^|_)(jobs?|queues?|outbox|tasks?|deliveries)$' THEN 'name'
            ELSE 'churn' END AS why,
       st.n_tup_ins + st.n_tup_del AS loadline_pg_queue_table_changes_total,
       st.n_dead_tup               AS loadline_pg_queue_table_dead_rows,
       greatest(st.n_live_tup, c.reltuples, 0)::float8 AS loadline_pg_queue_table_rows
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_stat_user_tables st ON st.relid = c.oid
WHERE c.relkind = 'r'
  AND (n.nspname IN ('graphile_worker', 'pgboss', 'river', 'oban', 'que', 'pgmq')
       OR c.relname ~* '^(solid_queue_|good_job|que_jobs|delayed_jobs|oban_jobs|river_job|queue_classic|procrastinate_jobs)'
       OR c.relname ~* '(^|_)(jobs?|queues?|outbox|tasks?|deliveries)$'
       OR (st.n_tup_ins > 10000 AND st.n_tup_del::float8 / st.n_tup_ins > 0.8
           AND greatest(st.n_live_tup, c.reltuples) < 0.2 * st.n_tup_ins))
ORDER BY st.n_tup_ins + st.n_tup_del DESC, c.oid
LIMIT 20
