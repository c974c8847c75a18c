//! Functions that read and write labels.

use std::cmp::Ordering;

use regex::{Captures, Regex};

use crate::model::labels::NAME;
use crate::model::{Labels, LabelsBuilder, MatchOp, Matcher, QueryError};

use super::super::eval::budget::Budget;
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
pub(crate) fn replace(
    mut vector: Vector,
    texts: &[&str],
    budget: &Budget,
) -> Result<Vector, QueryError> {
    let &[destination, replacement, source, pattern] = texts else {
        return Err(QueryError::Execution(
            "BUG: label_replace without its texts".to_owned(),
        ));
    };
    let regex = compile(pattern)?;
    if destination.is_empty() {
        return Err(QueryError::Execution(
            "invalid destination label name in label_replace(): ".to_owned(),
        ));
    }
    let template = Replacement::read(replacement);
    for element in &mut vector {
        let value = element.labels.get(source);
        // A long pattern looks at each byte many times.
        budget.work(1 + value.len() * (1 + pattern.len() / 64) / 16)?;
        let Some(groups) = regex.captures(value) else {
            continue;
        };
        let result = template.expand(&regex, &groups)?;
        budget.hold_text(result.len())?;
        set(element, destination, &result);
    }
    Ok(vector)
}

/// `label_join`: destination, separator, sources.
pub(crate) fn join(
    mut vector: Vector,
    texts: &[&str],
    budget: &Budget,
) -> Result<Vector, QueryError> {
    let [destination, separator, sources @ ..] = texts else {
        return Err(QueryError::Execution(
            "BUG: label_join without its texts".to_owned(),
        ));
    };
    for (what, name) in sources
        .iter()
        .map(|s| ("source", s))
        .chain([("destination", destination)])
    {
        if name.is_empty() {
            return Err(QueryError::Execution(format!(
                "invalid {what} label name in label_join(): {name}"
            )));
        }
    }
    for element in &mut vector {
        budget.work(sources.len())?;
        let mut joined = String::new();
        for (i, source) in sources.iter().enumerate() {
            let separator = if i > 0 { separator } else { "" };
            append(&mut joined, separator)?;
            append(&mut joined, element.labels.get(source))?;
        }
        budget.hold_text(joined.len())?;
        set(element, destination, &joined);
    }
    Ok(vector)
}

/// Longest label value that a function may make, in bytes.
const MAX_VALUE: usize = 1 << 20;

fn append(value: &mut String, part: &str) -> Result<(), QueryError> {
    if value.len() + part.len() > MAX_VALUE {
        return Err(QueryError::Limit(format!(
            "a label value would be longer than the limit of {MAX_VALUE} bytes"
        )));
    }
    value.push_str(part);
    Ok(())
}

/// A replacement text, with `$1`, `$name` and `${name}` as Go reads them.
struct Replacement<'a>(Vec<Piece<'a>>);

enum Piece<'a> {
    Plain(&'a str),
    Group(&'a str),
}

impl<'a> Replacement<'a> {
    fn read(text: &'a str) -> Self {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(dollar) = rest.find('$') {
            let (before, after) = (&rest[..dollar], &rest[dollar + 1..]);
            pieces.push(Piece::Plain(before));
            if let Some(after) = after.strip_prefix('$') {
                pieces.push(Piece::Plain("$"));
                rest = after;
                continue;
            }
            let (inner, braced) = match after.strip_prefix('{') {
                Some(inner) => (inner, true),
                None => (after, false),
            };
            let end = inner
                .find(|c: char| !(c.is_alphanumeric() || c == '_'))
                .unwrap_or(inner.len());
            let (name, tail) = inner.split_at(end);
            let tail = if braced {
                tail.strip_prefix('}')
            } else {
                Some(tail)
            };
            match tail {
                Some(tail) if !name.is_empty() => {
                    pieces.push(Piece::Group(name));
                    rest = tail;
                }
                // No name: the dollar stands for itself.
                _ => {
                    pieces.push(Piece::Plain("$"));
                    rest = after;
                }
            }
        }
        pieces.push(Piece::Plain(rest));
        Replacement(pieces)
    }

    fn expand(&self, regex: &Regex, groups: &Captures<'_>) -> Result<String, QueryError> {
        let mut out = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Plain(text) => append(&mut out, text)?,
                Piece::Group(name) => {
                    let numbered = name.bytes().all(|b| b.is_ascii_digit())
                        && (*name == "0" || !name.starts_with('0'));
                    let found = if numbered {
                        name.parse().ok().and_then(|i: usize| groups.get(i))
                    } else {
                        // Of groups with one name the first that took part counts.
                        let names = regex.capture_names().enumerate();
                        names
                            .filter(|(_, n)| *n == Some(*name))
                            .find_map(|(i, _)| groups.get(i))
                    };
                    append(&mut out, found.map_or("", |m| m.as_str()))?;
                }
            }
        }
        Ok(out)
    }
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

/// What equality matchers say of the labels of absent series. As upstream, a label is left out
/// when anything follows its first equality.
pub(crate) fn fixed_by(matchers: &[Matcher]) -> Labels {
    let mut labels = LabelsBuilder::default();
    let mut seen: Vec<&str> = Vec::new();
    for m in matchers.iter().filter(|m| m.name != NAME) {
        if m.op == MatchOp::Equal && !seen.contains(&m.name.as_str()) {
            labels.set(&m.name, &m.value);
            seen.push(&m.name);
        } else {
            labels.remove(&m.name);
        }
    }
    labels.build()
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
    fn replacements_read_as_in_go() {
        let regex = compile("(?P<first>a)(b)?(c)").unwrap();
        let groups = regex.captures("ac").unwrap();
        for (text, want) in [
            ("$1-$3", "a-c"),
            ("x$2y", "x"),
            ("x${2}y", "xy"),
            ("$first", "a"),
            ("${first}x", "ax"),
            ("$firstx", ""),
            ("$$1", "$1"),
            ("$", "$"),
            ("a$-b", "a$-b"),
            ("${1", "${1"),
            ("${a-b}", "${a-b}"),
            ("$01", ""),
            ("$0", "ac"),
            ("$99999999999999999999", ""),
        ] {
            let got = Replacement::read(text).expand(&regex, &groups).unwrap();
            assert_eq!(got, want, "{text}");
        }
    }

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
