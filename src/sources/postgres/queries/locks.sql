-- Locks by database and mode, with a zero for each that is not held.
SELECT d.datname::text AS datname, m.mode, coalesce(l.n, 0)::int8 AS pg_locks_count
FROM pg_database d
CROSS JOIN (VALUES ('accesssharelock'), ('rowsharelock'), ('rowexclusivelock'),
                   ('shareupdateexclusivelock'), ('sharelock'), ('sharerowexclusivelock'),
                   ('exclusivelock'), ('accessexclusivelock'), ('sireadlock')) AS m(mode)
LEFT JOIN (SELECT database, lower(mode) AS mode, count(*) AS n
           FROM pg_locks
           WHERE pid <> pg_backend_pid()
           GROUP BY 1, 2) l ON l.database = d.oid AND l.mode = m.mode
WHERE d.datallowconn
ORDER BY 1, 2
LIMIT 1800
