-- The tables that hold the database's oldest transaction id.
SELECT current_database()::text AS datname, n.nspname::text AS schemaname, c.relname::text AS relname,
       greatest(age(c.relfrozenxid), age(t.relfrozenxid))::int8 AS loadline_pg_table_xid_age
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_class t ON t.oid = c.reltoastrelid
WHERE c.relkind IN ('r', 'm') AND c.relfrozenxid <> 0
ORDER BY 4 DESC, c.oid
LIMIT 20
