-- Transactions until wraparound; ages in transactions, whatever the exporter's names say.
SELECT datname::text AS datname,
       age(datfrozenxid)::int8        AS pg_database_wraparound_age_datfrozenxid_seconds,
       mxid_age(datminmxid)::int8     AS pg_database_wraparound_age_datminmxid_seconds
FROM pg_database
WHERE datallowconn
ORDER BY datname
LIMIT 1000
