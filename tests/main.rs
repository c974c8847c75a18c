//! The black-box suite: one binary, one sentence per module.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

/// Exporters of the same thing do not double it.
mod beside;

/// Expositions get promtool's findings and exit codes.
mod check_metrics;

/// Commands print, fit and end as documented.
mod cli;

/// Config files are refused or accepted with the words a person reads.
mod config;

/// The binary answers signals, odd targets and slow clients.
mod daemon;

/// States of systems get the step that the documents name.
mod decisions;

/// Forecasts of real series are as good as the method promises.
mod forecast;

/// Disks fail: full, without sync, damaged.
mod faults;

/// Hostile input ends soon and in an answer or an error.
mod fuzz;

/// Nothing is lost, invented or renamed when the daemon is killed at any instant.
mod kills;

/// Mutated expositions are read line by line.
mod exposition_model;

/// What a role cannot see is named with what opens it.
mod doctor;

/// Conditions on real servers become messages that name the step.
mod main_job;

/// Every migration runs over sample rows of each earlier version.
mod migrations;

/// The Postgres collector reads real servers and names what goes wrong.
mod postgres;

/// The Postgres collector stays a guest whatever happens to the server.
mod postgres_manners;

/// Every signal has a value on every major, or a reason why not.
mod postgres_signals;

/// The shipped rules are complete, tested and quiet.
mod rule_pack;

/// Rule tests and rule files get promtool's verdicts.
mod rule_scripts;

/// Windows survive a restart.
mod samples;

/// Targets come and go, and hostile ones are refused.
mod scrape;

/// Another parser of the query language reads what ours reads.
mod second_opinion;

/// The unit file is accepted by systemd and tightly sandboxed.
mod service;

/// The store does what the plainest store would do.
mod store_model;

/// The house rules hold: imports, deeds, lengths, reasons.
mod tidy;

/// Real servers, fake receivers and the real binary, with verbs.
mod world;
