-- Bytes of each database, no value where the role may not ask.
SELECT d.datname::text AS datname,
       CASE WHEN d.visible THEN pg_database_size(d.oid) END::int8 AS pg_database_size_bytes,
       CASE WHEN d.visible THEN 0 ELSE 1 END                      AS hidden
FROM (SELECT oid, datname,
             has_database_privilege(oid, 'CONNECT')
             OR pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') AS visible
      FROM pg_database
      WHERE datallowconn) d
ORDER BY d.datname
LIMIT 1000
