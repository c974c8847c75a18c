-- Bytes of each database, no value where the role may not ask.
SELECT datname::text AS datname,
       CASE WHEN has_database_privilege(oid, 'CONNECT')
                 OR pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')
            THEN pg_database_size(oid) END::int8 AS bytes
FROM pg_database
WHERE datallowconn
ORDER BY datname
LIMIT 1000
