-- Further databases that may be asked for what only they can show.
SELECT datname::text AS datname, has_database_privilege(oid, 'CONNECT') AS may_connect
FROM pg_database
WHERE datallowconn AND NOT datistemplate AND datname <> current_database()
ORDER BY datname
LIMIT 1000
