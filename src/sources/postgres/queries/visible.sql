-- How many sessions there are, and of how many the role sees more than the name.
SELECT count(*)::int8 AS sessions,
       count(*) FILTER (WHERE backend_type IS NOT NULL)::int8 AS visible
FROM pg_stat_activity
WHERE datname IS NOT NULL
