-- Texts of the dearest statements. The server reads its whole file of texts for it.
SELECT s.queryid::text AS queryid, left(s.query, 4000) AS query
FROM {schema}.pg_stat_statements s
WHERE s.queryid IS NOT NULL
ORDER BY s.total_exec_time DESC
LIMIT 200
