-- Vacuums under way, and how often they had to go through all indexes for want of memory.
SELECT count(*)::int8                                AS loadline_pg_vacuums_running,
       coalesce(max(index_vacuum_count), 0)::int8    AS loadline_pg_vacuum_index_passes_max
FROM pg_stat_progress_vacuum
