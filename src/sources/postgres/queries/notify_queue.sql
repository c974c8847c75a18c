-- How full the queue of NOTIFY is.
SELECT CASE WHEN NOT pg_is_in_recovery() THEN pg_notification_queue_usage() END
           AS loadline_pg_notify_queue_ratio
