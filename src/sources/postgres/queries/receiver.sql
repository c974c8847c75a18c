-- What this replica's receiver last heard.
SELECT extract(epoch FROM now() - last_msg_receipt_time)::float8 AS loadline_pg_wal_receiver_last_message_age_seconds,
       extract(epoch FROM now() - latest_end_time)::float8       AS loadline_pg_wal_receiver_latest_end_age_seconds
FROM pg_stat_wal_receiver
