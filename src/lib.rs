//! loadline watches a running system and names the one scaling step that comes next.
//!
//! Numbers flow one way: `sources` -> `store` -> `rules` (asking `promql`) -> `advice` ->
//! `notify`. `daemon` joins the rooms, `state` keeps what must survive a kill, `api` and `cli`
//! show it. docs/ARCHITECTURE.md has the map; `tests/tidy.rs` holds who may import whom.

pub mod advice;
pub mod api;
pub mod cli;
pub mod clock;
pub mod config;
pub mod daemon;
pub mod history;
pub mod model;
pub mod notify;
pub mod promql;
pub mod rules;
pub mod script;
pub mod sources;
pub mod state;
pub mod store;
pub mod telemetry;
