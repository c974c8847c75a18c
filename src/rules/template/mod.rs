//! Templates in the labels and annotations of alerts: the part of Go's text/template that
//! Prometheus's rules use, with Prometheus's functions.
//!
//! What must stay true: a template is parsed once, when its file is loaded; expanding it ends
//! (steps, nesting, queries and output are bounded, and the error names the bound); an expansion
//! that fails yields a text that says so and never stops the alert.

mod escape;
mod exec;
mod functions;
mod humanize;
mod lex;
mod parse;
mod printf;
mod time;
mod value;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::{Histogram, Labels, Querier, Timestamp};

/// Longest text that one template may yield, in bytes.
pub const MAX_OUTPUT: usize = 64 * 1024;

/// What a template can see: `.Labels`, `.ExternalLabels`, `.ExternalURL`, `.Value`.
#[derive(Debug, Clone, Copy)]
pub struct Data<'a> {
    /// The sample's labels, `__name__` included.
    pub labels: &'a Labels,
    /// Labels of this installation.
    pub external_labels: &'a BTreeMap<String, String>,
    /// Where people reach the page; may be empty.
    pub external_url: &'a str,
    /// The sample's value.
    pub value: f64,
    /// The native histogram that stands in the value's place.
    pub histogram: Option<&'a Arc<Histogram>>,
}

/// A parsed template; cheap to clone.
#[derive(Debug, Clone)]
pub struct Template {
    text: Arc<str>,
    /// `None` when the text has no actions: it stands for itself.
    program: Option<Arc<parse::Program>>,
}

impl Template {
    /// Parses a template; the error is a message and the byte offset it belongs to.
    pub fn parse(text: &str) -> Result<Self, (String, usize)> {
        let program = if text.contains("{{") {
            Some(Arc::new(parse::parse(text)?))
        } else {
            None
        };
        Ok(Self {
            text: Arc::from(text),
            program,
        })
    }

    /// A text that stands for itself, braces and all.
    pub fn literal(text: &str) -> Self {
        Self {
            text: Arc::from(text),
            program: None,
        }
    }

    /// The template as written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// True when the text has no actions.
    pub fn is_plain(&self) -> bool {
        self.program.is_none()
    }

    /// The PromQL texts that it hands to `query` literally.
    pub fn queries(&self) -> Vec<String> {
        self.program
            .as_ref()
            .map(|p| p.queries())
            .unwrap_or_default()
    }

    /// Expands the template; a failure becomes `<error expanding template: …>`.
    pub fn expand(&self, data: Data<'_>, querier: &dyn Querier, at: Timestamp) -> String {
        self.try_expand(data, querier, at)
            .unwrap_or_else(|e| format!("<error expanding template: {e}>"))
    }

    /// Expands the template; the error says what failed.
    pub fn try_expand(
        &self,
        data: Data<'_>,
        querier: &dyn Querier,
        at: Timestamp,
    ) -> Result<String, String> {
        match &self.program {
            None => Ok(self.text.to_string()),
            Some(program) => exec::run(program, data, querier, at),
        }
    }
}

impl PartialEq for Template {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Template {}

#[cfg(test)]
mod tests;
