//! What a walk along a sign's candidates met.

use super::decision::{Considered, FactQuestion, Outcome, StepRef};
use super::inventory::Detection;
use super::playbook::rows::Step;

/// At most this many questions are asked with one step.
pub(crate) const MAX_QUESTIONS: usize = 3;

/// A candidate step with its state.
#[derive(Clone, Copy)]
pub(crate) struct Pick<'a> {
    pub(crate) step: &'a Step,
    pub(crate) state: Detection,
    pub(crate) how: Option<&'a str>,
    pub(crate) again: bool,
    /// The candidate has a condition of its own, and it holds.
    pub(crate) guarded: bool,
}

/// What a walk along a row met.
#[derive(Default)]
pub(crate) struct Trail<'a> {
    /// Candidates that may win, in order: the first one does.
    pub(crate) open: Vec<Pick<'a>>,
    /// Candidates of which only people can say whether they are in place.
    pub(crate) unknown: Vec<Pick<'a>>,
    /// Candidates in place, to be extended where they can be.
    pub(crate) in_place: Vec<Pick<'a>>,
    /// Questions that would let a candidate through or past, before the first open one.
    pub(crate) questions: Vec<FactQuestion>,
    /// True when a candidate's guard was false or unknown.
    pub(crate) skipped: bool,
    /// Symptom steps that were declared done.
    pub(crate) passed_over: Vec<StepRef>,
    /// Every candidate that was met, with what came of it.
    pub(crate) considered: Vec<Considered>,
}

impl Trail<'_> {
    /// Notes what came of a candidate.
    pub(crate) fn note(&mut self, row: &str, step: &str, outcome: Outcome, why: String) {
        self.considered.push(Considered {
            row: row.to_owned(),
            step: step.to_owned(),
            outcome,
            why,
        });
    }

    /// Marks the candidate that won, and those before it that gave way to it.
    pub(crate) fn settle(&mut self, step: &str, as_what: Outcome) {
        let held = |c: &&mut Considered| c.step == step && c.outcome != Outcome::DoesNotApply;
        let found = self.considered.iter_mut().find(held);
        match found {
            Some(c) => c.outcome = as_what,
            None => self.note("", step, as_what, String::new()),
        }
    }

    /// Adds questions that are not asked yet.
    pub(crate) fn ask(&mut self, questions: impl IntoIterator<Item = FactQuestion>) {
        for q in questions {
            if self.questions.len() < MAX_QUESTIONS && !self.questions.contains(&q) {
                self.questions.push(q);
            }
        }
    }
}
