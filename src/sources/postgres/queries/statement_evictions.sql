-- How often statements had to make room for others.
SELECT dealloc::float8 AS dealloc
FROM {schema}.pg_stat_statements_info
