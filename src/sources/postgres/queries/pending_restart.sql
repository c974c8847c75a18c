-- Settings that were changed and wait for a restart.
SELECT count(*)::int8 AS loadline_pg_settings_pending_restart
FROM pg_settings
WHERE pending_restart
