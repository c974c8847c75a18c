-- Settings that are numbers or switches. Those that our session changes are told by what they
-- were when it began.
SELECT name, CASE WHEN source = 'session' THEN reset_val ELSE setting END AS setting, unit
FROM pg_settings
WHERE vartype IN ('bool', 'integer', 'real')
LIMIT 1000
