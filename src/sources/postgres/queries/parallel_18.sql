-- Parallel workers that were asked for and that there were.
SELECT datname::text AS datname,
       parallel_workers_to_launch                              AS loadline_pg_parallel_workers_wanted_total,
       parallel_workers_launched                               AS loadline_pg_parallel_workers_launched_total,
       parallel_workers_to_launch - parallel_workers_launched  AS loadline_pg_parallel_workers_missing_total
FROM pg_stat_database
WHERE datname IS NOT NULL
ORDER BY datname
LIMIT 1000
