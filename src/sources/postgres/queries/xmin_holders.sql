-- What keeps old row versions from being vacuumed: the oldest of each kind, 0 when none does.
SELECT v.kind, coalesce(max(h.xmin_age), 0)::int8 AS loadline_pg_xmin_age
FROM (VALUES ('backend'), ('slot'), ('standby_feedback'), ('prepared_transaction')) AS v(kind)
LEFT JOIN (SELECT 'backend' AS kind, greatest(age(backend_xmin), age(backend_xid)) AS xmin_age
           FROM pg_stat_activity
           WHERE pid <> pg_backend_pid() AND backend_type <> 'walsender'
           UNION ALL
           SELECT 'slot', greatest(age(xmin), age(catalog_xmin)) FROM pg_replication_slots
           UNION ALL
           SELECT 'standby_feedback', age(backend_xmin) FROM pg_stat_replication
           UNION ALL
           SELECT 'prepared_transaction', age(transaction) FROM pg_prepared_xacts) h USING (kind)
GROUP BY 1
