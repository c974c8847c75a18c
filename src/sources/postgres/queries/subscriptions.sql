-- Subscriptions of any database of this server; a worker that is gone leaves no pid.
SELECT subname::text AS subname,
       bool_or(pid IS NOT NULL)                                              AS loadline_pg_subscription_up,
       max(extract(epoch FROM now() - last_msg_receipt_time))::float8        AS loadline_pg_subscription_last_message_age_seconds,
       max(extract(epoch FROM now() - latest_end_time))::float8              AS loadline_pg_subscription_latest_end_age_seconds
FROM pg_stat_subscription
GROUP BY 1
ORDER BY 1
LIMIT 200
