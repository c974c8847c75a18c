//! The HTTP page and API.
//!
//! What must stay true: handlers read a snapshot that the daemon publishes and never push into
//! the flow; every answer is bounded; only requests whose Host is this listener are answered, so
//! that a web page elsewhere cannot read it by rebinding a name; no answer shows a secret.

mod error;
mod explain;
mod page;
mod prometheus;
mod router;
mod servers;
pub mod snapshot;

pub use router::{Shared, router};
pub use servers::{ServerView, SignalView, StatementView};
pub use snapshot::{
    Blind, DroppedTargets, Explanation, GroupView, MessageBooks, RuleKind, RuleView, RunView,
    RunwayView, SelectorView, Snapshot, SourceHealth, SourceView, StepView,
};
