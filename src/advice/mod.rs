//! Which scaling step comes next, and why.
//!
//! What must stay true: pure over its inputs (alerts, answers of the querier, facts, `now`); the
//! playbook is data; one step is named per bottleneck, at most two bottlenecks per system; every
//! decision carries its reasons and citations.

pub mod decision;

pub use decision::{
    Bottleneck, Citation, Decision, Evidence, FactQuestion, Recommendation, SignInstance, SignKey,
    StepRef, Verdict,
};
