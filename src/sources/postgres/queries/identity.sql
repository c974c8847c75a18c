-- The number that all nodes of a cluster share.
SELECT system_identifier::text AS system_identifier FROM pg_control_system()
