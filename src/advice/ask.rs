//! The playbook's questions to the querier, per system.

use std::cell::RefCell;

use crate::model::{Querier, Timestamp, VectorSample};

use super::playbook::guard::Truth;
use super::scope::scope;
use super::signs::System;

/// Most warnings that are kept of one round of questions.
const MAX_WARNINGS: usize = 20;

/// Asks for one system at one time.
pub(crate) struct Ask<'a> {
    querier: &'a dyn Querier,
    system: &'a System,
    now: Timestamp,
    warnings: RefCell<Vec<String>>,
}

impl<'a> Ask<'a> {
    pub(crate) fn new(querier: &'a dyn Querier, system: &'a System, now: Timestamp) -> Self {
        Ask {
            querier,
            system,
            now,
            warnings: RefCell::default(),
        }
    }

    /// The elements; `None` when the question could not be answered in full.
    pub(crate) fn vector(&self, expr: &str) -> Option<Vec<VectorSample>> {
        match self.try_vector(expr) {
            Ok(v) => Some(v),
            Err(e) => {
                let mut warnings = self.warnings.borrow_mut();
                if warnings.len() < MAX_WARNINGS {
                    warnings.push(format!("{expr}: {e}"));
                }
                None
            }
        }
    }

    /// True when something comes back, false when nothing does, unknown when it cannot be told.
    pub(crate) fn holds(&self, expr: &str) -> Truth {
        match self.vector(expr) {
            Some(v) => Truth::from_bool(!v.is_empty()),
            None => Truth::Unknown,
        }
    }

    /// What could not be answered, at most [`MAX_WARNINGS`].
    pub(crate) fn into_warnings(self) -> Vec<String> {
        self.warnings.into_inner()
    }

    fn try_vector(&self, expr: &str) -> Result<Vec<VectorSample>, String> {
        let answer = if self.system.matchers.is_empty() {
            self.querier.instant(expr, self.now)
        } else {
            self.querier.instant(&scope(expr, self.system)?, self.now)
        }
        .map_err(|e| e.to_string())?;
        let partial = answer.partial;
        let vector = answer
            .into_vector()
            .ok_or("the result is neither a vector nor a number")?;
        // What is seen in part of the data is seen; what is not seen in part of it is not known.
        if partial && vector.is_empty() {
            return Err("only part of the data could be read".to_owned());
        }
        Ok(vector)
    }
}
