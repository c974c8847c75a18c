-- Whether pg_stat_statements is loaded: the setting is hidden from roles without
-- pg_read_all_settings.
SELECT EXISTS (SELECT FROM pg_settings
               WHERE name = 'shared_preload_libraries' AND setting ~ '(^|[, ])pg_stat_statements')
           AS loadline_pg_statements_preloaded
