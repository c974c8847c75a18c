-- Settings that bound the connections.
SELECT name, setting::float8 AS value
FROM pg_settings
WHERE name IN ('max_connections', 'superuser_reserved_connections', 'reserved_connections')
