-- Sequences nearest to their end, which is the type of the column they fill when that is smaller.
-- The last value is hidden from roles without USAGE or SELECT on the sequence.
SELECT current_database()::text AS datname, s.schemaname::text AS schemaname,
       s.sequencename::text AS sequencename,
       (s.last_value::float8 / least(s.max_value, CASE t.typ WHEN 'int2' THEN 32767 WHEN 'int4' THEN 2147483647
                                                            ELSE s.max_value END))
           AS loadline_pg_sequence_used_ratio,
       CASE WHEN s.last_value IS NULL
                 AND NOT has_sequence_privilege(s.oid, 'USAGE, SELECT') THEN 1 ELSE 0 END AS hidden
FROM (SELECT c.oid, n.nspname AS schemaname, c.relname AS sequencename, q.seqmax AS max_value, q.seqcycle AS cycle,
             CASE WHEN has_sequence_privilege(c.oid, 'USAGE, SELECT')
                  THEN pg_sequence_last_value(c.oid) END AS last_value
      FROM pg_sequence q
      JOIN pg_class c ON c.oid = q.seqrelid
      JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE NOT pg_is_other_temp_schema(n.oid)
      LIMIT 2000) s
LEFT JOIN LATERAL (SELECT ty.typname::text AS typ
                   FROM pg_depend d
                   JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
                   JOIN pg_type ty ON ty.oid = a.atttypid
                   WHERE d.objid = s.oid AND d.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
                   LIMIT 1) t ON true
WHERE NOT s.cycle
ORDER BY 5 DESC, 4 DESC NULLS LAST, 2, 3
LIMIT 20
