-- Where pg_stat_statements lives in this database, and which columns it has.
SELECT quote_ident(n.nspname) AS schema, e.extversion AS extversion
FROM pg_extension e
JOIN pg_namespace n ON n.oid = e.extnamespace
WHERE e.extname = 'pg_stat_statements'
