-- Indexes that serve text search.
SELECT current_database()::text AS datname, count(DISTINCT i.indexrelid)::int8 AS loadline_pg_text_search_indexes
FROM pg_index i
JOIN pg_class c ON c.oid = i.indexrelid
JOIN pg_am am ON am.oid = c.relam
JOIN LATERAL unnest(i.indclass::oid[]) AS k(opc) ON true
JOIN pg_opclass oc ON oc.oid = k.opc
WHERE am.amname IN ('gin', 'gist') AND oc.opcname ~ '(trgm|tsvector)'
