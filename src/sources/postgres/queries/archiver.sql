-- The archiver. Ages are left out while there was no such event.
SELECT archived_count                                             AS pg_stat_archiver_archived_count,
       failed_count                                               AS pg_stat_archiver_failed_count,
       extract(epoch FROM now() - last_archived_time)::float8     AS pg_stat_archiver_last_archive_age,
       extract(epoch FROM now() - last_failed_time)::float8       AS loadline_pg_archiver_last_failure_age_seconds,
       (last_failed_time IS NOT NULL
        AND last_failed_time > coalesce(last_archived_time, '-infinity')) AS loadline_pg_archiver_failing
FROM pg_stat_archiver
