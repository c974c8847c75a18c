//! From a parsed file to [`Config`], with every wrong key and value named.
//!
//! What must stay true: a message names what is accepted and never shows a value that may be a
//! secret: neither one of a wrong type nor one that came from the environment.

use std::collections::BTreeSet;
use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue, Deserializer};

use super::places::{Kind, Node, join};
use super::substitute::Substituted;
use super::{Config, reference};

/// After this many problems the rest is left for the next try.
pub(super) const MOST_PROBLEMS: usize = 50;

/// Something wrong at one key.
pub(super) struct Fault {
    /// Key path.
    pub(super) path: String,
    /// Byte in the file.
    pub(super) offset: usize,
    /// What is wrong and what is accepted.
    pub(super) message: String,
}

/// Reads the table; takes a faulty key out and goes on, so that one run names every fault.
///
/// `bad` holds the values that are known to be faulty already.
pub(super) fn read(
    mut table: DeTable<'_>,
    nodes: &[Node],
    substituted: &[Substituted],
    bad: &[Range<usize>],
) -> (Option<Config>, Vec<Fault>) {
    let mut removed = BTreeSet::new();
    for span in bad {
        if let Some(node) = nodes.iter().rev().find(|n| n.value == *span) {
            removed.insert(node.path.clone());
            remove(&mut table, node);
        }
    }
    let mut faults = Vec::new();
    for node in nodes {
        // serde would take a list for a table, field by field.
        if let Some(message) = misshapen(node) {
            faults.push(Fault {
                path: node.path.clone(),
                offset: node.value.start,
                message,
            });
            removed.insert(node.path.clone());
            remove(&mut table, node);
        }
    }
    loop {
        let whole = Deserializer::from(Spanned::new(0..0, table.clone()));
        let error = match Config::deserialize(whole) {
            Ok(config) => {
                faults.truncate(MOST_PROBLEMS);
                return (Some(config), faults);
            }
            Err(error) => error,
        };
        let Some(node) = error
            .span()
            .and_then(|span| find(nodes, &span, error.message()))
        else {
            faults.push(Fault {
                path: String::new(),
                offset: 0,
                message: reword(error.message(), None),
            });
            return (None, faults);
        };
        if let Some(key) = quoted(error.message(), "missing field `") {
            let path = join(&node.path, key);
            if !removed.contains(&path) {
                faults.push(Fault {
                    path,
                    offset: node.value.start,
                    message: "this key is required here".to_owned(),
                });
            }
        } else {
            let unknown_key = error.message().starts_with("unknown field");
            let from_env = substituted.iter().find(|s| s.span == node.value);
            faults.push(Fault {
                path: node.path.clone(),
                offset: match &node.key {
                    Some(key) if unknown_key => key.start,
                    _ => node.value.start,
                },
                message: reword(error.message(), from_env),
            });
        }
        removed.insert(node.path.clone());
        if faults.len() >= MOST_PROBLEMS || !remove(&mut table, node) {
            return (None, faults);
        }
    }
}

/// What is wrong with a section that is a list where one table stands, or the reverse.
fn misshapen(node: &Node) -> Option<String> {
    let mut path = String::with_capacity(node.path.len());
    for part in node.path.split('[') {
        path.push_str(part.split_once(']').map_or(part, |(_, rest)| rest));
    }
    let section = reference::section_of(&path)?;
    let element = node.path.ends_with(']');
    let same = match (section.list, element) {
        (true, false) => node.kind == Kind::List,
        (true, true) | (false, false) => node.kind == Kind::Table,
        // Its parent is named already.
        (false, true) => true,
    };
    let what = if section.list {
        "a list of tables"
    } else {
        "one table"
    };
    let header = section.header.replace("host-cpu-sustained", "ID");
    (!same).then(|| format!("wrong type; accepted: {what} {header}"))
}

/// The deepest node with this span: a list of tables shares its span with its first element.
fn find<'a>(nodes: &'a [Node], span: &Range<usize>, message: &str) -> Option<&'a Node> {
    let about_a_list = message.starts_with("invalid type: sequence");
    nodes.iter().rev().find(|n| {
        (n.value == *span && (n.kind == Kind::List || !about_a_list))
            || n.key.as_ref() == Some(span)
    })
}

/// Takes the node out; false when it is no longer there.
fn remove(table: &mut DeTable<'_>, node: &Node) -> bool {
    let is_it = |key: &Spanned<_>, value: &Spanned<DeValue<'_>>| {
        node.key.as_ref() == Some(&key.span())
            && value.span() == node.value
            && Kind::of(value.get_ref()) == node.kind
    };
    let hit = table.iter().find(|(k, v)| is_it(k, v));
    if let Some(key) = hit.map(|(k, _)| k.clone()) {
        return table.remove(&key).is_some();
    }
    table.iter_mut().any(|(_, value)| remove_below(value, node))
}

fn remove_below(value: &mut Spanned<DeValue<'_>>, node: &Node) -> bool {
    match value.get_mut() {
        DeValue::Table(table) => remove(table, node),
        DeValue::Array(list) => {
            if list.iter_mut().any(|element| remove_below(element, node)) {
                return true;
            }
            let keep = |e: &Spanned<DeValue<'_>>| {
                node.key.is_some() || e.span() != node.value || Kind::of(e.get_ref()) != node.kind
            };
            let mut kept = DeArray::new();
            list.iter()
                .filter(|e| keep(e))
                .for_each(|e| kept.push(e.clone()));
            let found = kept.len() < list.len();
            *list = kept;
            found
        }
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_) => false,
    }
}

/// Says in plain words what serde says in Rust's.
fn reword(message: &str, from_env: Option<&Substituted>) -> String {
    if let Some(key) = quoted(message, "unknown field `") {
        let known = message.split(", expected ").nth(1).unwrap_or_default();
        let known = backticked(known);
        let nearest =
            nearest(key, &known).map_or(String::new(), |k| format!(", did you mean {k}?"));
        return format!("unknown key{nearest}; accepted: {}", known.join(", "));
    }
    if let Some(word) = quoted(message, "unknown variant `") {
        let known = message.split(", expected ").nth(1).unwrap_or_default();
        let word = from_env.map_or(word, |s| &s.written);
        return format!(
            "unknown value {word:?}; accepted: {}",
            backticked(known).join(", ")
        );
    }
    if let Some((got, expected)) = message
        .strip_prefix("invalid type: ")
        .and_then(|m| m.rsplit_once(", expected "))
    {
        let kind = got.split([' ', '`', '"']).next().unwrap_or_default();
        let kind = match kind {
            "sequence" => "list",
            "map" => "table",
            "floating" => "number with a point",
            "integer" => "whole number",
            "boolean" => "true or false",
            "string" => "text",
            other => other,
        };
        let a = if kind.starts_with("true") { "" } else { "a " };
        return format!("wrong type: {a}{kind}; accepted: {}", plain(expected));
    }
    if let Some((got, expected)) = message
        .strip_prefix("invalid value: ")
        .and_then(|m| m.rsplit_once(", expected "))
    {
        let got = match from_env {
            Some(s) => s.written.as_str(),
            None => got
                .trim_start_matches("string ")
                .trim_start_matches("integer "),
        };
        return format!("invalid value {got}; accepted: {}", plain(expected));
    }
    match from_env {
        Some(s) if !s.value.is_empty() => {
            let shown = format!("{:?}", s.value);
            let message = message.replace(&shown, &format!("{:?}", s.written));
            message.replace(&s.value, &s.written)
        }
        _ => message.to_owned(),
    }
}

/// The text between `prefix` (which ends in a backtick) and the next backtick.
fn quoted<'a>(message: &'a str, prefix: &str) -> Option<&'a str> {
    let rest = message.strip_prefix(prefix)?;
    rest.find("`, ")
        .map(|end| &rest[..end])
        .or_else(|| rest.strip_suffix('`'))
}

/// All words of `text` that stand in backticks.
fn backticked(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

fn plain(expected: &str) -> &str {
    match expected {
        "usize" | "u64" => "a whole number, 0 or more",
        "f64" => "a number",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "a table",
        "path string" => "a path in quotes",
        "a string" => "a text in quotes",
        other if other.starts_with("struct ") => "a table",
        other => other,
    }
}

/// The key that was probably meant: at most two letters differ, or one begins with the other.
fn nearest<'a>(key: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .map(|k| (distance(key, k), *k))
        .filter(|(d, k)| *d <= 2.min(k.len() / 2) || (key.len() > 3 && k.starts_with(key)))
        .min()
        .map(|(_, k)| k)
}

/// Number of letters to insert, drop or change.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let change = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_from_the_environment_is_never_shown() {
        let s = Substituted {
            span: 0..1,
            written: "${TOKEN}".to_owned(),
            value: "hun\"ter`2".to_owned(),
        };
        for message in [
            format!("invalid duration {:?}; accepted: 15s", s.value),
            format!("unknown variant `{}`, expected `a` or `b`", s.value),
            format!("invalid value: string {:?}, expected \"auto\"", s.value),
            format!("invalid type: string {:?}, expected a boolean", s.value),
            format!("cannot use {}", s.value),
        ] {
            let got = reword(&message, Some(&s));
            assert!(!got.contains("hun"), "{got}");
        }
    }

    #[test]
    fn a_near_miss_is_named() {
        let known = ["scrape_interval", "scrape_timeout", "url"];
        for (key, want) in [
            ("scrap_interval", Some("scrape_interval")),
            ("scrape_intervall", Some("scrape_interval")),
            ("urls", Some("url")),
            ("scrape", Some("scrape_timeout")),
            ("banana", None),
            ("x", None),
        ] {
            assert_eq!(nearest(key, &known), want, "{key}");
        }
    }
}
