-- Temporary files that queries have on disk now.
SELECT coalesce(sum(size), 0)::int8  AS loadline_pg_temp_files_bytes,
       count(*)::int8                AS loadline_pg_temp_files
FROM pg_ls_tmpdir()
