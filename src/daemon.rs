//! Builds the rooms from the config, joins, starts, reloads and stops them.
