//! Rule files, groups and the alert state machine.
//!
//! What must stay true: no clock, no await, no database; a group is evaluated at its slot and
//! returns what changed; the same inputs give the same changes. Text is Prometheus's rule format,
//! unchanged; loadline's extras ride in labels and annotations (`loadline_*`).

pub mod alert;
pub mod file;
pub mod set;
pub mod spec;
pub mod template;
mod yaml;

pub use alert::{Alert, AlertState, Change, ChangeKind};
pub use file::{Duplicates, RuleFile};
pub use set::RuleSet;
pub use spec::{Checker, ExprInfo, GroupSpec, Inputs, RuleKind, RuleSpec, Threshold};
