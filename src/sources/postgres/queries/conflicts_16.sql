-- Queries that recovery cancelled on this replica, by what they stood in the way of.
SELECT c.datname::text AS datname, v.kind, v.n AS loadline_pg_conflicts_total
FROM pg_stat_database_conflicts c
CROSS JOIN LATERAL (VALUES ('tablespace', confl_tablespace), ('lock', confl_lock),
                           ('snapshot', confl_snapshot), ('bufferpin', confl_bufferpin),
                           ('deadlock', confl_deadlock),
                           ('logical_slot', confl_active_logicalslot)) AS v(kind, n)
WHERE pg_is_in_recovery()
ORDER BY 1, 2
LIMIT 1000
