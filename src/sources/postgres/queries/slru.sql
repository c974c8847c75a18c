-- Caches of transaction states: subtransactions, multixacts and their kin.
SELECT name,
       blks_hit   AS loadline_pg_slru_blocks_hit_total,
       blks_read  AS loadline_pg_slru_blocks_read_total
FROM pg_stat_slru
LIMIT 50
