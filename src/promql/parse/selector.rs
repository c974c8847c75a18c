//! Selectors and what may follow them.

use crate::model::labels::NAME;
use crate::model::{MatchOp, Matcher};

use super::super::ast::{At, Edges, Expr, ExprKind, Selector, Shift, Span};
use super::super::lex::TokenKind;
use super::{MAX_REGEXES, Node, Parsed, Parser};

impl Parser<'_> {
    pub(super) fn vector_selector(&mut self) -> Parsed<Node> {
        self.selector_of(false)
    }

    /// Label matchers in braces, which may match anything.
    pub(super) fn label_selector(&mut self) -> Parsed<Node> {
        if self.peek() != &TokenKind::LeftBrace {
            return Err((
                self.start(),
                "expected label selectors in braces as the second argument of info".to_owned(),
            ));
        }
        self.selector_of(true)
    }

    fn selector_of(&mut self, any: bool) -> Parsed<Node> {
        let (first, start) = (self.at, self.start());
        let mut matchers = Vec::new();
        if let TokenKind::Word(name) | TokenKind::MetricWord(name) = self.peek() {
            let name = name.clone();
            let never_a_metric = ["bool", "on", "ignoring", "group_left", "group_right"];
            if never_a_metric.iter().any(|w| name.eq_ignore_ascii_case(w)) {
                return Err(self.unexpected(""));
            }
            matchers.push(Matcher::equal(NAME, &name));
            self.advance();
        }
        let named = !matchers.is_empty();
        if self.peek() == &TokenKind::LeftBrace {
            self.matchers(&mut matchers)?;
        }
        let names: Vec<&Matcher> = matchers
            .iter()
            .filter(|m| m.name == NAME && m.op == MatchOp::Equal)
            .collect();
        if names.len() > 1 && (named || self.quoted_name_from(first)) {
            let name = &names[names.len() - 1].value;
            return Err((
                start,
                format!("metric name must not be set twice: {name:?}"),
            ));
        }
        if !any && matchers.iter().all(|m| m.matches("")) {
            return Err((
                start,
                "vector selector must contain at least one non-empty matcher".to_owned(),
            ));
        }
        let span = Span {
            start,
            end: self.end(),
        };
        let kind = ExprKind::Selector(Selector {
            id: self.fresh_id(),
            matchers,
            shift: Shift::default(),
            edges: Edges::Plain,
            span,
        });
        Ok((Expr { kind, span }, 1))
    }

    /// True when the braces that open at token `first` hold a bare quoted name.
    fn quoted_name_from(&self, first: usize) -> bool {
        let tokens = &self.tokens[first..];
        tokens
            .iter()
            .zip(tokens.iter().skip(1))
            .take_while(|(a, _)| a.kind != TokenKind::RightBrace)
            .any(|(a, b)| {
                matches!(a.kind, TokenKind::LeftBrace | TokenKind::Comma)
                    && matches!(b.kind, TokenKind::Text(_))
            })
    }

    fn matchers(&mut self, out: &mut Vec<Matcher>) -> Parsed<()> {
        const CONTEXT: &str = "label matching";
        self.advance();
        loop {
            if self.eat(&TokenKind::RightBrace) {
                return Ok(());
            }
            let (name, quoted) = match self.peek().clone() {
                TokenKind::Word(w) => (w, false),
                TokenKind::Text(t) => (t, true),
                _ => {
                    return Err(self.unexpected_but(CONTEXT, ", expected identifier or \"}\""));
                }
            };
            let name_at = self.start();
            self.advance();
            let op = match self.peek() {
                TokenKind::Assign => Some(MatchOp::Equal),
                TokenKind::NotEqual => Some(MatchOp::NotEqual),
                TokenKind::EqualRegex => Some(MatchOp::Regex),
                TokenKind::NotRegex => Some(MatchOp::NotRegex),
                _ => None,
            };
            match op {
                Some(op) => {
                    self.advance();
                    let value_at = self.start();
                    let TokenKind::Text(value) = self.peek().clone() else {
                        return Err(self.unexpected_but(CONTEXT, ", expected string"));
                    };
                    self.advance();
                    if name.is_empty() {
                        return Err((name_at, "label name must not be empty".to_owned()));
                    }
                    if matches!(op, MatchOp::Regex | MatchOp::NotRegex) {
                        self.regexes += 1;
                        if self.regexes > MAX_REGEXES {
                            let limit = format!("more than the limit of {MAX_REGEXES} regexes");
                            return Err((value_at, limit));
                        }
                    }
                    out.push(Matcher::new(&name, op, &value).map_err(|m| (value_at, m))?);
                }
                None if quoted => {
                    if name.is_empty() {
                        return Err((name_at, "metric name must not be empty".to_owned()));
                    }
                    out.push(Matcher::equal(NAME, &name));
                }
                None => {
                    return Err(self.unexpected_but(CONTEXT, ", expected label matching operator"));
                }
            }
            if self.peek() != &TokenKind::RightBrace && !self.eat(&TokenKind::Comma) {
                return Err(self.unexpected_but(CONTEXT, ", expected \",\" or \"}\""));
            }
            if self.peek() == &TokenKind::Comma {
                return Err(self.unexpected_but(CONTEXT, ", expected identifier or \"}\""));
            }
        }
    }

    pub(super) fn offset(&mut self, expr: &mut Expr) -> Parsed<()> {
        let at = self.start();
        self.advance();
        let length = self.offset_length()?;
        let shift = shift_of(expr).ok_or_else(|| {
            (
                at,
                "offset modifier must be preceded by an instant vector selector or range vector \
                 selector or a subquery"
                    .to_owned(),
            )
        })?;
        if shift.offset.is_some() {
            return Err((at, "offset may not be set multiple times".to_owned()));
        }
        shift.offset = Some(length);
        Ok(())
    }

    pub(super) fn at_modifier(&mut self, expr: &mut Expr) -> Parsed<()> {
        let start = self.start();
        self.advance();
        let at = if self.at_word("start") || self.at_word("end") {
            let at = if self.at_word("start") {
                At::Start
            } else {
                At::End
            };
            self.advance();
            self.expect(&TokenKind::LeftParen, "@ modifier")?;
            self.expect(&TokenKind::RightParen, "@ modifier")?;
            at
        } else {
            At::Time(self.timestamp()?)
        };
        let shift = shift_of(expr).ok_or_else(|| {
            (
                start,
                "@ modifier must be preceded by an instant vector selector or range vector \
                 selector or a subquery"
                    .to_owned(),
            )
        })?;
        if shift.at.is_some() {
            return Err((
                start,
                "@ <timestamp> may not be set multiple times".to_owned(),
            ));
        }
        shift.at = Some(at);
        Ok(())
    }

    /// `anchored` or `smoothed` after a selector.
    pub(super) fn edges(&mut self, expr: &mut Expr) -> Parsed<()> {
        let start = self.start();
        let (edges, word) = if self.at_word("anchored") {
            (Edges::Anchored, "anchored")
        } else {
            (Edges::Smoothed, "smoothed")
        };
        if !self.options.extended_range_selectors {
            return Err((
                start,
                format!(
                    "modifier {word:?} is not enabled: it is experimental in Prometheus and \
                     refused by default; feature promql-extended-range-selectors switches it on"
                ),
            ));
        }
        self.advance();
        let selector = match (&mut expr.kind, edges) {
            (ExprKind::Range { selector, .. }, _) => selector,
            (ExprKind::Selector(selector), Edges::Smoothed) => selector,
            _ => {
                return Err((
                    start,
                    format!("{word} modifier must be preceded by a selector"),
                ));
            }
        };
        if selector.edges != Edges::Plain {
            return Err((
                start,
                "anchored and smoothed modifiers cannot be used together or twice".to_owned(),
            ));
        }
        selector.edges = edges;
        Ok(())
    }

    /// Signed seconds or a duration, as milliseconds.
    fn timestamp(&mut self) -> Parsed<i64> {
        let start = self.start();
        let mut sign = 1.0;
        while let TokenKind::Add | TokenKind::Sub = self.peek() {
            if self.advance() == TokenKind::Sub {
                sign = -sign;
            }
        }
        let seconds = match self.peek() {
            TokenKind::Number(v) => *v,
            TokenKind::Duration(ms) => *ms as f64 / 1000.0,
            _ => return Err(self.unexpected_but("@ modifier", ", expected timestamp")),
        };
        self.advance();
        let ms = sign * seconds * 1000.0;
        if !ms.is_finite() || ms.abs() >= 9.0e18 {
            return Err((
                start,
                format!("timestamp out of bounds for @ modifier: {}", sign * seconds),
            ));
        }
        Ok(ms.round() as i64)
    }
}

/// Where the time modifiers of `expr` are kept, if it takes any.
fn shift_of(expr: &mut Expr) -> Option<&mut Shift> {
    match &mut expr.kind {
        ExprKind::Selector(s) | ExprKind::Range { selector: s, .. } => Some(&mut s.shift),
        ExprKind::Subquery(s) => Some(&mut s.shift),
        ExprKind::Number(_)
        | ExprKind::String(_)
        | ExprKind::Paren(_)
        | ExprKind::Unary { .. }
        | ExprKind::Binary(_)
        | ExprKind::Aggregate(_)
        | ExprKind::Call(_) => None,
    }
}
