//! Where each key of a config file stands, so that every problem can name its line and column.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::substitute::Substituted;
use crate::model::{Position, Problem};

/// The position of every key path of one file; holds no values.
#[derive(Debug, Clone, Default)]
pub struct Places {
    file: String,
    by_path: BTreeMap<String, Position>,
    /// What the file says where a value came from the environment.
    written: BTreeMap<String, String>,
}

impl Places {
    /// A problem at `path` (e.g. `receivers[0].name`), or at its nearest written parent.
    pub fn problem(&self, path: &str, message: impl Into<String>) -> Problem {
        Problem {
            file: self.file.clone(),
            position: self.position(path),
            context: path.to_owned(),
            message: message.into(),
        }
    }

    /// The value at `path` in quotes; as the file writes it, e.g. `"${NAME}"`, when it came from
    /// the environment, so that no message shows what may be a secret.
    pub fn show(&self, path: &str, value: &str) -> String {
        format!("{:?}", self.written(path).unwrap_or(value))
    }

    /// What the file says at `path` where the value came from the environment.
    pub(super) fn written(&self, path: &str) -> Option<&str> {
        self.written.get(path).map(String::as_str)
    }

    /// True when the file sets `path`.
    pub fn has(&self, path: &str) -> bool {
        self.by_path.contains_key(path)
    }

    /// Key paths that the file sets, in order.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.by_path.keys().map(String::as_str)
    }

    fn position(&self, path: &str) -> Option<Position> {
        let mut path = path;
        loop {
            if let Some(found) = self.by_path.get(path) {
                return Some(*found);
            }
            path = &path[..path.rfind(['.', '['])?];
        }
    }

    pub(super) fn of(file: &str, text: &str, nodes: &[Node], substituted: &[Substituted]) -> Self {
        let by_path = nodes
            .iter()
            .map(|n| (n.path.clone(), Position::of_offset(text, n.value.start)))
            .collect();
        let path_of = |s: &Substituted| nodes.iter().rev().find(|n| n.value == s.span);
        let written = substituted
            .iter()
            .filter_map(|s| Some((path_of(s)?.path.clone(), s.written.clone())))
            .collect();
        Places {
            file: file.to_owned(),
            by_path,
            written,
        }
    }
}

/// One key or list element of a parsed file.
#[derive(Debug, Clone)]
pub(super) struct Node {
    /// E.g. `scrape_configs[0].job_name`.
    pub(super) path: String,
    /// Bytes of the key; `None` for a list element.
    pub(super) key: Option<Range<usize>>,
    /// Bytes of the value; of the header for a table.
    pub(super) value: Range<usize>,
    /// What the value is.
    pub(super) kind: Kind,
}

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A list, of values or of tables.
    List,
    /// A table.
    Table,
    /// Neither.
    Plain,
}

impl Kind {
    /// The kind of a parsed value.
    pub(super) fn of(value: &DeValue<'_>) -> Self {
        match value {
            DeValue::Array(_) => Kind::List,
            DeValue::Table(_) => Kind::Table,
            DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_) => Kind::Plain,
        }
    }
}

/// All nodes of `table`, parents before children.
pub(super) fn nodes(table: &DeTable<'_>) -> Vec<Node> {
    let mut out = Vec::new();
    walk_table(table, "", &mut out);
    out
}

fn walk_table(table: &DeTable<'_>, parent: &str, out: &mut Vec<Node>) {
    for (key, value) in table.iter() {
        let path = join(parent, key.get_ref());
        walk_value(value, path, Some(key.span()), out);
    }
}

fn walk_value(
    value: &Spanned<DeValue<'_>>,
    path: String,
    key: Option<Range<usize>>,
    out: &mut Vec<Node>,
) {
    out.push(Node {
        path: path.clone(),
        key,
        value: value.span(),
        kind: Kind::of(value.get_ref()),
    });
    if let Some(table) = value.get_ref().as_table() {
        walk_table(table, &path, out);
    }
    if let Some(list) = value.get_ref().as_array() {
        for (i, element) in list.iter().enumerate() {
            walk_value(element, format!("{path}[{i}]"), None, out);
        }
    }
}

/// `parent.key`, the key quoted where TOML wants it.
pub(super) fn join(parent: &str, key: &str) -> String {
    let bare = !key.is_empty()
        && key
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    let key = if bare {
        key.to_owned()
    } else {
        format!("{key:?}")
    };
    if parent.is_empty() {
        key
    } else {
        format!("{parent}.{key}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_without_a_place_takes_its_parents() {
        let text = "[global]\nscrape_interval = \"5s\"\n\n[[receivers]]\nname = \"a\"\n";
        let table = DeTable::parse(text).unwrap();
        let places = Places::of("f", text, &nodes(table.get_ref()), &[]);
        for (path, want) in [
            ("global.scrape_interval", "f:2:19: "),
            ("receivers[0].name", "f:5:8: "),
            ("receivers[0].webhook_configs[0].url", "f:4:1: "),
            ("route.receiver", "f: "),
        ] {
            let got = places.problem(path, "m").to_string();
            assert_eq!(got, format!("{want}{path}: m"));
        }
    }
}
