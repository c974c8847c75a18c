-- Errors of subscriptions while applying changes and copying tables.
SELECT subname::text AS subname,
       apply_error_count  AS loadline_pg_subscription_apply_errors_total,
       sync_error_count   AS loadline_pg_subscription_sync_errors_total
FROM pg_stat_subscription_stats
ORDER BY subname
LIMIT 200
