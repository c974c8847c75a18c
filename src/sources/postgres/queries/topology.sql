-- What the database is made of beside tables.
SELECT current_database()::text AS datname,
       (SELECT count(*) FROM pg_foreign_server)::int8                    AS loadline_pg_foreign_servers,
       (SELECT count(*) FROM pg_foreign_table)::int8                     AS loadline_pg_foreign_tables,
       (SELECT count(*) FROM pg_partitioned_table)::int8                 AS loadline_pg_partitioned_tables,
       (SELECT count(*) FROM pg_class WHERE relkind = 'm')::int8         AS loadline_pg_materialized_views,
       (SELECT count(*) FROM pg_publication)::int8                       AS loadline_pg_publications,
       (SELECT count(*) FROM pg_extension WHERE extname = 'citus')::int8 AS loadline_pg_citus,
       (SELECT count(*) FROM pg_extension WHERE extname = 'timescaledb')::int8 AS loadline_pg_timescaledb
