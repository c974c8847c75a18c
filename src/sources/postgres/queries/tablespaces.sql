-- Bytes of each tablespace.
SELECT spcname::text AS spcname, pg_tablespace_size(oid) AS loadline_pg_tablespace_bytes
FROM pg_tablespace
ORDER BY spcname
LIMIT 100
