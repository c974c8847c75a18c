-- Connection limits of databases; -1 is none.
SELECT datname::text AS datname, datconnlimit::int8 AS pg_database_connection_limit
FROM pg_database
WHERE datallowconn
ORDER BY datname
LIMIT 1000
