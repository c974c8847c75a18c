-- What lies in pg_wal.
SELECT count(*)::int8                AS pg_wal_segments,
       coalesce(sum(size), 0)::int8  AS pg_wal_size_bytes
FROM pg_ls_waldir()
WHERE name ~ '^[0-9A-F]{24}$'
