-- Connection limits of roles that have one.
SELECT rolname::text AS rolname, rolconnlimit::int8 AS pg_roles_connection_limit
FROM pg_roles
WHERE rolconnlimit >= 0
ORDER BY rolname
LIMIT 200
