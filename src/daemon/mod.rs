//! Builds the rooms from the config, joins, starts, reloads and stops them.
//!
//! What must stay true:
//! - Loading and checking ([`Plan::load`]) touch no network and start nothing.
//! - Only this room spawns, on one tracker under one token.
//! - One steppable [`pipeline::Pipeline::tick`] turns due groups into state, advice and messages;
//!   live and test runs call the same one. A state change and its notices are one transaction.
//! - It stops in flow order: sources, store writer, rules, notify (with a deadline), API last.
//! - A reload is all or nothing; unchanged targets and groups keep their state.

mod broken;
mod capacity;
mod carried;
mod collect;
mod discover;
mod examine;
mod fleet;
mod keeper;
mod listener;
mod look;
mod observed;
mod pipeline;
mod plan;
mod publish;
mod query;
mod reload;
mod run;
mod seek;
mod senders;
mod shipped;
mod troubles;
mod unwritten;
mod views;
mod warming;
mod watch;
mod writer;

pub use examine::{Examined, examine};
pub use look::look_once;
pub use plan::{Checked, Plan, check_rules, export_rules, playbook};
pub(crate) use query::parse_options;
pub use run::{Options, run};
