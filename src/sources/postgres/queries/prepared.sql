-- Prepared transactions, which hold locks and old rows without a session.
SELECT count(*)::int8                                                      AS loadline_pg_prepared_transactions,
       coalesce(max(extract(epoch FROM now() - prepared)), 0)::float8      AS loadline_pg_prepared_transaction_max_seconds
FROM pg_prepared_xacts
