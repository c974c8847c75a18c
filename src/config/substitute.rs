//! `${NAME}` in values, from the environment.
//!
//! What must stay true: only parsed string values are touched, never keys or raw text; a name is
//! A-Z, 0-9 and _ and does not begin with a digit, so that `$1` and `${1}` stay as they are; a
//! substituted value never reaches a message.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A value that came from the environment, so that messages can show its name instead.
pub(super) struct Substituted {
    /// Bytes of the value in the file.
    pub(super) span: Range<usize>,
    /// What the file says, e.g. `${TOKEN}`.
    pub(super) written: String,
    /// What it became.
    pub(super) value: String,
}

/// A `${NAME}` whose variable is not set.
pub(super) struct Unset {
    /// Bytes of the value in the file.
    pub(super) span: Range<usize>,
    /// Byte where `${` begins.
    pub(super) offset: usize,
    /// The variable.
    pub(super) name: String,
}

/// Replaces `${NAME}` in all string values of `table`.
pub(super) fn substitute(
    table: &mut DeTable<'_>,
    text: &str,
    env: &dyn Fn(&str) -> Option<String>,
) -> (Vec<Substituted>, Vec<Unset>) {
    let mut out = (Vec::new(), Vec::new());
    for (_, value) in table.iter_mut() {
        walk(value, text, env, &mut out);
    }
    out
}

fn walk(
    node: &mut Spanned<DeValue<'_>>,
    text: &str,
    env: &dyn Fn(&str) -> Option<String>,
    out: &mut (Vec<Substituted>, Vec<Unset>),
) {
    let span = node.span();
    match node.get_mut() {
        DeValue::String(written) => {
            let (value, unset) = replace(written, env);
            for name in unset {
                let raw = text.get(span.clone()).unwrap_or_default();
                let at = raw.find(&format!("${{{name}}}")).unwrap_or(0);
                out.1.push(Unset {
                    span: span.clone(),
                    offset: span.start + at,
                    name,
                });
            }
            if value != written.as_ref() {
                out.0.push(Substituted {
                    span,
                    written: written.to_string(),
                    value: value.clone(),
                });
                *written = value.into();
            }
        }
        DeValue::Array(list) => {
            for element in list.iter_mut() {
                walk(element, text, env, out);
            }
        }
        DeValue::Table(table) => {
            for (_, value) in table.iter_mut() {
                walk(value, text, env, out);
            }
        }
        DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => {}
    }
}

/// The text with its variables, and the names of those that are not set.
fn replace(text: &str, env: &dyn Fn(&str) -> Option<String>) -> (String, Vec<String>) {
    let mut out = String::with_capacity(text.len());
    let mut unset = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let name = rest[2..].split('}').next().unwrap_or_default();
        if rest.len() > 2 + name.len() && is_name(name) {
            match env(name) {
                Some(value) => out.push_str(&value),
                None => unset.push(name.to_owned()),
            }
            rest = &rest[name.len() + 3..];
        } else {
            out.push_str("${");
            rest = &rest[2..];
        }
    }
    out.push_str(rest);
    (out, unset)
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name
            .bytes()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_upper_case_names_are_replaced() {
        let env = |name: &str| match name {
            "HOST" => Some("db1".to_owned()),
            "EMPTY" => Some(String::new()),
            "NESTED" => Some("${HOST}".to_owned()),
            _ => None,
        };
        for (text, want, unset) in [
            ("${HOST}:5432", "db1:5432", ""),
            ("a${HOST}b${HOST}c", "adb1bdb1c", ""),
            ("${EMPTY}", "", ""),
            ("${NESTED}", "${HOST}", ""),
            (
                "$1 ${1} ${1A} ${name} ${} $HOST",
                "$1 ${1} ${1A} ${name} ${} $HOST",
                "",
            ),
            ("${HOST", "${HOST", ""),
            ("${${HOST}", "${db1", ""),
            ("${NO_SUCH}x", "x", "NO_SUCH"),
        ] {
            let (got, missing) = replace(text, &env);
            assert_eq!(
                (got.as_str(), missing.join(",").as_str()),
                (want, unset),
                "{text}"
            );
        }
    }
}
