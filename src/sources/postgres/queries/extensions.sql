-- Extensions, and those that wait for ALTER EXTENSION ... UPDATE.
SELECT current_database()::text AS datname, e.extname::text AS extname, e.extversion AS extversion,
       coalesce(a.default_version, '') AS default_version,
       (a.default_version IS NOT NULL AND a.default_version <> e.extversion) AS loadline_pg_extension_outdated
FROM pg_extension e
LEFT JOIN pg_available_extensions a ON a.name = e.extname
ORDER BY 2
LIMIT 100
