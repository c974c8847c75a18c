//! Functions that read and write labels.

use std::cmp::Ordering;

use regex::Regex;

use crate::model::labels::NAME;
use crate::model::{Labels, MatchOp, Matcher, QueryError};

use super::super::eval::value::{Element, Vector};

/// A float as a label value of `count_values`: shortest form without an exponent.
pub(crate) fn count_text(v: f64) -> String {
    if v.is_infinite() {
        super::super::display::number(v)
    } else {
        v.to_string()
    }
}

/// A float as OpenMetrics writes it: `1.0`, `0.25`.
pub(crate) fn quantile_text(v: f64) -> String {
    let text = super::super::display::number(v);
    if v.is_finite() && !text.contains(['.', 'e']) {
        text + ".0"
    } else {
        text
    }
}

/// Refuses a name that no label may have.
pub(crate) fn check_name(name: &str) -> Result<(), QueryError> {
    if name.is_empty() {
        return Err(QueryError::Execution(format!(
            "invalid label name {name:?}"
        )));
    }
    Ok(())
}

/// `label_replace`: destination, replacement, source, pattern.
pub(crate) fn replace(mut vector: Vector, texts: &[&str]) -> Result<Vector, QueryError> {
    let &[destination, replacement, source, pattern] = texts else {
        return Err(QueryError::Execution(
            "BUG: label_replace without its texts".to_owned(),
        ));
    };
    let regex = compile(pattern)?;
    if destination.is_empty() {
        return Err(QueryError::Execution(format!(
            "invalid destination label name in label_replace(): {destination:?}"
        )));
    }
    for element in &mut vector {
        let value = element.labels.get(source);
        let Some(groups) = regex.captures(value) else {
            continue;
        };
        let mut result = String::new();
        groups.expand(replacement, &mut result);
        set(element, destination, &result);
    }
    Ok(vector)
}

/// `label_join`: destination, separator, sources.
pub(crate) fn join(mut vector: Vector, texts: &[&str]) -> Result<Vector, QueryError> {
    let [destination, separator, sources @ ..] = texts else {
        return Err(QueryError::Execution(
            "BUG: label_join without its texts".to_owned(),
        ));
    };
    for name in [destination].into_iter().chain(sources) {
        if name.is_empty() {
            return Err(QueryError::Execution(format!(
                "invalid label name in label_join(): {name:?}"
            )));
        }
    }
    for element in &mut vector {
        let values: Vec<&str> = sources.iter().map(|s| element.labels.get(s)).collect();
        let joined = values.join(separator);
        set(element, destination, &joined);
    }
    Ok(vector)
}

fn set(element: &mut Element, name: &str, value: &str) {
    element.labels = element.labels.with(name, value);
    // A name that was just written is meant.
    if name == NAME {
        element.drop_name = false;
    }
}

fn compile(pattern: &str) -> Result<Regex, QueryError> {
    crate::model::matcher::compile(pattern).map_err(|_| {
        QueryError::Execution(format!(
            "invalid regular expression in label_replace(): {pattern}"
        ))
    })
}

/// What equality matchers say of the labels of absent series; a label matched twice is left out.
pub(crate) fn fixed_by(matchers: &[Matcher]) -> Labels {
    Labels::from_pairs(
        matchers
            .iter()
            .filter(|m| m.name != NAME && m.op == MatchOp::Equal)
            .filter(|m| matchers.iter().filter(|o| o.name == m.name).count() == 1)
            .map(|m| (&m.name, &m.value)),
    )
}

/// Sorts by the values of `names` in natural order, then by all labels.
pub(crate) fn sort(vector: &mut Vector, names: &[&str], descending: bool) {
    vector.sort_by(|a, b| {
        let order = names
            .iter()
            .map(|n| natural(a.labels.get(n), b.labels.get(n)))
            .find(|o| o.is_ne())
            .unwrap_or_else(|| a.labels.cmp(&b.labels));
        if descending { order.reverse() } else { order }
    });
}

/// Compares runs of digits as numbers and everything else as text.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    loop {
        match (a.is_empty(), b.is_empty()) {
            (true, true) => return Ordering::Equal,
            (true, false) => return Ordering::Less,
            (false, true) => return Ordering::Greater,
            (false, false) => {}
        }
        let (run_a, run_b) = (run(a), run(b));
        let order = if starts_with_digit(run_a) && starts_with_digit(run_b) {
            let number = |t: &str| {
                let t = t.trim_start_matches('0');
                (t.len(), t.to_owned())
            };
            number(run_a).cmp(&number(run_b))
        } else {
            run_a.cmp(run_b)
        };
        if order.is_ne() {
            return order;
        }
        (a, b) = (&a[run_a.len()..], &b[run_b.len()..]);
    }
}

/// The leading digits or the leading other characters.
fn run(text: &str) -> &str {
    let digits = starts_with_digit(text);
    let end = text
        .find(|c: char| c.is_ascii_digit() != digits)
        .unwrap_or(text.len());
    &text[..end]
}

fn starts_with_digit(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn natural_order_counts_numbers_in_text() {
        for (a, b) in [
            ("4m5", "4m600"),
            ("4m600", "4m1000"),
            ("1.2.3", "1.11.3"),
            ("1.11.3", "1.111.3"),
            ("", "a"),
            ("a", "b"),
        ] {
            assert_eq!(natural(a, b), Ordering::Less, "{a} {b}");
            assert_eq!(natural(b, a), Ordering::Greater, "{b} {a}");
        }
        assert_eq!(natural("a01", "a1"), Ordering::Equal);
    }
}
