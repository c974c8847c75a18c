//! Annotations: what must be said beside a result.

use std::cell::RefCell;

use crate::model::Position;

use super::super::ast::Span;

/// Most different annotations of one level that a query reports.
const MOST: usize = 100;

/// Collects annotations, each text once.
#[derive(Debug)]
pub(crate) struct Notes<'q> {
    text: &'q str,
    warnings: RefCell<Vec<String>>,
    infos: RefCell<Vec<String>>,
}

impl<'q> Notes<'q> {
    pub(crate) fn new(text: &'q str) -> Self {
        Notes {
            text,
            warnings: RefCell::default(),
            infos: RefCell::default(),
        }
    }

    pub(crate) fn warn(&self, at: Span, message: &str) {
        self.add(&self.warnings, "warning", at, message);
    }

    pub(crate) fn info(&self, at: Span, message: &str) {
        self.add(&self.infos, "info", at, message);
    }

    pub(crate) fn warn_plain(&self, message: String) {
        let mut list = self.warnings.borrow_mut();
        if list.len() < MOST && !list.contains(&message) {
            list.push(message);
        }
    }

    /// Warnings and infos, each sorted.
    pub(crate) fn into_parts(self) -> (Vec<String>, Vec<String>) {
        let sorted = |list: RefCell<Vec<String>>| {
            let mut list = list.into_inner();
            list.sort();
            list
        };
        (sorted(self.warnings), sorted(self.infos))
    }

    fn add(&self, list: &RefCell<Vec<String>>, level: &str, at: Span, message: &str) {
        let place = Position::of_offset(self.text, at.start);
        let text = format!(
            "PromQL {level}: {message} ({}:{})",
            place.line, place.column
        );
        let mut list = list.borrow_mut();
        if list.len() < MOST && !list.contains(&text) {
            list.push(text);
        }
    }
}

/// ` for metric name "x"`, or nothing when the name is not known.
pub(crate) fn for_metric(name: &str) -> String {
    if name.is_empty() {
        String::new()
    } else {
        format!(" for metric name {name:?}")
    }
}
