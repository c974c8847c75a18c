//! Rule files, groups and the alert state machine.
//!
//! What must stay true: no clock, no await, no database; a group is evaluated at its slot and
//! returns what changed; the same inputs give the same changes. Text is Prometheus's rule format,
//! unchanged; loadline's extras ride in labels and annotations (`loadline_*`).

pub mod alert;
mod check;
pub mod evaluations;
mod extras;
pub mod file;
mod flapping;
mod foreign;
pub mod group;
mod lint;
mod look;
mod reach;
pub mod reload;
pub mod set;
pub mod spec;
mod steps;
pub mod template;
pub(crate) mod yaml;

pub use crate::config::{FlappingPolicy, Missing};
pub use alert::{Alert, AlertState, Change, ChangeKind};
pub use check::check_promql;
pub use evaluations::{Evaluation, Evaluations, RuleStatus};
pub use extras::UNITS;
pub use file::{Duplicates, RuleFile, UnknownKeys, read_alone};
pub use flapping::Flaps;
pub use group::{EvalContext, Group, Outcome, Rule, Written, WrittenValue};
pub use lint::duplicates;
pub use reach::Reach;
pub use reload::{Reloaded, reload, restore};
pub use set::{RuleSet, covered};
pub use spec::{AlertSpec, Checker, ExprInfo, GroupSpec, Inputs, RuleKind, RuleSpec, Threshold};
