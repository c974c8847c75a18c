//! Parts that other expressions have in common with this one.

use std::sync::Arc;

use super::super::ast::Expr;
use super::super::share::{Cost, Part, Shared};
use super::value::Vector;
use super::{Eval, Evaluation};

impl Evaluation<'_> {
    /// The vector of a shared part: the known one, or one that is kept for the others unless there
    /// is something to say of it.
    pub(super) fn shared_vector(
        &self,
        shared: &Shared,
        number: usize,
        expr: &Expr,
        t: i64,
    ) -> Eval<Vector> {
        let known = self.parts.borrow().get(&number).cloned();
        if let Some(part) = known {
            return Ok((*part.vector).clone());
        }
        let before = self.cost();
        let vector = self.own_vector(expr, t)?;
        // What was said may be of this part, read or evaluated.
        if self.notes.is_empty() {
            let evaluating = self.cost().less(before);
            let loading = self.loading.get(&number).copied().unwrap_or_default();
            let part = Part {
                vector: Arc::new(vector.clone()),
                cost: evaluating.and(loading),
            };
            shared.keep_part(number, part);
        }
        Ok(vector)
    }

    /// What has been paid for so far.
    pub(super) fn cost(&self) -> Cost {
        Cost {
            held: self.budget.held(),
            worked: self.budget.worked(),
            series_read: self.series_read,
        }
    }

    /// Pays for what others have paid for before: a query has the same limits whoever comes first.
    pub(super) fn pay(&mut self, cost: Cost) -> Eval<()> {
        self.series_read += cost.series_read;
        self.hold(cost.held)?;
        self.work(cost.worked)
    }
}

impl Cost {
    pub(super) fn less(self, before: Cost) -> Cost {
        Cost {
            held: self.held.saturating_sub(before.held),
            worked: self.worked.saturating_sub(before.worked),
            series_read: self.series_read - before.series_read,
        }
    }

    fn and(self, other: Cost) -> Cost {
        Cost {
            held: self.held.saturating_add(other.held),
            worked: self.worked.saturating_add(other.worked),
            series_read: self.series_read + other.series_read,
        }
    }
}
