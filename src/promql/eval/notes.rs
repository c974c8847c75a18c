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
    warnings: RefCell<Vec<Note>>,
    infos: RefCell<Vec<Note>>,
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
        self.add(&self.warnings, at, message);
    }

    pub(crate) fn info(&self, at: Span, message: &str) {
        self.add(&self.infos, at, message);
    }

    pub(crate) fn warn_plain(&self, message: String) {
        let mut list = self.warnings.borrow_mut();
        let note = Note { at: None, message };
        if list.len() < MOST && !list.contains(&note) {
            list.push(note);
        }
    }

    /// Warnings and infos, each sorted.
    pub(crate) fn into_parts(self) -> (Vec<String>, Vec<String>) {
        let sorted = |list: RefCell<Vec<Note>>, level: &str| {
            let text = |note: Note| match note.at {
                Some(at) => {
                    let place = Position::of_offset(self.text, at.start);
                    let (line, column) = (place.line, place.column);
                    format!("PromQL {level}: {} ({line}:{column})", note.message)
                }
                None => note.message,
            };
            let mut list: Vec<String> = list.into_inner().into_iter().map(text).collect();
            list.sort();
            list.dedup();
            list
        };
        (sorted(self.warnings, "warning"), sorted(self.infos, "info"))
    }

    /// True when nothing has been said.
    pub(crate) fn is_empty(&self) -> bool {
        self.warnings.borrow().is_empty() && self.infos.borrow().is_empty()
    }

    /// `text` with the place of `at` before it.
    pub(crate) fn placed(&self, at: Span, text: &str) -> String {
        let place = Position::of_offset(self.text, at.start);
        format!("{}:{}: {text}", place.line, place.column)
    }

    fn add(&self, list: &RefCell<Vec<Note>>, at: Span, message: &str) {
        let mut list = list.borrow_mut();
        let known = |n: &Note| n.at == Some(at) && n.message == message;
        if list.len() < MOST && !list.iter().any(known) {
            list.push(Note {
                at: Some(at),
                message: message.to_owned(),
            });
        }
    }
}

/// What is said, and of which place.
#[derive(Debug, Clone, PartialEq)]
struct Note {
    at: Option<Span>,
    message: String,
}

/// ` for metric name "x"`, or nothing when the name is not known.
pub(crate) fn for_metric(name: &str) -> String {
    if name.is_empty() {
        String::new()
    } else {
        format!(" for metric name {name:?}")
    }
}
