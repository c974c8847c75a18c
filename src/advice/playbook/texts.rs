//! Rows that carry text only: principles, orders, examples, products, items of the documents.

use serde::Deserialize;

use super::rows::Text;

/// A rule that holds for all advice.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Principle {
    /// Its id, e.g. `G-01`.
    pub id: Text,
    /// In words.
    pub text: String,
    /// Who says so.
    #[serde(default)]
    pub cite: Vec<Text>,
}

/// An order in which things are brought.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sequence {
    /// Its id.
    pub id: Text,
    /// The order.
    pub text: String,
    /// Who says so; empty means ours.
    #[serde(default)]
    pub cite: Vec<Text>,
}

/// A system that the documents tell of.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// Its id.
    pub id: Text,
    /// The system.
    pub name: String,
    /// What is told of it.
    pub text: String,
    /// Who tells it.
    #[serde(default)]
    pub cite: Vec<Text>,
}

/// Products of one kind that the documents name.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Technology {
    /// The kind.
    pub id: Text,
    /// The products.
    pub names: Vec<String>,
    /// Who names them.
    #[serde(default)]
    pub cite: Vec<Text>,
}

/// One item of a document, with what carries it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// Its number, e.g. `A-01`.
    pub id: Text,
    /// What it says, in our words.
    pub text: String,
    /// Where it stands.
    pub cite: Vec<Text>,
    /// Ids of signs, steps, rungs, facts, order rules, disagreements, principles, warnings,
    /// sequences or examples.
    pub by: Vec<Text>,
}
