//! YAML as a tree that knows the place of every node, so that all problems of a file can be told
//! at once and each with its line and column.

use std::fmt;
use std::ops::Range;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

use crate::model::Position;

/// One node with the byte range it takes in the text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    pub(crate) at: Position,
    span: Option<Range<usize>>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    /// Nothing, `~` or `null`.
    Null,
    /// Any scalar as text: numbers and booleans as written.
    Scalar(String),
    /// A list.
    Seq(Vec<Node>),
    /// Pairs in order of appearance; keys are unique.
    Map(Vec<(Node, Node)>),
}

/// Reads the first document of `text`; the error has a place where the parser knows one.
pub(crate) fn parse(text: &str) -> Result<Node, (String, Option<Position>)> {
    let options = serde_saphyr::options! {
        merge_keys: serde_saphyr::MergeKeyPolicy::Merge,
        non_finite_float_policy: serde_saphyr::NonFiniteFloatPolicy::AsString,
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 100_000 },
        with_snippet: false,
    };
    let first: First =
        serde_saphyr::from_str_with_options(first_document(text), options).map_err(|e| {
            let at = e.location().map(|l| place(&l));
            (message(&e), at)
        })?;
    Ok(first.0.finish(text))
}

impl Node {
    /// The text of a scalar.
    pub(crate) fn as_str(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar(s) => Some(s),
            Kind::Null | Kind::Seq(_) | Kind::Map(_) => None,
        }
    }

    /// True when `text` has this scalar in quotes or as a block: it is a text, whatever it holds.
    pub(crate) fn is_quoted(&self, text: &str) -> bool {
        let source = self.span.as_ref().and_then(|s| text.get(s.start..));
        source.is_some_and(|s| s.starts_with(['\'', '"', '|', '>']))
    }

    /// What the node is, for messages.
    pub(crate) fn what(&self) -> &'static str {
        match self.kind {
            Kind::Null => "nothing",
            Kind::Scalar(_) => "a value",
            Kind::Seq(_) => "a list",
            Kind::Map(_) => "a mapping",
        }
    }

    /// The place in `text` of byte `offset` of this scalar's value: exact unless the
    /// scalar has escapes before it, else the start of the scalar.
    pub(crate) fn position_of(&self, text: &str, offset: usize) -> Position {
        self.offset_in(text, offset)
            .map_or(self.at, |o| Position::of_offset(text, o))
    }

    fn offset_in(&self, text: &str, offset: usize) -> Option<usize> {
        let value = self.as_str()?;
        let span = self.span.clone()?;
        let head = value.get(..offset.min(value.len()))?;
        let source = text.get(span.start..)?;
        let quote = match source.bytes().next()? {
            b'\'' | b'"' => 1,
            _ => 0,
        };
        let tail = &value[head.len()..];
        walk(&source[quote..], head, tail).map(|o| span.start + quote + o)
    }
}

/// How far `source` has to be read to read `head`, which `tail` follows. A line break of the
/// source stands for one blank or newline of the value, and the indent after it for nothing.
/// `None` when the source has escapes before that place.
fn walk(source: &str, head: &str, tail: &str) -> Option<usize> {
    let mut at = 0;
    let mut rest = head;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        let here = source.get(at..)?;
        if !here.starts_with('\n') {
            if !here.starts_with(c) {
                return None;
            }
            at += c.len_utf8();
            continue;
        }
        if !c.is_whitespace() {
            return None;
        }
        at += 1;
        let next = if rest.is_empty() { tail } else { rest };
        if next.starts_with('\n') {
            continue;
        }
        let blank = |c: char| c == ' ' || c == '\n';
        let skipped = source[at..].len() - source[at..].trim_start_matches(blank).len();
        let kept = next.len() - next.trim_start_matches(' ').len();
        at += skipped.checked_sub(kept)?;
    }
    Some(at)
}

/// Prometheus reads only the first document of a file.
fn first_document(text: &str) -> &str {
    let mut at = 0;
    let mut content = false;
    for line in text.split_inclusive('\n') {
        let bare = line.trim_end();
        if bare == "---" && content || bare == "..." {
            return &text[..at];
        }
        content |= !bare.is_empty() && bare != "---" && !bare.trim_start().starts_with('#');
        at += line.len();
    }
    text
}

fn message(e: &serde_saphyr::Error) -> String {
    let full = e.without_snippet().to_string();
    let mut text = full.lines().next().unwrap_or_default();
    // The place is told apart from the message.
    if let Some(i) = text.rfind(" at line ") {
        text = &text[..i];
    }
    format!("not valid YAML: {text}")
}

fn place(l: &serde_saphyr::Location) -> Position {
    let at_least_1 = |n: u64| usize::try_from(n).unwrap_or(usize::MAX).max(1);
    Position {
        line: at_least_1(l.line()),
        column: at_least_1(l.column()),
    }
}

/// A whole document.
struct First(Raw);

impl<'de> Deserialize<'de> for First {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Spanned::<Content>::deserialize(d).map(|s| First(Raw(s)))
    }
}

struct Raw(Spanned<Content>);

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Spanned::<Content>::deserialize(d).map(Raw)
    }
}

enum Content {
    Null,
    /// A plain scalar that the parser took for a number or a boolean.
    Typed(String),
    Text(String),
    Seq(Vec<Raw>),
    Map(Vec<(Raw, Raw)>),
}

impl Raw {
    fn finish(self, text: &str) -> Node {
        let Raw(Spanned { value, defined, .. }) = self;
        let span = defined.span().byte_offset().and_then(|start| {
            let start = usize::try_from(start).ok()?;
            let len = usize::try_from(defined.span().byte_len()?).ok()?;
            let range = start..start.checked_add(len)?;
            text.get(range.clone()).is_some().then_some(range)
        });
        let kind = match value {
            Content::Null => Kind::Null,
            Content::Typed(parsed) => Kind::Scalar(
                span.clone()
                    .map(|s| text[s].trim().to_owned())
                    .filter(|s| !s.is_empty())
                    .unwrap_or(parsed),
            ),
            Content::Text(s) => Kind::Scalar(s),
            Content::Seq(items) => Kind::Seq(items.into_iter().map(|i| i.finish(text)).collect()),
            Content::Map(pairs) => Kind::Map(
                pairs
                    .into_iter()
                    .map(|(k, v)| (k.finish(text), v.finish(text)))
                    .collect(),
            ),
        };
        Node {
            kind,
            at: place(&defined),
            span,
        }
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value, a list or a mapping")
    }

    fn visit_unit<E>(self) -> Result<Content, E> {
        Ok(Content::Null)
    }

    fn visit_none<E>(self) -> Result<Content, E> {
        Ok(Content::Null)
    }

    fn visit_bool<E>(self, v: bool) -> Result<Content, E> {
        Ok(Content::Typed(v.to_string()))
    }

    fn visit_i64<E>(self, v: i64) -> Result<Content, E> {
        Ok(Content::Typed(v.to_string()))
    }

    fn visit_u64<E>(self, v: u64) -> Result<Content, E> {
        Ok(Content::Typed(v.to_string()))
    }

    fn visit_i128<E>(self, v: i128) -> Result<Content, E> {
        Ok(Content::Typed(v.to_string()))
    }

    fn visit_u128<E>(self, v: u128) -> Result<Content, E> {
        Ok(Content::Typed(v.to_string()))
    }

    fn visit_f64<E>(self, v: f64) -> Result<Content, E> {
        Ok(Content::Typed(v.to_string()))
    }

    fn visit_str<E>(self, v: &str) -> Result<Content, E> {
        Ok(Content::Text(v.to_owned()))
    }

    fn visit_string<E>(self, v: String) -> Result<Content, E> {
        Ok(Content::Text(v))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut s: A) -> Result<Content, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = s.next_element()? {
            items.push(item);
        }
        Ok(Content::Seq(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut m: A) -> Result<Content, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = m.next_entry()? {
            pairs.push(pair);
        }
        Ok(Content::Map(pairs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get<'a>(node: &'a Node, key: &str) -> &'a Node {
        let Kind::Map(pairs) = &node.kind else {
            panic!("not a mapping: {node:?}");
        };
        &pairs
            .iter()
            .find(|(k, _)| k.as_str() == Some(key))
            .unwrap()
            .1
    }

    #[test]
    fn scalars_keep_their_text() {
        let text = "a: 1.50\nb: yes\nc: '1'\nd: 0x10\ne: ~\nf:\ng: .nan\nh: 1_000\ni: 5m\n1: x\n";
        let doc = parse(text).unwrap();
        for (key, want) in [
            ("a", Some("1.50")),
            ("b", Some("yes")),
            ("c", Some("1")),
            ("d", Some("0x10")),
            ("e", None),
            ("f", None),
            ("g", Some(".nan")),
            ("h", Some("1_000")),
            ("i", Some("5m")),
            ("1", Some("x")),
        ] {
            assert_eq!(get(&doc, key).as_str(), want, "{key}");
        }
    }

    #[test]
    fn places_inside_scalars_are_found() {
        let text =
            "a: up >\nb: 'up >'\nc: |\n  sum(\n    up >\n  )\nd: >-\n  up\n  > x\ne: \"a\\tb\"\n";
        let doc = parse(text).unwrap();
        for (key, offset, want) in [
            ("a", 3, (1, 7)),
            ("b", 3, (2, 8)),
            ("c", 0, (4, 3)),
            ("c", 10, (5, 8)),
            ("c", 4, (4, 7)),
            ("d", 1, (8, 4)),
            ("d", 5, (9, 5)),
            ("e", 1, (10, 6)),
            ("e", 2, (10, 4)),
        ] {
            let p = get(&doc, key).position_of(text, offset);
            assert_eq!((p.line, p.column), want, "{key} {offset}");
        }
    }

    #[test]
    fn quotes_are_told() {
        let text = "a: 1\nb: '1'\nc: \"1\"\nd: .nan\n";
        let doc = parse(text).unwrap();
        for (key, want) in [("a", false), ("b", true), ("c", true), ("d", false)] {
            assert_eq!(get(&doc, key).is_quoted(text), want, "{key}");
        }
    }

    #[test]
    fn what_is_not_yaml_is_told_with_its_place() {
        for (text, line, word) in [
            ("a: [1, 2\nb: 3\n", 2, "YAML"),
            ("a: 1\na: 2\n", 2, "duplicate"),
            ("a: *nope\n", 1, "YAML"),
        ] {
            let (message, at) = parse(text).unwrap_err();
            assert!(message.contains(word), "{text:?}: {message}");
            assert_eq!(at.map(|p| p.line), Some(line), "{text:?}: {message}");
        }
    }

    #[test]
    fn only_the_first_document_counts_and_anchors_are_fine() {
        let doc = parse("---\na: &x {k: v}\nb: *x\n---\na: [\n").unwrap();
        assert_eq!(get(get(&doc, "b"), "k").as_str(), Some("v"));
    }

    #[test]
    fn aliases_cannot_explode() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for i in 1..12 {
            let list = vec![format!("*a{}", i - 1); 9].join(", ");
            text.push_str(&format!("a{i}: &a{i} [{list}]\n"));
        }
        assert!(parse(&text).is_err());
    }
}
